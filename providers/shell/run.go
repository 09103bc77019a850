package shell

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"aloft/providers"
)

const (
	// outputGrace is how long output of a command that has exited may still come from processes it left behind.
	outputGrace = 2 * time.Second
	killTime    = 3 * time.Second
	// crowdTries is how often a session that sshd has no room for is asked for again.
	crowdTries = 40
	crowdPause = 50 * time.Millisecond
)

// session is one command's channel.
type session struct {
	link *link
	conn *conn
	ch   ssh.Channel
	reqs <-chan *ssh.Request
}

// session opens a channel for a command; when as many run as sshd allows, it waits.
func (l *link) session(ctx context.Context) (*session, error) {
	dead := false
	for tries := 0; ; tries++ {
		c, err := l.get(ctx)
		if err != nil {
			return nil, err
		}
		select {
		case c.slots <- struct{}{}:
		case <-c.dead:
			continue
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		s, err := c.open(ctx, l)
		if err == nil {
			return s, nil
		}
		others := len(c.slots) > 1
		<-c.slots
		var full *ssh.OpenChannelError
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case errors.As(err, &full) && (others || tries < crowdTries):
			// sshd allows fewer sessions than we thought, or has not noticed yet that one ended.
			if !sleep(ctx, crowdPause) {
				return nil, ctx.Err()
			}
		case c.gone() && !dead:
			dead = true // it was dead before anything was asked: a new one
		default:
			return nil, l.fault(providers.Transient, CodeLost, fmt.Errorf("open a session on %s: %w", l.target.Host, err))
		}
	}
}

// open opens a channel; the caller has a slot.
func (c *conn) open(ctx context.Context, l *link) (*session, error) {
	return await(ctx, func() (*session, error) {
		ch, reqs, err := c.client.OpenChannel("session", nil)
		if err != nil {
			return nil, err
		}
		return &session{link: l, conn: c, ch: ch, reqs: reqs}, nil
	}, func(s *session) {
		go ssh.DiscardRequests(s.reqs)
		_ = s.ch.Close()
	})
}

func (s *session) release() {
	_ = s.ch.Close()
	<-s.conn.slots
}

// run runs a command on the channel. It says its process id first, on standard error behind a mark that cannot be
// guessed, so that it can be killed: closing a channel ends nothing on the machine.
func (s *session) run(ctx context.Context, c providers.Cmd) (providers.Exit, error) {
	mark := newMark()
	verdict := make(chan providers.Exit, 1)
	go s.listen(verdict)
	out, errs := &output{w: c.Stdout}, &output{w: c.Stderr}
	pid := &pidWriter{mark: mark, next: errs, known: make(chan struct{})}
	defer out.stop()
	defer errs.stop()
	failed := make(chan error, 2)
	copied := make(chan struct{})
	var copies sync.WaitGroup
	copies.Go(func() { drain(out, s.ch, failed) })
	copies.Go(func() { drain(pid, s.ch.Stderr(), failed); pid.flush() })
	go func() { copies.Wait(); close(copied) }()

	line := "exec /bin/sh -c " + quote(`echo "`+mark+` $$" >&2; exec /bin/sh -c "$1"`) + " sh " + quote(c.Line)
	ok, err := await(ctx, func() (bool, error) {
		return s.ch.SendRequest("exec", true, ssh.Marshal(struct{ Command string }{line}))
	}, func(bool) {})
	switch {
	case ctx.Err() != nil:
		s.kill(pid)
		return providers.Exit{}, ctx.Err()
	case err != nil:
		return providers.Exit{}, s.lost(err)
	case !ok:
		return providers.Exit{}, s.link.fault(providers.Unsupported, "no-commands", fmt.Errorf("sshd on %s refuses to run commands", s.link.target.Host))
	}
	go s.feed(c.Stdin)
	select {
	case exit, ok := <-verdict:
		if !ok {
			return providers.Exit{}, s.lost(errors.New("the connection ended before the command did"))
		}
		s.settleOutput(ctx, copied)
		select {
		case err := <-failed:
			return exit, fmt.Errorf("take the command's output: %w", err)
		default:
		}
		return exit, nil
	case err := <-failed:
		s.kill(pid)
		return providers.Exit{}, fmt.Errorf("take the command's output: %w", err)
	case <-ctx.Done():
		s.kill(pid)
		return providers.Exit{}, ctx.Err()
	}
}

// settleOutput waits for output that is still on its way, but not for what lives on in the background.
func (s *session) settleOutput(ctx context.Context, copied <-chan struct{}) {
	t := time.NewTimer(outputGrace)
	defer t.Stop()
	select {
	case <-copied:
	case <-t.C:
	case <-ctx.Done():
	}
}

func (s *session) lost(err error) error {
	return s.link.fault(providers.Transient, CodeLost, fmt.Errorf("run a command on %s: %w", s.link.target.Host, err))
}

