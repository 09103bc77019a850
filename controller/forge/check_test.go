package forge_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"aloft/controller/forge"
	"aloft/controller/forge/forgetest"
)

// client is a client of a server in memory, to be used in a bubble.
func client(t *testing.T, s *forgetest.Server) (forge.Client, func()) {
	t.Helper()
	s.Token, s.User = "tok-secret", "me"
	transport, stop := forgetest.Start(s)
	api := "http://forge.example"
	switch s.Kind {
	case forge.GitLab:
		api += "/api/v4"
	case forge.Gitea:
		api += "/api/v1"
	}
	c, err := forge.New(s.Kind, forge.Options{API: api, Repo: "acme/model", Token: s.Token, Agent: "test", Transport: transport})
	if err != nil {
		t.Fatal(err)
	}
	return c, func() {
		stop()
		for _, b := range s.Breaches {
			t.Error(b)
		}
	}
}

func TestStatus(t *testing.T) {
	t.Parallel()
	want := map[forge.Kind][]string{
		forge.GitHub:    {"pending", "pending", "success", "failure", "error", "error", "success", "success"},
		forge.GitLab:    {"pending", "running", "success", "failed", "failed", "canceled", "success", "skipped"},
		forge.Bitbucket: {"INPROGRESS", "INPROGRESS", "SUCCESSFUL", "FAILED", "FAILED", "STOPPED", "SUCCESSFUL", "SUCCESSFUL"},
	}
	for kind, states := range want {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := &forgetest.Server{Kind: kind}
				c, stop := client(t, s)
				defer stop()
				for i, st := range forge.States() {
					name := fmt.Sprintf("sky/train %d", i)
					if i == 0 {
						name = strings.Repeat("n", 300)
					}
					p, err := c.(forge.StatusSetter).SetStatus(context.Background(), forge.Status{SHA: "abc123", Name: name, State: st, Title: strings.Repeat("ä", 300)})
					if err != nil || p.Kind != "status" {
						t.Fatalf("%s: %+v, %v", st, p, err)
					}
					if got := s.Statuses()[i]; got.State != states[i] || len([]rune(got.Description)) > 255 || kind == forge.GitHub && len([]rune(got.Description)) > 140 {
						t.Errorf("%s: %+v", st, got)
					}
				}
			})
		})
	}
}

// TestStatusAgain: GitLab refuses a status that is there; nothing is wrong then.
func TestStatusAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &forgetest.Server{Kind: forge.GitLab}
		c, stop := client(t, s)
		defer stop()
		for _, want := range []string{"created", "unchanged"} {
			p, err := c.(forge.StatusSetter).SetStatus(context.Background(), forge.Status{SHA: "abc", Name: "sky", State: forge.Running})
			if err != nil || p.Action != want {
				t.Errorf("%+v, %v, want %s", p, err, want)
			}
		}
	})
}

func annotations(n int) []forge.Annotation {
	var out []forge.Annotation
	for i := range n {
		out = append(out, forge.Annotation{Path: "suite.yaml", Level: forge.LevelFailure, Title: fmt.Sprintf("finding %d", i), Message: "m"})
	}
	return out
}

func TestCheckRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &forgetest.Server{Kind: forge.GitHub}
		c, stop := client(t, s)
		defer stop()
		set := c.(forge.CheckSetter)
		k := forge.Check{Status: forge.Status{SHA: "abc123", Name: "sky/train", State: forge.Running, Title: "on its way", URL: "https://ci/1"}, ExternalID: "run-1", Started: time.Now()}
		p, err := set.SetCheck(context.Background(), k)
		if err != nil || p.Action != "created" || p.URL == "" {
			t.Fatalf("%+v, %v", p, err)
		}
		k.State, k.Ended, k.Title, k.Annotations = forge.Failure, time.Now(), strings.Repeat("t", 300), annotations(120)
		k.Summary, k.Text = strings.Repeat("ä", 60_000), strings.Repeat("x", 70_000)
		before := len(s.Log)
		p2, err := set.SetCheck(context.Background(), k)
		if err != nil || p2.Action != "updated" || p2.ID != p.ID {
			t.Fatalf("%+v, %v", p2, err)
		}
		got := s.Checks()
		if len(got) != 1 || got[0].Status != "completed" || got[0].Conclusion != "failure" || got[0].External != "run-1" {
			t.Fatalf("%d checks, the first %s %s", len(got), got[0].Status, got[0].Conclusion)
		}
		if len(got[0].Annotations) != 120 || !slices.IsSortedFunc(got[0].Annotations, func(a, b string) int { return len(a) - len(b) }) || got[0].Annotations[119] != "finding 119" {
			t.Errorf("annotations: %d, the last %s", len(got[0].Annotations), got[0].Annotations[len(got[0].Annotations)-1])
		}
		var writes []string
		for _, l := range s.Log[before:] {
			if !strings.HasPrefix(l, http.MethodGet) {
				writes = append(writes, strings.Fields(l)[0])
			}
		}
		if want := "PATCH PATCH PATCH"; strings.Join(writes, " ") != want {
			t.Errorf("written by %v, want %s", writes, want)
		}
		// Another run of the same name has a check run of its own.
		k.ExternalID = "run-2"
		if p, err := set.SetCheck(context.Background(), k); err != nil || p.Action != "created" || len(s.Checks()) != 2 {
			t.Errorf("%+v, %v, %d checks", p, err, len(s.Checks()))
		}
	})
}

