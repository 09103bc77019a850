//go:build linux

package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"aloft/controller/forge"
	"aloft/controller/forge/forgetest"
)

// TestStepKilled kills the command of a CI step with SIGKILL, which nothing can answer, at each stage of a launch. The step
// that is tried again ends with the job's own code: there was one job, on one machine, and nothing is left.
func TestStepKilled(t *testing.T) {
	t.Parallel()
	begun := func(w *world, name string) bool {
		for _, n := range w.nodes() {
			if _, err := os.Stat(filepath.Join(n, "home", name)); err == nil {
				return true
			}
		}
		return false
	}
	for _, x := range []struct {
		name  string
		ready func(w *world) bool // the moment
		ended bool                // the job has ended then, and the command has not seen it
	}{
		{"before anything", func(*world) bool { return true }, false},
		{"the controller starts", func(w *world) bool { return w.controllerPID() != 0 }, false},
		{"the request is recorded", func(w *world) bool { return strings.Contains(w.ok("status", "-o", "json").out, `"c"`) }, false},
		{"the machine is made", func(w *world) bool { return len(w.nodes()) == 1 }, false},
		{"setup runs", func(w *world) bool { return begun(w, "setup") }, false},
		{"the job runs", func(w *world) bool { return begun(w, "begun") }, false},
		{"the job has ended", func(w *world) bool { return begun(w, "begun") }, true},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, "GITHUB_ACTIONS=true", "GITHUB_REPOSITORY=acme/model", "GITHUB_RUN_ID=7", "GITHUB_JOB=fit", "ALOFT_LOCAL_CREATE_DELAY=500ms")
			w.write("t.yaml", "name: t\nsetup: touch ~/setup\nrun: |\n  echo once >> ~/count\n  touch ~/begun\n  while [ ! -e "+w.dir+"/go ]; do sleep 0.05; done\n  echo out-$(wc -l < ~/count)\n  exit 7\n")
			launch := []string{"launch", "-y", "--infra", "local", "-c", "c", "t.yaml"}
			cmd := w.command(context.Background(), launch...)
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			w.eventually(x.name, func() bool { return x.ready(w) })
			if x.ended {
				if err := cmd.Process.Signal(syscall.SIGSTOP); err != nil {
					t.Fatal(err)
				}
				w.write("go", "")
				w.eventually("the end of the job", func() bool { return strings.Contains(w.ok("queue", "c", "-o", "json").out, `"FAILED_USER"`) })
			}
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait()
			w.write("go", "")
			if r := w.exits(7, nil, launch...); strings.Count(r.out, "out-1\n") != 1 {
				t.Errorf("the log of the job: %q", r.out)
			}
			if n := len(w.nodes()); n != 1 {
				t.Errorf("%d machines", n)
			}
			queue := w.document(w.ok("queue", "c", "-o", "json"))["queues"].([]any)
			if jobs := queue[0].(map[string]any)["jobs"].([]any); len(jobs) != 1 {
				t.Errorf("%d jobs", len(jobs))
			}
			w.ok("down", "-y", "c")
			w.nothingLeft()
		})
	}
}

// killer is a forge that kills whoever asks, at one request: before it is carried out, or when it was and is not answered.
type killer struct {
	mu    sync.Mutex
	cmd   *exec.Cmd
	at    int // 0 = never
	seen  int
	after bool
	done  bool
}

// hit counts a request, and kills at the one that is meant.
func (k *killer) hit(after bool) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !after {
		k.seen++
	}
	if k.at == 0 || k.done || k.seen != k.at || k.after != after || k.cmd == nil {
		return false
	}
	k.done = true
	_ = k.cmd.Process.Kill()
	return true
}

// arm sets the request at which the next command dies.
func (k *killer) arm(at int, after bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.at, k.seen, k.after, k.done, k.cmd = at, 0, after, false, nil
}

// TestReportKilled kills each command that reports at each of its requests, before and after the forge carried it out. Tried
// again it leaves one comment and one check, which is not left running.
func TestReportKilled(t *testing.T) {
	t.Parallel()
	for _, kind := range []forge.Kind{forge.GitHub, forge.GitLab} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "report.md"), []byte("# Report\n\naccuracy 0.9\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			commands := [][]string{{"ci", "check", "--state", "running"}, {"comment", "create", "report.md", "--target", "pr/7"}, {"ci", "check", "--state", "success"}}
			killed := 0
			for victim := range commands {
				for _, after := range []bool{false, true} {
					for at := 1; ; at++ {
						if at > 30 {
							t.Fatal("there is no end of requests")
						}
						k := &killer{}
						s := &forgetest.Server{Kind: kind, Token: "tok", User: "me", Pulls: []forgetest.Pull{{Number: 7, SHA: "bbbbbbbbbb", Owner: "acme", Branch: "topic"}}}
						s.Fault = func(http.ResponseWriter, *http.Request, int) bool { return k.hit(false) }
						s.Lose = func(*http.Request, int) bool { return k.hit(true) }
						web := httptest.NewServer(s)
						run := func(args []string) bool {
							sky, err := skyProgram()
							if err != nil {
								t.Fatal(err)
							}
							cmd := exec.Command(sky, args...)
							cmd.Dir = dir
							cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "NO_COLOR=1", "GITHUB_ACTIONS=true", "GITHUB_API_URL=" + web.URL, "GITHUB_SERVER_URL=" + web.URL, "GITHUB_REPOSITORY=acme/model",
								"GITHUB_RUN_ID=900", "GITHUB_SHA=bbbbbbbbbb", "GITHUB_EVENT_NAME=push", "GITHUB_TOKEN=tok"}
							if kind == forge.GitLab {
								cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "NO_COLOR=1", "GITLAB_CI=true", "CI_API_V4_URL=" + web.URL + "/api/v4", "CI_SERVER_URL=" + web.URL, "CI_PROJECT_PATH=acme/model",
									"CI_COMMIT_SHA=bbbbbbbbbb", "CI_PIPELINE_ID=5", "CI_JOB_ID=9", "CI_JOB_NAME=fit", "REPO_TOKEN=tok"}
							}
							k.mu.Lock()
							err = cmd.Start()
							k.cmd = cmd
							k.mu.Unlock()
							if err != nil {
								t.Fatal(err)
							}
							return cmd.Wait() == nil
						}
						for i, args := range commands {
							if i == victim {
								k.arm(at, after)
								run(args)
							}
							was := k.died()
							if i != victim || was { // once more, as a step that is tried again
								k.arm(0, false)
								if !run(args) {
									t.Errorf("%v did not succeed after a death at request %d", args, at)
								}
							}
							if i == victim && !was {
								at = -1 // it has fewer requests
								break
							}
						}
						web.Close()
						if at == -1 {
							break
						}
						killed++
						where := fmt.Sprintf("%v, request %d, after %v", commands[victim], at, after)
						if c := s.Comments(); len(c) != 1 || !strings.Contains(c[0].Body, "accuracy 0.9") {
							t.Errorf("%s: %+v", where, c)
						}
						checks, statuses := s.Checks(), s.Statuses()
						switch {
						case kind == forge.GitHub && (len(checks) != 1 || checks[0].Conclusion != "success"):
							t.Errorf("%s: %+v", where, checks)
						case kind == forge.GitLab && (len(statuses) == 0 || statuses[len(statuses)-1].State != "success"):
							t.Errorf("%s: %+v", where, statuses)
						}
					}
				}
			}
			if killed < 10 {
				t.Errorf("%d deaths", killed)
			}
		})
	}
}

// died reports whether a command was killed.
func (k *killer) died() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.done
}
