// Package aws is Amazon EC2 as a provider: one instance is one machine, created with a client token, tagged with whose it
// is, ended from within by its own shutdown, and reached over SSH alone.
package aws

import (
	"context"
	"fmt"
	"iter"
	"os"
	"sync"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"

	"aloft/providers"
	"aloft/providers/shell"
)

// Name is the word users write in `infra:`.
const Name = "aws"

// Numbers of EC2. A client token is honoured for a day after the instance ended; half of that is used. Listings are
// eventually consistent; a call that was given up may still be under way.
const (
	tokenLife       = 12 * time.Hour
	visibilityLag   = 60 * time.Second
	requestLateness = 2 * time.Minute
)

// Provider is one AWS account.
type Provider struct {
	set settings
	o   Options

	getenv  func(string) (string, bool)
	mu      sync.Mutex
	conf    *sdk.Config
	as      string // where the credentials come from, if they are of a CI job; with conf
	places  map[string]*place
	enabled regionList
	pool    *shell.Pool
}

// Options are what settings cannot say. The zero value is for everyday use.
type Options struct {
	// Credentials, unless nil, are used instead of the default chain.
	Credentials sdk.CredentialsProvider
	// Getenv, unless nil, is the environment in which a CI job's token is looked for.
	Getenv func(string) (string, bool)
	// HTTP, unless nil, makes every request, those for a CI job's token among them.
	HTTP config.HTTPClient
	// Observe, unless nil, is called with each action before its call, in the words of IAM: ec2:RunInstances.
	Observe func(action string)
	// Lag and Lateness, unless both are 0, replace the numbers of EC2, for a laboratory in which nothing is late.
	Lag, Lateness time.Duration
	// Idle is how long a connection to a server is kept that nobody uses; 0 = a minute and a half.
	Idle time.Duration
}

// Factory makes the provider; its options are the settings of docs/clouds.md.
func Factory() providers.Factory {
	return providers.Factory{
		Name: Name, Options: options(), Found: found,
		New: func(_ context.Context, c providers.Config) (providers.Provider, error) { return New(c, Options{}) },
	}
}

// New makes the provider of an account. It makes no call and reads no credentials.
func New(c providers.Config, o Options) (*Provider, error) {
	set, err := parse(c.Settings)
	if err != nil {
		return nil, &providers.Error{Provider: Name, Op: "check", Kind: providers.Invalid, Scope: providers.ScopeProvider, Code: "settings", Err: err,
			Hint: "correct `providers: {aws: ...}` in config.yaml"}
	}
	p := &Provider{set: set, o: o, getenv: os.LookupEnv, places: map[string]*place{}, pool: shell.NewPool()}
	if o.Getenv != nil {
		p.getenv = o.Getenv
	}
	return p, nil
}

// Name is "aws".
func (p *Provider) Name() string { return Name }

// Capabilities are those of EC2.
func (p *Provider) Capabilities() providers.Capabilities {
	c := providers.Capabilities{
		Idempotency: providers.IdempotencyToken, TokenLife: tokenLife, VisibilityLag: visibilityLag, RequestLateness: requestLateness,
		Tags: true, DeadlineMoves: true, Spot: true, Stop: true, Shell: true, PollInterval: 2 * time.Second,
	}
	if p.o.Lag > 0 || p.o.Lateness > 0 {
		c.VisibilityLag, c.RequestLateness, c.PollInterval = p.o.Lag, p.o.Lateness, 100*time.Millisecond
	}
	return c
}

// Offers yields nothing: what EC2 sells, and for how much, is in the catalogue.
func (p *Provider) Offers(ctx context.Context, _ providers.OfferQuery) iter.Seq2[providers.Offer, error] {
	return func(yield func(providers.Offer, error) bool) {
		if err := ctx.Err(); err != nil {
			yield(providers.Offer{}, err)
		}
	}
}

// invalid is a request that can never work as it is.
func invalid(op, code, hint, format string, args ...any) *providers.Error {
	return &providers.Error{Provider: Name, Op: op, Kind: providers.Invalid, Scope: providers.ScopeRegion, Code: code, Err: fmt.Errorf(format, args...), Hint: hint}
}
