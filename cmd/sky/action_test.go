package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.yaml.in/yaml/v3"

	"aloft/controller/forge"
	"aloft/controller/forge/forgetest"
)

// release is a server with the files of a release of sky.
type release struct {
	*httptest.Server
	sums string // the digest of SHA256SUMS

	mu    sync.Mutex
	files map[string][]byte
	asked []string
}

func digestOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// releaseFile is the name of this machine's binary.
func releaseFile(t *testing.T) string {
	t.Helper()
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" && runtime.GOARCH != "arm64" {
		t.Skip("SKIPPED: the action is tried on Linux")
	}
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("SKIPPED: there is no curl")
	}
	return "sky-linux-" + runtime.GOARCH
}

func newRelease(t *testing.T, binary []byte) *release {
	t.Helper()
	name := releaseFile(t)
	sums := []byte(digestOf([]byte("another")) + "  sky-darwin-arm64\n" + digestOf(binary) + "  " + name + "\n")
	r := &release{files: map[string][]byte{"SHA256SUMS": sums, name: binary}, sums: digestOf(sums)}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		r.mu.Lock()
		defer r.mu.Unlock()
		name := strings.TrimPrefix(q.URL.Path, "/")
		r.asked = append(r.asked, name)
		b, ok := r.files[name]
		if !ok {
			http.NotFound(w, q)
			return
		}
		_, _ = w.Write(b)
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *release) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := r.asked
	r.asked = nil
	return out
}

// TestActionInstall: the script of the action takes the release whose digests it was given, from the server or what was kept,
// and nothing else.
func TestActionInstall(t *testing.T) {
	t.Parallel()
	script, err := filepath.Abs("../../.ci/action/install")
	if err != nil {
		t.Fatal(err)
	}
	good := []byte("#!/bin/sh\necho sky 1.2.3\n")
	r := newRelease(t, good)
	name := releaseFile(t)
	temp := t.TempDir()
	install := func(temp string, more ...string) (int, string) {
		cmd := exec.Command("bash", script)
		cmd.Dir = t.TempDir()
		cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "RUNNER_TEMP=" + temp, "GITHUB_PATH=" + filepath.Join(temp, "path"), "ACTION_REPOSITORY=acme/aloft",
			"SKY_VERSION=1.2.3", "SKY_SUMS_SHA256=" + r.sums, "SKY_BASE_URL=" + r.URL}, more...)
		out, err := cmd.CombinedOutput()
		var ee *exec.ExitError
		if err != nil && !errors.As(err, &ee) {
			t.Fatal(err)
		}
		return cmd.ProcessState.ExitCode(), string(out)
	}
	binary := filepath.Join(temp, "sky-1.2.3", name)
	if code, out := install(temp); code != 0 || !strings.Contains(out, "sky 1.2.3") || !slices.Equal(r.take(), []string{"SHA256SUMS", name}) {
		t.Fatalf("ended with %d: %s", code, out)
	}
	if path, _ := os.ReadFile(filepath.Join(temp, "path")); strings.TrimSpace(string(path)) != filepath.Join(temp, "sky-1.2.3", "bin") {
		t.Errorf("the path is %q", path)
	}
	if code, out := install(temp); code != 0 || len(r.take()) != 0 {
		t.Errorf("kept, and it was fetched again: %d %s", code, out)
	}
	if err := os.WriteFile(binary, []byte("#!/bin/sh\necho stranger\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if code, out := install(temp); code != 0 || strings.Contains(out, "stranger") || len(r.take()) != 2 {
		t.Errorf("what was kept had been changed: %d %s", code, out)
	}
	// A release that was changed on the server.
	r.mu.Lock()
	r.files[name] = []byte("#!/bin/sh\necho stranger\n")
	r.mu.Unlock()
	other := t.TempDir()
	if code, out := install(other); code == 0 || strings.Contains(out, "stranger\n") || !strings.Contains(out, "is not what SHA256SUMS says") {
		t.Errorf("another binary: %d %s", code, out)
	}
	if _, err := os.Stat(filepath.Join(other, "sky-1.2.3", name)); err == nil {
		t.Error("the other binary was kept")
	}
	r.mu.Lock()
	r.files["SHA256SUMS"] = []byte(digestOf(r.files[name]) + "  " + name + "\n")
	r.mu.Unlock()
	if code, out := install(t.TempDir()); code == 0 || !strings.Contains(out, "not the one given") {
		t.Errorf("other sums: %d %s", code, out)
	}
	r.mu.Lock()
	delete(r.files, name)
	r.mu.Unlock()
	for what, more := range map[string]string{"could not be had": "SKY_BASE_URL=" + r.URL, "the input version": "SKY_VERSION=1.2.3; rm -rf x", "the input sha256": "SKY_SUMS_SHA256="} {
		if code, out := install(t.TempDir(), more); code == 0 || !strings.Contains(out, what) {
			t.Errorf("%s: %d %s", more, code, out)
		}
	}
}

