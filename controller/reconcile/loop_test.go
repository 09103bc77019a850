package reconcile_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"aloft/controller/desired"
	"aloft/controller/plan"
	"aloft/controller/reconcile"
	"aloft/controller/state"
	"aloft/controller/store"
	"aloft/controller/store/boltstore"
	statev1 "aloft/proto/sky/state/v1"
	"aloft/providers"
	"aloft/providers/fake"
	"aloft/providers/local"
)

// rig is a reconciler on a store, with one provider and agents that connect at once.
type rig struct {
	t     *testing.T
	store *boltstore.Store
	loop  *reconcile.Loop
	prov  providers.Provider
	more  map[string]providers.Provider // by name, beside prov

	mu    sync.Mutex
	stop  func()
	deaf  bool // agents cannot be reached
	ships int
}

func (r *rig) Get(name string) (providers.Provider, error) {
	if p, ok := r.more[name]; ok {
		return p, nil
	}
	if name != r.prov.Name() {
		return nil, &providers.Error{Provider: name, Op: "get", Kind: providers.Auth, Scope: providers.ScopeProvider, Err: errors.New("not enabled")}
	}
	return r.prov, nil
}

func (r *rig) Ship(context.Context, *statev1.Cluster, *statev1.Node, providers.Shell) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ships++
	if r.deaf {
		return errors.New("no route to host")
	}
	return nil
}

func (r *rig) Connect(ctx context.Context, _ *statev1.Cluster, n *statev1.Node, _ func(context.Context) (net.Conn, error)) error {
	r.mu.Lock()
	deaf := r.deaf
	r.mu.Unlock()
	if deaf || !r.runs(n.GetInstanceId()) {
		return errors.New("no route to host")
	}
	return r.session(ctx, n.GetId(), true)
}

// runs reports whether a machine truly runs, whatever listings say.
func (r *rig) runs(id string) bool {
	all := []providers.Provider{r.prov}
	for _, p := range r.more {
		all = append(all, p)
	}
	for _, p := range all {
		cloud, ok := p.(shelled)
		if !ok {
			return true
		}
		for _, l := range cloud.Lives() {
			if l.ID == id {
				return l.State == providers.InstanceRunning
			}
		}
	}
	return false
}

func (r *rig) session(ctx context.Context, id string, open bool) error {
	_, err := r.store.Update(ctx, func(tx store.Tx) error {
		n, err := store.GetNode(tx, id)
		if err != nil {
			return err
		}
		n.Session = open
		tx.Emit(&statev1.Event{Kind: "node", Id: id, ClusterId: n.GetClusterId(), Actor: "fleet", AtMs: time.Now().UnixMilli()})
		return tx.Put(store.Node, id, n)
	})
	return err
}

// shelled lends a provider without one a shell that runs nothing.
type shelled struct{ *fake.Cloud }

func (shelled) Shell(context.Context, providers.Instance, providers.Keys) (providers.Shell, error) {
	return quiet{}, nil
}

type quiet struct{}

func (quiet) Run(context.Context, providers.Cmd) (providers.Exit, error) {
	return providers.Exit{}, nil
}
func (quiet) Dial(context.Context, string, string) (net.Conn, error) {
	return nil, errors.ErrUnsupported
}
func (quiet) Close() error { return nil }

