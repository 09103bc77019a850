package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// status is all that `sky status` knows, to see that nothing has changed.
func (w *world) status() string {
	w.Helper()
	return w.ok("status", "-o", "json").out + w.ok("queue", "-o", "json").out
}

// TestRefusals: what cannot be done is refused in one clear sentence, by name, and changes nothing.
func TestRefusals(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "ALOFT_LOCAL_GPUS=V100:2")
	w.write("three.yaml", "num_nodes: 3\nrun: echo hi\n")
	w.write("gpu.yaml", "resources: {accelerators: 'V100:1'}\nrun: echo hi\n")
	w.write("huge.yaml", "resources: {accelerators: 'V100:8'}\nrun: echo hi\n")
	w.write("workdir.yaml", "workdir: ./missing\nrun: echo hi\n")
	w.write("bad.yaml", "run: [echo\n")
	w.ok("launch", "-y", "-c", "c", "--", "true")
	before := w.status()
	for _, x := range []struct {
		code int
		says []string
		args string
	}{
		{102, []string{`"nosuch"`, "sky status"}, "exec nosuch -- true"},
		{102, []string{"nosuch", "sky status"}, "logs nosuch"},
		{102, []string{"nosuch", "sky status"}, "down -y nosuch"},
		{102, []string{"nosuch", "sky status"}, "stop -y nosuch"},
		{102, []string{"nosuch", "sky status"}, "start -y nosuch"},
		{102, []string{"nosuch", "sky status"}, "autostop -y nosuch"},
		{102, []string{"nosuch", "sky status"}, "cancel -y nosuch"},
		{102, []string{"nosuch", "sky status"}, "queue nosuch"},
		{102, []string{"nosuch", "sky status"}, "status nosuch"},
		{102, []string{"nosuch"}, "why nosuch"},
		{102, []string{"7", "sky queue c"}, "logs c 7"},
		{102, []string{"7", "sky queue c"}, "cancel -y c 7"},
		{108, []string{"3 nodes", `"c"`, "has 1", "sky launch -c"}, "launch -y -c c three.yaml"},
		{108, []string{"V100:1", `"c"`, "sky launch -c"}, "launch -y -c c gpu.yaml"},
		{108, []string{"V100:1", `"c"`}, "exec c gpu.yaml"},
		{108, []string{"V100"}, "launch -y -c d huge.yaml"},
		{108, []string{"workdir.yaml:1:", "missing"}, "launch -y -c d workdir.yaml"},
		{108, []string{"bad.yaml:"}, "launch -y -c d bad.yaml"},
		{2, []string{`"Bad_Name!"`, "letter"}, "launch -y -c Bad_Name! -- true"},
		{2, []string{`"1abc"`, "letter"}, "launch -y -c 1abc -- true"},
		{2, []string{`"abc"`, "sky queue c"}, "logs c abc"},
		{2, []string{`"0"`, "sky queue c"}, "cancel -y c 0"},
		{2, []string{"yaml", "text, json"}, "status -o yaml"},
		{2, []string{"jobs_and_ssh"}, "launch -y -c d --wait-for nothing -- true"},
		{2, []string{"-i"}, "start -y --down c"},
		// Prompts that nobody can answer name the flag.
		{2, []string{"'d'", "-y"}, "launch -c d -- true"},
		{2, []string{": c.", "-y"}, "down c"},
		{2, []string{": c.", "-y"}, "stop c"},
		{2, []string{": c.", "-y"}, "start c"},
		{2, []string{": c.", "-y"}, "autostop c"},
		{2, []string{"cluster c", "-y"}, "cancel c"},
		{2, []string{": c.", "-y"}, "down -o json c"},
	} {
		r := w.exits(x.code, x.says, strings.Fields(x.args)...)
		text := strings.TrimSpace(r.errOut)
		if strings.HasSuffix(x.args, "-o json c") {
			text = strings.TrimSpace(r.out)
		}
		if n := strings.Count(text, "sky: "); text == "" || n > 1 {
			t.Errorf("sky %s: %d errors, want one: %s", x.args, n, text)
		}
	}
	if after := w.status(); after != before {
		t.Errorf("refusals changed\n%s\ninto\n%s", before, after)
	}
	// An unreadable mount, as a user whom permissions bind.
	t.Run("unreadable mount", func(t *testing.T) {
		u := asNobody(t)
		u.write("mount.yaml", "file_mounts:\n  /tmp/x: secret\nrun: echo hi\n")
		if err := os.Chmod(u.write("secret", "s"), 0o600); err != nil {
			t.Fatal(err)
		}
		u.exits(108, []string{"mount.yaml:2", "secret", "permission denied"}, "launch", "-y", "-c", "c", "mount.yaml")
		if _, err := os.Stat(filepath.Join(u.home, "state.db")); err == nil {
			t.Error("a controller was started for it")
		}
	})
	w.ok("down", "-y", "c")
	w.nothingLeft()
}

