package blobs

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"os"
	"path/filepath"
	"sync"
)

var errDone = errors.New("blob writer was committed or aborted")

// Writer takes the bytes of one blob. It is not for use by several goroutines; any number of writers may write the same
// blob. End it with Commit or Abort.
type Writer struct {
	s      *Store
	batch  *Batch // nil: stands alone
	digest string
	f      *os.File
	h      hash.Hash
	n      int64
	err    error
}

// Create begins a blob.
func (s *Store) Create(digest string) (*Writer, error) { return s.create(digest, nil) }

func (s *Store) create(digest string, b *Batch) (*Writer, error) {
	if err := checkDigest(digest); err != nil {
		return nil, err
	}
	f, err := s.temp()
	if err != nil {
		return nil, err
	}
	return &Writer{s: s, batch: b, digest: digest, f: f, h: sha256.New()}, nil
}

// Write implements io.Writer. After an error the blob can only be aborted.
func (w *Writer) Write(p []byte) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	n, err := w.f.Write(p)
	w.n += int64(n)
	_, _ = w.h.Write(p[:n]) // a hash never fails
	if err != nil {
		w.err = fmt.Errorf("write blob %s: %w", w.digest, explain(err))
		return n, w.err
	}
	return n, nil
}

// Size is how many bytes were written.
func (w *Writer) Size() int64 { return w.n }

// Commit checks the digest and makes the blob durable and visible; a writer of a batch leaves that to the batch's Commit.
// After an error nothing is left behind.
func (w *Writer) Commit() error {
	if w.f == nil {
		return errDone
	}
	if err := w.check(); err != nil {
		w.Abort()
		return err
	}
	name := w.f.Name()
	if w.batch == nil {
		if err := w.f.Sync(); err != nil {
			w.Abort()
			return fmt.Errorf("store blob %s: %w", w.digest, explain(err))
		}
	}
	err := w.f.Close()
	w.f, w.err = nil, errDone
	if err != nil {
		_ = os.Remove(name)
		return fmt.Errorf("store blob %s: %w", w.digest, explain(err))
	}
	if w.batch != nil {
		w.batch.add(name, w.digest)
		return nil
	}
	if err := w.s.publish(name, w.digest); err != nil {
		_ = os.Remove(name)
		return err
	}
	return syncDir(filepath.Dir(w.s.path(w.digest)))
}

func (w *Writer) check() error {
	if w.err != nil {
		return w.err
	}
	if got := hex.EncodeToString(w.h.Sum(nil)); got != w.digest {
		return fmt.Errorf("%w: want %s, got %s of %d bytes", ErrMismatch, w.digest, got, w.n)
	}
	return nil
}

// Abort drops the blob; after Commit it does nothing.
func (w *Writer) Abort() {
	if w.f == nil {
		return
	}
	_ = w.f.Close()
	_ = os.Remove(w.f.Name())
	w.f, w.err = nil, errDone
}

// Batch stores many blobs with the syncs of one. Writers of a batch may be used by several goroutines, each its own.
type Batch struct {
	s  *Store
	mu sync.Mutex
	l  []pending
}

type pending struct{ tmp, digest string }

// Batch begins a batch. End it with Commit or Abort, after all its writers.
func (s *Store) Batch() *Batch { return &Batch{s: s} }

// Create begins a blob of the batch: its Commit checks the digest, the batch's Commit makes it durable and visible.
func (b *Batch) Create(digest string) (*Writer, error) { return b.s.create(digest, b) }

func (b *Batch) add(tmp, digest string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.l = append(b.l, pending{tmp, digest})
}

// Len is how many blobs wait for Commit.
func (b *Batch) Len() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.l)
}

// fewFiles is up to how many files are synced one by one: syncing the file system also waits for what others wrote.
const fewFiles = 8

// Commit makes the blobs durable, then visible. After an error some may be visible; none of them is half-written. The
// batch is empty afterwards and may be used again.
func (b *Batch) Commit() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	l := b.l
	b.l = nil
	if len(l) == 0 {
		return nil
	}
	dirs := map[string]bool{}
	files := make([]string, len(l))
	for i, p := range l {
		files[i] = p.tmp
		dirs[filepath.Dir(b.s.path(p.digest))] = true
	}
	err := syncFiles(b.s.dir, files)
	if err != nil {
		err = fmt.Errorf("store %d blobs: %w", len(l), explain(err))
	}
	for _, p := range l {
		if err == nil {
			err = b.s.publish(p.tmp, p.digest)
		}
		if err != nil {
			_ = os.Remove(p.tmp)
		}
	}
	if err != nil {
		return err
	}
	names := make([]string, 0, len(dirs))
	for d := range dirs {
		names = append(names, d)
	}
	if err := syncFiles(b.s.dir, names); err != nil {
		return fmt.Errorf("store %d blobs: %w", len(l), explain(err))
	}
	return nil
}

// Abort drops the blobs that were not committed.
func (b *Batch) Abort() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range b.l {
		_ = os.Remove(p.tmp)
	}
	b.l = nil
}

// syncEach syncs files or directories one by one.
func syncEach(paths []string) error {
	for _, p := range paths {
		if err := syncDir(p); err != nil {
			return err
		}
	}
	return nil
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
