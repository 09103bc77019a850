package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// TestCIInit: what is printed is YAML, has actions by commit alone, and pastes no expression into a shell.
func TestCIInit(t *testing.T) {
	t.Parallel()
	digest := strings.Repeat("0a", 32)
	for _, x := range []struct {
		name string
		args []string
	}{
		{"github", []string{"github"}}, {"gitlab", []string{"gitlab"}}, {"bitbucket", []string{"bitbucket"}},
		{"github_given", []string{"github", "--task", "it's $HOME.yaml", "--url", "https://x.example/sky?a=b", "--sha256", digest}},
		{"gitlab_given", []string{"gitlab", "--task", "it's $HOME.yaml", "--url", "https://x.example/sky", "--sha256", digest}},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			code, out, errOut := skyWith(t, nil, "", append([]string{"ci", "init", "--dry-run"}, x.args...)...)
			if code != 0 {
				t.Fatalf("exit code %d: %s", code, errOut)
			}
			golden(t, filepath.Join("..", "cmd", "sky", "testdata", "ciinit", x.name+".txt"), out)
			for _, doc := range regexp.MustCompile(`(?m)^# \.github/.*$`).Split(out, -1) {
				var v map[string]any
				if err := yaml.Unmarshal([]byte(doc), &v); err != nil {
					t.Fatal(err)
				}
				noExpressionInShell(t, v)
			}
			for _, m := range regexp.MustCompile(`\buses: (\S+)`).FindAllStringSubmatch(out, -1) {
				if !regexp.MustCompile(`@[0-9a-f]{40}$`).MatchString(m[1]) {
					t.Errorf("%s is not pinned by commit", m[1])
				}
			}
		})
	}
}

// noExpressionInShell fails for `run` texts with ${{ }} in them.
func noExpressionInShell(t *testing.T, v any) {
	t.Helper()
	switch v := v.(type) {
	case map[string]any:
		for k, w := range v {
			if s, ok := w.(string); ok && k == "run" && strings.Contains(s, "${{") {
				t.Errorf("an expression in a shell: %s", s)
			}
			noExpressionInShell(t, w)
		}
	case []any:
		for _, w := range v {
			noExpressionInShell(t, w)
		}
	}
}

// TestActionIsSafe: the action pins what it uses and hands inputs over by the environment.
func TestActionIsSafe(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("../../action.yml")
	if err != nil {
		t.Fatal(err)
	}
	var v map[string]any
	if err := yaml.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	noExpressionInShell(t, v)
	for _, m := range regexp.MustCompile(`\buses: (\S+)`).FindAllStringSubmatch(string(b), -1) {
		if !regexp.MustCompile(`@[0-9a-f]{40}$`).MatchString(m[1]) {
			t.Errorf("%s is not pinned by commit", m[1])
		}
	}
}

func TestCIInitRefuses(t *testing.T) {
	t.Parallel()
	for _, x := range []struct{ args, want string }{
		{"jenkins", "allowed: github, gitlab, bitbucket"}, {"github --task -x", "--task"}, {"github --task ${{a}}", "--task"},
		{"github --url http://x/sky", "https"}, {"github --sha256 abc", "64 hexadecimal"}, {"bitbucket --task a:b", "--task"},
	} {
		code, _, errOut := skyWith(t, nil, "", append([]string{"ci", "init", "--dry-run"}, strings.Fields(x.args)...)...)
		if code == 0 || !strings.Contains(errOut, x.want) {
			t.Errorf("%s: exit code %d, %q", x.args, code, errOut)
		}
	}
}

