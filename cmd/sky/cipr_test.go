package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"aloft/controller/forge"
	"aloft/controller/forge/forgetest"
)

const prToken = "tok-s3cr3t-value"

// hosted is a forge with a repository that git can clone and push to, and a checkout of it as a CI job has one.
type hosted struct {
	t            *testing.T
	kind         forge.Kind
	fake         *forgetest.Server
	web          *httptest.Server
	home, bare   string
	checkout     string
	env          map[string]string
	argv, origin string

	mu    sync.Mutex
	shown []string // Authorization headers that came with git's requests
}

// newHosted makes one. GitHub, GitLab and Gitea serve git over HTTP and want the token there, as user and password; of
// Bitbucket, whose address is fixed, the proxy of Pipelines is there, and a remote that is a directory.
func newHosted(t *testing.T, kind forge.Kind) *hosted {
	t.Helper()
	backend := filepath.Join(strings.TrimSpace(runTool(t, nil, "", "git", "--exec-path")), "git-http-backend")
	if _, err := os.Stat(backend); err != nil && kind != forge.Bitbucket {
		t.Skip("SKIPPED: there is no git-http-backend")
	}
	dir := t.TempDir()
	h := &hosted{t: t, kind: kind, home: filepath.Join(dir, "home"), bare: filepath.Join(dir, "srv", "acme", "model.git"), checkout: filepath.Join(dir, "checkout"), argv: filepath.Join(dir, "argv")}
	h.fake = &forgetest.Server{Kind: kind, Token: prToken, User: "me", Unchecked: true}
	if kind == forge.Bitbucket {
		h.fake.Token = ""
	}
	for i := range 120 {
		h.fake.Pulls = append(h.fake.Pulls, forgetest.Pull{Number: 100 + i, Branch: fmt.Sprintf("other-%d", i), Owner: "acme", SHA: "cccccccccc"})
	}
	git := &cgi.Handler{Path: backend, Env: []string{"GIT_PROJECT_ROOT=" + filepath.Join(dir, "srv"), "GIT_HTTP_EXPORT_ALL=1", "REMOTE_USER=me"}}
	h.web = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, "/acme/model.git/") {
			h.fake.ServeHTTP(w, r)
			return
		}
		h.mu.Lock()
		h.shown = append(h.shown, strings.Join(r.Header.Values("Authorization"), ", "))
		h.mu.Unlock()
		if _, password, ok := r.BasicAuth(); !ok || password != prToken || len(r.Header.Values("Authorization")) != 1 {
			w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		git.ServeHTTP(w, r)
	}))
	t.Cleanup(h.web.Close)
	for _, d := range []string{h.home, h.bare} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	h.git("", "init", "-q", "--bare", "-b", "main", h.bare)
	h.git("", "-C", h.bare, "config", "http.receivepack", "true")
	h.git("", "clone", "-q", h.bare, h.checkout)
	h.write("model.json", "1\n")
	h.write("results/a.txt", "a\n")
	h.git(h.checkout, "add", ".")
	h.git(h.checkout, "-c", "user.name=Ann", "-c", "user.email=ann@example.com", "commit", "-q", "-m", "first")
	h.git(h.checkout, "push", "-q", "origin", "HEAD:main")
	h.origin = h.bare
	if kind != forge.Bitbucket {
		h.origin = h.web.URL + "/acme/model.git"
		h.git(h.checkout, "remote", "set-url", "origin", h.origin)
		// As actions/checkout leaves it: with a token of its own, which may not do this.
		h.git(h.checkout, "config", "http."+h.web.URL+"/.extraheader", "AUTHORIZATION: basic b3RoZXI6b3RoZXI=")
	}
	h.logGit(filepath.Join(dir, "bin"))
	h.env["HOME"], h.env["ALOFT_HOME"], h.env["NO_COLOR"] = h.home, filepath.Join(h.home, ".aloft"), "1"
	for k, v := range map[forge.Kind]map[string]string{
		forge.GitHub: {"GITHUB_ACTIONS": "true", "GITHUB_API_URL": h.web.URL, "GITHUB_SERVER_URL": h.web.URL, "GITHUB_REPOSITORY": "acme/model", "GITHUB_RUN_ID": "900", "GITHUB_REF": "refs/heads/main",
			"GITHUB_EVENT_NAME": "push", "GITHUB_ACTOR": "ann", "REPO_TOKEN": prToken},
		forge.Gitea: {"GITEA_ACTIONS": "true", "GITHUB_SERVER_URL": h.web.URL, "GITHUB_REPOSITORY": "acme/model", "GITHUB_RUN_ID": "900", "GITHUB_REF": "refs/heads/main",
			"GITHUB_EVENT_NAME": "push", "GITHUB_ACTOR": "ann", "REPO_TOKEN": prToken},
		forge.GitLab: {"GITLAB_CI": "true", "CI_PROJECT_PATH": "acme/model", "CI_SERVER_URL": h.web.URL, "CI_API_V4_URL": h.web.URL + "/api/v4", "CI_COMMIT_BRANCH": "main", "CI_COMMIT_REF_NAME": "main",
			"GITLAB_USER_LOGIN": "ann", "REPO_TOKEN": prToken},
		forge.Bitbucket: {"BITBUCKET_BUILD_NUMBER": "9", "BITBUCKET_REPO_FULL_NAME": "acme/model", "BITBUCKET_BRANCH": "main", "ALOFT_BITBUCKET_PROXY": h.web.URL},
	}[kind] {
		h.env[k] = v
	}
	return h
}

