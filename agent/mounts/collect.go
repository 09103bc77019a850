package mounts

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"aloft/agent/supervise"
	agentv1 "aloft/proto/sky/agent/v1"
	statev1 "aloft/proto/sky/state/v1"
)

// Kinds of stored files.
const (
	kindArtifact = "artifact"
	kindReport   = "report"
	kindMetrics  = "metrics"
)

// ErrRefused means that an artifact is nothing that may be sent: outside of the working directory, or no plain file.
var ErrRefused = errors.New("refused")

// Collect copies artifacts, reports and metrics to where they are sent from and says which they are. What can be had is
// had: the error, if any, tells of the rest.
func (m *Mounts) Collect(ctx context.Context, c supervise.Collection) ([]*statev1.StoredFile, error) {
	b := m.results.batch(c.Assignment.GetJobId(), c.Assignment.GetAttempt())
	var errs []error
	for _, a := range c.Assignment.GetTask().GetArtifacts() {
		errs = append(errs, collectGlob(ctx, b, c.Workdir, a.GetPath()))
	}
	if c.Reports != "" {
		errs = append(errs, collectTree(ctx, b, c.Reports, ".", supervise.ReportsPrefix, kindReport))
	}
	if c.Metrics != "" {
		if _, err := os.Stat(c.Metrics); err == nil {
			errs = append(errs, collectTree(ctx, b, filepath.Dir(c.Metrics), filepath.Base(c.Metrics), "", kindMetrics))
		}
	}
	files, err := b.commit()
	return files, errors.Join(append(errs, err)...)
}

// collectGlob takes what a pattern means in the working directory: files, and directories with all that is in them.
func collectGlob(ctx context.Context, b *batch, workdir, pattern string) error {
	clean := strings.TrimPrefix(filepath.ToSlash(pattern), "./")
	if clean == "" || path.IsAbs(clean) || !fs.ValidPath(path.Clean(clean)) {
		return fmt.Errorf("artifact %q: only paths in the working directory: %w", pattern, ErrRefused)
	}
	root, err := os.OpenRoot(workdir)
	if err != nil {
		return fmt.Errorf("artifact %q: %w", pattern, err)
	}
	defer func() { _ = root.Close() }()
	names, err := match(root, path.Clean(clean))
	if err != nil {
		return fmt.Errorf("artifact %q: %w", pattern, err)
	}
	if len(names) == 0 {
		return fmt.Errorf("artifact %q: %w", pattern, supervise.ErrNoArtifact)
	}
	var errs []error
	for _, name := range names {
		errs = append(errs, walk(ctx, b, root, name, "", kindArtifact))
	}
	return errors.Join(errs...)
}

// match finds what a pattern means. A plain name means itself, also when it is a link that leads nowhere good.
func match(root *os.Root, pattern string) ([]string, error) {
	if strings.ContainsAny(pattern, `*?[\`) {
		return fs.Glob(root.FS(), pattern)
	}
	if _, err := root.Lstat(pattern); errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	return []string{pattern}, nil
}

// collectTree takes everything below name in dir, under prefix.
func collectTree(ctx context.Context, b *batch, dir, name, prefix, kind string) error {
	root, err := os.OpenRoot(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("collect %s: %w", dir, err)
	}
	defer func() { _ = root.Close() }()
	return walk(ctx, b, root, name, prefix, kind)
}

// walk takes a file, or a directory with what is in it. Links are followed as long as they stay inside; links to
// directories inside a directory are not, for what they mean is there anyway.
func walk(ctx context.Context, b *batch, root *os.Root, name, prefix, kind string) error {
	info, err := root.Stat(name)
	if err != nil {
		return refuse(name, err)
	}
	if !info.IsDir() {
		return take(b, root, name, prefix, kind, info)
	}
	var errs []error
	err = fs.WalkDir(root.FS(), name, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			errs = append(errs, refuse(p, err))
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if d.IsDir() {
			return nil
		}
		info, err := root.Stat(p)
		switch {
		case err != nil:
			errs = append(errs, refuse(p, err))
		case !info.IsDir():
			errs = append(errs, take(b, root, p, prefix, kind, info))
		}
		return nil
	})
	return errors.Join(append(errs, err)...)
}

func take(b *batch, root *os.Root, name, prefix, kind string, info fs.FileInfo) error {
	if !info.Mode().IsRegular() {
		return fmt.Errorf("artifact %q is %s: %w", name, what(info.Mode()), ErrRefused)
	}
	f, err := root.Open(name)
	if err != nil {
		return refuse(name, err)
	}
	defer func() { _ = f.Close() }()
	return b.add(f, &statev1.StoredFile{Name: path.Join(prefix, name), Mode: uint32(info.Mode().Perm()), Kind: kind})
}

// refuse says why a name cannot be had; leaving the directory is refused by the operating system call itself.
func refuse(name string, err error) error {
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, os.ErrPermission) {
		return fmt.Errorf("artifact %q: %w", name, err)
	}
	return fmt.Errorf("artifact %q leads out of the working directory or cannot be read: %w: %w", name, err, ErrRefused)
}

func what(m fs.FileMode) string {
	switch {
	case m&fs.ModeNamedPipe != 0:
		return "a pipe"
	case m&fs.ModeSocket != 0:
		return "a socket"
	case m&fs.ModeDevice != 0:
		return "a device"
	}
	return "no plain file"
}

var _ supervise.Files = (*Mounts)(nil)

func key(jobID string, attempt int32) string { return supervise.Key(jobID, attempt) }

// header is the first part of a result.
func header(jobID string, attempt int32, f *statev1.StoredFile) *agentv1.ResultPart {
	return &agentv1.ResultPart{JobId: jobID, Attempt: attempt, File: f}
}
