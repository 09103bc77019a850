package shell

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path"
	"sync"
	"time"

	"aloft/providers"
)

// Target is a machine and the way to it.
type Target struct {
	Host string // name or address
	Port int    // 0 = 22
	User string
	// HostKeyAlias is the name under which known_hosts has the machine; "" = Host and Port.
	HostKeyAlias string
	// Via is a machine to go through, with the user's own keys; nil = none.
	Via *Target
	// Direct says that there is nothing to go through, whatever ~/.ssh/config says.
	Direct bool
	// ProxyCommand is a shell command whose standard input and output are the way to the machine; "" = none. %h, %p, %r
	// and %n stand for host, port, user and name.
	ProxyCommand string
	// Identities are private key files of the user, tried in this order where Options hold no key.
	Identities []string
	// AgentSocket is an ssh-agent that is asked, too; "" = none.
	AgentSocket string
	// OnlyIdentities keeps keys of the agent out that are not in Identities.
	OnlyIdentities bool
	// KnownHosts are files with the host keys of machines whose keys we did not make.
	KnownHosts []string
}

// address is host:port.
func (t Target) address() string {
	port := t.Port
	if port == 0 {
		port = 22
	}
	return net.JoinHostPort(t.Host, fmt.Sprint(port))
}

// Options say whom to trust and how long to wait.
type Options struct {
	// Provider is the name that errors bear.
	Provider string
	// Keys open the machine. Without Host the machine is known by Target.KnownHosts, without User the login is by
	// Target.Identities and Target.AgentSocket.
	Keys providers.Keys
	// Pool shares one connection among all shells of a machine; nil = a connection of its own.
	Pool *Pool
	// Wait is how long a machine that does not answer, or not yet as ours, is tried again; 0 = a minute for a machine that
	// was never reached (Keys.FirstHost), otherwise not at all.
	Wait time.Duration
}

// firstWait is how long a machine that was never reached is waited for.
const firstWait = time.Minute

func (o Options) wait() time.Duration {
	if o.Wait == 0 && len(o.Keys.FirstHost) > 0 {
		return firstWait
	}
	return o.Wait
}

// Dial opens a shell on a machine. The machine is verified by its host key before anything is sent; one that was never
// reached gets its lasting host key first. Errors are *providers.Error or the context's.
func Dial(ctx context.Context, t Target, o Options) (providers.Shell, error) {
	p := o.Pool
	if p == nil {
		p = new(Pool)
	}
	l := p.take(t, o)
	if _, err := l.get(ctx); err != nil {
		l.release()
		return nil, err
	}
	return &machine{link: l}, nil
}

// machine is a Shell. All shells of a machine share its link.
type machine struct {
	link *link
	once sync.Once
}

// Close gives the connection back; commands under way go on.
func (m *machine) Close() error {
	m.once.Do(m.link.release)
	return nil
}

// Run runs a command in the login's home directory.
func (m *machine) Run(ctx context.Context, c providers.Cmd) (providers.Exit, error) {
	s, err := m.link.session(ctx)
	if err != nil {
		return providers.Exit{}, err
	}
	defer s.release()
	return s.run(ctx, c)
}

// Dial opens a stream to a socket of the machine, or to an address as the machine sees it. Unix paths are absolute.
func (m *machine) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	switch network {
	case "unix":
		if !path.IsAbs(address) {
			return nil, m.link.fault(providers.Invalid, "path", fmt.Errorf("the socket's path %q is not absolute", address))
		}
	case "tcp", "tcp4", "tcp6":
	default:
		return nil, m.link.fault(providers.Unsupported, "network", fmt.Errorf("network %q: unix and tcp are possible", network))
	}
	for again := false; ; again = true {
		c, err := m.link.get(ctx)
		if err != nil {
			return nil, err
		}
		nc, err := c.dial(ctx, network, address)
		if err == nil {
			m.link.hold()
			return &stream{Conn: nc, link: m.link}, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if c.gone() && !again {
			continue // the connection was dead before we asked
		}
		return nil, m.link.fault(providers.Transient, "dial", fmt.Errorf("%s on %s: %w", address, m.link.target.Host, err))
	}
}

// dial opens a stream through the connection.
func (c *conn) dial(ctx context.Context, network, address string) (net.Conn, error) {
	return await(ctx, func() (net.Conn, error) { return c.client.Dial(network, address) }, func(nc net.Conn) { _ = nc.Close() })
}

// stream is one stream to a machine; it keeps the connection open.
type stream struct {
	net.Conn
	link *link
	once sync.Once
}

// Close ends both halves.
func (s *stream) Close() error {
	err := s.Conn.Close()
	s.once.Do(s.link.release)
	if errors.Is(err, io.EOF) {
		return nil // the other side closed first
	}
	return err
}

// CloseWrite ends our half: the other side reads the end.
func (s *stream) CloseWrite() error {
	half, ok := s.Conn.(interface{ CloseWrite() error })
	if !ok {
		return errors.New("the stream cannot close one half")
	}
	return half.CloseWrite()
}

// await waits for fn no longer than ctx; what comes later is dropped.
func await[T any](ctx context.Context, fn func() (T, error), drop func(T)) (T, error) {
	type answer struct {
		v   T
		err error
	}
	ch := make(chan answer, 1)
	go func() {
		v, err := fn()
		ch <- answer{v, err}
	}()
	select {
	case a := <-ch:
		return a.v, a.err
	case <-ctx.Done():
		go func() {
			if a := <-ch; a.err == nil {
				drop(a.v)
			}
		}()
		var zero T
		return zero, ctx.Err()
	}
}

// fault is an error about a machine.
func (l *link) fault(k providers.Kind, code string, err error) *providers.Error {
	return fault(l.o.Provider, k, code, "", err)
}

func fault(provider string, k providers.Kind, code, hint string, err error) *providers.Error {
	return &providers.Error{Provider: provider, Op: "shell", Kind: k, Scope: providers.ScopeZone, Code: code, Hint: hint, Err: err}
}
