// Package mounts lays out what a rank works on (its working directory, file mounts, a git checkout) and brings back what
// it leaves (artifacts, reports, metrics).
//
// Blobs are kept on the node under their digest and fetched as soon as an assignment is accepted, so that the job can
// start without the controller. Results are copied to the agent's own disk before a job's verdict is told, and stay there
// until the controller has them.
//
// The working directory of an attempt with a snapshot is its own (<state>/jobs/<number>-<attempt>/workdir), and
// ~/sky_workdir is a link to the newest one. A task that brings none works where that link points, as with SkyPilot.
package mounts

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	agentv1 "aloft/proto/sky/agent/v1"
	statev1 "aloft/proto/sky/state/v1"
)

// WorkdirLink is what users call the working directory, under their home.
const WorkdirLink = "sky_workdir"

const (
	workdirName  = "workdir"
	preparedMark = "prepared"
	// keepWorkdirs is how many working directories of finished jobs stay, the newest ones.
	keepWorkdirs = 16
)

// Options say where things lie.
type Options struct {
	StateDir string
	Home     string
	Log      *slog.Logger
}

// Mounts is safe for concurrent use.
type Mounts struct {
	o       Options
	cache   *cache
	results *results
	want    *gateway

	link sync.Mutex // held while ~/sky_workdir is changed
	old  sync.Mutex // held while old working directories are removed
}

// Open finds what an earlier life of the agent kept.
func Open(o Options) (*Mounts, error) {
	gw := newGateway()
	c, err := openCache(filepath.Join(o.StateDir, "blobs"), gw, o.Log)
	if err != nil {
		return nil, err
	}
	r, err := openResults(filepath.Join(o.StateDir, "results"), gw, o.Log)
	if err != nil {
		return nil, err
	}
	return &Mounts{o: o, cache: c, results: r, want: gw}, nil
}

// SetGateway says which controller is there; nil = none.
func (m *Mounts) SetGateway(g agentv1.GatewayClient) { m.want.set(g) }

// Keep says whether results that were sent are kept for another controller, until their job is forgotten.
func (m *Mounts) Keep(keep bool) {
	m.results.mu.Lock()
	defer m.results.mu.Unlock()
	m.results.keep = keep
}

// Again sends what was kept once more: the controller is another one.
func (m *Mounts) Again() {
	m.results.mu.Lock()
	held := m.results.held
	m.results.held = make(map[string]*bundle)
	m.results.mu.Unlock()
	for _, b := range held {
		m.results.put(b)
	}
}

// Left reports whether results are still to be sent, and when some part of any last was.
func (m *Mounts) Left() (bool, time.Time) {
	m.results.mu.Lock()
	defer m.results.mu.Unlock()
	return len(m.results.due) > 0, m.results.sent
}

// Run fetches ahead and sends results until ctx ends.
func (m *Mounts) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	wg.Go(func() { m.cache.run(ctx) })
	wg.Go(func() { m.results.run(ctx) })
	wg.Wait()
	return nil
}

// Fetch gets one blob and returns where it lies.
func (m *Mounts) Fetch(ctx context.Context, digest string) (string, error) {
	return m.cache.fetch(ctx, digest)
}

// Prefetch begins to fetch what an assignment needs. It does not wait.
func (m *Mounts) Prefetch(a *agentv1.Assignment) {
	for _, t := range trees(a.GetTask()) {
		m.cache.ahead(t)
	}
}

func trees(t *statev1.TaskSpec) []*statev1.FileTree {
	var out []*statev1.FileTree
	if t.GetWorkdir() != nil {
		out = append(out, t.GetWorkdir())
	}
	return append(out, t.GetMounts()...)
}

