package sim_test

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"aloft/controller/api"
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
	others      []providers.Idempotency // of further clouds, to which launches fail over
	claim       *providers.Capabilities // what the cloud says of itself; nil = the truth
	owns        func(*statev1.Intent, providers.Instance) bool
	noSweep     bool
	mild        bool // no faults, no crashes
	crash       int  // one in so many points is a crash; 0 = 40
	// ttl is how long a machine lives without being wanted longer. The usual one is beyond the end of the world, so that
	// it hides no leak.
	ttl      time.Duration
	broken   rule    // what is broken, to prove that it would be noticed; 0 = nothing
	campaign bool    // one cluster from its launch to its end, else users at random
	failover bool    // the first places refuse
	target   *target // of a campaign: where the controller dies
}

// rule is one that a run can break.
type rule int

const (
	_ rule = iota // nothing is

	freshTokens  // R2: every call has a token of its own
	noLeaseAsked // the lease: machines are asked for without an end
	leaseIgnored // the lease: the place says that it ends machines, and does not
	noFinish     // what a cluster shared is never removed
	writeAfter   // R1: the intent is written with the answer of its call, so the death of a controller loses it
)

const (
	lag      = 60 * time.Second
	lateness = 90 * time.Second
	stormy   = 60 * time.Minute // faults, crashes and user actions
	calm     = 60 * time.Minute // reconcile and sweep only
)

