package aws

import (
	"errors"
	"maps"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sts"

	"aloft/providers"
	"aloft/providers/oidc/oidclab"
)

// job is a provider in a CI job of the laboratory.
func job(t *testing.T, l *oidclab.Lab, env, settings map[string]string) *Provider {
	t.Helper()
	all := oidclab.Environment("http://lab.test")
	maps.Copy(all, env)
	set := map[string]string{"oidc_role": oidclab.Role, "endpoint_url": "http://lab.test"}
	maps.Copy(set, settings)
	p, err := New(providers.Config{Settings: set}, Options{HTTP: l, Getenv: func(k string) (string, bool) { v, ok := all[k]; return v, ok }})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func identity(t *testing.T, p *Provider) error {
	t.Helper()
	pl, err := p.at(t.Context(), "us-east-1")
	if err == nil {
		_, err = pl.sts.GetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{})
	}
	return p.fault(t.Context(), "check", "us-east-1", err)
}

func laboratory(t *testing.T, session time.Duration) *oidclab.Lab {
	t.Helper()
	l, err := oidclab.New(session)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// TestRoleIsRenewed: tokens live a minute, sessions a quarter of an hour, and a job of hours always has valid credentials.
func TestRoleIsRenewed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := laboratory(t, 15*time.Minute)
		p := job(t, l, nil, nil)
		begin := time.Now()
		for ; time.Since(begin) < 2*time.Hour; time.Sleep(time.Minute) {
			if err := identity(t, p); err != nil {
				t.Fatalf("after %s: %v", time.Since(begin), err)
			}
		}
		// Ten minutes each, for the last five are not waited for.
		if tokens, sessions := l.Counts(); tokens != sessions || sessions < 12 || sessions > 13 {
			t.Errorf("%d tokens and %d sessions in two hours, want 12", tokens, sessions)
		}
	})
}

// TestRoleOfAMinute: even sessions as short as the tokens work.
func TestRoleOfAMinute(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := laboratory(t, time.Minute)
		p := job(t, l, nil, nil)
		for range 10 {
			if err := identity(t, p); err != nil {
				t.Fatal(err)
			}
			time.Sleep(59 * time.Second)
		}
		if tokens, _ := l.Counts(); tokens != 10 {
			t.Errorf("%d tokens, want 10", tokens)
		}
	})
}

// TestRoleAfterTheJob: what is held is used to its end, then the error says why there is nothing more.
func TestRoleAfterTheJob(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := laboratory(t, 15*time.Minute)
		p := job(t, l, nil, nil)
		if err := identity(t, p); err != nil {
			t.Fatal(err)
		}
		l.EndJob()
		time.Sleep(14 * time.Minute)
		if err := identity(t, p); err != nil {
			t.Fatalf("a session that is still valid is not used: %v", err)
		}
		time.Sleep(2 * time.Minute)
		var e *providers.Error
		if err := identity(t, p); !errors.As(err, &e) || e.Kind != providers.Auth || e.Code != "oidc-token" {
			t.Fatalf("got %v", err)
		}
		if !strings.Contains(e.Hint, "sky api stop") {
			t.Errorf("hint %q", e.Hint)
		}
	})
}

// TestRoleOutage: a CI system that fails for a while is asked again.
func TestRoleOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := laboratory(t, 15*time.Minute)
		p := job(t, l, nil, nil)
		l.Fail(2)
		if err := identity(t, p); err != nil {
			t.Fatalf("two failures: %v", err)
		}
		time.Sleep(11 * time.Minute)
		l.Fail(3)
		if err := identity(t, p); err != nil {
			t.Fatalf("a failure while the session is valid: %v", err)
		}
		time.Sleep(time.Minute)
		if err := identity(t, p); err != nil {
			t.Fatal(err)
		}
		if _, sessions := l.Counts(); sessions != 2 {
			t.Errorf("%d sessions, want 2", sessions)
		}
	})
}

