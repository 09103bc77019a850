package forgetest

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestContract refuses what GitHub's description does not know.
func TestContract(t *testing.T) {
	t.Parallel()
	c, err := loadContract()
	if err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("x", 65_536)
	for _, x := range []struct{ method, path, body, want string }{
		{"POST", "/repos/a/b/check-runs", `{"name":"n","head_sha":"abc","status":"completed","conclusion":"success","output":{"title":"t","summary":"s"}}`, ""},
		{"POST", "/repos/a/b/check-runs", `{"name":"n","head_sha":"abc","status":"completed","conclusion":"passed"}`, "body"},
		{"POST", "/repos/a/b/check-runs", `{"head_sha":"abc"}`, "name"},
		{"POST", "/repos/a/b/check-runs", `{"name":"n","head_sha":"abc","output":{"title":"t","summary":"` + long + `"}}`, "body"},
		{"POST", "/repos/a/b/statuses/abc", `{"state":"bogus"}`, "state"},
		{"POST", "/repos/a/b/statuses/abc", `{"state":"pending","contexts":"x"}`, "contexts"},
		{"POST", "/repos/a/b/issues/1/comments", `{}`, "body"},
		{"POST", "/repos/a/b/issues/1/comments", `x`, "JSON"},
		{"GET", "/repos/a/b/issues/1/comments?per_page=100&page=2", "", ""},
		{"GET", "/repos/a/b/issues/1/comments?perpage=100", "", "perpage"},
		{"GET", "/repos/a/b/commits/abc/check-runs?filter=newest", "", "filter"},
		{"DELETE", "/repos/a/b/check-runs/1", "", "not in GitHub's description"},
		{"GET", "/repos/a/b/nothing", "", "not in GitHub's description"},
	} {
		r := httptest.NewRequest(x.method, x.path, nil)
		err := c.request(r, []byte(x.body))
		switch {
		case x.want == "" && err != nil:
			t.Errorf("%s %s %.60s: %v", x.method, x.path, x.body, err)
		case x.want != "" && (err == nil || !strings.Contains(err.Error(), x.want)):
			t.Errorf("%s %s %.60s: %v, want something about %q", x.method, x.path, x.body, err, x.want)
		}
	}
	rec := httptest.NewRecorder()
	send(rec, http.StatusCreated, map[string]any{"id": "no number"})
	if _, err := c.answer(httptest.NewRequest("POST", "/repos/a/b/issues/1/comments", nil), rec); err == nil {
		t.Error("an answer that is against the description passes")
	}
}
