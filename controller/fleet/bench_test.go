package fleet_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"aloft/controller/logs"
	"aloft/controller/store"
	agentv1 "aloft/proto/sky/agent/v1"
	statev1 "aloft/proto/sky/state/v1"
)

// BenchmarkJobs runs trivial jobs through one node's queue, everything durable, until all results are here.
func BenchmarkJobs(b *testing.B) {
	for _, cpus := range []float64{0.5, 0.05} {
		b.Run(fmt.Sprintf("%g CPUs each", cpus), func(b *testing.B) { benchmarkJobs(b, cpus) })
	}
}

func benchmarkJobs(b *testing.B, cpus float64) {
	r := newRig(b, 1)
	r.up()
	b.ResetTimer()
	began := time.Now()
	for n := 1; n <= b.N; {
		r.update(func(tx store.Tx) error {
			for k := 0; k < 100 && n+k <= b.N; k++ {
				j := &statev1.Job{Number: uint32(n + k), Task: &statev1.TaskSpec{Run: "true", CpusPerRank: cpus}}
				if err := r.place(tx, j, 0); err != nil {
					return err
				}
			}
			return nil
		})
		n += 100
	}
	var done time.Duration
	for n := 1; n <= b.N; n++ {
		r.untilWithin(10*time.Minute, r.jobID(uint32(n)), "complete", func(j *statev1.Job) bool { return ended(j) })
	}
	done = time.Since(began)
	for n := 1; n <= b.N; n++ {
		r.untilWithin(10*time.Minute, r.jobID(uint32(n)), "complete", complete)
	}
	b.ReportMetric(float64(b.N)/time.Since(began).Seconds(), "jobs/s")
	b.ReportMetric(float64(b.N)/done.Seconds(), "ended/s")
}

// BenchmarkLog carries a job's output from its write to the controller's disk.
func BenchmarkLog(b *testing.B) {
	r := newRig(b, 1)
	r.up()
	const size = 1 << 30
	b.ResetTimer()
	for n := range b.N {
		began := time.Now()
		id := r.submit(uint32(n+1), &statev1.TaskSpec{Run: fmt.Sprintf("yes 'a line of a log that is neither long nor short, as logs are' | head -c %d", size)})
		r.untilWithin(10*time.Minute, id, "complete", complete)
		b.ReportMetric(size/1e6/time.Since(began).Seconds(), "MB/s")
	}
}

// BenchmarkLineLatency measures from the write of a line to its being readable at the controller.
func BenchmarkLineLatency(b *testing.B) {
	r := newRig(b, 1)
	r.up()
	id := r.submit(1, &statev1.TaskSpec{Run: fmt.Sprintf("for i in $(seq %d); do date +%%s%%N; sleep 0.005; done", b.N+1)})
	r.until(id, "running", func(j *statev1.Job) bool { return j.GetPhase() >= statev1.JobPhase_JOB_RUNNING })
	var took []time.Duration
	err := r.logs.Read(context.Background(), &agentv1.StreamKey{JobId: id, Attempt: 1, Name: "run"}, 0, true, func(rec logs.Record) bool {
		now := time.Now()
		for _, line := range strings.Fields(string(rec.Data)) {
			if ns, err := strconv.ParseInt(line, 10, 64); err == nil {
				took = append(took, now.Sub(time.Unix(0, ns)))
			}
		}
		return true
	})
	if err != nil {
		b.Fatal(err)
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
}

// BenchmarkIdle measures the memory of an agent with nothing to do.
func BenchmarkIdle(b *testing.B) {
	r := newRig(b, 1)
	r.up()
	r.wantPhase(r.until(r.submit(1, &statev1.TaskSpec{Run: "true"}), "complete", complete), statev1.JobPhase_JOB_SUCCEEDED)
	time.Sleep(3 * time.Second)
	pid := r.nodes[0].cmd.Process.Pid
	status, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, err := strconv.Atoi(strings.Fields(rest)[0])
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(kb)/1024, "MB-RSS")
		}
	}
}
