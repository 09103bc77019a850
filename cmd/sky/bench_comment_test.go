package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"aloft/controller/forge"
	"aloft/controller/forge/forgetest"
)

// serveForge is set in the process that is the forge of BenchmarkComment.
const serveForge = "ALOFT_TEST_SERVE_FORGE"

// TestServeForge is a forge in a process of its own, for BenchmarkComment: a pull request with 4,000 comments of others, 40
// pages of them. It ends when its standard input does.
func TestServeForge(t *testing.T) {
	if os.Getenv(serveForge) == "" {
		t.Skip("only BenchmarkComment runs this")
	}
	s := &forgetest.Server{Kind: forge.GitHub, Token: "tok", User: "me", Unchecked: true, Age: time.Hour}
	for i := range 4_000 {
		s.Add("issues/7", "other", false, fmt.Sprintf("comment %d: %s", i, strings.Repeat("a sentence of a review. ", 10)))
	}
	web := httptest.NewServer(s)
	defer web.Close()
	fmt.Println(web.URL)
	_, _ = os.Stdin.Read(make([]byte, 1))
}

// BenchmarkComment is `sky comment create` of a report of 100 kB on a pull request with 40 pages of comments. Command: what
// the command does, without the start of the program; Process: the program as it is released. Processor time is user's and
// system's.
func BenchmarkComment(b *testing.B) {
	server := exec.Command(os.Args[0], "-test.run", "^TestServeForge$")
	server.Env = append(os.Environ(), serveForge+"=1")
	in, err := server.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := server.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := server.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = in.Close(); _ = server.Wait() })
	url, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	dir := b.TempDir()
	var report strings.Builder
	report.WriteString("# Report\n\n| | Check | Condition | Details |\n|---|---|---|---|\n")
	for i := 0; report.Len() < 100_000; i++ {
		fmt.Fprintf(&report, "| ❌ | Drift of `column_%d` | below 0.2 | found 0.4 by @somebody in #%d, see https://example.com |\n", i, i)
	}
	file := filepath.Join(dir, "report.md")
	if err := os.WriteFile(file, []byte(report.String()), 0o600); err != nil {
		b.Fatal(err)
	}
	env := map[string]string{"HOME": dir, "ALOFT_HOME": dir, "GITHUB_ACTIONS": "true", "GITHUB_API_URL": strings.TrimSpace(url), "GITHUB_SERVER_URL": strings.TrimSpace(url),
		"GITHUB_REPOSITORY": "acme/model", "GITHUB_RUN_ID": "900", "GITHUB_RUN_ATTEMPT": "1", "GITHUB_EVENT_NAME": "push", "GITHUB_TOKEN": "tok"}
	// The comment is posted each time, which is the dearer case, and deleted after.
	args := []string{"comment", "create", file, "--pr", "7", "-o", "json"}
	forget := func(b *testing.B, out string) {
		var said struct{ ID int64 }
		if err := json.Unmarshal([]byte(out), &said); err != nil {
			b.Fatalf("%v\n%s", err, out)
		}
		c, err := forge.New(forge.GitHub, forge.Options{API: strings.TrimSpace(url), Repo: "acme/model", Token: "tok"})
		if err == nil {
			err = c.Delete(b.Context(), forge.Target{Place: forge.Pull, Number: 7}, said.ID)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	b.Run("Command", func(b *testing.B) {
		var wall, cpu times
		for b.Loop() {
			var out strings.Builder
			a := &app{in: strings.NewReader(""), out: &out, errOut: &strings.Builder{}, width: 120, home: dir, getenv: func(k string) (string, bool) { v, ok := env[k]; return v, ok }}
			began, before := time.Now(), processorTime(b)
			root := newRoot(a)
			root.SetArgs(args)
			if err := root.ExecuteContext(b.Context()); err != nil {
				b.Fatal(err)
			}
			wall, cpu = append(wall, time.Since(began)), append(cpu, processorTime(b)-before)
			forget(b, out.String())
		}
		b.ReportMetric(cpu.at(0), "best-cpu-ms")
		b.ReportMetric(cpu.at(0.5), "cpu-ms")
		wall.report(b)
	})
	b.Run("Process", func(b *testing.B) {
		bin := buildRelease(b, "sky", runtime.GOOS, runtime.GOARCH, ".")
		var wall, cpu times
		for b.Loop() {
			cmd := exec.Command(bin, args...)
			cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
			for k, v := range env {
				cmd.Env = append(cmd.Env, k+"="+v)
			}
			began := time.Now()
			out, err := cmd.Output()
			if err != nil {
				b.Fatalf("%v\n%s", err, out)
			}
			wall = append(wall, time.Since(began))
			cpu = append(cpu, cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime())
			forget(b, string(out))
		}
		b.ReportMetric(cpu.at(0), "best-cpu-ms")
		b.ReportMetric(cpu.at(0.5), "cpu-ms")
		wall.report(b)
	})
}

// processorTime is what this process has used.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var ru syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &ru); err != nil {
		b.Fatal(err)
	}
	return time.Duration(ru.Utime.Nano() + ru.Stime.Nano())
}
