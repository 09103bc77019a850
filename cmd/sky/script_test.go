package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// agentUnderTest is built once: real processes run in every script.
var agentUnderTest string

func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) != "sky" {
		dir, err := os.MkdirTemp("", "sky-test-*")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		agentUnderTest = filepath.Join(dir, "sky-agent")
		build := exec.Command("go", "build", "-ldflags", "-s -w", "-o", agentUnderTest, "../sky-agent")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "build the agent: %v\n%s", err, out)
			os.Exit(1)
		}
		testscript.Main(cleanly{m, dir}, map[string]func(){"sky": mainWithClouds})
	}
	testscript.Main(m, map[string]func(){"sky": mainWithClouds})
}

// cleanly runs tests and removes a directory before the process exits.
type cleanly struct {
	m   *testing.M
	dir string
}

// Run is testing.M's.
func (c cleanly) Run() int {
	defer os.RemoveAll(c.dir)
	return c.m.Run()
}

// TestScripts drives the program from outside, with a controller, agents and jobs of its own for every script.
func TestScripts(t *testing.T) {
	t.Parallel()
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			home := filepath.Join(e.WorkDir, "a home", ".aloft") // a path with a blank, everywhere
			e.Setenv("ALOFT_HOME", home)
			e.Setenv("HOME", filepath.Join(e.WorkDir, "a home"))
			e.Setenv("ALOFT_AGENT", agentUnderTest)
			e.Setenv("ROOT", root)
			e.Setenv("NO_COLOR", "1")
			e.Setenv("USER", "tester")
			e.Setenv("SKLEARN", withModules("sklearn"))
			e.Setenv("TORCH", withModules("torch, torchvision"))
			if err := os.MkdirAll(filepath.Join(e.WorkDir, "a home"), 0o755); err != nil {
				return err
			}
			e.Defer(func() { endAll(e.WorkDir) })
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"exits":          cmdExits,
			"eventually":     cmdEventually,
			"killcontroller": cmdKillController,
			"killagent":      cmdKillAgent,
		},
		Condition: func(cond string) (bool, error) {
			switch cond {
			case "sklearn":
				return withModules("sklearn") != "", nil
			case "torch":
				return withModules("torch, torchvision") != "", nil
			}
			return false, fmt.Errorf("unknown condition %q", cond)
		},
	})
}

// withModules is the PATH on which python3 has modules; nothing where there is none.
func withModules(modules string) string {
	for _, path := range []string{os.Getenv("PATH"), "/usr/bin:/bin"} {
		cmd := exec.Command("sh", "-c", "python3 -c 'import "+modules+"'")
		cmd.Env = []string{"PATH=" + path}
		if cmd.Run() == nil {
			return path
		}
	}
	return ""
}

// endAll ends every process that knows of a directory: the controllers of homes there, and agents with their jobs by the node
// directory they live in.
func endAll(dir string) {
	procs, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, p := range procs {
		b, err := os.ReadFile(p)
		if err != nil || !strings.Contains(string(b), dir) {
			continue
		}
		pid, err := strconv.Atoi(strings.Split(p, "/")[2])
		if err == nil && pid != os.Getpid() {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

// cmdExits runs a command and checks its exit code: exits 42 sky exec c -- exit 42.
func cmdExits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND ARGS...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	var ee *exec.ExitError
	switch {
	case errors.As(err, &ee):
		got = ee.ExitCode()
	case err != nil:
		ts.Fatalf("%v", err)
	}
	if got != want {
		ts.Fatalf("%s ended with %d, want %d", strings.Join(args[1:], " "), got, want)
	}
}

// cmdEventually repeats a command until it succeeds and prints what it should: eventually PATTERN COMMAND ARGS...
func cmdEventually(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: eventually SUBSTRING COMMAND ARGS...")
	}
	limit := time.Now().Add(60 * time.Second)
	for {
		err := ts.Exec(args[1], args[2:]...)
		out := ts.ReadFile("stdout")
		if err == nil && strings.Contains(out, args[0]) {
			return
		}
		if time.Now().After(limit) {
			ts.Fatalf("never printed %q; last: %v\n%s", args[0], err, out)
		}
		time.Sleep(50 * time.Millisecond) // paces the polling of another process; nothing is assumed after it
	}
}

// cmdKillAgent ends every agent of the script's home as a crash does; their jobs go on.
func cmdKillAgent(ts *testscript.TestScript, neg bool, args []string) {
	procs, err := filepath.Glob("/proc/[0-9]*/cmdline")
	ts.Check(err)
	killed := 0
	for _, p := range procs {
		line, err := os.ReadFile(p)
		if err != nil {
			continue
		}
		words := strings.Split(string(line), "\x00")
		if len(words) < 2 || filepath.Base(words[0]) == "sky" || words[1] != "run" {
			continue
		}
		env, err := os.ReadFile(filepath.Join(filepath.Dir(p), "environ"))
		if err != nil || !strings.Contains(string(env), ts.Getenv("ALOFT_HOME")) {
			continue
		}
		pid, err := strconv.Atoi(strings.Split(p, "/")[2])
		ts.Check(err)
		ts.Check(syscall.Kill(pid, syscall.SIGKILL))
		killed++
	}
	if killed == 0 {
		ts.Fatalf("there is no agent to kill")
	}
}

// cmdKillController ends the controller as a crash does.
func cmdKillController(ts *testscript.TestScript, neg bool, args []string) {
	ts.Check(ts.Exec("sky", "api", "info", "-o", "json"))
	var pid int
	for _, l := range strings.Split(ts.ReadFile("stdout"), "\n") {
		if s, ok := strings.CutPrefix(strings.TrimSpace(l), `"pid":`); ok {
			n, err := strconv.Atoi(strings.Trim(s, " ,"))
			ts.Check(err)
			pid = n
		}
	}
	ts.Check(syscall.Kill(pid, syscall.SIGKILL))
	for {
		if err := syscall.Kill(pid, 0); errors.Is(err, syscall.ESRCH) {
			return
		}
		if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); errors.Is(err, fs.ErrNotExist) || strings.Contains(string(b), ") Z ") {
			return
		}
	}
}
