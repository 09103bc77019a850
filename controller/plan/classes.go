package plan

import (
	"cmp"
	"slices"
	"strings"
	"time"

	statev1 "aloft/proto/sky/state/v1"
	"aloft/providers"
)

// Reach says how far around the refused candidate a refusal speaks.
type Reach int

// Reaches, growing.
const (
	ReachZone Reach = iota
	ReachRegion
	ReachProvider
)

// String is the reach's lower-case word.
func (r Reach) String() string { return [...]string{"zone", "region", "provider"}[r] }

// Extent says of which machines there a refusal speaks.
type Extent int

// Extents, growing.
const (
	ExtentType Extent = iota // that machine type, with that many accelerators or more
	ExtentSize               // that accelerator, as many or more; without one that family of machines, as many CPUs or more
	ExtentAll                // everything
)

// String is the extent in words.
func (e Extent) String() string {
	return [...]string{"that machine type", "that accelerator or family, as many or more", "everything"}[e]
}

// Rule is one row of the table of failures: what a refusal of one kind and scope keeps a launch from, and for how long.
type Rule struct {
	Kind   providers.Kind
	Scope  providers.Scope
	Tries  bool // the call is repeated, with back-off, before the candidate is given up
	Reach  Reach
	Extent Extent
	Market bool          // that market only: on demand, or spot
	For    time.Duration // 0 = for the rest of the launch
	Shared bool          // launches of other clusters look elsewhere first, too
	Again  bool          // --retry-until-up tries again even when nothing but this was ever answered
}

// Scopes are those that a refusal may have.
func Scopes() []providers.Scope {
	return []providers.Scope{providers.ScopeZone, providers.ScopeRegion, providers.ScopeAccount, providers.ScopeProvider}
}

// Kinds are those that a refusal may have.
func Kinds() []providers.Kind {
	return []providers.Kind{providers.Capacity, providers.Quota, providers.Auth, providers.Invalid, providers.Unsupported, providers.NotFound,
		providers.Conflict, providers.Throttled, providers.Transient, providers.KindUnknown}
}

// Rules is the whole table, by Kinds and Scopes. docs/failover.md is made from it.
func (p Policy) Rules() []Rule {
	var out []Rule
	for _, k := range Kinds() {
		for _, s := range Scopes() {
			out = append(out, p.Rule(k, s))
		}
	}
	return out
}

// Rule is the row for a kind and a scope.
func (p Policy) Rule(k providers.Kind, s providers.Scope) Rule {
	r := Rule{Kind: k, Scope: s, Reach: reachOf(s), Market: true}
	switch k {
	case providers.Capacity:
		// Other zones, other types and the other market may well have machines.
		r.For, r.Shared, r.Again = p.CapacityBlock, true, true
	case providers.Quota:
		// Smaller machines may fit into what is left.
		r.Extent, r.For, r.Shared, r.Again = ExtentSize, p.QuotaBlock, true, true
	case providers.Auth:
		// Credentials are those of the whole provider; a region may be closed to an account by itself.
		if s != providers.ScopeRegion {
			r.Reach = ReachProvider
		}
		r.Extent, r.Market, r.For, r.Shared = ExtentAll, false, p.AuthBlock, true
	case providers.Invalid, providers.Unsupported, providers.NotFound:
		// The request can never work there.
		if s == providers.ScopeProvider {
			r.Extent, r.Market = ExtentAll, false
		}
	default:
		// Nothing is known of what can be had: never blocked for long, and nothing around it.
		r.Tries, r.Reach, r.For, r.Again = k != providers.Conflict, ReachZone, p.ShortBlock, true
	}
	return r
}

func reachOf(s providers.Scope) Reach {
	switch s {
	case providers.ScopeZone:
		return ReachZone
	case providers.ScopeRegion:
		return ReachRegion
	}
	return ReachProvider
}

