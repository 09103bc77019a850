package shell

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"sync"
	"time"
)

// Pool shares connections: one to each machine, for all shells and streams of it, and one to each machine that others
// are reached through. It belongs to the provider value. The zero value shares among those who use it at the same time.
type Pool struct {
	// Linger is how long a connection that nobody uses is kept; 0 = it is closed at once.
	Linger time.Duration
	// Silence is how long a machine may say nothing, though it is asked, until its connection is given up; 0 = 24 s.
	Silence time.Duration

	mu    sync.Mutex
	links map[string]*link
}

// DefaultLinger suits providers: an agent is installed by one shell and called by the next.
const DefaultLinger = 2 * time.Second

// NewPool makes a pool that keeps connections for DefaultLinger.
func NewPool() *Pool { return &Pool{Linger: DefaultLinger} }

func (p *Pool) silence() time.Duration {
	if p.Silence == 0 {
		return 24 * time.Second
	}
	return p.Silence
}

// link is the lasting tie to a machine; its connection is made when it is needed and made anew when it was lost.
type link struct {
	pool   *Pool
	key    string
	target Target
	o      Options

	making chan struct{} // holds one token: whoever has it connects

	mu      sync.Mutex // guards what follows; the pool's mutex guards refs and idle
	cur     *conn
	settled bool // the machine bears its lasting host key

	refs int
	idle *time.Timer
}

// identity tells machines, ways and keys apart.
func identity(t Target, o Options) string {
	var b bytes.Buffer
	for at := &t; at != nil; at = at.Via {
		fmt.Fprintf(&b, "%q %q %q %q %q %q %t %q\n", at.address(), at.User, at.HostKeyAlias, at.ProxyCommand, at.Identities, at.AgentSocket, at.OnlyIdentities, at.KnownHosts)
	}
	for _, k := range []ed25519.PrivateKey{o.Keys.User, o.Keys.Host} {
		if len(k) == ed25519.PrivateKeySize {
			sum := sha256.Sum256(k.Public().(ed25519.PublicKey))
			b.Write(sum[:])
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// take finds or makes the link of a machine; the caller releases it.
func (p *Pool) take(t Target, o Options) *link {
	key := identity(t, o)
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.links[key]
	if l == nil {
		l = &link{pool: p, key: key, target: t, o: o, making: make(chan struct{}, 1)}
		l.making <- struct{}{}
		if p.links == nil {
			p.links = make(map[string]*link)
		}
		p.links[key] = l
	}
	if len(o.Keys.FirstHost) == 0 {
		l.settle()
	}
	l.count()
	return l
}

// count counts one more user; the caller has the pool's mutex.
func (l *link) count() {
	l.refs++
	if l.idle != nil {
		l.idle.Stop()
		l.idle = nil
	}
}

// hold counts one more user.
func (l *link) hold() {
	l.pool.mu.Lock()
	defer l.pool.mu.Unlock()
	l.count()
}

// release counts one user less; the last one ends the connection, a while later.
func (l *link) release() {
	p := l.pool
	p.mu.Lock()
	l.refs--
	if l.refs > 0 {
		p.mu.Unlock()
		return
	}
	if p.Linger > 0 {
		l.idle = time.AfterFunc(p.Linger, l.drop)
		p.mu.Unlock()
		return
	}
	p.mu.Unlock()
	l.drop()
}

// drop forgets a link that nobody uses.
func (l *link) drop() {
	p := l.pool
	p.mu.Lock()
	if l.refs > 0 || p.links[l.key] != l {
		p.mu.Unlock()
		return
	}
	delete(p.links, l.key)
	p.mu.Unlock()
	l.mu.Lock()
	c := l.cur
	l.cur = nil
	l.mu.Unlock()
	if c != nil {
		c.end()
	}
}

func (l *link) settle() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.settled = true
}

// live is the present connection; nil = there is none that works.
func (l *link) live() *conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cur != nil && l.cur.gone() {
		l.cur = nil
	}
	return l.cur
}

// get gives the connection, making it when there is none. One caller connects, the others wait for it.
func (l *link) get(ctx context.Context) (*conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if c := l.live(); c != nil {
		return c, nil
	}
	select {
	case <-l.making:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { l.making <- struct{}{} }()
	if c := l.live(); c != nil {
		return c, nil
	}
	c, err := l.connect(ctx)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	l.cur = c
	l.mu.Unlock()
	return c, nil
}