// TestSixtyAnnotations take one request to create and one to add.
func TestSixtyAnnotations(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &forgetest.Server{Kind: forge.GitHub}
		c, stop := client(t, s)
		defer stop()
		_, err := c.(forge.CheckSetter).SetCheck(context.Background(), forge.Check{Status: forge.Status{SHA: "abc", Name: "n", State: forge.Success}, ExternalID: "x", Annotations: annotations(60)})
		if err != nil || s.Requests(http.MethodPost) != 1 || s.Requests(http.MethodPatch) != 1 {
			t.Errorf("%v, %d POST, %d PATCH", err, s.Requests(http.MethodPost), s.Requests(http.MethodPatch))
		}
	})
}

// TestLostAnswer: a check run that was made without an answer is found, not made twice.
func TestLostAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &forgetest.Server{Kind: forge.GitHub}
		lost := false
		s.Lose = func(r *http.Request, _ int) bool {
			if r.Method == http.MethodPost && !lost {
				lost = true
				return true
			}
			return false
		}
		c, stop := client(t, s)
		defer stop()
		p, err := c.(forge.CheckSetter).SetCheck(context.Background(), forge.Check{Status: forge.Status{SHA: "abc", Name: "n", State: forge.Running}, ExternalID: "x"})
		if err != nil || len(s.Checks()) != 1 || p.ID == "" || !lost {
			t.Errorf("%+v, %v, %d checks", p, err, len(s.Checks()))
		}
	})
}

// TestChecksRefused: tokens that are no app's may not; the error says so, and statuses are left.
func TestChecksRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &forgetest.Server{Kind: forge.GitHub, NoChecks: true}
		c, stop := client(t, s)
		defer stop()
		_, err := c.(forge.CheckSetter).SetCheck(context.Background(), forge.Check{Status: forge.Status{SHA: "abc", Name: "n", State: forge.Running}, ExternalID: "x"})
		var e *forge.Error
		if !errors.As(err, &e) || e.Reason != forge.Forbidden {
			t.Errorf("%v", err)
		}
	})
}

func TestInsights(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &forgetest.Server{Kind: forge.Bitbucket}
		c, stop := client(t, s)
		defer stop()
		set := c.(forge.CheckSetter)
		k := forge.Check{Status: forge.Status{SHA: "abc", Name: strings.Repeat("long ", 20), State: forge.Running, Title: "t"}}
		if _, err := set.SetCheck(context.Background(), k); err != nil {
			t.Fatal(err)
		}
		k.State, k.Annotations = forge.Failure, annotations(1005)
		k.Annotations[0].Title, k.Annotations[1].Title, k.Annotations[1].Message = strings.Repeat("x", 1000), "", strings.Repeat("y", 5000)
		for i := range 12 {
			k.Data = append(k.Data, forge.Datum{Title: fmt.Sprint(i), Value: []any{true, 0.5, "a", time.Minute}[i%4]})
		}
		for range 2 { // the second time nothing is left of the first
			p, err := set.SetCheck(context.Background(), k)
			if err != nil || p.Dropped != 5 {
				t.Fatalf("%+v, %v", p, err)
			}
			got := s.Checks()
			if len(got) != 1 || got[0].Conclusion != "FAILED" || len(got[0].Annotations) != 1000 || got[0].Data != 10 || len(got[0].Key) > 40 {
				t.Errorf("%d reports, %d annotations, %d data", len(got), len(got[0].Annotations), got[0].Data)
			}
		}
	})
}
