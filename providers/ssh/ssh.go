// Package ssh is machines that a person has as a provider: an inventory of hosts that are reached over SSH with the
// person's own keys. To create a machine is to take the lease of a host, a file there that only one can make; to delete it
// is to end the lease and everything that ran under it. See docs/providers.md.
package ssh

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"aloft/providers"
	"aloft/providers/shell"
)

// Name is the word users write in `infra:`.
const Name = "ssh"

const (
	keepTombstones = 8 * 24 * time.Hour // a token stays spent this long
	lateness       = 30 * time.Second   // a lost connection's command may still run this long
	atOnce         = 32                 // hosts asked at the same time
)

// Provider is the hosts of the inventory.
type Provider struct {
	home     string
	userHome string
	pool     *shell.Pool

	mu      sync.Mutex
	locks   map[string]*sync.Mutex // by key
	claimed map[string]string      // host id -> key of the lease that this process holds or takes
	facts   map[string]facts       // by host id
}

// Factory makes the provider. It is enabled when there is an inventory.
func Factory() providers.Factory {
	return providers.Factory{
		Name: Name,
		New:  func(_ context.Context, c providers.Config) (providers.Provider, error) { return New(c) },
		Found: func(c providers.Config, getenv func(string) (string, bool)) error {
			home, _ := getenv("HOME")
			for _, f := range files(c.Home, home) {
				if _, err := os.Stat(f); err == nil {
					return nil
				}
			}
			return fault("check", providers.Auth, "no-inventory", "list your machines in "+files(c.Home, home)[0]+": see docs/providers.md",
				errors.New("there is no inventory of machines"))
		},
	}
}

// New makes the provider of a home.
func New(c providers.Config) (*Provider, error) {
	if c.Home == "" {
		return nil, fault("check", providers.Invalid, "home", "", errors.New("no home directory is configured"))
	}
	u, err := os.UserHomeDir()
	if err != nil {
		return nil, fault("check", providers.Invalid, "home", "", fmt.Errorf("find the user's home directory: %w", err))
	}
	return &Provider{home: c.Home, userHome: u, pool: shell.NewPool(), locks: map[string]*sync.Mutex{}, claimed: map[string]string{}, facts: map[string]facts{}}, nil
}

// Name is "ssh".
func (p *Provider) Name() string { return Name }

// Capabilities: leases are seen at once; a call whose connection was lost may still take effect.
func (p *Provider) Capabilities() providers.Capabilities {
	return providers.Capabilities{
		Idempotency: providers.IdempotencyToken, TokenLife: keepTombstones, RequestLateness: lateness, Tags: true, Shell: true, DeadlineMoves: true,
		Fixed: true, PollInterval: time.Second,
	}
}

// inventory reads the files: what is written there counts at once.
func (p *Provider) inventory(op string) (inventory, error) {
	v, err := readInventory(files(p.home, p.userHome))
	if err != nil {
		return v, &providers.Error{Provider: Name, Op: op, Kind: providers.Invalid, Scope: providers.ScopeProvider, Code: "inventory", Err: err,
			Hint: "docs/providers.md shows an inventory"}
	}
	return v, nil
}

// target is the way to a host: what the inventory says, completed by ~/.ssh/config.
func (p *Provider) target(h host) (shell.Target, error) {
	c, err := shell.ReadConfig(p.userHome)
	if err != nil {
		return shell.Target{}, err
	}
	t := shell.Target{Host: h.Name, Port: h.Port, User: h.User}
	if h.Identity != "" {
		t.Identities = []string{h.Identity}
	}
	if h.KnownHosts != "" {
		t.KnownHosts = []string{expandHome(h.KnownHosts, p.userHome)}
	}
	if h.ProxyJump != "" {
		if t.Via, err = c.Jumps(h.ProxyJump); err != nil {
			return t, fmt.Errorf("%s: %w", h.At, err)
		}
		// A way that is written down is the way, also when it goes through nothing.
		t.Direct = t.Via == nil
	}
	return c.Resolve(t)
}

func expandHome(path, home string) string {
	if rest, ok := strings.CutPrefix(path, "~/"); ok {
		return filepath.Join(home, rest)
	}
	return path
}

// lock serializes the creation of one machine.
func (p *Provider) lock(key string) (unlock func()) {
	p.mu.Lock()
	m := p.locks[key]
	if m == nil {
		m = new(sync.Mutex)
		p.locks[key] = m
	}
	p.mu.Unlock()
	m.Lock()
	return m.Unlock
}

// claim notes that this process takes a host; false = it has it for another lease.
func (p *Provider) claim(h host, key string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if k := p.claimed[h.id()]; k != "" && k != key {
		return false
	}
	p.claimed[h.id()] = key
	return true
}