// ruleOf is the row for a failure as it is recorded. A failure without a class is one of which nothing is known.
func (p Policy) ruleOf(f *statev1.Failure) Rule {
	kind, scope := providers.KindUnknown, providers.ScopeZone
	for _, k := range Kinds() {
		if k.String() == f.GetClass() {
			kind = k
		}
	}
	for _, s := range Scopes() {
		if s.String() == f.GetScope() {
			scope = s
		}
	}
	return p.Rule(kind, scope)
}

// Markets of a block.
const (
	marketOnDemand = 1
	marketSpot     = 2
)

func marketOf(c *statev1.Candidate) int32 {
	if c.GetSpot() {
		return marketSpot
	}
	return marketOnDemand
}

// Block is what the refusal of a candidate keeps a launch from.
func (r Rule) Block(c *statev1.Candidate, f *statev1.Failure, now time.Time) *statev1.Block {
	b := &statev1.Block{Provider: c.GetProvider(), Failure: f}
	if r.For > 0 {
		b.UntilMs = now.Add(r.For).UnixMilli()
	}
	switch r.Reach {
	case ReachZone:
		b.Region, b.Zone = c.GetRegion(), c.GetZone()
	case ReachRegion:
		b.Region = c.GetRegion()
	}
	if r.Market {
		b.Market = marketOf(c)
	}
	switch {
	case r.Extent == ExtentType:
		b.InstanceType, b.Accelerator, b.AcceleratorCount = c.GetInstanceType(), c.GetAccelerator(), c.GetAcceleratorCount()
	case r.Extent == ExtentSize && c.GetAccelerator() != "":
		b.Accelerator, b.AcceleratorCount = c.GetAccelerator(), c.GetAcceleratorCount()
	case r.Extent == ExtentSize:
		b.Family, b.Cpus = Family(c.GetInstanceType()), c.GetCpus()
	}
	return b
}

// Family is the part of a machine type's name that its relatives share: m6i of m6i.large, n2 of n2-standard-4.
func Family(instanceType string) string {
	if f, _, ok := strings.Cut(instanceType, "."); ok {
		return f
	}
	f, _, _ := strings.Cut(instanceType, "-")
	return f
}

// Covers reports whether a block speaks of a candidate.
func Covers(b *statev1.Block, c *statev1.Candidate) bool {
	named := func(want, have string) bool { return want == "" || want == have }
	return b.GetProvider() == c.GetProvider() && named(b.GetRegion(), c.GetRegion()) && named(b.GetZone(), c.GetZone()) &&
		named(b.GetInstanceType(), c.GetInstanceType()) && named(b.GetAccelerator(), c.GetAccelerator()) &&
		named(b.GetFamily(), Family(c.GetInstanceType())) && c.GetAcceleratorCount() >= b.GetAcceleratorCount() && c.GetCpus() >= b.GetCpus() &&
		(b.GetMarket() == 0 || b.GetMarket() == marketOf(c))
}

// Holds reports whether a block of a launch that began at launchedMs still holds at an instant.
func Holds(b *statev1.Block, launchedMs int64, at time.Time) bool {
	if b.GetUntilMs() == 0 {
		return b.GetFailure().GetAtMs() >= launchedMs
	}
	return at.UnixMilli() < b.GetUntilMs()
}

// Shared reports whether a block of one cluster's launch should be known to those of others.
func (p Policy) Shared(b *statev1.Block) bool {
	return b.GetUntilMs() > 0 && p.ruleOf(b.GetFailure()).Shared
}

// block notes what the failure of a candidate keeps the launch from. Blocks that hold no more are forgotten.
func (d *Draft) block(c *statev1.Candidate, f *statev1.Failure) {
	cl := d.Cluster
	cl.Blocks = slices.DeleteFunc(cl.Blocks, func(b *statev1.Block) bool { return !Holds(b, cl.GetLaunchedMs(), d.Now) })
	b := d.Policy.ruleOf(f).Block(c, f, d.Now)
	cl.Blocks = append(cl.Blocks, b)
	d.ClusterDirty = true
}

