// Package fake is a cloud in memory with the faults of real ones: answers that get lost, calls that take effect late,
// listings that lag, refusals, failed deletes, preemption. Every outcome follows from one seed and the calls made, so
// a run can be repeated. Time is that of package time: under testing/synctest it is virtual.
package fake

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"iter"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"aloft/providers"
)

// Faults are probabilities, per call unless said otherwise.
type Faults struct {
	CreateLost   float64 // takes effect, the answer is lost
	CreateLate   float64 // takes effect up to Config.Lateness later, the answer is lost
	CreateFail   float64 // no effect, the answer says only that it failed
	Capacity     float64 // refused, zone
	Quota        float64 // refused, region
	Throttle     float64 // refused, any call
	DescribeFail float64
	DeleteFail   float64 // no effect
	DeleteLost   float64 // takes effect, the answer is lost
	StopFail     float64 // no effect, stop and start
	StopLate     float64 // takes effect late, the answer is lost, stop and start
	Preempt      float64 // per machine: the place ends it within PreemptWithin
}

// Config describes a cloud. The zero value is one without faults, tokens remembered for ever, no delays.
type Config struct {
	Name          string // "" = fake
	Idempotency   providers.Idempotency
	Tokens        bool // shorthand for IdempotencyToken
	Claim         *providers.Capabilities
	Lag           time.Duration // listings are at most this stale
	Lateness      time.Duration // calls without answer take effect within this
	CallTime      time.Duration // longest duration of a call
	Boot          time.Duration // longest time from created to running
	Linger        time.Duration // terminated machines stay listed this long
	PreemptWithin time.Duration
	Faults        Faults
	Offers        []providers.Offer          // nil = DefaultOffers
	Capacity      map[string]int             // by zone: machines to be had; missing = no limit
	Refuse        map[string]providers.Error // by zone or region: every create is refused so
	Quota         map[string]providers.Error // by region: what CheckQuota answers
	Rand          *rand.Rand                 // nil = seed 1
}

// DefaultOffers are three regions with two zones each, CPU and GPU machines.
func DefaultOffers() []providers.Offer {
	var out []providers.Offer
	for i, region := range []string{"east", "north", "west"} {
		for _, z := range []string{"a", "b"} {
			f := 1 + float64(i)/10
			out = append(out,
				providers.Offer{Region: region, Zone: region + "-" + z, InstanceType: "cpu-2", CPUs: 2, MemoryGB: 8, HourlyPrice: 0.1 * f, SpotPrice: 0.03 * f},
				providers.Offer{Region: region, Zone: region + "-" + z, InstanceType: "cpu-8", CPUs: 8, MemoryGB: 32, HourlyPrice: 0.4 * f, SpotPrice: 0.12 * f},
				providers.Offer{Region: region, Zone: region + "-" + z, InstanceType: "gpu-1", Accelerator: "V100", AcceleratorCount: 1, CPUs: 8, MemoryGB: 61, HourlyPrice: 3 * f, SpotPrice: 0.9 * f},
				providers.Offer{Region: region, Zone: region + "-" + z, InstanceType: "gpu-8", Accelerator: "A100", AcceleratorCount: 8, CPUs: 96, MemoryGB: 1100, HourlyPrice: 32 * f, SpotPrice: 10 * f},
			)
		}
	}
	return out
}

// change is one step in the life of a machine; listings show it from visible on.
type change struct {
	at, visible time.Time
	state       providers.InstanceState
	reason      string
}

// machine is one machine of the cloud with its history, oldest change first.
type machine struct {
	inst    providers.Instance
	spec    providers.NodeSpec
	history []change
	preempt time.Time // zero = never
	keeps   bool      // its disk, when it shuts itself down
}

// pending is a call under way that takes effect by itself.
type pending struct {
	at time.Time
	do func(at time.Time)
}

// Cloud is the cloud; it implements providers.Provider and Stopper. It outlives its users.
type Cloud struct {
	cfg  Config
	seed uint64

	mu       sync.Mutex
	machines []*machine
	ids      map[string]*machine
	tokens   map[string][]*machine
	wake     time.Time // no machine ends by itself before; zero = look
	pending  []pending
	calls    map[string]uint64
	counts   map[string]int
	shared   map[share]bool
}

// New makes a cloud.
func New(cfg Config) *Cloud {
	if cfg.Name == "" {
		cfg.Name = "fake"
	}
	if cfg.Tokens {
		cfg.Idempotency = providers.IdempotencyToken
	}
	if cfg.Offers == nil {
		cfg.Offers = DefaultOffers()
	}
	seed := uint64(1)
	if cfg.Rand != nil {
		seed = cfg.Rand.Uint64()
	}
	return &Cloud{
		cfg: cfg, seed: seed, calls: map[string]uint64{}, counts: map[string]int{}, shared: map[share]bool{}, ids: map[string]*machine{},
		tokens: map[string][]*machine{},
	}
}