// composite runs the steps of a composite action as a runner does: inputs, expressions, conditions, outputs, the files by
// which steps tell things, and a cache. It is a small part of a runner's rules, those that action.yml makes use of.
type composite struct {
	t          *testing.T
	dir        string
	inputs     map[string]string
	github     map[string]string
	env        []string
	cache      map[string]string // key -> a directory that was kept
	outputs    map[string]map[string]string
	outcomes   map[string]string
	path       []string
	ran        []string // names of the steps that ran
	log        bytes.Buffer
	failed     bool
	runnerTemp string
}

type actionFile struct {
	Inputs  map[string]struct{ Default *string }
	Outputs map[string]struct{ Value string }
	Runs    struct {
		Using string
		Steps []struct {
			ID, Name, If, Shell, Run, Uses string
			Env, With                      map[string]string
		}
	}
}

// run runs the action and gives its outputs.
func (c *composite) run(a *actionFile) map[string]string {
	c.t.Helper()
	for name, in := range a.Inputs {
		if _, ok := c.inputs[name]; !ok && in.Default != nil {
			c.inputs[name] = c.fill(*in.Default)
		}
	}
	c.outputs, c.outcomes, c.failed = map[string]map[string]string{}, map[string]string{}, false
	keep := map[string]string{}
	for i, s := range a.Runs.Steps {
		if s.Run != "" && s.Shell != "bash" {
			c.t.Fatalf("the step %s has the shell %q", s.Name, s.Shell)
		}
		condition := s.If
		if condition == "" {
			condition = "${{ success() }}"
		}
		if v := c.fill(condition); v == "" || v == "false" {
			c.outcomes[s.ID] = "skipped"
			continue
		}
		c.ran = append(c.ran, s.Name)
		if strings.HasPrefix(s.Uses, "actions/cache@") {
			key, dir := c.fill(s.With["key"]), c.fill(s.With["path"])
			if kept, ok := c.cache[key]; ok {
				if err := os.CopyFS(dir, os.DirFS(kept)); err != nil {
					c.t.Fatal(err)
				}
			} else {
				keep[key] = dir
			}
			continue
		}
		if s.Uses != "" {
			c.t.Fatalf("the step %s uses %s", s.Name, s.Uses)
		}
		output, add := filepath.Join(c.runnerTemp, fmt.Sprint("output", i)), filepath.Join(c.runnerTemp, fmt.Sprint("path", i))
		script := filepath.Join(c.runnerTemp, fmt.Sprint("step", i, ".sh"))
		for _, f := range []string{output, add} {
			if err := os.WriteFile(f, nil, 0o600); err != nil {
				c.t.Fatal(err)
			}
		}
		if err := os.WriteFile(script, []byte(c.fill(s.Run)), 0o600); err != nil {
			c.t.Fatal(err)
		}
		cmd := exec.Command("bash", "--noprofile", "--norc", "-e", "-o", "pipefail", script)
		cmd.Dir = c.dir
		cmd.Env = append(slices.Clone(c.env), "PATH="+strings.Join(append(slices.Clone(c.path), "/usr/local/bin", "/usr/bin", "/bin"), ":"), "GITHUB_OUTPUT="+output, "GITHUB_PATH="+add, "RUNNER_TEMP="+c.runnerTemp)
		for k, v := range s.Env {
			cmd.Env = append(cmd.Env, k+"="+c.fill(v))
		}
		out, err := cmd.CombinedOutput()
		fmt.Fprintf(&c.log, "--- %s\n%s", s.Name, out)
		c.outcomes[s.ID] = "success"
		if err != nil {
			c.outcomes[s.ID], c.failed = "failure", true
			fmt.Fprintf(&c.log, "%v\n", err)
		}
		c.outputs[s.ID] = stepOutputs(c.t, output)
		if b, _ := os.ReadFile(add); len(b) > 0 {
			c.path = append(strings.Fields(string(b)), c.path...)
		}
	}
	if !c.failed {
		for key, dir := range keep {
			kept := filepath.Join(c.t.TempDir(), "kept")
			if err := os.CopyFS(kept, os.DirFS(dir)); err != nil {
				c.t.Fatal(err)
			}
			c.cache[key] = kept
		}
	}
	out := map[string]string{}
	for name, o := range a.Outputs {
		out[name] = c.fill(o.Value)
	}
	return out
}

