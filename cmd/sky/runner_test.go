package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"aloft/controller/forge"
	"aloft/controller/forge/forgetest"
	"aloft/controller/forge/runners"
)

// forgeToken is what may be known to the command alone.
const forgeToken = "forge-token-71c2a9"

// standIn is the program of a runner, as far as it matters here: it takes its secret as the real one does, is online, and has
// a child while it has a job. @URL@ is the server's.
const standIn = `#!/bin/bash
[ -z "$secret" ] && secret=$ACTIONS_RUNNER_INPUT_JITCONFIG
[ ! -f .runner ] || secret=$(cat .runner)
unset ACTIONS_RUNNER_INPUT_JITCONFIG
name=$(printf %s "$secret" | curl -fsS --data-binary @- @URL@/stand-in/connect) || exit 3
trap 'curl -fsS -X POST "@URL@/stand-in/leave?name=$name"; exit 0' INT TERM
worker=
while :; do
  case $(curl -fsS "@URL@/stand-in/poll?name=$name") in
  job) [ -n "$worker" ] || { ./bin/Runner.Worker & worker=$!; } ;;
  idle) [ -z "$worker" ] || { kill $worker; worker=; [ -f .runner ] || [ -n "$stays" ] || exit 0; } ;;
  esac
  sleep 0.2
done
`

// standInConfig registers a runner for several jobs, as GitHub's config.sh does with the token that it is given.
const standInConfig = `#!/bin/bash
[ "$1 $2 $3 $4" = "--unattended --disableupdate --url @URL@/acme/model" ] || { echo "arguments: $*"; exit 9; }
printf '%s' "$ACTIONS_RUNNER_INPUT_TOKEN" | curl -fsS --data-binary @- "@URL@/stand-in/register?name=$6&labels=$8" >.runner
`

// bitbucketStandIn is Java that runs Bitbucket's program: what that is told is in a file.
const bitbucketStandIn = `#!/bin/bash
[ "$#" = 3 ] && [ "$2 $3" = "-jar ./runner.jar" ] || { echo "arguments: $*"; exit 9; }
file=${1#@}
[ "$(stat -c %a "$file")" = 600 ] || { echo "$file is open"; exit 9; }
grep -q 'runner.uuid={' "$file" && grep -q 'account.uuid={' "$file" || exit 9
stays=1
secret=$(sed -n 's/^"-Dbitbucket.pipelines.runner.oauth.client.secret=\(.*\)"$/\1/p' "$file")
mkdir -p bin && printf '#!/bin/bash\nwhile :; do sleep 0.2; done\n' >bin/Runner.Worker && chmod +x bin/Runner.Worker
`

// gitlabStandIn is that of GitLab's program: what it is told is in a file.
const gitlabStandIn = `#!/bin/bash
case "$*" in "run-single --config config.toml --runner "*" --max-builds 1") ;; *) echo "arguments: $*"; exit 9 ;; esac
[ "$(stat -c %a config.toml)" = 600 ] || { echo "config.toml is open"; exit 9; }
secret=$(sed -n 's/^ *token = "\(.*\)"$/\1/p' config.toml)
mkdir -p bin && printf '#!/bin/bash\nwhile :; do sleep 0.2; done\n' >bin/Runner.Worker && chmod +x bin/Runner.Worker
`

// runnerRig is a home, a forge, and programs of runners.
type runnerRig struct {
	*world
	s      *forgetest.Server
	url    string
	digest string
	hold   chan struct{} // if set, no program is online before it is closed
}