// Name is the configured name.
func (c *Cloud) Name() string { return c.cfg.Name }

// Capabilities are the truth about the cloud, or what Config.Claim pretends.
func (c *Cloud) Capabilities() providers.Capabilities {
	if c.cfg.Claim != nil {
		return *c.cfg.Claim
	}
	return providers.Capabilities{
		Idempotency: c.cfg.Idempotency, VisibilityLag: c.cfg.Lag, RequestLateness: c.cfg.Lateness + c.cfg.CallTime, Tags: true,
		MaxTTL: 30 * 24 * time.Hour, DeadlineMoves: true, Spot: true, Stop: true, PollInterval: 2 * time.Second,
	}
}

// Offers yields the configured offers that match, in their order.
func (c *Cloud) Offers(ctx context.Context, q providers.OfferQuery) iter.Seq2[providers.Offer, error] {
	return func(yield func(providers.Offer, error) bool) {
		for _, o := range c.cfg.Offers {
			if err := ctx.Err(); err != nil {
				yield(providers.Offer{}, err)
				return
			}
			if q.Accelerator != "" && !strings.EqualFold(q.Accelerator, o.Accelerator) ||
				q.Region != "" && q.Region != o.Region || q.Spot && o.SpotPrice == 0 {
				continue
			}
			if !yield(o, nil) {
				return
			}
		}
	}
}

// CheckAccount always succeeds.
func (c *Cloud) CheckAccount(context.Context) (providers.Account, error) {
	return providers.Account{Identity: c.cfg.Name, Capabilities: []string{"compute"}}, nil
}

// rnd is the random source of one call: the n-th call of op on key has the same one in every run of a seed, whatever
// other calls are made meanwhile.
func (c *Cloud) rnd(op, key string) *rand.Rand {
	k := op + "\x00" + key
	c.calls[k]++
	h := fnv.New64a()
	fmt.Fprintf(h, "%s\x00%d", k, c.calls[k])
	return rand.New(rand.NewPCG(c.seed, h.Sum64()))
}

// within is a random duration up to limit with nanosecond grain, never 0 for a limit above 0.
func within(r *rand.Rand, limit time.Duration) time.Duration {
	if limit <= 0 {
		return 0
	}
	return 1 + time.Duration(r.Int64N(int64(limit)))
}

// call is the frame of every call: it takes its time, then runs do, whose effects must have come by latest. A call given
// up by its caller may still arrive.
func (c *Cloud) call(ctx context.Context, op, key string, do func(r *rand.Rand, at, latest time.Time) error) error {
	c.mu.Lock()
	r := c.rnd(op, key)
	c.counts[op]++
	d := within(r, c.cfg.CallTime)
	c.mu.Unlock()
	if d > 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-ctx.Done():
			// Calls given up together notice it one after the other, so that a run can be repeated.
			time.Sleep(within(r, time.Microsecond))
			c.mu.Lock()
			defer c.mu.Unlock()
			if op != "describe" && r.IntN(2) == 0 {
				now := time.Now()
				latest := now.Add(c.cfg.Lateness)
				c.later(now.Add(within(r, c.cfg.Lateness)), func(at time.Time) { _ = do(r, at, latest) })
			}
			return ctx.Err()
		case <-t.C:
		}
	} else if err := ctx.Err(); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	c.advance(now)
	if r.Float64() < c.cfg.Faults.Throttle {
		return c.fail(op, providers.Throttled, providers.ScopeAccount, "slow-down", time.Second)
	}
	return do(r, now, now.Add(c.cfg.Lateness))
}

func (c *Cloud) fail(op string, k providers.Kind, s providers.Scope, code string, after time.Duration) error {
	return &providers.Error{
		Provider: c.cfg.Name, Op: op, Kind: k, Scope: s, Code: code, RetryAfter: after, Err: errors.New("injected"),
	}
}

// later makes do take effect at at.
func (c *Cloud) later(at time.Time, do func(at time.Time)) {
	c.pending = append(c.pending, pending{at, do})
}

// advance lets everything happen that was to happen by now, in order.
func (c *Cloud) advance(now time.Time) {
	for len(c.pending) > 0 {
		slices.SortStableFunc(c.pending, func(a, b pending) int { return a.at.Compare(b.at) })
		if c.pending[0].at.After(now) {
			break
		}
		p := c.pending[0]
		c.pending = c.pending[1:]
		p.do(p.at)
	}
	if now.Before(c.wake) {
		return
	}
	c.wake = now.Add(100 * 365 * 24 * time.Hour)
	for _, m := range c.machines {
		c.ripen(m, now)
		c.expect(m)
	}
}

