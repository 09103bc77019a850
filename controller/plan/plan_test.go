package plan_test

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"aloft/controller/plan"
	"aloft/controller/state"
	statev1 "aloft/proto/sky/state/v1"
	"aloft/providers"
)

// walk is a cluster whose effects end in random ways.
type walk struct {
	t     *rapid.T
	s     *plan.Snapshot
	now   time.Time
	under map[string]plan.Action // by node: the effect under way
	jobs  int
}

func newWalk(t *rapid.T) *walk {
	now := time.UnixMilli(1_700_000_000_000)
	kind := rapid.SampledFrom([]providers.Idempotency{providers.IdempotencyToken, providers.IdempotencyName, providers.IdempotencyNone}).Draw(t, "idempotency")
	lag := time.Duration(rapid.IntRange(0, 60).Draw(t, "lag")) * time.Second
	c := &statev1.Cluster{
		Id: "c", Name: "c", Desired: statev1.ClusterDesired_CLUSTER_DESIRED_UP, NumNodes: rapid.Int32Range(1, 3).Draw(t, "nodes"),
		CreatedMs: now.UnixMilli(), LaunchedMs: now.UnixMilli(), RetryUntilUp: rapid.Bool().Draw(t, "retry"),
	}
	for i := range rapid.IntRange(1, 3).Draw(t, "candidates") {
		c.Candidates = append(c.Candidates, &statev1.Candidate{Provider: "p", Region: fmt.Sprintf("r%d", i/2), Zone: fmt.Sprintf("z%d", i), InstanceType: "m", HourlyPrice: 1})
	}
	s := &plan.Snapshot{
		Installation: "i", Cluster: c, Intents: map[string]*statev1.Intent{}, Policy: plan.Policy{Seed: 1}.WithDefaults(),
		Caps: map[string]providers.Capabilities{"p": {Idempotency: kind, VisibilityLag: lag, RequestLateness: lag, MaxTTL: 240 * time.Hour, DeadlineMoves: rapid.Bool().Draw(t, "deadline moves")}},
		Busy: map[string]bool{}, Looks: map[string]time.Time{},
	}
	for slot := range c.GetNumNodes() {
		s.Nodes = append(s.Nodes, plan.NewNode(c, slot, c.Candidates[0], now, int(slot)))
	}
	w := &walk{t: t, s: s, now: now, under: map[string]plan.Action{}}
	w.submit()
	return w
}

func (w *walk) submit() {
	w.jobs++
	w.s.Jobs = append(w.s.Jobs, &statev1.Job{
		Id: fmt.Sprint("j", w.jobs), Number: uint32(w.jobs), Phase: statev1.JobPhase_JOB_QUEUED, FailedRank: -1,
		Task: &statev1.TaskSpec{NumNodes: rapid.Int32Range(1, w.s.Cluster.GetNumNodes()).Draw(w.t, "ranks"), Setup: "true"}, WithSetup: true,
		SubmittedMs: w.now.UnixMilli(),
	})
}

// settle plans once, with what an effect found out, and checks what must always hold.
func (w *walk) settle(o *plan.Observation) {
	before := map[string]statev1.NodePhase{}
	for _, n := range w.s.Nodes {
		before[n.GetId()] = n.GetPhase()
	}
	d := plan.NewDraft(w.s, w.now)
	if o != nil {
		d.Observe(*o)
	}
	effects := d.Settle()
	seen := map[string]bool{}
	for _, a := range effects {
		n := w.node(a.Node())
		if !a.Effect() || seen[a.Node()] || w.under[a.Node()] != nil {
			w.t.Fatalf("%T on %s beside another effect", a, a.Node())
		}
		seen[a.Node()] = true
		w.under[a.Node()] = a
		switch a.(type) {
		case plan.Create:
			in := w.s.Intents[n.GetId()]
			if in.GetPhase() != statev1.IntentPhase_INTENT_ISSUED || in.GetIssuedMs() != w.now.UnixMilli() || in.GetToken() != state.Token("i", n.GetId(), n.GetAttempt()) {
				w.t.Fatalf("create without a fresh intent: %v", in)
			}
			if d.IntentsDirty[fmt.Sprintf("%s/%d", n.GetId(), n.GetAttempt())] == nil {
				w.t.Fatal("the intent is not written before the call")
			}
		case plan.Delete:
			if n.GetDesired() != statev1.NodeDesired_NODE_DESIRED_GONE && n.GetPhase() != statev1.NodePhase_NODE_LOST {
				w.t.Fatalf("delete of a machine that is wanted: %v", n)
			}
		case plan.Stop:
			if n.GetDesired() == statev1.NodeDesired_NODE_DESIRED_GONE {
				w.t.Fatalf("stop of a machine that is to go: %v", n)
			}
		}
	}
	w.invariants()
	if w.s.Cluster.GetEndedMs() > 0 {
		if len(effects) > 0 {
			w.t.Fatal("effects for an ended cluster")
		}
		return
	}
	if d.Wake.IsZero() || !d.Wake.After(w.now) || d.Wake.After(w.now.Add(w.s.Policy.Idle)) {
		w.t.Fatalf("no next look: %v at %v", d.Wake, w.now)
	}
	if again := plan.Next(w.s, w.now); len(again) != 1 || again[0].Effect() {
		w.t.Fatalf("planning again is not quiet: %#v", again)
	}
}

