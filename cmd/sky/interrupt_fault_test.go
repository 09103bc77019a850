//go:build linux

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestCICancel sends what GitHub's runner sends when a job is cancelled: SIGINT to the step's shell, SIGTERM to it, and in
// the end the death of everything. In every form in which a step may call the program the job is ended.
func TestCICancel(t *testing.T) {
	t.Parallel()
	for _, x := range []struct {
		name, step string
		args       string
		gone       bool // the cluster, too
		parentOnly bool // the shell dies at once
	}{
		{"plain", "SKY\necho after", "", true, false},
		{"exec", "exec SKY", "", true, false},
		{"piped", "SKY | cat", "", true, false},
		{"the shell is killed", "SKY\necho after", "", true, true},
		{"cancel", "SKY\necho after", "--on-interrupt cancel", false, false},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, "GITHUB_ACTIONS=true", "GITHUB_REPOSITORY=acme/model", "GITHUB_RUN_ID=7")
			sky, err := skyProgram()
			if err != nil {
				t.Fatal(err)
			}
			w.ok("api", "start") // by another process: the runner's end of the step's processes must not be what ends the job
			script := strings.ReplaceAll(x.step+"\n", "SKY", sky+` launch -y -c c `+x.args+` -- 'touch $HOME/begun; sleep 4323'`)
			file := w.write("step.sh", script)
			cmd := exec.Command("bash", "--noprofile", "--norc", "-e", "-o", "pipefail", file)
			cmd.Dir, cmd.Env = w.dir, w.env
			cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			w.eventually("the job", func() bool {
				for _, n := range w.nodes() {
					if _, err := os.Stat(filepath.Join(n, "home", "begun")); err == nil {
						return true
					}
				}
				return false
			})
			if !x.parentOnly {
				_ = cmd.Process.Signal(syscall.SIGINT)
				_ = cmd.Process.Signal(syscall.SIGTERM)
			} else {
				_ = cmd.Process.Kill()
			}
			_ = cmd.Wait()
			w.eventually("the end of the job", func() bool { return len(w.processes("sleep 4323")) == 0 })
			if x.gone {
				w.eventually("the end of the cluster", func() bool { return len(w.nodes()) == 0 })
				w.nothingLeft()
				return
			}
			w.exits(exitCancelled, nil, "logs", "c", "1")
			w.ok("down", "-y", "c")
			w.nothingLeft()
		})
	}
}