func newRunnerRig(t *testing.T, kind forge.Kind) *runnerRig {
	t.Helper()
	r := &runnerRig{s: &forgetest.Server{Kind: kind, Token: forgeToken, User: "me"}}
	var program []byte
	mux := http.NewServeMux()
	mux.HandleFunc("GET /stand-in/program", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(program) })
	mux.HandleFunc("POST /stand-in/connect", func(w http.ResponseWriter, q *http.Request) {
		b, _ := io.ReadAll(q.Body)
		if r.hold != nil {
			select {
			case <-r.hold:
			case <-q.Context().Done():
				return
			}
		}
		name, ok := r.s.Connect(string(b))
		if !ok {
			w.WriteHeader(http.StatusForbidden)
		}
		fmt.Fprint(w, name)
	})
	mux.HandleFunc("POST /stand-in/register", func(w http.ResponseWriter, q *http.Request) {
		b, _ := io.ReadAll(q.Body)
		if !strings.HasPrefix(string(b), "runner-secret-") { // as the server makes them
			w.WriteHeader(http.StatusForbidden)
		}
		own := "own-of-" + q.FormValue("name")
		r.s.AddRunner(forgetest.Runner{Name: q.FormValue("name"), Labels: strings.Split(q.FormValue("labels"), ","), Secret: own})
		fmt.Fprint(w, own)
	})
	mux.HandleFunc("POST /stand-in/leave", func(_ http.ResponseWriter, q *http.Request) { r.s.Disconnect(q.FormValue("name")) })
	mux.HandleFunc("GET /stand-in/poll", func(w http.ResponseWriter, q *http.Request) {
		word := "idle"
		for _, x := range r.s.Runners() {
			if x.Name == q.FormValue("name") && x.Run != "" {
				word = "job"
			}
		}
		fmt.Fprint(w, word)
	})
	mux.Handle("/", r.s)
	mux.Handle("/2.0/", http.StripPrefix("/2.0", r.s)) // Bitbucket's, behind its proxy
	web := httptest.NewServer(mux)
	t.Cleanup(web.Close)
	r.url = web.URL
	text := strings.ReplaceAll(standIn, "@URL@", web.URL)
	more := strings.TrimPrefix(text, "#!/bin/bash\n")
	java := t.TempDir()
	switch kind {
	case forge.GitLab:
		program = []byte(gitlabStandIn + more)
	case forge.Bitbucket:
		r.s.Token = "" // its proxy knows the step
		program = tarball(t, map[string]string{"bin/runner.jar": ""})
		if err := os.WriteFile(filepath.Join(java, "java"), []byte(bitbucketStandIn+more), 0o755); err != nil {
			t.Fatal(err)
		}
	default:
		program = tarball(t, map[string]string{"run.sh": text, "config.sh": strings.ReplaceAll(standInConfig, "@URL@", web.URL), "bin/Runner.Worker": "#!/bin/bash\nwhile :; do sleep 0.2; done\n"})
	}
	sum := sha256.Sum256(program)
	r.digest = hex.EncodeToString(sum[:])
	for _, arch := range runners.Arches() {
		r.s.Programs = append(r.s.Programs, forge.RunnerProgram{OS: "linux", Arch: arch, URL: web.URL + "/stand-in/program", SHA256: r.digest},
			forge.RunnerProgram{OS: "win", Arch: arch, URL: web.URL + "/no"})
	}
	env := []string{"GITHUB_ACTIONS=true", "GITHUB_API_URL=" + web.URL, "GITHUB_SERVER_URL=" + web.URL, "GITHUB_REPOSITORY=acme/model", "GITHUB_RUN_ID=900", "GITHUB_TOKEN=" + forgeToken}
	if kind == forge.GitLab {
		env = []string{"GITLAB_CI=true", "CI_PROJECT_PATH=acme/model", "CI_SERVER_URL=" + web.URL, "CI_API_V4_URL=" + web.URL + "/api/v4", "CI_PIPELINE_ID=900", "REPO_TOKEN=" + forgeToken}
	}
	if kind == forge.Bitbucket {
		env = []string{"BITBUCKET_BUILD_NUMBER=9", "BITBUCKET_REPO_FULL_NAME=acme/model", "BITBUCKET_COMMIT=bbbbbbbbbb", "ALOFT_BITBUCKET_PROXY=" + web.URL, "PATH=" + java + ":" + os.Getenv("PATH")}
	}
	r.world = newWorld(t, env...)
	return r
}

