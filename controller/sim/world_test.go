package sim_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"aloft/controller/desired"
	"aloft/controller/plan"
	"aloft/controller/reconcile"
	"aloft/controller/state"
	"aloft/controller/store"
	"aloft/controller/store/boltstore"
	"aloft/controller/sweep"
	statev1 "aloft/proto/sky/state/v1"
	"aloft/providers"
	"aloft/providers/fake"
)

// scenario is what one run is about; the zero value is the hostile cloud of the leak model with tokens.
type scenario struct {
	idempotency providers.Idempotency
	claim       *providers.Capabilities // what the cloud says of itself; nil = the truth
	owns        func(*statev1.Intent, providers.Instance) bool
	noSweep     bool
	mild        bool // no faults, no crashes
	crash       int  // one in so many points is a crash; 0 = 40
	// ttl is how long a machine lives without being wanted longer. The usual one is beyond the end of the world, so that
	// it hides no leak.
	ttl time.Duration
}

const (
	lag      = 60 * time.Second
	lateness = 90 * time.Second
	stormy   = 60 * time.Minute // faults, crashes and user actions
	calm     = 60 * time.Minute // reconcile and sweep only
)

// world is a cloud, a store, a controller that dies and comes back, and users.
type world struct {
	t     *testing.T
	s     scenario
	seed  uint64
	rng   *rand.Rand
	cloud *fake.Cloud
	path  string

	mu   sync.Mutex
	gate *gate // the store as the present controller sees it
	ctl  *controller
	calm atomic.Bool
	seen map[string]int // keys drawn for
	died map[string]int // by point
	dies int
	done chan struct{}
}

// gate is a store that a dead controller cannot reach.
type gate struct {
	store.Store
	dead atomic.Bool
}

var errDead = errors.New("the controller is dead")

func (g *gate) View(ctx context.Context, fn func(store.Tx) error) error {
	if g.dead.Load() {
		return errDead
	}
	return g.Store.View(ctx, fn)
}

func (g *gate) Update(ctx context.Context, fn func(store.Tx) error) (store.Rev, error) {
	if g.dead.Load() {
		return 0, errDead
	}
	return g.Store.Update(ctx, fn)
}

// controller is one life of the controller.
type controller struct {
	loop   *reconcile.Loop
	gate   *gate
	cancel context.CancelFunc
	died   chan struct{}
	once   sync.Once
}

func (c *controller) die() {
	c.once.Do(func() {
		c.gate.dead.Store(true)
		c.cancel()
		close(c.died)
	})
}

// places is the one provider there is, with a shell.
type places struct{ p providers.Provider }

func (p places) Get(string) (providers.Provider, error) { return p.p, nil }
func (p places) Enabled(context.Context) []string       { return []string{p.p.Name()} }

// shelled adds a shell to the fake cloud: nothing is run, the agents are the world's.
type shelled struct{ *fake.Cloud }

func (s shelled) Shell(context.Context, providers.Instance, providers.Keys) (providers.Shell, error) {
	return noShell{}, nil
}

type noShell struct{}

func (noShell) Run(context.Context, providers.Cmd) (providers.Exit, error) {
	return providers.Exit{}, nil
}
func (noShell) Dial(context.Context, string, string) (net.Conn, error) {
	return nil, errors.New("not in this world")
}
func (noShell) Close() error { return nil }

// keyed is a random source for the n-th time of key, whatever else happens.
func (w *world) keyed(key string) *rand.Rand {
	w.mu.Lock()
	w.seen[key]++
	n := w.seen[key]
	w.mu.Unlock()
	h := fnv.New64a()
	fmt.Fprintf(h, "%s/%d", key, n)
	return rand.New(rand.NewPCG(w.seed, h.Sum64()))
}

// Ship takes a while and sometimes fails.
func (w *world) Ship(ctx context.Context, _ *statev1.Cluster, n *statev1.Node, _ providers.Shell) error {
	r := w.keyed("ship/" + n.GetId())
	return w.work(ctx, r, 20*time.Second)
}

// Connect records the session, as the fleet does.
func (w *world) Connect(ctx context.Context, _ *statev1.Cluster, n *statev1.Node, _ func(context.Context) (net.Conn, error)) error {
	r := w.keyed("connect/" + n.GetId())
	if err := w.work(ctx, r, 3*time.Second); err != nil {
		return err
	}
	if !w.runs(n.GetInstanceId()) {
		return errors.New("connection refused")
	}
	w.mu.Lock()
	g := w.gate
	w.mu.Unlock()
	err := w.session(ctx, g, n.GetId(), true)
	time.Sleep(time.Microsecond) // let the event be worked on before the answer
	return err
}

