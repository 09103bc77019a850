package fake

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"time"

	"aloft/providers"
)

// errLost stands for an answer that never came.
var errLost = errors.New("connection reset before the answer came")

// Create makes a machine, or loses itself in one of the configured ways.
func (c *Cloud) Create(ctx context.Context, r providers.CreateRequest) (providers.Instance, error) {
	var out providers.Instance
	err := c.call(ctx, "create", r.Token, func(rnd *rand.Rand, now, latest time.Time) error {
		f := c.cfg.Faults
		x := rnd.Float64()
		hit := func(p float64) bool { x -= p; return x < 0 }
		for _, place := range []string{r.Spec.Zone, r.Spec.Region} {
			if e, ok := c.cfg.Refuse[place]; ok {
				e.Provider, e.Op = c.cfg.Name, "create"
				return &e
			}
		}
		switch {
		case hit(f.CreateLost):
			if _, err := c.make(rnd, r, now); err != nil {
				return err
			}
			return c.lost("create")
		case hit(f.CreateLate):
			c.later(now.Add(within(rnd, latest.Sub(now))), func(at time.Time) { _, _ = c.make(rnd, r, at) })
			return c.lost("create")
		case hit(f.CreateFail):
			return c.fail("create", providers.Transient, providers.ScopeZone, "internal", 0)
		case hit(f.Capacity):
			return c.fail("create", providers.Capacity, providers.ScopeZone, "no-capacity", 0)
		case hit(f.Quota):
			return c.fail("create", providers.Quota, providers.ScopeRegion, "quota", 0)
		}
		m, err := c.make(rnd, r, now)
		if err != nil {
			return err
		}
		out = m.inst
		out.State = m.state(now)
		if out.State == providers.InstancePending {
			out.Address = ""
		}
		return nil
	})
	if err != nil {
		return providers.Instance{}, err
	}
	return out, nil
}

func (c *Cloud) lost(op string) error {
	return &providers.Error{Provider: c.cfg.Name, Op: op, Kind: providers.Transient, Scope: providers.ScopeZone, Code: "lost", Err: errLost}
}

// make makes the machine of a request unless its token stands for one already.
func (c *Cloud) make(rnd *rand.Rand, r providers.CreateRequest, at time.Time) (*machine, error) {
	if c.cfg.Idempotency != providers.IdempotencyNone {
		for _, m := range c.tokens[r.Token] {
			if c.cfg.Idempotency == providers.IdempotencyName && m.state(at) == providers.InstanceTerminated {
				continue // the name is free again
			}
			if !reflect.DeepEqual(m.spec, r.Spec) {
				return nil, c.fail("create", providers.Conflict, providers.ScopeZone, "token-mismatch", 0)
			}
			return m, nil
		}
	}
	if left, ok := c.cfg.Capacity[r.Spec.Zone]; ok {
		if left <= c.living(r.Spec.Zone, at) {
			return nil, c.fail("create", providers.Capacity, providers.ScopeZone, "no-capacity", 0)
		}
	}
	c.shared[share{r.Tags.ClusterID, r.Spec.Region}] = true
	nth := 1 + len(c.tokens[r.Token])
	m := &machine{spec: r.Spec, inst: providers.Instance{
		InstanceRef: providers.InstanceRef{ID: fmt.Sprintf("i-%s-%d", r.Token[max(0, len(r.Token)-12):], nth), Region: r.Spec.Region, Zone: r.Spec.Zone},
		Token:       r.Token, Address: fmt.Sprintf("10.0.%d.%d", len(c.machines)/250, len(c.machines)%250+1),
		Created: at, Deadline: r.Deadline, Tags: r.Tags,
	}}
	if rnd.Float64() < c.cfg.Faults.Preempt {
		m.preempt = at.Add(within(rnd, c.cfg.PreemptWithin))
	}
	c.machines = append(c.machines, m)
	c.ids[m.inst.ID] = m
	c.tokens[r.Token] = append(c.tokens[r.Token], m)
	if boot := within(rnd, c.cfg.Boot); boot > 0 {
		c.enter(m, at, providers.InstancePending, "")
		c.enter(m, at.Add(boot), providers.InstanceRunning, "")
	} else {
		c.enter(m, at, providers.InstanceRunning, "")
	}
	c.expect(m)
	return m, nil
}

func (c *Cloud) living(zone string, at time.Time) int {
	var k int
	for _, m := range c.machines {
		if m.inst.Zone == zone && m.state(at).Alive() {
			k++
		}
	}
	return k
}

