package plan

import (
	"time"

	"aloft/controller/state"
	statev1 "aloft/proto/sky/state/v1"
	"aloft/providers"
)

// Next says what to do for a cluster now. Either it gives record actions only, which are to be applied before asking
// again; or effects, at most one per node and none for busy nodes, and as the last action the time of the next look.
// An ended cluster gives nothing.
func Next(s *Snapshot, now time.Time) []Action {
	if s.Cluster.GetEndedMs() > 0 {
		return nil
	}
	if s.Cluster.GetTakenMs() > 0 && s.Cluster.GetDesired() != statev1.ClusterDesired_CLUSTER_DESIRED_DOWN {
		return []Action{Schedule{At: now.Add(s.Policy.Idle)}} // another controller's, until somebody wants it gone here
	}
	if as := s.records(now); len(as) > 0 {
		return as
	}
	var effects []Action
	wake := now.Add(s.Policy.Idle)
	for _, n := range s.Nodes {
		if s.Busy[n.GetId()] {
			continue
		}
		a, at := s.step(n, now)
		switch {
		case a == nil && at.IsZero():
		case a == nil:
			wake = earliest(wake, at)
		case !a.Effect():
			return []Action{a}
		default:
			effects = append(effects, a)
		}
	}
	removals, at := s.removals(now)
	effects = append(effects, removals...)
	if !at.IsZero() {
		wake = earliest(wake, at)
	}
	if at := s.clusterWake(now); !at.IsZero() {
		wake = earliest(wake, at)
	}
	return append(effects, Schedule{At: wake})
}

