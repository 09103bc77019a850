package shim

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
)

// Adopt finds what an earlier agent left: living shims with their children, and verdicts that were not forgotten. Ranks
// whose shim is dead without a verdict are killed and come back as lost. Call it once, before Start.
func (k *Keeper) Adopt(ctx context.Context) ([]*Process, error) {
	if err := k.open(); err != nil {
		return nil, err
	}
	paths, err := filepath.Glob(filepath.Join(escapeGlob(k.place.dir), "*"+runSuffix))
	if err != nil {
		return nil, fmt.Errorf("adopt shims: %w", err)
	}
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		found []*Process
		errs  []error
		room  = make(chan struct{}, 16)
	)
	for _, path := range paths {
		if err := ctx.Err(); err != nil {
			errs = append(errs, err)
			break
		}
		room <- struct{}{}
		wg.Go(func() {
			defer func() { <-room }()
			ps, err := k.adoptOne(strings.TrimSuffix(filepath.Base(path), runSuffix))
			mu.Lock()
			defer mu.Unlock()
			found = append(found, ps...)
			if err != nil {
				errs = append(errs, err)
			}
		})
	}
	wg.Wait()
	go k.warm()
	return found, errors.Join(errs...)
}

// escapeGlob makes a path match itself.
func escapeGlob(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}

func (k *Keeper) adoptOne(name string) ([]*Process, error) {
	runs, err := os.OpenFile(k.place.runPath(name), os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("adopt shim %s: %w", name, err)
	}
	h := newHandle(k, name, runs)
	hello, err := h.connect()
	alive := err == nil
	// Read after the shim has answered, or is known to be dead: what it wrote before is seen.
	var found []*Process
	k.mu.Lock()
	h.dead = !alive
	k.handles[h] = true
	k.mu.Unlock()
	for _, st := range readSlots(runs) {
		p := newProcess(k, st.ID, 0)
		p.h = h
		isCur := alive && hello.Running != nil && hello.Running.ID == st.ID
		switch {
		case st.Verdict != nil && !isCur:
			p.finish(st)
		case isCur:
			p.up(*hello.Running)
		default:
			p.finish(k.lose(runs, st, "the process that kept it died while no agent ran"))
		}
		k.mu.Lock()
		h.used[st.Slot] = st.ID
		if isCur {
			h.cur, h.again = p, make(chan struct{})
		}
		k.procs[st.ID] = p
		k.mu.Unlock()
		found = append(found, p)
	}
	if !alive {
		k.sweep(h)
		return found, nil
	}
	if hello.Running == nil {
		k.retire(h) // idle; it was about to end anyway
	}
	go h.listen()
	return found, nil
}

func (h *handle) wire() *wire {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.w
}

func (h *handle) shimPID() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.pid
}

func (p *Process) err() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.failed
}

// isBroken says whether the other end is gone, as opposed to a message that cannot be sent.
func isBroken(err error) bool {
	return errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, syscall.ENOTCONN)
}
