package plan

import (
	"time"

	statev1 "aloft/proto/sky/state/v1"
)

// costs reports whether a machine of c must not run for ever: it has a price, or one that nobody knows.
func costs(c *statev1.Candidate) bool { return c.GetHourlyPrice() > 0 || c.GetPriceUnknown() }

// deadline is the instant at which a machine that is made or wanted now ends by itself, whatever becomes of us, at most
// ttl from now: the place is told in the create call where it can move that later, the machine in any case. A budget of
// the cluster makes it earlier. 0 = never: it costs nothing.
func (s *Snapshot) deadline(c *statev1.Candidate, now time.Time, ttl time.Duration) int64 {
	if !costs(c) {
		return 0
	}
	ttl = min(ttl, s.Policy.TTL)
	if caps := s.Caps[c.GetProvider()]; caps.DeadlineMoves && caps.MaxTTL > 0 {
		ttl = min(ttl, caps.MaxTTL)
	}
	end := s.withinBudget(now.Add(ttl), now)
	if !end.After(now) {
		end = now.Add(min(ttl, s.Policy.BudgetSlack)) // somebody wants a machine all the same: its agent decides
	}
	return end.UnixMilli()
}

// withinBudget is end, or the end of the cluster's budget and the slack when that comes before.
func (s *Snapshot) withinBudget(end, now time.Time) time.Time {
	for _, last := range s.budgetEnds(now) {
		if last = last.Add(s.Policy.BudgetSlack); last.Before(end) {
			end = last
		}
	}
	return end
}

// budgetEnds are the instants at which the cluster's budget is used up if its machines stay as they are; the agents see
// to it that nothing runs then.
func (s *Snapshot) budgetEnds(now time.Time) []time.Time {
	var ends []time.Time
	b := s.Cluster.GetBudget()
	if ms := b.GetMaxDurationMs(); ms > 0 {
		ends = append(ends, time.UnixMilli(s.Cluster.GetCreatedMs()+ms))
	}
	var rate float64
	for _, n := range s.Nodes {
		if wanted(n) {
			rate += n.GetCandidate().GetHourlyPrice()
		}
	}
	if b.GetMaxCost() > 0 && rate > 0 {
		left := b.GetMaxCost() - s.spent(now)
		ends = append(ends, now.Add(max(0, time.Duration(left/rate*float64(time.Hour)))))
	}
	return ends
}

// spent is what the cluster has cost by now, in USD.
func (s *Snapshot) spent(now time.Time) float64 {
	var sum float64
	for _, b := range s.Cluster.GetBilling() {
		end := b.GetEndMs()
		if end == 0 {
			end = now.UnixMilli()
		}
		hours := float64(end-b.GetStartMs()) / float64(time.Hour/time.Millisecond)
		sum += b.GetHourlyPrice() * float64(b.GetNodes()) * hours
	}
	return sum
}

// hardEnd is the instant at which the place itself ends a machine that is made or started now and that nobody can move
// later; 0 = it does not.
func (s *Snapshot) hardEnd(c *statev1.Candidate, now time.Time) int64 {
	caps := s.Caps[c.GetProvider()]
	if !costs(c) || caps.MaxTTL == 0 || caps.DeadlineMoves {
		return 0
	}
	return now.Add(min(s.Policy.HardTTL, caps.MaxTTL)).UnixMilli()
}

// extension is the new deadline of a healthy machine whose own is drawing near; zero = none is due.
func (s *Snapshot) extension(n *statev1.Node, now time.Time) time.Time {
	have := time.UnixMilli(n.GetDeadlineMs())
	if n.GetDeadlineMs() == 0 || have.Sub(now) > s.Policy.TTL/2 {
		return time.Time{}
	}
	want := s.withinBudget(time.UnixMilli(s.deadline(n.GetCandidate(), now, s.Policy.TTL)), now)
	if hard := time.UnixMilli(n.GetHardEndMs()); n.GetHardEndMs() > 0 && want.After(hard) {
		want = hard
	}
	if !want.After(have.Add(time.Minute)) {
		return time.Time{}
	}
	return want
}

// restart is the deadline of a stopped machine that starts now. Where only the machine keeps it, it may have the rest of
// the former one left, as time in which it was stopped does not count.
func (s *Snapshot) restart(n *statev1.Node, now time.Time) time.Time {
	ttl := s.Policy.TTL
	if s.Caps[n.GetCandidate().GetProvider()].DeadlineMoves {
		ttl = s.Policy.FirstLease
	}
	end := s.deadline(n.GetCandidate(), now, ttl)
	if n.GetDeadlineMs() == 0 || end == 0 {
		return time.Time{}
	}
	return time.UnixMilli(end)
}
