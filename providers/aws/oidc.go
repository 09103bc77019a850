package aws

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"sync"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"aloft/providers"
	"aloft/providers/oidc"
)

// oidcAudience is for whom the CI system's token is made, where the settings do not say.
const oidcAudience = "sts.amazonaws.com"

// A session of a role is renewed so long before it ends. When that fails it is tried again after a while, and the session is
// used until shortly before its end.
const (
	renewBefore = 5 * time.Minute
	renewAgain  = 30 * time.Second
	lastUse     = 10 * time.Second
	tokenLimit  = time.Minute
)

var roleARN = regexp.MustCompile(`^arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]+$`)

// oidcSource is where the CI system's tokens come from.
func (s settings) oidcSource(getenv func(string) (string, bool), client oidc.Doer) (*oidc.Source, error) {
	audience := s.oidcAudience
	if audience == "" {
		audience = oidcAudience
	}
	return oidc.New(getenv, audience, client)
}

// roleError says why the role is not to be had. It is one error for all who wait, so nobody changes it.
type roleError struct {
	kind            providers.Kind
	code, text, fix string
}

// Error is the text without the hint.
func (e *roleError) Error() string { return e.text }

// roleProvider gives credentials of a role for the CI job's token, a new one each time.
type roleProvider struct {
	role   string
	source *oidc.Source
	client stscreds.AssumeRoleWithWebIdentityAPIClient

	mu   sync.Mutex
	ends time.Time // of the last session
}

// newRole are credentials of a role that are renewed before they end, as long as the CI job lives.
func newRole(role string, source *oidc.Source, client stscreds.AssumeRoleWithWebIdentityAPIClient) sdk.CredentialsProvider {
	return sdk.NewCredentialsCache(&roleProvider{role: role, source: source, client: client},
		func(o *sdk.CredentialsCacheOptions) { o.ExpiryWindow = renewBefore })
}

// held is a token that was just got, for one call.
type held string

// GetIdentityToken is the token.
func (h held) GetIdentityToken() ([]byte, error) { return []byte(h), nil }

// Retrieve begins a session.
func (r *roleProvider) Retrieve(ctx context.Context) (sdk.Credentials, error) {
	asking, cancel := context.WithTimeout(ctx, tokenLimit)
	defer cancel()
	token, err := r.source.Token(asking)
	if err != nil {
		return sdk.Credentials{}, tokenError(err)
	}
	c, err := stscreds.NewWebIdentityRoleProvider(r.client, r.role, held(token),
		func(o *stscreds.WebIdentityRoleOptions) { o.RoleSessionName = r.source.Session() }).Retrieve(ctx)
	if err != nil {
		return sdk.Credentials{}, r.refused(ctx, err)
	}
	r.mu.Lock()
	r.ends = c.Expires
	r.mu.Unlock()
	return c, nil
}

// HandleFailToRefresh keeps what is still valid: a CI system that does not answer for a while ends nothing.
func (r *roleProvider) HandleFailToRefresh(_ context.Context, last sdk.Credentials, err error) (sdk.Credentials, error) {
	r.mu.Lock()
	ends := r.ends
	r.mu.Unlock()
	left := time.Until(ends)
	if !last.HasKeys() || left <= lastUse {
		return sdk.Credentials{}, err
	}
	last.Expires = time.Now().Add(min(renewAgain, left-lastUse) + renewBefore) // the cache takes renewBefore off
	return last, nil
}

// tokenError is an error of the source as one of ours.
func tokenError(err error) error {
	var e *oidc.Error
	switch {
	case !errors.As(err, &e):
		return err
	case e.Passing:
		return &roleError{kind: providers.Transient, code: "oidc-token", text: e.Text, fix: e.Hint}
	}
	return &roleError{kind: providers.Auth, code: "oidc-token", text: e.Text, fix: e.Hint}
}

// refused is STS's answer, without the token that it may repeat.
func (r *roleProvider) refused(ctx context.Context, err error) error {
	code, message := apiCode(err)
	if ctx.Err() != nil || code == "" || code == "UnknownError" {
		return err // the network, or a server in trouble
	}
	e := &roleError{kind: providers.Auth, code: code, text: fmt.Sprintf("AWS does not give the role %s to this job: %s", r.role, clip(oidc.Hide(message)))}
	switch c := classOf(code, 0); {
	case code == "IDPCommunicationError":
		e.kind = providers.Transient
	case code == "ValidationError":
		e.fix = "correct ALOFT_AWS_ROLE_ARN (oidc_role in the settings of aws)"
	case c.kind == providers.Throttled || c.kind == providers.Transient:
		e.kind = c.kind
	default:
		e.fix = "`" + r.source.Command("aws") + "` prints whom the role must trust"
	}
	return e
}

// roleRefused recognises a role that is not to be had, and fills f.
func roleRefused(err error, f *providers.Error) bool {
	var e *roleError
	if !errors.As(err, &e) {
		return false
	}
	f.Kind, f.Scope, f.Code, f.Hint, f.Err = e.kind, providers.ScopeAccount, e.code, e.fix, errors.New(e.text)
	return true
}

// withRole makes a configuration act as the role that the CI job's token gives.
func (p *Provider) withRole(c *sdk.Config) error {
	var client oidc.Doer
	if p.o.HTTP != nil {
		client = p.o.HTTP
	}
	source, err := p.set.oidcSource(p.getenv, client)
	if err != nil {
		return tokenError(err)
	}
	c.Credentials = newRole(p.set.oidcRole, source, sts.NewFromConfig(*c))
	p.as = fmt.Sprintf("Credentials: OIDC of %s, role %s, %s.", source.System(), p.set.oidcRole, source.Life())
	return nil
}
