package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestClustersEnd: what ends a cluster or keeps it from coming up, and what is told of it.
func TestClustersEnd(t *testing.T) {
	t.Parallel()
	t.Run("down after its jobs", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.exits(3, []string{"did it"}, "launch", "-y", "-c", "c", "--down", "--", "echo did it; exit 3")
		w.says("No existing clusters", "status")
		w.exits(3, []string{"did it"}, "logs", "c", "1")
		w.nothingLeft()
	})
	t.Run("down after its jobs, without a controller", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.ok("launch", "-y", "-d", "-c", "c", "--down", "--num-nodes", "2", "--", "while [ ! -e "+w.dir+"/go ]; do sleep 0.05; done; echo did it; exit 3")
		w.says("RUNNING", "queue", "c")
		w.killController()
		w.write("go", "")
		w.eventually("the end of the nodes without a controller", func() bool {
			off, _ := filepath.Glob(filepath.Join(w.home, "local", "n-*", "poweroff"))
			return len(off) == 2
		})
		// What the machines had not told anybody went with them, and is not made up.
		w.exits(104, []string{"powered off"}, "logs", "c", "1")
		w.says("No existing clusters", "status")
		w.nothingLeft()
	})
	t.Run("preempted", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.write("t.yaml", "resources:\n  labels: {aloft.dev/local-preempt-after: 3s}\nrun: echo begun; sleep 4324\n")
		r := w.exits(104, []string{"begun", "preempted"}, "launch", "-y", "-c", "c", "t.yaml")
		if r.took > time.Minute {
			t.Errorf("it took %s to notice", r.took)
		}
		if j := w.job("c", 1); j["phase"] != "FAILED_INFRA" {
			t.Errorf("the job: %v", j)
		}
		w.exits(104, []string{"preempted"}, "logs", "c", "1")
		w.exits(0, []string{"preempted"}, "why", "c")
		if r := w.sky("down", "-y", "c"); r.code != 0 && r.code != 102 {
			t.Errorf("down: %+v", r)
		}
		w.nothingLeft()
	})
	for _, x := range []struct {
		fail, says string
		tried      int
		code       int
	}{
		{"capacity", "capacity", 2, 104}, {"quota", "quota", 2, 104}, {"auth", "auth", 1, 108},
	} {
		t.Run("refused for "+x.fail, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, "ALOFT_LOCAL_FAIL="+x.fail, "ALOFT_LOCAL_REGIONS=east,west")
			w.exits(x.code, []string{x.says}, "launch", "-y", "-c", "c", "--", "echo never")
			w.exits(x.code, []string{x.says}, "logs", "c", "1")
			why := w.exits(0, []string{x.says, "Placement attempts", "east"}, "why", "c")
			if n := strings.Count(why.out, "pretended "+x.fail); n < x.tried {
				t.Errorf("%d attempts are told, want %d:\n%s", n, x.tried, why.out)
			}
			w.nothingLeft()
		})
	}
	t.Run("refused where it was tried first", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, "ALOFT_LOCAL_FAIL=quota@east", "ALOFT_LOCAL_REGIONS=east,west")
		w.exits(2, []string{"west"}, "launch", "-y", "-c", "c", "--", "echo here; exit 2")
		w.exits(0, []string{"Placement attempts", "east", "quota", "west"}, "status", "-v", "c")
		w.ok("down", "-y", "c")
		w.nothingLeft()
	})
	for _, x := range []struct{ name, agent, says string }{
		{"missing", "nosuch", "no such file"},
		{"garbage", "garbage", "start the agent"},
		{"empty", "empty", "start the agent"},
	} {
		t.Run("agent "+x.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.write("garbage", "\x7fELF\xff\xfe\x00\x01 not a program\n")
			w.write("empty", "")
			w.env = append(w.env, "ALOFT_AGENT="+filepath.Join(w.dir, x.agent))
			r := w.exits(104, []string{x.says}, "launch", "-y", "-c", "c", "--", "echo never")
			if r.took > 45*time.Second {
				t.Errorf("it took %s to give up", r.took)
			}
			w.exits(0, []string{x.says}, "why", "c")
			w.says("No existing clusters", "status")
			w.nothingLeft()
		})
	}
	t.Run("stop and start keep files", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.ok("launch", "-y", "-c", "c", "--num-nodes", "2", "--", "echo mine-$SKYPILOT_NODE_RANK > ~/kept; mkdir -p ~/d/e; ln -s ../kept ~/d/link; sleep 4325 >/dev/null 2>&1 & disown")
		w.ok("stop", "-y", "c")
		if ps := w.processes(); len(ps) != 0 {
			t.Errorf("processes %v of a stopped cluster", ps)
		}
		w.exits(107, []string{"sky start c"}, "exec", "c", "--", "true")
		w.ok("start", "-y", "c")
		r := w.ok("exec", "c", "--num-nodes", "2", "--", "cat ~/d/link")
		if !strings.Contains(r.out, "mine-0\n") || !strings.Contains(r.out, "mine-1\n") {
			t.Errorf("files of a restarted cluster: %s", r.out)
		}
		w.ok("down", "-y", "c")
		w.nothingLeft()
	})
	t.Run("budget", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.write("b.yaml", "budget: {max_duration: 2s}\nrun: echo begun; sleep 4326\n")
		w.ok("launch", "-y", "-c", "c")
		w.ok("exec", "-d", "c", "b.yaml")
		w.says("RUNNING", "queue", "c")
		w.killController() // the node keeps to it alone
		w.eventually("the end of the job", func() bool { return len(w.processes("sleep 4326")) == 0 })
		w.exits(105, []string{"begun", "max_duration"}, "logs", "c", "1")
		w.exits(2, nil, "exec", "c", "--", "exit 2")
		w.ok("down", "-y", "c")
		w.nothingLeft()
	})
}

