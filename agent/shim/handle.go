package shim

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	"aloft/agent/spool"
)

// helloTime is how long a shim may take to answer a connection.
const helloTime = 30 * time.Second

// handle is the keeper's end of one shim process.
type handle struct {
	k    *Keeper
	name string
	runs *os.File
	pid  int

	// Guarded by the keeper's lock.
	used  [slotCount]string // ids whose verdicts may lie there
	cur   *Process
	again chan struct{} // closed when cur was never started and may be started elsewhere
	dead  bool

	mu     sync.Mutex
	w      *wire
	n      uint64
	asks   map[uint64]chan struct{}
	broken chan struct{} // closed when w is
}

func newHandle(k *Keeper, name string, runs *os.File) *handle {
	return &handle{k: k, name: name, runs: runs, asks: map[uint64]chan struct{}{}}
}

// connect reaches the shim and hears what it is doing. An error means that it is dead.
func (h *handle) connect() (*helloNews, error) {
	w, err := h.k.place.dial(h.name)
	if err != nil {
		return nil, err
	}
	var r report
	// A shim that hangs is as good as dead: what it kept is killed.
	err = errors.Join(w.conn.SetReadDeadline(time.Now().Add(helloTime)), w.receive(&r), w.conn.SetReadDeadline(time.Time{}))
	if err == nil && r.Hello == nil {
		err = errors.New("shim did not say hello")
	}
	if err != nil {
		return nil, errors.Join(err, w.conn.Close())
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.w, h.pid, h.broken = w, r.Hello.PID, make(chan struct{})
	return r.Hello, nil
}

// ask sends an order; taken is closed when the shim has carried it out, broken when the connection is lost before.
func (h *handle) ask(o order) (taken, broken <-chan struct{}, err error) {
	h.mu.Lock()
	h.n++
	o.N = h.n
	c := make(chan struct{})
	h.asks[o.N] = c
	w, b := h.w, h.broken
	h.mu.Unlock()
	if err := w.send(o); err != nil {
		return nil, nil, fmt.Errorf("ask shim: %w", err)
	}
	return c, b, nil
}

// listen hears the shim until the connection breaks, and then settles what that means.
func (h *handle) listen() {
	for {
		h.hear()
		h.mu.Lock()
		_ = h.w.conn.Close() // broken already
		close(h.broken)
		clear(h.asks)
		h.mu.Unlock()
		if !h.revive() {
			return
		}
	}
}

func (h *handle) hear() {
	for {
		var r report
		if h.w.receive(&r) != nil {
			return
		}
		switch {
		case r.Started != nil:
			if p := h.k.current(h); p != nil {
				p.up(*r.Started)
			}
		case r.Ended != nil:
			h.k.ended(h, *r.Ended, r.Last)
		case r.Taken != 0:
			h.mu.Lock()
			if c := h.asks[r.Taken]; c != nil {
				close(c)
				delete(h.asks, r.Taken)
			}
			h.mu.Unlock()
		case r.Appended != 0:
			if p := h.k.current(h); p != nil {
				p.noteAppended()
			}
		}
	}
}

// revive finds out why the connection broke. It returns true when the shim lives and is connected again.
func (h *handle) revive() bool {
	if h.k.isClosed() {
		return false
	}
	hello, err := h.connect()
	if err == nil {
		p := h.k.current(h)
		switch {
		case p == nil:
		case hello.Running != nil:
			p.up(*hello.Running)
		default:
			h.settle(p)
		}
		return true
	}
	h.k.gone(h)
	if p := h.k.current(h); p != nil {
		h.settle(p)
	}
	h.k.sweep(h)
	return false
}

// settle ends a process whose shim is dead or idle, from what the disk says.
func (h *handle) settle(p *Process) {
	for _, st := range readSlots(h.runs) {
		if st.ID != p.id {
			continue
		}
		if st.Verdict == nil {
			st = h.k.lose(h.runs, st, "the process that kept it died")
		}
		h.k.ended(h, st, true)
		return
	}
	h.k.neverStarted(h)
}

// lose kills what is left of a rank whose shim died and writes the verdict that nobody else can.
func (k *Keeper) lose(runs *os.File, st slotState, why string) slotState {
	v := Verdict{StartedMS: st.StartedMS, Lost: true, LostReason: why, ExitCode: 128 + int(syscall.SIGKILL)}
	if st.Boot != bootID() {
		v.LostReason = "the machine restarted"
	} else if left := killAll(func() []int { return marked(st) }); len(left) > 0 {
		v.LostReason += "; some of its processes could not be killed"
	}
	v.EndedMS = time.Now().UnixMilli()
	w, err := spool.OpenWriter(st.SpoolDir, st.Stream, spool.WriterOptions{})
	if err == nil {
		v.LogEnd = w.End()
		err = errors.Join(w.Complete(), w.Close())
	}
	if err != nil {
		v.LogError = err.Error()
	}
	st.Verdict = &v
	if err := writeSlot(runs, st, true); err != nil && v.LogError == "" {
		v.LogError = err.Error()
	}
	return st
}
