// Package fleet is the controller's end of the agents: it opens sessions to them, hands over what the store wants of
// them, and writes down what they report. The agents are the gRPC clients, also over streams that the controller opened.
//
// Everything a session needs is derived from the store, so a session may end at any time and the next one, of this
// controller or another, goes on where it ended. What an agent reports is acknowledged only once it is durable here.
package fleet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"aloft/controller/blobs"
	"aloft/controller/logs"
	"aloft/controller/state"
	"aloft/controller/store"
	statev1 "aloft/proto/sky/state/v1"
)

// Protocol is the newest version of the agent protocol spoken here; MinProtocol the oldest.
const (
	Protocol    = 1
	MinProtocol = 1
)

// Times that hold unless options say otherwise.
const (
	DefaultHeartbeat = 15 * time.Second
	DefaultLease     = 60 * time.Second
	handshakeTime    = 30 * time.Second
	redialMin        = 100 * time.Millisecond
	redialMax        = 10 * time.Second
)

// Errors that callers decide on.
var (
	// ErrStale means that an agent has seen a newer controller: this one runs on an old copy of the state.
	ErrStale = errors.New("the agent has seen a newer controller than this one")
	// ErrStranger means that an agent belongs to another node.
	ErrStranger = errors.New("the agent belongs to another node")
	// ErrClosed is returned after Close.
	ErrClosed = errors.New("fleet is closed")
)

// Sealer encrypts and decrypts what must not be at rest in the clear.
type Sealer interface {
	Seal(plain []byte) ([]byte, error)
	Open(sealed []byte) ([]byte, error)
}

// Agent is the binary that nodes should run.
type Agent struct {
	Path    string
	SHA256  string
	Version string
}

// Options are what a Fleet needs. Store, Logs, Blobs and Seal are required.
type Options struct {
	Store        store.Store
	Logs         *logs.Store
	Blobs        *blobs.Store
	Seal         Sealer
	Epoch        uint64 // of this controller's hold of the store
	Installation string
	Shared       bool // other homes have this one's key, and may take its clusters over: agents keep the evidence of ended jobs
	Logger       *slog.Logger
	Heartbeat    time.Duration // pace asked of agents; 0 = DefaultHeartbeat
	Lease        time.Duration // a session that is silent for longer ends; 0 = DefaultLease
	LogWindow    uint64        // bytes in flight per log stream; 0 = 1 MiB
	AgentWindow  uint64        // and per agent; 0 = 8 MiB
	// Agent is the binary for a platform; nodes that run another one are upgraded. nil = none are.
	Agent func(goos, goarch string) (Agent, error)
}

// Fleet holds the sessions of all nodes. It is safe for concurrent use.
type Fleet struct {
	o        Options
	log      *slog.Logger
	ctx      context.Context
	cancel   context.CancelFunc
	received atomic.Uint64 // order in which terminal statuses came
	finisher *finisher

	mu     sync.Mutex
	nodes  map[string]*node
	closed bool
	open   int // sessions
	wg     sync.WaitGroup
}

// node is one agent that is wanted, connected or not.
type node struct {
	clusterID string
	id        string

	mu      sync.Mutex
	dial    func(ctx context.Context) (net.Conn, error)
	up      bool
	err     error         // of the last attempt
	tries   uint64        // attempts that have ended, well or not
	changed chan struct{} // closed when one of these changes
	kick    chan struct{}
}

// New makes a Fleet. Close ends its sessions.
func New(o Options) *Fleet {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Heartbeat <= 0 {
		o.Heartbeat = DefaultHeartbeat
	}
	if o.Lease <= 0 {
		o.Lease = DefaultLease
	}
	if o.LogWindow == 0 {
		o.LogWindow = 1 << 20
	}
	if o.AgentWindow == 0 {
		o.AgentWindow = 8 << 20
	}
	f := &Fleet{o: o, log: o.Logger, nodes: make(map[string]*node)}
	f.ctx, f.cancel = context.WithCancel(context.Background())
	f.received.Store(o.Epoch << 40) // later controllers count on from higher numbers
	f.finisher = newFinisher(f)
	f.wg.Go(func() { f.finisher.run(f.ctx) })
	return f
}

// Close ends all sessions. The agents go on without.
func (f *Fleet) Close() error {
	f.mu.Lock()
	f.closed = true
	f.mu.Unlock()
	f.cancel()
	f.wg.Wait()
	return nil
}

// Sessions is the number of sessions open now.
func (f *Fleet) Sessions() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.open
}