func (w *world) work(ctx context.Context, r *rand.Rand, limit time.Duration) error {
	t := time.NewTimer(time.Duration(1 + r.Int64N(int64(limit))))
	defer t.Stop()
	select {
	case <-ctx.Done():
		// Several calls are given up at the same instant; each notices at one of its own, or their order would be chance.
		time.Sleep(time.Duration(1 + r.Int64N(int64(time.Microsecond))))
		return ctx.Err()
	case <-t.C:
	}
	if !w.calm.Load() && !w.s.mild && r.IntN(10) == 0 {
		return errors.New("broken pipe")
	}
	return nil
}

func (w *world) runs(instance string) bool {
	for _, l := range w.cloud.Lives() {
		if l.ID == instance {
			return l.State == providers.InstanceRunning
		}
	}
	return false
}

func (w *world) session(ctx context.Context, st store.Store, node string, open bool) error {
	_, err := st.Update(ctx, func(tx store.Tx) error {
		n, err := store.GetNode(tx, node)
		if err != nil || n.GetSession() == open {
			return err
		}
		n.Session = open
		tx.Emit(&statev1.Event{Kind: "node", Id: node, ClusterId: n.GetClusterId(), Actor: "fleet", Reason: fmt.Sprint("session ", open), AtMs: time.Now().UnixMilli(), Name: n.GetName()})
		return tx.Put(store.Node, node, n)
	})
	return err
}

// crash is the hook of the reconciler: it may end the controller at a point, and then nothing after it runs.
func (w *world) crash(c *controller, point string) {
	if c.gate.dead.Load() {
		runtime.Goexit()
	}
	if w.calm.Load() || w.s.mild {
		return
	}
	rate := w.s.crash
	if rate == 0 {
		rate = 40
	}
	if w.keyed("crash/"+point).IntN(rate) == 0 {
		// Whoever runs at this very instant runs to its next wait first: goroutines of one instant have no order, and the
		// same seed must give the same story.
		time.Sleep(time.Nanosecond)
		w.mu.Lock()
		w.died[point]++
		w.mu.Unlock()
		c.die()
		runtime.Goexit()
	}
}

// newWorld makes the world of a seed.
func newWorld(t *testing.T, dir string, seed uint64, s scenario) *world {
	w := &world{
		t: t, s: s, seed: seed, rng: rand.New(rand.NewPCG(seed, 7)), seen: map[string]int{}, died: map[string]int{}, done: make(chan struct{}),
		path: filepath.Join(dir, fmt.Sprintf("state-%d.db", seed)),
	}
	cfg := fake.Config{
		Idempotency: s.idempotency, Claim: s.claim, Lag: lag, Lateness: lateness, CallTime: 3 * time.Second, Boot: 40 * time.Second,
		Linger: 10 * time.Minute, PreemptWithin: 40 * time.Minute, Rand: rand.New(rand.NewPCG(seed, 3)),
		Faults: fake.Faults{
			CreateLost: 0.1, CreateLate: 0.1, CreateFail: 0.05, Capacity: 0.05, Quota: 0.02, Throttle: 0.02, DescribeFail: 0.05,
			DeleteFail: 0.1, DeleteLost: 0.05, StopFail: 0.1, StopLate: 0.05, Preempt: 0.1,
		},
	}
	if s.mild {
		cfg.Faults = fake.Faults{}
	}
	w.cloud = fake.New(cfg)
	return w
}

