package shim_test

import (
	"context"
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"aloft/agent/shim"
	"aloft/agent/spool"
)

func benchSpec(dir, id string, argv ...string) shim.Spec {
	return shim.Spec{
		ID: id, Argv: argv, Env: []string{"PATH=/usr/bin:/bin"}, Dir: "/", SpoolDir: dir,
		Stream: spool.Key{JobID: id, Name: "run"},
	}
}

func benchKeeper(b *testing.B) (*shim.Keeper, string) {
	b.Helper()
	dir := b.TempDir()
	k := shim.NewKeeper(dir+"/shims", self(), shim.Options{})
	if _, err := k.Adopt(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = k.Close() })
	return k, dir + "/spool"
}

func benchJob(ctx context.Context, b *testing.B, k *shim.Keeper, s shim.Spec) shim.Verdict {
	p, err := k.Start(ctx, s)
	if err != nil {
		b.Error(err)
		return shim.Verdict{}
	}
	v, err := p.Wait(ctx)
	if err != nil || v.ExitCode != 0 || v.Lost {
		b.Errorf("verdict %+v, %v", v, err)
	}
	if err := k.Forget(s.ID); err != nil {
		b.Error(err)
	}
	return v
}

// BenchmarkTrueOneByOne is the latency of a trivial job.
func BenchmarkTrueOneByOne(b *testing.B) {
	k, spoolDir := benchKeeper(b)
	i := 0
	for b.Loop() {
		i++
		benchJob(b.Context(), b, k, benchSpec(spoolDir, fmt.Sprintf("j%d", i), "true"))
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "jobs/s")
}

// BenchmarkTrue is trivial jobs side by side.
func BenchmarkTrue(b *testing.B) {
	k, spoolDir := benchKeeper(b)
	var n atomic.Int64
	b.SetParallelism(4)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			benchJob(b.Context(), b, k, benchSpec(spoolDir, fmt.Sprintf("j%d", n.Add(1)), "true"))
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "jobs/s")
}

// BenchmarkEchoThroughShell is what a task with one line of output costs.
func BenchmarkEchoThroughShell(b *testing.B) {
	k, spoolDir := benchKeeper(b)
	var n atomic.Int64
	b.SetParallelism(4)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			benchJob(b.Context(), b, k, benchSpec(spoolDir, fmt.Sprintf("j%d", n.Add(1)), "bash", "-c", "echo hi"))
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "jobs/s")
}

// BenchmarkOutput is how fast a child can print.
func BenchmarkOutput(b *testing.B) {
	k, spoolDir := benchKeeper(b)
	const size = 512 << 20
	i := 0
	for b.Loop() {
		i++
		s := benchSpec(spoolDir, fmt.Sprintf("j%d", i), "head", "-c", fmt.Sprint(size), "/dev/zero")
		if v := benchJob(b.Context(), b, k, s); v.LogEnd != size {
			b.Fatalf("log of %d bytes, want %d", v.LogEnd, size)
		}
		b.StopTimer()
		_ = os.RemoveAll(spoolDir)
		b.StartTimer()
	}
	b.SetBytes(size)
}

// BenchmarkAppendedLatency is the time between a child's write and the agent's waking, both in this process's clock.
func BenchmarkAppendedLatency(b *testing.B) {
	k, spoolDir := benchKeeper(b)
	s := benchSpec(spoolDir, "latency", "bash", "-c", "while sleep 0.02; do date +%s%N; done")
	p, err := k.Start(b.Context(), s)
	if err != nil {
		b.Fatal(err)
	}
	r := spool.OpenReader(p.Stream())
	var off uint64
	var worst, sum time.Duration
	n := 0
	for b.Loop() {
		<-p.Appended()
		now := time.Now()
		recs, next, err := r.ReadFrom(off, 1<<16)
		if err != nil {
			b.Fatal(err)
		}
		off = next
		for _, rec := range recs {
			var ns int64
			if _, err := fmt.Sscan(string(rec.Data), &ns); err == nil {
				d := now.Sub(time.Unix(0, ns))
				worst, sum, n = max(worst, d), sum+d, n+1
			}
		}
	}
	b.ReportMetric(float64(sum.Microseconds())/float64(max(1, n)), "us-mean")
	b.ReportMetric(float64(worst.Microseconds()), "us-worst")
	if err := p.Stop(b.Context(), 0, -1); err != nil {
		b.Fatal(err)
	}
	if _, err := p.Wait(b.Context()); err != nil {
		b.Fatal(err)
	}
}
