package plan

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"google.golang.org/protobuf/proto"

	"aloft/controller/state"
	statev1 "aloft/proto/sky/state/v1"
	"aloft/providers"
)

// slotFailure is the failure of the newest node that should stand in one of the slots.
func (s *Snapshot) slotFailure(slots []int32) *statev1.Failure {
	var newest *statev1.Node
	for _, n := range s.Nodes {
		if n.GetFailure() != nil && slices.Contains(slots, n.GetSlot()) &&
			(newest == nil || n.GetCreatedMs() > newest.GetCreatedMs()) {
			newest = n
		}
	}
	if newest != nil {
		return newest.GetFailure()
	}
	return &statev1.Failure{Kind: statev1.FailureKind_INFRA, Scope: "node", Code: "gone", Message: "A machine of the cluster is gone."}
}

func (s *Snapshot) holdFailure(now time.Time) *statev1.Failure {
	t := s.tally()
	message := fmt.Sprintf("%d of %d machines were ready after %s.", t.ready, s.Cluster.GetNumNodes(), s.Policy.Hold)
	for _, n := range s.Nodes {
		if wanted(n) && n.GetTries() > 0 && s.Cluster.GetLastEvent() != "" {
			message += " The last problem: " + s.Cluster.GetLastEvent()
			break
		}
	}
	return &statev1.Failure{
		Kind: statev1.FailureKind_CAPACITY, Scope: "zone", Code: "hold", AtMs: now.UnixMilli(), Class: providers.Capacity.String(),
		Message: message,
		Hint:    "sky why " + s.Cluster.GetName(),
	}
}

// silentUntil is when a candidate of which nothing came but calls that failed is given up; zero = it is not one.
func (s *Snapshot) silentUntil() time.Time {
	if !s.trying() {
		return time.Time{}
	}
	as := s.Cluster.GetAttempts()
	a := as[len(as)-1]
	if a.GetProblem() == nil || len(a.GetInstances()) > 0 {
		return time.Time{}
	}
	return time.UnixMilli(a.GetStartedMs()).Add(s.Policy.CallHold)
}

// silentFailure is the failure of such a candidate.
func (s *Snapshot) silentFailure(now time.Time) *statev1.Failure {
	as := s.Cluster.GetAttempts()
	f := proto.CloneOf(as[len(as)-1].GetProblem())
	f.AtMs = now.UnixMilli()
	return f
}

// applyNextCandidate deletes what the present candidate gave, blocks what its failure speaks of and goes on to the next.
func (d *Draft) applyNextCandidate(f *statev1.Failure) {
	c := d.Cluster
	now := c.GetCandidates()[c.GetCandidate()]
	if !d.trying() {
		d.openAttempt(now)
	}
	last := c.Attempts[len(c.Attempts)-1]
	last.EndedMs, last.Failure = d.ms(), f
	d.block(now, f)
	d.giveUpNodes()
	next := d.choose(d.Now)
	if next < 0 && c.GetRetryUntilUp() && d.retryable() {
		var at time.Time
		if at, next = d.nextRound(d.Now.Add(d.roundPause())); next >= 0 {
			c.Rounds++
			c.BlockedUntilMs = at.UnixMilli()
			d.tell(fmt.Sprintf("all %d candidates failed, trying again at %s: %s", len(c.GetCandidates()), at.UTC().Format(time.TimeOnly), f.GetMessage()))
		}
	}
	c.Candidate = next
	d.ClusterDirty = true
	if next < 0 {
		d.applyFail(d.exhausted(f))
		return
	}
	cand := c.GetCandidates()[next]
	d.tell(fmt.Sprintf("%s; trying %s", f.GetMessage(), placeText(cand)))
	for slot := range c.GetNumNodes() {
		d.addNode(slot, cand)
	}
}

// placeText says in few words where and what a candidate is.
func placeText(c *statev1.Candidate) string {
	s := fmt.Sprintf("%s %s %s", c.GetProvider(), orAny(c.GetZone(), c.GetRegion()), c.GetInstanceType())
	if c.GetSpot() {
		s += "[Spot]"
	}
	return s
}