// logGit puts a git before the real one that writes down what it is called with.
func (h *hosted) logGit(bin string) {
	h.t.Helper()
	real, err := exec.LookPath("git")
	if err == nil {
		err = os.MkdirAll(bin, 0o755)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(bin, "git"), []byte("#!/bin/sh\necho \"$@\" >> "+h.argv+"\nexec "+real+" \"$@\"\n"), 0o755)
	}
	if err != nil {
		h.t.Fatal(err)
	}
	h.env = map[string]string{"PATH": bin + ":" + os.Getenv("PATH")}
}

// runTool runs a program to its end.
func runTool(t *testing.T, env []string, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return strings.TrimRight(string(out), "\n")
}

func (h *hosted) git(dir string, args ...string) string {
	h.t.Helper()
	return runTool(h.t, []string{"HOME=" + h.home, "GIT_CONFIG_NOSYSTEM=1"}, dir, "git", args...)
}

func (h *hosted) write(name, text string) {
	h.t.Helper()
	path := filepath.Join(h.checkout, name)
	err := os.MkdirAll(filepath.Dir(path), 0o755)
	if err == nil {
		err = os.WriteFile(path, []byte(text), 0o644)
	}
	if err != nil {
		h.t.Fatal(err)
	}
}

// sky runs the program in the checkout, and checks what has to hold whatever it does.
func (h *hosted) sky(args ...string) (code int, out, errOut string) {
	h.t.Helper()
	before := h.state()
	cmd := exec.Command("sky", args...)
	cmd.Dir = h.checkout
	for k, v := range h.env {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	var o, e strings.Builder
	cmd.Stdout, cmd.Stderr = &o, &e
	var ee *exec.ExitError
	if err := cmd.Run(); errors.As(err, &ee) {
		code = ee.ExitCode()
	} else if err != nil {
		h.t.Fatal(err)
	}
	if after := h.state(); after != before {
		h.t.Errorf("%v changed the checkout from\n%s\nto\n%s", args, before, after)
	}
	argv, _ := os.ReadFile(h.argv)
	if strings.Contains(string(argv)+o.String()+e.String(), prToken) || strings.Contains(string(argv), "Authorization") {
		h.t.Errorf("the token is among the arguments or the output:\n%s\n%s%s", argv, o.String(), e.String())
	}
	if _, err := os.Stat(filepath.Join(h.home, ".gitconfig")); err == nil {
		h.t.Error("git's global configuration was written")
	}
	return code, o.String(), e.String()
}

// state is what of a checkout must not change: branch, commit, index, files and configuration.
func (h *hosted) state() string {
	config, _ := os.ReadFile(filepath.Join(h.checkout, ".git", "config"))
	return h.git(h.checkout, "symbolic-ref", "-q", "HEAD") + "\n" + h.git(h.checkout, "rev-parse", "HEAD") + "\n" + h.git(h.checkout, "status", "--porcelain") + "\n" +
		h.git(h.checkout, "branch", "-a") + "\n" + string(config)
}

// opened are the pull requests that were opened here.
func (h *hosted) opened() []forgetest.Pull { return h.fake.Pulled()[120:] }

// branches are those of the remote but main.
func (h *hosted) branches() []string {
	list := strings.Fields(h.git(h.bare, "for-each-ref", "--format=%(refname:short)", "refs/heads"))
	return slices.DeleteFunc(list, func(b string) bool { return b == "main" })
}

func onHosts(t *testing.T, kinds []forge.Kind, f func(t *testing.T, h *hosted)) {
	t.Helper()
	for _, k := range kinds {
		t.Run(string(k), func(t *testing.T) {
			t.Parallel()
			f(t, newHosted(t, k))
		})
	}
}

// TestCIPR proposes what has changed: one pull request for one change, with a real repository behind the forge.
func TestCIPR(t *testing.T) {
	t.Parallel()
	onHosts(t, forge.Kinds(), func(t *testing.T, h *hosted) {
		if code, out, errOut := h.sky("ci", "pr", "model.json", "results/**"); code != 0 || out != "" || !strings.Contains(errOut, "nothing is proposed") {
			t.Fatalf("nothing has changed, and it ended with %d\n%s%s", code, out, errOut)
		}
		h.write("model.json", "2\n")
		h.write("results/deep/b.txt", "b\n")
		h.write("other.txt", "not this\n")
		if err := os.Remove(filepath.Join(h.checkout, "results", "a.txt")); err != nil {
			t.Fatal(err)
		}
		code, out, errOut := h.sky("ci", "pr", "--dry-run", "model.json", "results/**")
		if code != 0 || !strings.Contains(out, "results/deep/b.txt") || strings.Contains(out, "other.txt") || len(h.branches())+len(h.opened()) != 0 {
			t.Fatalf("dry: %d\n%s%s", code, out, errOut)
		}
		code, out, errOut = h.sky("ci", "pr", "model.json", "results/**", "--title", "New results", "--squash")
		if code != 0 || !strings.Contains(out, "/page/pull/") {
			t.Fatalf("ended with %d\n%s%s", code, out, errOut)
		}
		made, branches := h.opened(), h.branches()
		if len(made) != 1 || made[0].Title != "New results" || made[0].Base != "main" || !strings.HasPrefix(made[0].Branch, "main-sky-pr-") || !slices.Equal(branches, []string{made[0].Branch}) || !strings.Contains(strings.ToLower(made[0].Merge), "squash") {
			t.Fatalf("%+v, %v", made, branches)
		}
		if files := h.git(h.bare, "diff", "--name-status", "main", branches[0]); files != "M\tmodel.json\nD\tresults/a.txt\nA\tresults/deep/b.txt" {
			t.Errorf("%s", files)
		}
		if message := h.git(h.bare, "log", "-1", "--format=%an <%ae> %B", branches[0]); !strings.HasPrefix(message, "Aloft <aloft@localhost> Files of a run of ") || !strings.Contains(message, "[skip ci]") {
			t.Errorf("%s", message)
		}
		// Once more, and from several jobs at once: it is that one.
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				if code, out, errOut := h.sky("ci", "pr", "model.json", "results/**", "-o", "json"); code != 0 || !strings.Contains(out, `"adopted"`) || !strings.Contains(out, `"pushed": false`) {
					t.Errorf("again: %d\n%s%s", code, out, errOut)
				}
			})
		}
		wg.Wait()
		if len(h.opened()) != 1 || len(h.branches()) != 1 {
			t.Errorf("%+v, %v", h.opened(), h.branches())
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.kind != forge.Bitbucket && len(h.shown) == 0 {
			t.Error("git asked nothing")
		}
	})
}

