package shim_test

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"aloft/agent/shim"
	"aloft/agent/spool"
)

// agentProcess starts an agent of its own that runs script, and returns it with the child's pid.
func (r *rig) agentProcess(script string) (*exec.Cmd, int) {
	r.t.Helper()
	if err := r.k.Close(); err != nil { // the directory is the other agent's now
		r.t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], r.dir, script)
	cmd.Env = append(os.Environ(), roleEnv+"=agent")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		r.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() {
		_ = cmd.Process.Kill() // most tests have done so
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		r.t.Fatalf("the agent did not start its child: %v", err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		r.t.Fatal(err)
	}
	return cmd, pid
}

func kill(t *testing.T, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}

func alive(pid int) bool { return syscall.Kill(pid, 0) == nil }

// adopt opens the rig's directory again and returns the one process that is there.
func (r *rig) adopt() *shim.Process {
	r.t.Helper()
	found := r.open()
	if len(found) != 1 {
		r.t.Fatalf("%d processes adopted, want 1", len(found))
	}
	r.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = found[0].Stop(ctx, 0, -1) // nothing of a failed test may stay
	})
	return found[0]
}

func TestChildSurvivesTheAgent(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	cmd, pid := r.agentProcess(`echo before; while ! test -e go; do sleep 0.02; done; echo after; exit 9`)
	kill(t, cmd.Process.Pid)
	_ = cmd.Wait() // killed
	p := r.adopt()
	if p.PID() != pid || p.StartedMS() == 0 {
		t.Errorf("adopted pid %d, want %d", p.PID(), pid)
	}
	r.text(p, "before\n")
	if err := os.WriteFile(filepath.Join(r.dir, "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	select {
	case <-p.Appended():
	case <-time.After(20 * time.Second):
		t.Error("an adopted process announces nothing")
	}
	if v := r.wait(p); v.ExitCode != 9 || v.Lost {
		t.Errorf("verdict %+v", v)
	}
	if out, _ := r.log(p); string(out) != "before\nafter\n" {
		t.Errorf("log %q", out)
	}
	if err := r.k.Forget(p.ID()); err != nil {
		t.Fatal(err)
	}
	if err := r.k.Close(); err != nil {
		t.Fatal(err)
	}
	if found := r.open(); len(found) != 0 {
		t.Errorf("%s came back after it was forgotten", found[0].ID())
	}
}

func TestAdoptedChildCanBeStopped(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	cmd, _ := r.agentProcess(`trap 'exit 6' TERM; while :; do sleep 0.02; done`)
	kill(t, cmd.Process.Pid)
	_ = cmd.Wait() // killed
	p := r.adopt()
	if err := p.Stop(t.Context(), 0, 0); err != nil {
		t.Fatal(err)
	}
	if v := r.wait(p); v.ExitCode != 6 {
		t.Errorf("verdict %+v", v)
	}
}

func TestVerdictWithoutAnAgent(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	cmd, pid := r.agentProcess(`while ! test -e go; do sleep 0.02; done; echo alone; exit 11`)
	shimPID := parent(t, pid)
	kill(t, cmd.Process.Pid)
	_ = cmd.Wait() // killed
	if err := os.WriteFile(filepath.Join(r.dir, "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a shim with nothing to keep and no agent ends", func() bool { return !alive(shimPID) })
	p := r.adopt()
	if v := r.wait(p); v.ExitCode != 11 || v.Lost {
		t.Errorf("verdict %+v", v)
	}
	if out, _ := r.log(p); string(out) != "alone\n" {
		t.Errorf("log %q", out)
	}
}

func TestAgentAndShimKilled(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	cmd, pid := r.agentProcess(`(setsid sleep 1000 &); echo words; sleep 1000`)
	id := killedID(r.dir)
	eventually(t, "both sleep", func() bool { return len(marked(id)) >= 3 })
	shimPID := parent(t, pid)
	kill(t, cmd.Process.Pid)
	kill(t, shimPID)
	_ = cmd.Wait() // killed
	p := r.adopt()
	if v := r.wait(p); !v.Lost || v.LostReason == "" || v.EndedMS == 0 {
		t.Errorf("verdict %+v", v)
	}
	if left := marked(id); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	if err := r.k.Close(); err != nil {
		t.Fatal(err)
	}
	if v := r.wait(r.adopt()); !v.Lost {
		t.Errorf("second look: %+v", v)
	}
}

func TestShimKilled(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := r.start(r.script(`(setsid sleep 1000 &); echo some words; sleep 1000`))
	r.text(p, "some words\n")
	begin := time.Now()
	kill(t, parent(t, p.PID()))
	v := r.wait(p)
	if !v.Lost || v.LostReason == "" || v.LogEnd != uint64(len("some words\n")) {
		t.Errorf("verdict %+v", v)
	}
	t.Logf("noticed and cleaned up in %v", time.Since(begin))
	if left := marked(p.ID()); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	if out, _ := r.log(p); string(out) != "some words\n" {
		t.Errorf("log %q", out)
	}
	if err := p.Stop(t.Context(), 0, 0); err != nil {
		t.Errorf("stop: %v", err)
	}
	if v := r.wait(r.start(r.spec("true"))); v.ExitCode != 0 {
		t.Errorf("the next job: %+v", v)
	}
}

// Idle shims that somebody kills cost nothing but a new one.
func TestIdleShimsKilled(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for range 20 {
		p := r.start(r.script("echo $PPID"))
		out, _ := r.log(p)
		pid, err := strconv.Atoi(strings.TrimSpace(string(out)))
		if err != nil {
			t.Fatal(err)
		}
		if v := r.wait(p); v.ExitCode != 0 || v.Lost {
			t.Fatalf("verdict %+v", v)
		}
		kill(t, pid)
	}
}

// A job gets its three descriptors and nothing that the agent happened to be started with.
func TestNoStrayDescriptors(t *testing.T) {
	t.Parallel()
	stray, err := unix.Open(os.DevNull, unix.O_RDONLY, 0) // not closed on exec
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(stray) })
	r := newRig(t)
	// No pipeline: the shell itself would hold its pipe for a moment.
	p := r.start(r.script(`ls -m /proc/$$/fd; sleep 1000`))
	r.text(p, "0, 1, 2")
	links, err := filepath.Glob("/proc/" + strconv.Itoa(parent(t, p.PID())) + "/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	null := 0
	for _, l := range links {
		if to, err := os.Readlink(l); err == nil && to == os.DevNull {
			null++
		}
	}
	if null > 2 { // standard input and output
		t.Errorf("the shim has %s open %d times", os.DevNull, null)
	}
	if err := p.Stop(t.Context(), 0, -1); err != nil {
		t.Fatal(err)
	}
	if out, _ := r.log(p); strings.TrimSuffix(strings.TrimSpace(string(out)), ", 255") != "0, 1, 2" {
		t.Errorf("the job has descriptors %s", out)
	}
}

func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var wg sync.WaitGroup
	for range 40 {
		p := r.spec("sh", "-c", "sleep 0.1; echo $$; exit 3")
		wg.Go(func() {
			q, err := r.k.Start(t.Context(), p)
			if err != nil {
				t.Error(err)
				return
			}
			if v, err := q.Wait(t.Context()); err != nil || v.ExitCode != 3 || v.LogEnd == 0 {
				t.Errorf("verdict %+v, %v", v, err)
			}
			if err := r.k.Forget(q.ID()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func TestOtherUser(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("only root can change the user")
	}
	r := newRig(t)
	s := r.spec("sh", "-c", "id -u; id -g")
	s.Dir = "/"
	s.Credential = &shim.Credential{UID: 65534, GID: 65533}
	if out, _ := r.log(r.start(s)); string(out) != "65534\n65533\n" {
		t.Errorf("ran as %q", out)
	}
}

// A full disk stops neither the child nor its verdict, and what is missing is said.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	small := filepath.Join(r.dir, "small")
	if err := os.Mkdir(small, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", small, "tmpfs", 0, "size=4m"); err != nil {
		t.Skipf("only root can mount a small disk: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(small, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	filler := filepath.Join(small, "filler")
	if err := os.WriteFile(filler, make([]byte, 3<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	s := r.script(`head -c 8388608 /dev/zero; touch full; while ! test -e go; do sleep 0.02; done; echo space again; exit 2`)
	s.SpoolDir = filepath.Join(small, "spool")
	p := r.start(s)
	eventually(t, "the child goes on", func() bool {
		_, err := os.Stat(filepath.Join(r.dir, "full"))
		return err == nil
	})
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(r.dir, "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	v := r.wait(p)
	const end = 8<<20 + uint64(len("space again\n"))
	if v.ExitCode != 2 || v.LogEnd != end || v.LogGap == 0 || v.LogError == "" {
		t.Errorf("verdict %+v", v)
	}
	out, recs := r.log(p)
	var gap uint64
	for _, rec := range recs {
		gap += rec.Gap
	}
	if gap != v.LogGap || gap+uint64(len(out)) != end || !strings.HasSuffix(string(out), "space again\n") {
		t.Errorf("gap %d, verdict says %d; %d bytes of %d", gap, v.LogGap, len(out), end)
	}

	// The disk is full to the end: the verdict alone says how much there was.
	if err := os.WriteFile(filler, make([]byte, 4<<20), 0o600); err == nil {
		t.Fatal("the disk did not fill up")
	}
	s = r.script("echo lost words")
	s.SpoolDir = filepath.Join(small, "spool")
	p = r.start(s)
	if v := r.wait(p); v.ExitCode != 0 || v.LogEnd != 11 || v.LogGap != 11 || v.LogError == "" {
		t.Errorf("verdict %+v", v)
	}
	if out, recs := r.log(p); len(out) != 0 || len(recs) != 1 || recs[0].Gap != 11 {
		t.Errorf("records %+v", recs)
	}
	if _, err := spool.Streams(s.SpoolDir); err != nil {
		t.Error(err)
	}
}