// start runs a rig until the test ends.
func start(t *testing.T, p providers.Provider, sync bool, policy plan.Policy) *rig {
	t.Helper()
	st, err := boltstore.Open(filepath.Join(t.TempDir(), "state.db"), boltstore.Options{NoSync: !sync})
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, store: st, prov: p}
	r.run(policy)
	t.Cleanup(func() {
		r.stop()
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// run lives one life of a controller.
func (r *rig) run(policy plan.Policy) {
	r.loop = reconcile.New(reconcile.Options{Store: r.store, Providers: r, Shipper: r, Connector: r, Policy: policy})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = r.loop.Run(ctx)
	}()
	r.stop = func() {
		cancel()
		<-done
	}
}

// want carries out a verb.
func (r *rig) want(fn func(tx store.Tx) error) {
	r.t.Helper()
	if _, err := r.store.Update(context.Background(), fn); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) launch(spec desired.LaunchSpec) desired.Result {
	r.t.Helper()
	spec.Project, spec.ClusterName, spec.HasJob, spec.Now = "p", "c", true, time.Now()
	spec.Seed = fmt.Sprint(time.Now().UnixNano())
	if spec.Task == nil {
		spec.Task = &statev1.TaskSpec{NumNodes: 1, Run: "true"}
	}
	var res desired.Result
	r.want(func(tx store.Tx) (err error) {
		res, err = desired.Launch(tx, spec)
		return err
	})
	return res
}

func (r *rig) target() desired.Target {
	return desired.Target{Project: "p", Name: "c", Now: time.Now()}
}

// await waits for a state of the cluster by its events.
func (r *rig) await(id, what string, ok func(*statev1.Cluster, []*statev1.Node, []*statev1.Job) bool) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 24*time.Hour)
	defer cancel()
	check := func() (good bool, rev store.Rev) {
		if err := r.store.View(ctx, func(tx store.Tx) error {
			rev = tx.Rev()
			c, err := store.GetCluster(tx, id)
			if err != nil {
				return err
			}
			good = ok(c, store.NodesOf(tx, id), store.JobsOf(tx, id, 0))
			return nil
		}); err != nil {
			r.t.Fatal(err)
		}
		return good, rev
	}
	good, rev := check()
	if good {
		return
	}
	for _, err := range r.store.Watch(ctx, rev, store.Filter{ClusterID: id}) {
		if err != nil {
			r.t.Fatalf("waiting for %s: %v; %s", what, err, r.story(id))
		}
		if good, _ := check(); good {
			return
		}
	}
	r.t.Fatalf("waited in vain for %s; %s", what, r.story(id))
}

func (r *rig) story(id string) string {
	var b strings.Builder
	_ = r.store.View(context.Background(), func(tx store.Tx) error {
		evs, _ := tx.Events(0, store.Filter{ClusterID: id}, 1000)
		for _, ev := range evs {
			fmt.Fprintf(&b, "\n%d %s %s %s -> %s: %s", ev.GetAtMs(), ev.GetKind(), ev.GetName(), ev.GetOldPhase(), ev.GetNewPhase(), ev.GetReason())
		}
		return nil
	})
	return b.String()
}

func status(want string) func(*statev1.Cluster, []*statev1.Node, []*statev1.Job) bool {
	return func(c *statev1.Cluster, ns []*statev1.Node, _ []*statev1.Job) bool {
		return state.ClusterStatus(c, ns) == want
	}
}

func placed(_ *statev1.Cluster, _ []*statev1.Node, js []*statev1.Job) bool {
	return js[0].GetPhase() == statev1.JobPhase_JOB_PLACED
}

