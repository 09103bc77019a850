package plan_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"aloft/controller/plan"
	"aloft/controller/state"
	statev1 "aloft/proto/sky/state/v1"
	"aloft/providers"
)

// hunt is a launch whose create calls are answered at random, until it stands or has failed.
type hunt struct {
	t       *rapid.T
	s       *plan.Snapshot
	now     time.Time
	asked   []*statev1.Candidate // in this round
	rounds  int32
	answers map[string]*plan.Problem // by candidate: what its calls are answered; missing = a machine
}

func newHunt(t *rapid.T) *hunt {
	now := time.UnixMilli(1_700_000_000_000)
	h := &hunt{t: t, now: now, answers: map[string]*plan.Problem{}}
	c := &statev1.Cluster{
		Id: "c", Name: "c", Desired: statev1.ClusterDesired_CLUSTER_DESIRED_UP, NumNodes: rapid.Int32Range(1, 2).Draw(t, "nodes"),
		CreatedMs: now.UnixMilli(), LaunchedMs: now.UnixMilli(), RetryUntilUp: rapid.Bool().Draw(t, "retry"),
	}
	accelerators := []float64{0, 1, 4}
	for i := range rapid.IntRange(1, 12).Draw(t, "candidates") {
		n := accelerators[rapid.IntRange(0, 2).Draw(t, "accelerators")]
		cand := &statev1.Candidate{
			Provider: fmt.Sprint("p", rapid.IntRange(0, 1).Draw(t, "provider")), Region: fmt.Sprint("r", rapid.IntRange(0, 1).Draw(t, "region")),
			Zone: fmt.Sprint("z", i), InstanceType: fmt.Sprint("m", n, ".x"), AcceleratorCount: n, Cpus: 4 * (n + 1), HourlyPrice: float64(i), Spot: rapid.Bool().Draw(t, "spot"),
		}
		if n > 0 {
			cand.Accelerator = "V100"
		}
		c.Candidates = append(c.Candidates, cand)
		h.answer(cand, true)
	}
	caps := providers.Capabilities{Idempotency: providers.IdempotencyToken, VisibilityLag: time.Second, RequestLateness: time.Second}
	h.s = &plan.Snapshot{
		Installation: "i", Cluster: c, Intents: map[string]*statev1.Intent{}, Policy: plan.Policy{Seed: 1}.WithDefaults(),
		Caps: map[string]providers.Capabilities{"p0": caps, "p1": caps}, Quota: map[string]bool{"p0": rapid.Bool().Draw(t, "tells quota")},
		Finish: map[string]bool{"p1": true},
	}
	for range rapid.IntRange(0, 2).Draw(t, "lately") {
		other := rapid.SampledFrom(c.Candidates).Draw(t, "refused another")
		f := plan.FailureOf(&plan.Problem{Kind: providers.Capacity, Scope: providers.ScopeRegion}, now.UnixMilli())
		h.s.Blocks = append(h.s.Blocks, h.s.Policy.Rule(providers.Capacity, providers.ScopeRegion).Block(other, f, now))
	}
	for slot := range c.GetNumNodes() {
		h.s.Nodes = append(h.s.Nodes, plan.NewNode(c, slot, c.Candidates[0], now, int(slot)))
	}
	return h
}

// answer draws what calls for a candidate are answered from now on.
func (h *hunt) answer(c *statev1.Candidate, refusal bool) {
	delete(h.answers, c.GetZone())
	if !refusal || rapid.IntRange(0, 5).Draw(h.t, "good") == 0 {
		return
	}
	h.answers[c.GetZone()] = &plan.Problem{
		Kind: rapid.SampledFrom(plan.Kinds()).Draw(h.t, "kind"), Scope: rapid.SampledFrom(plan.Scopes()).Draw(h.t, "scope"), Code: "x", Message: "No.",
	}
}

// asks checks that a candidate may be asked for now, and notes it.
func (h *hunt) asks(c *statev1.Candidate) {
	cl := h.s.Cluster
	if cl.GetRounds() != h.rounds {
		h.rounds, h.asked = cl.GetRounds(), nil
	}
	if len(h.asked) > 0 && h.asked[len(h.asked)-1].GetZone() == c.GetZone() {
		return // the gang's others, and repeated calls
	}
	for _, b := range cl.GetBlocks() {
		if plan.Holds(b, cl.GetLaunchedMs(), h.now) && plan.Covers(b, c) {
			h.t.Fatalf("%v is asked for at %v, which is blocked: %v", c, h.now, b)
		}
	}
	for _, o := range h.asked {
		if o.GetZone() == c.GetZone() {
			h.t.Fatalf("%v is asked for twice in a round", c)
		}
	}
	h.asked = append(h.asked, c)
}

