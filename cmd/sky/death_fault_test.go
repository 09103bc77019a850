package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestDeaths: whatever dies while a job runs, its outcome is right, its log is whole, and nothing is left behind.
func TestDeaths(t *testing.T) {
	t.Parallel()
	t.Run("agent", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.ok("launch", "-y", "-c", "c")
		w.ok("exec", "-d", "c", "--", `for i in $(seq 1 400); do echo "line $i"; sleep 0.005; done; touch $HOME/near; while [ ! -e $HOME/go ]; do sleep 0.05; done; echo last; exit 3`)
		for range 3 { // it comes back every time
			w.says("line", "logs", "c", "1", "--no-follow")
			w.eventually("an agent", func() bool { return len(w.processes("sky-agent-", " run ")) == 1 })
			w.kill(w.processes("sky-agent-", " run ")[0])
		}
		home := filepath.Join(w.nodes()[0], "home")
		w.eventually("the job going on without an agent", func() bool { _, err := os.Stat(filepath.Join(home, "near")); return err == nil })
		if err := os.WriteFile(filepath.Join(home, "go"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		w.exits(3, nil, "logs", "c", "1")
		var want strings.Builder
		for i := range 400 {
			fmt.Fprintf(&want, "line %d\n", i+1)
		}
		w.ok("logs", "c", "1", "--sync-down", "--results", "r")
		if got := w.read("r/run.log"); got != want.String()+"last\n" {
			t.Errorf("the log has %d bytes, not %d, or others", len(got), want.Len()+5)
		}
		w.ok("down", "-y", "c")
		w.nothingLeft()
	})
	t.Run("shim", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.ok("launch", "-y", "-c", "c")
		w.ok("exec", "-d", "c", "--", "echo begun; sleep 4322")
		w.says("begun", "logs", "c", "1", "--no-follow")
		for _, pid := range w.processes("sky-agent-", " shim") {
			w.kill(pid)
		}
		w.exits(104, []string{"begun"}, "logs", "c", "1")
		j := w.job("c", 1)
		if why, _ := j["failure"].(map[string]any); j["phase"] != "FAILED_INFRA" || why == nil || why["message"] == "" {
			t.Errorf("the job: %v", j)
		}
		w.eventually("the end of what the dead keeper kept", func() bool { return len(w.processes("sleep 4322")) == 0 })
		w.exits(6, nil, "exec", "c", "--", "exit 6") // the cluster can be used on
		w.ok("down", "-y", "c")
		w.nothingLeft()
	})
	t.Run("all of a node", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.ok("launch", "-y", "-c", "c")
		w.ok("exec", "-d", "c", "--", "echo begun; sleep 4323")
		w.says("begun", "logs", "c", "1", "--no-follow")
		w.eventually("the end of the node's processes", func() bool {
			left := w.processes()
			for _, pid := range left {
				w.kill(pid)
			}
			return len(left) == 0
		})
		w.exits(104, []string{"begun"}, "logs", "c", "1")
		if j := w.job("c", 1); j["phase"] != "FAILED_INFRA" {
			t.Errorf("the job: %v", j)
		}
		w.says(`"status": "UP"`, "status", "c", "-o", "json")
		w.exits(6, nil, "exec", "c", "--", "exit 6")
		w.ok("down", "-y", "c")
		w.nothingLeft()
	})
	t.Run("controller, with jobs queued", func(t *testing.T) {
		t.Parallel()
		queuedThroughDeath(newWorld(t, "ALOFT_LOCAL_GPUS=V100:1"))
	})
}

// job is one job of `sky queue`.
func (w *world) job(cluster string, number int) map[string]any {
	w.Helper()
	qs := w.document(w.ok("queue", cluster, "-o", "json"))["queues"].([]any)
	for _, x := range qs[0].(map[string]any)["jobs"].([]any) {
		if j := x.(map[string]any); j["job_id"] == float64(number) {
			return j
		}
	}
	w.Fatalf("no job %d", number)
	return nil
}

// queuedThroughDeath: twelve jobs, four of them gangs of four, end in order while there is no controller at all.
func queuedThroughDeath(w *world) {
	w.ok("launch", "-y", "-c", "g", "--num-nodes", "4", "--gpus", "V100:1")
	w.ok("exec", "-d", "g", "--num-nodes", "4", "--gpus", "V100:1", "--", "while [ ! -e "+w.dir+"/go ]; do sleep 0.05; done; echo first >> "+w.dir+"/order-$SKYPILOT_NODE_RANK; echo body 1")
	for i := 2; i <= 12; i++ {
		args, code := []string{"exec", "-d", "g", "--gpus", "V100:1"}, i%3
		if i%4 == 0 {
			args, code = append(args, "--num-nodes", "4"), 0 // a rank that fails would stop the others
		}
		w.ok(append(args, "--", fmt.Sprintf("echo body %d rank $SKYPILOT_NODE_RANK; echo %d >> %s/done; exit %d", i, i, w.dir, code))...)
	}
	w.eventually("the jobs' being on the nodes", func() bool { // before that, they are the controller's
		q := w.ok("queue", "g", "-o", "json").out
		return strings.Count(q, `"phase": "RUNNING"`) == 5 && strings.Count(q, `"phase": "ACCEPTED"`) == 8+3*4
	})
	w.killController()
	w.write("go", "")
	w.eventually("the end of all jobs without a controller", func() bool {
		b, _ := os.ReadFile(filepath.Join(w.dir, "done"))
		return bytes.Count(b, []byte("\n")) == 8+3*4
	})
	if w.controllerPID() != 0 {
		w.Error("a controller runs")
	}
	for i := 1; i <= 12; i++ {
		code := 0
		if i > 1 && i%4 != 0 {
			code = i % 3
		}
		r := w.exits(code, nil, "logs", "g", fmt.Sprint(i), "--tail", "all")
		ranks := 1
		if i%4 == 0 || i == 1 {
			ranks = 4
		}
		if n := strings.Count(r.out, fmt.Sprintf("body %d", i)); n != ranks {
			w.Errorf("job %d: %d lines of %d\n%s", i, n, ranks, r.out)
		}
	}
	w.ok("down", "-y", "g")
	w.nothingLeft()
}
