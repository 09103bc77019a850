// Package local is this host as a provider. A node is a directory <home>/local/<instance> with a HOME of its own in
// home/; its machine is whatever processes carry the node's id in their environment. It goes through the same contract
// as every cloud, costs nothing, and can pretend GPUs and failures, so that a launch can be rehearsed. See
// docs/providers.md for the settings.
package local

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"aloft/providers"
)

// Name is the word users write in `infra:`.
const Name = "local"

// NodeEnv marks every process of a node; the value is the instance id.
const NodeEnv = "ALOFT_LOCAL_NODE"

// address is where the nodes of this host reach each other.
const address = "127.0.0.1"

// Provider is this host.
type Provider struct {
	dir string
	set settings

	mu     sync.Mutex
	locks  map[string]*sync.Mutex // by instance id
	failed map[string]int         // by rule and cluster: creates refused so far
}

// Factory makes the provider; its options are the settings of docs/providers.md.
func Factory() providers.Factory {
	return providers.Factory{
		Name: Name, ByDefault: true, Options: options(),
		New: func(_ context.Context, c providers.Config) (providers.Provider, error) { return New(c) },
	}
}

// New makes the provider of a home.
func New(c providers.Config) (*Provider, error) {
	if c.Home == "" {
		return nil, fault("check", providers.Invalid, "home", errors.New("no home directory is configured"))
	}
	set, err := parse(c.Settings)
	if err != nil {
		return nil, fault("check", providers.Invalid, "settings", err)
	}
	p := &Provider{
		dir: filepath.Join(c.Home, "local"), set: set, locks: map[string]*sync.Mutex{}, failed: map[string]int{},
	}
	ids, err := p.ids()
	if err != nil {
		return nil, fault("check", providers.Transient, "disk", err)
	}
	for _, id := range ids {
		if rec, err := p.read(id); err == nil && rec.State != stateTerminated {
			p.arm(rec)
		}
	}
	return p, nil
}

// Name is "local".
func (p *Provider) Name() string { return Name }

// Capabilities: everything happens at once and is seen at once.
func (p *Provider) Capabilities() providers.Capabilities {
	return providers.Capabilities{
		Idempotency: providers.IdempotencyToken, TokenLife: keepTombstones, Tags: true, Spot: true, Stop: true, DeadlineMoves: true, Shell: true, Fixed: true,
		PollInterval: 200 * time.Millisecond,
	}
}

// CheckAccount always succeeds: the account is the user.
func (p *Provider) CheckAccount(context.Context) (providers.Account, error) {
	who := "this host"
	if u, err := user.Current(); err == nil {
		who = u.Username
	}
	return providers.Account{Identity: who, Capabilities: []string{"compute", "storage"}}, nil
}

// Offers yields this host, in every pretended region: without accelerators, then with 1 to n of each kind it has.
func (p *Provider) Offers(ctx context.Context, q providers.OfferQuery) iter.Seq2[providers.Offer, error] {
	return func(yield func(providers.Offer, error) bool) {
		if err := ctx.Err(); err != nil {
			yield(providers.Offer{}, err)
			return
		}
		gpus := p.set.gpus
		if gpus == nil {
			gpus = realGPUs(ctx)
		}
		for _, region := range p.set.regions {
			if q.Region != "" && q.Region != region {
				continue
			}
			base := providers.Offer{Region: region, InstanceType: Name, CPUs: float64(runtime.NumCPU()), MemoryGB: memoryGB()}
			if q.Accelerator == "" && !yield(base, nil) {
				return
			}
			for _, g := range gpus {
				if q.Accelerator != "" && !strings.EqualFold(q.Accelerator, g.name) {
					continue
				}
				for n := 1; n <= g.count; n++ {
					o := base
					o.Accelerator, o.AcceleratorCount = g.name, float64(n)
					if !yield(o, nil) {
						return
					}
				}
			}
		}
	}
}

