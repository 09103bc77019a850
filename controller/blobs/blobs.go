package blobs

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Errors that callers decide on.
var (
	// ErrNotFound is returned for a blob that is not here.
	ErrNotFound = errors.New("blob not found")
	// ErrMismatch is returned by Commit when the bytes do not have the digest.
	ErrMismatch = errors.New("contents do not have the digest")
	// ErrDigest is returned for what is not 64 lower-case hex digits.
	ErrDigest = errors.New("not a sha256 in hex")
	// ErrOffset is returned by Open for an offset beyond the end.
	ErrOffset = errors.New("offset is beyond the end of the blob")
)

// tmpDir holds unfinished blobs, spread over directories: creating thousands of files in one is slow on ext4.
const tmpDir = "tmp"

// Ref names a blob.
type Ref struct {
	Digest string // sha256, lower-case hex
	Size   int64  // bytes; < 0 = unknown
}

// Store is the blobs under one directory. Its methods may be called from any number of goroutines; one process at a time
// may use a directory.
type Store struct {
	dir  string
	next atomic.Uint64 // number of the next temporary file

	// gc is held for reading while a blob is found and touched, and for writing while GC removes one: a blob that was
	// reported as present is not removed for being old.
	gc sync.RWMutex
}

// Open opens the blobs under dir and makes the directory when it is missing. Uploads that a former process left
// unfinished are removed.
func Open(dir string) (*Store, error) {
	s := &Store{dir: dir}
	tmp := filepath.Join(dir, tmpDir)
	if err := os.RemoveAll(tmp); err != nil {
		return nil, fmt.Errorf("open blobs: %w", err)
	}
	if err := os.MkdirAll(tmp, 0o700); err != nil {
		return nil, fmt.Errorf("open blobs: %w", err)
	}
	for _, sub := range s.subdirs() {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, fmt.Errorf("open blobs: %w", err)
		}
	}
	return s, nil
}

// subdirs are the directories that hold files: those of blobs, by the first byte of the digest, and those of unfinished
// ones.
func (s *Store) subdirs() []string {
	out := make([]string, 0, 512)
	for i := range 256 {
		x := hex.EncodeToString([]byte{byte(i)})
		out = append(out, x, filepath.Join(tmpDir, x))
	}
	return out
}

func checkDigest(d string) error {
	if len(d) != 64 {
		return fmt.Errorf("%w: %q", ErrDigest, d)
	}
	for _, c := range []byte(d) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return fmt.Errorf("%w: %q", ErrDigest, d)
		}
	}
	return nil
}

// path is where a blob of a checked digest lies.
func (s *Store) path(digest string) string { return filepath.Join(s.dir, digest[:2], digest) }

// Has tells whether the blob is here, and keeps GC from removing it for being old.
func (s *Store) Has(digest string) bool { return s.has(Ref{digest, -1}) }

func (s *Store) has(r Ref) bool {
	if checkDigest(r.Digest) != nil {
		return false
	}
	s.gc.RLock()
	defer s.gc.RUnlock()
	p := s.path(r.Digest)
	fi, err := os.Lstat(p)
	if err != nil || !fi.Mode().IsRegular() || (r.Size >= 0 && fi.Size() != r.Size) {
		return false
	}
	now := time.Now()
	// A minute is nothing to GC, and spares the disk.
	if now.Sub(fi.ModTime()) > time.Minute {
		return os.Chtimes(p, now, now) == nil
	}
	return true
}

// Missing are the refs that are not here, each digest once, in order.
func (s *Store) Missing(refs []Ref) []Ref {
	var out []Ref
	seen := make(map[string]bool, len(refs))
	for _, r := range refs {
		if seen[r.Digest] {
			continue
		}
		seen[r.Digest] = true
		if !s.has(r) {
			out = append(out, r)
		}
	}
	return out
}

// Open reads a blob from an offset on; total is its whole size.
func (s *Store) Open(digest string, offset int64) (r io.ReadCloser, total int64, err error) {
	if err := checkDigest(digest); err != nil {
		return nil, 0, err
	}
	f, err := os.Open(s.path(digest))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, fmt.Errorf("%w: %s", ErrNotFound, digest)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("open blob: %w", err)
	}
	fi, err := f.Stat()
	if err == nil {
		total = fi.Size()
		if offset < 0 || offset > total {
			err = fmt.Errorf("%w: %d of %d", ErrOffset, offset, total)
		} else {
			_, err = f.Seek(offset, io.SeekStart)
		}
	}
	if err != nil {
		_ = f.Close()
		return nil, 0, fmt.Errorf("open blob %s: %w", digest, err)
	}
	return f, total, nil
}

// temp opens a new temporary file.
func (s *Store) temp() (*os.File, error) {
	n := s.next.Add(1)
	name := filepath.Join(s.dir, tmpDir, hex.EncodeToString([]byte{byte(n)}), strconv.FormatUint(n, 36))
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("new blob: %w", explain(err))
	}
	return f, nil
}

// publish gives a whole and synced temporary file its name.
func (s *Store) publish(tmp, digest string) error {
	s.gc.RLock()
	defer s.gc.RUnlock()
	if err := os.Rename(tmp, s.path(digest)); err != nil {
		return fmt.Errorf("store blob %s: %w", digest, err)
	}
	return nil
}

// GC removes blobs that keep does not want and that nobody has stored or asked for within olderThan, and unfinished
// uploads of that age. It says how many it removed, and their bytes.
func (s *Store) GC(ctx context.Context, keep func(digest string) bool, olderThan time.Duration) (removed int, bytes int64, err error) {
	before := time.Now().Add(-olderThan)
	for _, sub := range s.subdirs() {
		ents, err := os.ReadDir(filepath.Join(s.dir, sub))
		if err != nil {
			return removed, bytes, fmt.Errorf("collect blobs: %w", err)
		}
		for _, e := range ents {
			if err := ctx.Err(); err != nil {
				return removed, bytes, err
			}
			if len(sub) == 2 && keep(e.Name()) {
				continue
			}
			n, err := s.removeOld(filepath.Join(s.dir, sub, e.Name()), before)
			if err != nil {
				return removed, bytes, fmt.Errorf("collect blobs: %w", err)
			}
			if n >= 0 {
				removed++
				bytes += n
			}
		}
	}
	return removed, bytes, nil
}

// removeOld removes a file last touched before a time and returns its size; -1 when it stays.
func (s *Store) removeOld(path string, before time.Time) (int64, error) {
	s.gc.Lock()
	defer s.gc.Unlock()
	fi, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return -1, nil
	}
	if err != nil {
		return -1, err
	}
	if fi.ModTime().After(before) {
		return -1, nil
	}
	return fi.Size(), os.Remove(path)
}

// explain adds what to do to errors that a user can mend.
func explain(err error) error {
	switch {
	case errors.Is(err, syscall.ENOSPC):
		return fmt.Errorf("%w: free some space, nothing was stored", err)
	case errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("%w: the user's quota is used up, nothing was stored", err)
	}
	return err
}