// stepOutputs reads the file of a step's outputs: NAME=VALUE, or NAME<<DELIMITER and lines up to it.
func stepOutputs(t *testing.T, file string) map[string]string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	lines := strings.Split(string(b), "\n")
	for i := 0; i < len(lines); i++ {
		if name, end, ok := strings.Cut(lines[i], "<<"); ok && !strings.Contains(name, "=") {
			var value []string
			for i++; i < len(lines) && lines[i] != end; i++ {
				value = append(value, lines[i])
			}
			out[name] = strings.Join(value, "\n")
		} else if name, value, ok := strings.Cut(lines[i], "="); ok {
			out[name] = value
		}
	}
	return out
}

var (
	expression = regexp.MustCompile(`\$\{\{(.*?)\}\}`)
	token      = regexp.MustCompile(`'(?:[^']|'')*'|&&|\|\||==|!=|[A-Za-z_][A-Za-z0-9_.-]*(?:\(\))?|[()]`)
)

// fill puts the values of expressions in their places.
func (c *composite) fill(s string) string {
	return expression.ReplaceAllStringFunc(s, func(e string) string {
		body := strings.TrimSpace(e[3 : len(e)-2])
		p := &expressionParser{c: c, tokens: token.FindAllString(body, -1)}
		if strings.Join(strings.Fields(strings.Join(p.tokens, "")), "") != strings.Join(strings.Fields(body), "") {
			c.t.Fatalf("the expression %q is not understood", body)
		}
		v := p.or()
		if len(p.tokens) > 0 {
			c.t.Fatalf("the expression %q ends with %v", body, p.tokens)
		}
		return v
	})
}

// expressionParser works out an expression of GitHub's, of texts alone: "" and false are false.
type expressionParser struct {
	c      *composite
	tokens []string
}

func (p *expressionParser) next(want string) bool {
	if len(p.tokens) == 0 || p.tokens[0] != want {
		return false
	}
	p.tokens = p.tokens[1:]
	return true
}

func isTrue(v string) bool { return v != "" && v != "false" }

func (p *expressionParser) or() string {
	v := p.and()
	for p.next("||") {
		if w := p.and(); !isTrue(v) {
			v = w
		}
	}
	return v
}

func (p *expressionParser) and() string {
	v := p.equal()
	for p.next("&&") {
		if w := p.equal(); isTrue(v) {
			v = w
		}
	}
	return v
}

func (p *expressionParser) equal() string {
	v := p.value()
	switch {
	case p.next("=="):
		return fmt.Sprint(strings.EqualFold(v, p.value()))
	case p.next("!="):
		return fmt.Sprint(!strings.EqualFold(v, p.value()))
	}
	return v
}

func (p *expressionParser) value() string {
	if p.next("(") {
		v := p.or()
		if !p.next(")") {
			p.c.t.Fatal("an expression lacks )")
		}
		return v
	}
	if len(p.tokens) == 0 {
		p.c.t.Fatal("an expression lacks a value")
	}
	name := p.tokens[0]
	p.tokens = p.tokens[1:]
	parts := strings.Split(name, ".")
	switch {
	case name[0] == '\'':
		return strings.ReplaceAll(name[1:len(name)-1], "''", "'")
	case name == "always()":
		return "true"
	case name == "success()":
		return fmt.Sprint(!p.c.failed)
	case name == "failure()":
		return fmt.Sprint(p.c.failed)
	case parts[0] == "inputs" && len(parts) == 2:
		return p.c.inputs[parts[1]]
	case parts[0] == "github" && len(parts) == 2:
		return p.c.github[parts[1]]
	case parts[0] == "runner" && len(parts) == 2:
		return map[string]string{"temp": p.c.runnerTemp, "os": "Linux", "arch": map[string]string{"amd64": "X64", "arm64": "ARM64"}[runtime.GOARCH]}[parts[1]]
	case parts[0] == "steps" && len(parts) == 3 && parts[2] == "outcome":
		return p.c.outcomes[parts[1]]
	case parts[0] == "steps" && len(parts) == 4 && parts[2] == "outputs":
		return p.c.outputs[parts[1]][parts[3]]
	}
	p.c.t.Fatalf("the expression holds %q, which is not understood", name)
	return ""
}