// run plays until the launch is over.
func (h *hunt) run() {
	var obs []plan.Observation
	for range 3000 {
		d := plan.NewDraft(h.s, h.now)
		for _, o := range obs {
			d.Observe(o)
		}
		obs = nil
		effects := d.Settle()
		c := h.s.Cluster
		if c.GetEndedMs() > 0 || c.GetUpMs() > 0 {
			h.over()
			return
		}
		for _, a := range effects {
			obs = append(obs, h.carryOut(a))
		}
		h.now = h.now.Add(10 * time.Millisecond)
		if len(effects) == 0 {
			if !d.Wake.After(h.now.Add(-10*time.Millisecond)) || d.Wake.IsZero() {
				h.t.Fatalf("stuck at %v: %v", h.now, c)
			}
			h.now = d.Wake
			if h.now.UnixMilli() >= c.GetBlockedUntilMs() && c.GetBlockedUntilMs() > 0 && rapid.IntRange(0, 3).Draw(h.t, "better times") == 0 {
				for _, cand := range c.GetCandidates() {
					h.answer(cand, false)
				}
			}
		}
		if c.GetRounds() > 8 {
			return // it would go on for ever
		}
	}
	h.t.Fatalf("no end: %v", h.s.Cluster)
}

// carryOut is what the world does for an effect.
func (h *hunt) carryOut(a plan.Action) plan.Observation {
	var n *statev1.Node
	for _, x := range h.s.Nodes {
		if x.GetId() == a.Node() {
			n = x
		}
	}
	o := plan.Observation{NodeID: n.GetId(), Attempt: n.GetAttempt(), Effect: a}
	cand := n.GetCandidate()
	at := providers.Instance{InstanceRef: providers.InstanceRef{ID: "i-" + n.GetId()}, State: providers.InstanceRunning, Address: "10.0.0.1"}
	switch a.(type) {
	case plan.AskQuota:
		h.asks(cand)
		if p := h.answers[cand.GetZone()]; p != nil && p.Kind == providers.Quota {
			o.Problem = p
		}
	case plan.Create:
		h.asks(cand)
		if o.Problem = h.answers[cand.GetZone()]; o.Problem == nil {
			o.Created = &at
		}
	case plan.Probe, plan.Delete, plan.Stop:
		o.Seen = &plan.Seen{At: h.now, ByToken: true}
		if _, ok := a.(plan.Probe); ok && n.GetInstanceId() != "" {
			o.Seen.Instances = []providers.Instance{at}
		}
	case plan.Ship, plan.Connect:
		n.Session = true
	}
	return o
}

// over checks how it ended.
func (h *hunt) over() {
	c := h.s.Cluster
	if c.GetUpMs() > 0 {
		for _, n := range h.s.Nodes {
			if !state.NodeEnded(n.GetPhase()) && h.answers[n.GetCandidate().GetZone()] != nil {
				h.t.Fatalf("up on %v, which answers %v", n.GetCandidate(), h.answers[n.GetCandidate().GetZone()])
			}
		}
		return
	}
	if c.GetFailure().GetMessage() == "" {
		h.t.Fatalf("ended without a reason: %v", c)
	}
	for _, cand := range c.GetCandidates() {
		tried := slices.ContainsFunc(c.GetAttempts(), func(a *statev1.PlacementAttempt) bool { return a.GetCandidate().GetZone() == cand.GetZone() })
		// What was blocked when the last attempt ended counts as tried: a block may have ended since.
		last := time.UnixMilli(c.GetAttempts()[len(c.GetAttempts())-1].GetEndedMs())
		blocked := slices.ContainsFunc(c.GetBlocks(), func(b *statev1.Block) bool { return plan.Covers(b, cand) && plan.Holds(b, c.GetLaunchedMs(), last) })
		if !tried && !blocked {
			h.t.Fatalf("%v was neither tried nor blocked: %v", cand, c)
		}
	}
	for _, a := range c.GetAttempts() {
		if a.GetFailure() == nil || a.GetEndedMs() < a.GetStartedMs() {
			h.t.Fatalf("attempt without an end: %v", a)
		}
	}
	for _, n := range h.s.Nodes {
		done := slices.ContainsFunc(c.GetCleanups(), func(r *statev1.Cleanup) bool {
			return r.GetProvider() == n.GetCandidate().GetProvider() && r.GetRegion() == n.GetCandidate().GetRegion() && r.GetDoneMs() > 0
		})
		if n.GetAttempt() > 0 && n.GetCandidate().GetProvider() == "p1" && !done {
			h.t.Fatalf("what machines shared on p1 was not removed: %v", c)
		}
	}
}

// TestFailoverTriesEverything: no launch is stuck, no blocked candidate is asked for before its time, every candidate is
// tried or blocked before a launch fails, and what machines shared is removed.
func TestFailoverTriesEverything(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) { newHunt(t).run() })
}
