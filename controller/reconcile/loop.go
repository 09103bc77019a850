// Package reconcile makes the world follow the records: it asks the planner what to do, writes down what must be
// durable, makes the calls outside any transaction, and records what they found. It keeps nothing in memory that a
// restart would miss.
package reconcile

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"net"
	"sync"
	"time"

	"aloft/controller/plan"
	"aloft/controller/state"
	"aloft/controller/store"
	statev1 "aloft/proto/sky/state/v1"
	"aloft/providers"
)

// Providers finds a provider by name.
type Providers interface {
	Get(name string) (providers.Provider, error)
}

// Shipper puts the agent on a machine and sees to it that it runs. It may be called again at any time.
type Shipper interface {
	Ship(ctx context.Context, c *statev1.Cluster, n *statev1.Node, sh providers.Shell) error
}

// Connector opens a session to the agent of a node over streams that dial opens. It returns once the session is
// established and recorded (node.session), or with an error; it keeps the session after that.
type Connector interface {
	Connect(ctx context.Context, c *statev1.Cluster, n *statev1.Node, dial func(ctx context.Context) (net.Conn, error)) error
}

// DialFunc opens a stream to the agent that Ship put on a machine.
type DialFunc func(ctx context.Context, c *statev1.Cluster, n *statev1.Node, sh providers.Shell) (net.Conn, error)

// Options are the ports and numbers of a Loop.
type Options struct {
	Store     store.Store
	Providers Providers
	Shipper   Shipper
	Connector Connector
	Dial      DialFunc
	// Keys gives the keys of a machine that is reached over SSH; nil = there are none.
	Keys      func(c *statev1.Cluster, n *statev1.Node) providers.Keys
	Policy    plan.Policy
	Workers   int           // clusters planned at the same time, most of them waiting for the disk; 0 = 64
	Parallel  int           // calls under way at the same time; 0 = 64
	CallLimit time.Duration // longest call to a provider; 0 = 2 min
	ShipLimit time.Duration // longest installation of an agent; 0 = 5 min
	// Crash is told every point of Points as it is passed; nil = nobody. A test ends the controller in it.
	Crash func(point string)
	Log   *slog.Logger // nil = none
}

// Loop is the reconciler.
type Loop struct {
	o         Options
	recovered chan struct{}
	slots     chan struct{} // one per call under way
	blocks    blocks
	effects   sync.WaitGroup

	mu       sync.Mutex
	queue    []string
	signal   chan struct{}
	clusters map[string]*cluster
	closed   bool
}

// cluster is what is under way for one cluster. Its fields but queued, running, obs and timer belong to the one worker
// that runs it.
type cluster struct {
	queued, running bool
	obs             []plan.Observation
	waiters         []chan struct{} // closed once the observations queued before are recorded
	timer           *time.Timer
	busy            map[string]bool
	looks           map[string]time.Time
	cancel          map[string]context.CancelFunc // by node: the call that may be given up when nobody wants the node
	failures        int
}

