package main

import (
	"bytes"
	"context"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"aloft/controller/forge"
	"aloft/controller/forge/forgetest"
)

// skyWith runs one command line with an environment of its own.
func skyWith(t *testing.T, env map[string]string, stdin string, args ...string) (code int, out, errOut string) {
	t.Helper()
	var o, e bytes.Buffer
	a := &app{in: strings.NewReader(stdin), out: &o, errOut: &e, width: 120, home: t.TempDir(), getenv: func(k string) (string, bool) { v, ok := env[k]; return v, ok }}
	root := newRoot(a)
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(context.Background())
	return a.report(cmd, args, err), o.String(), e.String()
}

func TestComment(t *testing.T) {
	t.Parallel()
	const pr = `{"number":7,"pull_request":{"number":7,"head":{"sha":"aaaaaaaaaa","ref":"topic","repo":{"full_name":"acme/model"}}}}`
	const after = `{"workflow_run":{"id":800,"run_attempt":1,"name":"train","head_sha":"ffffffffff","head_branch":"topic","pull_requests":[],"head_repository":{"full_name":"eve/model"}}}`
	for _, tc := range []struct {
		name, event, payload string
		args                 []string
		change               func(s *forgetest.Server, env map[string]string)
		code                 int
		stdout, stderr       string
		place, body          string // of the comment there is then
	}{
		{"of the pull request", "pull_request", pr, nil, nil, 0, "/page#1", "", "issues/7", "@\u200bann: 0.9"},
		{"json", "pull_request", pr, []string{"-o", "json"}, nil, 0, `"action": "created"`, "", "issues/7", "0.9"},
		{"trusted", "pull_request", pr, []string{"--trusted"}, nil, 0, "", "", "issues/7", "@ann: 0.9"},
		{"named", "push", "{}", []string{"--target", "pr/9", "--key", "k"}, nil, 0, "", "", "issues/9", "key=k"},
		{"issue", "push", "{}", []string{"--target=issue/3"}, nil, 0, "", "", "issues/3", "0.9"},
		{"commit", "push", "{}", []string{"--commit-sha", "abcdef0"}, nil, 0, "", "", "commits/abcdef0", "0.9"},
		{"CML's key", "pull_request", pr, []string{"--watermark-title", "a {workflow}"}, nil, 0, "", "", "issues/7", "key=a+train"},
		{"bare", "pull_request", pr, []string{"--rm-watermark"}, nil, 0, "", "", "issues/7", "@\u200bann"},
		{"by the commit", "push", "{}", nil, func(s *forgetest.Server, _ map[string]string) {
			s.Pulls = []forgetest.Pull{{Number: 4, SHA: "bbbbbbbbbb", Owner: "acme", Branch: "topic"}}
		}, 0, "", "", "issues/4", "0.9"},
		{"no pull request", "push", "{}", nil, nil, 0, "", "job summary", "", ""},
		{"no pull request, commit", "push", "{}", []string{"--if-no-pr", "commit"}, nil, 0, "", "", "commits/bbbbbbbbbb", "0.9"},
		{"no pull request, fail", "push", "{}", []string{"--if-no-pr", "fail"}, nil, exitNotPosted, "", "there is no pull request", "", ""},
		{"fork that may only read", "pull_request", strings.Replace(pr, "acme/model", "eve/model", 1), nil, func(s *forgetest.Server, _ map[string]string) { s.ReadOnly = true },
			exitNotPosted, "", "workflow_run", "", ""},
		{"after a fork's run", "workflow_run", after, nil, func(s *forgetest.Server, _ map[string]string) {
			s.Pulls = []forgetest.Pull{{Number: 5, SHA: "ffffffffff", Owner: "eve", Branch: "topic"}}
		}, 0, "", "", "issues/5", "run=800"},
		{"after a fork's run, another pull request", "workflow_run", after, []string{"--target", "pr/6"}, func(s *forgetest.Server, _ map[string]string) {
			s.Pulls = []forgetest.Pull{{Number: 6, SHA: "eeeeeeeeee", Owner: "acme", Branch: "x"}}
		}, exitNotPosted, "", "the run was of ffffffffff", "", ""},
		{"no token", "pull_request", pr, nil, func(_ *forgetest.Server, env map[string]string) { delete(env, "GITHUB_TOKEN") }, exitNotPosted, "", "REPO_TOKEN", "", ""},
		{"wrong token", "pull_request", pr, []string{"-o", "json"}, func(_ *forgetest.Server, env map[string]string) { env["GITHUB_TOKEN"] = "hunter22" }, exitNotPosted, "HTTP 401", "", "", ""},
		{"bad target", "push", "{}", []string{"--target", "pr/x"}, nil, exitUsage, "", "allowed: pr, pr/N", "", ""},
		{"two targets", "push", "{}", []string{"--target", "pr/1", "--commit-sha", "abcdef0"}, nil, exitUsage, "", "exclude", "", ""},
		{"bad choice", "push", "{}", []string{"--if-no-pr", "x"}, nil, exitUsage, "", "allowed: summary", "", ""},
		{"bad forge", "push", "{}", []string{"--driver", "x"}, nil, exitUsage, "", "allowed: github", "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := &forgetest.Server{Kind: forge.GitHub, Token: "tok", User: "me"}
			web := httptest.NewServer(s)
			t.Cleanup(web.Close)
			dir := t.TempDir()
			event, summary := filepath.Join(dir, "event.json"), filepath.Join(dir, "summary.md")
			if err := os.WriteFile(event, []byte(tc.payload), 0o600); err != nil {
				t.Fatal(err)
			}
			env := map[string]string{"GITHUB_ACTIONS": "true", "GITHUB_API_URL": web.URL, "GITHUB_SERVER_URL": web.URL, "GITHUB_REPOSITORY": "acme/model", "GITHUB_WORKFLOW": "train",
				"GITHUB_RUN_ID": "900", "GITHUB_RUN_ATTEMPT": "1", "GITHUB_SHA": "bbbbbbbbbb", "GITHUB_REF": "refs/heads/topic", "GITHUB_EVENT_NAME": tc.event, "GITHUB_EVENT_PATH": event,
				"GITHUB_TOKEN": "tok", "GITHUB_STEP_SUMMARY": summary}
			if tc.change != nil {
				tc.change(s, env)
			}
			code, out, errOut := skyWith(t, env, "# Report\n\n@ann: 0.9\n", append([]string{"comment", "create", "-"}, tc.args...)...)
			if code != tc.code || !strings.Contains(out, tc.stdout) || !strings.Contains(errOut, tc.stderr) || strings.Contains(out+errOut, "hunter22") {
				t.Fatalf("ended with %d\n%s\n%s", code, out, errOut)
			}
			there := s.Comments()
			if tc.place == "" {
				if len(there) != 0 {
					t.Errorf("%+v", there)
				}
				if got, _ := os.ReadFile(summary); code == 0 && !strings.Contains(string(got), "0.9") {
					t.Errorf("summary: %s", got)
				}
				return
			}
			if len(there) != 1 || there[0].Place != tc.place || !strings.Contains(there[0].Body, tc.body) {
				t.Errorf("%+v", there)
			}
		})
	}
}
