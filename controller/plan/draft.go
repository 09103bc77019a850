package plan

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"aloft/controller/state"
	statev1 "aloft/proto/sky/state/v1"
)

// Draft is a snapshot being changed: it collects which records changed and the events that tell of it. The messages of
// the snapshot become the draft's own.
type Draft struct {
	*Snapshot
	Now time.Time

	ClusterDirty bool
	NodesDirty   map[string]bool
	JobsDirty    map[string]bool
	IntentsDirty map[string]*statev1.Intent // by node id and attempt
	Events       []*statev1.Event
	Wake         time.Time // of the last Schedule; zero = none

	status string // the cluster's visible state when the draft began
}

// NewDraft begins to change s at now.
func NewDraft(s *Snapshot, now time.Time) *Draft {
	s.sort()
	if s.Busy == nil {
		s.Busy = map[string]bool{}
	}
	if s.Looks == nil {
		s.Looks = map[string]time.Time{}
	}
	return &Draft{
		Snapshot: s, Now: now,
		NodesDirty: map[string]bool{}, JobsDirty: map[string]bool{}, IntentsDirty: map[string]*statev1.Intent{},
		status: state.ClusterStatus(s.Cluster, s.Nodes),
	}
}

// sort puts nodes in the order of slots, newest first within a slot: everything after depends on nothing else.
func (s *Snapshot) sort() {
	slices.SortFunc(s.Nodes, func(a, b *statev1.Node) int {
		return cmp.Or(cmp.Compare(a.GetSlot(), b.GetSlot()), -cmp.Compare(a.GetCreatedMs(), b.GetCreatedMs()), -cmp.Compare(a.GetId(), b.GetId()))
	})
}

// maxRounds bounds Settle: each round makes progress along finite lives, so more means a mistake in this package.
const maxRounds = 1000

// Settle applies actions until only effects are left, writes down what must be durable before them, marks their nodes
// busy and returns them.
func (d *Draft) Settle() []Action {
	for range maxRounds {
		as := Next(d.Snapshot, d.Now)
		records := len(as) > 0 && !as[0].Effect() && !isSchedule(as[0])
		for _, a := range as {
			d.Apply(a)
		}
		if records {
			continue
		}
		d.completeResults()
		d.bill()
		d.tellStatus()
		if len(as) == 0 {
			return nil
		}
		return as[:len(as)-1]
	}
	panic("plan: no end of record actions for cluster " + d.Cluster.GetId())
}

func isSchedule(a Action) bool {
	_, ok := a.(Schedule)
	return ok
}

// Dirty reports whether any record changed.
func (d *Draft) Dirty() bool {
	return d.ClusterDirty || len(d.NodesDirty)+len(d.JobsDirty)+len(d.IntentsDirty) > 0
}

// Apply writes into the draft what a means: all of it for record actions, what comes before the call for effects.
func (d *Draft) Apply(a Action) {
	n := d.node(a.Node())
	if a.Effect() {
		d.Busy[a.Node()] = true
	}
	switch a := a.(type) {
	case Create:
		d.applyCreate(n)
	case Stop:
		if n.GetPhase() != statev1.NodePhase_NODE_STOPPING {
			d.setPhase(n, statev1.NodePhase_NODE_STOPPING, "stop wanted")
		}
	case Start:
		tries, absent := n.GetTries(), n.GetAbsentMs()
		d.setPhase(n, statev1.NodePhase_NODE_BOOTING, "start wanted")
		n.Tries, n.AbsentMs = tries, absent
		if !a.Deadline.IsZero() {
			n.DeadlineMs = a.Deadline.UnixMilli()
		}
		if n.GetHardEndMs() > 0 {
			n.HardEndMs = d.hardEnd(n.GetCandidate(), d.Now)
		}
	case Renew:
		n.DeadlineMs = a.Deadline.UnixMilli()
		d.rule(n, "lease renewed")
	case Delete:
		if p := n.GetPhase(); p != statev1.NodePhase_NODE_DELETING && p != statev1.NodePhase_NODE_LOST {
			d.setPhase(n, statev1.NodePhase_NODE_DELETING, "not wanted any more")
		}
	case Drain:
		d.setPhase(n, statev1.NodePhase_NODE_DRAINING, "not wanted any more")
	case Release:
		d.releaseIntent(n)
		d.setPhase(n, statev1.NodePhase_NODE_GONE, "never asked for")
	case Place:
		d.applyPlace(a)
	case Lose:
		d.applyLose(a)
	case CloseJob:
		j := d.job(a.JobID)
		old := j.GetPhase()
		a.Failure.AtMs = d.ms()
		state.CloseJob(j, a.Failure)
		d.jobChanged(j, old, a.Failure.GetMessage())
	case NextCandidate:
		d.applyNextCandidate(a.Failure)
	case Prefer:
		d.applyPrefer(a)
	case Refill:
		d.applyRefill(a)
	case AskQuota:
		d.openAttempt(n.GetCandidate())
		d.attempt().QuotaAskedMs = d.ms()
		d.ClusterDirty = true
	case Remove:
		d.cleanup(n.GetCandidate()).StartedMs = d.ms()
		d.ClusterDirty = true
	case Fail:
		d.applyFail(a.Failure)
	case Up:
		d.applyUp()
	case Finish:
		d.applyFinish(a)
	case End:
		d.applyEnd()
	case Schedule:
		d.Wake = a.At
	}
}