// live runs controllers one after another until the world ends.
func (w *world) live() {
	for n := 0; ; n++ {
		st, err := boltstore.Open(w.path, boltstore.Options{NoSync: true, Installation: "sim"})
		if err != nil {
			w.t.Errorf("open store: %v", err)
			return
		}
		ctx, cancel := context.WithCancel(context.Background())
		c := &controller{gate: &gate{Store: st}, cancel: cancel, died: make(chan struct{})}
		c.loop = reconcile.New(reconcile.Options{
			Store: c.gate, Providers: places{shelled{w.cloud}}, Shipper: w, Connector: w, Workers: 1,
			Policy: plan.Policy{Seed: w.seed, Hold: 12 * time.Minute, RoundMax: 2 * time.Minute, TTL: w.s.ttl, FirstLease: leaseOf(w.s.ttl)},
			Crash:  func(point string) { w.crash(c, point) },
		})
		w.mu.Lock()
		w.gate, w.ctl = c.gate, c
		w.mu.Unlock()
		var wg sync.WaitGroup
		wg.Go(func() { _ = c.loop.Run(ctx) })
		if !w.s.noSweep {
			sw := sweep.New(sweep.Options{
				Store: c.gate, Providers: places{shelled{w.cloud}}, Every: 3 * time.Minute, Seed: w.seed + uint64(n), Owns: w.s.owns,
			})
			wg.Go(func() { _ = sw.Run(ctx, nil) })
		}
		select {
		case <-c.died:
			w.dies++
		case <-w.done:
			c.die()
		}
		wg.Wait()
		w.mu.Lock()
		w.gate, w.ctl = nil, nil
		w.mu.Unlock()
		if err := st.Close(); err != nil {
			w.t.Errorf("close store: %v", err)
		}
		select {
		case <-w.done:
			return
		default:
		}
		time.Sleep(time.Duration(1 + w.keyed("restart").Int64N(int64(time.Minute))))
	}
}

// act runs fn on the store of the controller that lives now; false when none does.
func (w *world) act(fn func(tx store.Tx) error) bool {
	w.mu.Lock()
	g := w.gate
	w.mu.Unlock()
	if g == nil {
		return false
	}
	_, err := g.Update(context.Background(), fn)
	var refused *desired.Error
	if err != nil && !errors.Is(err, errDead) && !errors.As(err, &refused) && !errors.Is(err, store.ErrClosed) {
		w.t.Errorf("seed %d: verb: %v", w.seed, err)
	}
	return err == nil
}

// users do things at random; agents run what they are given.
func (w *world) users() {
	end := time.Now().Add(stormy)
	for i := 0; time.Now().Before(end); i++ {
		time.Sleep(time.Duration(1 + w.rng.Int64N(int64(40*time.Second))))
		name := fmt.Sprintf("c%d", w.rng.IntN(2))
		t := desired.Target{Project: "p", Name: name, Now: time.Now()}
		x := w.rng.IntN(100)
		nodes := int32(1 + w.rng.IntN(3))
		retry := w.rng.IntN(3) == 0
		w.act(func(tx store.Tx) error {
			switch {
			case x < 30:
				_, err := desired.Launch(tx, desired.LaunchSpec{
					Project: "p", ClusterName: name, Seed: fmt.Sprintf("%d/%d", w.seed, i), HasJob: true, WithSetup: true, RetryUntilUp: retry,
					Task: &statev1.TaskSpec{NumNodes: nodes, Run: "true", Setup: "true"}, Candidates: candidates(), Now: t.Now,
				})
				return err
			case x < 36:
				_, err := desired.Down(tx, t, false)
				return err
			case x < 41:
				_, err := desired.Stop(tx, t)
				return err
			case x < 47:
				_, err := desired.Start(tx, t, desired.StartSpec{})
				return err
			case x < 50:
				_, err := desired.Cancel(tx, desired.CancelSpec{Target: t, All: true})
				return err
			}
			return nil
		})
		time.Sleep(time.Microsecond)
		w.agents()
	}
	w.calm.Store(true)
	w.cloud.Quiet()
	for end := time.Now().Add(calm); time.Now().Before(end); {
		time.Sleep(time.Duration(1 + w.rng.Int64N(int64(2*time.Minute))))
		w.agents()
	}
}

// agents end sessions of machines that do not run and jobs that do.
func (w *world) agents() {
	lives := map[string]providers.InstanceState{}
	for _, l := range w.cloud.Lives() {
		lives[l.ID] = l.State
	}
	if !w.anything(lives) {
		return
	}
	r := rand.New(rand.NewPCG(w.seed, uint64(time.Now().UnixNano())))
	w.act(func(tx store.Tx) error {
		sessions := map[string]bool{}
		for _, c := range store.Clusters(tx) {
			for _, n := range store.NodesOf(tx, c.GetId()) {
				alive := lives[n.GetInstanceId()] == providers.InstanceRunning
				sessions[n.GetId()] = n.GetSession() && alive
				if n.GetSession() && !alive {
					n.Session = false
					tx.Emit(&statev1.Event{Kind: "node", Id: n.GetId(), ClusterId: c.GetId(), Actor: "fleet", Reason: "session ended", AtMs: time.Now().UnixMilli()})
					if err := tx.Put(store.Node, n.GetId(), n); err != nil {
						return err
					}
				}
			}
		}
		for _, j := range store.OpenJobs(tx) {
			old := j.GetPhase()
			var changed bool
			for _, rank := range j.GetRanks() {
				if state.RankEnded(rank.GetPhase()) || !sessions[rank.GetNodeId()] || r.IntN(4) > 0 {
					continue
				}
				rank.Phase, rank.EndedMs, rank.Received, changed = statev1.RankPhase_RANK_EXITED, time.Now().UnixMilli(), uint64(time.Now().UnixMilli()), true
				if j.GetDesired() == "cancel" {
					rank.Phase = statev1.RankPhase_RANK_KILLED
				}
			}
			if !changed {
				continue
			}
			state.FoldJob(j)
			j.ResultsComplete = state.JobEnded(j.GetPhase())
			tx.Emit(&statev1.Event{Kind: "job", Id: j.GetId(), ClusterId: j.GetClusterId(), OldPhase: state.PhaseName(old), NewPhase: state.PhaseName(j.GetPhase()), Actor: "fleet", AtMs: time.Now().UnixMilli()})
			if err := tx.Put(store.Job, j.GetId(), j); err != nil {
				return err
			}
		}
		return nil
	})
}

