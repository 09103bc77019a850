package sim_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"aloft/controller/reconcile"
	"aloft/providers"
)

// verbs in the order of a campaign's run; "failover" is a launch whose first places refuse, "up" the time in which nobody
// asks for anything.
func verbs() []string { return []string{"launch", "failover", "up", "stop", "start", "down"} }

// lease is how long the machines of a campaign live without being wanted longer.
const lease = 30 * time.Minute

// steps are those that a verb passes so often that a campaign can aim at them. Every verb may pass others: machines
// are lost, and verbs come in the middle of others.
func steps(verb string) []string {
	switch verb {
	case "launch":
		return []string{"quota", "intent", "create", "bind", "probe", "ship", "connect", "poweroff", "delete", "record"}
	case "failover":
		return []string{"quota", "intent", "create", "bind", "probe", "ship", "delete", "record"}
	case "up":
		return []string{"connect", "probe", "extend", "record"}
	case "stop":
		return []string{"stop", "record"}
	case "start":
		return []string{"intent", "create", "bind", "start", "probe", "ship", "record"}
	case "down":
		return []string{"delete", "finish", "record"}
	}
	return nil
}

// cells are all that a campaign aims at.
func cells() []cell {
	var out []cell
	for _, v := range verbs() {
		for _, p := range reconcile.Points() {
			_, step, _ := strings.Cut(p, "-")
			if slices.Contains(steps(v), step) {
				out = append(out, cell{v, p})
			}
		}
	}
	return out
}

// campaign is the scenario of a seed: three clouds that remember calls in three ways, another one the first each time,
// and a controller that dies where at says, and now and then elsewhere.
func campaign(seed uint64, at *target) scenario {
	kinds := []providers.Idempotency{providers.IdempotencyToken, providers.IdempotencyName, providers.IdempotencyNone}
	k := int(seed+seed/uint64(len(cells()))) % 3 // every cell meets every kind
	return scenario{
		idempotency: kinds[k], others: []providers.Idempotency{kinds[(k+1)%3], kinds[(k+2)%3]},
		campaign: true, failover: at != nil && at.verb == "failover", crash: 150, ttl: lease, target: at,
	}
}

// aim gives a seed its cell: all in turn, at the first passage, then at later ones. After one death in six no controller
// comes back, and at one in nine it only sleeps.
func aim(seed uint64, all []cell) *target {
	n := len(all)
	round := int(seed) / n
	return &target{cell: all[int(seed)%n], nth: 1 + round%3, forever: seed%6 == 5, asleep: seed%9 == 7}
}

// TestCampaign kills the controller at every recorded step of every verb. Whatever it died of, and whether or not another
// one came: the store knows every machine there ever was, none outlives its lease, no launch was carried out twice, no two
// machines stood in one slot, and what was wanted in the end is so.
func TestCampaign(t *testing.T) {
	began := time.Now()
	all := cells()
	n := seeds(t, 500)
	sum := sweepSeeds(t, n, func(seed uint64) scenario { return campaign(seed, aim(seed, all)) }, true)
	sum.report(t, "campaign", began)
	t.Log("deaths\n" + table(sum.died))
	if n < 500 || t.Failed() {
		return
	}
	for i, c := range all {
		if sum.died[c] == 0 && !hunt(t, uint64(1_000_000+i*1000), c) {
			t.Errorf("no controller died at %s of %s: is the step still there?", c.point, c.verb)
		}
	}
	for _, p := range reconcile.Points() {
		if !slices.ContainsFunc(all, func(c cell) bool { return c.point == p }) {
			t.Errorf("no verb is aimed at %s: add it to steps", p)
		}
	}
}

// hunt looks for a seed whose controller dies in a cell that is passed seldom.
func hunt(t *testing.T, from uint64, c cell) bool {
	dir := scratch(t)
	for seed := from; seed < from+60; seed++ {
		o := play(t, dir, seed, campaign(seed, &target{cell: c, nth: 1}))
		if bad := slices.Concat(o.leaked, o.duplicates, o.stuck, o.unknown, o.billed, o.left); len(bad) > 0 {
			t.Errorf("seed %d, %v: %v", seed, c, bad)
		}
		if o.died[c] > 0 {
			return true
		}
	}
	return false
}

// TestCampaignNotices: the same campaign with a rule broken does not come out well.
func TestCampaignNotices(t *testing.T) {
	all := cells()
	n := min(max(seeds(t, 500)/10, 40), 100)
	for name, x := range map[string]struct {
		rule    rule
		noticed func(s *tally) int64
	}{
		"the intent is written after the call":   {writeAfter, func(s *tally) int64 { return s.dups.Load() }},
		"every call has a token of its own":      {freshTokens, func(s *tally) int64 { return min(s.dups.Load(), s.unknown.Load()) }},
		"machines are asked for without a lease": {noLeaseAsked, func(s *tally) int64 { return s.billed.Load() }},
		"the place does not end machines":        {leaseIgnored, func(s *tally) int64 { return s.billed.Load() }},
		"nobody removes what machines shared":    {noFinish, func(s *tally) int64 { return s.left.Load() }},
	} {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			sum := sweepSeeds(t, n, func(seed uint64) scenario {
				at := aim(seed*7, all)
				at.forever = at.forever || x.rule == leaseIgnored
				s := campaign(seed, at)
				s.broken = x.rule
				return s
			}, false)
			sum.report(t, name, began)
			if x.noticed(sum) < 1 {
				t.Error("not noticed")
			}
		})
	}
}

// table shows counts by point and verb.
func table(counts map[cell]int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-16s", "")
	for _, v := range verbs() {
		fmt.Fprintf(&b, "%10s", v)
	}
	for _, p := range reconcile.Points() {
		fmt.Fprintf(&b, "\n%-16s", p)
		for _, v := range verbs() {
			fmt.Fprintf(&b, "%10d", counts[cell{v, p}])
		}
	}
	return b.String()
}