// TestCIPRAtOnce: jobs that propose one change at the same time open one pull request, of one branch.
func TestCIPRAtOnce(t *testing.T) {
	t.Parallel()
	onHosts(t, []forge.Kind{forge.GitHub, forge.GitLab, forge.Gitea}, func(t *testing.T, h *hosted) {
		h.write("model.json", "2\n")
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				if code, out, errOut := h.sky("ci", "pr", "*.json"); code != 0 || !strings.Contains(out, "/page/pull/") {
					t.Errorf("ended with %d\n%s%s", code, out, errOut)
				}
			})
		}
		wg.Wait()
		if len(h.opened()) != 1 || len(h.branches()) != 1 {
			t.Errorf("%+v, %v", h.opened(), h.branches())
		}
	})
}

// TestCIPRLoops: a run of what was proposed proposes nothing.
func TestCIPRLoops(t *testing.T) {
	t.Parallel()
	onHosts(t, []forge.Kind{forge.GitHub, forge.GitLab, forge.Bitbucket}, func(t *testing.T, h *hosted) {
		branch := map[forge.Kind]string{forge.GitHub: "GITHUB_REF", forge.Gitea: "GITHUB_REF", forge.GitLab: "CI_COMMIT_BRANCH", forge.Bitbucket: "BITBUCKET_BRANCH"}[h.kind]
		actor := map[forge.Kind]string{forge.GitHub: "GITHUB_ACTOR", forge.Gitea: "GITHUB_ACTOR", forge.GitLab: "GITLAB_USER_LOGIN"}[h.kind]
		prefix := map[bool]string{true: "refs/heads/"}[branch == "GITHUB_REF"]
		h.write("model.json", "2\n")
		if code, _, errOut := h.sky("ci", "pr", "*.json"); code != 0 {
			t.Fatal(errOut)
		}
		proposed := h.branches()[0]
		h.write("model.json", "3\n") // training is random
		none := func(what string) {
			t.Helper()
			if code, out, errOut := h.sky("ci", "pr", "*.json"); code != 0 || out != "" || !strings.Contains(errOut, "nothing is proposed on top of it") || len(h.opened()) != 1 {
				t.Errorf("%s: %d\n%s%s%+v", what, code, out, errOut, h.opened())
			}
		}
		h.env[branch] = prefix + proposed
		if h.kind == forge.GitLab {
			h.env["CI_COMMIT_REF_NAME"] = proposed
		}
		none("in a run of its branch")
		h.env[branch] = prefix + "main"
		if h.kind == forge.GitLab {
			h.env["CI_COMMIT_REF_NAME"] = "main"
		}
		h.git(h.checkout, "fetch", "-q", h.bare, proposed)
		h.git(h.checkout, "reset", "-q", "--soft", "FETCH_HEAD")
		none("merged as it is, with [skip ci]")
		commit := func(message string) {
			h.git(h.checkout, "-c", "user.name=Ann", "-c", "user.email=ann@example.com", "commit", "-q", "--amend", "--reset-author", "--allow-empty", "-m", message)
			h.git(h.checkout, "push", "-q", "-f", h.bare, "HEAD:main")
			h.write("model.json", message)
		}
		commit("Squashed\n\n" + proposalTrailer)
		if actor == "" { // Bitbucket does not say who set a run off
			none("squashed")
			return
		}
		h.env[actor] = "me"
		none("squashed and pushed by the token's owner")
		h.env[actor] = "ann"
		if code, out, errOut := h.sky("ci", "pr", "*.json"); code != 0 || !strings.Contains(out, "/page/pull/") || len(h.opened()) != 2 {
			t.Errorf("pushed by a person: %d\n%s%s%+v", code, out, errOut, h.opened())
		}
	})
}