func (w *walk) invariants() {
	machines := map[int32]int{}
	for _, n := range w.s.Nodes {
		in := w.s.Intents[n.GetId()]
		if in != nil && in.GetPhase() != statev1.IntentPhase_INTENT_RELEASED {
			machines[n.GetSlot()]++
		}
		if state.NodeEnded(n.GetPhase()) && n.GetPhase() != statev1.NodePhase_NODE_LOST && in != nil && in.GetPhase() != statev1.IntentPhase_INTENT_RELEASED {
			w.t.Fatalf("node %v ended with intent %v", n, in)
		}
	}
	for slot, k := range machines {
		if k > 1 {
			w.t.Fatalf("%d live attempts in slot %d", k, slot)
		}
	}
	for _, j := range w.s.Jobs {
		var ranks int32
		for _, r := range j.GetRanks() {
			if r.GetRank() >= 0 {
				ranks++
			}
		}
		if len(j.GetRanks()) > 0 && ranks != j.GetTask().GetNumNodes() {
			w.t.Fatalf("job %s has %d of %d ranks", j.GetId(), ranks, j.GetTask().GetNumNodes())
		}
		if state.JobEnded(j.GetPhase()) && j.GetPhase() != statev1.JobPhase_JOB_SUCCEEDED && j.GetFailure().GetMessage() == "" {
			w.t.Fatalf("job %s failed without a reason: %v", j.GetId(), j)
		}
	}
	if c := w.s.Cluster; c.GetEndedMs() > 0 {
		for _, b := range c.GetBilling() {
			if b.GetEndMs() == 0 {
				w.t.Fatal("an ended cluster is billed")
			}
		}
		for _, j := range w.s.Jobs {
			if !state.JobEnded(j.GetPhase()) || !j.GetResultsComplete() {
				w.t.Fatalf("cluster ended, job %s did not, or is waited for: %v", j.GetId(), j)
			}
		}
	}
}

func (w *walk) node(id string) *statev1.Node {
	for _, n := range w.s.Nodes {
		if n.GetId() == id {
			return n
		}
	}
	return nil
}

