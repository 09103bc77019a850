package gcp_test

import (
	"errors"
	"maps"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"aloft/providers"
	"aloft/providers/gcp"
	"aloft/providers/oidc/oidclab"
)

// job is a provider in a CI job of the laboratory.
func job(t *testing.T, l *oidclab.Lab, env, settings map[string]string) *gcp.Provider {
	t.Helper()
	all := oidclab.Environment("http://lab.test")
	maps.Copy(all, env)
	set := map[string]string{"oidc_provider": oidclab.Pool, "oidc_service_account": oidclab.Account, "endpoint": "http://lab.test"}
	maps.Copy(set, settings)
	p, err := gcp.Job(set, all, l)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func identityLab(t *testing.T, session time.Duration) *oidclab.Lab {
	t.Helper()
	l, err := oidclab.New(session)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// TestFederationIsRenewed: access tokens of ten minutes, and a job of an hour that always has a valid one.
func TestFederationIsRenewed(t *testing.T) {
	t.Parallel()
	for _, account := range []string{oidclab.Account, ""} {
		synctest.Test(t, func(t *testing.T) {
			l := identityLab(t, 10*time.Minute)
			p := job(t, l, nil, map[string]string{"oidc_service_account": account, "project": "lab-project"})
			defer p.Close()
			begin := time.Now()
			for ; time.Since(begin) < time.Hour; time.Sleep(90 * time.Second) {
				if _, err := p.CheckAccount(t.Context()); err != nil {
					t.Fatalf("after %s: %v", time.Since(begin), err)
				}
			}
			if tokens, _ := l.Counts(); tokens < 6 || tokens > 12 {
				t.Errorf("%d tokens in an hour", tokens)
			}
		})
	}
}

// TestFederationAfterTheJob: what is held is used to its end, then the error says why there is nothing more.
func TestFederationAfterTheJob(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := identityLab(t, 10*time.Minute)
		p := job(t, l, nil, nil)
		defer p.Close()
		if _, err := p.CheckAccount(t.Context()); err != nil {
			t.Fatal(err)
		}
		l.EndJob()
		time.Sleep(9 * time.Minute)
		if _, err := p.CheckAccount(t.Context()); err != nil {
			t.Fatalf("a token that is still valid is not used: %v", err)
		}
		time.Sleep(20 * time.Minute) // the service account's last token was asked for with the job's last
		var e *providers.Error
		if _, err := p.CheckAccount(t.Context()); !errors.As(err, &e) || e.Kind != providers.Auth || !strings.Contains(e.Hint, "sky api stop") {
			t.Fatalf("got %v", err)
		}
	})
}

func TestFederationErrors(t *testing.T) {
	t.Parallel()
	for _, x := range []struct {
		name          string
		env, settings map[string]string
		change        func(*oidclab.Lab)
		want, hint    string
	}{
		{name: "no permission to ask", env: map[string]string{"ACTIONS_ID_TOKEN_REQUEST_TOKEN": ""},
			want: "gcp: check: auth (oidc-token): this job may not ask GitHub Actions for an OIDC token",
			hint: "add to the job: `permissions: {id-token: write, contents: read}`; pull requests of forks never may"},
		{name: "not trusted", change: func(l *oidclab.Lab) { l.Trust("repo:acme/other:pull_request") },
			want: "gcp: check: auth (unauthorized_client): Google gives nothing for this job's OIDC token (HTTP 403): The given credential is rejected by the attribute condition.",
			hint: "`sky ci oidc-policy gcp --repo acme/model --branch main` prints whom Google must trust"},
		{name: "another audience", settings: map[string]string{"oidc_audience": "elsewhere"},
			want: "gcp: check: auth (invalid_grant): Google gives nothing for this job's OIDC token (HTTP 400): incorrect token audience: ***",
			hint: "`sky ci oidc-policy gcp --repo acme/model --branch main` prints whom Google must trust"},
		{name: "another pool", settings: map[string]string{"oidc_provider": strings.Replace(oidclab.Pool, "4711", "4712", 1)},
			want: "gcp: check: auth (invalid_target): Google gives nothing for this job's OIDC token (HTTP 400): The target service indicated by the \"audience\" parameters is invalid.",
			hint: "correct ALOFT_GCP_WORKLOAD_IDENTITY_PROVIDER (oidc_provider in the settings of gcp)"},
		{name: "another account", settings: map[string]string{"oidc_service_account": "other@lab-project.iam.gserviceaccount.com"},
			want: "gcp: check: auth (PERMISSION_DENIED): Google gives nothing for this job's OIDC token (HTTP 403): Permission 'iam.serviceAccounts.getAccessToken' denied on resource (or it may not exist).",
			hint: "`sky ci oidc-policy gcp --repo acme/model --branch main` prints whom Google must trust"},
		{name: "the CI system is down", change: func(l *oidclab.Lab) { l.Fail(99) },
			want: "gcp: check: transient (oidc-token): GitHub Actions gives no OIDC token (HTTP 503)"},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := identityLab(t, time.Hour)
				if x.change != nil {
					x.change(l)
				}
				p := job(t, l, x.env, x.settings)
				defer p.Close()
				_, err := p.CheckAccount(t.Context())
				var e *providers.Error
				if !errors.As(err, &e) {
					t.Fatalf("got %v", err)
				}
				if e.Error() != x.want || e.Hint != x.hint {
					t.Errorf("got  %s\n     %s\nwant %s\n     %s", e, e.Hint, x.want, x.hint)
				}
				if strings.Contains(e.Error()+e.Hint, "eyJ") || strings.Contains(e.Error()+e.Hint, oidclab.RequestToken) {
					t.Error("the error holds a token")
				}
			})
		})
	}
}

func TestFederationCheck(t *testing.T) {
	t.Parallel()
	p := job(t, identityLab(t, time.Hour), nil, nil)
	defer p.Close()
	a, err := p.CheckAccount(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := "Credentials: OIDC of GitHub Actions, by " + oidclab.Pool + " as " + oidclab.Account + ", renewed while the CI job runs."
	if len(a.Missing) != 0 || len(a.Notes) == 0 || a.Notes[0] != want || a.Identity != oidclab.Account+" in project lab-project" {
		t.Errorf("%s, missing %v, notes %q", a.Identity, a.Missing, a.Notes)
	}
}

func TestFederationFound(t *testing.T) {
	t.Parallel()
	for _, x := range []struct {
		name, hint    string
		settings, env map[string]string
	}{
		{name: "GitHub", settings: map[string]string{"oidc_service_account": oidclab.Account}, env: oidclab.Environment("https://ci.test")},
		{name: "no project", env: oidclab.Environment("https://ci.test"), hint: "set ALOFT_GCP_PROJECT"},
		{name: "no permission", env: map[string]string{"GITHUB_ACTIONS": "true"}, hint: "id-token: write"},
		{name: "GitLab", env: map[string]string{"GITLAB_CI": "true"}, hint: "`id_tokens: {ALOFT_ID_TOKEN: {aud: \"https://iam.googleapis.com/" + oidclab.Pool + "\"}}`"},
		{name: "a name that is none", settings: map[string]string{"oidc_provider": "github"}, hint: "correct it in the configuration"},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			set := map[string]string{"oidc_provider": "//iam.googleapis.com/" + oidclab.Pool}
			maps.Copy(set, x.settings)
			env := map[string]string{"HOME": "/nowhere"}
			maps.Copy(env, x.env)
			err := gcp.Found(set, env)
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
