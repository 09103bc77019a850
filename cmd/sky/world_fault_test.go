package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// world is a home of its own with the program as its user runs it.
type world struct {
	testing.TB
	dir, home string
	env       []string
	user      *syscall.Credential // nil = who runs the test
	prog      string              // "" = skyProgram
}

// result is what one command left.
type result struct {
	code        int
	out, errOut string
	took        time.Duration
}

// newWorld makes a home; everything that lives in it ends with the test.
func newWorld(t testing.TB, env ...string) *world {
	t.Helper()
	dir, err := os.MkdirTemp("", "sky-fault-*")
	if err != nil {
		t.Fatal(err)
	}
	w := &world{TB: t, dir: dir, home: filepath.Join(dir, ".aloft")}
	w.env = append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "ALOFT_HOME=" + w.home, "ALOFT_AGENT=" + agentUnderTest, "NO_COLOR=1", "USER=tester",
		"TMPDIR=" + os.TempDir(),
	}, env...)
	t.Cleanup(func() {
		if t.Failed() {
			b, _ := os.ReadFile(filepath.Join(w.home, "controller.log"))
			t.Logf("controller.log:\n%s", b[max(0, len(b)-6000):])
		}
		endAll(w.dir)
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return w
}

// skyProgram is this test binary under the name that makes it the program (see testscript.Main).
func skyProgram() (string, error) { return exec.LookPath("sky") }

// with is the world with more of an environment.
func (w *world) with(env ...string) *world {
	x := *w
	x.env = append(append([]string{}, w.env...), env...)
	return &x
}

func (w *world) command(ctx context.Context, args ...string) *exec.Cmd {
	w.Helper()
	prog := w.prog
	if prog == "" {
		var err error
		if prog, err = skyProgram(); err != nil {
			w.Fatal(err)
		}
	}
	cmd := exec.CommandContext(ctx, prog, args...)
	cmd.Dir, cmd.Env = w.dir, w.env
	if w.user != nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: w.user}
	}
	return cmd
}

// sky runs one command line to its end.
func (w *world) sky(args ...string) result {
	w.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd := w.command(ctx, args...)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	began := time.Now()
	err := cmd.Run()
	var ee *exec.ExitError
	if err != nil && !errors.As(err, &ee) {
		w.Fatalf("sky %s: %v", strings.Join(args, " "), err)
	}
	r := result{code: cmd.ProcessState.ExitCode(), out: out.String(), errOut: errOut.String(), took: time.Since(began)}
	for _, bad := range []string{"panic:", "goroutine ", "runtime error"} {
		if strings.Contains(r.errOut+r.out, bad) {
			w.Errorf("sky %s: a stack trace: %s%s", strings.Join(args, " "), r.out, r.errOut)
		}
	}
	return r
}

// exits runs a command and checks its exit code and that its words hold every one of want.
func (w *world) exits(code int, want []string, args ...string) result {
	w.Helper()
	r := w.sky(args...)
	if r.code != code {
		w.Fatalf("sky %s ended with %d, want %d\n%s%s", strings.Join(args, " "), r.code, code, r.out, r.errOut)
	}
	for _, s := range want {
		if !strings.Contains(r.out+r.errOut, s) {
			w.Errorf("sky %s does not say %q:\n%s%s", strings.Join(args, " "), s, r.out, r.errOut)
		}
	}
	return r
}

// ok runs a command that succeeds.
func (w *world) ok(args ...string) result { w.Helper(); return w.exits(0, nil, args...) }

// document decodes what a command printed under -o json.
func (w *world) document(r result) map[string]any {
	w.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(r.out), &m); err != nil {
		w.Fatalf("not one JSON document: %v\n%s%s", err, r.out, r.errOut)
	}
	return m
}

// eventually waits until ready says so.
func (w *world) eventually(what string, ready func() bool) {
	w.Helper()
	for limit := time.Now().Add(90 * time.Second); !ready(); time.Sleep(50 * time.Millisecond) { // paces the polling of other processes
		if time.Now().After(limit) {
			w.Fatalf("never: %s", what)
		}
	}
}

// says waits until a command prints something, whatever its exit code.
func (w *world) says(want string, args ...string) {
	w.Helper()
	var last result
	w.eventually("sky "+strings.Join(args, " ")+" says "+want, func() bool {
		last = w.sky(args...)
		return strings.Contains(last.out, want)
	})
}

// write puts a file into the world.
func (w *world) write(name, text string) string {
	w.Helper()
	p := filepath.Join(w.dir, name)
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		w.Fatal(err)
	}
	if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
		w.Fatal(err)
	}
	return p
}

// read is a file of the world.
func (w *world) read(name string) string {
	w.Helper()
	b, err := os.ReadFile(filepath.Join(w.dir, name))
	if err != nil {
		w.Fatal(err)
	}
	return string(b)
}

// nodes are the directories of living local nodes.
func (w *world) nodes() []string {
	ns, _ := filepath.Glob(filepath.Join(w.home, "local", "n-*"))
	return ns
}

// controllerPID is the pid of the controller that has the home; 0 = none.
func (w *world) controllerPID() int {
	b, err := os.ReadFile(filepath.Join(w.home, "controller.lock"))
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil || !runs(pid) {
		return 0
	}
	return pid
}

// runs reports whether a process lives; a zombie does not.
func runs(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !bytes.HasPrefix(b[bytes.LastIndexByte(b, ')')+1:], []byte(" Z"))
}

// kill ends a process as a crash does and waits until it is gone.
func (w *world) kill(pid int) {
	w.Helper()
	if pid == 0 {
		w.Fatal("no such process")
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		w.Fatal(err)
	}
	w.eventually("the end of a killed process", func() bool { return !runs(pid) })
}

// killController ends the controller as a crash does.
func (w *world) killController() { w.Helper(); w.kill(w.controllerPID()) }

// processes are those that live in the world, the controller and its callers aside, whose command line holds all of
// words. Jobs are known by their environment or by where they run.
func (w *world) processes(words ...string) []int {
	var out []int
	procs, _ := filepath.Glob("/proc/[0-9]*")
next:
	for _, p := range procs {
		env, _ := os.ReadFile(filepath.Join(p, "environ"))
		raw, _ := os.ReadFile(filepath.Join(p, "cmdline"))
		cwd, _ := os.Readlink(filepath.Join(p, "cwd"))
		line := string(bytes.ReplaceAll(raw, []byte{0}, []byte{' '}))
		local := filepath.Join(w.home, "local")
		if !strings.Contains(string(env), local) && !strings.Contains(line, local) && !strings.Contains(cwd, local) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(p))
		if err != nil || !runs(pid) {
			continue
		}
		for _, s := range words {
			if !strings.Contains(line, s) {
				continue next
			}
		}
		out = append(out, pid)
	}
	return out
}

// nothingLeft checks that the home has no machine, no orphan and no process of a node.
func (w *world) nothingLeft() {
	w.Helper()
	m := w.document(w.ok("gc", "-o", "json"))
	if m["instances"] != 0.0 || len(m["orphans"].([]any)) != 0 {
		w.Errorf("gc: %v", m)
	}
	if ps, ns := w.processes(), w.nodes(); len(ps)+len(ns) != 0 {
		w.Errorf("processes %v and nodes %v are left", ps, ns)
	}
}
