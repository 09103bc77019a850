package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"aloft/controller/seal"
	"aloft/controller/store"
	"aloft/controller/store/boltstore"
	controlv1 "aloft/proto/sky/control/v1"
	statev1 "aloft/proto/sky/state/v1"
)

// benchRig is a home with a controller of its own, driven through the program as it is released.
type benchRig struct {
	b    *testing.B
	bin  string
	home string
	dir  string // working directory of the commands
	env  []string
}

// buildRelease builds a program as `make build` does and returns its path.
func buildRelease(b *testing.B, name, goos, goarch, pkg string) string {
	b.Helper()
	out := filepath.Join(b.TempDir(), name)
	cmd := exec.Command("go", "build", "-tags", "grpcnotrace,arrow_json_stdlib", "-ldflags", "-s -w", "-o", out, pkg)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+goos, "GOARCH="+goarch)
	if text, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("build %s: %v\n%s", name, err, text)
	}
	return out
}

func newBenchRig(b *testing.B, bin string) *benchRig {
	b.Helper()
	dir, err := os.MkdirTemp("", "sky-bench-*")
	if err != nil {
		b.Fatal(err)
	}
	r := &benchRig{b: b, bin: bin, home: filepath.Join(dir, "h"), dir: dir}
	if err := os.MkdirAll(r.home, 0o700); err != nil {
		b.Fatal(err)
	}
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "ALOFT_") && !strings.HasPrefix(kv, "HOME=") && !strings.HasPrefix(kv, "GO") {
			r.env = append(r.env, kv)
		}
	}
	r.env = append(r.env, "ALOFT_HOME="+r.home, "HOME="+dir, "NO_COLOR=1", "USER=bench")
	if _, err := payload.ReadFile("payload/agent-" + runtime.GOOS + "-" + runtime.GOARCH + ".zst"); err != nil {
		r.env = append(r.env, agentEnv+"="+agentUnderTest) // built without `make build`: no agent is carried
	}
	b.Cleanup(func() {
		endAll(r.home)
		if err := os.RemoveAll(dir); err != nil {
			// A process that was ending may still have written: once more, now that it is gone.
			os.RemoveAll(dir)
		}
	})
	return r
}

func (r *benchRig) cmd(args ...string) *exec.Cmd {
	c := exec.Command(r.bin, args...)
	c.Env, c.Dir = r.env, r.dir
	return c
}

// must runs a command that has to succeed and returns what it printed.
func (r *benchRig) must(args ...string) string {
	r.b.Helper()
	out, err := r.cmd(args...).CombinedOutput()
	if err != nil {
		r.b.Fatalf("sky %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// measure runs a command to its end: wall time from before the fork, and its peak resident memory in MB.
func (r *benchRig) measure(args ...string) (time.Duration, float64) {
	r.b.Helper()
	c := r.cmd(args...)
	began := time.Now()
	err := c.Run()
	took := time.Since(began)
	if err != nil {
		r.b.Fatalf("sky %s: %v", strings.Join(args, " "), err)
	}
	ru, ok := c.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		r.b.Fatal("no rusage")
	}
	return took, float64(ru.Maxrss) / 1024
}

// forgetPeak makes this process small and forgets its peak: a child's ru_maxrss begins with that of its parent.
func forgetPeak() {
	debug.FreeOSMemory()
	_ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0o200)
}

// firstLine runs a command and measures until it prints a line that holds mark; then it lets the command end.
func (r *benchRig) firstLine(mark string, args ...string) time.Duration {
	r.b.Helper()
	c := r.cmd(args...)
	var errText bytes.Buffer
	c.Stderr = &errText
	out, err := c.StdoutPipe()
	if err != nil {
		r.b.Fatal(err)
	}
	began := time.Now()
	if err := c.Start(); err != nil {
		r.b.Fatal(err)
	}
	var took time.Duration
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if strings.Contains(lines.Text(), mark) {
			took = time.Since(began)
			break
		}
	}
	_, _ = io.Copy(io.Discard, out)
	if err := c.Wait(); err != nil || took == 0 {
		r.b.Fatalf("sky %s: %v, first line seen: %t\n%s", strings.Join(args, " "), err, took > 0, errText.String())
	}
	return took
}