// TestQueue: accelerators by fractions, back-fill, setup that fails somewhere, and the verdicts of suites.
func TestQueue(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "ALOFT_LOCAL_GPUS=V100:2")
	w.ok("launch", "-y", "-c", "c", "--gpus", "V100:2")
	hold := func(word string) string {
		return "echo dev=$CUDA_VISIBLE_DEVICES; while [ ! -e " + w.dir + "/" + word + " ]; do sleep 0.05; done; echo over"
	}
	device := func(job string) string {
		w.says("dev=", "logs", "c", job, "--no-follow")
		out := w.sky("logs", "c", job, "--no-follow").out
		_, rest, _ := strings.Cut(out, "dev=")
		return strings.TrimSpace(strings.SplitN(rest, "\n", 2)[0])
	}
	w.ok("exec", "-d", "c", "--gpus", "V100:0.5", "--", hold("a")) // 1
	w.ok("exec", "-d", "c", "--gpus", "V100:0.5", "--", hold("b")) // 2: shares the device of 1
	w.ok("exec", "-d", "c", "--gpus", "V100:1", "--", hold("c"))   // 3: the other device
	a, b, other := device("1"), device("2"), device("3")
	if a != b || a == other || (a != "0" && a != "1") || (other != "0" && other != "1") {
		t.Errorf("devices %q, %q and %q: two halves share one, the third has the other", a, b, other)
	}
	w.write("b", "")
	w.exits(0, []string{"over"}, "logs", "c", "2")
	w.ok("exec", "-d", "c", "--gpus", "V100:2", "--", hold("d"))                                // 4: must wait for both
	w.exits(0, []string{"cpu dev=\n"}, "exec", "c", "--", "echo cpu dev=$CUDA_VISIBLE_DEVICES") // 5: needs none, fills in
	w.ok("exec", "-d", "c", "--gpus", "V100:0.5", "--", "echo late")                            // 6: fits beside 1, but 4 would wait longer
	w.says("waits for", "queue", "c")
	w.write("c", "")
	w.exits(0, []string{"over"}, "logs", "c", "3")
	for _, job := range []string{"4", "6"} {
		if s := w.sky("logs", "c", job, "--status"); s.code != 101 {
			t.Errorf("job %s ran ahead: %+v", job, s)
		}
	}
	w.write("a", "")
	w.write("d", "")
	for _, job := range []string{"1", "4", "6"} {
		w.exits(0, nil, "logs", "c", job)
	}
	if d := device("4"); d != "0,1" {
		t.Errorf("job 4 has devices %q", d)
	}
	w.exits(108, []string{"V100:3"}, "exec", "c", "--gpus", "V100:3", "--", "true")
	w.ok("down", "-y", "c")

	// Setup fails on one node: all are stopped, nothing runs.
	w.write("setup.yaml", "num_nodes: 3\nsetup: |\n  echo node $SKYPILOT_SETUP_NODE_RANK\n  if [ $SKYPILOT_SETUP_NODE_RANK = 1 ]; then exit 9; fi\nrun: touch "+w.dir+"/ran\n")
	w.exits(100, []string{"node 1", "setup"}, "launch", "-y", "-c", "g", "setup.yaml")
	if _, err := os.Stat(filepath.Join(w.dir, "ran")); err == nil {
		t.Error("run began although setup failed")
	}
	if j := w.job("g", 1); j["phase"] != "FAILED_SETUP" {
		t.Errorf("the job: %v", j)
	}

	// Suites: a check that fails, one that is only to be told, and one that warns.
	w.write("wd/a.csv", "x,y\n1,1\n1,0\n1,1\n1,0\n")
	suite := func(name, condition, failOn string) string {
		return w.write(name, "workdir: wd\nrun: echo ran\ntests:\n  kind: tabular\n  train: a.csv\n  label: y\n"+condition+"  fail_on: "+failOn+"\n")
	}
	single := "  checks:\n    - IsSingleValue\n"
	w.exits(106, []string{"ran", "FAIL", "Single Value"}, "launch", "-y", "-c", "g", suite("fail.yaml", single, "fail"))
	w.exits(0, []string{"ran", "FAIL"}, "launch", "-y", "-c", "g", suite("never.yaml", single, "never"))
	w.exits(106, []string{"FAIL"}, "launch", "-y", "-c", "g", suite("warn.yaml", single, "warn"))
	w.exits(106, []string{"ran"}, "logs", "g", "2")
	w.ok("down", "-y", "g")
	w.nothingLeft()
}
