package gcp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"strings"
	"time"

	"cloud.google.com/go/auth"
	"cloud.google.com/go/auth/credentials/externalaccount"

	"aloft/providers"
	"aloft/providers/oidc"
)

// Addresses of Google's token services.
const (
	stsEndpoint         = "https://sts.googleapis.com"
	credentialsEndpoint = "https://iamcredentials.googleapis.com"
)

// cloudScope is what access tokens may be used for; the roles of the account say what it may do.
const cloudScope = "https://www.googleapis.com/auth/cloud-platform"

var (
	poolPattern    = regexp.MustCompile(`^projects/\d+/locations/global/workloadIdentityPools/[a-z0-9-]+/providers/[a-z0-9-]+$`)
	accountPattern = regexp.MustCompile(`^[a-z0-9-]+@([a-z0-9-]+)\.iam\.gserviceaccount\.com$`)
	statusPattern  = regexp.MustCompile(`(?s)credentials: status code (\d{3}): (.*)$`)
)

// poolName reads a workload identity provider by its name, with or without the service before it.
func poolName(value string) (string, error) {
	v := strings.TrimPrefix(strings.TrimPrefix(value, "https:"), "//iam.googleapis.com/")
	if !poolPattern.MatchString(v) {
		return "", fmt.Errorf("%q is no provider: projects/NUMBER/locations/global/workloadIdentityPools/POOL/providers/PROVIDER", value)
	}
	return v, nil
}

// oidcSource is where the CI system's tokens come from.
func (s settings) oidcSource(getenv func(string) (string, bool), client oidc.Doer) (*oidc.Source, error) {
	audience := s.oidcAudience
	if audience == "" {
		audience = "https://iam.googleapis.com/" + s.oidcProvider
	}
	return oidc.New(getenv, audience, client)
}

// accountProject is the project of the service account that is acted as; "" = there is none.
func (s settings) accountProject() string {
	if m := accountPattern.FindStringSubmatch(s.oidcAccount); m != nil {
		return m[1]
	}
	return ""
}

// subject gives the CI job's token to Google's library, a new one each time.
type subject struct{ source *oidc.Source }

// SubjectToken asks the CI system.
func (s subject) SubjectToken(ctx context.Context, _ *externalaccount.RequestOptions) (string, error) {
	return s.source.Token(ctx)
}

// federated are credentials that the CI job's token is exchanged for; they are renewed before they end, while the job runs.
func (p *Provider) federated(base http.RoundTripper, quiet *slog.Logger) (*auth.Credentials, *oidc.Source, error) {
	client := &http.Client{Transport: base, Timeout: time.Minute, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	source, err := p.set.oidcSource(p.getenv, client)
	if err != nil {
		return nil, nil, err
	}
	sts, iam := stsEndpoint, credentialsEndpoint
	if p.set.endpoint != "" {
		sts, iam = p.set.endpoint, p.set.endpoint
	}
	o := &externalaccount.Options{
		Audience: "//iam.googleapis.com/" + p.set.oidcProvider, SubjectTokenType: "urn:ietf:params:oauth:token-type:jwt", TokenURL: sts + "/v1/token",
		Scopes: []string{cloudScope}, SubjectTokenProvider: subject{source}, Client: client, Logger: quiet,
	}
	if p.set.oidcAccount != "" {
		o.ServiceAccountImpersonationURL = iam + "/v1/projects/-/serviceAccounts/" + p.set.oidcAccount + ":generateAccessToken"
	}
	creds, err := externalaccount.NewCredentials(o)
	return creds, source, err
}

// federation recognises that the token of the CI job, or what it is exchanged for, is not to be had; nil = something else.
func (s settings) federation(op string, getenv func(string) (string, bool), err error) *providers.Error {
	if s.oidcProvider == "" || err == nil {
		return nil
	}
	var e *oidc.Error
	if errors.As(err, &e) {
		out := fail(op, providers.Auth, providers.ScopeProvider, "oidc-token", e.Hint, "%s", e.Text)
		if e.Passing {
			out.Kind, out.Scope = providers.Transient, providers.ScopeRegion
		}
		return out
	}
	// The library has no type for a refusal.
	m := statusPattern.FindStringSubmatch(err.Error())
	if m == nil {
		return nil
	}
	code, why := exchangeAnswer([]byte(m[2]))
	out := fail(op, providers.Auth, providers.ScopeProvider, code, "", "Google gives nothing for this job's OIDC token (HTTP %s)%s", m[1], why)
	source, serr := s.oidcSource(getenv, nil)
	switch {
	case m[1] >= "500" || m[1] == "429":
		out.Kind, out.Scope = providers.Transient, providers.ScopeRegion
	case code == "invalid_target":
		out.Hint = "correct ALOFT_GCP_WORKLOAD_IDENTITY_PROVIDER (oidc_provider in the settings of gcp)"
	case serr == nil:
		out.Hint = "`" + source.Command("gcp") + "` prints whom Google must trust"
	}
	return out
}

// exchangeAnswer reads a refusal of Google's token services, without a token that it may repeat.
func exchangeAnswer(body []byte) (code, why string) {
	var sts struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	var iam struct {
		Error struct{ Status, Message string } `json:"error"`
	}
	switch {
	case json.Unmarshal(body, &sts) == nil && sts.Error != "":
		code, why = sts.Error, sts.Description
	case json.Unmarshal(body, &iam) == nil && iam.Error.Status != "":
		code, why = iam.Error.Status, iam.Error.Message
	default:
		return "oidc-exchange", ""
	}
	if why != "" {
		why = ": " + clean(oidc.Hide(why))
	}
	return oidc.Hide(clean(code)), why
}

// as says which credentials are used, for `sky check`.
func (s settings) as(source *oidc.Source) string {
	whose := "itself"
	if s.oidcAccount != "" {
		whose = s.oidcAccount
	}
	return fmt.Sprintf("Credentials: OIDC of %s, by %s as %s, %s.", source.System(), s.oidcProvider, whose, source.Life())
}
