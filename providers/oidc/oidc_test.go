package oidc_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"aloft/providers/oidc"
	"aloft/providers/oidc/oidclab"
)

const audience = "sts.amazonaws.com"

func lookup(env map[string]string) func(string) (string, bool) {
	return func(k string) (string, bool) { v, ok := env[k]; return v, ok }
}

func lab(t *testing.T) *oidclab.Lab {
	t.Helper()
	l, err := oidclab.New(time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// TestSources: each CI system's way to a token, and what is said where there is none.
func TestSources(t *testing.T) {
	t.Parallel()
	l := lab(t)
	sign := func(aud string, claims map[string]any) string {
		s, err := l.Token(aud, claims)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	good, other := sign(audience, nil), sign("elsewhere", nil)
	several := sign("", map[string]any{"aud": []string{"elsewhere", audience}})
	ended := sign(audience, map[string]any{"exp": int64(1767225600)})
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(good+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	gitlab := func(token string) map[string]string {
		return map[string]string{"GITLAB_CI": "true", oidc.TokenVariable: token}
	}
	for _, x := range []struct {
		name       string
		env        map[string]string
		system     string
		text, hint string // of the error
	}{
		{name: "GitHub", env: oidclab.Environment("https://ci.test"), system: "GitHub Actions"},
		{name: "GitHub without the permission", env: map[string]string{"GITHUB_ACTIONS": "true"},
			text: "this job may not ask GitHub Actions for an OIDC token", hint: "add to the job: `permissions: {id-token: write, contents: read}`; pull requests of forks never may"},
		{name: "GitLab", env: gitlab(good), system: "GitLab CI"},
		{name: "GitLab, several audiences", env: gitlab(several), system: "GitLab CI"},
		{name: "GitLab without id_tokens", env: gitlab(""),
			text: "GitLab CI gave this job no OIDC token", hint: "add to the job: `id_tokens: {ALOFT_ID_TOKEN: {aud: \"sts.amazonaws.com\"}}`"},
		{name: "GitLab, another audience", env: gitlab(other), system: "GitLab CI",
			text: `the OIDC token in ALOFT_ID_TOKEN is for ["elsewhere"], not for sts.amazonaws.com`, hint: "add to the job: `id_tokens: {ALOFT_ID_TOKEN: {aud: \"sts.amazonaws.com\"}}`"},
		{name: "GitLab, ended", env: gitlab(ended), system: "GitLab CI",
			text: "the OIDC token in ALOFT_ID_TOKEN ended at 2026-01-01T00:00:00Z, and GitLab CI gives a job no other",
			hint: "start the job again; if the controller is that of an earlier job: `sky api stop` first"},
		{name: "no token at all", env: gitlab("sesame"), system: "GitLab CI",
			text: "ALOFT_ID_TOKEN holds no OIDC token", hint: "add to the job: `id_tokens: {ALOFT_ID_TOKEN: {aud: \"sts.amazonaws.com\"}}`"},
		{name: "a file", env: map[string]string{oidc.FileVariable: file}, system: "the CI system"},
		{name: "no file", env: map[string]string{oidc.FileVariable: "/nowhere/token"}, system: "the CI system",
			text: "ALOFT_ID_TOKEN_FILE: /nowhere/token: no such file or directory", hint: "name the file that holds the token"},
		{name: "Bitbucket", env: map[string]string{"BITBUCKET_BUILD_NUMBER": "3", "BITBUCKET_STEP_OIDC_TOKEN": other}, system: "Bitbucket Pipelines"},
		{name: "Bitbucket without oidc", env: map[string]string{"BITBUCKET_BUILD_NUMBER": "3"},
			text: "Bitbucket Pipelines gave this step no OIDC token", hint: "add to the step: `oidc: true`"},
		{name: "nowhere", text: "an OIDC token was asked for, and this is no job of GitHub Actions, GitLab CI or Bitbucket Pipelines",
			hint: "in another CI system set ALOFT_ID_TOKEN or ALOFT_ID_TOKEN_FILE; elsewhere use credentials of your own"},
		{name: "GitHub, no address", env: map[string]string{"ACTIONS_ID_TOKEN_REQUEST_URL": "sesame", "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "x"}, system: "GitHub Actions",
			text: "ACTIONS_ID_TOKEN_REQUEST_URL holds no address", hint: "leave the variable as GitHub Actions sets it"},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			s, err := oidc.New(lookup(x.env), audience, l)
			var token string
			if err == nil {
				if s.System() != x.system {
					t.Errorf("system %q, want %q", s.System(), x.system)
				}
				token, err = s.Token(t.Context())
			}
			var e *oidc.Error
			switch {
			case x.text == "" && (err != nil || strings.Count(token, ".") != 2):
				t.Errorf("got %d bytes and %v", len(token), err)
			case x.text != "" && (!errors.As(err, &e) || e.Text != x.text || e.Hint != x.hint):
				t.Errorf("got %#v", err)
			}
		})
	}
}

// TestAnew: every call asks, so that no token is old when it is used.
func TestAnew(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := lab(t)
		s, err := oidc.New(lookup(oidclab.Environment("https://ci.test")), audience, l)
		if err != nil {
			t.Fatal(err)
		}
		first, err := s.Token(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Minute)
		second, err := s.Token(t.Context())
		if err != nil || first == second {
			t.Errorf("the same token after it ended (%v)", err)
		}
		l.Fail(3)
		begin := time.Now()
		var e *oidc.Error
		if _, err := s.Token(t.Context()); !errors.As(err, &e) || !e.Passing || time.Since(begin) != 1500*time.Millisecond {
			t.Errorf("after %s: %v", time.Since(begin), err)
		}
		l.Fail(1)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := s.Token(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
}

func TestCommand(t *testing.T) {
	t.Parallel()
	github := oidclab.Environment("https://ci.test")
	pull := maps.Clone(github)
	pull["GITHUB_REF"] = "refs/pull/7/merge"
	odd := maps.Clone(github)
	odd["GITHUB_REPOSITORY"], odd["GITHUB_REF"] = "a b;c", "refs/heads/$(x)"
	for _, x := range []struct {
		env           map[string]string
		want, session string
	}{
		{github, "sky ci oidc-policy aws --repo acme/model --branch main", "aloft-99"},
		{pull, "sky ci oidc-policy aws --repo acme/model --pull-request", "aloft-99"},
		{odd, "sky ci oidc-policy aws --repo OWNER/NAME --branch BRANCH", "aloft-99"},
		{map[string]string{oidc.FileVariable: "/x"}, "sky ci oidc-policy aws --repo OWNER/NAME --branch BRANCH", "aloft"},
		{map[string]string{oidc.TokenVariable: "x", "GITLAB_CI": "true", "CI_PROJECT_PATH": "a/b/c", "CI_COMMIT_BRANCH": "dev", "CI_JOB_ID": "5"},
			"sky ci oidc-policy aws --repo a/b/c --provider gitlab --branch dev", "aloft-5"},
		{map[string]string{"BITBUCKET_STEP_OIDC_TOKEN": "x", "BITBUCKET_BUILD_NUMBER": "a=b", "BITBUCKET_REPO_FULL_NAME": "a/b"},
			"sky ci oidc-policy aws --repo a/b --provider bitbucket --repo-id UUID --workspace-id UUID", "aloft"},
	} {
		life := "renewed until the job's one token ends"
		switch {
		case x.env["ACTIONS_ID_TOKEN_REQUEST_URL"] != "":
			life = "renewed while the CI job runs"
		case x.env[oidc.FileVariable] != "":
			life = "renewed while ALOFT_ID_TOKEN_FILE holds a valid token"
		}
		s, err := oidc.New(lookup(x.env), audience, nil)
		if err != nil {
			t.Fatal(err)
		}
		if s.Life() != life {
			t.Errorf("%s, want %s", s.Life(), life)
		}
		if got := s.Command("aws"); got != x.want || s.Session() != x.session {
			t.Errorf("got %q and %q, want %q and %q", got, s.Session(), x.want, x.session)
		}
	}
}

func FuzzGiven(f *testing.F) {
	f.Add("a.b.c")
	f.Add("e30.eyJhdWQiOlsieCJdfQ.x")
	f.Add(fmt.Sprintf("a.%s.c", base64.RawURLEncoding.EncodeToString([]byte(`{"aud":"sts.amazonaws.com","exp":1e300}`))))
	f.Fuzz(func(t *testing.T, token string) {
		if token == "" {
			return
		}
		s, err := oidc.New(lookup(map[string]string{oidc.TokenVariable: token}), audience, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Token(t.Context()); err != nil && len(token) > 40 && strings.Contains(err.Error(), token) {
			t.Error("the error holds the token")
		}
	})
}
