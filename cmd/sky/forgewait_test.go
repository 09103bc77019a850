package main

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"aloft/controller/forge"
	"aloft/controller/forge/forgetest"
)

// TestForgeAway: what a forge does not take for now is in the job's summary, with a warning and exit code 110.
func TestForgeAway(t *testing.T) {
	t.Parallel()
	stuck := make(chan struct{})
	t.Cleanup(func() { close(stuck) })
	limit := func(w http.ResponseWriter, _ *http.Request, _ int) bool {
		w.Header().Set("Retry-After", "3600")
		w.WriteHeader(429)
		return true
	}
	for _, tc := range []struct {
		name  string
		args  []string
		fault func(w http.ResponseWriter, r *http.Request, n int) bool
		azure bool
		say   []string // on standard error
		kept  string   // in the summary; "" = nothing is
	}{
		{"limited", []string{"comment", "create", "-", "--target", "pr/7"}, limit, false, []string{"HTTP 429", "--api-timeout", "the report is in the job summary instead"}, "@\u200bann: 0.9"},
		{"limited while writing", []string{"comment", "update", "-", "--target", "pr/7"}, func(w http.ResponseWriter, r *http.Request, n int) bool {
			return r.Method == http.MethodPost && limit(w, r, n)
		}, false, []string{"HTTP 429", "the report is in the job summary instead"}, "0.9"},
		{"by the commit", []string{"comment", "create", "-"}, limit, false, []string{"the report is in the job summary instead"}, "0.9"},
		{"on Azure", []string{"comment", "create", "-", "--target", "pr/7"}, limit, true, []string{"the report is in the summary of the run instead"}, "0.9"},
		{"down", []string{"comment", "create", "-", "--target", "pr/7", "--api-timeout", "1s"}, func(w http.ResponseWriter, _ *http.Request, _ int) bool {
			w.WriteHeader(503)
			return true
		}, false, []string{"HTTP 503", "the report is in the job summary instead"}, "0.9"},
		{"silent", []string{"comment", "create", "-", "--target", "pr/7", "--api-timeout", "200ms"}, func(_ http.ResponseWriter, r *http.Request, _ int) bool {
			select {
			case <-stuck:
			case <-r.Context().Done():
			}
			return true
		}, false, []string{"--api-timeout ran out", "the report is in the job summary instead"}, "0.9"},
		{"of CML", []string{"ci", "cml", "comment", "create", "report.md", "--target", "pr/7"}, limit, false, []string{"the report is in the job summary instead"}, "@ann: 0.9"},
		{"a check", []string{"ci", "check", "--state", "failure", "--summary", "report.md"}, limit, false, []string{"HTTP 429", "the report is in the job summary instead"}, "@\u200bann: 0.9"},
		{"a check that goes on", []string{"ci", "check", "--state", "running"}, limit, false, []string{"HTTP 429"}, ""},
		{"dry", []string{"comment", "create", "-", "--target", "pr/7", "--dry-run"}, limit, false, []string{"HTTP 429"}, ""},
		{"refused", []string{"comment", "create", "-", "--target", "pr/7"}, func(w http.ResponseWriter, _ *http.Request, _ int) bool { w.WriteHeader(422); return true }, false, []string{"HTTP 422"}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := &forgetest.Server{Kind: forge.GitHub, Token: "tok", User: "me", Fault: tc.fault, Unchecked: true}
			web := httptest.NewServer(s)
			t.Cleanup(web.Close)
			dir := t.TempDir()
			const report = "# Report\n\n@ann: 0.9\n"
			if err := os.WriteFile(filepath.Join(dir, "report.md"), []byte(report), 0o600); err != nil {
				t.Fatal(err)
			}
			for i, a := range tc.args {
				if a == "report.md" {
					tc.args[i] = filepath.Join(dir, a)
				}
			}
			summary := filepath.Join(dir, "summary.md")
			env := map[string]string{"GITHUB_ACTIONS": "true", "GITHUB_API_URL": web.URL, "GITHUB_SERVER_URL": web.URL, "GITHUB_REPOSITORY": "acme/model", "GITHUB_RUN_ID": "900",
				"GITHUB_SHA": "bbbbbbbbbb", "GITHUB_EVENT_NAME": "push", "GITHUB_TOKEN": "tok", "GITHUB_STEP_SUMMARY": summary, "NO_COLOR": "1"}
			if tc.azure {
				env = map[string]string{"TF_BUILD": "True", "AGENT_TEMPDIRECTORY": dir, "REPO_TOKEN": "tok", "NO_COLOR": "1"}
				tc.args = append(tc.args, "--repo", web.URL+"/acme/model", "--driver", "gitea")
				s.Kind = forge.Gitea
			}
			code, out, errOut := skyWith(t, env, report, tc.args...)
			if code != exitNotPosted || strings.Contains(out+errOut, "tok\n") {
				t.Errorf("ended with %d\n%s\n%s", code, out, errOut)
			}
			for _, want := range tc.say {
				if !strings.Contains(errOut, want) {
					t.Errorf("%q is not in\n%s", want, errOut)
				}
			}
			if tc.azure {
				_, path, ok := strings.Cut(strings.TrimSpace(out), "##vso[task.uploadsummary]")
				if !ok {
					t.Fatalf("no summary in %q", out)
				}
				summary = path
			}
			got, _ := os.ReadFile(summary)
			if tc.kept == "" && len(got) > 0 || !strings.Contains(string(got), tc.kept) {
				t.Errorf("the summary is %q", got)
			}
			if n := len(s.Comments()); n != 0 {
				t.Errorf("%d comments", n)
			}
		})
	}
}