// tarball packs programs.
func tarball(t *testing.T, files map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for _, name := range sortedKeys(files) {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(files[name]))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(files[name])); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// launch is `sky ci runner launch` with the arguments that every test needs.
func (r *runnerRig) launch(args ...string) []string {
	list := append([]string{"ci", "runner", "launch", "-y", "--infra", "local"}, args...)
	if r.s.Kind != forge.GitHub {
		list = append(list, "--runner-url", r.url+"/stand-in/program", "--runner-sha256", r.digest)
	}
	return list
}

// one is the only runner that the forge has.
func (r *runnerRig) one() forgetest.Runner {
	r.Helper()
	list := r.s.Runners()
	if len(list) != 1 {
		r.Fatalf("%d runners are registered: %+v", len(list), list)
	}
	return list[0]
}

// clean checks that nothing is left of any runner: no machine, no registration, no record.
func (r *runnerRig) clean() {
	r.Helper()
	r.eventually("the end of the machines", func() bool { return len(r.nodes()) == 0 })
	r.exits(0, []string{"No runners."}, "ci", "runner", "list")
	if list := r.s.Runners(); len(list) != 0 {
		r.Errorf("registered: %+v", list)
	}
	if left, _ := os.ReadDir(filepath.Join(r.home, runnersDir)); len(left) != 0 {
		r.Errorf("in %s there is %v", runnersDir, left)
	}
	for _, b := range r.s.Breaches {
		r.Error(b)
	}
	r.nothingLeft()
}

// nowhere checks that texts are in no file of the home, and in no process of a machine, save that the program of the runner has
// its own. jobs says that there is, or was, a job, to whom no file may tell it.
func (r *runnerRig) nowhere(jobs bool, secrets ...string) {
	r.Helper()
	_ = filepath.WalkDir(r.dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return nil
		}
		b, _ := os.ReadFile(path)
		st, err := d.Info()
		own := err == nil && slices.Contains([]string{"config.toml", "java.args"}, filepath.Base(path)) && st.Mode() == 0o600 // until the program has a job
		for _, s := range secrets {
			if bytes.Contains(b, []byte(s)) && (!own || s == forgeToken || jobs) {
				r.Errorf("%s holds %s", path, s)
			}
		}
		return nil
	})
	for _, pid := range r.processes() {
		for _, file := range []string{"cmdline", "environ"} {
			b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
			line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
			for _, s := range secrets {
				own := file == "environ" && s != forgeToken && bytes.Contains(line, []byte("run.sh")) && bytes.Contains(b, []byte("ACTIONS_RUNNER_INPUT_JITCONFIG="))
				if bytes.Contains(b, []byte(s)) && !own {
					r.Errorf("%s of %s holds %s", file, bytes.ReplaceAll(line, []byte{0}, []byte{' '}), s)
				}
			}
		}
	}
}

// TestRunner: a runner is launched, takes one job and is gone, and so is its machine; its secret is where it must be alone.
func TestRunner(t *testing.T) {
	t.Parallel()
	for _, kind := range []forge.Kind{forge.GitHub, forge.GitLab, forge.Bitbucket} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			r := newRunnerRig(t, kind)
			r.exits(0, []string{"is online", "labels: "}, r.launch("--labels", "gpu,big", "--setup", "echo prepared")...)
			x := r.one()
			if !x.Online || !slices.Contains(x.Labels, "gpu") || kind == forge.GitHub && !slices.Contains(x.Labels, "self-hosted") {
				t.Errorf("%+v", x)
			}
			r.says("idle", "ci", "runner", "list")
			r.nowhere(false, forgeToken, x.Secret)
			r.s.Start(x.Name, "900")
			if kind != forge.Bitbucket { // it does not tell
				r.says("busy", "ci", "runner", "list")
			}
			r.says("has a job", "logs", x.Name, "1", "--no-follow")
			r.nowhere(true, forgeToken, x.Secret)
			r.exits(exitConflict, []string{"it has a job", "--force"}, "ci", "runner", "stop", "-y", x.Name)
			r.s.Start(x.Name, "")
			r.clean()
			out := r.ok("logs", x.Name, "1").out
			for _, want := range []string{"prepared", "has a job", map[bool]string{true: "its job is over", false: "has ended with 0"}[kind == forge.Bitbucket]} {
				if !strings.Contains(out, want) {
					t.Errorf("the log does not say %q:\n%s", want, out)
				}
			}
			r.nowhere(true, forgeToken, x.Secret)
		})
	}
}