func (p *Provider) unclaim(id, key string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.claimed[id] == key {
		delete(p.claimed, id)
	}
}

// Create takes the lease of a host that has what the spec asks for. Which host is written down before it is asked, so that
// a repeated call asks the same one.
func (p *Provider) Create(ctx context.Context, r providers.CreateRequest) (providers.Instance, error) {
	if err := ctx.Err(); err != nil {
		return providers.Instance{}, err
	}
	if r.Token == "" {
		return providers.Instance{}, fault("create", providers.Invalid, "no-token", "", errors.New("a create request needs a token"))
	}
	key := keyOf(r.Token)
	defer p.lock(key)()
	v, err := p.inventory("create")
	if err != nil {
		return providers.Instance{}, err
	}
	note, had, err := p.readNote(key)
	if err != nil {
		return providers.Instance{}, fault("create", providers.Transient, "disk", "", err)
	}
	var order []host
	if had {
		if !same(note.Spec, r.Spec) {
			return providers.Instance{}, fault("create", providers.Conflict, "token-mismatch", "", errors.New("the token stands for another machine"))
		}
		h, ok := v.find(note.Pool, note.Host)
		if !ok {
			return providers.Instance{}, fault("create", providers.Conflict, "no-such-host", "",
				fmt.Errorf("the token stands for host %s of pool %s, which is not in the inventory any more", note.Host, note.Pool))
		}
		order = append(order, h)
	}
	more, err := p.suitable(ctx, v, r.Spec)
	if err != nil && !had {
		return providers.Instance{}, err
	}
	order = append(order, more...)
	return p.takeOne(ctx, r, key, order)
}

// takeOne goes through hosts until one is ours. Those that this process has already come last.
func (p *Provider) takeOne(ctx context.Context, r providers.CreateRequest, key string, order []host) (providers.Instance, error) {
	var late []host
	var busy, broken []string
	var cause error
	tried := map[string]bool{}
	for i := 0; i < len(order)+len(late); i++ {
		again := i >= len(order)
		h := host{}
		if again {
			h = late[i-len(order)]
		} else {
			h = order[i]
		}
		if tried[h.id()] && !again {
			continue
		}
		if !again && !p.claim(h, key) {
			late = append(late, h)
			continue
		}
		tried[h.id()] = true
		a, ran, err := p.take(ctx, r, key, h)
		switch {
		case err != nil && (ran || ctx.Err() != nil):
			return providers.Instance{}, err // it may have taken effect: the same call again tells
		case err != nil:
			p.unclaim(h.id(), key)
			broken, cause = append(broken, h.Name), err
			continue
		case a.state == "held" && a.lease.Key != key:
			p.unclaim(h.id(), key)
			who := a.lease.Tags.ClusterName
			if a.lease.Tags.Owner != "" {
				who += " of " + a.lease.Tags.Owner
			}
			busy = append(busy, h.Name+" by "+who)
			continue
		case a.state == "gone":
			p.unclaim(h.id(), key)
		}
		return a.instance(h), nil
	}
	return providers.Instance{}, noHost(r.Spec, busy, broken, cause)
}

func (p *Provider) take(ctx context.Context, r providers.CreateRequest, key string, h host) (answer, bool, error) {
	if err := p.writeNote(key, note{Pool: h.Pool, Host: h.Name, Spec: r.Spec}); err != nil {
		return answer{}, false, fault("create", providers.Transient, "disk", "", err)
	}
	l := lease{Key: key, ID: h.id() + "/" + key, Token: r.Token, Name: r.Name, Spec: r.Spec, Tags: r.Tags, Created: time.Now(), Deadline: r.Deadline}
	if !r.Deadline.IsZero() {
		l.End = r.Deadline.Unix()
	}
	return p.act(ctx, h, "create", take, key, &l)
}

func noHost(s providers.NodeSpec, busy, broken []string, cause error) error {
	var parts []string
	if len(busy) > 0 {
		parts = append(parts, "in use: "+strings.Join(busy, ", "))
	}
	if len(broken) > 0 {
		parts = append(parts, "not reachable: "+strings.Join(broken, ", "))
	}
	where := "the inventory"
	if s.Region != "" {
		where = "pool " + s.Region
	}
	text := fmt.Sprintf("no host of %s is free", where)
	if len(parts) > 0 {
		text += " (" + strings.Join(parts, "; ") + ")"
	}
	e := fault("create", providers.Capacity, "no-host-free", "see `sky status` and `sky check ssh`, or add hosts to the inventory", errors.New(text))
	var own *providers.Error
	if errors.As(cause, &own) {
		e.Err = fmt.Errorf("%s: %w", text, own.Err)
		if own.Hint != "" {
			e.Hint = own.Hint
		}
	}
	return e
}