// refused are the slots of a cluster that stood once for which this launch or start asked in vain.
func (s *Snapshot) refused(t tally) []int32 {
	if !s.wasUp() || !s.trying() {
		return nil
	}
	var out []int32
	for _, slot := range t.missingSlots {
		// Nodes are sorted: the newest of a slot comes first.
		i := slices.IndexFunc(s.Nodes, func(n *statev1.Node) bool { return n.GetSlot() == slot })
		if i >= 0 && s.Nodes[i].GetFailure() != nil && s.Nodes[i].GetCreatedMs() >= s.Cluster.GetLaunchedMs() {
			out = append(out, slot)
		}
	}
	return out
}

// applyRefill plans the machines of slots anew, to be asked for after a pause.
func (d *Draft) applyRefill(a Refill) {
	c := d.Cluster
	last := c.Attempts[len(c.Attempts)-1]
	last.EndedMs, last.Failure = d.ms(), a.Failure
	at := d.Now.Add(d.roundPause())
	c.Rounds++
	c.BlockedUntilMs = at.UnixMilli()
	for _, slot := range a.Slots {
		i := slices.IndexFunc(d.Nodes, func(n *statev1.Node) bool { return n.GetSlot() == slot })
		d.addNode(slot, d.Nodes[i].GetCandidate())
	}
	d.tell(fmt.Sprintf("%s; trying again at %s", a.Failure.GetMessage(), at.UTC().Format(time.TimeOnly)))
}

// better is the candidate to try instead of the present one, of which nothing was asked yet: others were refused it since
// it was chosen. -1 = the present one will do.
func (s *Snapshot) better(now time.Time) int32 {
	c := s.Cluster
	if s.trying() || now.UnixMilli() < c.GetBlockedUntilMs() {
		return -1
	}
	for _, n := range s.Nodes {
		if wanted(n) && (n.GetPhase() != statev1.NodePhase_NODE_PLANNED || s.Busy[n.GetId()]) {
			return -1
		}
	}
	if next := s.choose(now); next != c.GetCandidate() {
		return next
	}
	return -1
}

// applyPrefer plans the machines of a launch elsewhere before anything was asked for.
func (d *Draft) applyPrefer(a Prefer) {
	c := d.Cluster
	was, cand := c.GetCandidates()[c.GetCandidate()], c.GetCandidates()[a.Candidate]
	c.Candidate = a.Candidate
	for _, n := range d.Nodes {
		if wanted(n) {
			n.Candidate = cand
			d.nodeDirty(n)
		}
	}
	why := "it is blocked"
	if b := d.refusedLately(was, d.Now); b != nil {
		why = fmt.Sprintf("it was refused at %s (%s: %s)", time.UnixMilli(b.GetFailure().GetAtMs()).UTC().Format(time.TimeOnly),
			classText(b.GetFailure()), b.GetFailure().GetMessage())
	}
	d.tell(fmt.Sprintf("not trying %s now: %s; trying %s", placeText(was), why, placeText(cand)))
}

// giveUpNodes wants every machine gone.
func (d *Draft) giveUpNodes() {
	for _, n := range d.Nodes {
		if wanted(n) {
			n.Desired = statev1.NodeDesired_NODE_DESIRED_GONE
			d.nodeDirty(n)
		}
	}
}

// addNode plans a new machine for a slot.
func (d *Draft) addNode(slot int32, c *statev1.Candidate) {
	n := NewNode(d.Cluster, slot, c, d.Now, len(d.Nodes))
	d.Nodes = append(d.Nodes, n)
	d.sort()
	d.nodeDirty(n)
}