// world is a cloud, a store, a controller that dies and comes back, and users.
type world struct {
	t      *testing.T
	s      scenario
	seed   uint64
	rng    *rand.Rand
	clouds places
	path   string

	mu   sync.Mutex
	gate *gate // the store as the present controller sees it
	ctl  *controller
	calm atomic.Bool
	seen map[string]int // keys drawn for
	died map[cell]int
	dies int
	done chan struct{}

	verb    string       // what is asked for at present, of a campaign
	passed  map[cell]int // points by verb
	forever bool         // no controller comes back
	jumped  time.Duration
	overdue []string // machines that outlived every lease
	request int      // launches asked for
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
	api    *api.Server
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
	for _, l := range w.clouds.lives() {
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
	now := w.pass(point)
	if !now && (w.calm.Load() || w.s.mild) {
		return
	}
	rate := w.s.crash
	if rate == 0 {
		rate = 40
	}
	if now && w.s.target.asleep {
		time.Sleep(2 * time.Hour)
		return
	}
	if now || w.keyed("crash/"+point).IntN(rate) == 0 {
		// Whoever runs at this very instant runs to its next wait first: goroutines of one instant have no order, and the
		// same seed must give the same story.
		time.Sleep(time.Nanosecond)
		w.mu.Lock()
		w.died[cell{w.verb, point}]++
		w.forever = w.forever || now && w.s.target.forever
		w.mu.Unlock()
		c.die()
		runtime.Goexit()
	}
}

// pass counts a point and reports whether the controller is to die here.
func (w *world) pass(point string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	at := cell{w.verb, point}
	w.passed[at]++
	t := w.s.target
	return t != nil && t.cell == at && t.nth == w.passed[at]
}

// newWorld makes the world of a seed.
func newWorld(t *testing.T, dir string, seed uint64, s scenario) *world {
	w := &world{
		t: t, s: s, seed: seed, rng: rand.New(rand.NewPCG(seed, 7)), seen: map[string]int{}, died: map[cell]int{}, passed: map[cell]int{},
		done: make(chan struct{}),
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
	for i, kind := range append([]providers.Idempotency{s.idempotency}, s.others...) {
		cfg.Name, cfg.Idempotency, cfg.Rand = cloudNames[i], kind, rand.New(rand.NewPCG(seed, uint64(3+i)))
		if s.failover {
			cfg.Refuse, cfg.Capacity = refusals(i), map[string]int{"west-a": 1}
		}
		k := placeMoves
		if s.campaign && !s.target.extends() {
			k = keeper((i + int(seed)/3) % 3)
		}
		w.clouds = append(w.clouds, newPlace(&w.s, k, cfg))
	}
	return w
}

// refusals are those of the first places that a launch tries: zone, region, then a whole cloud.
func refusals(cloud int) map[string]providers.Error {
	switch cloud {
	case 0:
		return map[string]providers.Error{
			"east-a": {Kind: providers.Capacity, Scope: providers.ScopeZone, Code: "no-capacity"},
			"north":  {Kind: providers.Quota, Scope: providers.ScopeRegion, Code: "quota"},
		}
	case 1:
		auth := providers.Error{Kind: providers.Auth, Scope: providers.ScopeAccount, Code: "denied"}
		return map[string]providers.Error{"east": auth, "north": auth, "west": auth}
	}
	return nil
}

// cloudNames are those of the clouds of a world.
var cloudNames = []string{"fake", "second", "third"}

// live runs controllers one after another until the world ends.
func (w *world) live() {
	for n := 0; ; n++ {
		st, err := boltstore.Open(w.path, boltstore.Options{NoSync: true, Installation: "sim"})
		if err != nil {
			w.t.Errorf("open store: %v", err)
			return
		}
		if r := w.keyed("jump"); w.s.campaign && n > 0 && r.IntN(8) == 0 {
			by := time.Duration(r.Int64N(int64(4*time.Hour))) - 2*time.Hour
			w.jumped += by.Abs()
			for _, p := range w.clouds {
				p.trust(w.jumped)
			}
			if err := w.jump(st, by); err != nil {
				w.t.Errorf("jump: %v", err)
			}
		}
		ctx, cancel := context.WithCancel(context.Background())
		c := &controller{gate: &gate{Store: st}, cancel: cancel, died: make(chan struct{})}
		c.loop = reconcile.New(reconcile.Options{
			Store: c.gate, Providers: w.clouds, Shipper: w, Connector: w, Workers: 1,
			Policy: plan.Policy{Seed: w.seed, Hold: 12 * time.Minute, RoundMax: 2 * time.Minute, TTL: w.s.ttl, FirstLease: leaseOf(w.s.ttl)},
			Crash:  func(point string) { w.crash(c, point) },
		})
		c.api = w.server(c, n)
		w.mu.Lock()
		w.gate, w.ctl = c.gate, c
		w.mu.Unlock()
		var wg sync.WaitGroup
		wg.Go(func() { _ = c.loop.Run(ctx) })
		if !w.s.noSweep {
			sw := sweep.New(sweep.Options{
				Store: c.gate, Providers: w.clouds, Every: 3 * time.Minute, Seed: w.seed + uint64(n), Owns: w.s.owns,
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
		w.mu.Lock()
		forever := w.forever
		w.mu.Unlock()
		if forever {
			<-w.done
		}
		select {
		case <-w.done:
			return
		default:
		}
		w.forget()
		time.Sleep(time.Duration(1 + w.keyed("restart").Int64N(int64(time.Minute))))
	}
}

// forget is the broken rule R1: the death of the controller loses the intents whose calls have no answer on record.
func (w *world) forget() {
	if w.s.broken != writeAfter {
		return
	}
	st, err := boltstore.Open(w.path, boltstore.Options{NoSync: true, Installation: "sim"})
	if err != nil {
		w.t.Errorf("open store: %v", err)
		return
	}
	_, err = st.Update(context.Background(), func(tx store.Tx) error {
		for _, in := range tx.Intents("") {
			if in.GetPhase() == statev1.IntentPhase_INTENT_ISSUED {
				in.Phase, in.ReleasedMs = statev1.IntentPhase_INTENT_RELEASED, time.Now().UnixMilli()
				if err := tx.PutIntent(in); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err := errors.Join(err, st.Close()); err != nil {
		w.t.Errorf("forget intents: %v", err)
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
					Task: &statev1.TaskSpec{NumNodes: nodes, Run: "true", Setup: "true"}, Candidates: w.candidates(), Now: t.Now,
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
	w.quiet()
	for end := time.Now().Add(calm); time.Now().Before(end); {
		time.Sleep(time.Duration(1 + w.rng.Int64N(int64(2*time.Minute))))
		w.agents()
	}
}

// quiet ends all faults.
func (w *world) quiet() {
	w.calm.Store(true)
	for _, p := range w.clouds {
		p.cloud.Quiet()
	}
}

// agents end sessions of machines that do not run and jobs that do.
func (w *world) agents() {
	lives := map[string]providers.InstanceState{}
	for _, l := range w.clouds.lives() {
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

// candidates are the places of all clouds, one cloud after the other.
func (w *world) candidates() []*statev1.Candidate {
	var out []*statev1.Candidate
	for _, p := range w.clouds {
		for _, o := range fake.DefaultOffers() {
			if o.InstanceType == "cpu-2" {
				out = append(out, &statev1.Candidate{
					Provider: p.name, Region: o.Region, Zone: o.Zone, InstanceType: o.InstanceType, Cpus: o.CPUs, MemoryGb: o.MemoryGB, HourlyPrice: o.HourlyPrice,
				})
			}
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
