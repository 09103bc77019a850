package plan

import (
	"time"

	statev1 "aloft/proto/sky/state/v1"
)

// deadline is the instant at which a machine that is made or wanted now ends by itself, whatever becomes of us: the
// place is told in the create call where it can do it, the agent in any case. 0 = never: it costs nothing.
func (s *Snapshot) deadline(c *statev1.Candidate, now time.Time) int64 {
	if c.GetHourlyPrice() == 0 {
		return 0
	}
	ttl := s.Policy.TTL
	if limit := s.Caps[c.GetProvider()].MaxTTL; limit > 0 {
		ttl = min(ttl, limit)
	}
	end := now.Add(ttl)
	if b := s.Cluster.GetBudget().GetMaxDurationMs(); b > 0 {
		last := time.UnixMilli(s.Cluster.GetCreatedMs()).Add(time.Duration(b)*time.Millisecond + s.Policy.BudgetSlack)
		if last.After(now) && last.Before(end) {
			end = last
		}
	}
	return end.UnixMilli()
}

// extension is the new deadline of a healthy machine whose own is drawing near; zero = none is due.
func (s *Snapshot) extension(n *statev1.Node, now time.Time) time.Time {
	have := time.UnixMilli(n.GetDeadlineMs())
	if n.GetDeadlineMs() == 0 || have.Sub(now) > s.Policy.TTL/2 {
		return time.Time{}
	}
	want := time.UnixMilli(s.deadline(n.GetCandidate(), now))
	if !want.After(have.Add(time.Minute)) {
		return time.Time{}
	}
	return want
}
