package gcp

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"cloud.google.com/go/auth"
	"cloud.google.com/go/auth/credentials"
	"cloud.google.com/go/auth/httptransport"
	compute "cloud.google.com/go/compute/apiv1"
	"google.golang.org/api/option"

	"aloft/providers"
)

// login is the command that gets credentials.
const login = "gcloud auth application-default login"

// Endpoints of Google.
const (
	computeEndpoint = "https://compute.googleapis.com"
	managerEndpoint = "https://cloudresourcemanager.googleapis.com"
)

// clients are those of one set of credentials. They share one pool of connections.
type clients struct {
	project  string
	identity string // who we are, as far as the credentials say it
	member   string // the same as IAM writes it; "" = not known
	http     *http.Client
	base     *http.Transport
	note     string // where the credentials come from, if they are of a CI job
	opts     []option.ClientOption

	instances  *compute.InstancesClient
	zoneOps    *compute.ZoneOperationsClient
	globalOps  *compute.GlobalOperationsClient
	regionOps  *compute.RegionOperationsClient
	firewalls  *compute.FirewallsClient
	networks   *compute.NetworksClient
	regions    *compute.RegionsClient
	projects   *compute.ProjectsClient
	placements *compute.ResourcePoliciesClient
}

// api gives the clients, made at the first call.
func (p *Provider) api(ctx context.Context, op string) (*clients, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.clients != nil {
		return p.clients, nil
	}
	c, err := p.connect(ctx)
	if err != nil {
		return nil, p.failure(ctx, op, "", err)
	}
	p.clients = c
	return c, nil
}

// forget drops the clients, so that the next call reads the credentials anew: somebody may have logged in meanwhile.
func (p *Provider) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.clients != nil {
		p.clients.base.CloseIdleConnections()
		p.clients = nil
	}
}

// Close closes idle connections. The provider can be used again.
func (p *Provider) Close() error {
	p.forget()
	return nil
}

// connect reads the credentials and makes the clients. No request is made, besides for the project's name on a machine of
// GCE.
func (p *Provider) connect(ctx context.Context) (*clients, error) {
	c := &clients{project: p.set.project}
	c.base = &http.Transport{
		Proxy: http.ProxyFromEnvironment, DialContext: (&net.Dialer{Timeout: 15 * time.Second}).DialContext, ForceAttemptHTTP2: true,
		MaxIdleConnsPerHost: 64, IdleConnTimeout: 60 * time.Second, TLSHandshakeTimeout: 15 * time.Second,
	}
	if p.set.endpoint != "" {
		c.base.IdleConnTimeout = time.Second
	}
	// Neither requests nor answers are ever logged: they hold keys.
	quiet := slog.New(slog.DiscardHandler)
	// requests go through base, unless a test has its own
	var below http.RoundTripper = c.base
	if p.through != nil {
		below = p.through
	}
	if p.set.anonymous {
		c.http, c.identity = &http.Client{Transport: c.base}, "anonymous"
	} else {
		creds, err := p.credentials(c, below, quiet)
		if err != nil {
			return nil, err
		}
		if c.project == "" {
			c.project, _ = creds.ProjectID(ctx)
		}
		if c.project == "" {
			c.project, _ = creds.QuotaProjectID(ctx)
		}
		if c.http, err = httptransport.NewClient(&httptransport.Options{
			Credentials: creds, BaseRoundTripper: below, DisableTelemetry: true, Logger: quiet,
		}); err != nil {
			return nil, err
		}
	}
	if c.project == "" {
		c.project = p.projectFromEnvironment()
	}
	if c.project == "" {
		return nil, fail("", providers.Auth, providers.ScopeProvider, "no-project", "gcloud config set project PROJECT", "no project is set")
	}
	// The HTTP client retries nothing and waits for ever: that is the caller's.
	c.opts = []option.ClientOption{option.WithHTTPClient(c.http), option.WithLogger(quiet)}
	if p.set.endpoint != "" {
		c.opts = append(c.opts, option.WithEndpoint(p.set.endpoint))
	}
	return c, c.dial(ctx)
}