// TestRunnerEnds: a runner without a job ends when it was idle for long enough, and one with a job when its time is up.
func TestRunnerEnds(t *testing.T) {
	t.Parallel()
	t.Run("idle", func(t *testing.T) {
		t.Parallel()
		r := newRunnerRig(t, forge.GitHub)
		r.ok(r.launch("--idle-timeout", "2 seconds", "--name", "idler")...)
		r.clean()
		r.exits(0, []string{"it had no job for 2 seconds"}, "logs", "idler", "1")
	})
	t.Run("lifetime", func(t *testing.T) {
		t.Parallel()
		r := newRunnerRig(t, forge.GitHub)
		r.ok(r.launch("--max-lifetime", "12s", "--idle-timeout", "never")...)
		x := r.one()
		r.s.Start(x.Name, "900")
		r.says("has a job", "logs", x.Name, "1", "--no-follow")
		r.eventually("the end of the machine, whatever its job", func() bool { return len(r.nodes()) == 0 })
		r.exits(exitBudget, []string{"the cluster ran for its whole max_duration of 12s"}, "logs", x.Name, "1")
		r.s.Disconnect(x.Name) // GitHub waits for a runner that does not answer
		r.clean()
	})
	t.Run("several jobs", func(t *testing.T) {
		t.Parallel()
		r := newRunnerRig(t, forge.GitHub)
		r.ok(r.launch("--ephemeral=false", "--idle-timeout", "never", "--labels", "gpu")...)
		x := r.one()
		if !slices.Equal(x.Labels, []string{"self-hosted", "gpu"}) {
			t.Errorf("%+v", x)
		}
		r.says("idle", "ci", "runner", "list")
		r.nowhere(true, forgeToken, "runner-secret-")
		r.ok("ci", "runner", "stop", "-y", x.Name)
		r.clean()
	})
	t.Run("without a controller", func(t *testing.T) {
		t.Parallel()
		r := newRunnerRig(t, forge.GitHub)
		r.ok(r.launch("--idle-timeout", "never")...)
		x := r.one()
		r.s.Start(x.Name, "900")
		r.says("has a job", "logs", x.Name, "1", "--no-follow")
		r.killController()
		r.s.Start(x.Name, "")
		r.eventually("the end of the machine, with nobody there", func() bool {
			off, _ := filepath.Glob(filepath.Join(r.home, "local", "n-*", "poweroff"))
			return len(off) == 1
		})
		r.ok("status", "--refresh")
		r.clean()
	})
	t.Run("stop", func(t *testing.T) {
		t.Parallel()
		r := newRunnerRig(t, forge.GitHub)
		r.ok(r.launch("--count", "2", "--name", "two")...)
		r.exits(exitNotFound, []string{"no such runner"}, "ci", "runner", "stop", "-y", "nobody")
		r.exits(0, []string{"two-1: stopped"}, "ci", "runner", "stop", "-y", "two-1")
		x := r.one()
		if x.Name != "two-2" {
			t.Errorf("%+v", x)
		}
		r.s.Start(x.Name, "900")
		r.exits(0, []string{"two-2: stopped"}, "ci", "runner", "stop", "-y", "--force", "two-2")
		if len(r.nodes()) != 0 {
			t.Errorf("machines: %v", r.nodes())
		}
		r.clean()
	})
}

