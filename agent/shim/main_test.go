package shim_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"aloft/agent/shim"
	"aloft/agent/spool"
)

// roleEnv makes the test binary play an agent that can be killed: it starts one child and waits for ever.
const roleEnv = "ALOFT_TEST_ROLE"

// TestMain lets the test binary be the shim, so that the race detector watches both sides.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "shim" {
		os.Exit(shim.Serve(os.Stderr))
	}
	if os.Getenv(roleEnv) == "agent" {
		os.Exit(playAgent(os.Args[1], os.Args[2]))
	}
	os.Exit(m.Run())
}

// self is the binary that shims are started from.
func self() string {
	path, err := os.Executable()
	if err != nil {
		return "" // starting a shim fails then, and says so
	}
	return path
}

// killedID is the id of the child that playAgent starts under dir; no two tests share it.
func killedID(dir string) string { return "killed" + filepath.Dir(dir) }

// playAgent starts `sh -c script` as the only child under dir, says so and hangs.
func playAgent(dir, script string) int {
	ctx := context.Background()
	k := shim.NewKeeper(filepath.Join(dir, "shims"), self(), shim.Options{})
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
