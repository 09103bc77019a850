package forge

import (
	"errors"
	"net/http"
	"strings"
	"testing"
)

func TestNew(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		kind             Kind
		api, repo, token string
		bad              string // "" = fine
	}{
		{GitHub, "", "acme/model", "t", ""},
		{GitLab, "https://gitlab.example/sub/api/v4/", "a/b/c", "t", ""},
		{Bitbucket, "", "acme/model", "user:pw", ""},
		{GitHub, "", "a/b/c", "t", "no repository"},
		{GitHub, "", "../x", "t", "no repository"},
		{GitHub, "", "a/b?c", "t", "no repository"},
		{GitHub, "ftp://user:hunter2@x", "a/b", "t", "no http"},
		{GitHub, "", "a/b", "t\nX: y", "control character"},
		{"forgejo", "https://x", "a/b", "t", "there is no forge"},
	} {
		_, err := New(tc.kind, Options{API: tc.api, Repo: tc.repo, Token: tc.token})
		switch {
		case tc.bad == "" && err != nil:
			t.Errorf("%+v: %v", tc, err)
		case tc.bad != "" && (err == nil || !strings.Contains(err.Error(), tc.bad) || strings.Contains(err.Error(), "hunter2")):
			t.Errorf("%+v: %v", tc, err)
		}
	}
}

func TestNextLink(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ header, want string }{
		{`<https://x/a?page=2>; rel="next", <https://x/a?page=9>; rel="last"`, "https://x/a?page=2"},
		{`<https://x/a?page=1>; rel="prev", <https://x/a?b,c>; title="t"; rel=next`, "https://x/a?b,c"},
		{`<https://x>; rel="last"`, ""}, {"", ""}, {"<", ""}, {"garbage", ""},
	} {
		if got := nextLink([]string{tc.header}); got != tc.want {
			t.Errorf("%q: %q, want %q", tc.header, got, tc.want)
		}
	}
}

func FuzzNextLink(f *testing.F) {
	f.Add(`<https://x/a?page=2>; rel="next", <b>; rel="last"`)
	f.Fuzz(func(t *testing.T, s string) {
		if got := nextLink([]string{s}); got != "" && !strings.Contains(s, got) {
			t.Errorf("%q is not in %q", got, s)
		}
	})
}

func FuzzDetail(f *testing.F) {
	f.Add(`{"message":{"note":["is too long"]}}`)
	f.Add(`{"error":{"message":"a","detail":{}},"errors":[{"message":"b"}]}`)
	r := &rest{token: "hunter22"}
	f.Fuzz(func(t *testing.T, s string) {
		got := r.safe(detail([]byte(s)))
		if strings.Contains(got, "hunter22") || strings.ContainsAny(got, "\n\r\x1b") || len([]rune(got)) > 300 {
			t.Errorf("%q", got)
		}
	})
}

// TestPlain keeps addresses and tokens out of errors.
func TestPlain(t *testing.T) {
	t.Parallel()
	r, err := newREST(GitHub, Options{Repo: "a/b", Token: "hunter22"})
	if err != nil {
		t.Fatal(err)
	}
	if got := r.plain(errors.New("dial hunter22: no")).Error(); strings.Contains(got, "hunter22") {
		t.Error(got)
	}
	h := http.Header{}
	r.headers(h)
	if h.Get("Authorization") != "Bearer hunter22" || h.Get("X-GitHub-Api-Version") == "" {
		t.Errorf("%v", h)
	}
}