// credentials are those of the CI job, if it is to be trusted, else those that Google's tools left; and whose they are.
func (p *Provider) credentials(c *clients, below http.RoundTripper, quiet *slog.Logger) (*auth.Credentials, error) {
	if p.set.oidcProvider == "" {
		creds, err := credentials.DetectDefault(&credentials.DetectOptions{
			Scopes: []string{cloudScope}, Client: &http.Client{Transport: below, Timeout: time.Minute}, Logger: quiet,
		})
		if err == nil {
			c.identity, c.member = who(creds.JSON())
		}
		return creds, err
	}
	creds, source, err := p.federated(below, quiet)
	if err != nil {
		return nil, err
	}
	c.note, c.identity = p.set.as(source), p.set.oidcProvider
	if p.set.oidcAccount != "" {
		c.identity, c.member = p.set.oidcAccount, "serviceAccount:"+p.set.oidcAccount
	}
	if c.project == "" {
		c.project = p.set.accountProject()
	}
	return creds, nil
}

func (c *clients) dial(ctx context.Context) error {
	var err error
	var all []error
	if c.instances, err = compute.NewInstancesRESTClient(ctx, c.opts...); err == nil {
		*c.instances.CallOptions = compute.InstancesCallOptions{}
	}
	all = append(all, err)
	if c.zoneOps, err = compute.NewZoneOperationsRESTClient(ctx, c.opts...); err == nil {
		*c.zoneOps.CallOptions = compute.ZoneOperationsCallOptions{}
	}
	all = append(all, err)
	if c.globalOps, err = compute.NewGlobalOperationsRESTClient(ctx, c.opts...); err == nil {
		*c.globalOps.CallOptions = compute.GlobalOperationsCallOptions{}
	}
	all = append(all, err)
	if c.regionOps, err = compute.NewRegionOperationsRESTClient(ctx, c.opts...); err == nil {
		*c.regionOps.CallOptions = compute.RegionOperationsCallOptions{}
	}
	all = append(all, err)
	if c.firewalls, err = compute.NewFirewallsRESTClient(ctx, c.opts...); err == nil {
		*c.firewalls.CallOptions = compute.FirewallsCallOptions{}
	}
	all = append(all, err)
	if c.networks, err = compute.NewNetworksRESTClient(ctx, c.opts...); err == nil {
		*c.networks.CallOptions = compute.NetworksCallOptions{}
	}
	all = append(all, err)
	if c.regions, err = compute.NewRegionsRESTClient(ctx, c.opts...); err == nil {
		*c.regions.CallOptions = compute.RegionsCallOptions{}
	}
	all = append(all, err)
	if c.projects, err = compute.NewProjectsRESTClient(ctx, c.opts...); err == nil {
		*c.projects.CallOptions = compute.ProjectsCallOptions{}
	}
	all = append(all, err)
	if c.placements, err = compute.NewResourcePoliciesRESTClient(ctx, c.opts...); err == nil {
		*c.placements.CallOptions = compute.ResourcePoliciesCallOptions{}
	}
	return errors.Join(append(all, err)...)
}

// bound are client options whose requests end with ctx: the generated listings forget it.
func (c *clients) bound(ctx context.Context) []option.ClientOption {
	h := &http.Client{Transport: boundTransport{ctx: ctx, base: c.http.Transport}}
	return append([]option.ClientOption{option.WithHTTPClient(h)}, c.opts[1:]...)
}

type boundTransport struct {
	ctx  context.Context
	base http.RoundTripper
}

// RoundTrip makes the request under the transport's context, and asks for what can be listed when not all can: the generated
// client has no field for that.
func (t boundTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(t.ctx)
	q := r.URL.Query()
	q.Set("returnPartialSuccess", "true")
	r.URL.RawQuery = q.Encode()
	return t.base.RoundTrip(r)
}

