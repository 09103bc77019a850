package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"aloft/agent/shim"
	"aloft/agent/spool"
)

// build makes the binary as it is shipped.
func build(t *testing.T) string {
	t.Helper()
	makefile, err := os.ReadFile(filepath.Join("..", "..", "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	tags := regexp.MustCompile(`(?m)^TAGS\s*:= -tags (\S+)$`).FindSubmatch(makefile)
	if tags == nil {
		t.Fatal("the Makefile names no build tags")
	}
	cold := regexp.MustCompile(`(?ms)^COLD\s*:= (.*?[^\\])$`).FindSubmatch(makefile)
	if cold == nil {
		t.Fatal("the Makefile names no packages to leave small")
	}
	bin := filepath.Join(t.TempDir(), "sky-agent")
	args := []string{"build", "-tags", string(tags[1]), "-ldflags", "-s -w -X main.version=1.2.3-test", "-o", bin}
	for _, pkg := range strings.Fields(strings.ReplaceAll(string(cold[1]), "\\", "")) {
		args = append(args, "-gcflags="+pkg+"=-l")
	}
	cmd := exec.Command("go", append(args, ".")...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return bin
}

// TestBinary drives the real binary.
func TestBinary(t *testing.T) {
	t.Parallel()
	bin := build(t)
	t.Run("size", func(t *testing.T) {
		info, err := os.Stat(bin)
		if err != nil {
			t.Fatal(err)
		}
		if info.Size() > 20_000_000 {
			t.Errorf("%d bytes: it is sent to every node, 20 MB is the most", info.Size())
		}
	})
	tests := []struct {
		name string
		args []string
		code int
		out  string // in either output
	}{
		{"nothing", nil, 2, "usage: sky-agent"},
		{"help", []string{"help"}, 0, "usage: sky-agent"},
		{"version", []string{"version"}, 0, "1.2.3-test\n"},
		{"unknown", []string{"frobnicate"}, 2, "unknown command"},
		{"run with an argument", []string{"run", "away"}, 2, "unknown argument"},
		{"check without a suite", []string{"check"}, 2, "suite"},
		{"shim by hand", []string{"shim"}, 1, "not started by an agent"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			out, err := exec.Command(bin, tc.args...).CombinedOutput()
			var exit *exec.ExitError
			if err != nil && !errors.As(err, &exit) {
				t.Fatal(err)
			}
			code := 0
			if exit != nil {
				code = exit.ExitCode()
			}
			if code != tc.code || !strings.Contains(string(out), tc.out) {
				t.Errorf("exit %d, want %d; output %q, want %q in it", code, tc.code, out, tc.out)
			}
		})
	}
	t.Run("keeps a process", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		k := shim.NewKeeper(filepath.Join(dir, "shims"), bin, shim.Options{})
		t.Cleanup(func() { _ = k.Close() })
		p, err := k.Start(t.Context(), shim.Spec{
			ID: "j", Argv: []string{"/bin/sh", "-c", "echo hello; exit 7"}, Dir: dir,
			SpoolDir: filepath.Join(dir, "spool"), Stream: spool.Key{JobID: "j", Name: "run"},
		})
		if err != nil {
			t.Fatal(err)
		}
		v, err := p.Wait(t.Context())
		if err != nil || v.ExitCode != 7 || v.LogEnd != 6 {
			t.Fatalf("verdict %+v, %v", v, err)
		}
		recs, _, err := spool.OpenReader(p.Stream()).ReadFrom(0, 100)
		if err != nil || len(recs) != 1 || !bytes.Equal(recs[0].Data, []byte("hello\n")) {
			t.Errorf("log %+v, %v", recs, err)
		}
	})
}
