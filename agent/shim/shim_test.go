package shim_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"aloft/agent/shim"
)

func TestVerdicts(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	plain := filepath.Join(r.dir, "plain")
	if err := os.WriteFile(plain, []byte("no program"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name       string
		spec       shim.Spec
		code, sig  int
		startError string
		log        string
	}{
		{name: "success", spec: r.spec("true")},
		{name: "exit code", spec: r.script("exit 3"), code: 3},
		{name: "highest exit code", spec: r.script("exit 255"), code: 255},
		{name: "killed", spec: r.script("kill -9 $$"), code: 137, sig: 9},
		{name: "segfault", spec: r.script("kill -SEGV $$"), code: 139, sig: 11},
		{name: "both outputs", spec: r.script("echo out; echo err >&2"), log: "out\nerr\n"},
		{name: "empty input", spec: r.script("cat; echo $?"), log: "0\n"},
		{name: "own session", spec: r.script(`test "$(ps -o sid= -p $$ | tr -d ' ')" = $$`)},
		{name: "marker", spec: r.script("test -n \"$" + shim.Marker + "\"")},
		{name: "nothing of the agent's environment", spec: r.script(`test -z "$SECRET_OF_THE_AGENT$GOMAXPROCS"`)},
		{name: "relative program", spec: r.spec("./plain"), code: 126, startError: "permission denied"},
		{name: "no such program", spec: r.spec("surely-not-there"), code: 127, startError: "not in PATH"},
		{name: "no such path", spec: r.spec("/surely/not/there"), code: 127, startError: "no such file"},
		{name: "no program", spec: r.spec(), code: 127, startError: "no program"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			r := &rig{t: t, dir: r.dir, k: r.k}
			p := r.start(tc.spec)
			v := r.wait(p)
			if v.ExitCode != tc.code || v.Signal != tc.sig || v.Lost || !strings.Contains(v.StartError, tc.startError) ||
				(tc.startError == "") != (v.StartError == "") {
				t.Errorf("verdict %+v", v)
			}
			if v.StartedMS == 0 || v.EndedMS < v.StartedMS || v.LogError != "" || v.LogGap != 0 {
				t.Errorf("verdict %+v", v)
			}
			if out, _ := r.log(p); tc.log != "" && string(out) != tc.log {
				// The two outputs are two pipes: only the order within each is certain.
				if tc.name != "both outputs" || string(out) != "err\nout\n" {
					t.Errorf("log %q, want %q", out, tc.log)
				}
			}
			if err := r.k.Forget(p.ID()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestDescriptorsAndTimes(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := r.start(r.script("echo one; sleep 0.05; echo two >&2"))
	_, recs := r.log(p)
	if len(recs) != 2 || recs[0].FD != 1 || recs[1].FD != 2 || string(recs[1].Data) != "two\n" || recs[1].Offset != 4 {
		t.Fatalf("records %+v", recs)
	}
	if d := recs[1].AtMS - recs[0].AtMS; d < 30 {
		t.Errorf("%d ms between records that were 50 ms apart", d)
	}
}

func TestTermIgnoringChildIsKilled(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := r.start(r.script(`trap '' TERM INT HUP; echo ready; while :; do sleep 100 & wait; done`))
	r.text(p, "ready")
	begin := time.Now()
	for range 3 { // idempotent
		if err := p.Stop(t.Context(), 0, 300*time.Millisecond); err != nil {
			t.Fatal(err)
		}
	}
	v := r.wait(p)
	if v.Signal != 9 || v.ExitCode != 137 {
		t.Errorf("verdict %+v", v)
	}
	if d := time.Since(begin); d < 250*time.Millisecond || d > 5*time.Second {
		t.Errorf("killed after %v", d)
	}
	if left := marked(p.ID()); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	if err := p.Stop(t.Context(), 0, 0); err != nil {
		t.Errorf("stop what has ended: %v", err)
	}
}

func TestEarlierKillCounts(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := r.start(r.script(`trap '' TERM; echo ready; sleep 1000 & wait; wait`))
	r.text(p, "ready")
	if err := p.Stop(t.Context(), 0, time.Hour); err != nil {
		t.Fatal(err)
	}
	if err := p.Stop(t.Context(), syscall.SIGTERM, -1); err != nil {
		t.Fatal(err)
	}
	r.wait(p)
}

// A shell dies of TERM at once; the trainer under it must get its grace to write a checkpoint, and its words are kept.
func TestGraceIsForTheWholeTree(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	inner := `trap "sleep 0.6; echo checkpoint written; exit 0" TERM; echo ready; while :; do sleep 0.02; done`
	p := r.start(r.script("bash -c '" + inner + "' & sleep 1000"))
	r.text(p, "ready")
	if err := p.Stop(t.Context(), 0, 20*time.Second); err != nil {
		t.Fatal(err)
	}
	v := r.wait(p)
	if out, _ := r.log(p); v.Signal != 15 || !strings.Contains(string(out), "checkpoint written") {
		t.Errorf("verdict %+v, log %q", v, out)
	}
}

func TestStoppedProcessHearsTerm(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := r.start(r.script(`trap 'echo bye; exit 4' TERM; echo ready; kill -STOP $$; sleep 1000 & wait`))
	r.text(p, "ready")
	if err := p.Stop(t.Context(), 0, 20*time.Second); err != nil {
		t.Fatal(err)
	}
	if v := r.wait(p); v.ExitCode != 4 {
		t.Errorf("verdict %+v", v)
	}
}

const daemon = `(setsid bash -c 'trap "" TERM HUP; (exec -a daemon sleep 1000) & (sleep 1000 >/dev/null 2>&1 &) ; wait' &) ; sleep 0.1; echo main is done; exit 5`

func TestDaemonsEndWithTheRank(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	begin := time.Now()
	p := r.start(r.script(daemon))
	v := r.wait(p)
	if v.ExitCode != 5 || time.Since(begin) > 10*time.Second {
		t.Errorf("verdict %+v after %v", v, time.Since(begin))
	}
	if left := marked(p.ID()); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	if out, _ := r.log(p); string(out) != "main is done\n" {
		t.Errorf("log %q", out)
	}
}

func TestDaemonsMayBeKept(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s := r.script(daemon)
	s.KeepDaemons = true
	begin := time.Now()
	p := r.start(s)
	if v := r.wait(p); v.ExitCode != 5 || time.Since(begin) > 10*time.Second {
		t.Errorf("verdict %+v after %v: a daemon that holds the pipe must not block it", v, time.Since(begin))
	}
	left := marked(p.ID())
	if len(left) < 2 {
		t.Errorf("%d daemons left, want at least 2", len(left))
	}
	for _, pid := range left {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			t.Error(err)
		}
	}
	// The shim that has them must not take another rank.
	if v := r.wait(r.start(r.spec("true"))); v.ExitCode != 0 {
		t.Errorf("next verdict %+v", v)
	}
}

// What a script leaves for a moment (tee behind a process substitution) is given that moment.
func TestTrailingOutputIsKept(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := r.start(r.script(`exec > >(read x; touch seen; sleep 0.02; echo "$x"); echo late; while ! test -e seen; do sleep 0.01; done`))
	if out, _ := r.log(p); string(out) != "late\n" {
		t.Errorf("log %q", out)
	}
}

func TestManyDescendantsAreKilled(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := r.start(r.script(`trap '' TERM; for i in $(seq 60); do (trap '' TERM; while :; do sleep 0.05; done) & done; echo ready; wait`))
	r.text(p, "ready")
	if err := p.Stop(t.Context(), 0, 50*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	r.wait(p)
	if left := marked(p.ID()); len(left) > 0 {
		t.Errorf("%d left", len(left))
	}
}

func TestClosedOutputIsNotTheEnd(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := r.start(r.script("exec >&- 2>&-; sleep 0.5; exit 7"))
	v := r.wait(p)
	if v.ExitCode != 7 || v.EndedMS-v.StartedMS < 400 {
		t.Errorf("verdict %+v", v)
	}
}

func TestBinaryOutputIsIdentical(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	want := make([]byte, 5<<20+17)
	src := rand.NewChaCha8([32]byte{1})
	if _, err := src.Read(want); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(r.dir, "data"), want, 0o600); err != nil {
		t.Fatal(err)
	}
	if got, _ := r.log(r.start(r.spec("cat", "data"))); !bytes.Equal(got, want) {
		t.Errorf("%d bytes differ from the %d written", len(got), len(want))
	}
}

func TestOneEndlessLine(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	got, _ := r.log(r.start(r.script("head -c 10485760 /dev/zero | tr '\\0' x")))
	if len(got) != 10<<20 || bytes.Trim(got, "x") != nil && len(bytes.Trim(got, "x")) > 0 {
		t.Errorf("%d bytes", len(got))
	}
}

// A gigabyte goes through a shim that stays small, at its full length, with the oldest segments given up for the cap.
func TestHugeLog(t *testing.T) {
	t.Parallel()
	size := uint64(1 << 30)
	if testing.Short() {
		size = 256 << 20
	}
	r := newRig(t)
	s := r.script(fmt.Sprintf("yes 0123456789abcdef | head -c %d; echo end; sleep 1000", size))
	s.MaxLogBytes = 64 << 20
	p := r.start(s)
	r.text(p, "end\n")
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", parent(t, p.PID())))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if f := strings.Fields(line); f[0] == "VmHWM:" {
			if kb, err := strconv.Atoi(f[1]); err != nil || kb > 64<<10 {
				t.Errorf("the shim took %s kB, %v", f[1], err)
			}
		}
	}
	if err := p.Stop(t.Context(), 0, -1); err != nil {
		t.Fatal(err)
	}
	got, recs := r.log(p)
	v := r.wait(p)
	if v.LogEnd != size+4 {
		t.Errorf("log of %d bytes, want %d", v.LogEnd, size+4)
	}
	if recs[0].Gap == 0 || recs[0].Gap+uint64(len(got)) != v.LogEnd || len(got) > 64<<20 {
		t.Errorf("gap of %d, then %d bytes", recs[0].Gap, len(got))
	}
}

func TestSecretsStayInMemory(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	secret := "hunter2-" + base64.StdEncoding.EncodeToString(sha256Of("a secret"))[:20]
	s := r.script(`echo "value $TOKEN"; printf %s "$TOKEN" | base64; printf %s "${TOKEN:0:12}"; sleep 0.3; echo "${TOKEN:12}"; ` +
		`for i in $(seq 3000); do echo "$TOKEN padding $TOKEN"; done; echo plain; sleep 1000`)
	s.Env = append(s.Env, "TOKEN="+secret)
	s.Redact = []string{secret}
	p := r.start(s)
	r.text(p, "plain")
	forms := []string{secret, base64.StdEncoding.EncodeToString([]byte(secret)), secret[:14], secret[len(secret)-10:]}
	check := func(what string, b []byte) {
		for _, f := range forms {
			if bytes.Contains(b, []byte(f)) {
				t.Errorf("%s holds %q", what, f)
			}
		}
	}
	err := filepath.WalkDir(r.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		check(path, b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range lines {
		if b, err := os.ReadFile(path); err == nil {
			check(path, b)
		}
	}
	env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", parent(t, p.PID())))
	if err != nil {
		t.Fatal(err)
	}
	check("the shim's environment", env)
	if err := p.Stop(t.Context(), 0, -1); err != nil {
		t.Fatal(err)
	}
	if out, _ := r.log(p); !bytes.Contains(out, []byte("value ***\n***\n***\n*** padding ***\n")) {
		t.Errorf("log begins %q", out[:min(200, len(out))])
	}
}

func sha256Of(s string) []byte {
	h := sha256.Sum256([]byte(s))
	return h[:]
}

// The beginning of a secret at the end of a prompt shows up soon.
func TestHeldOutputIsLetGo(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s := r.script("printf 'Password: hunt'; sleep 1000")
	s.Redact = []string{"hunter2-secret"}
	p := r.start(s)
	r.text(p, "Password: hunt")
}

func TestShimsAreReused(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	parents := map[string]bool{}
	for range 100 {
		p := r.start(r.script("echo $PPID"))
		out, _ := r.log(p)
		parents[string(out)] = true
		if err := r.k.Forget(p.ID()); err != nil {
			t.Fatal(err)
		}
	}
	if len(parents) > 3 {
		t.Errorf("%d shims for 100 jobs one by one", len(parents))
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	p := r.start(r.spec("sleep", "1000"))
	s := r.spec("true")
	s.ID = p.ID()
	if _, err := r.k.Start(t.Context(), s); !errors.Is(err, shim.ErrExists) {
		t.Errorf("second start: %v", err)
	}
	if err := r.k.Forget(p.ID()); !errors.Is(err, shim.ErrRunning) {
		t.Errorf("forget a running one: %v", err)
	}
	if err := r.k.Forget("never heard of"); err != nil {
		t.Errorf("forget an unknown one: %v", err)
	}
	if err := p.Stop(t.Context(), 0, -1); err != nil {
		t.Fatal(err)
	}
	r.wait(p)
	if err := r.k.Forget(p.ID()); err != nil {
		t.Error(err)
	}
	if v := r.wait(r.start(s)); v.ExitCode != 0 {
		t.Errorf("the name again: %+v", v)
	}
	for _, bad := range []shim.Spec{{}, {ID: "x"}, {ID: strings.Repeat("x", 301), SpoolDir: "/"}, {ID: "x", SpoolDir: "/", Env: []string{"A=\x00"}}} {
		if _, err := r.k.Start(t.Context(), bad); err == nil {
			t.Errorf("%+v was started", bad)
		}
	}
	other := shim.NewKeeper(filepath.Join(r.dir, "shims"), self(), shim.Options{})
	if _, err := other.Adopt(t.Context()); err == nil {
		t.Error("two keepers in one directory")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	q := r.start(r.spec("sleep", "1000"))
	if _, err := q.Wait(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("wait with a cancelled context: %v", err)
	}
}
