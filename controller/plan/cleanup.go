package plan

import (
	"fmt"
	"slices"
	"time"

	"aloft/controller/state"
	statev1 "aloft/proto/sky/state/v1"
	"aloft/providers"
)

// quotaFirst reports whether the place is to be asked what the account may have before the machine of n is asked for, and
// whether n is the node to do it: the first that is planned.
func (s *Snapshot) quotaFirst(n *statev1.Node) (wait, ask bool) {
	if s.wasUp() || !s.Quota[n.GetCandidate().GetProvider()] {
		return false, false
	}
	if as := s.Cluster.GetAttempts(); s.trying() && (as[len(as)-1].GetQuotaToldMs() > 0 || as[len(as)-1].GetQuotaAskedMs() == 0) {
		return false, false // answered, or machines were asked for already
	}
	for _, o := range s.Nodes {
		if wanted(o) && o.GetPhase() == statev1.NodePhase_NODE_PLANNED {
			return true, o.GetId() == n.GetId()
		}
	}
	return true, false
}

// observeQuota takes the answer of AskQuota. Whatever is no clear refusal counts as leave: the create call will tell.
func (d *Draft) observeQuota(n *statev1.Node, o Observation) {
	if p := o.Problem; p != nil && p.Kind == providers.Quota && n.GetPhase() == statev1.NodePhase_NODE_PLANNED {
		d.refuse(n, p)
		n.Desired = statev1.NodeDesired_NODE_DESIRED_GONE
		return
	}
	if a := d.attempt(); a != nil {
		a.QuotaToldMs = d.ms()
		d.ClusterDirty = true
	}
}

// owed are the places where the cluster's machines may have shared something that is not removed yet: a node for each.
func (s *Snapshot) owed() []*statev1.Node {
	var out []*statev1.Node
	for _, n := range s.Nodes {
		c := n.GetCandidate()
		same := func(o *statev1.Node) bool {
			return o.GetCandidate().GetProvider() == c.GetProvider() && o.GetCandidate().GetRegion() == c.GetRegion()
		}
		if n.GetAttempt() == 0 || !s.Finish[c.GetProvider()] || slices.ContainsFunc(out, same) {
			continue
		}
		if r := s.removal(c); r == nil || r.GetDoneMs() == 0 {
			out = append(out, n)
		}
	}
	return out
}

// removal is the record of what is removed where c is; nil = there is none.
func (s *Snapshot) removal(c *statev1.Candidate) *statev1.Cleanup {
	for _, r := range s.Cluster.GetCleanups() {
		if r.GetProvider() == c.GetProvider() && r.GetRegion() == c.GetRegion() {
			return r
		}
	}
	return nil
}

// removing reports whether a call is under way that removes what machines share where c is.
func (s *Snapshot) removing(c *statev1.Candidate) bool {
	return slices.ContainsFunc(s.Nodes, func(n *statev1.Node) bool {
		return s.Busy[n.GetId()] && state.NodeEnded(n.GetPhase()) && n.GetCandidate().GetProvider() == c.GetProvider() && n.GetCandidate().GetRegion() == c.GetRegion()
	})
}

// removals are the calls to make now that every machine of a cluster is gone, and when to make the next one.
func (s *Snapshot) removals(now time.Time) (as []Action, wake time.Time) {
	if !s.ended() {
		return nil, time.Time{}
	}
	for _, n := range s.owed() {
		if s.Busy[n.GetId()] {
			continue
		}
		if at := time.UnixMilli(s.removal(n.GetCandidate()).GetRetryMs()); now.Before(at) {
			if wake.IsZero() || at.Before(wake) {
				wake = at
			}
			continue
		}
		as = append(as, Remove{OnNode{NodeID: n.GetId()}})
	}
	return as, wake
}

// cleanup is the record of what is removed where c is, made when there is none.
func (d *Draft) cleanup(c *statev1.Candidate) *statev1.Cleanup {
	if r := d.removal(c); r != nil {
		return r
	}
	r := &statev1.Cleanup{Provider: c.GetProvider(), Region: c.GetRegion()}
	d.Cluster.Cleanups = append(d.Cluster.Cleanups, r)
	return r
}

// forgetCleanup: a machine is asked for where things were removed already.
func (d *Draft) forgetCleanup(c *statev1.Candidate) {
	d.Cluster.Cleanups = slices.DeleteFunc(d.Cluster.Cleanups, func(r *statev1.Cleanup) bool {
		return r.GetProvider() == c.GetProvider() && r.GetRegion() == c.GetRegion()
	})
}

// observeRemove takes the answer of Remove. A purge gives up what the place refuses to remove for good.
func (d *Draft) observeRemove(n *statev1.Node, o Observation) {
	r := d.removal(n.GetCandidate())
	if r == nil {
		return // machines were asked for there meanwhile
	}
	where := fmt.Sprintf("%s %s", r.GetProvider(), orAny(r.GetRegion()))
	d.ClusterDirty = true
	r.Tries++
	p := o.Problem
	switch {
	case p == nil:
		r.DoneMs, r.RetryMs, r.Failure = d.ms(), 0, nil
		d.tell("removed what the machines shared in " + where)
	case d.Cluster.GetPurge() && definite(p.Kind):
		r.DoneMs, r.Failure = d.ms(), FailureOf(p, d.ms())
		d.tell("left what the machines shared in " + where + " (purge): " + p.Message)
	default:
		r.Failure = FailureOf(p, d.ms())
		r.RetryMs = d.Now.Add(max(d.pause(r.GetTries(), "remove/"+where), p.RetryAfter)).UnixMilli()
		d.tell("cannot remove what the machines shared in " + where + " yet: " + p.Message)
	}
}
