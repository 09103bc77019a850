package main

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestLogBytes: whatever a job writes comes back byte for byte, through the death of the controller, too.
func TestLogBytes(t *testing.T) {
	t.Parallel()
	big := 200 << 20
	if os.Getenv("ALOFT_TEST_BIG") != "" {
		big = 1 << 30
	}
	w := newWorld(t)
	w.ok("launch", "-y", "-c", "c")
	random := w.write("random", "")
	line := "a line of a log that is long and says nothing new, as they do\n"
	for i, x := range []struct {
		name, gen string
		size      int
		want      func() io.Reader
		kill      bool
	}{
		{"one line of 10 MB", "head -c 10485760 /dev/zero | tr '\\0' x", 10 << 20, func() io.Reader { return repeat("x") }, false},
		{"binary", "head -c 3000001 /dev/urandom > " + random + "; cat " + random, 3000001, func() io.Reader { return strings.NewReader(w.read("random")) }, false},
		{"much", fmt.Sprintf("yes '%s' | head -c %d", strings.TrimSpace(line), big), big, func() io.Reader { return repeat(line) }, true},
	} {
		w.ok("exec", "-d", "c", "--", x.gen)
		if x.kill {
			w.killController()
		}
		w.says("SUCCEEDED", "logs", "c", fmt.Sprint(i+1), "--status")
		dir := filepath.Join(w.dir, fmt.Sprint("r", i))
		w.ok("logs", "c", fmt.Sprint(i+1), "--sync-down", "--results", dir)
		f, err := os.Open(filepath.Join(dir, "run.log"))
		if err != nil {
			t.Fatal(err)
		}
		got, want := sha256.New(), sha256.New()
		n, err := io.Copy(got, f)
		if _, werr := io.CopyN(want, x.want(), int64(x.size)); err != nil || werr != nil || n != int64(x.size) || !bytes.Equal(got.Sum(nil), want.Sum(nil)) {
			t.Errorf("%s: %d bytes came back, not %d, or others: %v %v", x.name, n, x.size, err, werr)
		}
		if err := errors.Join(f.Close(), os.Remove(f.Name())); err != nil {
			t.Fatal(err)
		}
	}
	w.ok("down", "-y", "c")
	w.nothingLeft()
}

// TestLogsAfterDown: taking a cluster down waits for what its jobs wrote, also when the controller has just died, and a
// job that is still running gets its last words home.
func TestLogsAfterDown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.ok("launch", "-y", "-c", "c", "--", "true")
	const size, line = 50 << 20, "a line of a log that is long and says nothing new, as they do\n"
	const jobs = 3
	for i := range jobs {
		w.ok("exec", "-d", "c", "--", fmt.Sprintf("yes '%s' | head -c %d", strings.TrimSpace(line), size))
		if i == 1 {
			w.killController()
		}
		w.says("SUCCEEDED", "logs", "c", fmt.Sprint(i+2), "--status")
	}
	w.ok("exec", "-d", "c", "--", "trap 'echo last words; exit 9' TERM; echo started; while :; do sleep 0.02; done")
	w.eventually("the job runs", func() bool { return strings.Contains(w.sky("logs", "c", "5", "--no-follow").out, "started\n") })
	w.ok("down", "-y", "c")
	want := sha256.New()
	if _, err := io.CopyN(want, repeat(line), size); err != nil {
		t.Fatal(err)
	}
	for i := range jobs {
		dir := filepath.Join(w.dir, fmt.Sprint("r", i))
		w.ok("logs", "c", fmt.Sprint(i+2), "--sync-down", "--results", dir)
		b, err := os.ReadFile(filepath.Join(dir, "run.log"))
		if err != nil {
			t.Fatal(err)
		}
		if got := sha256.Sum256(b); len(b) != size || !bytes.Equal(got[:], want.Sum(nil)) {
			t.Errorf("job %d: %d bytes came back, not %d, or others", i+2, len(b), size)
		}
	}
	if out := w.sky("logs", "c", "5").out; !strings.Contains(out, "last words\n") {
		t.Errorf("the last words of a job are lost:\n%s", out)
	}
	w.nothingLeft()
}

// repeat reads s for ever.
func repeat(s string) io.Reader { return &repeated{s: []byte(strings.Repeat(s, 1+(1<<16)/len(s)))} }

type repeated struct {
	s   []byte
	off int
}

// Read never ends.
func (r *repeated) Read(p []byte) (int, error) {
	n := copy(p, r.s[r.off:])
	r.off = (r.off + n) % len(r.s)
	return n, nil
}

// TestFullDisk: a job fills the disk under everything. Job, states and commands go on, a log says what it lacks, and all
// is well once there is space.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	small := filepath.Join(w.dir, "small")
	if err := os.Mkdir(small, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", small, "tmpfs", 0, "size=64m"); err != nil {
		t.Skipf("cannot mount a small file system: %v", err)
	}
	t.Cleanup(func() {
		endAll(w.dir)
		w.eventually("the end of the small file system", func() bool { return syscall.Unmount(small, 0) == nil })
	})
	w.home = filepath.Join(small, ".aloft")
	w.env = append(w.env, "ALOFT_HOME="+w.home)
	w.ok("launch", "-y", "-c", "c", "--", "true")
	w.exits(4, []string{"before\n", "after\n"}, "exec", "c", "--", "echo before; head -c 100000000 /dev/zero > $HOME/fill; echo after; exit 4")
	full := w.exits(0, []string{"SUCCEEDED"}, "exec", "c", "--", "echo while full")
	if !strings.Contains(full.out, "while full\n") && !strings.Contains(full.out, "bytes of this log are missing") {
		t.Errorf("a log that lacks bytes does not say so:\n%s", full.out)
	}
	w.says("FAILED", "queue", "c")
	ns, err := filepath.Glob(filepath.Join(w.home, "local", "n-*", "home", "fill"))
	if err != nil || len(ns) != 1 {
		t.Fatal(ns, err)
	}
	if err := os.Remove(ns[0]); err != nil {
		t.Fatal(err)
	}
	w.exits(5, []string{"space again\n"}, "exec", "c", "--", "echo space again; exit 5")
	w.exits(4, []string{"before\n", "after\n"}, "logs", "c", "2")
	w.killController()
	w.exits(4, []string{"before\n", "after\n"}, "logs", "c", "2")
	w.ok("down", "-y", "c")
	w.nothingLeft()
}

// TestClockJumps: records whose times lie years away, in the future or the past, hold nothing up.
func TestClockJumps(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.ok("launch", "-y", "-c", "c", "--", "true")
	w.ok("exec", "-d", "c", "--", "while [ ! -e "+w.dir+"/go ]; do sleep 0.05; done; echo done; exit 8")
	w.says("RUNNING", "queue", "c")
	w.killController()
	w.shiftTimes(20 * 365 * 24 * 3600 * 1000)
	w.says("RUNNING", "queue", "c")
	w.write("go", "")
	w.exits(8, []string{"done\n"}, "logs", "c", "2")
	w.exits(3, nil, "exec", "c", "--", "exit 3")
	w.ok("api", "stop")
	w.shiftTimes(-40 * 365 * 24 * 3600 * 1000)
	w.exits(8, nil, "logs", "c", "2")
	w.exits(6, nil, "exec", "c", "--", "exit 6")
	w.ok("stop", "-y", "c")
	w.ok("start", "-y", "c")
	w.exits(6, nil, "exec", "c", "--", "exit 6")
	if got := w.ok("why", "c"); bytes.Contains([]byte(got.out), []byte("panic")) {
		t.Error(got.out)
	}
	w.ok("down", "-y", "c")
	w.nothingLeft()
}