// TestRunnerRefused: what can be wrong costs no machine and leaves no registration.
func TestRunnerRefused(t *testing.T) {
	t.Parallel()
	t.Run("digest", func(t *testing.T) {
		t.Parallel()
		r := newRunnerRig(t, forge.GitHub)
		r.exits(exitInfra, []string{"not the one that was asked for", r.digest}, r.launch("--runner-url", r.url+"/stand-in/program", "--runner-sha256", strings.Repeat("ab", 32))...)
		r.clean()
	})
	t.Run("no digest", func(t *testing.T) {
		t.Parallel()
		r := newRunnerRig(t, forge.GitHub)
		for i := range r.s.Programs {
			r.s.Programs[i].SHA256 = ""
		}
		r.exits(exitUsage, []string{"no digest", "--runner-sha256"}, r.launch()...)
		r.exits(exitUsage, []string{"no digest"}, r.launch("--runner-version", "2.0.0")...)
		r.clean()
	})
	t.Run("name", func(t *testing.T) {
		t.Parallel()
		r := newRunnerRig(t, forge.GitHub)
		r.s.AddRunner(forgetest.Runner{Name: "mine", Online: true})
		r.exits(exitConflict, []string{"mine is already in use"}, r.launch("--name", "mine")...)
		r.s.Disconnect("mine")
		r.exits(0, []string{"is replaced", "is online"}, r.launch("--name", "mine")...)
		r.exits(exitConflict, []string{"mine is already in use"}, r.launch("--name", "mine")...)
		r.ok("ci", "runner", "stop", "-y", "--all")
		r.clean()
	})
	t.Run("machine", func(t *testing.T) {
		t.Parallel()
		r := newRunnerRig(t, forge.GitHub)
		r.exits(exitConfig, nil, r.launch("--gpus", "H100:8")...)
		r.exits(exitUsage, []string{"--idle-timeout"}, r.launch("--idle-timeout", "soon")...)
		r.exits(exitUsage, []string{"--max-lifetime"}, r.launch("--max-lifetime", "never")...)
		r.exits(exitConfig, []string{"run"}, append(r.launch(), r.write("t.yaml", "run: echo hi\n"))...)
		r.with("GITHUB_TOKEN=other").exits(exitNotPosted, []string{"$GITHUB_TOKEN", "administration"}, r.launch()...)
		r.clean()
	})
}