// TestWarmLaunch is the way of a launch on this host with a store that syncs: plan, create, ship, connect, place.
func TestWarmLaunch(t *testing.T) {
	p, err := local.New(providers.Config{Home: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	r := start(t, p, true, plan.Policy{})
	cands := []*statev1.Candidate{{Provider: "local", Region: "local", InstanceType: "local"}}
	began := time.Now()
	c := r.launch(desired.LaunchSpec{Candidates: cands, Task: &statev1.TaskSpec{NumNodes: 2, Run: "true"}}).Cluster
	r.await(c.GetId(), "a placed job", placed)
	t.Logf("2 nodes from request to placed job: %s", time.Since(began))
	r.await(c.GetId(), "UP", status(state.ClusterUp))

	began = time.Now()
	r.want(func(tx store.Tx) error {
		_, err := desired.Cancel(tx, desired.CancelSpec{Target: r.target(), All: true})
		return err
	})
	finish(r, c.GetId())
	r.want(func(tx store.Tx) error { _, err := desired.Stop(tx, r.target()); return err })
	r.await(c.GetId(), "STOPPED", status(state.ClusterStopped))
	t.Logf("stopped after %s", time.Since(began))

	began = time.Now()
	r.want(func(tx store.Tx) error { _, err := desired.Start(tx, r.target(), desired.StartSpec{}); return err })
	r.await(c.GetId(), "UP", status(state.ClusterUp))
	t.Logf("started after %s", time.Since(began))
	if err := r.loop.Refresh(t.Context(), []string{c.GetId()}); err != nil {
		t.Errorf("refresh: %v", err)
	}

	began = time.Now()
	r.want(func(tx store.Tx) error { _, err := desired.Down(tx, r.target(), false); return err })
	r.await(c.GetId(), "TERMINATED", status(state.ClusterTerminated))
	t.Logf("down after %s", time.Since(began))
}

// finish ends the ranks of every job, as the fleet would.
func finish(r *rig, id string) {
	r.want(func(tx store.Tx) error {
		for _, j := range store.JobsOf(tx, id, 0) {
			for _, k := range j.GetRanks() {
				k.Phase, k.EndedMs = statev1.RankPhase_RANK_KILLED, time.Now().UnixMilli()
			}
			state.FoldJob(j)
			j.ResultsComplete = true
			if err := tx.Put(store.Job, j.GetId(), j); err != nil {
				return err
			}
		}
		return nil
	})
}

// zones are candidates in the zones of the default fake cloud.
func zones(names ...string) []*statev1.Candidate {
	var out []*statev1.Candidate
	for _, z := range names {
		region, _, _ := strings.Cut(z, "-")
		out = append(out, &statev1.Candidate{Provider: "fake", Region: region, Zone: z, InstanceType: "cpu-2", HourlyPrice: 0.1})
	}
	return out
}

func TestFailover(t *testing.T) {
	refusal := func(k providers.Kind, s providers.Scope) providers.Error {
		return providers.Error{Kind: k, Scope: s, Code: "no", Err: errors.New("not today")}
	}
	for _, x := range []struct {
		name   string
		cloud  fake.Config
		retry  bool
		nodes  int32
		want   string // zone of the machines, or the kind of the failure
		tried  int
		policy plan.Policy
	}{
		{name: "first zone full", cloud: fake.Config{Refuse: map[string]providers.Error{"east-a": refusal(providers.Capacity, providers.ScopeZone)}}, want: "east-b", tried: 2},
		{name: "quota of a region", cloud: fake.Config{Refuse: map[string]providers.Error{"east": refusal(providers.Quota, providers.ScopeRegion)}}, want: "west-a", tried: 2},
		{name: "half a gang is none", nodes: 3, cloud: fake.Config{Capacity: map[string]int{"east-a": 2}}, want: "east-b", tried: 2},
		{name: "credentials refused", cloud: fake.Config{Refuse: map[string]providers.Error{
			"east": refusal(providers.Auth, providers.ScopeAccount),
		}}, want: "AUTH", tried: 1},
		{name: "nothing anywhere", cloud: fake.Config{Refuse: map[string]providers.Error{
			"east": refusal(providers.Capacity, providers.ScopeZone), "west": refusal(providers.Capacity, providers.ScopeZone),
		}}, want: "CAPACITY", tried: 3},
		{name: "boots too slowly", cloud: fake.Config{Boot: 1000 * time.Hour}, want: "CAPACITY", tried: 3},
		{name: "room only later", retry: true, cloud: fake.Config{Capacity: map[string]int{"east-a": 0, "east-b": 0, "west-a": 0}}, want: "east-a", tried: 4},
	} {
		t.Run(x.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				x.cloud.Tokens, x.cloud.Lag, x.cloud.CallTime = true, 5*time.Second, time.Second
				cloud := fake.New(x.cloud)
				r := start(t, shelled{cloud}, false, plan.Policy{})
				c := r.launch(desired.LaunchSpec{
					Candidates: zones("east-a", "east-b", "west-a"), RetryUntilUp: x.retry, Task: &statev1.TaskSpec{NumNodes: max(x.nodes, 1), Run: "true"},
				}).Cluster
				if x.retry {
					time.Sleep(time.Minute)
					cloud.Allow("east-a", 9)
				}
				r.await(c.GetId(), "an end", func(c *statev1.Cluster, _ []*statev1.Node, js []*statev1.Job) bool {
					return c.GetEndedMs() > 0 || js[0].GetPhase() == statev1.JobPhase_JOB_PLACED
				})
				r.await(c.GetId(), "an end", func(c *statev1.Cluster, ns []*statev1.Node, js []*statev1.Job) bool {
					got := c.GetFailure().GetKind().String()
					for _, n := range ns {
						if n.GetPhase() == statev1.NodePhase_NODE_READY {
							got = n.GetCandidate().GetZone()
						}
					}
					if got != x.want || len(c.GetAttempts()) < x.tried {
						t.Errorf("got %s after %d attempts, want %s after %d%s", got, len(c.GetAttempts()), x.want, x.tried, r.story(c.GetId()))
					}
					if c.GetEndedMs() > 0 && (!state.JobEnded(js[0].GetPhase()) || js[0].GetFailure().GetMessage() == "") {
						t.Errorf("the job of a failed launch: %v", js[0])
					}
					return true
				})
				time.Sleep(10 * time.Minute) // of fake time, in which what was left behind is given back
				for _, l := range cloud.Lives() {
					if l.Zone != x.want && l.Ended.IsZero() {
						t.Errorf("machine %s in %s is left", l.ID, l.Zone)
					}
				}
			})
		})
	}
}