// Prepare lays out everything a rank needs and returns its working directory.
func (m *Mounts) Prepare(ctx context.Context, a *agentv1.Assignment, dir string, secrets map[string]string) (string, error) {
	t := a.GetTask()
	own := filepath.Join(dir, workdirName)
	brings := t.GetWorkdir() != nil || t.GetGit() != nil
	if !brings && len(t.GetMounts()) == 0 {
		return m.shared()
	}
	mark := filepath.Join(dir, preparedMark)
	if b, err := os.ReadFile(mark); err == nil {
		return strings.TrimSpace(string(b)), nil
	}
	workdir := own
	var err error
	switch {
	case t.GetWorkdir() != nil:
		err = m.layOut(ctx, t.GetWorkdir(), own)
	case t.GetGit() != nil:
		err = m.clone(ctx, t.GetGit(), own, secrets)
	default:
		workdir, err = m.shared()
	}
	if err != nil {
		return "", err
	}
	for _, mt := range t.GetMounts() {
		if err := m.mount(ctx, mt, m.destination(mt.GetDestination(), workdir)); err != nil {
			return "", fmt.Errorf("file mount %s: %w", mt.GetDestination(), err)
		}
	}
	if brings {
		if err := m.point(workdir); err != nil {
			// The job has its directory; only the name that people know is not right.
			m.o.Log.Warn("~/"+WorkdirLink, "err", err)
		}
	}
	if err := os.WriteFile(mark, []byte(workdir+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("remember the layout: %w", err)
	}
	return workdir, nil
}

// destination is where a file mount goes.
func (m *Mounts) destination(d, workdir string) string {
	switch {
	case d == "~":
		return m.o.Home
	case strings.HasPrefix(d, "~/"):
		rest := d[2:]
		if rest == WorkdirLink {
			return workdir
		}
		if in, ok := strings.CutPrefix(rest, WorkdirLink+"/"); ok {
			return filepath.Join(workdir, in) // this job's own, not the newest job's
		}
		return filepath.Join(m.o.Home, rest)
	case filepath.IsAbs(d):
		return filepath.Clean(d)
	}
	return filepath.Join(workdir, d)
}

// layOut puts a tree into a new directory, in one step as others see it.
func (m *Mounts) layOut(ctx context.Context, t *statev1.FileTree, dest string) error {
	if err := os.RemoveAll(dest); err != nil {
		return fmt.Errorf("clear %s: %w", dest, err)
	}
	if err := m.cache.layOut(ctx, t, dest); err != nil {
		return fmt.Errorf("working directory: %w", err)
	}
	return nil
}

// mount puts a tree or a single file where the task wants it, over what is there.
func (m *Mounts) mount(ctx context.Context, t *statev1.FileTree, dest string) error {
	if err := os.MkdirAll(filepath.Dir(dest), 0o755); err != nil {
		return err
	}
	return m.cache.layOver(ctx, t, dest)
}

// shared is where tasks without a working directory of their own work.
func (m *Mounts) shared() (string, error) {
	link := filepath.Join(m.o.Home, WorkdirLink)
	if target, err := filepath.EvalSymlinks(link); err == nil {
		return target, nil
	}
	m.link.Lock()
	defer m.link.Unlock()
	dir := filepath.Join(m.o.StateDir, "jobs", "shared", workdirName)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("make the working directory: %w", err)
	}
	if err := m.repoint(dir); err != nil {
		return "", err
	}
	return dir, nil
}

// point makes ~/sky_workdir mean dir.
func (m *Mounts) point(dir string) error {
	m.link.Lock()
	defer m.link.Unlock()
	return m.repoint(dir)
}

func (m *Mounts) repoint(dir string) error {
	link := filepath.Join(m.o.Home, WorkdirLink)
	if info, err := os.Lstat(link); err == nil && info.Mode()&os.ModeSymlink == 0 {
		// Somebody's own directory is left alone. An empty one is what a fresh machine image may bring.
		if err := os.Remove(link); err != nil {
			return fmt.Errorf("%s is not ours to replace: %w", link, err)
		}
	}
	tmp := link + ".aloft"
	if err := os.Remove(tmp); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("point %s: %w", link, err)
	}
	if err := os.Symlink(dir, tmp); err != nil {
		return fmt.Errorf("point %s: %w", link, err)
	}
	if err := os.Rename(tmp, link); err != nil {
		return fmt.Errorf("point %s: %w", link, err)
	}
	return nil
}

// Forget drops what is kept for a job. Working directories stay a while: people look at what a job left there.
func (m *Mounts) Forget(a *agentv1.Assignment, dir string) {
	m.results.forget(a.GetJobId(), a.GetAttempt())
	ents, err := os.ReadDir(dir)
	if err != nil {
		return // it never had one
	}
	kept := false
	for _, e := range ents {
		if e.Name() == workdirName {
			kept = true
			continue
		}
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			m.o.Log.Warn("forget a job", "dir", dir, "err", err)
		}
	}
	if !kept {
		_ = os.Remove(dir) // empty unless something could not be removed
		return
	}
	m.prune()
}