// applyCreate is rule R1: the intent, its token and the time of the call are written before the call. Every call, the
// first or a repeated one, moves the time (rule R3).
func (d *Draft) applyCreate(n *statev1.Node) {
	c := n.GetCandidate()
	in := d.Intents[n.GetId()]
	if n.GetPhase() == statev1.NodePhase_NODE_PLANNED {
		d.setPhase(n, statev1.NodePhase_NODE_CREATING, strings.Join(slices.Compact([]string{c.GetProvider(), orAny(c.GetZone(), c.GetRegion()), c.GetInstanceType()}), " "))
		d.openAttempt(c)
		d.forgetCleanup(c)
	}
	if in == nil || in.GetPhase() == statev1.IntentPhase_INTENT_RELEASED {
		n.Attempt++
		n.Tries = 0
		n.DeadlineMs, n.HardEndMs = d.deadline(c, d.Now, d.Policy.FirstLease), d.hardEnd(c, d.Now)
		in = &statev1.Intent{
			NodeId: n.GetId(), ClusterId: d.Cluster.GetId(), Attempt: n.GetAttempt(), Phase: statev1.IntentPhase_INTENT_ISSUED,
			Token:    state.Token(d.Installation, n.GetId(), n.GetAttempt()),
			Provider: c.GetProvider(), Region: c.GetRegion(), Zone: c.GetZone(), SpecSha: specSHA(c), Epoch: d.Epoch, FirstMs: d.ms(),
		}
		d.Intents[n.GetId()] = in
	}
	in.IssuedMs = d.ms()
	n.Tries++
	n.RetryMs = 0
	d.intentDirty(in)
	d.nodeDirty(n)
}

// openAttempt notes that a candidate is being tried.
func (d *Draft) openAttempt(c *statev1.Candidate) {
	if d.trying() {
		return
	}
	d.Cluster.Attempts = append(d.Cluster.Attempts, &statev1.PlacementAttempt{Candidate: c, StartedMs: d.ms()})
	d.ClusterDirty = true
}

// attempt is the one under way; nil when there is none.
func (d *Draft) attempt() *statev1.PlacementAttempt {
	if !d.trying() {
		return nil
	}
	return d.Cluster.Attempts[len(d.Cluster.Attempts)-1]
}

func (d *Draft) applyPlace(a Place) {
	j := d.job(a.JobID)
	old := j.GetPhase()
	j.Phase, j.Ranks, j.Attempt = statev1.JobPhase_JOB_PLACED, a.Ranks, max(j.GetAttempt(), 1)
	j.StateReason = ""
	on := "1 node"
	if n := len(a.Ranks); n != 1 {
		on = fmt.Sprintf("%d nodes", n)
	}
	d.jobChanged(j, old, "placed on "+on)
}

func (d *Draft) applyLose(a Lose) {
	j := d.job(a.JobID)
	old := j.GetPhase()
	var received uint64
	for _, r := range j.GetRanks() {
		received = max(received, r.GetReceived())
	}
	for _, r := range j.GetRanks() {
		if !slices.Contains(a.Slots, r.GetSlot()) || state.RankEnded(r.GetPhase()) {
			continue
		}
		received++
		r.Phase, r.EndedMs, r.Received, r.Reason = statev1.RankPhase_RANK_LOST, d.ms(), received, "its machine is gone"
		if n := d.node(r.GetNodeId()); n != nil {
			if n.GetPhaseMs() > 0 {
				r.EndedMs = n.GetPhaseMs()
			}
			if f := n.GetFailure(); f.GetMessage() != "" {
				r.Reason = f.GetMessage()
			}
		}
	}
	state.FoldJob(j)
	d.jobChanged(j, old, "machine gone")
}

