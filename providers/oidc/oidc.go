// Package oidc gets the token by which a CI system says which job is speaking, for clouds that trust it instead of keys. The
// token is asked for anew each time: it lives for minutes. It is never stored, logged or part of an error.
package oidc

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Variables that a person sets where the CI system gives tokens as variables or files.
const (
	TokenVariable = "ALOFT_ID_TOKEN"
	FileVariable  = "ALOFT_ID_TOKEN_FILE"
)

// How a token is asked for: so often, each time so long, and no more is read than this.
const (
	attempts    = 3
	askLimit    = 20 * time.Second
	firstPause  = 500 * time.Millisecond
	mostOfToken = 64 << 10
)

// Doer makes requests, as *http.Client does.
type Doer interface {
	Do(*http.Request) (*http.Response, error)
}

// Error says why there is no token; it never holds one.
type Error struct {
	Text    string
	Hint    string // what to add to the job, or to run
	Passing bool   // it may be there at the next try
}

// Error is the text without the hint.
func (e *Error) Error() string { return e.Text }

// Source is where the tokens of one audience come from.
type Source struct {
	audience string
	getenv   func(string) (string, bool)
	client   Doer
	system   string
	token    func(context.Context) (string, error)
}

// New finds in the environment how this job gets tokens for an audience; nothing is asked yet. client nil = the network. A
// job that cannot get any is an *Error, whose hint is what to add to it.
func New(getenv func(string) (string, bool), audience string, client Doer) (*Source, error) {
	s := &Source{audience: audience, getenv: getenv, client: client}
	if client == nil {
		// The right to ask is not carried to another place.
		s.client = &http.Client{Timeout: askLimit, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	switch {
	case s.get(TokenVariable) != "" || s.get(FileVariable) != "":
		s.system, s.token = "the CI system", s.fromVariable
		switch {
		case s.get("GITLAB_CI") != "":
			s.system = "GitLab CI"
		case s.get("GITHUB_ACTIONS") != "":
			s.system = "GitHub Actions"
		}
		return s, nil
	case s.get("ACTIONS_ID_TOKEN_REQUEST_URL") != "" && s.get("ACTIONS_ID_TOKEN_REQUEST_TOKEN") != "":
		s.system, s.token = "GitHub Actions", s.fromGitHub
		return s, nil
	case s.get("BITBUCKET_STEP_OIDC_TOKEN") != "":
		s.system, s.token = "Bitbucket Pipelines", s.fromBitbucket
		return s, nil
	case s.get("GITHUB_ACTIONS") != "":
		return nil, &Error{Text: "this job may not ask GitHub Actions for an OIDC token",
			Hint: "add to the job: `permissions: {id-token: write, contents: read}`; pull requests of forks never may"}
	case s.get("GITLAB_CI") != "":
		return nil, &Error{Text: "GitLab CI gave this job no OIDC token", Hint: s.gitlabHint()}
	case s.get("BITBUCKET_BUILD_NUMBER") != "":
		return nil, &Error{Text: "Bitbucket Pipelines gave this step no OIDC token", Hint: "add to the step: `oidc: true`"}
	}
	return nil, &Error{Text: "an OIDC token was asked for, and this is no job of GitHub Actions, GitLab CI or Bitbucket Pipelines",
		Hint: "in another CI system set " + TokenVariable + " or " + FileVariable + "; elsewhere use credentials of your own"}
}

// System is who gives the tokens: "GitHub Actions".
func (s *Source) System() string { return s.system }

// Life says for how long the cloud's credentials can be renewed, as an end of a sentence.
func (s *Source) Life() string {
	switch {
	case s.system == "GitHub Actions" && s.get(TokenVariable)+s.get(FileVariable) == "":
		return "renewed while the CI job runs"
	case s.get(FileVariable) != "":
		return "renewed while " + FileVariable + " holds a valid token"
	}
	return "renewed until the job's one token ends"
}

// Command is the one that prints whom the cloud has to trust, as far as the job knows itself.
func (s *Source) Command(cloud string) string {
	repo, rest := s.get("GITHUB_REPOSITORY"), " --branch BRANCH"
	switch {
	case s.get("GITLAB_CI") != "":
		repo, rest = s.get("CI_PROJECT_PATH"), " --provider gitlab --branch BRANCH"
	case s.get("BITBUCKET_BUILD_NUMBER") != "":
		repo, rest = s.get("BITBUCKET_REPO_FULL_NAME"), " --provider bitbucket --repo-id UUID --workspace-id UUID"
	case strings.HasPrefix(s.get("GITHUB_REF"), "refs/pull/"):
		rest = " --pull-request"
	}
	branch := strings.TrimPrefix(s.get("GITHUB_REF"), "refs/heads/")
	if b := s.get("CI_COMMIT_BRANCH"); b != "" {
		branch = b
	}
	if plain(branch) && !strings.HasPrefix(branch, "refs/") {
		rest = strings.Replace(rest, "BRANCH", branch, 1)
	}
	if !plain(repo) {
		repo = "OWNER/NAME"
	}
	return "sky ci oidc-policy " + cloud + " --repo " + repo + rest
}

var plainWord = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_./+-]*$`)

func plain(s string) bool { return plainWord.MatchString(s) }

// Session is a name for what the job does in the cloud, which its records then show: letters, digits and -, at most 64.
func (s *Source) Session() string {
	for _, v := range []string{"GITHUB_RUN_ID", "CI_JOB_ID", "BITBUCKET_BUILD_NUMBER"} {
		if id := s.get(v); sessionWord.MatchString(id) {
			return "aloft-" + id
		}
	}
	return "aloft"
}

var sessionWord = regexp.MustCompile(`^[A-Za-z0-9-]{1,58}$`)

// Token is a token that is valid now. Its error is an *Error, or the context's.
func (s *Source) Token(ctx context.Context) (string, error) { return s.token(ctx) }

func (s *Source) get(name string) string {
	v, _ := s.getenv(name)
	return v
}

// fromGitHub asks for a token of the audience.
func (s *Source) fromGitHub(ctx context.Context) (string, error) {
	u, err := url.Parse(s.get("ACTIONS_ID_TOKEN_REQUEST_URL"))
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return "", &Error{Text: "ACTIONS_ID_TOKEN_REQUEST_URL holds no address", Hint: "leave the variable as GitHub Actions sets it"}
	}
	q := u.Query()
	q.Set("audience", s.audience)
	u.RawQuery = q.Encode()
	for pause, n := firstPause, 1; ; pause, n = 2*pause, n+1 {
		token, err := s.askGitHub(ctx, u.String())
		var e *Error
		if err == nil || ctx.Err() != nil || n == attempts || errors.As(err, &e) && !e.Passing {
			return token, err
		}
		t := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			t.Stop()
			return "", ctx.Err()
		case <-t.C:
		}
	}
}

func (s *Source) askGitHub(ctx context.Context, address string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return "", &Error{Text: "ACTIONS_ID_TOKEN_REQUEST_URL holds no address", Hint: "leave the variable as GitHub Actions sets it"}
	}
	req.Header.Set("Authorization", "Bearer "+s.get("ACTIONS_ID_TOKEN_REQUEST_TOKEN"))
	req.Header.Set("Accept", "application/json")
	resp, err := s.client.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		var wrapped *url.Error
		if errors.As(err, &wrapped) {
			err = wrapped.Err
		}
		return "", &Error{Text: "GitHub Actions does not answer when asked for an OIDC token: " + Hide(err.Error()), Passing: true}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, mostOfToken))
	switch {
	case resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden:
		return "", &Error{Text: fmt.Sprintf("GitHub Actions refuses an OIDC token (HTTP %d): a job may ask only while it runs", resp.StatusCode),
			Hint: "if the controller is that of an earlier job: `sky api stop`, then run this again"}
	case resp.StatusCode != http.StatusOK:
		return "", &Error{Text: fmt.Sprintf("GitHub Actions gives no OIDC token (HTTP %d)", resp.StatusCode),
			Passing: resp.StatusCode >= 500 || resp.StatusCode == http.StatusTooManyRequests}
	}
	var answer struct {
		Value string `json:"value"`
	}
	if err != nil || json.Unmarshal(body, &answer) != nil || answer.Value == "" {
		return "", &Error{Text: "the answer of GitHub Actions holds no OIDC token", Passing: true}
	}
	return answer.Value, nil
}

func (s *Source) fromBitbucket(context.Context) (string, error) {
	// Bitbucket fixes the audience; the cloud has to trust that one.
	return s.given(s.get("BITBUCKET_STEP_OIDC_TOKEN"), "BITBUCKET_STEP_OIDC_TOKEN", "", "add to the step: `oidc: true`")
}

func (s *Source) fromVariable(context.Context) (string, error) {
	path := s.get(FileVariable)
	if path == "" {
		return s.given(s.get(TokenVariable), TokenVariable, s.audience, s.gitlabHint())
	}
	f, err := os.Open(path)
	if err != nil {
		var p *os.PathError
		if errors.As(err, &p) {
			err = p.Err
		}
		return "", &Error{Text: fmt.Sprintf("%s: %s: %v", FileVariable, path, err), Hint: "name the file that holds the token"}
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, mostOfToken))
	if err != nil {
		return "", &Error{Text: fmt.Sprintf("%s: %s cannot be read", FileVariable, path), Hint: "name the file that holds the token"}
	}
	return s.given(strings.TrimSpace(string(b)), "the file of "+FileVariable, s.audience, "have it written for this audience")
}

// given is a token that the system has made already, if it can still be used. Its signature is the cloud's matter.
func (s *Source) given(token, where, audience, hint string) (string, error) {
	c, ok := claims(token)
	switch {
	case !ok:
		return "", &Error{Text: where + " holds no OIDC token", Hint: hint}
	case audience != "" && !slices.ContainsFunc(c.audiences, func(a string) bool { return bare(a) == bare(audience) }):
		return "", &Error{Text: fmt.Sprintf("the OIDC token in %s is for %q, not for %s", where, c.audiences, audience), Hint: hint}
	case !c.ends.IsZero() && !time.Now().Before(c.ends):
		return "", &Error{Text: fmt.Sprintf("the OIDC token in %s ended at %s, and %s gives a job no other", where, c.ends.UTC().Format(time.RFC3339), s.system),
			Hint: "start the job again; if the controller is that of an earlier job: `sky api stop` first"}
	}
	return token, nil
}

func (s *Source) gitlabHint() string {
	return fmt.Sprintf("add to the job: `id_tokens: {%s: {aud: %q}}`", TokenVariable, s.audience)
}

// bare is an audience without the scheme, which Google takes or leaves.
func bare(a string) string { return strings.TrimPrefix(a, "https:") }

// content is what of a token's claims is read here.
type content struct {
	audiences []string
	ends      time.Time // zero = not told
}

// claims reads a token without asking whether it is genuine.
func claims(token string) (content, bool) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return content{}, false
	}
	b, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return content{}, false
	}
	var c struct {
		Aud json.RawMessage `json:"aud"`
		Exp float64         `json:"exp"`
	}
	if json.Unmarshal(b, &c) != nil {
		return content{}, false
	}
	var out content
	if c.Exp > 0 && c.Exp < 1<<40 {
		out.ends = time.Unix(int64(c.Exp), 0)
	}
	var one string
	if json.Unmarshal(c.Aud, &one) == nil {
		out.audiences = []string{one}
		return out, true
	}
	return out, json.Unmarshal(c.Aud, &out.audiences) == nil
}

var tokenLike = regexp.MustCompile(`eyJ[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]*)*`)

// Hide takes everything that looks like a token out of words of others.
func Hide(s string) string { return tokenLike.ReplaceAllString(s, "***") }
