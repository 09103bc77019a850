package plan

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

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
		Kind: statev1.FailureKind_CAPACITY, Scope: "zone", Code: "hold", AtMs: now.UnixMilli(),
		Message: message,
		Hint:    "sky why " + s.Cluster.GetName(),
	}
}

// applyNextCandidate deletes what the present candidate gave, blocks its scope and goes on to the next.
func (d *Draft) applyNextCandidate(f *statev1.Failure) {
	c := d.Cluster
	if !d.trying() && c.GetCandidate() >= 0 && int(c.GetCandidate()) < len(c.GetCandidates()) {
		d.openAttempt(c.GetCandidates()[c.GetCandidate()])
	}
	if d.trying() {
		last := c.Attempts[len(c.Attempts)-1]
		last.EndedMs, last.Failure = d.ms(), f
	}
	d.giveUpNodes()
	next := d.nextCandidate()
	if next < 0 && c.GetRetryUntilUp() && retryable(c.GetAttempts()) {
		c.Rounds++
		c.BlockedUntilMs = d.Now.Add(d.roundPause()).UnixMilli()
		next = 0
		d.tell(fmt.Sprintf("all %d candidates failed, trying again at %s: %s", len(c.GetCandidates()),
			time.UnixMilli(c.GetBlockedUntilMs()).UTC().Format(time.TimeOnly), f.GetMessage()))
	}
	c.Candidate = next
	d.ClusterDirty = true
	if next < 0 {
		d.applyFail(d.exhausted(f))
		return
	}
	cand := c.GetCandidates()[next]
	d.tell(fmt.Sprintf("%s; trying %s %s %s", f.GetMessage(), cand.GetProvider(), orAny(cand.GetZone(), cand.GetRegion()), cand.GetInstanceType()))
	for slot := range c.GetNumNodes() {
		d.addNode(slot, cand)
	}
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

// nextCandidate is the first candidate after the present one that no failure of this round blocks; -1 = none.
func (d *Draft) nextCandidate() int32 {
	c := d.Cluster
	for i := int(c.GetCandidate()) + 1; i < len(c.GetCandidates()); i++ {
		if !d.blocked(c.GetCandidates()[i]) {
			return int32(i)
		}
	}
	return -1
}

// blocked reports whether a failure since this round began speaks of cand, too.
func (d *Draft) blocked(cand *statev1.Candidate) bool {
	since := max(d.Cluster.GetLaunchedMs(), d.Cluster.GetBlockedUntilMs())
	for _, a := range d.Cluster.GetAttempts() {
		if a.GetFailure() == nil || a.GetStartedMs() < since {
			continue
		}
		if covers(a.GetCandidate(), a.GetFailure(), cand) {
			return true
		}
	}
	return false
}

// covers reports whether failure f of candidate tried means that cand cannot work either.
func covers(tried *statev1.Candidate, f *statev1.Failure, cand *statev1.Candidate) bool {
	if tried.GetProvider() != cand.GetProvider() {
		return false
	}
	same := tried.GetInstanceType() == cand.GetInstanceType() && tried.GetSpot() == cand.GetSpot()
	switch f.GetScope() {
	case "provider", "account":
		return f.GetKind() == statev1.FailureKind_AUTH || same || f.GetKind() == statev1.FailureKind_QUOTA && sameKind(tried, cand)
	case "region":
		return tried.GetRegion() == cand.GetRegion() && (same || f.GetKind() == statev1.FailureKind_AUTH)
	}
	return same && tried.GetRegion() == cand.GetRegion() && tried.GetZone() == cand.GetZone()
}

// sameKind reports whether a quota on one speaks of the other: same accelerator, same market.
func sameKind(a, b *statev1.Candidate) bool {
	return a.GetAccelerator() == b.GetAccelerator() && a.GetSpot() == b.GetSpot()
}

// retryable reports whether trying the same again can help: not when every failure was of the request itself.
func retryable(as []*statev1.PlacementAttempt) bool {
	for _, a := range as {
		switch a.GetFailure().GetKind() {
		case statev1.FailureKind_CONFIG, statev1.FailureKind_AUTH:
		default:
			return true
		}
	}
	return false
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
		Kind: last.GetKind(), Scope: last.GetScope(), Code: last.GetCode(), Message: last.GetMessage(), Hint: last.GetHint(), AtMs: d.ms(),
	}
	for _, a := range as {
		if a.GetFailure() != nil && a.GetFailure().GetKind() != f.GetKind() {
			f.Kind, f.Scope, f.Code = statev1.FailureKind_CAPACITY, "provider", "exhausted"
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
			if n.GetPhase() != statev1.NodePhase_NODE_READY && n.GetDesired() == statev1.NodeDesired_NODE_DESIRED_UP {
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