// anything reports whether agents have something to say: a commit without news is a waste of the machine's time.
func (w *world) anything(lives map[string]providers.InstanceState) bool {
	w.mu.Lock()
	g := w.gate
	w.mu.Unlock()
	if g == nil {
		return false
	}
	var news bool
	_ = g.View(context.Background(), func(tx store.Tx) error {
		news = len(store.OpenJobs(tx)) > 0
		for _, n := range store.List[statev1.Node](tx, store.Node, store.ByPhase, statev1.NodePhase_NODE_READY.String()) {
			news = news || n.GetSession() && lives[n.GetInstanceId()] != providers.InstanceRunning
		}
		return nil
	})
	return news
}

func candidates() []*statev1.Candidate {
	var out []*statev1.Candidate
	for _, o := range fake.DefaultOffers() {
		if o.InstanceType == "cpu-2" {
			out = append(out, &statev1.Candidate{
				Provider: "fake", Region: o.Region, Zone: o.Zone, InstanceType: o.InstanceType, Cpus: o.CPUs, MemoryGb: o.MemoryGB, HourlyPrice: o.HourlyPrice,
			})
		}
	}
	return out
}

// outcome is what a run came to.
type outcome struct {
	leaked, duplicates, stuck []string
	machines, crashes, events int
	hash                      string
	died                      map[string]int // by point
	log                       []string       // every event, and every machine
}

// judge looks at the world after its end.
func (w *world) judge() outcome {
	st, err := boltstore.Open(w.path, boltstore.Options{NoSync: true, Installation: "sim"})
	if err != nil {
		w.t.Fatalf("open store: %v", err)
	}
	defer st.Close()
	out := outcome{crashes: w.dies, died: w.died}
	lives := w.cloud.Lives()
	out.machines = len(lives)
	h := sha256.New()
	err = st.View(context.Background(), func(tx store.Tx) error {
		slots := map[string]string{}
		owned := map[string]bool{}
		for _, c := range store.Clusters(tx) {
			nodes := store.NodesOf(tx, c.GetId())
			for _, n := range nodes {
				slots[n.GetId()] = fmt.Sprintf("%s/%d", c.GetId(), n.GetSlot())
				if !state.NodeEnded(n.GetPhase()) && n.GetInstanceId() != "" {
					owned[n.GetInstanceId()] = true
				}
				for _, in := range tx.Intents(n.GetId()) {
					if in.GetPhase() == statev1.IntentPhase_INTENT_ISSUED {
						out.stuck = append(out.stuck, fmt.Sprintf("intent of node %s is still waiting (%v)", n.GetId(), n.GetPhase()))
					}
				}
			}
			out.stuck = append(out.stuck, w.stuck(c, nodes, lives)...)
			evs, err := tx.Events(0, store.Filter{ClusterID: c.GetId()}, 1<<20)
			if err != nil {
				return err
			}
			for _, ev := range evs {
				out.events++
				out.log = append(out.log, fmt.Sprintf("%13d %s %s: %s -> %s by %s: %s", ev.GetAtMs(), ev.GetKind(), ev.GetId(), ev.GetOldPhase(), ev.GetNewPhase(), ev.GetActor(), ev.GetReason()))
				fmt.Fprintf(h, "%s %s %s %s %s %s %d\n", ev.GetKind(), ev.GetId(), ev.GetOldPhase(), ev.GetNewPhase(), ev.GetActor(), ev.GetReason(), ev.GetAtMs())
			}
		}
		for _, j := range store.OpenJobs(tx) {
			if j.GetPhase() == statev1.JobPhase_JOB_QUEUED || time.Since(time.UnixMilli(j.GetSubmittedMs())) > calm/2 {
				out.stuck = append(out.stuck, fmt.Sprintf("job %s of %s is still %v", j.GetId(), j.GetClusterName(), j.GetPhase()))
			}
		}
		for _, l := range lives {
			out.log = append(out.log, fmt.Sprintf("%13d machine %s of node %s until %d (%s)", l.Created.UnixMilli(), l.ID, l.Tags.NodeID, l.Ended.UnixMilli(), l.Reason))
			fmt.Fprintf(h, "%s %d %d\n", l.ID, l.Created.UnixNano(), l.Ended.UnixNano())
			if l.Ended.IsZero() && !owned[l.ID] {
				out.leaked = append(out.leaked, l.ID)
			}
		}
		for i, a := range lives {
			for _, b := range lives[:i] {
				if slots[a.Tags.NodeID] == slots[b.Tags.NodeID] && overlap(a, b) {
					out.duplicates = append(out.duplicates, a.ID+" beside "+b.ID)
				}
			}
		}
		return nil
	})
	if err != nil {
		w.t.Fatalf("judge: %v", err)
	}
	out.hash = fmt.Sprintf("%x", h.Sum(nil))[:16]
	return out
}

