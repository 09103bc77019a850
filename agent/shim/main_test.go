package shim_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// selfEnv carries the path of the binary under test to the tests; TestMain builds it once.
const selfEnv = "ALOFT_TEST_AGENT"

func TestMain(m *testing.M) {
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
