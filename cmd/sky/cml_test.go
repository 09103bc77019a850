package main

import (
	"bytes"
	"context"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"aloft/controller/forge"
	"aloft/controller/forge/forgetest"
)

// TestCML: workflows that call cml go on as they are.
func TestCML(t *testing.T) {
	t.Parallel()
	const mark = "![](https://cml.dev/watermark.png#abc \"CML watermark \")"
	for _, x := range []struct {
		name    string
		kind    forge.Kind
		program string
		args    []string
		env     map[string]string
		before  func(s *forgetest.Server)
		code    int
		stderr  string
		check   func(t *testing.T, s *forgetest.Server)
	}{
		{"comment create posts one more", forge.GitHub, "cml", []string{"comment", "create", "REPORT"}, nil, func(s *forgetest.Server) { s.Add("issues/7", "me", false, "old") }, 0, "", func(t *testing.T, s *forgetest.Server) {
			if mine := s.By("me"); len(mine) != 2 || !strings.Contains(mine[1].Body, "@ann") {
				t.Errorf("%+v", mine)
			}
		}},
		{"comment update takes over CML's", forge.GitHub, "cml", []string{"comment", "update", "REPORT"}, nil, func(s *forgetest.Server) { s.Add("issues/7", "me", false, "old\n\n"+mark) }, 0, "", func(t *testing.T, s *forgetest.Server) {
			if mine := s.By("me"); len(mine) != 1 || !strings.Contains(mine[0].Body, "accuracy") || strings.Contains(mine[0].Body, "cml.dev") {
				t.Errorf("%+v", mine)
			}
		}},
		{"short form", forge.GitHub, "/usr/bin/cml", []string{"comment", "REPORT"}, nil, nil, 0, "", one},
		{"send-comment", forge.GitHub, "cml-send-comment", []string{"--update", "REPORT"}, nil, nil, 0, "", one},
		{"flags by environment", forge.GitHub, "cml", []string{"send-comment", "REPORT"}, map[string]string{"CML_SEND_COMMENT_TARGET": "issue/3", "CML_COMMENT_UPDATE": "true"}, nil, 0, "", func(t *testing.T, s *forgetest.Server) {
			if mine := s.By("me"); len(mine) != 1 || mine[0].Place != "issues/3" {
				t.Errorf("%+v", mine)
			}
		}},
		{"token by environment", forge.GitHub, "cml", []string{"comment", "update", "REPORT"}, map[string]string{"GITHUB_TOKEN": "", "CML_TOKEN": "tok"}, nil, 0, "", one},
		{"bad value in the environment", forge.GitHub, "cml", []string{"comment", "update", "REPORT"}, map[string]string{"CML_COMMENT_PUBLISH": "maybe"}, nil, exitUsage, "CML_COMMENT_PUBLISH", nil},
		{"unmarked updates", forge.GitHub, "cml", []string{"comment", "update", "REPORT", "--rm-watermark"}, nil, nil, exitUsage, "watermarks are mandatory", nil},
		{"pictures on GitHub", forge.GitHub, "cml", []string{"comment", "create", "REPORT"}, nil, nil, 0, "takes no pictures", func(t *testing.T, s *forgetest.Server) {
			if mine := s.By("me"); len(mine) != 1 || !strings.Contains(mine[0].Body, "(the picture plot is among the files of the run)") || !strings.Contains(mine[0].Body, "the picture gone.png is missing") {
				t.Errorf("%+v", mine)
			}
		}},
		{"pictures on GitLab", forge.GitLab, "cml", []string{"comment", "create", "REPORT", "--publish-url", "https://asset.cml.dev"}, nil, nil, 0, "go to nobody", func(t *testing.T, s *forgetest.Server) {
			if mine := s.By("me"); len(mine) != 1 || !strings.Contains(mine[0].Body, "/-/project/1/uploads/1/plot.png)") || len(s.Uploads) != 1 {
				t.Errorf("%+v %v", mine, s.Uploads)
			}
		}},
		{"check", forge.GitHub, "cml", []string{"check", "create", "REPORT", "--conclusion", "timed_out", "--title", "T"}, nil, nil, 0, "", func(t *testing.T, s *forgetest.Server) {
			if c := s.Checks(); len(c) != 1 || c[0].Conclusion != "failure" || c[0].Title != "T" || !strings.Contains(c[0].Summary, "accuracy") {
				t.Errorf("%+v", c)
			}
		}},
		{"check, bad conclusion", forge.GitHub, "cml", []string{"check", "create", "REPORT", "--conclusion", "passed"}, nil, nil, exitUsage, "allowed: success", nil},
		{"rerun", forge.GitHub, "cml", []string{"workflow", "rerun"}, nil, nil, 0, "", rerun("/repos/acme/model/actions/runs/900/rerun")},
		{"rerun by id", forge.GitHub, "cml", []string{"rerun-workflow", "--id", "5"}, nil, nil, 0, "", rerun("/repos/acme/model/actions/runs/5/rerun")},
		{"rerun on GitLab", forge.GitLab, "cml", []string{"workflow", "rerun"}, nil, nil, 0, "", rerun("/projects/acme%2Fmodel/pipelines/55/retry")},
		{"publish", forge.GitLab, "cml", []string{"asset", "publish", "PLOT", "--md"}, nil, nil, 0, "", func(t *testing.T, s *forgetest.Server) {
			if len(s.Uploads) != 1 || s.Uploads[0] != "plot.png" {
				t.Errorf("%v", s.Uploads)
			}
		}},
		{"publish on GitHub", forge.GitHub, "cml", []string{"publish", "PLOT"}, nil, nil, exitUsage, "takes no files", nil},
		{"unknown command", forge.GitHub, "cml", []string{"coment"}, nil, nil, exitUsage, "did you mean", nil},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			s := &forgetest.Server{Kind: x.kind, Token: "tok", User: "me"}
			if x.before != nil {
				x.before(s)
			}
			web := httptest.NewServer(s)
			t.Cleanup(web.Close)
			dir := t.TempDir()
			file := func(name, text string) string {
				path := filepath.Join(dir, name)
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
				return path
			}
			report, plot := file("report.md", "# Report\n\n@ann accuracy 0.9\n\n![plot](plot.png) ![](gone.png)\n"), file("plot.png", "\x89PNG")
			event := file("event.json", `{"number":7,"pull_request":{"number":7,"head":{"sha":"aaaaaaaaaa","ref":"topic","repo":{"full_name":"acme/model"}}}}`)
			env := map[string]string{"GITHUB_ACTIONS": "true", "GITHUB_API_URL": web.URL, "GITHUB_SERVER_URL": web.URL, "GITHUB_REPOSITORY": "acme/model", "GITHUB_RUN_ID": "900",
				"GITHUB_SHA": "bbbbbbbbbb", "GITHUB_EVENT_NAME": "pull_request", "GITHUB_EVENT_PATH": event, "GITHUB_TOKEN": "tok"}
			if x.kind == forge.GitLab {
				env = map[string]string{"GITLAB_CI": "true", "CI_PROJECT_PATH": "acme/model", "CI_COMMIT_SHA": "bbbbbbbbbb", "CI_MERGE_REQUEST_IID": "7", "CI_PIPELINE_ID": "55", "CI_SERVER_URL": web.URL,
					"CI_API_V4_URL": web.URL + "/api/v4", "REPO_TOKEN": "tok"}
			}
			for k, v := range x.env {
				env[k] = v
			}
			var args []string
			for _, arg := range x.args {
				args = append(args, strings.NewReplacer("REPORT", report, "PLOT", plot).Replace(arg))
			}
			code, out, errOut := skyWith(t, env, "", cmlArgs(x.program, args)...)
			if code != x.code || !strings.Contains(errOut, x.stderr) {
				t.Fatalf("ended with %d\n%s\n%s", code, out, errOut)
			}
			for _, b := range s.Breaches {
				t.Error(b)
			}
			if x.check != nil {
				x.check(t, s)
			}
		})
	}
}