func TestCIPolicy(t *testing.T) {
	t.Parallel()
	const u1, u2 = "11111111-1111-1111-1111-111111111111", "22222222-2222-2222-2222-222222222222"
	for _, x := range []struct{ name, args string }{
		{"aws_github", "aws --repo acme/model --branch main --owner-id 17 --repo-id 4711"},
		{"aws_github_noids", "aws --repo acme/model --pull-request"},
		{"aws_gitlab", "aws --provider gitlab --repo acme/ml/model --branch main"},
		{"aws_bitbucket", "aws --provider bitbucket --repo acme/model --repo-id " + u1 + " --workspace-id " + u2},
		{"gcp_github", "gcp --repo acme/model --environment production --repo-id 4711"},
		{"gcp_gitlab", "gcp --provider gitlab --url https://git.example.com --repo acme/model --branch main"},
		{"gcp_bitbucket", "gcp --provider bitbucket --repo acme/model --repo-id " + u1 + " --workspace-id " + u2 + " --environment " + u2},
		{"azure_github", "azure --repo acme/model --environment a:b"},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			code, out, errOut := skyWith(t, nil, "", append([]string{"ci", "oidc-policy"}, strings.Fields(x.args)...)...)
			if code != 0 {
				t.Fatalf("exit code %d: %s", code, errOut)
			}
			golden(t, filepath.Join("..", "cmd", "sky", "testdata", "cioidc", x.name+".sh"), out)
			for _, doc := range regexp.MustCompile(`(?s)\.json <<'END'\n(.*?)\nEND\n`).FindAllStringSubmatch(out, -1) {
				if !json.Valid([]byte(doc[1])) {
					t.Errorf("not JSON: %s", doc[1])
				}
			}
			if strings.Contains(x.name, "aws") { // the same policy as the documents have
				want, err := os.ReadFile("../../docs/aws-policy.json")
				if err != nil {
					t.Fatal(err)
				}
				if !strings.Contains(out, string(want)) {
					t.Error("the policy is not that of docs/aws-policy.json")
				}
			}
		})
	}
	for _, x := range []struct{ args, want string }{
		{"aws --repo acme/model", "one of --branch"}, {"aws --repo acme --branch b", "OWNER/NAME"}, {"aws --repo acme/model --branch *", "wildcards"},
		{"aws --repo acme/model --branch a'b", "wildcards"}, {"aws --repo acme/model --branch a --pull-request", "one of"}, {"ibm --repo a/b --branch c", "allowed: aws"},
		{"aws --provider gitlab --repo a/b --pull-request", "--branch"}, {"aws --provider bitbucket --repo a/b", "--repo-id"},
		{"azure --provider bitbucket --repo a/b --repo-id " + u1 + " --workspace-id " + u2, "subject"},
	} {
		code, _, errOut := skyWith(t, nil, "", append([]string{"ci", "oidc-policy"}, strings.Fields(x.args)...)...)
		if code != exitUsage || !strings.Contains(errOut, x.want) {
			t.Errorf("%s: exit code %d, %q", x.args, code, errOut)
		}
	}
}

func TestCIMatrix(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "task.yaml")
	if err := os.WriteFile(file, []byte("envs: {LR: '1', DEPTH: '2'}\nrun: 'true'\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	many := "1"
	for i := range 16 {
		many += "," + strings.Repeat("x", i+1)
	}
	for _, x := range []struct {
		vars      []string
		want, err string
	}{
		{[]string{"LR=0.1,1/2", "DEPTH=3"}, `{"include":[{"DEPTH":"3","LR":"0.1","leg":"LR-0.1_DEPTH-3"},{"DEPTH":"3","LR":"1/2","leg":"LR-1-2_DEPTH-3"}]}`, ""},
		{[]string{"LR=a/b,a-b"}, `{"include":[{"LR":"a/b","leg":"LR-a-b"},{"LR":"a-b","leg":"LR-a-b_2"}]}`, ""},
		{nil, "", "--var"}, {[]string{"X=1"}, "", "no such variable"}, {[]string{"LR=1,1"}, "", "twice"}, {[]string{"LR"}, "", "NAME=VALUE"},
		{[]string{"LR=" + many, "DEPTH=" + many}, "", "256"},
	} {
		args := []string{"ci", "matrix", file}
		for _, v := range x.vars {
			args = append(args, "--var", v)
		}
		code, out, errOut := skyWith(t, nil, "", args...)
		if x.err != "" {
			if code == 0 || !strings.Contains(errOut, x.err) {
				t.Errorf("%v: exit code %d, %q", x.vars, code, errOut)
			}
			continue
		}
		if strings.TrimSpace(out) != x.want {
			t.Errorf("%v: %s%s", x.vars, out, errOut)
		}
	}
}

// TestCIExamples: the workflows of examples/ci are what `sky ci init` writes.
func TestCIExamples(t *testing.T) {
	t.Parallel()
	for system, files := range map[string][]string{
		"github": {"github/sky.yml", "github/sky-report.yml"}, "gitlab": {"gitlab/gitlab-ci.yml"}, "bitbucket": {"bitbucket/bitbucket-pipelines.yml"},
	} {
		_, out, errOut := skyWith(t, nil, "", "ci", "init", system, "--dry-run", "--task", "examples/ci/task.yaml")
		for _, f := range files {
			b, err := os.ReadFile(filepath.Join("..", "..", "examples", "ci", f))
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(out, string(b)) {
				t.Errorf("examples/ci/%s is not what sky ci init %s writes%s", f, system, errOut)
			}
		}
	}
}