// applyUp records that every machine is ready.
func (d *Draft) applyUp() {
	c := d.Cluster
	if c.GetUpMs() == 0 {
		c.UpMs = d.ms()
	}
	if d.trying() {
		c.Attempts[len(c.Attempts)-1].EndedMs = d.ms()
	}
	c.Failure, c.BlockedUntilMs, c.Rounds = nil, 0, 0
	d.ClusterDirty = true
}

func (d *Draft) applyFinish(a Finish) {
	d.Cluster.Desired = a.Desired
	d.Cluster.Generation++
	want := statev1.NodeDesired_NODE_DESIRED_STOPPED
	if a.Desired == statev1.ClusterDesired_CLUSTER_DESIRED_DOWN {
		want = statev1.NodeDesired_NODE_DESIRED_GONE
	}
	for _, n := range d.Nodes {
		if wanted(n) {
			n.Desired = want
			d.nodeDirty(n)
		}
	}
	d.tell(a.Reason)
	d.closeQueued(&statev1.Failure{Kind: statev1.FailureKind_CANCELLED, Scope: "job", Code: a.Reason, Message: "The cluster ended by " + a.Reason + "."})
}

func (d *Draft) applyEnd() {
	c := d.Cluster
	c.EndedMs = d.ms()
	if d.trying() {
		c.Attempts[len(c.Attempts)-1].EndedMs = d.ms()
	}
	f := c.GetFailure()
	if f == nil {
		f = &statev1.Failure{Kind: statev1.FailureKind_CANCELLED, Scope: "job", Code: "down", Message: "The cluster is gone."}
	}
	d.closeQueued(f)
	for _, j := range d.Jobs {
		// Only a job whose ranks all ended on their own is not done by now, and the fold says how.
		if old := j.GetPhase(); !state.JobEnded(old) && state.FoldJob(j) {
			d.jobChanged(j, old, "cluster gone")
		}
	}
	d.ClusterDirty = true
}

// closeQueued ends every job that has no ranks yet with f.
func (d *Draft) closeQueued(f *statev1.Failure) {
	for _, j := range d.Jobs {
		if old := j.GetPhase(); old == statev1.JobPhase_JOB_QUEUED {
			own := &statev1.Failure{
				Kind: f.GetKind(), Scope: f.GetScope(), Code: f.GetCode(), Class: f.GetClass(), Message: f.GetMessage(), Hint: f.GetHint(), AtMs: d.ms(),
			}
			if j.GetDesired() == "cancel" {
				own.Kind, own.Code = statev1.FailureKind_CANCELLED, "cancelled"
			}
			state.CloseJob(j, own)
			d.jobChanged(j, old, f.GetMessage())
		}
	}
}

// releaseIntent marks the node's intent as a tombstone.
func (d *Draft) releaseIntent(n *statev1.Node) {
	in := d.Intents[n.GetId()]
	if in == nil || in.GetPhase() == statev1.IntentPhase_INTENT_RELEASED {
		return
	}
	in.Phase, in.ReleasedMs = statev1.IntentPhase_INTENT_RELEASED, d.ms()
	d.intentDirty(in)
	d.nodeDirty(n)
}

func (d *Draft) setPhase(n *statev1.Node, to statev1.NodePhase, reason string) {
	from := n.GetPhase()
	if !state.CanGo(from, to) {
		panic(fmt.Sprintf("plan: node %s cannot go from %s to %s", n.GetId(), from, to))
	}
	n.Phase, n.PhaseMs = to, d.ms()
	n.Tries, n.RetryMs, n.AbsentMs = 0, 0, 0
	if to != statev1.NodePhase_NODE_READY && to != statev1.NodePhase_NODE_DRAINING {
		n.Session = false
	}
	delete(d.Looks, n.GetId())
	d.nodeDirty(n)
	d.Events = append(d.Events, &statev1.Event{
		Kind: "node", Id: n.GetId(), ClusterId: d.Cluster.GetId(), OldPhase: state.PhaseName(from), NewPhase: state.PhaseName(to),
		Actor: "reconcile", Reason: reason, AtMs: d.ms(), Name: n.GetName(),
	})
}

