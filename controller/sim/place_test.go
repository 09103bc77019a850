package sim_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net"
	"slices"
	"sync"
	"time"

	"aloft/providers"
	"aloft/providers/fake"
)

// keeper is who ends a machine whose lease is over.
type keeper int

const (
	placeMoves  keeper = iota // the place, which can be told of a new end
	placeHard                 // the machine itself; the place, too, at an end that cannot be moved
	machineOnly               // the machine itself
)

// bootGrace is how long a machine that was stopped past the end of its lease may be renewed after its next boot.
const bootGrace = 20 * time.Minute

// place is one cloud of the world: the fake one, with a shell, with what a cluster shares among its machines, with machines
// that end themselves, and with a look at the lease of every machine. With a rule broken it is where the rule breaks.
type place struct {
	cloud *fake.Cloud
	name  string
	s     *scenario
	keeper

	mu     sync.Mutex
	keeps  map[string]bool      // by machine: a shutdown from within keeps its disk
	leases map[string]time.Time // by token: the end that a machine was made with, or was told since
	booted map[string]time.Time // by machine: when it was last started again
	calls  int
	jumped time.Duration // how wrong the clocks of controllers were
	wrong  []string      // leases that are none, or longer than they may be
}

// newPlace makes a cloud of its own name.
func newPlace(s *scenario, k keeper, cfg fake.Config) *place {
	return &place{
		cloud: fake.New(cfg), name: cfg.Name, s: s, keeper: k, keeps: map[string]bool{},
		leases: map[string]time.Time{}, booted: map[string]time.Time{},
	}
}

// Name is the cloud's.
func (p *place) Name() string { return p.name }

// Capabilities are the cloud's, as far as it keeps leases.
func (p *place) Capabilities() providers.Capabilities {
	c := p.cloud.Capabilities()
	switch p.keeper {
	case placeHard:
		c.DeadlineMoves = false
	case machineOnly:
		c.DeadlineMoves, c.MaxTTL = false, 0
	}
	return c
}

// Offers are the cloud's.
func (p *place) Offers(ctx context.Context, q providers.OfferQuery) iter.Seq2[providers.Offer, error] {
	return p.cloud.Offers(ctx, q)
}

// Describe is the cloud's.
func (p *place) Describe(ctx context.Context, s providers.Selector) iter.Seq2[providers.Instance, error] {
	return p.cloud.Describe(ctx, s)
}

// Delete is the cloud's.
func (p *place) Delete(ctx context.Context, ref providers.InstanceRef) error {
	return p.cloud.Delete(ctx, ref)
}

// Stop is the cloud's.
func (p *place) Stop(ctx context.Context, ref providers.InstanceRef) error {
	return p.cloud.Stop(ctx, ref)
}

// Start is the cloud's; the machine boots.
func (p *place) Start(ctx context.Context, ref providers.InstanceRef) error {
	p.mu.Lock()
	p.booted[ref.ID] = time.Now()
	p.mu.Unlock()
	return p.cloud.Start(ctx, ref)
}

// CheckQuota is the cloud's.
func (p *place) CheckQuota(ctx context.Context, s providers.NodeSpec, nodes int) error {
	return p.cloud.CheckQuota(ctx, s, nodes)
}

// lease checks that a machine of which a controller asks now ends by itself in time.
func (p *place) lease(op, id string, deadline time.Time) {
	if p.s.ttl == 0 {
		return
	}
	left := time.Until(deadline)
	if deadline.IsZero() || left > p.s.ttl+p.jumped+time.Second {
		p.wrong = append(p.wrong, fmt.Sprintf("%s of %s: lease of %s, may be %s", op, id, left, p.s.ttl))
	}
}

// trust says how far a lease may be off because a clock was.
func (p *place) trust(jumped time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.jumped = jumped
}

// Create asks for the machine.
func (p *place) Create(ctx context.Context, r providers.CreateRequest) (providers.Instance, error) {
	p.mu.Lock()
	p.calls++
	switch {
	case p.s.broken == noLeaseAsked:
		r.Deadline, r.Lease = time.Time{}, time.Time{}
	case p.s.broken == freshTokens:
		r.Token = fmt.Sprintf("%s-%d", r.Token, p.calls)
	}
	p.lease("create", r.Name, r.Lease)
	if p.keeper == placeHard && p.s.ttl > 0 && r.Deadline.IsZero() {
		p.wrong = append(p.wrong, "create of "+r.Name+": no hard end")
	}
	if _, ok := p.leases[r.Token]; !ok {
		p.leases[r.Token] = r.Lease
	}
	if p.s.broken == leaseIgnored || p.keeper == machineOnly {
		r.Deadline = time.Time{}
	}
	p.mu.Unlock()
	return p.cloud.Create(ctx, r)
}