func overlap(a, b fake.Life) bool {
	return (b.Ended.IsZero() || a.Created.Before(b.Ended)) && (a.Ended.IsZero() || b.Created.Before(a.Ended))
}

// stuck lists what of a cluster is not as it should be after the calm.
func (w *world) stuck(c *statev1.Cluster, nodes []*statev1.Node, lives []fake.Life) []string {
	var out []string
	bad := func(format string, args ...any) {
		out = append(out, fmt.Sprintf("cluster %s (%s): ", c.GetId(), strings.TrimPrefix(c.GetDesired().String(), "CLUSTER_DESIRED_"))+fmt.Sprintf(format, args...))
	}
	status := state.ClusterStatus(c, nodes)
	var open int
	for _, b := range c.GetBilling() {
		if b.GetEndMs() == 0 {
			open++
		}
	}
	switch c.GetDesired() {
	case statev1.ClusterDesired_CLUSTER_DESIRED_DOWN:
		if status != state.ClusterTerminated {
			bad("is %s", status)
		}
	case statev1.ClusterDesired_CLUSTER_DESIRED_STOPPED:
		if status != state.ClusterStopped && status != state.ClusterTerminated && status != state.ClusterInit {
			bad("is %s", status)
		}
	case statev1.ClusterDesired_CLUSTER_DESIRED_UP:
		if status != state.ClusterUp && status != state.ClusterTerminated && status != state.ClusterInit {
			bad("is %s", status)
		}
	}
	if status == state.ClusterTerminated && open > 0 {
		bad("is still billed")
	}
	for _, n := range nodes {
		settled := state.NodeEnded(n.GetPhase()) ||
			n.GetPhase() == statev1.NodePhase_NODE_READY && n.GetDesired() == statev1.NodeDesired_NODE_DESIRED_UP && n.GetSession() ||
			n.GetPhase() == statev1.NodePhase_NODE_STOPPED && n.GetDesired() == statev1.NodeDesired_NODE_DESIRED_STOPPED
		if !settled {
			bad("node %s is %v, wanted %v, tries %d, session %v", n.GetId(), n.GetPhase(), n.GetDesired(), n.GetTries(), n.GetSession())
		}
		i := slices.IndexFunc(lives, func(l fake.Life) bool { return l.ID == n.GetInstanceId() })
		switch {
		case n.GetInstanceId() == "":
		case i < 0:
			bad("node %s is bound to a machine that never was", n.GetId())
		case n.GetPhase() == statev1.NodePhase_NODE_READY && lives[i].State != providers.InstanceRunning,
			n.GetPhase() == statev1.NodePhase_NODE_STOPPED && lives[i].State != providers.InstanceStopped:
			bad("node %s is %v, its machine is in state %d", n.GetId(), n.GetPhase(), lives[i].State)
		}
	}
	return out
}

// leaseOf is the first lease of machines: no lease is to hide a leak, unless leases are what is tried.
func leaseOf(ttl time.Duration) time.Duration {
	if ttl > 0 {
		return ttl
	}
	return 7 * 24 * time.Hour
}