// TestAction runs the whole action: it installs sky from a release, runs a task on the local provider, comments and sets the
// check on a forge; a task that fails is reported, and a release that is not the one that was meant runs nothing.
func TestAction(t *testing.T) {
	t.Parallel()
	releaseFile(t)
	b, err := os.ReadFile("../../action.yml")
	if err != nil {
		t.Fatal(err)
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	self, err := exec.LookPath("sky")
	if err != nil {
		t.Fatal(err)
	}
	binary, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	r := newRelease(t, binary)
	cache := map[string]string{}
	for _, tc := range []struct {
		name, run, sums string
		code            string // of the job
		fetched, ran    int
		failed          bool
		check           string
	}{
		{"a task that succeeds", "echo trained", r.sums, "0", 2, 5, false, "success"},
		{"kept from before, a task that fails", "exit 7", r.sums, "7", 0, 5, true, "failure"},
		{"another release", "echo trained", strings.Repeat("0", 64), "", 2, 2, true, ""},
	} {
		dir := t.TempDir()
		s := &forgetest.Server{Kind: forge.GitHub, Token: "tok", User: "me"}
		web := httptest.NewServer(s)
		home := filepath.Join(dir, "home", ".aloft")
		for name, text := range map[string]string{"task.yaml": "name: act\nsetup: echo ready\nrun: |\n  echo 'accuracy: 0.9' > metrics.txt\n  " + tc.run + "\nartifacts: [metrics.txt]\n",
			"event.json": `{"number":7,"pull_request":{"number":7,"head":{"sha":"bbbbbbbbbb","ref":"topic","repo":{"full_name":"acme/model"}}}}`} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		var a actionFile
		if err := yaml.Unmarshal(b, &a); err != nil || a.Runs.Using != "composite" {
			t.Fatalf("%v: %+v", err, a)
		}
		c := &composite{t: t, dir: dir, cache: cache, runnerTemp: t.TempDir(), inputs: map[string]string{"version": "1.2.3", "sha256": tc.sums, "base-url": r.URL, "args": "--infra\nlocal\n-c\nact"},
			github: map[string]string{"token": "tok", "action_path": root, "repository": "acme/model"},
			env: []string{"HOME=" + filepath.Dir(home), "ALOFT_HOME=" + home, "ALOFT_AGENT=" + agentUnderTest, "USER=tester", "NO_COLOR=1", "GITHUB_ACTIONS=true", "GITHUB_API_URL=" + web.URL, "GITHUB_SERVER_URL=" + web.URL,
				"GITHUB_REPOSITORY=acme/model", "GITHUB_RUN_ID=900", "GITHUB_SHA=bbbbbbbbbb", "GITHUB_EVENT_NAME=pull_request", "GITHUB_EVENT_PATH=" + filepath.Join(dir, "event.json")}}
		out := c.run(&a)
		if c.failed != tc.failed || len(c.ran) != tc.ran || out["exit_code"] != tc.code {
			t.Errorf("%s: failed %v, ran %v, outputs %v\n%s", tc.name, c.failed, c.ran, out, c.log.String())
		}
		if asked := r.take(); len(asked) != tc.fetched {
			t.Errorf("%s: fetched %v", tc.name, asked)
		}
		checks := s.Checks()
		if tc.check == "" && len(checks) != 0 || tc.check != "" && (len(checks) != 1 || checks[0].Conclusion != tc.check) {
			t.Errorf("%s: %+v\n%s", tc.name, checks, c.log.String())
		}
		if tc.code != "" && (out["cluster"] != "act" || out["run"] == "" || out["status"] == "") {
			t.Errorf("%s: %v", tc.name, out)
		}
		if strings.Contains(c.log.String(), "tok\n") {
			t.Errorf("%s: the token is in the log", tc.name)
		}
		if made := s.Comments(); tc.code != "" && (len(made) != 1 || !strings.Contains(made[0].Body, "accuracy")) || tc.code == "" && len(made) != 0 {
			t.Errorf("%s: %+v\n%s", tc.name, made, c.log.String())
		}
		endAll(home)
		web.Close()
	}
}