// lock serializes what is done to one instance.
func (p *Provider) lock(id string) (unlock func()) {
	p.mu.Lock()
	m := p.locks[id]
	if m == nil {
		m = new(sync.Mutex)
		p.locks[id] = m
	}
	p.mu.Unlock()
	m.Lock()
	return m.Unlock
}

func fault(op string, k providers.Kind, code string, err error) *providers.Error {
	return &providers.Error{Provider: Name, Op: op, Kind: k, Scope: providers.ScopeProvider, Code: code, Err: err}
}

// Create makes the node's directory. Doing it again with the same token finds it.
func (p *Provider) Create(ctx context.Context, r providers.CreateRequest) (providers.Instance, error) {
	if err := ctx.Err(); err != nil {
		return providers.Instance{}, err
	}
	if r.Token == "" {
		return providers.Instance{}, fault("create", providers.Invalid, "no-token", errors.New("a create request needs a token"))
	}
	id := p.instanceID(r.Token)
	defer p.lock(id)()
	if in, ok, err := p.existing(id, r.Spec); ok || err != nil {
		return in, err
	}
	set, err := p.set.with(r.Spec.Labels)
	if err != nil {
		return providers.Instance{}, fault("create", providers.Invalid, "labels", err)
	}
	if err := p.refuse(set, r); err != nil {
		return providers.Instance{}, err
	}
	if set.delay > 0 {
		t := time.NewTimer(set.delay)
		defer t.Stop()
		select {
		case <-ctx.Done():
			return providers.Instance{}, ctx.Err() // nothing is made: no call takes effect late
		case <-t.C:
		}
	}
	rec := record{
		ID: id, Token: r.Token, Name: r.Name, Spec: r.Spec, Tags: r.Tags, State: stateRunning, BootID: bootID(),
		Created: time.Now(), Deadline: r.Deadline,
	}
	if set.preempt > 0 {
		rec.Preempt = rec.Created.Add(set.preempt)
	}
	if err := p.makeNode(rec, set); err != nil {
		return providers.Instance{}, fault("create", providers.Transient, "disk", err)
	}
	p.arm(rec)
	return rec.instance(), nil
}

// arm has a node taken away in time, though nobody looks.
func (p *Provider) arm(rec record) {
	if rec.Preempt.IsZero() {
		return
	}
	time.AfterFunc(time.Until(rec.Preempt)+time.Millisecond, func() {
		// It is tried again by whoever looks, and told to them should it fail.
		_, _ = p.describe(rec.ID)
	})
}

// existing finds the instance of a token, dead ones too.
func (p *Provider) existing(id string, spec providers.NodeSpec) (providers.Instance, bool, error) {
	rec, err := p.refresh(id)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return providers.Instance{}, false, nil
	case err != nil:
		return providers.Instance{}, false, fault("create", providers.Transient, "disk", err)
	case !rec.same(spec):
		return providers.Instance{}, false, fault("create", providers.Conflict, "token-mismatch", errors.New("the token stands for another machine"))
	}
	return rec.instance(), true, nil
}

// refuse plays the failures that the settings ask for.
func (p *Provider) refuse(set settings, r providers.CreateRequest) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, f := range set.fail {
		if f.region != "" && f.region != r.Spec.Region {
			continue
		}
		key := fmt.Sprintf("%v@%s/%s", f.kind, f.region, r.Tags.ClusterID)
		if f.times >= 0 && p.failed[key] >= f.times {
			continue
		}
		p.failed[key]++
		return &providers.Error{
			Provider: Name, Op: "create", Kind: f.kind, Scope: f.scope(), Code: "pretended",
			Err:  fmt.Errorf("pretended %s failure, as the settings ask", f.kind),
			Hint: "remove `fail` from the settings of the local provider",
		}
	}
	return nil
}

