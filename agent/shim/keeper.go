package shim

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Options adjust a Keeper.
type Options struct {
	MinIdle  int           // shims kept ready; 0 = 2, < 0 = none
	MaxIdle  int           // shims kept for a while after a burst; 0 = 32
	IdleTime time.Duration // that while; 0 = 10 s
	Log      *slog.Logger  // nil = none
}

// Keeper starts, finds and forgets the processes of one node. Only one agent at a time can keep a directory.
type Keeper struct {
	self string
	dir  string
	o    Options

	opening sync.Mutex // of place
	place   *place

	mu       sync.Mutex
	procs    map[string]*Process
	handles  map[*handle]bool
	idle     []*handle // the last was used last
	spawning int
	trim     *time.Timer
	closed   bool
}

// NewKeeper returns a Keeper whose shims live in dir; self is the path of the sky-agent binary. The directory should be on
// a local disk; it may be long.
func NewKeeper(dir, self string, o Options) *Keeper {
	if o.MinIdle == 0 {
		o.MinIdle = 2
	}
	if o.MaxIdle == 0 {
		o.MaxIdle = 32
	}
	if o.IdleTime == 0 {
		o.IdleTime = 10 * time.Second
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Keeper{self: self, dir: dir, o: o, procs: map[string]*Process{}, handles: map[*handle]bool{}}
}

func (k *Keeper) open() error {
	k.opening.Lock()
	defer k.opening.Unlock()
	if k.isClosed() {
		return ErrClosed
	}
	if k.place != nil {
		return nil
	}
	p, err := openPlace(k.dir)
	if err != nil {
		return err
	}
	k.place = p
	return nil
}

// Start runs a Spec. It returns once the child runs or could not be started (then Wait has the verdict at once); an error
// means that nothing runs and there is no verdict.
func (k *Keeper) Start(ctx context.Context, s Spec) (*Process, error) {
	if err := s.validate(); err != nil {
		return nil, err
	}
	if err := k.open(); err != nil {
		return nil, err
	}
	p := newProcess(k, s.ID, s.Grace)
	k.mu.Lock()
	if k.procs[s.ID] != nil {
		k.mu.Unlock()
		return nil, fmt.Errorf("start %s: %w", s.ID, ErrExists)
	}
	k.procs[s.ID] = p
	k.mu.Unlock()
	if err := k.startOn(ctx, p, s); err != nil {
		k.mu.Lock()
		delete(k.procs, s.ID)
		k.mu.Unlock()
		return nil, fmt.Errorf("start %s: %w", s.ID, err)
	}
	return p, nil
}

// startOn finds a shim that takes the child. One that dies before it took it is replaced.
func (k *Keeper) startOn(ctx context.Context, p *Process, s Spec) error {
	for range 5 {
		h, slot, again, err := k.take(ctx, p)
		if err != nil {
			return err
		}
		if err := h.wire().send(order{Start: &startWork{Spec: s, Slot: slot}}); err != nil && !isBroken(err) {
			k.neverStarted(h)
			k.retire(h)
			return err
		}
		// A broken connection is settled by whoever listens to it.
		select {
		case <-p.begun:
			return p.err()
		case <-again:
		case <-ctx.Done():
			return errors.Join(ctx.Err(), k.takeBack(p, h, again))
		}
	}
	return errors.New("no shim stays alive long enough to take it")
}

// takeBack undoes a start that nobody waits for any more: the shim did not answer, so it goes and the child with it.
func (k *Keeper) takeBack(p *Process, h *handle, again <-chan struct{}) error {
	if err := syscall.Kill(h.shimPID(), syscall.SIGKILL); err != nil {
		return fmt.Errorf("end a shim that does not answer: %w", err)
	}
	select {
	case <-again:
	case <-p.done:
		k.release(p)
	}
	return nil
}

// take returns a shim for p, with a free slot.
func (k *Keeper) take(ctx context.Context, p *Process) (*handle, int, <-chan struct{}, error) {
	k.mu.Lock()
	if n := len(k.idle); n > 0 && !k.closed {
		h := k.idle[n-1]
		k.idle = k.idle[:n-1]
		slot := h.give(p)
		low := len(k.idle)+k.spawning < k.o.MinIdle
		again := h.again
		k.mu.Unlock()
		if low {
			go k.warm()
		}
		return h, slot, again, nil
	}
	k.mu.Unlock()
	return k.spawn(ctx, p)
}

// give makes p the child of h. It happens in one step with taking h, so that a shim that dies meanwhile finds p there and
// gives it back. The keeper's lock is held.
func (h *handle) give(p *Process) int {
	slot := slices.Index(h.used[:], "")
	h.used[slot], h.cur, h.again = p.id, p, make(chan struct{})
	p.mu.Lock()
	p.h = h
	p.mu.Unlock()
	return slot
}

// spawn starts a shim and connects to it, for p or, when that is nil, to be idle.
func (k *Keeper) spawn(ctx context.Context, p *Process) (*handle, int, <-chan struct{}, error) {
	name, runs, cmd, err := k.place.spawn(ctx, k.self)
	if err != nil {
		return nil, 0, nil, err
	}
	go func() { _ = cmd.Wait() }() // how it ended is seen on its socket
	h := newHandle(k, name, runs)
	if _, err := h.connect(); err != nil {
		_ = cmd.Process.Kill() // most likely dead already
		err = fmt.Errorf("shim did not come up (see %s/shims.log): %w", k.dir, err)
		return nil, 0, nil, errors.Join(err, runs.Close(), k.place.remove(name))
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return nil, 0, nil, errors.Join(ErrClosed, h.w.conn.Close(), runs.Close(), k.place.remove(name))
	}
	slot := 0
	if p != nil {
		slot = h.give(p)
	} else {
		k.idle = append(k.idle, h)
	}
	k.handles[h] = true
	go h.listen()
	return h, slot, h.again, nil
}

// warm starts shims until the wanted number is idle.
func (k *Keeper) warm() {
	for {
		k.mu.Lock()
		if k.closed || len(k.idle)+k.spawning >= k.o.MinIdle {
			k.mu.Unlock()
			return
		}
		k.spawning++
		k.mu.Unlock()
		_, _, _, err := k.spawn(context.Background(), nil)
		k.mu.Lock()
		k.spawning--
		k.mu.Unlock()
		if err != nil {
			if !errors.Is(err, ErrClosed) {
				k.o.Log.Warn("no idle shim", "err", err)
			}
			return
		}
	}
}

// ended records a verdict and makes the shim idle, or lets it go.
func (k *Keeper) ended(h *handle, st slotState, last bool) {
	k.mu.Lock()
	p := h.cur
	h.cur = nil
	full := !slices.Contains(h.used[:], "")
	keep := !last && !h.dead && !k.closed && !full && len(k.idle) < k.o.MaxIdle
	if keep {
		k.idle = append(k.idle, h)
		if k.trim == nil && len(k.idle) > k.o.MinIdle {
			k.trim = time.AfterFunc(k.o.IdleTime, k.trimIdle)
		}
	}
	k.mu.Unlock()
	if p != nil {
		p.finish(st)
	}
	if !keep {
		k.retire(h)
	}
}

// trimIdle ends the shims that a burst left, half of them at a time, those used longest ago first.
func (k *Keeper) trimIdle() {
	k.mu.Lock()
	k.trim = nil
	over := len(k.idle) - max(0, k.o.MinIdle)
	var out []*handle
	if over > 0 && !k.closed {
		n := (over + 1) / 2
		out = slices.Clone(k.idle[:n])
		k.idle = slices.Delete(k.idle, 0, n)
		if over > n {
			k.trim = time.AfterFunc(k.o.IdleTime, k.trimIdle)
		}
	}
	k.mu.Unlock()
	for _, h := range out {
		k.retire(h)
	}
}

// retire tells a shim to end; its reader sees it go.
func (k *Keeper) retire(h *handle) {
	_ = h.wire().send(order{Quit: true}) // it is going, or gone already
}

// neverStarted gives a process back to Start: its shim knows nothing of it.
func (k *Keeper) neverStarted(h *handle) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if h.cur == nil {
		return
	}
	if i := slices.Index(h.used[:], h.cur.id); i >= 0 {
		h.used[i] = ""
	}
	h.cur = nil
	close(h.again)
}