// TestCIPRBranch: a branch of a name that is given is moved on while it is ours, and somebody else's is left alone.
func TestCIPRBranch(t *testing.T) {
	t.Parallel()
	h := newHosted(t, forge.GitHub)
	for i, text := range []string{"2\n", "3\n", "3\n"} {
		h.write("model.json", text)
		if code, _, errOut := h.sky("ci", "pr", "--branch", "bot/model", "model.json"); code != 0 || len(h.opened()) != 1 {
			t.Fatalf("%d: %s %+v", i, errOut, h.opened())
		}
		if got := h.git(h.bare, "show", "bot/model:model.json") + "\n"; got != text {
			t.Errorf("%d: %q", i, got)
		}
	}
	h.git(h.bare, "branch", "taken", "main")
	if code, _, errOut := h.sky("ci", "pr", "--branch", "taken", "model.json"); code != exitNotPosted || !strings.Contains(errOut, "somebody else") || len(h.opened()) != 1 {
		t.Errorf("%d: %s", code, errOut)
	}
	for _, args := range [][]string{{"--branch", "a..b", "x"}, {"--target-branch", "-x", "model.json"}, {"--branch", "b", "--target-branch", "b", "model.json"}, {"--remote", "gone", "model.json"}, {"--user-name", "a<b", "model.json"}, {"!x"}, {"--merge", "--squash", "model.json"}} {
		if code, _, errOut := h.sky(append([]string{"ci", "pr"}, args...)...); code != exitUsage {
			t.Errorf("%v ended with %d: %s", args, code, errOut)
		}
	}
	h.env["REPO_TOKEN"] = "wrong-token"
	if code, _, errOut := h.sky("ci", "pr", "model.json"); code != exitNotPosted || !strings.Contains(errOut, "contents: write") || strings.Contains(errOut, "wrong-token") {
		t.Errorf("wrong token: %d: %s", code, errOut)
	}
}