// blockedBy is the block of this launch that keeps it from a candidate at an instant for longest; nil = none does.
func (s *Snapshot) blockedBy(c *statev1.Candidate, at time.Time) *statev1.Block {
	return longest(s.Cluster.GetBlocks(), c, s.Cluster.GetLaunchedMs(), at)
}

// refusedLately is a block of another cluster's launch that speaks of a candidate; nil = none does.
func (s *Snapshot) refusedLately(c *statev1.Candidate, at time.Time) *statev1.Block {
	return longest(s.Blocks, c, 0, at)
}

func longest(bs []*statev1.Block, c *statev1.Candidate, launchedMs int64, at time.Time) *statev1.Block {
	var out *statev1.Block
	for _, b := range bs {
		if !Holds(b, launchedMs, at) || !Covers(b, c) {
			continue
		}
		if out == nil || b.GetUntilMs() == 0 || out.GetUntilMs() > 0 && b.GetUntilMs() > out.GetUntilMs() {
			out = b
		}
	}
	return out
}

// roundMs is when the present round over all candidates began, or begins.
func (s *Snapshot) roundMs() int64 {
	return max(s.Cluster.GetLaunchedMs(), s.Cluster.GetBlockedUntilMs())
}

// tried reports whether a candidate was tried in the present round.
func (s *Snapshot) tried(c *statev1.Candidate) bool {
	since := s.roundMs()
	return slices.ContainsFunc(s.Cluster.GetAttempts(), func(a *statev1.PlacementAttempt) bool {
		return a.GetStartedMs() >= since && a.GetEndedMs() > 0 && sameCandidate(a.GetCandidate(), c)
	})
}

func sameCandidate(a, b *statev1.Candidate) bool {
	return a.GetProvider() == b.GetProvider() && a.GetRegion() == b.GetRegion() && a.GetZone() == b.GetZone() && a.GetInstanceType() == b.GetInstanceType() &&
		a.GetAccelerator() == b.GetAccelerator() && a.GetAcceleratorCount() == b.GetAcceleratorCount() && a.GetSpot() == b.GetSpot()
}

// choose is the candidate of the present round to try at an instant: the first that was not tried yet and that nothing
// blocks. Those that other clusters were refused lately come after all others. -1 = none is left.
func (s *Snapshot) choose(at time.Time) int32 { return s.pick(at, s.tried) }

func (s *Snapshot) pick(at time.Time, tried func(*statev1.Candidate) bool) int32 {
	lately := int32(-1)
	for i, c := range s.Cluster.GetCandidates() {
		if tried(c) || s.blockedBy(c, at) != nil {
			continue
		}
		if s.refusedLately(c, at) == nil {
			return int32(i)
		}
		if lately < 0 {
			lately = int32(i)
		}
	}
	return lately
}

// nextRound is when candidates may be tried again at the earliest from an instant on, and the first one to try then;
// -1 = never.
func (s *Snapshot) nextRound(from time.Time) (time.Time, int32) {
	untried := func(*statev1.Candidate) bool { return false }
	if i := s.pick(from, untried); i >= 0 {
		return from, i
	}
	var free time.Time
	for _, c := range s.Cluster.GetCandidates() {
		at := from
		for b := s.blockedBy(c, at); b != nil; b = s.blockedBy(c, at) {
			if b.GetUntilMs() == 0 {
				at = time.Time{}
				break
			}
			at = time.UnixMilli(b.GetUntilMs())
		}
		if !at.IsZero() && (free.IsZero() || at.Before(free)) {
			free = at
		}
	}
	if free.IsZero() {
		return from, -1
	}
	return free, s.pick(free, untried)
}

// classText says of a failure what it is: capacity, or where no provider said so, the kind as users know it.
func classText(f *statev1.Failure) string {
	return cmp.Or(f.GetClass(), strings.ToLower(f.GetKind().String()))
}