func earliest(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// records are the changes that need nobody: first jobs, then the cluster.
func (s *Snapshot) records(now time.Time) []Action {
	if as := s.lose(); len(as) > 0 {
		return as
	}
	c := s.Cluster
	t := s.tally()
	up := c.GetDesired() == statev1.ClusterDesired_CLUSTER_DESIRED_UP
	if up && c.GetAutostoppingMs() > 0 {
		if a, ok := s.finish(now); ok {
			return []Action{a}
		}
	}
	if up && !s.wasUp() && c.GetCandidate() >= 0 {
		if t.missing > 0 {
			return []Action{NextCandidate{Failure: s.slotFailure(t.missingSlots)}}
		}
		if silent := s.silentUntil(); !silent.IsZero() && !now.Before(silent) {
			return []Action{NextCandidate{Failure: s.silentFailure(now)}}
		}
		if hold := s.holdUntil(); t.ready < c.GetNumNodes() && s.trying() && !now.Before(hold) {
			return []Action{NextCandidate{Failure: s.holdFailure(now)}}
		}
		if i := s.better(now); i >= 0 {
			return []Action{Prefer{Candidate: i}}
		}
	}
	if slots := s.refused(t); up && len(slots) > 0 {
		f := s.slotFailure(slots)
		if c.GetRetryUntilUp() && s.Policy.ruleOf(f).Again {
			return []Action{Refill{Slots: slots, Failure: f}}
		}
		return []Action{Fail{Failure: f}}
	}
	if up && s.wasUp() && !c.GetRetryUntilUp() && t.ready < t.coming {
		if hold := s.holdUntil(); !hold.IsZero() && !now.Before(hold) && s.lateSlots() > 0 {
			return []Action{Fail{Failure: s.holdFailure(now)}}
		}
	}
	if up && t.ready == c.GetNumNodes() && s.upToRecord() {
		return []Action{Up{}}
	}
	if s.ended() && len(s.owed()) == 0 {
		return []Action{End{}}
	}
	if up {
		return s.jobs(t)
	}
	return nil
}

// trying reports whether the present candidate has been asked for: until then no hold budget runs.
func (s *Snapshot) trying() bool {
	as := s.Cluster.GetAttempts()
	return len(as) > 0 && as[len(as)-1].GetEndedMs() == 0
}

// lateSlots counts wanted machines that never got ready since the last launch or start.
func (s *Snapshot) lateSlots() int {
	var k int
	for _, n := range s.Nodes {
		if wanted(n) && n.GetDesired() == statev1.NodeDesired_NODE_DESIRED_UP && n.GetPhase() != statev1.NodePhase_NODE_READY {
			k++
		}
	}
	return k
}

// upToRecord reports whether it is news that every machine is ready.
func (s *Snapshot) upToRecord() bool { return !s.wasUp() || s.trying() }

// ended reports whether nothing of the cluster is left or will come.
func (s *Snapshot) ended() bool {
	for _, n := range s.Nodes {
		if !state.NodeEnded(n.GetPhase()) || s.owes(n) {
			return false
		}
	}
	c := s.Cluster
	more := c.GetDesired() == statev1.ClusterDesired_CLUSTER_DESIRED_UP && !s.wasUp() && c.GetCandidate() >= 0
	return !more
}

// finish carries on an autostop that a node announced: once one has gone, or when they take too long.
func (s *Snapshot) finish(now time.Time) (Action, bool) {
	c := s.Cluster
	late := !now.Before(time.UnixMilli(c.GetAutostoppingMs()).Add(s.Policy.FinishGrace))
	var gone bool
	for _, n := range s.Nodes {
		switch n.GetPhase() {
		case statev1.NodePhase_NODE_STOPPED, statev1.NodePhase_NODE_LOST:
			gone = gone || n.GetPhaseMs() >= c.GetAutostoppingMs()
		}
	}
	if !gone && !late {
		return nil, false
	}
	if c.GetAutostop().GetDown() {
		return Finish{Desired: statev1.ClusterDesired_CLUSTER_DESIRED_DOWN, Reason: "autodown"}, true
	}
	return Finish{Desired: statev1.ClusterDesired_CLUSTER_DESIRED_STOPPED, Reason: "autostop"}, true
}

// clusterWake is when the cluster as a whole wants to be looked at again; zero = never.
func (s *Snapshot) clusterWake(now time.Time) time.Time {
	c := s.Cluster
	var at time.Time
	add := func(t time.Time) {
		if t.After(now) && (at.IsZero() || t.Before(at)) {
			at = t
		}
	}
	t := s.tally()
	if c.GetDesired() == statev1.ClusterDesired_CLUSTER_DESIRED_UP {
		if t.ready < t.coming {
			add(s.holdUntil())
			if !s.wasUp() {
				add(s.silentUntil())
			}
		}
		if c.GetAutostoppingMs() > 0 {
			add(time.UnixMilli(c.GetAutostoppingMs()).Add(s.Policy.FinishGrace))
		}
	}
	if c.GetBlockedUntilMs() > 0 {
		add(time.UnixMilli(c.GetBlockedUntilMs()))
	}
	return at
}

// step is what to do for one node: an action, or when to look again, or neither (somebody else will tell).
func (s *Snapshot) step(n *statev1.Node, now time.Time) (Action, time.Time) {
	const up, stopped, gone = statev1.NodeDesired_NODE_DESIRED_UP, statev1.NodeDesired_NODE_DESIRED_STOPPED, statev1.NodeDesired_NODE_DESIRED_GONE
	on := OnNode{NodeID: n.GetId()}
	rec := NodeRecord{NodeID: n.GetId()}
	switch n.GetPhase() {
	case statev1.NodePhase_NODE_PLANNED:
		if n.GetDesired() != up {
			return Release{rec}, time.Time{}
		}
		if blocked := time.UnixMilli(s.Cluster.GetBlockedUntilMs()); now.Before(blocked) {
			return nil, blocked
		}
		if !s.slotClear(n) || s.removing(n.GetCandidate()) {
			return nil, time.Time{} // whoever is waited for has the cluster looked at again
		}
		if wait, ask := s.quotaFirst(n); ask {
			return AskQuota{on}, time.Time{}
		} else if wait {
			return nil, time.Time{}
		}
		return s.when(n, now, Create{on})
	case statev1.NodePhase_NODE_CREATING:
		return s.stepCreating(n, now)
	case statev1.NodePhase_NODE_BOOTING, statev1.NodePhase_NODE_SHIPPING:
		switch {
		case n.GetDesired() == gone:
			return Delete{on}, time.Time{}
		case n.GetDesired() == stopped:
			return Stop{on}, time.Time{}
		case n.GetPhase() == statev1.NodePhase_NODE_BOOTING:
			return s.when(n, now, Probe{OnNode: on})
		case n.GetTries() == 0:
			return s.when(n, now, Ship{on})
		}
		return s.when(n, now, Connect{OnNode: on, Reship: true})
	case statev1.NodePhase_NODE_READY:
		switch {
		case n.GetDesired() == gone:
			return Drain{rec}, time.Time{}
		case n.GetDesired() == stopped:
			if until := s.jobsUntil(n, now); n.GetSession() && !until.IsZero() {
				return nil, until
			}
			return Stop{on}, time.Time{}
		case n.GetSession() && s.Cluster.GetAutostoppingMs() > 0:
			// It said that it ends itself; a session need not notice, the place does.
			return s.when(n, now, Probe{OnNode: on})
		case n.GetSession():
			if n.GetPoweroffSettable() && n.GetPoweroffKeeps() != s.keeps() {
				if a, at := s.when(n, now, PowerOff{OnNode: on, Keep: s.keeps()}); a != nil {
					return a, at
				}
			}
			end := s.extension(n, now)
			switch {
			case end.IsZero():
			case s.Caps[n.GetCandidate().GetProvider()].DeadlineMoves:
				return s.when(n, now, Extend{OnNode: on, Deadline: end})
			default:
				return Renew{NodeRecord: rec, Deadline: end}, time.Time{}
			}
			return nil, time.Time{}
		}
		return s.when(n, now, Connect{OnNode: on, Reship: n.GetTries() > 0})
	case statev1.NodePhase_NODE_STOPPING:
		if n.GetDesired() == gone {
			return Delete{on}, time.Time{}
		}
		return s.when(n, now, Stop{on})
	case statev1.NodePhase_NODE_STOPPED:
		switch n.GetDesired() {
		case gone:
			return Delete{on}, time.Time{}
		case up:
			// Only a failed start waits; the slow pace of looking at stopped machines does not count.
			if at := time.UnixMilli(n.GetRetryMs()); n.GetRetryMs() > 0 && now.Before(at) {
				return nil, at
			}
			return Start{OnNode: on, Deadline: s.restart(n, now)}, time.Time{}
		}
		// A start call without answer may take effect after the machine was stopped again: somebody must notice.
		return s.when(n, now, Probe{OnNode: on})
	case statev1.NodePhase_NODE_DRAINING:
		return s.stepDraining(n, now)
	case statev1.NodePhase_NODE_DELETING:
		return s.when(n, now, Delete{on})
	case statev1.NodePhase_NODE_LOST:
		if s.owes(n) {
			return s.when(n, now, Delete{on})
		}
	}
	return nil, time.Time{}
}

// stepDraining leaves a machine alive while its jobs end and their logs and results arrive. An agent that does not answer
// is called for a short while: it may only have lost a controller that died.
func (s *Snapshot) stepDraining(n *statev1.Node, now time.Time) (Action, time.Time) {
	on := OnNode{NodeID: n.GetId()}
	until := s.jobsUntil(n, now)
	if until.IsZero() {
		return Delete{on}, time.Time{}
	}
	if n.GetSession() {
		return nil, until
	}
	if call := time.UnixMilli(n.GetPhaseMs()).Add(s.Policy.DrainCall); call.Before(until) {
		until = call
	}
	if !now.Before(until) {
		return Delete{on}, time.Time{}
	}
	a, at := s.when(n, now, Connect{OnNode: on})
	if a == nil && at.After(until) {
		at = until
	}
	return a, at
}

// stepCreating is the heart of R1-R3: an intent stands, the answer does not.
func (s *Snapshot) stepCreating(n *statev1.Node, now time.Time) (Action, time.Time) {
	on := OnNode{NodeID: n.GetId()}
	in := s.Intents[n.GetId()]
	up := n.GetDesired() == statev1.NodeDesired_NODE_DESIRED_UP
	if in == nil || in.GetPhase() != statev1.IntentPhase_INTENT_ISSUED {
		if !up {
			return Release{NodeRecord{NodeID: n.GetId()}}, time.Time{}
		}
		return s.when(n, now, Create{on})
	}
	if !up {
		return s.when(n, now, Probe{OnNode: on, ByToken: true})
	}
	if s.Caps[in.GetProvider()].Idempotency == providers.IdempotencyNone && n.GetTries() > 0 {
		// Nothing but the listing tells whether the last call took effect, and it tells only after the settle time.
		if ripe := time.UnixMilli(in.GetIssuedMs()).Add(s.settle(in.GetProvider()) + time.Millisecond); now.Before(ripe) {
			return nil, ripe
		}
	}
	return s.when(n, now, Create{on})
}

// when is a, unless the node's back-off or pace says later.
func (s *Snapshot) when(n *statev1.Node, now time.Time, a Action) (Action, time.Time) {
	at := s.Looks[n.GetId()]
	if r := time.UnixMilli(n.GetRetryMs()); n.GetRetryMs() > 0 && r.After(at) {
		at = r
	}
	if now.Before(at) {
		return nil, at
	}
	return a, time.Time{}
}

// keeps reports whether a machine of the cluster that shuts itself down is to keep its disk. Where the place must be told,
// an autostop of the other kind is held back until it was.
func (s *Snapshot) keeps() bool {
	as := s.Cluster.GetAutostop()
	return as.GetEnabled() && !as.GetDown()
}