func (d *Draft) jobChanged(j *statev1.Job, old statev1.JobPhase, reason string) {
	d.JobsDirty[j.GetId()] = true
	if old == j.GetPhase() {
		return
	}
	d.Events = append(d.Events, &statev1.Event{
		Kind: "job", Id: j.GetId(), ClusterId: d.Cluster.GetId(), OldPhase: state.PhaseName(old), NewPhase: state.PhaseName(j.GetPhase()),
		Actor: "reconcile", Reason: reason, AtMs: d.ms(), Name: fmt.Sprint(j.GetNumber()),
	})
}

// tell notes a sentence about the cluster as a whole.
func (d *Draft) tell(reason string) {
	d.Cluster.LastEvent = reason
	d.ClusterDirty = true
	status := state.ClusterStatus(d.Cluster, d.Nodes)
	d.Events = append(d.Events, &statev1.Event{
		Kind: "cluster", Id: d.Cluster.GetId(), ClusterId: d.Cluster.GetId(), OldPhase: d.status, NewPhase: status,
		Actor: "reconcile", Reason: reason, AtMs: d.ms(), Name: d.Cluster.GetName(),
	})
	d.status = status
}

// tellStatus notes a change of what users see.
func (d *Draft) tellStatus() {
	if status := state.ClusterStatus(d.Cluster, d.Nodes); status != d.status {
		d.tell("")
	}
}

func (d *Draft) nodeDirty(n *statev1.Node) { d.NodesDirty[n.GetId()] = true }

func (d *Draft) intentDirty(in *statev1.Intent) {
	d.IntentsDirty[fmt.Sprintf("%s/%d", in.GetNodeId(), in.GetAttempt())] = in
}

func (d *Draft) ms() int64 { return d.Now.UnixMilli() }

// completeResults says of ended jobs that nothing more will come when no machine is left that could send it: whoever
// follows their logs waits for that. A stopped machine may still send what it kept, once it is started.
func (d *Draft) completeResults() {
	for _, j := range d.Jobs {
		if !state.JobEnded(j.GetPhase()) || j.GetResultsComplete() {
			continue
		}
		left := slices.ContainsFunc(j.GetRanks(), func(r *statev1.Rank) bool {
			n := d.node(r.GetNodeId())
			return n != nil && !state.NodeEnded(n.GetPhase())
		})
		if left {
			continue
		}
		j.ResultsComplete = true
		d.JobsDirty[j.GetId()] = true
		phase := state.PhaseName(j.GetPhase())
		d.Events = append(d.Events, &statev1.Event{
			Kind: "job", Id: j.GetId(), ClusterId: d.Cluster.GetId(), OldPhase: phase, NewPhase: phase,
			Actor: "reconcile", Reason: "nothing more will come", AtMs: d.ms(), Name: fmt.Sprint(j.GetNumber()),
		})
	}
}

// rate is what machines are billed at.
type rate struct {
	price   float64
	unknown bool
}

// bill opens and closes billing intervals so that they say how many machines run at which price.
func (d *Draft) bill() {
	now := map[rate]int32{}
	for _, n := range d.Nodes {
		if state.NodeBilled(n.GetPhase()) || n.GetPhase() == statev1.NodePhase_NODE_LOST && d.owes(n) {
			now[rate{n.GetCandidate().GetHourlyPrice(), n.GetCandidate().GetPriceUnknown()}]++
		}
	}
	for _, b := range d.Cluster.GetBilling() {
		if b.GetEndMs() > 0 {
			continue
		}
		at := rate{b.GetHourlyPrice(), b.GetPriceUnknown()}
		if now[at] != b.GetNodes() {
			b.EndMs = d.ms()
			d.ClusterDirty = true
			continue
		}
		delete(now, at)
	}
	rates := slices.SortedFunc(maps.Keys(now), func(a, b rate) int {
		if a.price == b.price && b.unknown {
			return -1
		}
		return cmp.Compare(a.price, b.price)
	})
	for _, r := range rates {
		if now[r] > 0 {
			d.Cluster.Billing = append(d.Cluster.Billing, &statev1.BillingInterval{StartMs: d.ms(), HourlyPrice: r.price, PriceUnknown: r.unknown, Nodes: now[r]})
			d.ClusterDirty = true
		}
	}
}

func orAny(ss ...string) string {
	for _, s := range ss {
		if s != "" {
			return s
		}
	}
	return "anywhere"
}
