package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	controlv1 "aloft/proto/sky/control/v1"
	statev1 "aloft/proto/sky/state/v1"
)

// BenchmarkSky measures the program as its users meet it: released binaries, real processes, real sockets, real disks.
// docs/performance.md names the figures that are wanted and those that were measured.
func BenchmarkSky(b *testing.B) {
	if runtime.GOOS != "linux" {
		b.Skip("memory is read from /proc")
	}
	bin := buildRelease(b, "sky", runtime.GOOS, runtime.GOARCH, ".")
	for _, m := range []struct {
		name string
		run  func(b *testing.B, r *benchRig)
	}{
		{"Help", func(b *testing.B, r *benchRig) { r.command("--help") }},
		{"Validate", benchValidate},
		{"Status1000", func(b *testing.B, r *benchRig) { r.fillStore(900, 100); r.must("status"); r.command("status") }},
		{"Status1000Live", func(b *testing.B, r *benchRig) { r.fillStore(0, 1000); r.must("status"); r.command("status") }},
		{"Launch", benchLaunch},
		{"Exec", benchExec},
		{"Jobs1000", benchJobs},
		{"FollowExec", benchFollowExec},
		{"FollowLogs", benchFollowLogs},
		{"LineLatency", benchLineLatency},
		{"Idle", benchIdle},
		{"Concurrent1000Status", benchConcurrentStatus},
		{"Sizes", benchSizes},
	} {
		b.Run(m.name, func(b *testing.B) { m.run(b, newBenchRig(b, bin)) })
	}
}

// command measures one command line: wall time and peak memory.
func (r *benchRig) command(args ...string) {
	forgetPeak()
	var took times
	var peak float64
	for r.b.Loop() {
		t, mb := r.measure(args...)
		took, peak = append(took, t), max(peak, mb)
	}
	took.report(r.b)
	r.b.ReportMetric(peak, "peak-MB")
}

func benchValidate(b *testing.B, r *benchRig) {
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		b.Fatal(err)
	}
	r.command("validate", filepath.Join(root, "examples", "quickstart", "task.yaml"))
}

// benchLaunch is a launch onto a new local cluster with a controller that runs, to the first line of `run`.
func benchLaunch(b *testing.B, r *benchRig) {
	r.must("launch", "-y", "-c", "warm", "--", "true")
	var took times
	for b.Loop() {
		for range 10 {
			name := fmt.Sprintf("c%d", len(took))
			took = append(took, r.firstLine("line-42", "launch", "-y", "-c", name, "--", "echo line-$((40+2))"))
			r.must("down", "-y", name)
		}
	}
	took.report(b)
}

// benchExec is an exec on a cluster that is up, to the first line of `run`.
func benchExec(b *testing.B, r *benchRig) {
	r.must("launch", "-y", "-c", "c", "--", "true")
	var took times
	for b.Loop() {
		took = append(took, r.firstLine("line-42", "exec", "c", "--", "echo line-$((40+2))"))
	}
	took.report(b)
}