// Describe yields the leases that s selects. A host that cannot be asked is an error: what is there is not known.
func (p *Provider) Describe(ctx context.Context, s providers.Selector) iter.Seq2[providers.Instance, error] {
	return func(yield func(providers.Instance, error) bool) {
		if err := ctx.Err(); err != nil {
			yield(providers.Instance{}, err)
			return
		}
		v, err := p.inventory("describe")
		if err != nil {
			yield(providers.Instance{}, err)
			return
		}
		asks, err := p.asks(v, s)
		if err != nil {
			yield(providers.Instance{}, fault("describe", providers.Transient, "disk", "", err))
			return
		}
		answers := make([]answer, len(asks))
		errs := make([]error, len(asks))
		each(len(asks), func(i int) {
			answers[i], _, errs[i] = p.act(ctx, asks[i].host, "describe", asks[i].action, asks[i].key, nil)
		})
		for i, a := range answers {
			if errs[i] != nil || a.state == "free" || a.lease.Key == "" || !shows(s, asks[i].host, a) {
				continue
			}
			if !yield(a.instance(asks[i].host), nil) {
				return
			}
		}
		for _, err := range errs {
			if err != nil && !yield(providers.Instance{}, err) {
				return
			}
		}
	}
}

// ask is one question to one host.
type ask struct {
	host        host
	action, key string
}

// asks are the hosts that a selector needs to ask.
func (p *Provider) asks(v inventory, s providers.Selector) ([]ask, error) {
	var out []ask
	switch {
	case len(s.IDs) > 0:
		for _, id := range s.IDs {
			pool, name, key, ok := splitID(id)
			if !ok {
				continue
			}
			if h, ok := v.find(pool, name); ok {
				out = append(out, ask{h, look, key})
			}
		}
	case s.Token != "":
		key := keyOf(s.Token)
		n, had, err := p.readNote(key)
		if err != nil {
			return nil, err
		}
		h, ok := v.find(n.Pool, n.Host)
		if had && ok {
			return []ask{{h, look, key}}, nil
		}
		for _, h := range v.hosts {
			out = append(out, ask{h, look, key})
		}
	case s.Installation != "" || s.Ours:
		for _, h := range v.hosts {
			out = append(out, ask{h, list, "0"})
		}
	}
	return slices.DeleteFunc(out, func(a ask) bool { return s.Region != "" && a.host.Pool != s.Region || s.Zone != "" }), nil
}

func shows(s providers.Selector, h host, a answer) bool {
	if s.Installation != "" && a.lease.Tags.Installation != s.Installation {
		return false
	}
	if s.Token != "" && a.lease.Token != s.Token {
		return false
	}
	return true
}

// each runs fn for 0 to n-1, not too many at once.
func each(n int, fn func(i int)) {
	var wg sync.WaitGroup
	slots := make(chan struct{}, atOnce)
	for i := range n {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			fn(i)
		})
	}
	wg.Wait()
}

// hostOf finds the host of an instance; false = it is in no inventory, so nothing of it is ours to do.
func (p *Provider) hostOf(op string, ref providers.InstanceRef) (h host, key string, ok bool, err error) {
	pool, name, key, ok := splitID(ref.ID)
	if !ok {
		return host{}, "", false, nil
	}
	v, err := p.inventory(op)
	if err != nil {
		return host{}, "", false, err
	}
	h, ok = v.find(pool, name)
	return h, key, ok, nil
}

// Delete ends everything that runs under a lease, then the lease. The host itself goes on.
func (p *Provider) Delete(ctx context.Context, ref providers.InstanceRef) error {
	h, key, ok, err := p.hostOf("delete", ref)
	if err != nil || !ok {
		return err
	}
	if _, _, err := p.act(ctx, h, "delete", drop, key, nil); err != nil {
		return err
	}
	p.unclaim(h.id(), key)
	return nil
}

// ExtendDeadline moves the instant after which the lease counts as ended.
func (p *Provider) ExtendDeadline(ctx context.Context, ref providers.InstanceRef, deadline time.Time) error {
	gone := fault("extend", providers.NotFound, "no-such-instance", "", fmt.Errorf("instance %s does not exist", ref.ID))
	h, key, ok, err := p.hostOf("extend", ref)
	if err != nil {
		return err
	}
	if !ok {
		return gone
	}
	a, _, err := p.act(ctx, h, "extend", look, key, nil)
	if err != nil {
		return err
	}
	if a.state != "taken" || a.lease.Key != key {
		return gone
	}
	a.lease.Deadline, a.lease.End = deadline, deadline.Unix()
	if a, _, err = p.act(ctx, h, "extend", extend, key, &a.lease); err == nil && a.state != "taken" {
		return gone
	}
	return err
}
