package gang

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"

	"aloft/agent/supervise"
	agentv1 "aloft/proto/sky/agent/v1"
)

const (
	redialMin = 50 * time.Millisecond
	redialMax = 2 * time.Second
	// pingEvery finds out that a peer's machine is gone although nothing was closed.
	pingEvery = 10 * time.Second
)

// outward is the connection to the agent that leads some of this node's jobs. The gang's lock guards it.
type outward struct {
	g       *Gang
	node    string
	address string
	says    map[string]*agentv1.MemberFrame // what holds, said again after a reconnect
	out     *mailbox[*agentv1.MemberFrame]
	up      bool
	changed time.Time // of up
	started bool
	moved   chan struct{} // closed when the address changes
}

// link finds or makes the connection to a node; the caller holds the lock.
func (g *Gang) link(node, address string) *outward {
	l := g.links[node]
	if l == nil {
		l = &outward{
			g: g, node: node, says: make(map[string]*agentv1.MemberFrame), out: newMailbox[*agentv1.MemberFrame](),
			changed: time.Now(), moved: make(chan struct{}),
		}
		g.links[node] = l
	}
	if l.address != address && address != "" {
		l.address = address
		close(l.moved)
		l.moved = make(chan struct{})
	}
	if g.ctx != nil {
		g.startLink(l)
	}
	return l
}

func (g *Gang) startLink(l *outward) {
	if l.started || g.ctx.Err() != nil {
		return
	}
	l.started = true
	g.wg.Go(func() { g.keepLink(g.ctx, l) })
}

// say keeps and sends what holds about a key; the caller holds the lock.
func (l *outward) say(key string, f *agentv1.MemberFrame) {
	l.says[key] = f
	l.out.put(key, f)
}

func (l *outward) unsay(key string) { delete(l.says, key) }

// keepLink calls the other agent for ever.
func (g *Gang) keepLink(ctx context.Context, l *outward) {
	wait := redialMin
	for ctx.Err() == nil {
		g.mu.Lock()
		address, moved := l.address, l.moved
		g.mu.Unlock()
		began := time.Now()
		err := g.call(ctx, l, address)
		if ctx.Err() != nil {
			return
		}
		g.o.Log.Debug("call to another agent ended", "node", l.node, "address", address, "err", err)
		if time.Since(began) > redialMax {
			wait = redialMin
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-moved:
		case <-ctx.Done():
		}
		timer.Stop()
		wait = min(2*wait, redialMax)
	}
}

// call is one connection, from dialling to its end.
func (g *Gang) call(ctx context.Context, l *outward, address string) error {
	conf, err := g.tls.client(l.node)
	if err != nil {
		return err
	}
	cc, err := grpc.NewClient("passthrough:///"+address,
		grpc.WithTransportCredentials(credentials.NewTLS(conf)), grpc.WithDisableServiceConfig(), grpc.WithNoProxy(),
		grpc.WithReadBufferSize(4<<10), grpc.WithWriteBufferSize(4<<10),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: pingEvery, Timeout: pingEvery}))
	if err != nil {
		return fmt.Errorf("make client: %w", err)
	}
	defer func() { _ = cc.Close() }()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := agentv1.NewGangClient(cc).Join(ctx)
	if err != nil {
		return fmt.Errorf("join: %w", err)
	}
	// The header says that the other side has accepted us: until then nothing is up.
	if _, err := stream.Header(); err != nil {
		return fmt.Errorf("join: %w", err)
	}
	g.mu.Lock()
	l.up, l.changed = true, time.Now()
	for key, f := range l.says {
		l.out.put(key, f)
	}
	g.mu.Unlock()
	defer func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		l.up, l.changed = false, time.Now()
	}()
	go func() {
		defer cancel()
		for {
			f, ok := l.out.take(ctx)
			if !ok || stream.Send(f) != nil {
				return // the receiver sees why
			}
		}
	}()
	for {
		f, err := stream.Recv()
		if err != nil {
			return fmt.Errorf("receive: %w", err)
		}
		g.ordered(f)
	}
}

func (g *Gang) ordered(f *agentv1.LeaderFrame) {
	switch f := f.GetFrame().(type) {
	case *agentv1.LeaderFrame_Order:
		g.mu.Lock()
		defer g.mu.Unlock()
		if p := g.parts[supervise.Key(f.Order.GetJobId(), f.Order.GetAttempt())]; p != nil {
			p.obey(f.Order)
		}
	case *agentv1.LeaderFrame_Node:
		if f.Node.GetOff() {
			g.o.Off(f.Node)
		}
	}
}