// TestForgeWait: a wait is told of with the forge, the reason and its end; a time that is none is refused.
func TestForgeWait(t *testing.T) {
	t.Parallel()
	var said strings.Builder
	a := &app{errOut: &said}
	o := a.reachForge(forge.Options{}, 3*time.Minute)
	until := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	o.Waiting(forge.Wait{Host: "forge.example", Reason: forge.RateLimited, Until: until})
	if got := said.String(); o.Patience != 3*time.Minute || !strings.Contains(got, "Waiting for forge.example: its limit of requests is used up; asked again at 03:04:05 UTC") {
		t.Error(got)
	}
	for _, args := range [][]string{{"comment", "create", "-", "--api-timeout", "0s"}, {"ci", "check", "--state", "success", "--api-timeout", "-1s"}} {
		if code, _, errOut := skyWith(t, nil, "x", args...); code != exitUsage || !strings.Contains(errOut, "--api-timeout") {
			t.Errorf("%v ended with %d: %s", args, code, errOut)
		}
	}
}

// TestWatchAway: a file that is followed is in the summary once, at the end, when the forge does not take it.
func TestWatchAway(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file, summary := filepath.Join(dir, "r.md"), filepath.Join(dir, "summary.md")
	if err := os.WriteFile(file, []byte("the last state"), 0o600); err != nil {
		t.Fatal(err)
	}
	a := &app{errOut: new(strings.Builder), getenv: func(k string) (string, bool) { return summary, k == "GITHUB_STEP_SUMMARY" }}
	ctx, stop := context.WithCancel(context.Background())
	tries := 0
	err := a.watchAndKeep(ctx, file, &commentOptions{}, func(context.Context, string) error {
		tries++
		stop()
		return notPosted(&forge.Error{Doing: "post", Status: 429, Reason: forge.RateLimited}, "")
	})
	got, _ := os.ReadFile(summary)
	var e *exitError
	if !errors.As(err, &e) || e.code != exitNotPosted || tries < 2 || strings.Count(string(got), "the last state") != 1 {
		t.Errorf("%v after %d tries, the summary is %q", err, tries, got)
	}
}