// client is a connection to the rig's controller, which must run.
func (r *benchRig) client() *client {
	r.b.Helper()
	a := &app{home: r.home, getenv: os.LookupEnv, errOut: os.Stderr, readBuffer: largeReads}
	c, _, err := a.dial(context.Background())
	if err != nil {
		r.b.Fatal(err)
	}
	r.b.Cleanup(c.Close)
	return c
}

// controllerPID is the process that serves the rig's home.
func (r *benchRig) controllerPID() int {
	r.b.Helper()
	info, err := r.client().Info(context.Background(), &controlv1.InfoRequest{})
	if err != nil {
		r.b.Fatal(err)
	}
	return int(info.GetPid())
}

// agentPIDs are the agents on the rig's local nodes.
func (r *benchRig) agentPIDs() []int {
	var pids []int
	procs, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, p := range procs {
		b, err := os.ReadFile(p)
		if err != nil || !bytes.Contains(b, []byte("\x00run\x00")) || !bytes.Contains(b, []byte(r.home)) {
			continue
		}
		if pid, err := strconv.Atoi(strings.Split(p, "/")[2]); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// memory reads a field of /proc/PID/FILE in MB; 0 when the process is gone.
func memory(pid int, file, field string) float64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, field+":"); ok {
			kb, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			if err != nil {
				return 0
			}
			return kb / 1024
		}
	}
	return 0
}

// fillStore writes clusters into the home's store before any controller runs: live ones are stopped, so that nothing
// is done about them, the others ended.
func (r *benchRig) fillStore(ended, live int) {
	r.b.Helper()
	if _, err := seal.Open(r.home, false); err != nil {
		r.b.Fatal(err)
	}
	st, err := boltstore.Open(filepath.Join(r.home, "state.db"), boltstore.Options{NoSync: true})
	if err != nil {
		r.b.Fatal(err)
	}
	now := time.Now()
	cand := &statev1.Candidate{Provider: "local", Region: "local", InstanceType: "local", Cpus: 16, MemoryGb: 64, HourlyPrice: 1.25}
	_, err = st.Update(context.Background(), func(tx store.Tx) error {
		for i := range ended + live {
			id := fmt.Sprintf("bench%05d", i)
			c := &statev1.Cluster{Id: id, Name: fmt.Sprintf("train-%d", i), User: "bench", NumNodes: 1, LastCommand: "sky launch -c train task.yaml",
				Desired: statev1.ClusterDesired_CLUSTER_DESIRED_STOPPED, Candidates: []*statev1.Candidate{cand}, LastEvent: "stopped",
				CreatedMs: now.UnixMilli(), LaunchedMs: now.Add(-time.Duration(i) * time.Minute).UnixMilli(), UpMs: now.UnixMilli(),
				Billing: []*statev1.BillingInterval{{StartMs: now.Add(-time.Hour).UnixMilli(), EndMs: now.UnixMilli(), HourlyPrice: 1.25, Nodes: 1}}}
			n := &statev1.Node{Id: id + "n", ClusterId: id, Name: c.Name + "-head", Phase: statev1.NodePhase_NODE_STOPPED,
				Desired: statev1.NodeDesired_NODE_DESIRED_STOPPED, Candidate: cand, Cpus: 16, RetryMs: now.Add(time.Hour).UnixMilli()}
			if i < ended {
				c.Desired, c.EndedMs, c.LastEvent = statev1.ClusterDesired_CLUSTER_DESIRED_DOWN, now.UnixMilli(), "torn down"
				n.Phase, n.Desired = statev1.NodePhase_NODE_GONE, statev1.NodeDesired_NODE_DESIRED_GONE
			}
			if err := tx.Put(store.Cluster, c.GetId(), c); err != nil {
				return err
			}
			if err := tx.Put(store.Node, n.GetId(), n); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		r.b.Fatal(err)
	}
	if err := st.Close(); err != nil {
		r.b.Fatal(err)
	}
}

// times are measurements of one thing.
type times []time.Duration

func (t times) at(q float64) float64 {
	s := slices.Sorted(slices.Values(t))
	return float64(s[min(int(q*float64(len(s))), len(s)-1)].Microseconds()) / 1000
}

// report shows the least, the middle and, of enough samples, the tail, in milliseconds.
func (t times) report(b *testing.B) {
	b.Helper()
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(t.at(0), "best-ms")
	b.ReportMetric(t.at(0.5), "p50-ms")
	if len(t) >= 100 {
		b.ReportMetric(t.at(0.99), "p99-ms")
	}
}