// benchJobs submits 1,000 jobs to the queue of one cluster through the API and waits for their results, three times; the
// fastest counts.
func benchJobs(b *testing.B, r *benchRig) {
	r.must("launch", "-y", "-c", "c", "--", "true")
	c := r.client()
	round := 0
	var best, submitted float64
	for b.Loop() {
		for range 3 {
			round++
			if all, sub := thousandJobs(b, c, round); all > best {
				best, submitted = all, sub
			}
		}
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(best, "jobs/s")
	b.ReportMetric(submitted, "submitted/s")
}

// thousandJobs gives the rates at which 1,000 jobs were done with, submission included, and were submitted.
func thousandJobs(b *testing.B, c *client, round int) (done, submitted float64) {
	const jobs, callers = 1000, 64
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ans, err := c.Clusters(ctx, &controlv1.ClustersQuery{Names: []string{"c"}})
	if err != nil {
		b.Fatal(err)
	}
	events, err := c.Watch(ctx, &controlv1.WatchRequest{FromRev: ans.GetRev(), ClusterId: ans.GetClusters()[0].GetCluster().GetId()})
	if err != nil {
		b.Fatal(err)
	}
	began := time.Now()
	var wg sync.WaitGroup
	for w := range callers {
		wg.Go(func() {
			for i := w; i < jobs; i += callers {
				_, err := c.Exec(ctx, &controlv1.ExecRequest{RequestId: fmt.Sprintf("bench-%d-%d", round, i), User: "bench", ClusterName: "c",
					Task: &statev1.TaskSpec{Name: "true", Run: "true", NumNodes: 1}})
				if err != nil {
					b.Error(err)
					cancel()
					return
				}
			}
		})
	}
	all := make(chan time.Duration, 1)
	go func() { wg.Wait(); all <- time.Since(began) }()
	ended := map[string]bool{}
	for len(ended) < jobs {
		ev, err := events.Recv()
		if err != nil {
			b.Fatal(err)
		}
		j := ev.GetJob().GetJob()
		switch {
		case j.GetPhase() == statev1.JobPhase_JOB_SUCCEEDED:
			ended[j.GetId()] = true
		case j.GetPhase() > statev1.JobPhase_JOB_SUCCEEDED:
			b.Fatalf("job %d: %s", j.GetNumber(), j.GetPhase())
		}
	}
	return jobs / time.Since(began).Seconds(), jobs / (<-all).Seconds()
}

// benchIdle is what the daemon and an agent hold in memory after a job, with nothing to do.
func benchIdle(b *testing.B, r *benchRig) {
	for b.Loop() {
		r.must("launch", "-y", "-c", "c", "--", "true")
		r.must("status")
		time.Sleep(5 * time.Second)
		pid := r.controllerPID()
		b.ReportMetric(memory(pid, "status", "VmRSS"), "controller-MB")
		b.ReportMetric(memory(pid, "status", "VmHWM"), "controller-peak-MB")
		for _, p := range r.agentPIDs() {
			b.ReportMetric(memory(p, "status", "VmRSS"), "agent-MB")
		}
	}
	b.ReportMetric(0, "ns/op")
}

// benchConcurrentStatus starts 1,000 `sky status` at once. Memory is the sum of the proportional set sizes of all of them
// and of the controller, sampled.
func benchConcurrentStatus(b *testing.B, r *benchRig) {
	const callers = 1000
	r.fillStore(900, 100)
	r.must("status")
	controller := r.controllerPID()
	for b.Loop() {
		var mu sync.Mutex
		alive := map[int]bool{controller: true}
		stop := make(chan struct{})
		var sampler, wg sync.WaitGroup
		var peak float64
		var most int
		sampler.Go(func() {
			for {
				mu.Lock()
				pids := make([]int, 0, len(alive))
				for p := range alive {
					pids = append(pids, p)
				}
				mu.Unlock()
				var sum float64
				for _, p := range pids {
					sum += memory(p, "smaps_rollup", "Pss")
				}
				peak, most = max(peak, sum), max(most, len(pids)-1)
				select {
				case <-stop:
					return
				case <-time.After(100 * time.Millisecond):
				}
			}
		})
		began := time.Now()
		for range callers {
			wg.Go(func() {
				c := r.cmd("status")
				var out strings.Builder
				c.Stdout, c.Stderr = &out, &out
				if err := c.Start(); err != nil {
					b.Error(err)
					return
				}
				mu.Lock()
				alive[c.Process.Pid] = true
				mu.Unlock()
				err := c.Wait()
				mu.Lock()
				delete(alive, c.Process.Pid)
				mu.Unlock()
				if err != nil || !strings.Contains(out.String(), "train-999") {
					b.Errorf("status: %v\n%s", err, out.String())
				}
			})
		}
		wg.Wait()
		b.ReportMetric(time.Since(began).Seconds(), "s")
		close(stop)
		sampler.Wait()
		b.ReportMetric(peak, "peak-PSS-MB")
		b.ReportMetric(float64(most), "at-once")
		b.ReportMetric(memory(controller, "status", "VmHWM"), "controller-peak-MB")
	}
	b.ReportMetric(0, "ns/op")
}

// benchSizes is how large the programs are: the agents as they run on nodes, and sky with those that it carries.
func benchSizes(b *testing.B, r *benchRig) {
	for b.Loop() {
		for name, p := range map[string]string{
			"sky-MB":         r.bin,
			"agent-amd64-MB": buildRelease(b, "agent-amd64", "linux", "amd64", "../sky-agent"),
			"agent-arm64-MB": buildRelease(b, "agent-arm64", "linux", "arm64", "../sky-agent"),
		} {
			st, err := os.Stat(p)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(st.Size())/1e6, name)
		}
	}
	b.ReportMetric(0, "ns/op")
}
