// Package seal encrypts secrets at rest with age, to a key file that only its owner can read. A file sealed here can also
// be opened with the age program and that key.
package seal

import (
	"bytes"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"filippo.io/age"
)

// KeyFile is the name of the key below the home directory.
const KeyFile = "secrets.key"

// Errors that callers decide on. No error of this package holds plain text or key material.
var (
	// ErrNoKey is returned when the key is missing although something was sealed with it.
	ErrNoKey = errors.New("the key of the sealed secrets is missing")
	// ErrBadKey is returned for a key file that does not hold a key, or that others may read.
	ErrBadKey = errors.New("the key of the sealed secrets is not usable")
	// ErrOpen is returned for bytes that this key does not open.
	ErrOpen = errors.New("sealed with another key, or damaged")
	// ErrOtherKey is returned for a home that has a key of its own.
	ErrOtherKey = errors.New("the home has another key")
)

// Sealer seals and opens with one key. It may be used by several goroutines.
type Sealer struct {
	id     *age.X25519Identity
	shared bool
}

// sharedMark is the line of a key file that says that other homes have the key, too.
const sharedMark = "# shared with other homes"

// NewKey makes a key that homes may share, as Share takes it.
func NewKey() (string, error) {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		return "", fmt.Errorf("make key: %w", err)
	}
	return id.String(), nil
}

// Share gives a home a key that it shares with others. A home that has it already is left as it is; ErrBadKey when key is
// none, ErrOtherKey when the home has another one.
func Share(home, key string) error {
	id, err := age.ParseX25519Identity(strings.TrimSpace(key))
	if err != nil {
		return fmt.Errorf("%w: it is none of those that `sky ci key` makes", ErrBadKey) // the parser's text may quote it
	}
	if err := create(filepath.Join(home, KeyFile), id, sharedMark+"\n"); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("write key: %w", err)
	}
	s, err := read(filepath.Join(home, KeyFile))
	if err != nil {
		return err
	}
	if s.id.String() != id.String() {
		return ErrOtherKey
	}
	return nil
}

// Shared reports whether other homes have the key, too.
func (s *Sealer) Shared() bool { return s.shared }

// Open reads the key below home. When there is none, it makes one; unless sealedExist says that something was sealed
// before: a new key could not open that, so the error is ErrNoKey.
func Open(home string, sealedExist bool) (*Sealer, error) {
	path := filepath.Join(home, KeyFile)
	s, err := read(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return s, err
	}
	if sealedExist {
		return nil, fmt.Errorf("%w: put %s back from a backup, or remove the clusters and jobs that have secrets", ErrNoKey, path)
	}
	id, err := age.GenerateX25519Identity()
	if err != nil {
		return nil, fmt.Errorf("make key: %w", err)
	}
	if err := create(path, id, ""); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("make key: %w", err)
	}
	return read(path) // also when somebody else was quicker
}

func read(path string) (*Sealer, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read key: %w", err)
	}
	defer func() { _ = f.Close() }()
	fi, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("read key: %w", err)
	}
	if runtime.GOOS != "windows" && fi.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%w: others may read %s; run chmod 600 on it", ErrBadKey, path)
	}
	b, err := io.ReadAll(io.LimitReader(f, 64<<10))
	if err != nil {
		return nil, fmt.Errorf("read key: %w", err)
	}
	shared := false
	for _, line := range strings.Split(string(b), "\n") {
		line = strings.TrimSpace(line)
		if shared = shared || line == sharedMark; line == "" || line[0] == '#' {
			continue
		}
		id, err := age.ParseX25519Identity(line)
		if err != nil {
			break // its text may quote the key
		}
		return &Sealer{id: id, shared: shared}, nil
	}
	return nil, fmt.Errorf("%w: %s holds no age key; put it back from a backup", ErrBadKey, path)
}

// create makes the key file in one step: it does not exist, or is whole.
func create(path string, id *age.X25519Identity, mark string) (err error) {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, "."+KeyFile+".new-*") // with mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = fmt.Fprintf(f, "# public key: %s\n%s%s\n", id.Recipient(), mark, id)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); err != nil { // unlike a rename it does not replace a key
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Seal encrypts plain text.
func (s *Sealer) Seal(plain []byte) ([]byte, error) {
	var out bytes.Buffer
	w, err := age.Encrypt(&out, s.id.Recipient())
	if err == nil {
		if _, err = w.Write(plain); err == nil {
			err = w.Close()
		}
	}
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	return out.Bytes(), nil
}

// Open decrypts what Seal made; ErrOpen.
func (s *Sealer) Open(sealed []byte) ([]byte, error) {
	r, err := age.Decrypt(bytes.NewReader(sealed), s.id)
	if err != nil {
		return nil, fmt.Errorf("open sealed secret: %w", ErrOpen)
	}
	plain, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("open sealed secret: %w", ErrOpen)
	}
	return plain, nil
}

// Derive makes 32 secret bytes for a purpose out of the key: always the same for the same labels, and telling nothing
// of the key (HKDF-SHA256, RFC 5869).
func (s *Sealer) Derive(labels ...string) ([]byte, error) {
	b, err := hkdf.Key(sha256.New, []byte(s.id.String()), nil, "aloft/"+strings.Join(labels, "/"), 32)
	if err != nil {
		return nil, fmt.Errorf("derive a key: %w", err)
	}
	return b, nil
}

// Recipient is the public key, for sealing with the age program.
func (s *Sealer) Recipient() string { return s.id.Recipient().String() }