// TestRunnerLeftovers: a registration whose machine never came to be, or whose answer was lost, is removed by the next command.
func TestRunnerLeftovers(t *testing.T) {
	t.Parallel()
	r := newRunnerRig(t, forge.GitHub)
	for _, known := range []bool{true, false} { // the process died after the registration, or before its answer
		name := fmt.Sprintf("left-%v", known)
		rec := runnerRecord{Name: name, Forge: forge.GitHub, Host: strings.TrimPrefix(r.url, "http://"), Repo: "acme/model", Labels: []string{"x"}}
		r.s.AddRunner(forgetest.Runner{Name: name, ID: fmt.Sprint(len(name))})
		if known {
			rec.ID = fmt.Sprint(len(name))
		}
		f, err := newRunnerFile(r.home, rec)
		if err != nil {
			t.Fatal(err)
		}
		if known { // the process that has it in hands lives
			r.exits(0, []string{name}, "ci", "runner", "list")
		}
		f.release()
	}
	r.s.AddRunner(forgetest.Runner{Name: "somebody's"})
	r.exits(0, []string{"No runners."}, "ci", "runner", "list")
	if x := r.one(); x.Name != "somebody's" {
		t.Errorf("%+v", x)
	}
	// A command that is killed when the forge has made the runner, before it hears of it.
	cmd := r.command(t.Context(), r.launch("--name", "killed")...)
	r.s.Lose = func(q *http.Request, _ int) bool {
		hit := strings.HasSuffix(q.URL.Path, "/generate-jitconfig")
		if hit {
			_ = cmd.Process.Kill()
		}
		return hit
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil || len(r.s.Runners()) != 2 || len(r.nodes()) != 0 {
		t.Errorf("%v, %+v, machines %v", err, r.s.Runners(), r.nodes())
	}
	r.exits(0, []string{"No runners."}, "ci", "runner", "list")
	if x := r.one(); x.Name != "somebody's" {
		t.Errorf("%+v", x)
	}
	// An answer that is lost: the runner whose secret nobody knows is removed, and another one made.
	lost := false
	r.s.Lose = func(q *http.Request, _ int) bool {
		hit := strings.HasSuffix(q.URL.Path, "/generate-jitconfig") && !lost
		lost = lost || hit
		return hit
	}
	r.ok(r.launch("--name", "again")...)
	if list := r.s.Runners(); !lost || len(list) != 2 || list[1].Name != "again" || !list[1].Online {
		t.Errorf("%+v", list)
	}
	r.ok("ci", "runner", "stop", "-y", "--all")
	if x := r.one(); x.Name != "somebody's" {
		t.Errorf("%+v", x)
	}
}

// TestRunnerInterrupted: a CI job that is cancelled while it waits for its runner ends that.
func TestRunnerInterrupted(t *testing.T) {
	t.Parallel()
	r := newRunnerRig(t, forge.GitHub)
	r.hold = make(chan struct{})
	defer close(r.hold)
	cmd := r.command(t.Context(), r.launch("--name", "early")...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r.eventually("the launch", func() bool {
		b, _ := os.ReadFile(filepath.Join(r.home, runnersDir, "early.json"))
		return bytes.Contains(b, []byte("job_id"))
	})
	_ = cmd.Process.Signal(syscall.SIGTERM)
	if err := cmd.Wait(); cmd.ProcessState.ExitCode() != exitInterrupted {
		t.Errorf("%v\n%s", err, &out)
	}
	r.clean()
}

// TestRunnerLost: a runner whose machine is taken away gets a successor with a registration of its own, and the run that it
// had is run again, once.
func TestRunnerLost(t *testing.T) {
	t.Parallel()
	r := newRunnerRig(t, forge.GitHub)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	cmd := r.command(ctx, r.launch("--watch")...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	online := func(not string) (x forgetest.Runner) {
		r.eventually("a runner that is online", func() bool {
			for _, x = range r.s.Runners() {
				if x.Online && x.Name != not {
					return true
				}
			}
			return false
		})
		return x
	}
	first := online("")
	r.s.Start(first.Name, "901")
	r.says("has a job", "logs", first.Name, "1", "--no-follow")
	for _, n := range r.nodes() { // the machine is taken back
		if err := os.WriteFile(filepath.Join(n, "poweroff"), []byte("terminate\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	r.ok("status", "--refresh")
	second := online(first.Name)
	if second.Secret == first.Secret {
		t.Error("the secret of a registration was used twice")
	}
	r.s.Disconnect(first.Name)
	r.eventually("the run is run again", func() bool { return len(r.s.RunAgain()) == 1 })
	r.s.Start(second.Name, "901")
	r.says("has a job", "logs", second.Name, "1", "--no-follow")
	r.s.Start(second.Name, "")
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, &out)
	}
	if list := r.s.RunAgain(); len(list) != 1 || !strings.HasSuffix(list[0], "/runs/901/rerun-failed-jobs") {
		t.Errorf("%v", list)
	}
	r.clean()
}

// TestRunnerReuse: runners that are there count.
func TestRunnerReuse(t *testing.T) {
	t.Parallel()
	r := newRunnerRig(t, forge.GitHub)
	r.s.AddRunner(forgetest.Runner{Name: "big", Labels: []string{"self-hosted", "gpu"}, Online: true})
	r.exits(0, []string{"big is there already"}, r.launch("--labels", "gpu", "--reuse")...)
	r.s.Start("big", "900")
	r.exits(0, []string{"big is there already: busy"}, r.launch("--labels", "gpu", "--reuse")...)
	if len(r.s.Runners()) != 1 {
		t.Errorf("%+v", r.s.Runners())
	}
	r.exits(0, []string{"is online"}, r.launch("--labels", "gpu", "--reuse-idle", "-o", "text")...)
	if len(r.s.Runners()) != 2 {
		t.Errorf("%+v", r.s.Runners())
	}
	m := r.document(r.ok("ci", "runner", "list", "-o", "json"))
	if list := m["runners"].([]any); len(list) != 1 || list[0].(map[string]any)["state"] != "idle" || list[0].(map[string]any)["ephemeral"] != true {
		t.Errorf("%v", m)
	}
	r.ok("ci", "runner", "stop", "-y", "--all")
}
