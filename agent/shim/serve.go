package shim

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

// Descriptors that a shim is born with.
const (
	fdListener = 3
	fdRunFile  = 4
)

// firstTime is how long a new shim waits for its keeper.
const firstTime = 30 * time.Second

// server is the shim process: one connection at a time, one child at a time.
type server struct {
	ln     *net.UnixListener
	file   *os.File
	boot   string
	reaper *reaper

	mu   sync.Mutex
	link *wire // nil without a keeper
	cur  *run  // nil when idle
	news chan struct{}
	bufs [2][]byte // of the pumps, kept between children
}

// Serve is the whole of `sky-agent shim`. It returns the exit code of the process.
func Serve(stderr io.Writer) int {
	s, err := newServer()
	if err != nil {
		fmt.Fprintf(stderr, "sky-agent shim: %v\n", err)
		return 1
	}
	s.serve()
	return 0
}

func newServer() (*server, error) {
	CloseStrays(2) // the two above
	syscall.CloseOnExec(fdListener)
	syscall.CloseOnExec(fdRunFile)
	lf := os.NewFile(fdListener, "listener")
	ln, err := net.FileListener(lf)
	if err != nil {
		return nil, fmt.Errorf("not started by an agent: %w", err)
	}
	if err := lf.Close(); err != nil {
		return nil, err
	}
	unix, ok := ln.(*net.UnixListener)
	if !ok {
		return nil, fmt.Errorf("descriptor %d is a %s", fdListener, ln.Addr().Network())
	}
	// Signals meant for the machine or the terminal are the children's to handle; we stay to see how they end.
	// They are caught, not ignored: what is ignored here would be ignored in the children too.
	swallow := make(chan os.Signal, 1)
	signal.Notify(swallow, syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGPIPE,
		syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGXFSZ, syscall.SIGTSTP, syscall.SIGTTIN, syscall.SIGTTOU)
	go func() {
		for range swallow {
		}
	}()
	if err := adoptOrphans(); err != nil {
		return nil, fmt.Errorf("adopt orphans: %w", err)
	}
	s := &server{
		ln: unix, file: os.NewFile(fdRunFile, "runs"), boot: bootID(), reaper: newReaper(),
		news: make(chan struct{}, 1),
	}
	go s.announce()
	return s, nil
}

// serve takes one keeper after the other. An idle shim ends with its keeper; a busy one goes on, and ends when its child
// has and nobody came back: the verdict is on disk.
func (s *server) serve() {
	// A keeper that died before it came for the first time leaves nothing to wait for.
	if err := s.ln.SetDeadline(time.Now().Add(firstTime)); err != nil {
		return
	}
	for {
		c, err := s.ln.Accept()
		if err != nil {
			return // closed by ended, or nobody came
		}
		if err := s.ln.SetDeadline(time.Time{}); err != nil {
			return
		}
		w := newWire(c)
		s.mu.Lock()
		s.link = w
		hello := helloNews{PID: os.Getpid()}
		if s.cur != nil {
			st := s.cur.state()
			hello.Running = &st
		}
		s.mu.Unlock()
		err = w.send(report{Hello: &hello})
		for err == nil {
			var o order
			if err = w.receive(&o); err == nil {
				err = s.obey(w, o)
			}
		}
		_ = c.Close() // its other end is gone
		s.mu.Lock()
		s.link = nil
		idle := s.cur == nil
		s.mu.Unlock()
		if idle {
			return
		}
	}
}

func (s *server) obey(w *wire, o order) error {
	switch {
	case o.Start != nil:
		return s.start(w, o.Start)
	case o.Stop != nil:
		s.mu.Lock()
		r := s.cur
		s.mu.Unlock()
		if r != nil && r.spec.ID == o.Stop.ID {
			r.stop(syscall.Signal(o.Stop.Signal), o.Stop.Grace)
		}
		return w.send(report{Taken: o.N})
	case o.Quit:
		return io.EOF
	}
	return w.send(report{Taken: o.N})
}

func (s *server) start(w *wire, work *startWork) error {
	s.mu.Lock()
	busy := s.cur != nil
	s.mu.Unlock()
	if busy {
		return fmt.Errorf("asked to start %q while another child runs", work.Spec.ID)
	}
	r, ended := s.launch(work)
	if ended != nil {
		return w.send(report{Ended: ended})
	}
	s.mu.Lock()
	s.cur = r
	s.mu.Unlock()
	// The order of Started and Ended is kept by starting the watch behind the answer.
	err := w.send(report{Started: ptr(r.state())})
	go func() {
		final := r.watch()
		s.ended(final, r.stays)
	}()
	return err
}

func ptr[T any](v T) *T { return &v }

// ended runs when the verdict is durable.
func (s *server) ended(final slotState, last bool) {
	s.mu.Lock()
	s.cur = nil
	w := s.link
	s.mu.Unlock()
	if w != nil && w.send(report{Ended: &final, Last: last}) == nil && !last {
		return // idle
	}
	// Nobody is there, or what stays behind must not mix with another rank: this shim has done its work.
	_ = s.ln.Close()
	if w != nil {
		_ = w.conn.Close()
	}
}

// appended wakes announce.
func (s *server) appended() {
	select {
	case s.news <- struct{}{}:
	default:
	}
}

// announce tells the keeper that the log grew, at most once a millisecond: a child that prints single bytes would
// otherwise cost a message each.
func (s *server) announce() {
	for range s.news {
		s.mu.Lock()
		w, r := s.link, s.cur
		s.mu.Unlock()
		if w == nil || r == nil {
			continue
		}
		if w.send(report{Appended: r.log.End()}) != nil {
			continue // the connection's reader sees to it
		}
		time.Sleep(time.Millisecond)
	}
}
