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

// TestGitLabRun is what a job of GitLab's does in one run, after `sky test`: the reports that GitLab reads, the note on the
// merge request and the commit's status.
func TestGitLabRun(t *testing.T) {
	t.Parallel()
	s := &forgetest.Server{Kind: forge.GitLab, Token: "tok", User: "me"}
	web := httptest.NewServer(s)
	t.Cleanup(web.Close)
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	for name, text := range map[string]string{"metrics.txt": "accuracy: 0.9\n", "report.json": failedSuite} {
		if err := os.WriteFile(file(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	env := map[string]string{"GITLAB_CI": "true", "CI_API_V4_URL": web.URL + "/api/v4", "CI_SERVER_URL": web.URL, "CI_PROJECT_PATH": "acme/model", "CI_COMMIT_SHA": "made",
		"CI_MERGE_REQUEST_SOURCE_BRANCH_SHA": "bbbbbbbbbb", "CI_MERGE_REQUEST_IID": "7", "CI_PIPELINE_ID": "5", "CI_JOB_ID": "9", "CI_JOB_NAME": "fit", "REPO_TOKEN": "tok"}
	for _, args := range [][]string{
		{"ci", "check", "--state", "running"},
		{"report", "render", file("report.json"), "--metrics", file("metrics.txt"), "--out", file("report.md"), "--codequality", file("quality.json"), "--openmetrics", file("metrics.om")},
		{"comment", "create", file("report.md")},
		{"ci", "check", file("report.json")},
	} {
		if code, out, errOut := skyWith(t, env, "", args...); code != 0 {
			t.Fatalf("%v ended with %d\n%s\n%s", args, code, out, errOut)
		}
	}
	for name, want := range map[string]string{"quality.json": `"severity": "critical"`, "metrics.om": "accuracy 0.9\n# EOF\n"} {
		if got, err := os.ReadFile(file(name)); err != nil || !strings.Contains(string(got), want) {
			t.Errorf("%s: %v\n%s", name, err, got)
		}
	}
	if c := s.Comments(); len(c) != 1 || c[0].Place != "merge_requests/7" || !strings.Contains(c[0].Body, "gate") {
		t.Errorf("%+v", c)
	}
	if st := s.Statuses(); len(st) != 2 || st[0].State != "running" || st[1].State != "failed" || st[1].SHA != "bbbbbbbbbb" {
		t.Errorf("%+v", st)
	}
}