// Delete ends a machine; nil when there is none.
func (c *Cloud) Delete(ctx context.Context, ref providers.InstanceRef) error {
	return c.call(ctx, "delete", ref.ID, func(r *rand.Rand, now, _ time.Time) error {
		f := c.cfg.Faults
		x := r.Float64()
		if x -= f.DeleteFail; x < 0 {
			return c.fail("delete", providers.Transient, providers.ScopeZone, "internal", 0)
		}
		m := c.byID(ref.ID)
		if m != nil && m.state(now).Alive() && m.state(now) != providers.InstanceTerminating {
			c.enter(m, now, providers.InstanceTerminated, "deleted")
		}
		if x -= f.DeleteLost; x < 0 {
			return c.lost("delete")
		}
		return nil
	})
}

// Stop stops a machine; stopping a stopped one is fine, stopping a dead one is NotFound.
func (c *Cloud) Stop(ctx context.Context, ref providers.InstanceRef) error {
	return c.turn(ctx, "stop", ref, providers.InstanceStopped)
}

// Start starts a stopped machine.
func (c *Cloud) Start(ctx context.Context, ref providers.InstanceRef) error {
	return c.turn(ctx, "start", ref, providers.InstanceRunning)
}

func (c *Cloud) turn(ctx context.Context, op string, ref providers.InstanceRef, to providers.InstanceState) error {
	return c.call(ctx, op, ref.ID, func(r *rand.Rand, now, latest time.Time) error {
		x := r.Float64()
		if x -= c.cfg.Faults.StopFail; x < 0 {
			return c.fail(op, providers.Transient, providers.ScopeZone, "internal", 0)
		}
		do := func(at time.Time) {
			if m := c.byID(ref.ID); m != nil && m.state(at).Alive() && m.state(at) != to {
				c.enter(m, at, to, "")
				c.expect(m)
			}
		}
		if x -= c.cfg.Faults.StopLate; x < 0 {
			c.later(now.Add(within(r, latest.Sub(now))), do)
			return c.lost(op)
		}
		if m := c.byID(ref.ID); m == nil || !m.state(now).Alive() {
			return c.fail(op, providers.NotFound, providers.ScopeZone, "no-such-instance", 0)
		}
		do(now)
		return nil
	})
}

// ExtendDeadline moves the instant at which the cloud ends the machine.
func (c *Cloud) ExtendDeadline(ctx context.Context, ref providers.InstanceRef, deadline time.Time) error {
	return c.call(ctx, "extend", ref.ID, func(_ *rand.Rand, now, _ time.Time) error {
		m := c.byID(ref.ID)
		if m == nil || !m.state(now).Alive() {
			return c.fail("extend", providers.NotFound, providers.ScopeZone, "no-such-instance", 0)
		}
		m.inst.Deadline = deadline
		c.expect(m)
		return nil
	})
}

// SetPowerOff notes what a shutdown from within is to do; PowerOff does what it is told.
func (c *Cloud) SetPowerOff(ctx context.Context, ref providers.InstanceRef, keep bool) error {
	return c.call(ctx, "power-off", ref.ID, func(_ *rand.Rand, now, _ time.Time) error {
		m := c.byID(ref.ID)
		if m == nil || !m.state(now).Alive() {
			return c.fail("power-off", providers.NotFound, providers.ScopeZone, "no-such-instance", 0)
		}
		m.keeps = keep
		return nil
	})
}

// Life is what truly happened to a machine, for tests: no lag.
type Life struct {
	providers.Instance
	Ended time.Time // zero = alive
	Keeps bool      // as last set by SetPowerOff
}

// Lives are all machines there ever were, by creation, as they truly are now.
func (c *Cloud) Lives() []Life {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	c.advance(now)
	out := make([]Life, 0, len(c.machines))
	for _, m := range c.machines {
		l := Life{Instance: m.inst, Keeps: m.keeps}
		l.State = m.state(now)
		for _, h := range m.history {
			if h.state == providers.InstanceTerminated && !h.at.After(now) {
				l.Ended, l.Reason = h.at, h.reason
			}
		}
		out = append(out, l)
	}
	return out
}

// Calls counts the calls made by operation.
func (c *Cloud) Calls(op string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.counts[op]
}

// Quiet ends all faults and preemptions from now on; calls under way still take effect.
func (c *Cloud) Quiet() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.advance(time.Now())
	c.cfg.Faults = Faults{}
	for _, m := range c.machines {
		m.preempt = time.Time{}
	}
}

// Preempt ends a machine as the place would.
func (c *Cloud) Preempt(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	c.advance(now)
	if m := c.byID(id); m != nil && m.state(now).Alive() {
		c.enter(m, now, providers.InstanceTerminated, "preempted")
	}
}

// PowerOff is a machine that stops itself.
func (c *Cloud) PowerOff(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	c.advance(now)
	if m := c.byID(id); m != nil && m.state(now).Alive() {
		c.enter(m, now, providers.InstanceStopped, "powered off")
	}
}

// Allow sets how many machines are to be had in a zone.
func (c *Cloud) Allow(zone string, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cfg.Capacity == nil {
		c.cfg.Capacity = map[string]int{}
	}
	c.cfg.Capacity[zone] = n
}