// end ends one effect under way in some way.
func (w *walk) end() {
	var ids []string
	for _, n := range w.s.Nodes { // in the order of nodes, not of the map
		if w.under[n.GetId()] != nil {
			ids = append(ids, n.GetId())
		}
	}
	if len(ids) == 0 {
		return
	}
	id := rapid.SampledFrom(ids).Draw(w.t, "node")
	n, a := w.node(id), w.under[id]
	delete(w.under, id)
	o := plan.Observation{NodeID: id, Attempt: n.GetAttempt(), Effect: a}
	if rapid.IntRange(0, 3).Draw(w.t, "fails") == 0 {
		kind := rapid.SampledFrom([]providers.Kind{providers.Capacity, providers.Quota, providers.Auth, providers.Invalid, providers.Conflict, providers.Throttled, providers.Transient, providers.KindUnknown}).Draw(w.t, "kind")
		o.Problem = &plan.Problem{Kind: kind, Scope: rapid.SampledFrom([]providers.Scope{providers.ScopeZone, providers.ScopeRegion, providers.ScopeAccount}).Draw(w.t, "scope"), Message: "It failed.", RetryAfter: time.Second}
	}
	token := w.s.Intents[id].GetToken()
	inst := func(ref string) providers.Instance {
		return providers.Instance{
			InstanceRef: providers.InstanceRef{ID: ref}, Token: token, Address: rapid.SampledFrom([]string{"", "10.0.0.1"}).Draw(w.t, "address"),
			State: providers.InstanceState(rapid.IntRange(1, 6).Draw(w.t, "state")),
		}
	}
	look := func() *plan.Seen {
		seen := &plan.Seen{At: w.now, ByToken: true}
		switch rapid.IntRange(0, 9).Draw(w.t, "look") {
		case 0:
			seen.Problem = &plan.Problem{Kind: providers.Transient, Message: "It failed."}
		case 1, 2, 3:
		default:
			ref := n.GetInstanceId()
			if ref == "" {
				ref = "i-" + id
			}
			seen.Instances = []providers.Instance{inst(ref)}
		}
		return seen
	}
	switch a.(type) {
	case plan.Create:
		if o.Problem == nil {
			in := inst("i-" + id)
			o.Created = &in
		}
	case plan.Probe:
		o.Problem, o.Seen = nil, look()
	case plan.Connect, plan.Stop, plan.Delete, plan.Start:
		o.Seen = look()
	}
	if _, ok := a.(plan.Ship); ok && o.Problem == nil {
		n.Session = true
	}
	w.settle(&o)
}

// wish is what a user may want meanwhile, as the verbs of the API write it.
func (w *walk) wish(c statev1.ClusterDesired, nd statev1.NodeDesired) {
	if w.s.Cluster.GetDesired() == statev1.ClusterDesired_CLUSTER_DESIRED_DOWN {
		return
	}
	w.s.Cluster.Desired = c
	for _, n := range w.s.Nodes {
		if !state.NodeEnded(n.GetPhase()) && n.GetDesired() != statev1.NodeDesired_NODE_DESIRED_GONE {
			n.Desired = nd
		}
	}
	if nd != statev1.NodeDesired_NODE_DESIRED_UP {
		for _, j := range w.s.Jobs {
			if !state.JobEnded(j.GetPhase()) {
				j.Desired, j.CancelMs = "cancel", w.now.UnixMilli()
				if len(j.GetRanks()) == 0 {
					state.CloseJob(j, &statev1.Failure{Kind: statev1.FailureKind_CANCELLED, Message: "Cancelled."})
				}
			}
		}
	} else {
		w.s.Cluster.LaunchedMs = w.now.UnixMilli()
	}
	w.settle(nil)
}

// TestRandomWalks: whatever happens in whatever order, the planner keeps its promises.
func TestRandomWalks(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := newWalk(t)
		w.settle(nil)
		for range rapid.IntRange(1, 80).Draw(t, "steps") {
			if w.s.Cluster.GetEndedMs() > 0 {
				return
			}
			w.now = w.now.Add(time.Duration(rapid.IntRange(1, 90_000).Draw(t, "ms")) * time.Millisecond)
			switch rapid.IntRange(0, 19).Draw(t, "event") {
			case 0:
				w.wish(statev1.ClusterDesired_CLUSTER_DESIRED_STOPPED, statev1.NodeDesired_NODE_DESIRED_STOPPED)
			case 1:
				w.wish(statev1.ClusterDesired_CLUSTER_DESIRED_UP, statev1.NodeDesired_NODE_DESIRED_UP)
			case 2:
				w.wish(statev1.ClusterDesired_CLUSTER_DESIRED_DOWN, statev1.NodeDesired_NODE_DESIRED_GONE)
			case 3:
				w.submit()
				w.settle(nil)
			case 4:
				for _, n := range w.s.Nodes {
					n.Session = false
				}
				w.settle(nil)
			case 5:
				// The controller dies and comes back: nothing is under way, nothing in memory.
				w.under, w.s.Busy, w.s.Looks = map[string]plan.Action{}, nil, nil
				w.settle(nil)
			case 6:
				w.settle(nil)
			default:
				w.end()
			}
		}
	})
}