// gone records that a shim is dead.
func (k *Keeper) gone(h *handle) {
	k.mu.Lock()
	defer k.mu.Unlock()
	h.dead = true
	if i := slices.Index(k.idle, h); i >= 0 {
		k.idle = slices.Delete(k.idle, i, i+1)
	}
}

// sweep removes what a dead shim left once nothing in it is wanted.
func (k *Keeper) sweep(h *handle) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !h.dead || k.closed || !k.handles[h] {
		return
	}
	for _, id := range h.used {
		if id != "" {
			return
		}
	}
	delete(k.handles, h)
	if err := errors.Join(h.runs.Close(), k.place.remove(h.name)); err != nil {
		k.o.Log.Warn("remove what a shim left", "err", err)
	}
}

// Forget drops the verdict of a process that has ended, once it is safe elsewhere. Forgetting what is not known is fine.
// The log is the spool's and stays.
func (k *Keeper) Forget(id string) error {
	k.mu.Lock()
	p := k.procs[id]
	k.mu.Unlock()
	if p == nil {
		return nil
	}
	select {
	case <-p.done:
	default:
		return fmt.Errorf("forget %s: %w", id, ErrRunning)
	}
	k.release(p)
	return nil
}

func (k *Keeper) release(p *Process) {
	k.mu.Lock()
	delete(k.procs, p.id)
	h := p.h
	if h == nil || k.closed {
		k.mu.Unlock()
		return
	}
	if i := slices.Index(h.used[:], p.id); i >= 0 {
		if err := freeSlot(h.runs, i); err != nil {
			k.o.Log.Warn("forget a verdict", "err", err) // it comes back after a restart and is forgotten again
		}
		h.used[i] = ""
	}
	k.mu.Unlock()
	k.sweep(h)
}

