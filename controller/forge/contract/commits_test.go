package contract_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"aloft/controller/forge"
	"aloft/controller/forge/comment"
	"aloft/controller/forge/forgetest"
)

// TestPullRequestsOf finds the open pull request of a commit, and no other.
func TestPullRequestsOf(t *testing.T) {
	t.Parallel()
	onForges(t, func(t *testing.T, w *world) {
		w.withPull()
		if w.fake != nil {
			w.fake.Pulls = append(w.fake.Pulls, forgetest.Pull{Number: 8, SHA: "cccccccccc", Owner: "acme", Branch: "topic"},
				forgetest.Pull{Number: 9, SHA: w.pull.SHA, Owner: "acme", Branch: "topic", State: "closed"})
		}
		c, ctx := w.client(), context.Background()
		list, err := c.PullRequestsOf(ctx, w.pull.SHA, w.pull.Owner, w.pull.Branch)
		if err != nil || len(list) != 1 || list[0].Number != w.pull.Number || !list[0].Open || list[0].Branch != w.pull.Branch {
			t.Errorf("%+v, %v", list, err)
		}
		if list, err := c.PullRequestsOf(ctx, "0123456789012345678901234567890123456789", w.pull.Owner, w.pull.Branch); err != nil || len(list) != 0 {
			t.Errorf("of another commit: %+v, %v", list, err)
		}
		p, err := c.PullRequest(ctx, w.pull.Number)
		if err != nil || p.Number != w.pull.Number || !strings.HasPrefix(w.pull.SHA, p.HeadSHA) || !p.Open {
			t.Errorf("%+v, %v", p, err)
		}
		var e *forge.Error
		if _, err := c.PullRequest(ctx, 123_456); !errors.As(err, &e) || e.Reason != forge.NotFound {
			t.Errorf("one that is not there: %v", err)
		}
	})
}

// TestPullLater finds a pull request that the forge ties to its commit some seconds after both were pushed.
func TestPullLater(t *testing.T) {
	t.Parallel()
	onForges(t, func(t *testing.T, w *world) {
		w.withPull()
		none := 0
		w.wire.answer = func(rw http.ResponseWriter, r *http.Request, _ int) bool {
			if none == 0 {
				return false
			}
			none--
			body := "[]"
			if w.kind == forge.Bitbucket {
				body = `{"values":[]}`
			}
			fmt.Fprint(rw, body)
			return true
		}
		find := func() ([]forge.PullRequest, time.Duration) {
			began := time.Now()
			list, err := forge.FindPulls(context.Background(), w.client(), w.pull.SHA, w.pull.Owner, w.pull.Branch, 10*time.Second)
			if err != nil {
				t.Fatal(err)
			}
			return list, time.Since(began)
		}
		none = 4
		if w.kind != forge.GitHub { // which is asked in two ways each time
			none = 2
		}
		if list, took := find(); len(list) != 1 || took != 3*time.Second {
			t.Errorf("%+v after %s", list, took)
		}
		none = 1000
		if list, took := find(); len(list) != 0 || took != 10*time.Second {
			t.Errorf("none: %+v after %s", list, took)
		}
	})
}

// TestStatuses sets each state, with texts that are too long, and loses an answer.
func TestStatuses(t *testing.T) {
	t.Parallel()
	onForges(t, func(t *testing.T, w *world) {
		w.withPull()
		set := w.client().(forge.StatusSetter)
		for _, s := range forge.States() {
			p, err := set.SetStatus(context.Background(), forge.Status{SHA: w.pull.SHA, Name: "sky/" + strings.Repeat("n", 300), State: s, Title: strings.Repeat("ä", 300), URL: "https://ci.example/1"})
			if err != nil || p.Kind != "status" {
				t.Errorf("%s: %+v, %v", s, p, err)
			}
		}
		lost := false
		w.wire.after = func(_ *http.Request, resp *http.Response, _ int) (*http.Response, error) {
			if lost {
				return resp, nil
			}
			lost = true
			return nil, errCut
		}
		if _, err := set.SetStatus(context.Background(), forge.Status{SHA: w.pull.SHA, Name: "sky/lost", State: forge.Success, Title: "ok", URL: "https://ci.example/1"}); err != nil || !lost {
			t.Errorf("the answer was lost: %v", err)
		}
		if w.gitea == nil {
			return
		}
		var list []struct {
			Context, Description string
			State                string `json:"status"`
		}
		_, err := w.askJSON("/repos/"+w.repo+"/commits/"+w.pull.SHA+"/statuses?limit=50", &list)
		if err != nil || len(list) != len(forge.States())+2 {
			t.Fatalf("%d statuses, %v", len(list), err)
		}
		for _, s := range list {
			if len([]rune(s.Description)) > 140 || s.State != "pending" && s.State != "success" && s.State != "failure" && s.State != "error" {
				t.Errorf("%+v", s)
			}
		}
	})
}

// TestUpload keeps a picture with the repository; GitHub has no place for it.
func TestUpload(t *testing.T) {
	t.Parallel()
	onForges(t, func(t *testing.T, w *world) {
		c := w.client()
		up, ok := c.(forge.Uploader)
		if !ok {
			if w.kind != forge.GitHub {
				t.Errorf("%s takes no files", w.kind)
			}
			return
		}
		address, err := up.Upload(context.Background(), w.target, "some/plot.png", pixel)
		if err != nil || !strings.HasPrefix(address, "http://"+w.host+"/") {
			t.Fatalf("%s, %v", address, err)
		}
		w.mustDo(w.post("k", 1, 0, "![plot]("+address+")"))
		if w.gitea == nil {
			return
		}
		if code, b, _ := w.ask(http.MethodGet, address, "", nil); code != http.StatusOK || string(b) != string(pixel) {
			t.Errorf("%s: HTTP %d, %d bytes", address, code, len(b))
		}
	})
}

// TestNoCommitComments: where commits have no comments, that is said.
func TestNoCommitComments(t *testing.T) {
	t.Parallel()
	onForges(t, func(t *testing.T, w *world) {
		p := w.post("k", 1, 0, "text")
		p.Target = forge.Target{Place: forge.Commit, SHA: "bbbbbbbbbb"}
		_, err := comment.Do(context.Background(), w.client(), p)
		if (w.kind == forge.Gitea) != errors.Is(err, forge.ErrNoCommitComments) || w.kind != forge.Gitea && err != nil {
			t.Error(err)
		}
	})
}