// TestAtOnce: verbs that meet on one cluster.
func TestAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "ALOFT_LOCAL_CREATE_DELAY=300ms")
	// Two launches of one new cluster: one cluster, one machine, both jobs.
	var both sync.WaitGroup
	results := make([]result, 2)
	for i, word := range []string{"alpha", "beta"} {
		both.Go(func() {
			results[i] = w.sky("launch", "-y", "-c", "c", "--", "echo did "+word+"; exit "+string(rune('3'+i)))
		})
	}
	both.Wait()
	for i, word := range []string{"alpha", "beta"} {
		if r := results[i]; r.code != 3+i || !strings.Contains(r.out, "did "+word+"\n") {
			t.Errorf("launch %d: code %d\n%s%s", i, r.code, r.out, r.errOut)
		}
	}
	if n := len(w.document(w.ok("status", "-o", "json"))["clusters"].([]any)); n != 1 || len(w.nodes()) != 1 {
		t.Errorf("%d clusters, machines %v", n, w.nodes())
	}
	// Cancel during setup, of the launch that waits for it.
	w.write("setup.yaml", "setup: echo setting; sleep 300\nrun: echo never\n")
	done := make(chan result)
	go func() { done <- w.sky("launch", "-y", "-c", "c", "setup.yaml") }()
	w.says("SETTING_UP", "queue", "c")
	w.ok("cancel", "-y", "c")
	if r := <-done; r.code != 103 || strings.Contains(r.out, "never") {
		t.Errorf("a launch cancelled in setup: code %d\n%s%s", r.code, r.out, r.errOut)
	}
	// Launch on a cluster that is terminating, which takes its deaf job a while. Should it be gone already, it is made anew.
	w.ok("exec", "-d", "c", "--", "trap '' TERM; echo deaf; while :; do sleep 0.1; done")
	w.says("deaf", "logs", "c", "4", "--no-follow", "--tail", "all", "-o", "json")
	w.ok("down", "-y", "--async", "c")
	if r := w.sky("launch", "-y", "-c", "c", "--", "true"); r.code != 0 && (r.code != 107 || !strings.Contains(r.errOut, `"c" is being terminated`) || !strings.Contains(r.errOut, "sky status c")) {
		t.Errorf("a launch on a terminating cluster: code %d\n%s%s", r.code, r.out, r.errOut)
	}
	w.eventually("the end of the cluster", func() bool { r := w.sky("down", "-y", "c"); return r.code == 0 || r.code == 102 })
	// Down during a launch that is asking for its machine.
	go func() { done <- w.sky("launch", "-y", "-c", "d", "--", "sleep 300; echo never") }()
	w.says("\nd ", "status")
	w.ok("down", "-y", "d")
	if r := <-done; r.code != 103 || strings.Contains(r.out, "never\n") && !strings.Contains(r.out, "Command to run") {
		t.Errorf("a launch that was taken down: code %d\n%s%s", r.code, r.out, r.errOut)
	}
	w.nothingLeft()
}

// TestJSON: every command's output under -o json is JSON, on success and on failure, and nothing else is on it.
func TestJSON(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.write("t.yaml", "run: echo hi; echo oops >&2\n")
	w.write("a.csv", "x,y\n1,0\n2,1\n3,0\n4,1\n5,0\n6,1\n")
	for _, x := range []struct {
		code int
		args string
	}{
		{1, "api status"}, {0, "api start"}, {0, "api status"}, {0, "api info"}, {0, "api logs"}, {0, "version"}, {0, "check"}, {0, "check local"}, {102, "check nosuch"},
		{0, "gpus list"}, {0, "show-gpus"}, {0, "status"}, {0, "queue"}, {0, "cost-report"}, {0, "gc"}, {0, "validate t.yaml"}, {0, "launch --dryrun -c c t.yaml"},
		{2, "launch -c c t.yaml"}, {0, "launch -y -c c t.yaml"}, {9, "exec c -- exit-9"}, {0, "logs c 1"}, {0, "logs c 1 --status"}, {0, "logs c 1 --sync-down"},
		{0, "logs c --provision"}, {0, "why c"}, {0, "why c/1"}, {0, "status c"}, {0, "status -v -r c"}, {0, "queue c"}, {0, "cancel -y c"}, {0, "autostop -y -i 10 c"},
		{0, "stop -y c"}, {107, "exec c -- true"}, {0, "start -y c"}, {0, "exec -d c -- true"}, {0, "launch -y -c c --async t.yaml"},
		{0, "test --train a.csv --label y --suite data_integrity --fail-on never"}, {2, "test"}, {2, "test nosuch.yaml"},
		{102, "status nosuch"}, {102, "queue nosuch"}, {102, "logs nosuch"}, {102, "why nosuch"}, {102, "cancel -y nosuch"}, {102, "down -y nosuch"}, {102, "exec nosuch -- true"},
		{2, "launch --nosuch"}, {2, "status --nosuch"}, {2, "nosuch"}, {2, "down"}, {2, "launch nosuch.yaml"}, {2, "validate nosuch.yaml"}, {2, "gpus list V100:x"}, {2, "logs"},
		{0, "down -y c"}, {0, "down -y -a"}, {0, "api stop"}, {0, "api stop"},
	} {
		args := strings.Fields(x.args)
		if i := indexOf(args, "--"); i >= 0 {
			if args[i+1] == "exit-9" {
				args = append(args[:i+1], "exit 9")
			}
			args = append(args[:i:i], append([]string{"-o", "json"}, args[i:]...)...)
		} else {
			args = append(args, "-o", "json")
		}
		r := w.sky(args...)
		if r.code != x.code {
			t.Errorf("sky %s: code %d, want %d\n%s%s", x.args, r.code, x.code, r.out, r.errOut)
			continue
		}
		if x.args == "nosuch" { // no such command takes no flags
			continue
		}
		n := 0
		d := json.NewDecoder(strings.NewReader(r.out))
		for d.More() {
			var doc map[string]any
			if err := d.Decode(&doc); err != nil {
				t.Errorf("sky %s: %v\n%s", x.args, err, r.out)
				break
			}
			n++
		}
		if n == 0 {
			t.Errorf("sky %s: no document\n%s", x.args, r.errOut)
		}
		if r.errOut != "" && x.code != 0 {
			t.Errorf("sky %s: words beside the document: %s", x.args, r.errOut)
		}
	}
	w.nothingLeft()
}

func indexOf(args []string, s string) int {
	for i, a := range args {
		if a == s {
			return i
		}
	}
	return -1
}