// Describe yields the instances that s selects, by id.
func (p *Provider) Describe(ctx context.Context, s providers.Selector) iter.Seq2[providers.Instance, error] {
	return func(yield func(providers.Instance, error) bool) {
		if err := ctx.Err(); err != nil {
			yield(providers.Instance{}, err)
			return
		}
		ids := slices.Clone(s.IDs)
		switch {
		case len(ids) > 0:
		case s.Token != "":
			ids = []string{p.instanceID(s.Token)}
		case s.Installation != "" || s.Ours:
			var err error
			if ids, err = p.ids(); err != nil {
				yield(providers.Instance{}, fault("describe", providers.Transient, "disk", err))
				return
			}
		}
		slices.Sort(ids)
		for _, id := range slices.Compact(ids) {
			if !validID(id) {
				continue
			}
			rec, err := p.describe(id)
			if errors.Is(err, os.ErrNotExist) {
				continue
			}
			if err != nil {
				yield(providers.Instance{}, fault("describe", providers.Transient, "disk", err))
				return
			}
			if !shows(s, rec) {
				continue
			}
			if !yield(rec.instance(), nil) {
				return
			}
		}
	}
}

// shows reports whether a listing by s shows rec.
func shows(s providers.Selector, rec record) bool {
	if s.Installation != "" && rec.Tags.Installation != s.Installation || s.Ours && rec.Tags.Installation == "" {
		return false
	}
	if (s.Installation != "" || s.Ours) && !rec.Ended.IsZero() && time.Since(rec.Ended) > lingers {
		return false
	}
	return (s.Region == "" || s.Region == rec.Spec.Region) && (s.Zone == "" || s.Zone == rec.Spec.Zone)
}

func (p *Provider) describe(id string) (record, error) {
	defer p.lock(id)()
	return p.refresh(id)
}

// Delete ends every process of the node, then removes its directory.
func (p *Provider) Delete(ctx context.Context, ref providers.InstanceRef) error {
	if !validID(ref.ID) {
		return nil
	}
	defer p.lock(ref.ID)()
	rec, err := p.read(ref.ID)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return fault("delete", providers.Transient, "disk", err)
	case rec.State == stateTerminated:
		return nil
	}
	if err := p.terminate(ctx, rec, "deleted"); err != nil {
		return fault("delete", providers.Transient, "disk", err)
	}
	return nil
}

// Stop ends every process of the node and keeps its directory.
func (p *Provider) Stop(ctx context.Context, ref providers.InstanceRef) error {
	return p.turn(ref, "stop", func(rec record) error { return p.stop(ctx, rec, "") })
}

// Start lets processes run on a stopped node again.
func (p *Provider) Start(_ context.Context, ref providers.InstanceRef) error {
	return p.turn(ref, "start", func(rec record) error {
		if rec.State == stateRunning {
			return nil
		}
		rec.State, rec.BootID, rec.Reason = stateRunning, bootID(), ""
		return p.write(rec)
	})
}

// ExtendDeadline moves the instant after which the node counts as terminated.
func (p *Provider) ExtendDeadline(_ context.Context, ref providers.InstanceRef, deadline time.Time) error {
	return p.turn(ref, "extend", func(rec record) error {
		rec.Deadline = deadline
		return p.write(rec)
	})
}

// turn changes a node that lives.
func (p *Provider) turn(ref providers.InstanceRef, op string, do func(record) error) error {
	if !validID(ref.ID) {
		return fault(op, providers.NotFound, "no-such-instance", errors.New("no such instance"))
	}
	defer p.lock(ref.ID)()
	rec, err := p.refresh(ref.ID)
	switch {
	case errors.Is(err, os.ErrNotExist), err == nil && rec.State == stateTerminated:
		return fault(op, providers.NotFound, "no-such-instance", fmt.Errorf("instance %s does not exist", ref.ID))
	case err != nil:
		return fault(op, providers.Transient, "disk", err)
	}
	if err := do(rec); err != nil {
		return fault(op, providers.Transient, "disk", err)
	}
	return nil
}