func TestMachinesThatEndThemselves(t *testing.T) {
	for _, x := range []struct {
		name     string
		autostop *statev1.Autostop
		do       func(cloud *fake.Cloud, id string)
		nodes    int32
		want     string
		job      statev1.JobPhase
	}{
		{name: "preempted", do: (*fake.Cloud).Preempt, want: state.ClusterTerminated, job: statev1.JobPhase_JOB_FAILED_INFRA},
		// Its rank is lost; the other one's agent ends it and says so.
		{name: "one of two preempted", nodes: 2, do: (*fake.Cloud).Preempt, want: state.ClusterInit, job: statev1.JobPhase_JOB_PLACED},
		{name: "stopped itself", autostop: &statev1.Autostop{Enabled: true}, do: (*fake.Cloud).PowerOff, want: state.ClusterStopped, job: statev1.JobPhase_JOB_FAILED_INFRA},
		{name: "one of two stopped itself", nodes: 2, autostop: &statev1.Autostop{Enabled: true}, do: (*fake.Cloud).PowerOff, want: state.ClusterStopped, job: statev1.JobPhase_JOB_SUCCEEDED},
		{name: "ended itself", nodes: 2, autostop: &statev1.Autostop{Enabled: true, Down: true}, do: (*fake.Cloud).Preempt, want: state.ClusterTerminated, job: statev1.JobPhase_JOB_SUCCEEDED},
	} {
		t.Run(x.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cloud := fake.New(fake.Config{Tokens: true, Lag: 5 * time.Second, CallTime: time.Second})
				r := start(t, shelled{cloud}, false, plan.Policy{})
				res := r.launch(desired.LaunchSpec{Candidates: zones("east-a"), Autostop: x.autostop, Task: &statev1.TaskSpec{NumNodes: max(x.nodes, 1), Run: "true"}})
				id := res.Cluster.GetId()
				r.await(id, "a placed job", placed)
				if x.job == statev1.JobPhase_JOB_SUCCEEDED {
					r.want(func(tx store.Tx) error {
						j, err := store.GetJob(tx, res.Job.GetId())
						if err != nil {
							return err
						}
						for _, k := range j.GetRanks() {
							k.Phase, k.EndedMs = statev1.RankPhase_RANK_EXITED, time.Now().UnixMilli()
						}
						state.FoldJob(j)
						return tx.Put(store.Job, j.GetId(), j)
					})
				}
				time.Sleep(time.Hour)
				var gone *statev1.Node
				r.await(id, "its nodes", func(_ *statev1.Cluster, ns []*statev1.Node, _ []*statev1.Job) bool { gone = ns[0]; return true })
				x.do(cloud, gone.GetInstanceId())
				if err := r.session(t.Context(), gone.GetId(), false); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Hour)
				r.await(id, x.want, status(x.want))
				r.await(id, "the job's end", func(_ *statev1.Cluster, _ []*statev1.Node, js []*statev1.Job) bool {
					if js[0].GetPhase() != x.job {
						t.Errorf("the job is %v, want %v%s", js[0].GetPhase(), x.job, r.story(id))
					}
					return true
				})
			})
		})
	}
}

// TestUnreachableAgentIsNotLost: a machine that runs is kept however long its agent is out of reach.
func TestUnreachableAgentIsNotLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := fake.New(fake.Config{Tokens: true})
		r := start(t, shelled{cloud}, false, plan.Policy{})
		id := r.launch(desired.LaunchSpec{Candidates: zones("east-a")}).Cluster.GetId()
		r.await(id, "UP", status(state.ClusterUp))
		r.mu.Lock()
		r.deaf, r.ships = true, 0
		r.mu.Unlock()
		var node string
		r.await(id, "its node", func(_ *statev1.Cluster, ns []*statev1.Node, _ []*statev1.Job) bool { node = ns[0].GetId(); return true })
		if err := r.session(t.Context(), node, false); err != nil {
			t.Fatal(err)
		}
		time.Sleep(12 * time.Hour)
		r.await(id, "INIT", status(state.ClusterInit))
		r.mu.Lock()
		r.deaf = false
		if r.ships < 100 || r.ships > 12*60 {
			t.Errorf("tried %d times in 12 h", r.ships)
		}
		r.mu.Unlock()
		time.Sleep(2 * time.Minute)
		r.await(id, "UP", status(state.ClusterUp))
		if l := cloud.Lives(); len(l) != 1 || !l[0].Ended.IsZero() {
			t.Errorf("machines %v", l)
		}
	})
}

