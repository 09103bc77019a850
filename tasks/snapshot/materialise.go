package snapshot

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
)

// Fetch opens the contents with a digest and size.
type Fetch = func(ctx context.Context, digest string, size int64) (io.ReadCloser, error)

// fetchers is how many files are laid out at a time.
const fetchers = 8

// Materialise lays the tree out as the directory dst, which must not exist or be empty (else fs.ErrExist). Either the
// whole tree is there afterwards, or nothing. Contents are copied and checked: the files are the job's own to change.
func Materialise(ctx context.Context, m *Manifest, fetch Fetch, dst string) error {
	if err := m.Validate(); err != nil {
		return err
	}
	parent := filepath.Dir(dst)
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return fmt.Errorf("lay out %s: %w", dst, err)
	}
	tmp, err := os.MkdirTemp(parent, "."+filepath.Base(dst)+".tmp-*")
	if err != nil {
		return fmt.Errorf("lay out %s: %w", dst, explain(err))
	}
	if err = layIn(ctx, m, fetch, tmp, false); err == nil {
		err = os.Chmod(tmp, 0o755)
	}
	if err == nil {
		if rerr := os.Remove(dst); rerr != nil && !errors.Is(rerr, fs.ErrNotExist) {
			err = fmt.Errorf("%w: not an empty directory", fs.ErrExist)
		}
	}
	if err == nil {
		err = os.Rename(tmp, dst)
	}
	if err != nil {
		removeTree(tmp)
		return fmt.Errorf("lay out %s: %w", dst, explain(err))
	}
	return nil
}

// Merge lays the tree out inside the directory dst, beside what is there; files and links of the same path are replaced,
// each in one step. After an error part of the tree may be there, but no half-written file.
func Merge(ctx context.Context, m *Manifest, fetch Fetch, dst string) error {
	if err := m.Validate(); err != nil {
		return err
	}
	err := os.MkdirAll(dst, 0o755)
	if err == nil {
		err = layIn(ctx, m, fetch, dst, true)
	}
	if err != nil {
		return fmt.Errorf("lay out in %s: %w", dst, explain(err))
	}
	return nil
}

// MaterialiseFile lays the only file of the tree out as the file dst, replacing one in one step.
func MaterialiseFile(ctx context.Context, m *Manifest, fetch Fetch, dst string) error {
	if err := m.Validate(); err != nil {
		return err
	}
	if len(m.Entries) != 1 || !m.Entries[0].Mode.IsRegular() {
		return fmt.Errorf("%w: not a single file", ErrInvalid)
	}
	e := m.Entries[0]
	e.Path = filepath.Base(dst)
	one := &Manifest{Entries: []Entry{e}}
	if err := one.Validate(); err != nil {
		return err
	}
	return Merge(ctx, one, fetch, filepath.Dir(dst))
}

// removeTree removes a tree whose directories may forbid it.
func removeTree(dir string) {
	_ = filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			_ = os.Chmod(p, 0o700)
		}
		return nil
	})
	_ = os.RemoveAll(dir)
}

func layIn(ctx context.Context, m *Manifest, fetch Fetch, dir string, merge bool) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	l := &layer{root: root, fetch: fetch, merge: merge}
	err = l.all(ctx, m)
	if cerr := root.Close(); err == nil {
		err = cerr
	}
	return err
}

// layer lays entries out below a root that nothing leaves, whatever links lie in the way.
type layer struct {
	root  *os.Root
	fetch Fetch
	merge bool
	temps atomic.Int64
}

func (l *layer) all(ctx context.Context, m *Manifest) error {
	for i := range m.Entries {
		if e := &m.Entries[i]; e.Mode.IsDir() {
			if err := l.mkdir(e); err != nil {
				return err
			}
		}
	}
	if err := l.files(ctx, m); err != nil {
		return err
	}
	// Permissions of directories come last, deepest first: they may forbid what had to be done below.
	for i := len(m.Entries) - 1; i >= 0; i-- {
		switch e := &m.Entries[i]; e.Mode.Type() {
		case fs.ModeSymlink:
			if err := l.place(e.Path, func(name string) error { return l.root.Symlink(filepath.FromSlash(e.Link), name) }); err != nil {
				return err
			}
		case fs.ModeDir:
			if err := l.root.Chmod(e.Path, e.Mode.Perm()); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l *layer) mkdir(e *Entry) error {
	err := l.root.Mkdir(e.Path, 0o700)
	if !l.merge || !errors.Is(err, fs.ErrExist) {
		return err
	}
	if fi, err := l.root.Stat(e.Path); err == nil && fi.IsDir() {
		return l.root.Chmod(e.Path, fi.Mode().Perm()|0o700)
	}
	// A file or a dangling link is in the way of a directory: the tree wins.
	if err := l.root.Remove(e.Path); err != nil {
		return err
	}
	return l.root.Mkdir(e.Path, 0o700)
}

// place makes name by make; when merging, under a temporary name that then replaces what is there.
func (l *layer) place(name string, make func(name string) error) error {
	if !l.merge {
		return make(name)
	}
	tmp := path.Join(path.Dir(name), ".sky-tmp-"+strconv.Itoa(os.Getpid())+"-"+strconv.FormatInt(l.temps.Add(1), 10))
	err := make(tmp)
	if err == nil {
		err = l.root.Rename(tmp, name)
	}
	if err != nil {
		_ = l.root.Remove(tmp)
	}
	return err
}

func (l *layer) files(ctx context.Context, m *Manifest) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	todo := make(chan *Entry)
	var wg sync.WaitGroup
	for range min(fetchers, len(m.Entries)) {
		wg.Go(func() {
			buf := make([]byte, 128<<10)
			for e := range todo {
				if ctx.Err() != nil {
					continue
				}
				if err := l.place(e.Path, func(name string) error { return l.file(ctx, e, name, buf) }); err != nil {
					cancel(fmt.Errorf("%s: %w", e.Path, err))
				}
			}
		})
	}
	for i := range m.Entries {
		if e := &m.Entries[i]; e.Mode.IsRegular() {
			todo <- e
		}
	}
	close(todo)
	wg.Wait()
	return context.Cause(ctx)
}

// file writes the contents of an entry to a new file.
func (l *layer) file(ctx context.Context, e *Entry, name string, buf []byte) (err error) {
	src, err := l.fetch(ctx, e.SHA256, e.Size)
	if err != nil {
		return fmt.Errorf("fetch: %w", err)
	}
	defer func() { _ = src.Close() }()
	f, err := l.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if cerr := f.Close(); err == nil {
			err = cerr
		}
	}()
	h := sha256.New()
	// One byte more than wanted shows contents that are too long.
	n, err := io.CopyBuffer(onlyWriter{io.MultiWriter(f, h)}, &ctxReader{ctx, io.LimitReader(src, e.Size+1)}, buf)
	if err != nil {
		return err
	}
	if got := hex.EncodeToString(h.Sum(nil)); n != e.Size || got != e.SHA256 {
		return fmt.Errorf("%w: got %d bytes with digest %s, want %d with %s", ErrContents, n, got, e.Size, e.SHA256)
	}
	return f.Chmod(e.Mode.Perm())
}

// ErrContents is returned when what was fetched is not what the manifest names.
var ErrContents = errors.New("fetched contents are not those of the manifest")

// explain adds what to do to errors that a user can mend.
func explain(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("%w: ask for a larger disk_size, or free some space", err)
	}
	return err
}
