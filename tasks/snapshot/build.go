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
	"path/filepath"
	"runtime"
	"sync"
)

// Errors of Build that callers decide on.
var (
	// ErrTooLarge is returned for a tree of more bytes than allowed.
	ErrTooLarge = errors.New("too much to send")
	// ErrChanged is returned for a file that changes while it is read.
	ErrChanged = errors.New("file changed while it was read")
	// ErrSpecial is returned for a device or a named pipe.
	ErrSpecial = errors.New("neither a file, a directory nor a link")
)

// BuildOptions say what Build takes; the zero value takes everything.
type BuildOptions struct {
	// Ignore leaves out a path (relative, with slashes) and, for a directory, everything below. nil = nothing is left out.
	// It is not asked about a root that is a single file.
	Ignore func(rel string, dir bool) bool
	// MaxBytes is the most that all files together may have; 0 = no limit.
	MaxBytes int64
	// Cache spares files that have not changed from being read again; nil = none.
	Cache *Cache
	// Escaping is told of links that point out of the root: they are sent as they are, and dangle on a node unless it
	// has such a file. nil = nobody.
	Escaping func(rel, target string)
}

// job is a file to hash.
type job struct {
	index int // in the manifest
	path  string
	info  fs.FileInfo
}

// Build describes the tree below root, or the single file that root is (one entry, its base name). A root that is a link
// is followed; links below are described as links, with absolute targets inside the root made relative. Sockets are left
// out. An error names the path it is about.
func Build(ctx context.Context, root string, o BuildOptions) (*Manifest, error) {
	abs, err := filepath.Abs(root)
	if err != nil {
		return nil, fmt.Errorf("snapshot %s: %w", root, err)
	}
	fi, err := os.Stat(abs)
	if err != nil {
		return nil, fmt.Errorf("snapshot: %w", err)
	}
	real, err := filepath.EvalSymlinks(abs)
	if err != nil {
		return nil, fmt.Errorf("snapshot: %w", err)
	}
	b := &builder{o: o, root: real, roots: []string{real, abs}, m: &Manifest{}}
	switch {
	case fi.IsDir():
		err = filepath.WalkDir(real, func(p string, d fs.DirEntry, err error) error {
			if err == nil {
				err = ctx.Err()
			}
			if err != nil {
				return err
			}
			return b.visit(p, d)
		})
	case fi.Mode().IsRegular():
		err = b.file(real, filepath.Base(abs), fi)
	default:
		err = fmt.Errorf("%s: %w", root, ErrSpecial)
	}
	if err != nil {
		return nil, fmt.Errorf("snapshot: %w", err)
	}
	if err := b.hash(ctx); err != nil {
		return nil, fmt.Errorf("snapshot: %w", err)
	}
	sortEntries(b.m.Entries)
	return b.m, nil
}

type builder struct {
	o     BuildOptions
	root  string
	roots []string // names of the root in absolute link targets
	m     *Manifest
	jobs  []job
	bytes int64
}

func (b *builder) visit(p string, d fs.DirEntry) error {
	if p == b.root {
		return nil
	}
	rel, err := filepath.Rel(b.root, p)
	if err != nil {
		return err
	}
	rel = filepath.ToSlash(rel)
	if b.o.Ignore != nil && b.o.Ignore(rel, d.IsDir()) {
		if d.IsDir() {
			return filepath.SkipDir
		}
		return nil
	}
	fi, err := d.Info()
	if errors.Is(err, fs.ErrNotExist) {
		return nil // gone since the directory was read
	}
	if err != nil {
		return err
	}
	switch fi.Mode().Type() {
	case fs.ModeDir:
		b.m.Entries = append(b.m.Entries, Entry{Path: rel, Mode: fs.ModeDir | fi.Mode().Perm()})
		return nil
	case fs.ModeSymlink:
		return b.link(p, rel)
	case fs.ModeSocket:
		return nil
	case 0:
		return b.file(p, rel, fi)
	}
	return fmt.Errorf("%s: %w: remove it, or list it in .skyignore", p, ErrSpecial)
}