// expect notes when m may end by itself.
func (c *Cloud) expect(m *machine) {
	if last := m.history[len(m.history)-1].state; last == providers.InstanceTerminated {
		return
	}
	for _, at := range []time.Time{m.preempt, m.inst.Deadline} {
		if !at.IsZero() && at.Before(c.wake) {
			c.wake = at
		}
	}
}

// ripen ends a machine whose preemption or deadline has come. The clock of a deadline stands while a machine is stopped.
func (c *Cloud) ripen(m *machine, now time.Time) {
	end, why := m.preempt, "preempted"
	if d := m.inst.Deadline; !d.IsZero() && m.state(now) != providers.InstanceStopped && (end.IsZero() || d.Before(end)) {
		end, why = d, "deadline"
	}
	if end.IsZero() || end.After(now) || !m.state(now).Alive() || m.state(now) == providers.InstanceTerminating {
		return
	}
	if last := m.history[len(m.history)-1].at; end.Before(last) {
		end = last // a machine started past its deadline ends with the start, not before it
	}
	c.enter(m, end, providers.InstanceTerminated, why)
}

// state is what the machine truly is at t.
func (m *machine) state(t time.Time) providers.InstanceState {
	s := m.history[0].state
	for _, h := range m.history {
		if !h.at.After(t) {
			s = h.state
		}
	}
	return s
}

// enter appends a change; it becomes visible within the lag, never before the changes it follows.
func (c *Cloud) enter(m *machine, at time.Time, s providers.InstanceState, reason string) {
	// What was to come after a machine's end or stop does not come any more.
	m.history = slices.DeleteFunc(m.history, func(h change) bool { return h.at.After(at) })
	r := c.rnd("visible", m.inst.ID)
	vis := at.Add(within(r, c.cfg.Lag))
	if len(m.history) > 0 {
		if last := m.history[len(m.history)-1].visible; vis.Before(last) {
			vis = last
		}
	}
	m.history = append(m.history, change{at: at, visible: vis, state: s, reason: reason})
}

// shown is what listings say of the machine at t; false = nothing yet, or nothing any more.
func (c *Cloud) shown(m *machine, t time.Time) (providers.Instance, bool) {
	var last *change
	for i := range m.history {
		if !m.history[i].visible.After(t) {
			last = &m.history[i]
		}
	}
	if last == nil {
		return providers.Instance{}, false
	}
	if last.state == providers.InstanceTerminated && t.Sub(last.visible) >= c.cfg.Linger {
		return providers.Instance{}, false
	}
	in := m.inst
	in.State, in.Reason = last.state, last.reason
	if last.state == providers.InstancePending {
		in.Address = ""
	}
	return in, true
}

func (c *Cloud) byID(id string) *machine {
	return c.ids[id]
}

// Describe yields what listings show now, by creation.
func (c *Cloud) Describe(ctx context.Context, s providers.Selector) iter.Seq2[providers.Instance, error] {
	return func(yield func(providers.Instance, error) bool) {
		var out []providers.Instance
		key := s.Token + strings.Join(s.IDs, ",") + s.Installation
		err := c.call(ctx, "describe", key, func(r *rand.Rand, now, _ time.Time) error {
			if r.Float64() < c.cfg.Faults.DescribeFail {
				return c.fail("describe", providers.Transient, providers.ScopeRegion, "unavailable", 0)
			}
			for _, m := range c.selected(s) {
				in, ok := c.shown(m, now)
				if ok && selects(s, in) {
					out = append(out, in)
				}
			}
			return nil
		})
		if err != nil {
			yield(providers.Instance{}, err)
			return
		}
		slices.SortFunc(out, func(a, b providers.Instance) int {
			return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.ID, b.ID))
		})
		for _, in := range out {
			if !yield(in, nil) {
				return
			}
		}
	}
}

// selected are the machines that s may mean, found without looking at all of them where that can be.
func (c *Cloud) selected(s providers.Selector) []*machine {
	switch {
	case len(s.IDs) > 0:
		var out []*machine
		for _, id := range s.IDs {
			if m := c.ids[id]; m != nil && !slices.Contains(out, m) {
				out = append(out, m)
			}
		}
		return out
	case s.Token != "":
		return c.tokens[s.Token]
	}
	return c.machines
}

func selects(s providers.Selector, in providers.Instance) bool {
	if s.Region != "" && s.Region != in.Region || s.Zone != "" && s.Zone != in.Zone {
		return false
	}
	switch {
	case len(s.IDs) > 0:
		return slices.Contains(s.IDs, in.ID)
	case s.Token != "":
		return in.Token == s.Token
	case s.Installation != "":
		return in.Tags.Installation == s.Installation
	case s.Ours:
		return in.Tags.Installation != ""
	}
	return false
}
