package snapshot

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Source reads the contents of a snapshot from the tree that it was built from.
type Source struct {
	root    string
	paths   map[string]string // by digest
	encoded []byte
	name    string // digest of encoded
}

// NewSource prepares to read what Build(root) described.
func NewSource(root string, m *Manifest) (*Source, error) {
	fi, err := os.Stat(root)
	if err != nil {
		return nil, fmt.Errorf("snapshot: %w", err)
	}
	s := &Source{root: root, paths: make(map[string]string, len(m.Entries)), encoded: m.Encode()}
	s.name = digest(s.encoded)
	for _, e := range m.Entries {
		if !e.Mode.IsRegular() || s.paths[e.SHA256] != "" {
			continue
		}
		s.paths[e.SHA256] = root
		if fi.IsDir() {
			s.paths[e.SHA256] = filepath.Join(root, filepath.FromSlash(e.Path))
		}
	}
	return s, nil
}

// ReadBlob opens the contents with a digest; the manifest's own digest gives its encoding. Reading ends with ErrChanged,
// and not with io.EOF, when the file has changed since it was described.
func (s *Source) ReadBlob(digest string) (io.ReadCloser, error) {
	if digest == s.name {
		return io.NopCloser(strings.NewReader(string(s.encoded))), nil
	}
	p, ok := s.paths[digest]
	if !ok {
		return nil, fmt.Errorf("snapshot: no file of %s has digest %s", s.root, digest)
	}
	return openChecked(p, digest)
}

// OpenEntry opens the contents of one regular file of the snapshot m of root. Reading ends with ErrChanged, and not with
// io.EOF, when the file has changed since it was described.
func OpenEntry(root string, m *Manifest, e Entry) (io.ReadCloser, error) {
	if !e.Mode.IsRegular() {
		return nil, fmt.Errorf("snapshot: %s: %w", e.Path, fs.ErrInvalid)
	}
	p := filepath.Join(root, filepath.FromSlash(e.Path))
	// A snapshot of a single file has one entry, and the file itself is the root.
	if len(m.Entries) == 1 {
		if fi, err := os.Stat(root); err == nil && !fi.IsDir() {
			p = root
		}
	}
	return openChecked(p, e.SHA256)
}

func openChecked(path, digest string) (io.ReadCloser, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("snapshot: %w", err)
	}
	return &checked{f: f, want: digest, h: sha256.New()}, nil
}

// ReadBlob opens the contents with a digest of the snapshot m of root; for many of them, NewSource is quicker.
func ReadBlob(root string, m *Manifest, digest string) (io.ReadCloser, error) {
	s, err := NewSource(root, m)
	if err != nil {
		return nil, err
	}
	return s.ReadBlob(digest)
}

// checked reads a file and ends with an error when its digest is not the one wanted.
type checked struct {
	f    *os.File
	want string
	h    hash.Hash
}

// Read implements io.Reader.
func (c *checked) Read(p []byte) (int, error) {
	n, err := c.f.Read(p)
	_, _ = c.h.Write(p[:n]) // a hash never fails
	if errors.Is(err, io.EOF) && hex.EncodeToString(c.h.Sum(nil)) != c.want {
		return n, fmt.Errorf("%s: %w", c.f.Name(), ErrChanged)
	}
	return n, err
}

// Close implements io.Closer.
func (c *checked) Close() error { return c.f.Close() }
