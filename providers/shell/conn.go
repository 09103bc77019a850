package shell

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"

	"aloft/providers"
)

const (
	dialTime      = 5 * time.Second  // for the TCP connection
	handshakeTime = 20 * time.Second // for it, the keys and the login
	tryPause      = 250 * time.Millisecond
	// sessions is how many commands run at once on one connection: sshd's own limit unless it was configured. More wait.
	sessions = 10
)

// conn is one SSH connection.
type conn struct {
	client *ssh.Client
	slots  chan struct{}
	dead   chan struct{} // closed when the connection has ended
	heard  *atomic.Int64 // when bytes last came, in unix nanoseconds
	after  func()        // what to do once when it has ended
	once   sync.Once
}

func newConn(client *ssh.Client, heard *atomic.Int64, silence time.Duration, after func()) *conn {
	c := &conn{client: client, slots: make(chan struct{}, sessions), dead: make(chan struct{}), heard: heard, after: after}
	go func() {
		_ = client.Wait()
		close(c.dead)
		c.end()
	}()
	go c.watch(silence)
	return c
}

func (c *conn) gone() bool {
	select {
	case <-c.dead:
		return true
	default:
		return false
	}
}

// end closes the connection and what it went through.
func (c *conn) end() {
	c.once.Do(func() {
		_ = c.client.Close()
		c.after()
	})
}

// watch notices a machine that fell silent: nothing would close the connection otherwise.
func (c *conn) watch(silence time.Duration) {
	every := silence / 3
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		select {
		case <-c.dead:
			return
		case <-t.C:
		}
		quiet := time.Since(time.Unix(0, c.heard.Load()))
		if quiet > silence {
			c.end()
			return
		}
		if quiet < every/2 {
			continue
		}
		go func() { _, _, _ = c.client.SendRequest("keepalive@openssh.com", true, nil) }()
	}
}

// heardConn notes when bytes come.
type heardConn struct {
	net.Conn
	heard *atomic.Int64
}

// Read reads and notes the time.
func (h heardConn) Read(b []byte) (int, error) {
	n, err := h.Conn.Read(b)
	if n > 0 {
		h.heard.Store(time.Now().UnixNano())
	}
	return n, err
}

// connect makes the connection, waiting for a machine that boots, and replaces a first host key.
func (l *link) connect(ctx context.Context) (*conn, error) {
	until := time.Now().Add(l.o.wait())
	for {
		c, first, err := l.handshake(ctx)
		if err == nil && first {
			// What the machine was created with can be read on it: from now on it has a key that only it and we know.
			err = l.replaceHostKey(ctx, c)
			c.end()
			if err == nil {
				l.settle()
				c, err = l.reconnect(ctx)
			}
		}
		if err == nil {
			l.settle()
			return c, nil
		}
		if ctx.Err() != nil {
			return nil, ctxError(ctx, err)
		}
		if time.Now().After(until) || !passing(err) {
			return nil, err
		}
		if !sleep(ctx, tryPause) {
			return nil, ctxError(ctx, err)
		}
	}
}

// reconnect is the first connection under the lasting key: sshd may take a moment to use it.
func (l *link) reconnect(ctx context.Context) (*conn, error) {
	const limit = 15 * time.Second
	until := time.Now().Add(limit)
	for {
		c, _, err := l.handshake(ctx)
		if err == nil || ctx.Err() != nil || time.Now().After(until) || !passing(err) {
			return c, err
		}
		if !sleep(ctx, tryPause/2) {
			return nil, ctx.Err()
		}
	}
}

// passing reports whether a machine that boots may mend a failure by itself: it does not answer yet, or answers before it
// was told who it is and who may log in.
func passing(err error) bool {
	var e *providers.Error
	if !errors.As(err, &e) {
		return false
	}
	return e.Kind == providers.Transient || e.Code == CodeHostKey
}

// ctxError prefers what was wrong with the machine to the fact that the time is up.
func ctxError(ctx context.Context, err error) error {
	var e *providers.Error
	if errors.Is(ctx.Err(), context.DeadlineExceeded) && errors.As(err, &e) {
		return err
	}
	return ctx.Err()
}

func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// handshake connects once; first says that the machine still bears the host key it was created with.
func (l *link) handshake(ctx context.Context) (c *conn, first bool, err error) {
	hctx, cancel := context.WithTimeout(ctx, handshakeTime)
	defer cancel()
	v, err := l.verifier()
	if err != nil {
		return nil, false, err
	}
	auth, done, err := l.auth()
	if err != nil {
		return nil, false, err
	}
	defer done()
	nc, after, err := l.transport(hctx)
	if err != nil {
		if ctx.Err() != nil {
			return nil, false, ctx.Err()
		}
		return nil, false, l.unreachable(err)
	}
	heard := new(atomic.Int64)
	heard.Store(time.Now().UnixNano())
	stop := context.AfterFunc(hctx, func() { _ = nc.Close() })
	cc, chans, reqs, err := ssh.NewClientConn(heardConn{nc, heard}, v.address, &ssh.ClientConfig{
		User: l.target.User, Auth: auth, HostKeyCallback: v.check, HostKeyAlgorithms: v.algorithms, ClientVersion: "SSH-2.0-Aloft",
	})
	if !stop() && err == nil {
		err = hctx.Err()
		_ = cc.Close()
	}
	if err != nil {
		_ = nc.Close()
		after()
		if ctx.Err() != nil {
			return nil, false, ctx.Err()
		}
		return nil, false, l.refused(err, v)
	}
	return newConn(ssh.NewClient(cc, chans, reqs), heard, l.pool.silence(), after), v.first, nil
}

// transport opens the byte stream to sshd; after ends what it goes through.
func (l *link) transport(ctx context.Context) (nc net.Conn, after func(), err error) {
	t := l.target
	switch {
	case t.Via != nil:
		o := Options{Provider: l.o.Provider, Wait: 0, Pool: l.pool}
		via := l.pool.take(*t.Via, o)
		c, err := via.get(ctx)
		if err != nil {
			via.release()
			return nil, nil, fmt.Errorf("through %s: %w", t.Via.Host, err)
		}
		nc, err := c.dial(ctx, "tcp", t.address())
		if err != nil {
			via.release()
			return nil, nil, fmt.Errorf("through %s: %w", t.Via.Host, err)
		}
		return nc, via.release, nil
	case t.ProxyCommand != "":
		nc, err := startProxy(t)
		return nc, func() {}, err
	}
	d := net.Dialer{Timeout: dialTime}
	nc, err = d.DialContext(ctx, "tcp", t.address())
	return nc, func() {}, err
}
