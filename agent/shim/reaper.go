package shim

import (
	"errors"
	"os"
	"os/signal"
	"sync"
	"syscall"
)

// reaper collects every process that dies under this one: the child and the orphans it left.
type reaper struct {
	mu     sync.Mutex // held while forking, so that a child that dies at once is known
	main   int        // pid of the child, 0 = none
	exited chan syscall.WaitStatus
	gone   chan struct{} // closed when the child has exited and nothing it left lives
	over   bool          // exited was sent
}

func newReaper() *reaper {
	r := &reaper{}
	sig := make(chan os.Signal, 1)
	signal.Notify(sig, syscall.SIGCHLD)
	go func() {
		for range sig {
			r.reap()
		}
	}()
	return r
}

// fork starts a child with f and says where its end will be told.
func (r *reaper) fork(f func() (int, error)) (pid int, exited <-chan syscall.WaitStatus, gone <-chan struct{}, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	pid, err = f()
	if err != nil {
		return 0, nil, nil, err
	}
	r.main, r.over = pid, false
	r.exited, r.gone = make(chan syscall.WaitStatus, 1), make(chan struct{})
	return pid, r.exited, r.gone, nil
}

// reap takes all that are dead. When nobody is left at all, nothing that the child started lives: whatever it forked is
// ours by now or has an ancestor that is.
func (r *reaper) reap() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for {
		var ws syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &ws, syscall.WNOHANG, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
		case err != nil: // no children
			if r.over && r.main != 0 {
				r.main = 0
				close(r.gone)
			}
			return
		case pid == 0:
			return
		case pid == r.main && !r.over && (ws.Exited() || ws.Signaled()):
			r.over = true
			r.exited <- ws
		}
	}
}
