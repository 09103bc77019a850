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

const failedSuite = `{"format":1,"suite":"gate","passed":false,"checks":[{"check":"drift","name":"Drift","header":"Drift","status":"ok","conditions":[
 {"name":"below 0.2","category":"FAIL","details":"@ann found 0.4"},{"name":"w","category":"WARN","details":""},{"name":"p","category":"PASS","details":""}]}]}`

func TestCICheck(t *testing.T) {
	t.Parallel()
	github := map[string]string{"GITHUB_ACTIONS": "true", "GITHUB_REPOSITORY": "acme/model", "GITHUB_WORKFLOW": "train", "GITHUB_JOB": "fit", "GITHUB_RUN_ID": "900",
		"GITHUB_RUN_ATTEMPT": "1", "GITHUB_SHA": "bbbbbbbbbb", "GITHUB_EVENT_NAME": "push", "GITHUB_TOKEN": "tok"}
	gitlab := map[string]string{"GITLAB_CI": "true", "CI_PROJECT_PATH": "acme/model", "CI_COMMIT_SHA": "bbbbbbbbbb", "CI_JOB_NAME": "fit", "REPO_TOKEN": "tok"}
	bitbucket := map[string]string{"BITBUCKET_BUILD_NUMBER": "3", "BITBUCKET_REPO_FULL_NAME": "acme/model", "BITBUCKET_COMMIT": "bbbbbbbbbb"}
	noChecks := func(s *forgetest.Server) { s.NoChecks = true }
	readOnly := func(s *forgetest.Server) { s.ReadOnly = true }
	for _, x := range []struct {
		name           string
		kind           forge.Kind
		env            map[string]string
		server         func(*forgetest.Server)
		args           []string
		code           int
		stdout, stderr string
		check, status  string // conclusion or state
		annotations    int
	}{
		{"running", forge.GitHub, github, nil, []string{"--state", "running"}, 0, "/runs/1", "", "in_progress", "", 0},
		{"failed suite", forge.GitHub, github, nil, []string{"REPORT", "-o", "json"}, 0, `"kind": "check"`, "", "failure", "", 2},
		{"no app", forge.GitHub, github, noChecks, []string{"REPORT"}, 0, "", "checks: write", "", "failure", 0},
		{"no app, a check is wanted", forge.GitHub, github, noChecks, []string{"REPORT", "--as", "check"}, exitNotPosted, "", "app's", "", "", 0},
		{"status", forge.GitHub, github, nil, []string{"--state", "cancelled", "--as", "status"}, 0, "", "", "", "error", 0},
		{"read only", forge.GitHub, github, readOnly, []string{"REPORT"}, exitNotPosted, "", "statuses: write", "", "", 0},
		{"gitlab", forge.GitLab, gitlab, nil, []string{"REPORT"}, 0, "", "", "", "failed", 0},
		{"gitlab has no checks", forge.GitLab, gitlab, nil, []string{"REPORT", "--as", "check"}, exitNotPosted, "", "--as status", "", "", 0},
		{"bitbucket, through the proxy of Pipelines", forge.Bitbucket, bitbucket, func(s *forgetest.Server) { s.Token = "" }, []string{"REPORT"}, 0, "", "", "FAILED", "", 2},
		{"nothing", forge.GitHub, github, nil, nil, exitUsage, "", "--state", "", "", 0},
		{"bad state", forge.GitHub, github, nil, []string{"--state", "done"}, exitUsage, "", "allowed: pending", "", "", 0},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			s := &forgetest.Server{Kind: x.kind, Token: "tok", User: "me"}
			if x.server != nil {
				x.server(s)
			}
			web := httptest.NewServer(s)
			t.Cleanup(web.Close)
			env := map[string]string{"GITHUB_API_URL": web.URL, "GITHUB_SERVER_URL": web.URL, "CI_API_V4_URL": web.URL + "/api/v4", "CI_SERVER_URL": web.URL, "ALOFT_BITBUCKET_PROXY": web.URL}
			for k, v := range x.env {
				env[k] = v
			}
			report := filepath.Join(t.TempDir(), "report.json")
			if err := os.WriteFile(report, []byte(failedSuite), 0o600); err != nil {
				t.Fatal(err)
			}
			args := []string{"ci", "check"}
			for _, arg := range x.args {
				args = append(args, strings.Replace(arg, "REPORT", report, 1))
			}
			code, out, errOut := skyWith(t, env, "", args...)
			if code != x.code || !strings.Contains(out, x.stdout) || !strings.Contains(errOut, x.stderr) {
				t.Fatalf("ended with %d\n%s\n%s", code, out, errOut)
			}
			for _, b := range s.Breaches {
				t.Error(b)
			}
			checks, statuses := s.Checks(), s.Statuses()
			switch {
			case x.check == "" && len(checks) > 0:
				t.Errorf("checks: %+v", checks)
			case x.check != "" && (len(checks) != 1 || checks[0].Conclusion != x.check && checks[0].Status != x.check || len(checks[0].Annotations) != x.annotations || strings.Contains(checks[0].Summary, "@ann")):
				t.Errorf("checks: %+v", checks)
			}
			switch {
			case x.status == "" && len(statuses) > 0:
				t.Errorf("statuses: %+v", statuses)
			case x.status != "" && (len(statuses) != 1 || statuses[0].State != x.status || statuses[0].SHA != "bbbbbbbbbb"):
				t.Errorf("statuses: %+v", statuses)
			}
		})
	}
}

func TestReportFormats(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	report := filepath.Join(dir, "report.json")
	if err := os.WriteFile(report, []byte(failedSuite), 0o600); err != nil {
		t.Fatal(err)
	}
	metrics := filepath.Join(dir, "metrics.txt")
	if err := os.WriteFile(metrics, []byte("accuracy: 0.9\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	file := func(name string) string { return filepath.Join(dir, name) }
	code, out, errOut := skyWith(t, nil, "", "report", "render", dir, "--out", file("r.md"), "--sarif", file("r.sarif"), "--codequality", file("q.json"), "--openmetrics", file("m.txt"), "--annotate")
	if code != 0 || !strings.HasPrefix(out, "::error file=suite.yaml,line=1,title=Drift::below 0.2%0A@ann found 0.4\n::warning ") {
		t.Fatalf("ended with %d\n%s\n%s", code, out, errOut)
	}
	for name, want := range map[string]string{"r.md": "## ❌ gate", "r.sarif": `"ruleId": "drift"`, "q.json": `"severity": "critical"`, "m.txt": "accuracy 0.9\n# EOF\n"} {
		if got, err := os.ReadFile(file(name)); err != nil || !strings.Contains(string(got), want) {
			t.Errorf("%s: %v\n%s", name, err, got)
		}
	}
	if code, _, errOut := skyWith(t, nil, "", "report", "render", report, "--sarif", filepath.Join(dir, "none", "x")); code != exitFailure || !strings.Contains(errOut, "none") {
		t.Errorf("ended with %d\n%s", code, errOut)
	}
}