// who reads out of credentials whose they are; nothing secret.
func who(creds []byte) (identity, member string) {
	var f struct {
		Type          string `json:"type"`
		ClientEmail   string `json:"client_email"`
		Account       string `json:"account"`
		Audience      string `json:"audience"`
		Impersonation string `json:"service_account_impersonation_url"`
	}
	if json.Unmarshal(creds, &f) != nil {
		return "", ""
	}
	if _, rest, ok := strings.Cut(f.Impersonation, "/serviceAccounts/"); ok {
		f.ClientEmail, _, _ = strings.Cut(rest, ":")
	}
	switch {
	case f.ClientEmail != "":
		return f.ClientEmail, "serviceAccount:" + f.ClientEmail
	case f.Account != "":
		return f.Account, "user:" + f.Account
	case f.Audience != "":
		return f.Audience, ""
	}
	return "", ""
}

// projectVariables are those that name a project, ours not among them.
func projectVariables() []string {
	return []string{"GOOGLE_CLOUD_PROJECT", "GCLOUD_PROJECT", "CLOUDSDK_CORE_PROJECT", "GCP_PROJECT"}
}

func (p *Provider) projectFromEnvironment() string { return projectFrom(p.getenv) }

func projectFrom(getenv func(string) (string, bool)) string {
	for _, v := range projectVariables() {
		if x, ok := getenv(v); ok && x != "" {
			return x
		}
	}
	return gcloudProject(getenv)
}

// found reports whether credentials and a project are at hand. It reads the environment and a few files.
func found(c providers.Config, getenv func(string) (string, bool)) error {
	s, err := parse(c.Settings)
	if err != nil {
		return fail("check", providers.Invalid, providers.ScopeProvider, "setting", "correct it in the configuration", "%w", err)
	}
	if s.anonymous {
		if s.project == "" {
			return fail("check", providers.Auth, providers.ScopeProvider, "no-project", "set ALOFT_GCP_PROJECT", "no project is set")
		}
		return nil
	}
	if s.oidcProvider != "" {
		if _, err := s.oidcSource(getenv, nil); err != nil {
			return s.federation("check", getenv, err)
		}
		if s.project == "" && s.accountProject() == "" && projectFrom(getenv) == "" {
			return fail("check", providers.Auth, providers.ScopeProvider, "no-project", "set ALOFT_GCP_PROJECT", "no project is set")
		}
		return nil
	}
	path, named := getenv("GOOGLE_APPLICATION_CREDENTIALS")
	if !named || path == "" {
		path, named = filepath.Join(gcloudDir(getenv), "application_default_credentials.json"), false
	}
	b, err := os.ReadFile(path)
	switch {
	case err != nil && named:
		return fail("check", providers.Auth, providers.ScopeProvider, "no-credentials", "correct GOOGLE_APPLICATION_CREDENTIALS, or: "+login,
			"GOOGLE_APPLICATION_CREDENTIALS: %w", err)
	case err != nil && onGCE():
		return nil // the machine's own service account; it knows its project
	case err != nil:
		return fail("check", providers.Auth, providers.ScopeProvider, "no-credentials", login, "no application default credentials")
	}
	var f struct {
		Project string `json:"project_id"`
		Quota   string `json:"quota_project_id"`
	}
	if err := json.Unmarshal(b, &f); err != nil {
		return fail("check", providers.Auth, providers.ScopeProvider, "no-credentials", login, "%s does not hold credentials", path)
	}
	if s.project == "" && f.Project == "" && f.Quota == "" && projectFrom(getenv) == "" {
		return fail("check", providers.Auth, providers.ScopeProvider, "no-project", "gcloud config set project PROJECT", "no project is set")
	}
	return nil
}

// onGCE reports whether this is a machine of GCE, by what its firmware says.
func onGCE() bool {
	b, err := os.ReadFile("/sys/class/dmi/id/product_name")
	return err == nil && strings.HasPrefix(strings.TrimSpace(string(b)), "Google")
}

// authError is what the credentials library says when a token could not be had.
func authError(err error) (*auth.Error, bool) {
	var a *auth.Error
	ok := errors.As(err, &a)
	return a, ok
}
