package shim_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"aloft/agent/shim"
	"aloft/agent/spool"
)

// selfEnv carries the path of the binary under test to the tests; TestMain builds it once.
const selfEnv = "ALOFT_TEST_AGENT"

// roleEnv makes the test binary play an agent that can be killed: it starts one child and waits for ever.
const roleEnv = "ALOFT_TEST_ROLE"

func TestMain(m *testing.M) {
	if os.Getenv(roleEnv) == "agent" {
		os.Exit(playAgent(os.Args[1], os.Args[2], os.Args[3]))
	}
	os.Exit(withBinary(m.Run))
}

func withBinary(run func() int) int {
	dir, err := os.MkdirTemp("", "aloft-shim")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	bin := filepath.Join(dir, "sky-agent")
	cmd := exec.Command("go", "build", "-o", bin, "aloft/cmd/sky-agent")
	cmd.Stderr = os.Stderr
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if err := cmd.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "build sky-agent:", err)
		return 1
	}
	if err := os.Setenv(selfEnv, bin); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return run()
}

// killedID is the id of the child that playAgent starts under dir; no two tests share it.
func killedID(dir string) string { return "killed" + filepath.Dir(dir) }

// playAgent starts `sh -c script` as the only child under dir, says so and hangs.
func playAgent(bin, dir, script string) int {
	ctx := context.Background()
	k := shim.NewKeeper(filepath.Join(dir, "shims"), bin, shim.Options{})
	if _, err := k.Adopt(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	p, err := k.Start(ctx, shim.Spec{
		ID: killedID(dir), Argv: []string{"sh", "-c", script}, Env: []string{"PATH=/usr/bin:/bin"}, Dir: dir,
		SpoolDir: filepath.Join(dir, "spool"), Stream: spool.Key{JobID: "killed", Name: "run"},
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println(p.PID())
	select {}
}