// NewNode is a planned machine for a slot of c; ordinal tells it from the others the slot had.
func NewNode(c *statev1.Cluster, slot int32, cand *statev1.Candidate, now time.Time, ordinal int) *statev1.Node {
	return &statev1.Node{
		Id:        state.DeriveID(now, c.GetId(), strconv.Itoa(int(slot)), strconv.Itoa(ordinal)),
		ClusterId: c.GetId(), Slot: slot, Desired: statev1.NodeDesired_NODE_DESIRED_UP, Phase: statev1.NodePhase_NODE_PLANNED,
		Candidate: cand, CreatedMs: now.UnixMilli(), PhaseMs: now.UnixMilli(), Name: state.NodeName(c.GetName(), slot),
	}
}

// retryable reports whether trying the same again can help: not when every failure was of the request or the account.
func (d *Draft) retryable() bool {
	return slices.ContainsFunc(d.Cluster.GetAttempts(), func(a *statev1.PlacementAttempt) bool { return d.Policy.ruleOf(a.GetFailure()).Again })
}

func (d *Draft) roundPause() time.Duration {
	p := d.Policy.RoundPause
	for i := int32(1); i < d.Cluster.GetRounds() && p < d.Policy.RoundMax; i++ {
		p *= 2
	}
	p = min(p, d.Policy.RoundMax)
	return p + state.Jitter(p/4+time.Millisecond, d.Policy.Seed, d.Cluster.GetId(), "round", strconv.Itoa(int(d.Cluster.GetRounds())))
}

// exhausted is the failure of a launch of which every candidate failed.
func (d *Draft) exhausted(last *statev1.Failure) *statev1.Failure {
	as := d.Cluster.GetAttempts()
	f := &statev1.Failure{
		Kind: last.GetKind(), Scope: last.GetScope(), Code: last.GetCode(), Class: last.GetClass(), Message: last.GetMessage(), Hint: last.GetHint(), AtMs: d.ms(),
	}
	for _, a := range as {
		if a.GetFailure() != nil && a.GetFailure().GetKind() != f.GetKind() {
			f.Kind, f.Scope, f.Code, f.Class = statev1.FailureKind_CAPACITY, "provider", "exhausted", ""
		}
	}
	if len(as) > 1 {
		f.Message = fmt.Sprintf("No machine was to be had after %d attempts; the last one: %s", len(as), last.GetMessage())
	}
	if f.Hint == "" {
		f.Hint = "sky why " + d.Cluster.GetName() + ", or launch with --retry-until-up"
	}
	return f
}

// applyFail gives up a launch. A cluster that stood before keeps what it has: machines that were started again are
// stopped again, machines that were new go.
func (d *Draft) applyFail(f *statev1.Failure) {
	c := d.Cluster
	f.AtMs = d.ms()
	c.Failure = f
	if d.trying() {
		last := c.Attempts[len(c.Attempts)-1]
		last.EndedMs, last.Failure = d.ms(), f
	}
	if !d.wasUp() {
		c.Candidate = -1
		d.giveUpNodes()
	} else {
		stopped := true
		for _, n := range d.Nodes {
			if !wanted(n) {
				continue
			}
			stood := n.GetPhase() == statev1.NodePhase_NODE_READY && n.GetPhaseMs() < c.GetLaunchedMs()
			if !stood && n.GetDesired() == statev1.NodeDesired_NODE_DESIRED_UP {
				n.Desired = statev1.NodeDesired_NODE_DESIRED_GONE
				if n.GetCreatedMs() < c.GetLaunchedMs() {
					n.Desired = statev1.NodeDesired_NODE_DESIRED_STOPPED
				}
				d.nodeDirty(n)
			}
			stopped = stopped && n.GetDesired() != statev1.NodeDesired_NODE_DESIRED_UP
		}
		if stopped {
			c.Desired = statev1.ClusterDesired_CLUSTER_DESIRED_STOPPED
		}
	}
	d.closeQueued(f)
	d.tell(f.GetMessage())
}

// specSHA is a digest of what a create call asks for, so that a changed request is noticed before it is sent.
func specSHA(c *statev1.Candidate) string {
	b, err := json.Marshal(providers.CandidateSpec(c))
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:8])
}
