// Package catalog gathers the offers of the enabled providers and ranks them for a task.
package catalog

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"aloft/controller/plan/place"
	statev1 "aloft/proto/sky/state/v1"
	"aloft/providers"
)

// Providers are the providers there are.
type Providers interface {
	// Names lists every provider there is, in a stable order.
	Names() []string
	// Get makes (once) the provider of that name.
	Get(name string) (providers.Provider, error)
	// Enabled lists the providers that may be used, in order of preference.
	Enabled(ctx context.Context) []string
	// Default is the provider used when a task asks for none and no cloud is enabled; "" = none.
	Default() string
}

// fresh is how long offers are good for.
const fresh = 10 * time.Minute

// Catalog remembers offers for a while: launches must not wait for listings.
type Catalog struct {
	providers Providers

	mu     sync.Mutex
	offers map[string]listing
}

type listing struct {
	at     time.Time
	offers []place.Offer
}

// New makes a Catalog.
func New(p Providers) *Catalog { return &Catalog{providers: p, offers: map[string]listing{}} }

// Infeasible is the error of Place when nothing can run a task.
type Infeasible struct{ Failure *statev1.Failure }

// Error is the failure's sentence.
func (e *Infeasible) Error() string { return e.Failure.GetMessage() }

// GetFailure is the failure, for whoever reports it.
func (e *Infeasible) GetFailure() *statev1.Failure { return e.Failure }

// Place finds where a task can run, the best place first. The error is *Infeasible when nothing can run it.
func (c *Catalog) Place(ctx context.Context, task *statev1.TaskSpec) ([]*statev1.Candidate, []string, error) {
	enabled := c.providers.Enabled(ctx)
	implicit := implicit(enabled, c.providers.Default())
	q := place.Query{
		Resources: task.GetResources(), Kind: task.GetResourcesKind(), NumNodes: max(task.GetNumNodes(), 1),
		MaxHourlyCost: task.GetBudget().GetMaxHourlyCost(), Implicit: implicit, Caps: map[string]providers.Capabilities{},
	}
	var offers []place.Offer
	var hints []string
	for _, name := range c.asked(task, implicit) {
		if !slices.Contains(enabled, name) && !slices.Contains(implicit, name) {
			hints = append(hints, fmt.Sprintf("%s is not enabled: run sky check %s", name, name))
			continue
		}
		p, err := c.providers.Get(name)
		if err != nil {
			hints = append(hints, fmt.Sprintf("%s: %v", name, err))
			continue
		}
		q.Caps[name] = p.Capabilities()
		os, err := c.list(ctx, name, p)
		if err != nil {
			hints = append(hints, fmt.Sprintf("%s: %v", name, err))
			continue
		}
		offers = append(offers, os...)
	}
	cands, more, failure := place.Rank(q, offers)
	hints = append(hints, more...)
	if failure != nil {
		if len(hints) > 0 && len(offers) == 0 {
			failure.Message += " " + hints[0] + "."
		}
		return nil, hints, &Infeasible{Failure: failure}
	}
	return cands, hints, nil
}

// implicit are the providers that a task uses without naming them: every enabled one that is not this host, or else the
// default.
func implicit(enabled []string, byDefault string) []string {
	var out []string
	for _, name := range enabled {
		if name != "local" {
			out = append(out, name)
		}
	}
	if len(out) == 0 && byDefault != "" {
		out = []string{byDefault}
	}
	return out
}

// asked are the providers whose offers matter for a task.
func (c *Catalog) asked(task *statev1.TaskSpec, implicit []string) []string {
	var out []string
	add := func(name string) {
		if !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	for _, r := range task.GetResources() {
		if r.GetCloud() == "" {
			continue
		}
		add(r.GetCloud())
	}
	if len(out) < len(task.GetResources()) || len(task.GetResources()) == 0 {
		for _, name := range implicit {
			add(name)
		}
	}
	return out
}

// list gives a provider's offers, remembered ones while they are fresh.
func (c *Catalog) list(ctx context.Context, name string, p providers.Provider) ([]place.Offer, error) {
	c.mu.Lock()
	l, ok := c.offers[name]
	c.mu.Unlock()
	if ok && time.Since(l.at) < fresh {
		return l.offers, nil
	}
	l = listing{at: time.Now()}
	for o, err := range p.Offers(ctx, providers.OfferQuery{}) {
		if err != nil {
			return nil, fmt.Errorf("list offers: %w", err)
		}
		l.offers = append(l.offers, place.Offer{Provider: name, Offer: o})
	}
	c.mu.Lock()
	c.offers[name] = l
	c.mu.Unlock()
	return l.offers, nil
}