// TestCIPRCommits proposes commits that were made here, on the head of the pull request and not on the merge made for the run.
func TestCIPRCommits(t *testing.T) {
	t.Parallel()
	h := newHosted(t, forge.GitLab)
	if code, _, errOut := h.sky("ci", "pr"); code != 0 || !strings.Contains(errOut, "nothing is proposed") {
		t.Errorf("%d: %s", code, errOut)
	}
	person := []string{"-c", "user.name=Ann", "-c", "user.email=ann@example.com"}
	h.git(h.checkout, append(person, "commit", "-q", "--allow-empty", "-m", "by the job")...)
	if code, _, errOut := h.sky("ci", "pr", "--md"); code != 0 || len(h.opened()) != 1 || h.git(h.bare, "rev-parse", h.branches()[0]) != h.git(h.checkout, "rev-parse", "HEAD") {
		t.Errorf("%d: %s %+v", code, errOut, h.opened())
	}

	h = newHosted(t, forge.GitHub)
	head := h.git(h.checkout, "rev-parse", "HEAD")
	h.git(h.checkout, "checkout", "-q", "--orphan", "base")
	h.git(h.checkout, append(person, "commit", "-q", "-m", "base")...)
	h.git(h.checkout, append(person, "merge", "-q", "--allow-unrelated-histories", "-s", "ours", "-m", "Merge "+head, head)...)
	h.write("model.json", "2\n")
	h.env["GITHUB_SHA"] = head
	if code, _, errOut := h.sky("ci", "pr", "model.json"); code != 0 || h.git(h.bare, "rev-parse", h.branches()[0]+"^") != head {
		t.Errorf("%d: %s", code, errOut)
	}
}

// TestCMLPR: cml pr with CML's names, texts and output.
func TestCMLPR(t *testing.T) {
	t.Parallel()
	onHosts(t, []forge.Kind{forge.GitHub, forge.GitLab}, func(t *testing.T, h *hosted) {
		h.write("model.json", "2\n")
		sha := h.git(h.checkout, "rev-parse", "HEAD")[:8]
		h.env["CML_PR_TITLE"] = "From the environment"
		for i := range 2 {
			code, out, errOut := h.sky(cmlArgs("cml", []string{"pr", "--md", "--merge", "--user-email=bot@example.com", "--message", "Results", "model.json"})...)
			if code != 0 || !strings.HasPrefix(out, map[bool]string{true: "[CML's Merge Request](", false: "[CML's Pull Request]("}[h.kind == forge.GitLab]) {
				t.Fatalf("%d ended with %d\n%s%s", i, code, out, errOut)
			}
		}
		made := h.opened()
		if len(made) != 1 || made[0].Branch != "main-cml-pr-"+sha || made[0].Title != "From the environment" || made[0].Merge == "" {
			t.Errorf("%+v", made)
		}
		if message := h.git(h.bare, "log", "-1", "--format=%an <%ae> %s", "main-cml-pr-"+sha); message != "Olivaw[bot] <bot@example.com> Results" {
			t.Error(message)
		}
		h.write("model.json", "3\n")
		if code, _, errOut := h.sky(cmlArgs("cml-pr", []string{"model.json", "--branch", "b"})...); code != 0 {
			t.Error(errOut)
		}
		if subject := h.git(h.bare, "log", "-1", "--format=%s", "b"); subject != "CML PR for "+sha+" [skip ci]" {
			t.Error(subject)
		}
	})
}
