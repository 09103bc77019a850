package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	controlv1 "aloft/proto/sky/control/v1"
	statev1 "aloft/proto/sky/state/v1"
	"aloft/tasks"
	"aloft/tasks/snapshot"
	"aloft/tasks/snapshot/ignore"
)

// resultsDir is where files of jobs come back to, in the current directory. It never travels with a workdir.
const resultsDir = "sky_results"

// localTree is a snapshot of local files and where its bytes are.
type localTree struct {
	root     string
	manifest *snapshot.Manifest
}

// snapshotFiles takes the workdir and the local file mounts as they are now and notes them in spec.
func (a *app) snapshotFiles(ctx context.Context, t *tasks.Task, spec *statev1.TaskSpec) ([]localTree, error) {
	var trees []localTree
	cachePath := filepath.Join(a.home, "cache", "snapshot")
	if err := os.MkdirAll(filepath.Dir(cachePath), 0o700); err != nil {
		return nil, &exitError{code: exitConfig, err: fmt.Errorf("make the cache directory: %w", err)}
	}
	cache := snapshot.OpenCache(cachePath)
	take := func(field, src, dst string) (*statev1.FileTree, error) {
		root, err := a.expand(src)
		if err != nil {
			return nil, err
		}
		st, err := os.Stat(root)
		if err != nil {
			return nil, configError(t, field, fmt.Sprintf("%q: %v", src, pathErr(err)))
		}
		var ig func(string, bool) bool
		if st.IsDir() {
			m, err := ignore.New(ctx, root)
			if err != nil {
				return nil, configError(t, field, fmt.Sprintf("%q: %v", src, err))
			}
			for _, w := range m.Warnings() {
				a.note("warning: %s", w)
			}
			ig = func(rel string, dir bool) bool {
				return rel == resultsDir || strings.HasPrefix(rel, resultsDir+"/") || m.Match(rel, dir)
			}
		}
		a.spin("Hashing %s ...", src)
		m, err := snapshot.Build(ctx, root, snapshot.BuildOptions{Ignore: ig, Cache: cache})
		if err != nil {
			if ctx.Err() != nil {
				return nil, &exitError{code: exitInterrupted, err: errors.New("interrupted")}
			}
			return nil, configError(t, field, fmt.Sprintf("%q: %v", src, err))
		}
		trees = append(trees, localTree{root: root, manifest: m})
		return &statev1.FileTree{Destination: dst, Manifest: m.Digest(), SingleFile: !st.IsDir(), Bytes: uint64(m.Bytes()), Files: uint64(len(m.Entries))}, nil
	}
	defer a.endSpin()
	if t.Workdir.Path != "" {
		w, err := take("workdir", t.Workdir.Path, "~/sky_workdir")
		if err != nil {
			return nil, err
		}
		spec.Workdir = w
		spec.GitCommit = gitCommit(ctx, t.Workdir.Path)
	}
	for _, fm := range t.FileMounts {
		if strings.Contains(fm.Src, "://") {
			return nil, configError(t, "file_mounts", fmt.Sprintf("%q: only local sources can be mounted here; buckets need a cloud", fm.Src))
		}
		ft, err := take("file_mounts", fm.Src, fm.Dst)
		if err != nil {
			return nil, err
		}
		spec.Mounts = append(spec.Mounts, ft)
	}
	if err := cache.Save(); err != nil {
		a.note("warning: the hash cache could not be saved: %v", err)
	}
	return trees, nil
}

// expand makes a path absolute, with ~ for the user's home.
func (a *app) expand(p string) (string, error) {
	if p == "~" || strings.HasPrefix(p, "~/") {
		h, err := os.UserHomeDir()
		if err != nil {
			return "", fmt.Errorf("find the home directory: %w", err)
		}
		p = filepath.Join(h, strings.TrimPrefix(p, "~"))
	}
	abs, err := filepath.Abs(p)
	if err != nil {
		return "", fmt.Errorf("make %q absolute: %w", p, err)
	}
	return abs, nil
}

// gitCommit is the commit a directory stands at, "" when it is no checkout; a dirty tree is marked.
func gitCommit(ctx context.Context, dir string) string {
	out, err := exec.CommandContext(ctx, "git", "-C", dir, "rev-parse", "HEAD").Output()
	if err != nil {
		return ""
	}
	c := strings.TrimSpace(string(out))
	if st, err := exec.CommandContext(ctx, "git", "-C", dir, "status", "--porcelain", "--untracked-files=no").Output(); err == nil && len(strings.TrimSpace(string(st))) > 0 {
		c += "-dirty"
	}
	return c
}

// upload sends what the controller lacks of the trees, again to the next one when the controller dies meanwhile.
func (a *app) upload(ctx context.Context, c *client, trees []localTree) (int64, error) {
	sent, err := again(ctx, a, c, func() (int64, error) { return a.uploadOnce(ctx, c, trees) })
	return sent, rpcError("send files", err)
}