// mover is a place that can be told of a new end.
type mover struct{ *place }

// ExtendDeadline moves the end of a machine.
func (p mover) ExtendDeadline(ctx context.Context, ref providers.InstanceRef, deadline time.Time) error {
	p.mu.Lock()
	p.lease("extend", ref.ID, deadline)
	p.mu.Unlock()
	if p.s.broken == leaseIgnored {
		return nil
	}
	return p.cloud.ExtendDeadline(ctx, ref, deadline)
}

// renew is what an agent does on its machine when it hears of a new end.
func (p *place) renew(id, token string, end time.Time) {
	if p.keeper == placeMoves {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lease("renew", id, end)
	p.leases[token] = end
}

// expire lets machines that keep their own lease end themselves.
func (p *place) expire() {
	if p.keeper == placeMoves || p.s.broken == leaseIgnored || p.s.ttl == 0 {
		return
	}
	now := time.Now()
	for _, l := range p.cloud.Lives() {
		p.mu.Lock()
		end, booted := p.leases[l.Token], p.booted[l.ID]
		p.mu.Unlock()
		if l.State == providers.InstanceRunning && !end.IsZero() && !now.Before(end) && (booted.IsZero() || now.Sub(booted) >= bootGrace) {
			p.shutdown(l.ID)
		}
	}
}

// SetPowerOff notes what a shutdown from within does.
func (p *place) SetPowerOff(ctx context.Context, ref providers.InstanceRef, keep bool) error {
	for _, err := range p.Describe(ctx, providers.Selector{IDs: []string{ref.ID}, Region: ref.Region}) {
		if err != nil {
			return err // the faults of a call
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.keeps[ref.ID] = keep
	return nil
}

// shutdown is a machine that powers itself off.
func (p *place) shutdown(id string) {
	p.mu.Lock()
	keep := p.keeps[id]
	p.mu.Unlock()
	if keep {
		p.cloud.PowerOff(id)
	} else {
		p.cloud.Preempt(id)
	}
}

// Finish removes what a cluster shared, once none of its machines is left.
func (p *place) Finish(ctx context.Context, t providers.Tags, region string) error {
	if p.s.broken == noFinish {
		return nil
	}
	return p.cloud.Finish(ctx, t, region)
}

// Shell opens nothing: nothing is run, the agents are the world's.
func (p *place) Shell(context.Context, providers.Instance, providers.Keys) (providers.Shell, error) {
	return noShell{}, nil
}

type noShell struct{}

func (noShell) Run(context.Context, providers.Cmd) (providers.Exit, error) {
	return providers.Exit{}, nil
}
func (noShell) Dial(context.Context, string, string) (net.Conn, error) {
	return nil, errors.New("not in this world")
}
func (noShell) Close() error { return nil }

// places are all clouds of the world.
type places []*place

func (ps places) find(name string) *place {
	if i := slices.IndexFunc(ps, func(p *place) bool { return p.name == name }); i >= 0 {
		return ps[i]
	}
	return nil
}

// Get finds a cloud.
func (ps places) Get(name string) (providers.Provider, error) {
	if p := ps.find(name); p != nil {
		if p.keeper == placeMoves {
			return mover{p}, nil
		}
		return p, nil
	}
	return nil, &providers.Error{Provider: name, Op: "get", Kind: providers.Invalid, Scope: providers.ScopeProvider, Err: errors.New("no such cloud")}
}

// Names are the names of all clouds.
func (ps places) Names() []string {
	var out []string
	for _, p := range ps {
		out = append(out, p.name)
	}
	return out
}

// Enabled are all of them.
func (ps places) Enabled(context.Context) []string { return ps.Names() }

// WhyDisabled is never asked.
func (ps places) WhyDisabled(string) error { return nil }

// Default is the first.
func (ps places) Default() string { return ps[0].name }

// lives are all machines there ever were.
func (ps places) lives() []fake.Life {
	var out []fake.Life
	for _, p := range ps {
		out = append(out, p.cloud.Lives()...)
	}
	return out
}
