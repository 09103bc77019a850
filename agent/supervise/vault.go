package supervise

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// ErrKeyLost means that secrets on disk cannot be read any more: the key lived in memory and the machine was restarted.
var ErrKeyLost = errors.New("the key of the secrets is lost: it lives in memory only, and the machine was restarted")

const keyLen = 32

// Vault encrypts secrets for the journal under a random key that lies in memory-backed storage only, so that a disk
// that is copied or thrown away gives none of them away, while the agent may be restarted.
type Vault struct {
	path string
	aead cipher.AEAD
}

// OpenVault finds or makes the key for a state directory.
func OpenVault(stateDir string) (*Vault, error) {
	dirs := []string{"/dev/shm"}
	if run := os.Getenv("XDG_RUNTIME_DIR"); run != "" {
		dirs = append(dirs, run)
	}
	var errs []error
	for _, d := range dirs {
		v, err := openVaultIn(d, stateDir)
		if err == nil {
			return v, nil
		}
		errs = append(errs, err)
	}
	return nil, fmt.Errorf("no memory-backed place for the key of secrets: %w", errors.Join(errs...))
}

func openVaultIn(root, stateDir string) (*Vault, error) {
	abs, err := filepath.Abs(stateDir)
	if err != nil {
		return nil, fmt.Errorf("find state directory: %w", err)
	}
	sum := sha256.Sum256([]byte(abs))
	path := filepath.Join(root, "aloft-"+strconv.Itoa(os.Getuid())+"-"+hex.EncodeToString(sum[:8]))
	key, err := readKey(path)
	if errors.Is(err, os.ErrNotExist) {
		key, err = makeKey(path)
	}
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("use key %s: %w", path, err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("use key %s: %w", path, err)
	}
	return &Vault{path: path, aead: aead}, nil
}

// readKey refuses a file that somebody else can have put there.
func readKey(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return nil, fmt.Errorf("read key: %w", err)
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("read key: %w", err)
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || int(st.Uid) != os.Getuid() || info.Mode().Perm()&0o077 != 0 || !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a private file of this user", path)
	}
	key := make([]byte, keyLen+1)
	n, err := f.Read(key)
	if err != nil || n != keyLen {
		return nil, fmt.Errorf("%s does not hold a key", path)
	}
	return key[:keyLen], nil
}

func makeKey(path string) ([]byte, error) {
	key := make([]byte, keyLen)
	_, _ = rand.Read(key) // never fails
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("make key: %w", err)
	}
	if _, err := f.Write(key); err != nil {
		return nil, errors.Join(fmt.Errorf("make key: %w", err), f.Close(), os.Remove(path))
	}
	if err := f.Close(); err != nil {
		return nil, fmt.Errorf("make key: %w", err)
	}
	return key, nil
}

// Seal encrypts secrets; none give nil.
func (v *Vault) Seal(secrets map[string]string) ([]byte, error) {
	if len(secrets) == 0 {
		return nil, nil
	}
	plain, err := json.Marshal(secrets)
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	nonce := make([]byte, v.aead.NonceSize())
	_, _ = rand.Read(nonce) // never fails
	return v.aead.Seal(nonce, nonce, plain, nil), nil
}

// Open decrypts what Seal made; ErrKeyLost when this is not the key.
func (v *Vault) Open(sealed []byte) (map[string]string, error) {
	if len(sealed) == 0 {
		return nil, nil
	}
	n := v.aead.NonceSize()
	if len(sealed) < n {
		return nil, ErrKeyLost
	}
	plain, err := v.aead.Open(nil, sealed[:n], sealed[n:], nil)
	if err != nil {
		return nil, ErrKeyLost
	}
	var secrets map[string]string
	if err := json.Unmarshal(plain, &secrets); err != nil {
		return nil, fmt.Errorf("open secrets: %w", err)
	}
	return secrets, nil
}

// Destroy removes the key: what was sealed under it is unreadable from now on.
func (v *Vault) Destroy() error {
	if err := os.Remove(v.path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("destroy key: %w", err)
	}
	return nil
}