// uploadOnce sends manifests and file contents, each once.
func (a *app) uploadOnce(ctx context.Context, c *client, trees []localTree) (int64, error) {
	if len(trees) == 0 {
		return 0, nil
	}
	open := map[string]func() (io.ReadCloser, error){}
	var refs []*controlv1.BlobRef
	add := func(digest string, size int64, f func() (io.ReadCloser, error)) {
		if _, ok := open[digest]; !ok {
			open[digest] = f
			refs = append(refs, &controlv1.BlobRef{Sha256: digest, Bytes: uint64(size)})
		}
	}
	for _, t := range trees {
		enc := t.manifest.Encode()
		add(t.manifest.Digest(), int64(len(enc)), func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(string(enc))), nil })
		for _, e := range t.manifest.Entries {
			if e.SHA256 != "" {
				add(e.SHA256, e.Size, func() (io.ReadCloser, error) { return snapshot.OpenEntry(t.root, t.manifest, e) })
			}
		}
	}
	uctx, cancel := context.WithCancel(ctx)
	defer cancel()
	st, err := c.PutBlobs(uctx)
	if err != nil {
		return 0, err
	}
	var sent int64
	const batch = 4096
	for len(refs) > 0 {
		n := min(batch, len(refs))
		if err := st.Send(&controlv1.PutBlobsRequest{Part: &controlv1.PutBlobsRequest_Have{Have: &controlv1.BlobList{Blobs: refs[:n]}}}); err != nil {
			return sent, uploadError(st, err)
		}
		refs = refs[n:]
		resp, err := st.Recv()
		if err != nil {
			return sent, err
		}
		need := resp.GetNeed().GetBlobs()
		for _, b := range need {
			if err := sendBlob(st, b.GetSha256(), open[b.GetSha256()], func(n int64) {
				sent += n
				a.spin("Sending files: %s", bytesText(sent))
			}); err != nil {
				return sent, err
			}
		}
		if len(need) > 0 {
			if _, err := st.Recv(); err != nil {
				return sent, err
			}
		}
	}
	if err := st.CloseSend(); err != nil {
		return sent, err
	}
	a.endSpin()
	return sent, nil
}

type blobSender interface {
	Send(*controlv1.PutBlobsRequest) error
	Recv() (*controlv1.PutBlobsResponse, error)
}

// uploadError prefers the server's word over "EOF".
func uploadError(st blobSender, err error) error {
	if errors.Is(err, io.EOF) {
		if _, rerr := st.Recv(); rerr != nil {
			err = rerr
		}
	}
	return err
}

// sendBlob streams one file, verified by the receiver against its digest.
func sendBlob(st blobSender, digest string, open func() (io.ReadCloser, error), progress func(int64)) error {
	if open == nil {
		return fmt.Errorf("send files: the controller asked for %s, which was not offered", digest)
	}
	r, err := open()
	if err != nil {
		return &exitError{code: exitConfig, err: fmt.Errorf("send files: %w", err)}
	}
	defer r.Close()
	buf := make([]byte, 512<<10)
	for {
		n, err := io.ReadFull(r, buf)
		last := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
		if err != nil && !last {
			return &exitError{code: exitConfig, err: fmt.Errorf("send files: %w", err)}
		}
		part := &controlv1.BlobPart{Sha256: digest, Data: buf[:n], Last: last}
		if err := st.Send(&controlv1.PutBlobsRequest{Part: &controlv1.PutBlobsRequest_Data{Data: part}}); err != nil {
			return uploadError(st, err)
		}
		progress(int64(n))
		if last {
			return nil
		}
	}
}

// bytesText is a size for people.
func bytesText(n int64) string {
	switch {
	case n < 1<<10:
		return fmt.Sprintf("%d B", n)
	case n < 1<<20:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	case n < 1<<30:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%.2f GiB", float64(n)/(1<<30))
}

// fetchBlob writes a blob to a local file, whole or not at all.
func (a *app) fetchBlob(ctx context.Context, c *client, digest, path string, mode os.FileMode) error {
	st, err := c.GetBlob(ctx, &controlv1.GetBlobRequest{Sha256: digest})
	if err != nil {
		return rpcError("fetch a result", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("make the results directory: %w", err)
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".sky-*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer os.Remove(tmp.Name())
	defer tmp.Close()
	for {
		d, err := st.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return rpcError("fetch a result", err)
		}
		if _, err := tmp.Write(d.GetData()); err != nil {
			return fmt.Errorf("write %s: %w", path, err)
		}
	}
	if mode == 0 {
		mode = 0o644
	}
	if err := tmp.Chmod(mode.Perm()); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := tmp.Close(); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.Rename(tmp.Name(), path); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}
