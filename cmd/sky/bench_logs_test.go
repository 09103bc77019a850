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
	"strconv"
	"strings"
	"testing"
	"time"

	controlv1 "aloft/proto/sky/control/v1"
)

// The log that is followed: logRounds times a file of logFile bytes in lines of 100, each byte but the newline a logByte,
// which nothing else on the screen holds, so that counting it shows that every byte arrived once.
const (
	logFile   = 50_000_000
	logRounds = 20
	logByte   = '~'
)

// logJob prepares the file and gives the command that writes the log.
func (r *benchRig) logJob() string {
	r.b.Helper()
	line := append(bytes.Repeat([]byte{logByte}, 99), '\n')
	p := filepath.Join(r.dir, "lines")
	if err := os.WriteFile(p, bytes.Repeat(line, logFile/len(line)), 0o600); err != nil {
		r.b.Fatal(err)
	}
	return fmt.Sprintf("for i in $(seq %d); do cat %s; done", logRounds, p)
}

// countLog reads a follower's output to its end and checks that all of the log came.
func (r *benchRig) countLog(c *exec.Cmd) {
	r.b.Helper()
	var errText bytes.Buffer
	c.Stderr = &errText
	out, err := c.StdoutPipe()
	if err != nil {
		r.b.Fatal(err)
	}
	if err := c.Start(); err != nil {
		r.b.Fatal(err)
	}
	buf := make([]byte, 1<<20)
	got := 0
	for {
		n, err := out.Read(buf)
		got += bytes.Count(buf[:n], []byte{logByte})
		if err != nil {
			if err != io.EOF {
				r.b.Fatal(err)
			}
			break
		}
	}
	if err := c.Wait(); err != nil {
		r.b.Fatalf("%v\n%s", err, errText.String())
	}
	if want := logRounds * logFile / 100 * 99; got != want {
		r.b.Fatalf("followed %d bytes of the log, want %d", got, want)
	}
}

// benchFollowExec runs a job that writes 1 GB and follows it on the screen of the exec that started it.
func benchFollowExec(b *testing.B, r *benchRig) {
	job := r.logJob()
	r.must("launch", "-y", "-c", "c", "--", "true")
	var best float64
	for b.Loop() {
		began := time.Now()
		r.countLog(r.cmd("exec", "c", "--", job))
		best = max(best, logRounds*logFile/1e6/time.Since(began).Seconds())
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(best, "MB/s")
}

// benchFollowLogs is the same seen by `sky logs`, called as the job begins.
func benchFollowLogs(b *testing.B, r *benchRig) {
	job := r.logJob()
	r.must("launch", "-y", "-c", "c", "--", "true")
	ctx := context.Background()
	c := r.client()
	var best float64
	for b.Loop() {
		began := time.Now()
		r.must("exec", "-d", "c", "--", job)
		ans, err := c.GetJob(ctx, &controlv1.GetJobRequest{ClusterName: "c"})
		if err != nil {
			b.Fatal(err)
		}
		r.countLog(r.cmd("logs", "--tail", "all", "c", fmt.Sprint(ans.GetJob().GetJob().GetNumber())))
		best = max(best, logRounds*logFile/1e6/time.Since(began).Seconds())
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(best, "MB/s")
}

// benchLineLatency is the time from a job's write of a line to the line on the screen of a follower, at 100 lines a second.
func benchLineLatency(b *testing.B, r *benchRig) {
	const lines = 1000
	job := fmt.Sprintf("for i in $(seq %d); do date +%%s%%N; sleep 0.008; done", lines)
	if _, err := exec.LookPath("python3"); err == nil {
		job = fmt.Sprintf(`python3 -uc "import time
for i in range(%d):
    print(time.time_ns())
    time.sleep(0.01)"`, lines)
	}
	r.must("launch", "-y", "-c", "c", "--", "true")
	var took times
	for b.Loop() {
		c := r.cmd("exec", "c", "--", job)
		out, err := c.StdoutPipe()
		if err != nil {
			b.Fatal(err)
		}
		if err := c.Start(); err != nil {
			b.Fatal(err)
		}
		n := len(took)
		screen := bufio.NewScanner(out)
		for screen.Scan() {
			now := time.Now()
			_, text, ok := strings.Cut(screen.Text(), ") ")
			if ns, err := strconv.ParseInt(text, 10, 64); ok && err == nil {
				took = append(took, now.Sub(time.Unix(0, ns)))
			}
		}
		if err := c.Wait(); err != nil {
			b.Fatal(err)
		}
		if len(took)-n != lines {
			b.Fatalf("%d lines arrived, want %d", len(took)-n, lines)
		}
	}
	took.report(b)
	b.ReportMetric(took.at(0.95), "p95-ms")
	b.ReportMetric(took.at(1), "max-ms")
}