// TestDeadlinesMove: a cluster that is wanted is never ended by its machines' deadline; one that nobody cares for is.
func TestDeadlinesMove(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := fake.New(fake.Config{Tokens: true})
		r := start(t, shelled{cloud}, false, plan.Policy{})
		id := r.launch(desired.LaunchSpec{Candidates: zones("east-a")}).Cluster.GetId()
		r.await(id, "UP", status(state.ClusterUp))
		time.Sleep(30 * 24 * time.Hour)
		r.await(id, "UP", status(state.ClusterUp))
		l := cloud.Lives()
		if len(l) != 1 || !l[0].Ended.IsZero() || l[0].Deadline.Before(time.Now().Add(3*24*time.Hour)) || l[0].Deadline.After(time.Now().Add(8*24*time.Hour)) {
			t.Errorf("machines %v", l)
		}
	})
}

// TestStartOfAMachineThatIsNoMore: a machine that ended while it was stopped is found out by the start that fails.
func TestStartOfAMachineThatIsNoMore(t *testing.T) {
	for _, linger := range []time.Duration{0, 1000 * time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			cloud := fake.New(fake.Config{Tokens: true, Lag: 5 * time.Second, CallTime: time.Second, Linger: linger})
			r := start(t, shelled{cloud}, false, plan.Policy{StoppedPause: 1000 * time.Hour})
			id := r.launch(desired.LaunchSpec{Candidates: zones("east-a")}).Cluster.GetId()
			r.await(id, "a placed job", placed)
			finish(r, id)
			r.want(func(tx store.Tx) error { _, err := desired.Stop(tx, r.target()); return err })
			r.await(id, "STOPPED", status(state.ClusterStopped))
			time.Sleep(time.Hour)
			cloud.Preempt(cloud.Lives()[0].ID)
			time.Sleep(time.Hour)
			r.want(func(tx store.Tx) error { _, err := desired.Start(tx, r.target(), desired.StartSpec{}); return err })
			time.Sleep(10 * time.Minute)
			r.await(id, "TERMINATED", status(state.ClusterTerminated))
		})
	}
}

// TestAgentThatDoesNotComeUp fails a launch soon and with the reason, not after the whole hold budget.
func TestAgentThatDoesNotComeUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := fake.New(fake.Config{Tokens: true})
		r := start(t, shelled{cloud}, false, plan.Policy{})
		r.mu.Lock()
		r.deaf = true
		r.mu.Unlock()
		began := time.Now()
		id := r.launch(desired.LaunchSpec{Candidates: zones("east-a")}).Cluster.GetId()
		r.await(id, "an end", func(c *statev1.Cluster, _ []*statev1.Node, js []*statev1.Job) bool {
			return c.GetEndedMs() > 0 && strings.Contains(js[0].GetFailure().GetMessage(), "no route to host")
		})
		if d := time.Since(began); d > 2*time.Minute {
			t.Errorf("it took %s", d)
		}
		for _, l := range cloud.Lives() {
			if l.Ended.IsZero() {
				t.Errorf("machine %s is left", l.ID)
			}
		}
	})
}

// TestPowerOffIsToldFirst: the place is told what a shutdown from within does before an autostop of that kind can come.
func TestPowerOffIsToldFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud := fake.New(fake.Config{Tokens: true})
		r := start(t, shelled{cloud}, false, plan.Policy{})
		id := r.launch(desired.LaunchSpec{Candidates: zones("east-a")}).Cluster.GetId()
		r.await(id, "UP", status(state.ClusterUp))
		for _, as := range []*statev1.Autostop{{Enabled: true, IdleMinutes: 10}, {Enabled: true, IdleMinutes: 10, Down: true}, {Enabled: true}, {}} {
			want := as.GetEnabled() && !as.GetDown()
			r.want(func(tx store.Tx) error { _, err := desired.SetAutostop(tx, r.target(), as); return err })
			r.await(id, "what a shutdown does", func(_ *statev1.Cluster, ns []*statev1.Node, _ []*statev1.Job) bool {
				return ns[0].GetPoweroffSettable() && ns[0].GetPoweroffKeeps() == want
			})
			if got := cloud.Lives()[0].Keeps; got != want {
				t.Errorf("%v: keeps %v", as, got)
			}
		}
	})
}
