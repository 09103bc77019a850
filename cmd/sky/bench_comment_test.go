package main

import (
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"aloft/controller/forge"
	"aloft/controller/forge/forgetest"
)

// BenchmarkComment is `sky comment create` of a report of 100 kB on a pull request with 4,000 comments of others, 40 pages
// of them: processor time of the command, user and system, and wall time with a forge on the same machine.
func BenchmarkComment(b *testing.B) {
	bin := buildRelease(b, "sky", runtime.GOOS, runtime.GOARCH, ".")
	s := &forgetest.Server{Kind: forge.GitHub, Token: "tok", User: "me", Unchecked: true}
	for i := range 4_000 {
		s.Add("issues/7", "other", false, fmt.Sprintf("comment %d: %s", i, strings.Repeat("a sentence of a review. ", 10)))
	}
	web := httptest.NewServer(s)
	b.Cleanup(web.Close)
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
	var cpu, wall times
	for n := 0; b.Loop(); n++ {
		cmd := exec.Command(bin, "comment", "create", file, "--pr", "7")
		cmd.Env = append(os.Environ(), "HOME="+dir, "ALOFT_HOME="+dir, "GITHUB_ACTIONS=true", "GITHUB_API_URL="+web.URL, "GITHUB_SERVER_URL="+web.URL, "GITHUB_REPOSITORY=acme/model",
			fmt.Sprintf("GITHUB_RUN_ID=%d", 900+n), "GITHUB_RUN_ATTEMPT=1", "GITHUB_EVENT_NAME=push", "GITHUB_TOKEN=tok", "REPO_TOKEN=", "CML_TOKEN=")
		began := time.Now()
		if out, err := cmd.CombinedOutput(); err != nil {
			b.Fatalf("%v\n%s", err, out)
		}
		wall = append(wall, time.Since(began))
		cpu = append(cpu, cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime())
	}
	if mine := s.By("me"); len(mine) != 1 || s.Requests("GET") < 40*b.N {
		b.Fatalf("%d comments, %d requests", len(mine), s.Requests("GET"))
	}
	b.ReportMetric(cpu.at(0.5), "cpu-ms")
	wall.report(b)
}
