package aws

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/pricing"
	"github.com/aws/aws-sdk-go-v2/service/servicequotas"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go/middleware"

	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
)

// place is one region: its clients and what was learned of it.
type place struct {
	region string
	ec2    *ec2.Client
	ssm    *ssm.Client
	quotas *servicequotas.Client
	sts    *sts.Client
	prices *pricing.Client

	types  memo[machineType]
	images memo[image]
	nets   memo[network]
	shared memo[string] // groups of clusters, by name
}

// How long things that change without us are remembered.
const (
	imageLife   = time.Hour
	networkLife = 10 * time.Minute
	regionsLife = time.Hour
)

// callLimit bounds one attempt of a call.
const callLimit = time.Minute

// config is the account's, read when it is first needed.
func (p *Provider) config(ctx context.Context) (sdk.Config, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conf != nil {
		return *p.conf, nil
	}
	state := imds.ClientDisabled // on a laptop it is a wait for nobody
	if p.set.useInstanceRole {
		state = imds.ClientDefaultEnableState
	}
	client := awshttp.NewBuildableClient().WithTimeout(callLimit)
	if p.o.Idle > 0 {
		client = client.WithTransportOptions(func(t *http.Transport) { t.IdleConnTimeout = p.o.Idle })
	}
	load := []func(*config.LoadOptions) error{
		config.WithEC2IMDSClientEnableState(state), config.WithRetryer(newRetryer),
		config.WithHTTPClient(client),
		config.WithAPIOptions([]func(*middleware.Stack) error{p.observe}),
	}
	if p.set.profile != "" {
		load = append(load, config.WithSharedConfigProfile(p.set.profile))
	}
	role := p.set.oidcRole != "" && p.o.Credentials == nil
	switch {
	case p.o.Credentials != nil:
		load = append(load, config.WithCredentialsProvider(p.o.Credentials))
	case role: // the default chain is not asked
		load = append(load, config.WithCredentialsProvider(sdk.AnonymousCredentials{}))
	}
	c, err := config.LoadDefaultConfig(ctx, load...)
	if err != nil {
		return sdk.Config{}, err
	}
	if p.set.region != "" {
		c.Region = p.set.region
	}
	if c.Region == "" {
		c.Region = fallbackRegion
	}
	if p.set.endpoint != "" {
		c.BaseEndpoint = sdk.String(p.set.endpoint)
	}
	if p.o.HTTP != nil {
		c.HTTPClient = p.o.HTTP
	}
	if role {
		if err := p.withRole(&c); err != nil {
			return sdk.Config{}, err
		}
	}
	p.conf = &c
	return c, nil
}

// relogin drops the account's clients: credentials that were refused may have been replaced in the files they come from.
func (p *Provider) relogin() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conf = nil
	p.places = map[string]*place{}
}

// observe tells Options.Observe of each call.
func (p *Provider) observe(stack *middleware.Stack) error {
	if p.o.Observe == nil {
		return nil
	}
	return stack.Initialize.Add(middleware.InitializeMiddlewareFunc("AloftObserve", func(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error) {
		service := strings.ReplaceAll(strings.ToLower(awsmiddleware.GetServiceID(ctx)), " ", "")
		p.o.Observe(service + ":" + awsmiddleware.GetOperationName(ctx))
		return next.HandleInitialize(ctx, in)
	}), middleware.After)
}

// at is a region; "" = the one for account-wide questions.
func (p *Provider) at(ctx context.Context, region string) (*place, error) {
	c, err := p.config(ctx)
	if err != nil {
		return nil, err
	}
	if region == "" {
		region = c.Region
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if pl := p.places[region]; pl != nil {
		return pl, nil
	}
	c.Region = priceRegion
	list := pricing.NewFromConfig(c)
	c.Region = region
	pl := &place{
		region: region, ec2: ec2.NewFromConfig(c), ssm: ssm.NewFromConfig(c), quotas: servicequotas.NewFromConfig(c), sts: sts.NewFromConfig(c), prices: list,
		images: memo[image]{life: imageLife}, nets: memo[network]{life: networkLife}, shared: memo[string]{life: networkLife},
	}
	p.places[region] = pl
	return pl, nil
}

// regionList is the memory of which regions are enabled.
type regionList struct {
	mu    sync.Mutex
	at    time.Time
	names []string
}

// regions are those in which machines may be, sorted.
func (p *Provider) regions(ctx context.Context) ([]string, error) {
	if len(p.set.regions) > 0 {
		return p.set.regions, nil
	}
	l := &p.enabled
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.names != nil && time.Since(l.at) < regionsLife {
		return l.names, nil
	}
	pl, err := p.at(ctx, "")
	if err != nil {
		return nil, err
	}
	out, err := pl.ec2.DescribeRegions(ctx, &ec2.DescribeRegionsInput{})
	if err != nil {
		return nil, err
	}
	var names []string
	for _, r := range out.Regions {
		names = append(names, sdk.ToString(r.RegionName))
	}
	slices.Sort(names)
	l.names, l.at = names, time.Now()
	return names, nil
}

// attempts is how often a call is made before the caller hears of a failure that may pass. Waits between them are short:
// whoever calls has a pace of its own.
const (
	attempts   = 3
	maxBackoff = 500 * time.Millisecond
)

// newRetryer repeats what may pass. A refusal for want of capacity comes as a server's error and is none: repeating it would
// only keep the next zone waiting. Every call that makes something carries a token or finds what it made before.
func newRetryer() sdk.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts, o.MaxBackoff = attempts, maxBackoff
		o.Backoff = retry.NewExponentialJitterBackoff(maxBackoff)
		o.RateLimiter = ratelimit.None
		o.Retryables = append([]retry.IsErrorRetryable{retry.IsErrorRetryableFunc(func(err error) sdk.Ternary {
			if code, _ := apiCode(err); code != "" && !mayPass(code) {
				return sdk.FalseTernary
			}
			return sdk.UnknownTernary
		})}, o.Retryables...)
	})
}