func (b *builder) link(p, rel string) error {
	target, err := os.Readlink(p)
	if err != nil {
		return err
	}
	if filepath.IsAbs(target) {
		for _, r := range b.roots {
			if in, err := filepath.Rel(r, filepath.Clean(target)); err == nil && filepath.IsLocal(in) {
				if short, err := filepath.Rel(filepath.Dir(p), filepath.Join(b.root, in)); err == nil {
					target = short
					break
				}
			}
		}
	}
	if b.o.Escaping != nil && (filepath.IsAbs(target) || !filepath.IsLocal(filepath.Join(filepath.Dir(filepath.FromSlash(rel)), target))) {
		b.o.Escaping(rel, target)
	}
	// The permissions of a link mean nothing and differ between systems.
	b.m.Entries = append(b.m.Entries, Entry{Path: rel, Mode: fs.ModeSymlink | 0o777, Link: filepath.ToSlash(target)})
	return nil
}

func (b *builder) file(p, rel string, fi fs.FileInfo) error {
	b.bytes += fi.Size()
	if b.o.MaxBytes > 0 && b.bytes > b.o.MaxBytes {
		return fmt.Errorf("%w: %s has more than %d MiB; leave files out with .skyignore, or put them in a bucket and mount that",
			ErrTooLarge, b.root, b.o.MaxBytes>>20)
	}
	b.jobs = append(b.jobs, job{len(b.m.Entries), p, fi})
	b.m.Entries = append(b.m.Entries, Entry{Path: rel, Mode: fi.Mode().Perm(), Size: fi.Size()})
	return nil
}

// hash fills in the digests, several files at a time.
func (b *builder) hash(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	todo := make(chan job)
	var wg sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0)*2, len(b.jobs)) {
		wg.Go(func() {
			buf := make([]byte, 128<<10)
			for j := range todo {
				e := &b.m.Entries[j.index]
				sum, fi, err := b.sum(ctx, j, buf)
				if err != nil {
					cancel(err)
					continue
				}
				e.SHA256, e.Size, e.Mode = sum, fi.Size(), fi.Mode().Perm()
			}
		})
	}
	for _, j := range b.jobs {
		if ctx.Err() != nil {
			break
		}
		todo <- j
	}
	close(todo)
	wg.Wait()
	return context.Cause(ctx)
}

func (b *builder) sum(ctx context.Context, j job, buf []byte) (string, fs.FileInfo, error) {
	if sum, ok := b.o.Cache.get(j.path, j.info); ok {
		return sum, j.info, nil
	}
	for try := 0; ; try++ {
		sum, fi, err := hashFile(ctx, j.path, buf)
		if errors.Is(err, ErrChanged) && try == 0 {
			continue
		}
		if err == nil {
			b.o.Cache.put(j.path, fi, sum)
		}
		return sum, fi, err
	}
}

// hashFile reads a file whole and checks that it stayed the same meanwhile.
func hashFile(ctx context.Context, path string, buf []byte) (string, fs.FileInfo, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", nil, err
	}
	defer func() { _ = f.Close() }()
	before, err := f.Stat()
	if err != nil {
		return "", nil, err
	}
	if !before.Mode().IsRegular() {
		return "", nil, fmt.Errorf("%s: %w", path, ErrChanged)
	}
	h := sha256.New()
	n, err := io.CopyBuffer(onlyWriter{h}, &ctxReader{ctx, f}, buf)
	if err != nil {
		return "", nil, err
	}
	after, err := f.Stat()
	if err != nil {
		return "", nil, err
	}
	if n != before.Size() || after.Size() != before.Size() || !after.ModTime().Equal(before.ModTime()) {
		return "", nil, fmt.Errorf("%s: %w: try again when nothing writes to it, or list it in .skyignore", path, ErrChanged)
	}
	return hex.EncodeToString(h.Sum(nil)), after, nil
}

// onlyWriter hides ReadFrom, so that io.CopyBuffer uses its buffer.
type onlyWriter struct{ io.Writer }

// ctxReader ends with its context.
type ctxReader struct {
	ctx context.Context
	r   io.Reader
}

func (c *ctxReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}
