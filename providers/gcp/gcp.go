// Package gcp is the provider of Google Compute Engine.
//
// A machine's name is made of the token of its create call, so one token makes at most one machine at a time. Calls are of
// the REST clients in cloud.google.com/go/compute; nothing is set up before the first call.
package gcp

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"os"
	"sync"
	"time"

	"aloft/providers"
	"aloft/providers/shell"
)

// Name is the word users write in `infra:`.
const Name = "gcp"

// Provider is Google Compute Engine, one project of it.
type Provider struct {
	set    settings
	getenv func(string) (string, bool)
	// through, unless nil, takes every request: tests have one.
	through http.RoundTripper

	mu      sync.Mutex
	clients *clients // nil = not made yet, or of credentials that were refused
	nets    networks
	pool    *shell.Pool
}

// Factory makes the provider; it is enabled without being named when credentials and a project are found.
func Factory() providers.Factory {
	return providers.Factory{
		Name: Name, Options: options(), Found: found,
		New: func(_ context.Context, c providers.Config) (providers.Provider, error) { return New(c.Settings) },
	}
}

// New makes a provider of settings (see Factory's options). It reads no credentials and makes no call.
func New(m map[string]string) (*Provider, error) {
	s, err := parse(m)
	if err != nil {
		return nil, &providers.Error{Provider: Name, Op: "set up", Kind: providers.Invalid, Scope: providers.ScopeProvider, Code: "setting", Err: err,
			Hint: "correct it under providers.gcp in the configuration, or in the environment (ALOFT_GCP_...)"}
	}
	return &Provider{set: s, getenv: os.LookupEnv, pool: shell.NewPool()}, nil
}

// Name is "gcp".
func (p *Provider) Name() string { return Name }

// Capabilities: names are taken once, and taken again after a delete.
func (p *Provider) Capabilities() providers.Capabilities {
	return providers.Capabilities{
		Idempotency: providers.IdempotencyName, VisibilityLag: p.set.lag, RequestLateness: p.set.lateness, Tags: true,
		MaxTTL: longestRun, Spot: true, Stop: true, Shell: true, PollInterval: 2 * time.Second,
	}
}

// Offers yields nothing: what GCP sells, and at what price, is in the catalogue. The API tells types but no prices, and a
// machine without a price would count as free.
func (p *Provider) Offers(context.Context, providers.OfferQuery) iter.Seq2[providers.Offer, error] {
	return func(func(providers.Offer, error) bool) {}
}

// fail makes the error of an operation that is not the API's.
func fail(op string, kind providers.Kind, scope providers.Scope, code, hint, format string, args ...any) *providers.Error {
	return &providers.Error{Provider: Name, Op: op, Kind: kind, Scope: scope, Code: code, Hint: hint, Err: fmt.Errorf(format, args...)}
}

// allowed reports whether the settings let a region be used.
func (p *Provider) allowed(region string) bool {
	if len(p.set.regions) == 0 {
		return true
	}
	for _, r := range p.set.regions {
		if r == region {
			return true
		}
	}
	return false
}
