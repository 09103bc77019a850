package shim

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"syscall"
	"time"

	"aloft/agent/spool"
)

// Process is one child, running or ended.
type Process struct {
	id       string
	grace    time.Duration
	k        *Keeper
	begun    chan struct{} // closed when the child runs, or has a verdict without ever having run
	done     chan struct{} // closed when the verdict is durable
	appended chan struct{}

	mu     sync.Mutex
	h      *handle
	st     slotState
	isUp   bool // begun is closed
	isOver bool // done is closed
	failed error
}

func newProcess(k *Keeper, id string, grace time.Duration) *Process {
	if grace <= 0 {
		grace = DefaultGrace
	}
	return &Process{
		id: id, grace: grace, k: k,
		begun: make(chan struct{}), done: make(chan struct{}), appended: make(chan struct{}, 1),
	}
}

// ID is the Spec's.
func (p *Process) ID() string { return p.id }

// PID of the child; 0 when it never ran.
func (p *Process) PID() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.st.PID
}

// StartedMS is when the child was started.
func (p *Process) StartedMS() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.st.StartedMS
}

// Stream is where the output goes: the spool's root and the key in it.
func (p *Process) Stream() (root string, key spool.Key) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.st.SpoolDir, p.st.Stream
}

// Done is closed when Wait has the verdict.
func (p *Process) Done() <-chan struct{} { return p.done }

// Appended gets a value after something was appended to the log, and once more at the end; values coalesce.
func (p *Process) Appended() <-chan struct{} { return p.appended }

// Wait returns the verdict once it is durable.
func (p *Process) Wait(ctx context.Context) (Verdict, error) {
	select {
	case <-p.done:
	case <-ctx.Done():
		return Verdict{}, ctx.Err()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.failed != nil {
		return Verdict{}, p.failed
	}
	return *p.st.Verdict, nil
}

// Stop sends sig (0 = TERM) to the whole tree and KILL to what is left of it after grace (0 = the Spec's; negative = at
// once). It returns when the shim has taken the order; Wait has the outcome. Stopping again is fine: the earliest KILL
// counts. Stopping what has ended is nothing.
func (p *Process) Stop(ctx context.Context, sig syscall.Signal, grace time.Duration) error {
	if sig == 0 {
		sig = syscall.SIGTERM
	}
	if grace == 0 {
		grace = p.grace
	}
	work := &stopWork{ID: p.id, Signal: int(sig), Grace: max(0, grace)}
	for {
		p.mu.Lock()
		h, over := p.h, p.isOver
		p.mu.Unlock()
		if over {
			return nil
		}
		taken, broken, err := h.ask(order{Stop: work})
		if err == nil {
			select {
			case <-taken:
				return nil
			case <-p.done:
				return nil
			case <-ctx.Done():
				return fmt.Errorf("stop %s: %w", p.id, ctx.Err())
			case <-broken:
			}
		}
		// The connection broke: either the shim is dead, then the tree is being killed and done follows, or it is
		// reached again and hears the order then.
		select {
		case <-p.done:
			return nil
		case <-ctx.Done():
			return fmt.Errorf("stop %s: %w", p.id, errors.Join(ctx.Err(), err))
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func (p *Process) noteAppended() {
	select {
	case p.appended <- struct{}{}:
	default:
	}
}

// up records that the child runs.
func (p *Process) up(st slotState) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.st = st
	if !p.isUp {
		p.isUp = true
		close(p.begun)
	}
}

// finish records a durable verdict.
func (p *Process) finish(st slotState) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.isOver {
		return
	}
	p.st, p.isOver = st, true
	if !p.isUp {
		p.isUp = true
		close(p.begun)
	}
	close(p.done)
	p.noteAppended()
}

// abandon ends waiting without a verdict: the keeper is closed.
func (p *Process) abandon(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.isOver {
		return
	}
	p.isOver, p.failed = true, err
	if !p.isUp {
		p.isUp = true
		close(p.begun)
	}
	close(p.done)
}