// listen waits for how the command ended; it closes verdict without one when the channel ends first.
func (s *session) listen(verdict chan<- providers.Exit) {
	defer close(verdict)
	told := false
	for r := range s.reqs {
		var exit providers.Exit
		good := true
		switch r.Type {
		case "exit-status":
			var m struct{ Code uint32 }
			good = ssh.Unmarshal(r.Payload, &m) == nil
			exit.Code = int(m.Code & 0xff)
		case "exit-signal":
			var m struct {
				Name       string
				CoreDumped bool
				Message    string
				Lang       string
			}
			good = ssh.Unmarshal(r.Payload, &m) == nil
			exit.Signal = signalNumber(m.Name)
			exit.Code = 128 + exit.Signal
		default:
			good = false
		}
		if r.WantReply {
			_ = r.Reply(false, nil)
		}
		if good && !told {
			told = true
			verdict <- exit
		}
	}
}

// feed sends the command its input and then the end of it.
func (s *session) feed(r io.Reader) {
	if r != nil {
		// What the command does not read any more is no failure of ours: its exit says what it thought of it.
		_, _ = io.Copy(s.ch, r)
	}
	_ = s.ch.CloseWrite()
}

// kill ends the command and what it started, as far as it stayed in its group.
func (s *session) kill(pid *pidWriter) {
	p := pid.wait(s.conn.dead)
	_ = s.ch.Close()
	if p == "" || s.conn.gone() {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), killTime)
	defer cancel()
	k, err := s.conn.open(ctx, s.link)
	if err != nil {
		return
	}
	defer k.ch.Close()
	done := make(chan providers.Exit, 1)
	go k.listen(done)
	_, err = await(ctx, func() (bool, error) {
		return k.ch.SendRequest("exec", true, ssh.Marshal(struct{ Command string }{"kill -KILL -" + p + "; kill -KILL " + p}))
	}, func(bool) {})
	if err != nil {
		return
	}
	select {
	case <-done:
	case <-ctx.Done():
	}
}

func drain(w io.Writer, r io.Reader, failed chan<- error) {
	if _, err := io.Copy(w, r); err != nil && !errors.Is(err, io.EOF) {
		failed <- err
		_, _ = io.Copy(io.Discard, r) // the window is shared with the other stream
	}
}

// output passes bytes on until it is stopped.
type output struct {
	mu   sync.Mutex
	w    io.Writer
	over bool
}

// Write drops what comes too late.
func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.over || o.w == nil {
		return len(b), nil
	}
	return o.w.Write(b)
}

func (o *output) stop() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.over = true
}

func newMark() string {
	var b [12]byte
	_, _ = rand.Read(b[:]) // never fails
	return "aloft-" + hex.EncodeToString(b[:])
}

// pidWriter takes the line with the process id out of a command's standard error. What a login shell says before is kept.
type pidWriter struct {
	mark string
	next io.Writer

	mu   sync.Mutex
	pid  string
	held []byte
	done bool

	known chan struct{} // closed when done
}

// heldLimit bounds what is looked through for the mark.
const heldLimit = 64 << 10

// Write holds bytes back until the mark has come.
func (p *pidWriter) Write(b []byte) (int, error) {
	p.mu.Lock()
	if p.done {
		p.mu.Unlock()
		return p.next.Write(b)
	}
	p.held = append(p.held, b...)
	before, rest, ok := strings.Cut(string(p.held), p.mark+" ")
	pid, after, whole := strings.Cut(rest, "\n")
	switch {
	case ok && whole:
		p.pid, p.held = digits(pid), nil
		p.finish()
		p.mu.Unlock()
		if before+after == "" {
			return len(b), nil
		}
		_, err := io.WriteString(p.next, before+after)
		return len(b), err
	case len(p.held) > heldLimit:
		held := p.held
		p.held = nil
		p.finish()
		p.mu.Unlock()
		_, err := p.next.Write(held)
		return len(b), err
	}
	p.mu.Unlock()
	return len(b), nil
}

// flush passes on what was held back for a mark that never came.
func (p *pidWriter) flush() {
	p.mu.Lock()
	held := p.held
	p.held = nil
	p.finish()
	p.mu.Unlock()
	if len(held) > 0 {
		_, _ = p.next.Write(held)
	}
}

// finish notes that there is nothing to wait for any more; the caller has the mutex.
func (p *pidWriter) finish() {
	if !p.done {
		p.done = true
		close(p.known)
	}
}

// wait gives the process id, for which it waits a moment: the command may only just have begun. "" = there is none.
func (p *pidWriter) wait(dead <-chan struct{}) string {
	t := time.NewTimer(killTime / 3)
	defer t.Stop()
	select {
	case <-p.known:
	case <-dead:
	case <-t.C:
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.pid
}

func digits(s string) string {
	if strings.Trim(s, "0123456789") != "" || len(s) < 2 {
		return ""
	}
	return s
}

// quote makes a word for /bin/sh.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// signalNumber is the number of a signal's name on Linux; 0 = unknown.
func signalNumber(name string) int {
	switch name {
	case "HUP":
		return 1
	case "INT":
		return 2
	case "QUIT":
		return 3
	case "ILL":
		return 4
	case "TRAP":
		return 5
	case "ABRT":
		return 6
	case "BUS":
		return 7
	case "FPE":
		return 8
	case "KILL":
		return 9
	case "USR1":
		return 10
	case "SEGV":
		return 11
	case "USR2":
		return 12
	case "PIPE":
		return 13
	case "ALRM":
		return 14
	case "TERM":
		return 15
	}
	return 0
}