// Connect opens the session of a node's agent over streams that dial opens, and keeps it open: when it ends, the agent is
// dialled again for as long as the store wants the node. It returns when the session is open and recorded, or with the
// error of the first attempt. Connecting a node that has a session does nothing.
func (f *Fleet) Connect(ctx context.Context, c *statev1.Cluster, n *statev1.Node, dial func(ctx context.Context) (net.Conn, error)) error {
	f.mu.Lock()
	if f.closed {
		f.mu.Unlock()
		return ErrClosed
	}
	nd := f.nodes[n.GetId()]
	if nd == nil {
		nd = &node{clusterID: c.GetId(), id: n.GetId(), changed: make(chan struct{}), kick: make(chan struct{}, 1), dial: dial}
		f.nodes[n.GetId()] = nd
		f.wg.Go(func() { f.keep(nd) })
	}
	f.mu.Unlock()
	nd.mu.Lock()
	nd.dial = dial
	tries := nd.tries
	nd.mu.Unlock()
	select {
	case nd.kick <- struct{}{}:
	default:
	}
	for {
		nd.mu.Lock()
		up, err, now, changed := nd.up, nd.err, nd.tries, nd.changed
		nd.mu.Unlock()
		if up {
			return nil
		}
		if now > tries && err != nil {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("connect to %s: %w", n.GetName(), ctx.Err())
		case <-f.ctx.Done():
			return ErrClosed
		}
	}
}

func (nd *node) set(change func()) {
	nd.mu.Lock()
	defer nd.mu.Unlock()
	change()
	close(nd.changed)
	nd.changed = make(chan struct{})
}

// keep dials a node for as long as it is wanted.
func (f *Fleet) keep(nd *node) {
	wait := redialMin
	for f.ctx.Err() == nil {
		began := time.Now()
		err := f.attempt(nd)
		nd.set(func() {
			nd.up, nd.err = false, err
			nd.tries++
		})
		if f.ctx.Err() != nil {
			return
		}
		f.log.Info("agent session ended", "node", nd.id, "err", err)
		if !f.wanted(nd) {
			f.mu.Lock()
			delete(f.nodes, nd.id)
			f.mu.Unlock()
			return
		}
		if time.Since(began) > redialMax {
			wait = redialMin
		}
		t := time.NewTimer(wait + state.Jitter(wait/2, uint64(began.UnixNano()), nd.id))
		select {
		case <-t.C:
			wait = min(2*wait, redialMax)
		case <-nd.kick:
		case <-f.ctx.Done():
		}
		t.Stop()
	}
}

// attempt is one session from the dialling to its end.
func (f *Fleet) attempt(nd *node) error {
	nd.mu.Lock()
	dial := nd.dial
	nd.mu.Unlock()
	ctx, cancel := context.WithTimeout(f.ctx, handshakeTime)
	conn, err := dial(ctx)
	cancel()
	if err != nil {
		return fmt.Errorf("dial the agent: %w", err)
	}
	s := newSession(f, nd)
	err = s.serve(f.ctx, conn)
	if s.recorded {
		f.mu.Lock()
		f.open--
		f.mu.Unlock()
		f.recordEnd(nd, err)
	}
	return err
}

// wanted says whether the store wants an agent on the node.
func (f *Fleet) wanted(nd *node) bool {
	want := true
	err := f.o.Store.View(f.ctx, func(tx store.Tx) error {
		n, err := store.GetNode(tx, nd.id)
		if err != nil {
			return err
		}
		if c, err := store.GetCluster(tx, nd.clusterID); err == nil && c.GetTakenMs() > 0 {
			want = false
			return nil
		}
		p := n.GetPhase()
		want = !state.NodeEnded(p) && p != statev1.NodePhase_NODE_STOPPED && p != statev1.NodePhase_NODE_STOPPING &&
			p != statev1.NodePhase_NODE_DELETING
		return nil
	})
	return want && !errors.Is(err, store.ErrNotFound)
}

// update runs fn in a transaction of the store; errors are logged and returned.
func (f *Fleet) update(ctx context.Context, what string, fn func(store.Tx) error) error {
	if _, err := f.o.Store.Update(ctx, fn); err != nil {
		if ctx.Err() == nil {
			f.log.Error(what, "err", err)
		}
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// recordEnd writes down that a node has no session.
func (f *Fleet) recordEnd(nd *node, cause error) {
	// Also when the fleet is being closed: the next controller must not believe in this session.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(f.ctx), handshakeTime)
	defer cancel()
	reason := "agent disconnected"
	if cause != nil {
		reason += ": " + cause.Error()
	}
	_ = f.update(ctx, "record the end of a session", func(tx store.Tx) error {
		n, err := store.GetNode(tx, nd.id)
		if errors.Is(err, store.ErrNotFound) || err == nil && !n.GetSession() {
			return nil
		}
		if err != nil {
			return err
		}
		n.Session, n.LastSeenMs = false, time.Now().UnixMilli()
		tx.Emit(nodeEvent(n, reason))
		return tx.Put(store.Node, n.GetId(), n)
	})
}

func nodeEvent(n *statev1.Node, reason string) *statev1.Event {
	p := state.PhaseName(n.GetPhase())
	return &statev1.Event{
		Kind: string(store.Node), Id: n.GetId(), ClusterId: n.GetClusterId(), OldPhase: p, NewPhase: p, Actor: "fleet",
		Reason: reason, AtMs: time.Now().UnixMilli(), Name: n.GetName(),
	}
}