// Get returns a process that is known: started or adopted, and not forgotten.
func (k *Keeper) Get(id string) (*Process, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	p, ok := k.procs[id]
	return p, ok
}

// Close lets go of running shims, which go on and can be adopted, and ends idle ones. Whoever waits gets ErrClosed.
func (k *Keeper) Close() error {
	k.mu.Lock()
	if k.closed {
		k.mu.Unlock()
		return nil
	}
	k.closed = true
	if k.trim != nil {
		k.trim.Stop()
	}
	procs := make([]*Process, 0, len(k.procs))
	for _, p := range k.procs {
		procs = append(procs, p)
	}
	handles := make([]*handle, 0, len(k.handles))
	for h := range k.handles {
		handles = append(handles, h)
	}
	k.mu.Unlock()
	for _, h := range handles {
		if w := h.wire(); w != nil {
			_ = w.conn.Close() // the shim sees its keeper go
		}
	}
	for _, p := range procs {
		p.abandon(ErrClosed)
	}
	for _, h := range handles {
		_ = h.runs.Close() // what is in it is the kernel's already
	}
	k.opening.Lock()
	defer k.opening.Unlock()
	if k.place == nil {
		return nil
	}
	return k.place.close()
}

func (k *Keeper) isClosed() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.closed
}

func (k *Keeper) current(h *handle) *Process {
	k.mu.Lock()
	defer k.mu.Unlock()
	return h.cur
}

func (s Spec) validate() error {
	switch {
	case s.ID == "" || len(s.ID) > 300 || strings.ContainsRune(s.ID, 0):
		return fmt.Errorf("process id %q: 1 to 300 bytes without NUL wanted", s.ID)
	case s.SpoolDir == "":
		return fmt.Errorf("start %s: no spool directory", s.ID)
	}
	for _, v := range append(slices.Clone(s.Argv), s.Env...) {
		if strings.ContainsRune(v, 0) {
			return fmt.Errorf("start %s: an argument or variable holds a NUL byte", s.ID)
		}
	}
	_, err := encodeSlot(slotState{ID: s.ID, Stream: s.Stream, SpoolDir: s.SpoolDir, Boot: strings.Repeat("x", 64), Verdict: &Verdict{
		LostReason: strings.Repeat("x", noteBytes), LogError: strings.Repeat("x", noteBytes), StartError: strings.Repeat("x", noteBytes),
	}})
	return err
}
