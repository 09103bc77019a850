// Package catalog gathers the offers of the enabled providers and ranks them for a task.
package catalog

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"aloft/controller/catalog/shelf"
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

// Catalog remembers offers and catalogues for a while: launches must not wait for listings.
type Catalog struct {
	providers Providers
	shelf     shelf.Shelf

	mu     sync.Mutex
	offers map[string]listing
	books  map[string]stamped
}

type listing struct {
	at     time.Time
	offers []place.Offer
}

// stamped is a catalogue as its file was.
type stamped struct {
	stamp string
	book  *shelf.Book
}

// New makes a Catalog that reads catalogues in s.
func New(p Providers, s shelf.Shelf) *Catalog {
	return &Catalog{providers: p, shelf: s, offers: map[string]listing{}, books: map[string]stamped{}}
}

// Placement is where a task can run.
type Placement struct {
	Candidates []*statev1.Candidate // every place, the best first
	Shown      []*statev1.Candidate // rows of the table: the best of every provider and alternative
	Hints      []string             // for people, a sentence each
}

// Infeasible is the error of Place when nothing can run a task.
type Infeasible struct{ Failure *statev1.Failure }

// Error is the failure's sentence.
func (e *Infeasible) Error() string { return e.Failure.GetMessage() }

// GetFailure is the failure, for whoever reports it.
func (e *Infeasible) GetFailure() *statev1.Failure { return e.Failure }

// Place finds where a task can run: by its catalogue for a cloud that has one, by the provider's own offers elsewhere. Every
// enabled cloud competes. Nothing is asked over the network but a provider's offers. The error is *Infeasible when nothing
// can run it.
func (c *Catalog) Place(ctx context.Context, task *statev1.TaskSpec) (*Placement, error) {
	enabled := c.providers.Enabled(ctx)
	implicit := implicit(enabled, c.providers.Default())
	q := place.Query{
		Resources: task.GetResources(), Kind: task.GetResourcesKind(), NumNodes: max(task.GetNumNodes(), 1),
		MaxHourlyCost: task.GetBudget().GetMaxHourlyCost(), Implicit: implicit, Caps: map[string]providers.Capabilities{},
	}
	if len(q.Resources) == 0 {
		q.Resources = []*statev1.Resources{{}}
	}
	out := &Placement{}
	hint := func(format string, args ...any) { out.Hints = append(out.Hints, fmt.Sprintf(format, args...)) }
	listed, err := c.shelf.Clouds()
	if err != nil {
		hint("%v", err)
	}
	var offers []place.Offer
	var markets []place.Market
	var books []*shelf.Book
	var asked []string
	for _, name := range c.asked(task, implicit) {
		if !slices.Contains(enabled, name) && !slices.Contains(implicit, name) {
			hint("%s is not enabled: run sky check %s", name, name)
			continue
		}
		p, err := c.providers.Get(name)
		if err != nil {
			hint("%s: %v", name, err)
			continue
		}
		q.Caps[name] = p.Capabilities()
		if slices.Contains(listed, name) {
			b, err := c.book(name)
			if err != nil {
				hint("%s: %v", name, err)
				continue
			}
			books, markets, asked = append(books, b), append(markets, place.Market{Cloud: name, Sheet: b.Sheet}), append(asked, name)
			continue
		}
		os, err := c.list(ctx, name, p)
		if err != nil {
			hint("%s: %v", name, err)
			continue
		}
		offers, asked = append(offers, os...), append(asked, name)
	}
	reasons := slices.Clone(out.Hints)
	out.Hints = append(out.Hints, needs(q, asked)...)
	if len(markets) == 0 {
		cands, more, failure := place.Rank(q, offers)
		out.Hints = append(out.Hints, more...)
		return answer(out, reasons, q.Rows(place.Choice{}, cands), cands, failure, task.GetBudget().GetMaxCost())
	}
	choice := place.Choose(q, markets)
	cands, _, other := place.Rank(q, offers)
	all := place.Merge(q, choice.Candidates(markets), cands)
	failure := choice.Failure
	switch {
	case len(all) > 0:
		failure, choice.Unmet = nil, q.Unmet(all)
		if choice.Failure = nil; len(choice.Picks) == 0 {
			choice.Near = nil
		}
	case failure != nil && other != nil && len(offers) > 0:
		failure.Message += " " + other.GetMessage()
	}
	out.Hints = append(out.Hints, PickNotes(choice, asked)...)
	out.Hints = append(out.Hints, AgeNotes(books, Clouds(choice.Shown), choice.Shown, time.Now())...)
	return answer(out, reasons, q.Rows(choice, cands), all, failure, task.GetBudget().GetMaxCost())
}

// needs says of what a task asks that a place does not see to.
func needs(q place.Query, asked []string) []string {
	var out []string
	for _, name := range asked {
		caps := q.Caps[name]
		for _, r := range q.Resources {
			if r.GetCloud() != "" && r.GetCloud() != name {
				continue
			}
			if caps.Fixed && len(r.GetPorts()) > 0 {
				out = append(out, fmt.Sprintf("%s opens no ports: %s is reached where the machine's own firewall lets it.", name, strings.Join(r.GetPorts(), ", ")))
			}
			if !caps.Tags && len(r.GetLabels()) > 0 {
				out = append(out, name+" keeps no labels.")
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// answer completes a placement, or says why there is none.
func answer(out *Placement, reasons []string, shown, all []*statev1.Candidate, failure *statev1.Failure, maxCost float64) (*Placement, error) {
	if failure != nil {
		if len(reasons) > 0 {
			failure.Message += " " + strings.TrimSuffix(reasons[0], ".") + "."
		}
		return nil, &Infeasible{Failure: failure}
	}
	out.Candidates, out.Shown = all, shown
	if maxCost > 0 && slices.ContainsFunc(all, (*statev1.Candidate).GetPriceUnknown) {
		out.Hints = append(out.Hints, fmt.Sprintf("max_cost (%.2f USD) cannot be held on a machine whose price is not known: set max_duration, too.", maxCost))
	}
	return out, nil
}

// book is a cloud's catalogue; one that has not changed is not read again.
func (c *Catalog) book(cloud string) (*shelf.Book, error) {
	stamp := c.shelf.Stamp(cloud)
	c.mu.Lock()
	have, ok := c.books[cloud]
	c.mu.Unlock()
	if ok && have.stamp == stamp {
		return have.book, nil
	}
	b, err := c.shelf.Open(cloud)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	c.books[cloud] = stamped{stamp, b}
	c.mu.Unlock()
	return b, nil
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