func one(t *testing.T, s *forgetest.Server) {
	if mine := s.By("me"); len(mine) != 1 || !strings.Contains(mine[0].Body, "accuracy") {
		t.Errorf("%+v", mine)
	}
}

func rerun(path string) func(*testing.T, *forgetest.Server) {
	return func(t *testing.T, s *forgetest.Server) {
		if len(s.Reruns) != 1 || s.Reruns[0] != path {
			t.Errorf("%v, want %s", s.Reruns, path)
		}
	}
}

// TestCMLPrepare leaves git's global configuration and the remote's address alone.
func TestCMLPrepare(t *testing.T) {
	dir := t.TempDir()
	global := filepath.Join(dir, "gitconfig")
	t.Setenv("GIT_CONFIG_GLOBAL", global)
	repo := filepath.Join(dir, "repo")
	git := func(args ...string) string {
		t.Helper()
		cmd := exec.Command("git", append([]string{"-C", repo}, args...)...)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	if out, err := exec.Command("git", "init", "-q", repo).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	git("remote", "add", "origin", "https://github.com/acme/model")
	t.Chdir(repo)
	var out, errOut bytes.Buffer
	a := &app{in: strings.NewReader(""), out: &out, errOut: &errOut, width: 100, home: dir, getenv: func(k string) (string, bool) {
		return "tok", k == "REPO_TOKEN"
	}}
	root := newRoot(a)
	root.SetArgs(cmlArgs("cml", []string{"repo", "prepare", "--user-name", "bot", "--unshallow"}))
	if err := root.ExecuteContext(context.Background()); err != nil {
		t.Fatal(err)
	}
	if git("config", "user.name") != "bot" || git("remote", "get-url", "origin") != "https://github.com/acme/model" {
		t.Errorf("name %q, remote %q", git("config", "user.name"), git("remote", "get-url", "origin"))
	}
	if _, err := os.Stat(global); err == nil {
		t.Error("git's global configuration was written")
	}
}