func TestRoleErrors(t *testing.T) {
	t.Parallel()
	for _, x := range []struct {
		name          string
		env, settings map[string]string
		change        func(*oidclab.Lab)
		kind          providers.Kind
		want, hint    string
	}{
		{name: "no permission to ask", env: map[string]string{"ACTIONS_ID_TOKEN_REQUEST_URL": ""}, kind: providers.Auth,
			want: "aws: check: auth (oidc-token): this job may not ask GitHub Actions for an OIDC token",
			hint: "add to the job: `permissions: {id-token: write, contents: read}`; pull requests of forks never may"},
		{name: "another job's right", env: map[string]string{"ACTIONS_ID_TOKEN_REQUEST_TOKEN": "old"}, kind: providers.Auth,
			want: "aws: check: auth (oidc-token): GitHub Actions refuses an OIDC token (HTTP 401): a job may ask only while it runs",
			hint: "if the controller is that of an earlier job: `sky api stop`, then run this again"},
		{name: "not trusted", change: func(l *oidclab.Lab) { l.Trust("repo:acme/other:ref:refs/heads/main") }, kind: providers.Auth,
			want: "aws: check: auth (AccessDenied): AWS does not give the role arn:aws:iam::111122223333:role/aloft-ci to this job: Not authorized to perform sts:AssumeRoleWithWebIdentity",
			hint: "`sky ci oidc-policy aws --repo acme/model --branch main` prints whom the role must trust"},
		{name: "another audience", settings: map[string]string{"oidc_audience": "elsewhere"}, kind: providers.Auth,
			want: "aws: check: auth (InvalidIdentityToken): AWS does not give the role arn:aws:iam::111122223333:role/aloft-ci to this job: incorrect token audience: ***",
			hint: "`sky ci oidc-policy aws --repo acme/model --branch main` prints whom the role must trust"},
		{name: "the CI system is down", change: func(l *oidclab.Lab) { l.Fail(99) }, kind: providers.Transient,
			want: "aws: check: transient (oidc-token): GitHub Actions gives no OIDC token (HTTP 503)"},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := laboratory(t, time.Hour)
				if x.change != nil {
					x.change(l)
				}
				var e *providers.Error
				if err := identity(t, job(t, l, x.env, x.settings)); !errors.As(err, &e) {
					t.Fatalf("got %v", err)
				}
				if e.Error() != x.want || e.Hint != x.hint || e.Kind != x.kind {
					t.Errorf("got  %s\n     %s\nwant %s\n     %s", e, e.Hint, x.want, x.hint)
				}
				if strings.Contains(e.Error()+e.Hint, "eyJ") || strings.Contains(e.Error()+e.Hint, oidclab.RequestToken) {
					t.Error("the error holds a token")
				}
			})
		})
	}
}

func TestRoleCheck(t *testing.T) {
	t.Parallel()
	l := laboratory(t, time.Hour)
	a, err := job(t, l, nil, nil).CheckAccount(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := "Credentials: OIDC of GitHub Actions, role arn:aws:iam::111122223333:role/aloft-ci, renewed while the CI job runs."
	if len(a.Missing) != 0 || len(a.Notes) == 0 || a.Notes[0] != want {
		t.Errorf("missing %v, notes %q", a.Missing, a.Notes)
	}
	if tokens, _ := l.Counts(); tokens != 1 {
		t.Errorf("%d tokens for one check, want 1", tokens)
	}
}

func TestRoleFound(t *testing.T) {
	t.Parallel()
	for _, x := range []struct {
		name, role, hint string
		env              map[string]string
	}{
		{name: "GitHub", role: oidclab.Role, env: oidclab.Environment("https://ci.test")},
		{name: "no permission", role: oidclab.Role, env: map[string]string{"GITHUB_ACTIONS": "true"}, hint: "id-token: write"},
		{name: "GitLab", role: oidclab.Role, env: map[string]string{"GITLAB_CI": "true"}, hint: "`id_tokens: {ALOFT_ID_TOKEN: {aud: \"sts.amazonaws.com\"}}`"},
		{name: "nowhere", role: oidclab.Role, hint: "credentials of your own"},
		{name: "no role", role: "aloft-ci", env: oidclab.Environment("https://ci.test"), hint: "ALOFT_AWS_ROLE_ARN"},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			err := found(providers.Config{Settings: map[string]string{"oidc_role": x.role}}, func(k string) (string, bool) { v, ok := x.env[k]; return v, ok })
			var e *providers.Error
			switch {
			case x.hint == "" && err != nil:
				t.Error(err)
			case x.hint != "" && (!errors.As(err, &e) || !strings.Contains(e.Hint, x.hint)):
				t.Errorf("got %v", err)
			}
		})
	}
}
