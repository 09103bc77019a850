package main

import (
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"aloft/controller/forge"
	"aloft/controller/forge/forgetest"
)

// TestEventTargets comments in a run of each kind of event, with payloads as GitHub sends them, and looks where the report
// ends up; and which commit a check is of.
func TestEventTargets(t *testing.T) {
	t.Parallel()
	const (
		head   = "ec26c3e57ca3a959ca5aad62de7213c562f8c821"
		forked = "5779607b49aab1200488439f02372c57b4f75444"
		made   = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" // what Actions calls the run's commit
	)
	topic := []forgetest.Pull{{Number: 2, SHA: head, Owner: "acme", Branch: "changes"}}
	of := func(sha string) []forgetest.Pull {
		return []forgetest.Pull{{Number: 9, SHA: sha, Owner: "acme", Branch: "other"}, {Number: 5, SHA: sha, Owner: "acme", Branch: "topic"}}
	}
	for _, tc := range []struct {
		event, file, ref string
		pulls            []forgetest.Pull
		flags            string
		place, check     string // "" = the job summary; the commit of a check
	}{
		{"push", "push", "refs/heads/master", nil, "", "", made},
		{"push", "push", "refs/heads/topic", of(made), "", "issues/5", made},
		{"push", "push_tag", "refs/tags/simple-tag", nil, "", "", made},
		{"pull_request", "pull_request", "refs/pull/2/merge", topic, "", "issues/2", head},
		{"pull_request", "pull_request_fork", "refs/pull/2/merge", topic, "", "issues/2", head},
		{"pull_request_target", "pull_request_fork", "refs/heads/master", topic, "", "issues/2", head},
		{"issue_comment", "issue_comment_pull", "refs/heads/master", topic, "", "issues/2", head},
		{"issue_comment", "issue_comment", "refs/heads/master", nil, "", "", made},
		{"workflow_run", "workflow_run", "refs/heads/master", topic, "", "issues/2", head},
		{"workflow_run", "workflow_run_fork", "refs/heads/master", []forgetest.Pull{{Number: 6, SHA: forked, Owner: "octo-org", Branch: "main"}}, "", "issues/6", forked},
		{"merge_group", "merge_group", "refs/heads/gh-readonly-queue/main/pr-104-929f8209d40f77f4abc622a499c93a83babdbe64", nil, "", "issues/104", made},
		{"workflow_dispatch", "workflow_dispatch", "refs/heads/main", nil, "", "", made},
		{"schedule", "schedule", "refs/heads/master", of(made), "", "", made},
		{"release", "release", "refs/tags/v1", nil, "", "", made},
		// What is given counts, whatever the event says.
		{"pull_request", "pull_request", "refs/pull/2/merge", topic, "--pr 8", "issues/8", ""},
		{"pull_request", "pull_request", "refs/pull/2/merge", topic, "--issue 3", "issues/3", ""},
		{"pull_request", "pull_request", "refs/pull/2/merge", of(forked), "--sha " + forked, "issues/9", ""},
		{"pull_request", "pull_request", "refs/pull/2/merge", topic, "--commit-sha " + forked, "commits/" + forked, ""},
		{"schedule", "schedule", "refs/heads/master", nil, "--pr 8 --repo acme/model", "issues/8", ""},
	} {
		t.Run(tc.event+" "+tc.file+" "+tc.flags, func(t *testing.T) {
			t.Parallel()
			s := &forgetest.Server{Kind: forge.GitHub, Token: "tok", User: "me", Pulls: tc.pulls}
			web := httptest.NewServer(s)
			t.Cleanup(web.Close)
			summary := filepath.Join(t.TempDir(), "summary.md")
			env := map[string]string{"GITHUB_ACTIONS": "true", "GITHUB_API_URL": web.URL, "GITHUB_SERVER_URL": web.URL, "GITHUB_REPOSITORY": "acme/model", "GITHUB_RUN_ID": "900",
				"GITHUB_RUN_ATTEMPT": "1", "GITHUB_SHA": made, "GITHUB_REF": tc.ref, "GITHUB_EVENT_NAME": tc.event, "GITHUB_TOKEN": "tok", "GITHUB_STEP_SUMMARY": summary,
				"GITHUB_EVENT_PATH": filepath.Join("..", "..", "controller", "forge", "cienv", "testdata", "events", tc.file+".json")}
			if tc.ref == "refs/pull/2/merge" {
				env["GITHUB_HEAD_REF"] = "changes"
			}
			code, out, errOut := skyWith(t, env, "# Report\n", append([]string{"comment", "create", "-"}, strings.Fields(tc.flags)...)...)
			if code != 0 {
				t.Fatalf("ended with %d\n%s\n%s", code, out, errOut)
			}
			there := s.Comments()
			_, err := os.Stat(summary)
			switch {
			case tc.place == "" && (len(there) > 0 || err != nil):
				t.Errorf("not in the summary: %+v, %v", there, err)
			case tc.place != "" && (len(there) != 1 || there[0].Place != tc.place):
				t.Errorf("%+v, want %s", there, tc.place)
			}
			if tc.check == "" {
				return
			}
			if code, out, errOut := skyWith(t, env, "", "ci", "check", "--state", "success"); code != 0 {
				t.Fatalf("ended with %d\n%s\n%s", code, out, errOut)
			}
			if c := s.Checks(); len(c) != 1 || c[0].SHA != tc.check {
				t.Errorf("%+v, want one of %s", c, tc.check)
			}
			for _, b := range s.Breaches {
				t.Error(b)
			}
		})
	}
}