// New makes a Loop.
func New(o Options) *Loop {
	if o.Workers == 0 {
		o.Workers = 64
	}
	if o.Parallel == 0 {
		o.Parallel = 64
	}
	if o.CallLimit == 0 {
		o.CallLimit = 2 * time.Minute
	}
	if o.ShipLimit == 0 {
		o.ShipLimit = 5 * time.Minute
	}
	if o.Crash == nil {
		o.Crash = func(string) {}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.Policy = o.Policy.WithDefaults()
	return &Loop{
		o: o, recovered: make(chan struct{}), slots: make(chan struct{}, o.Parallel),
		signal: make(chan struct{}, 1), clusters: map[string]*cluster{}, blocks: blocks{policy: o.Policy, by: map[string][]*statev1.Block{}},
	}
}

// Recovered is closed once everything that was under way when the last controller ended is in the queue again.
func (l *Loop) Recovered() <-chan struct{} { return l.recovered }

// Kick has a cluster looked at now.
func (l *Loop) Kick(clusterID string) { l.enqueue(clusterID, nil) }

// Run works until ctx ends. Calls under way are given up then; what they may have done is found again by the next Run.
func (l *Loop) Run(ctx context.Context) error {
	rev, err := l.recover(ctx)
	if err != nil {
		return err
	}
	close(l.recovered)
	var wg sync.WaitGroup
	for range l.o.Workers {
		wg.Go(func() { l.work(ctx) })
	}
	wg.Go(func() { l.watch(ctx, rev) })
	wg.Wait()
	l.mu.Lock()
	l.closed = true
	for _, c := range l.clusters {
		if c.timer != nil {
			c.timer.Stop()
		}
	}
	l.mu.Unlock()
	l.effects.Wait()
	return ctx.Err()
}

// watch turns events that others cause into work.
func (l *Loop) watch(ctx context.Context, from store.Rev) {
	for ctx.Err() == nil {
		for ev, err := range l.o.Store.Watch(ctx, from, store.Filter{}) {
			if err != nil {
				if ctx.Err() != nil {
					return
				}
				l.o.Log.Warn("watch interrupted, looking at everything", "err", err)
				break
			}
			from = max(from, store.Rev(ev.GetRev()))
			if ev.GetActor() != actor && ev.GetClusterId() != "" {
				l.enqueue(ev.GetClusterId(), nil)
			}
		}
		if ctx.Err() != nil {
			return
		}
		from = l.everything(ctx)
		pause(ctx, time.Second)
	}
}

// actor is who the events of this package are by.
const actor = "reconcile"

// everything queues every living cluster and returns the revision seen.
func (l *Loop) everything(ctx context.Context) store.Rev {
	var rev store.Rev
	err := l.o.Store.View(ctx, func(tx store.Tx) error {
		rev = tx.Rev()
		for _, c := range store.Clusters(tx) {
			if c.GetEndedMs() == 0 {
				l.enqueue(c.GetId(), nil)
			}
		}
		return nil
	})
	if err != nil {
		l.o.Log.Warn("list clusters", "err", err)
	}
	return rev
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// enqueue queues a cluster, with what an effect found out for it.
func (l *Loop) enqueue(id string, o *plan.Observation) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	c := l.clusters[id]
	if c == nil {
		c = &cluster{busy: map[string]bool{}, looks: map[string]time.Time{}, cancel: map[string]context.CancelFunc{}}
		l.clusters[id] = c
	}
	if o != nil {
		c.obs = append(c.obs, *o)
	}
	if c.queued {
		return
	}
	c.queued = true
	if !c.running {
		l.push(id)
	}
}

func (l *Loop) push(id string) {
	l.queue = append(l.queue, id)
	select {
	case l.signal <- struct{}{}:
	default:
	}
}

// work takes clusters off the queue until ctx ends.
func (l *Loop) work(ctx context.Context) {
	for {
		l.mu.Lock()
		if len(l.queue) == 0 {
			l.mu.Unlock()
			select {
			case <-ctx.Done():
				return
			case <-l.signal:
				continue
			}
		}
		if ctx.Err() != nil {
			l.mu.Unlock()
			return
		}
		id := l.queue[0]
		l.queue = l.queue[1:]
		if len(l.queue) > 0 {
			select {
			case l.signal <- struct{}{}:
			default:
			}
		}
		c := l.clusters[id]
		c.queued, c.running = false, true
		obs, waiters := c.obs, c.waiters
		c.obs, c.waiters = nil, nil
		l.mu.Unlock()

		ended := l.step(ctx, id, c, obs)

		l.mu.Lock()
		for _, w := range waiters {
			close(w)
		}
		c.running = false
		switch {
		case c.queued:
			l.push(id)
		case ended && len(c.busy) == 0:
			if c.timer != nil {
				c.timer.Stop()
			}
			delete(l.clusters, id)
		}
		l.mu.Unlock()
	}
}

// step plans one cluster once: observations in, records written, calls started, timer set.
func (l *Loop) step(ctx context.Context, id string, c *cluster, obs []plan.Observation) (ended bool) {
	var d *plan.Draft
	var effects []plan.Action
	run := func(tx store.Tx) (err error) {
		defer fence(&err)
		s, err := l.load(tx, id)
		if err != nil {
			return err
		}
		s.Busy, s.Looks = maps.Clone(c.busy), maps.Clone(c.looks)
		d = plan.NewDraft(s, time.Now())
		for _, o := range obs {
			d.Observe(o)
		}
		effects = d.Settle()
		return nil
	}
	if err := l.o.Store.View(ctx, run); err != nil {
		if errors.Is(err, store.ErrNotFound) {
			return true
		}
		l.failed(ctx, id, c, obs, err)
		return false
	}
	if d.Dirty() {
		before, after := commitPoints(obs, effects)
		l.o.Crash(before)
		_, err := l.o.Store.Update(ctx, func(tx store.Tx) error {
			if err := run(tx); err != nil {
				return err
			}
			return save(tx, d)
		})
		if err != nil {
			l.failed(ctx, id, c, obs, err)
			return false
		}
		l.o.Crash(after)
		l.log(d)
		if d.ClusterDirty {
			l.blocks.keep(d.Cluster, d.Now)
		}
	}
	c.failures = 0
	c.busy, c.looks = d.Busy, d.Looks
	for _, a := range effects {
		l.start(ctx, id, c, d, a)
	}
	for node, cancel := range c.cancel {
		if !c.busy[node] {
			delete(c.cancel, node)
		} else if n := findNode(d.Nodes, node); n == nil || n.GetDesired() != statev1.NodeDesired_NODE_DESIRED_UP {
			cancel()
		}
	}
	ended = d.Cluster.GetEndedMs() > 0
	if !ended {
		// A few nanoseconds of its own keep the timers of clusters apart: simulations depend on their order.
		l.arm(id, c, time.Until(d.Wake)+state.Jitter(10*time.Microsecond, l.o.Policy.Seed, id, d.Wake.String()))
	}
	return ended
}

// failed puts a step that could not be written back: its observations come first next time.
func (l *Loop) failed(ctx context.Context, id string, c *cluster, obs []plan.Observation, err error) {
	if ctx.Err() != nil {
		return
	}
	c.failures++
	l.o.Log.Error("cannot write records, trying again", "cluster", id, "err", err)
	l.mu.Lock()
	c.obs = append(obs, c.obs...)
	l.mu.Unlock()
	d := min(time.Second<<min(c.failures, 6), time.Minute)
	l.arm(id, c, d+state.Jitter(d/4, l.o.Policy.Seed, id, "store"))
}

// arm sets the one timer of a cluster.
func (l *Loop) arm(id string, c *cluster, d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.timer != nil {
		c.timer.Stop()
	}
	if l.closed {
		return
	}
	c.timer = time.AfterFunc(max(d, 0), func() { l.enqueue(id, nil) })
}

func findNode(ns []*statev1.Node, id string) *statev1.Node {
	for _, n := range ns {
		if n.GetId() == id {
			return n
		}
	}
	return nil
}

// log writes one line for each change of phase.
func (l *Loop) log(d *plan.Draft) {
	for _, ev := range d.Events {
		l.o.Log.Info(ev.GetKind(), "cluster", d.Cluster.GetName(), "name", ev.GetName(), "from", ev.GetOldPhase(), "to", ev.GetNewPhase(), "reason", ev.GetReason())
	}
}
