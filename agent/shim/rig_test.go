package shim_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"aloft/agent/shim"
	"aloft/agent/spool"
)

// rig is a keeper in a directory whose name is too long for a socket address and has spaces in it.
type rig struct {
	t   *testing.T
	dir string
	k   *shim.Keeper
	n   atomic.Int64
}

func newRig(t *testing.T) *rig {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "a home with spaces "+strings.Repeat("and a long name ", 8))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, dir: dir}
	r.open()
	return r
}

func (r *rig) open() []*shim.Process {
	r.t.Helper()
	r.k = shim.NewKeeper(filepath.Join(r.dir, "shims"), self(), shim.Options{MinIdle: 1})
	found, err := r.k.Adopt(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	k := r.k
	r.t.Cleanup(func() { _ = k.Close() })
	return found
}

func (r *rig) spec(argv ...string) shim.Spec {
	id := fmt.Sprintf("%s/%d", r.t.Name(), r.n.Add(1))
	return shim.Spec{
		ID: id, Argv: argv, Env: []string{"PATH=" + os.Getenv("PATH")}, Dir: r.dir,
		SpoolDir: filepath.Join(r.dir, "spool"), Stream: spool.Key{JobID: id, Attempt: 1, Name: "run"},
	}
}

func (r *rig) script(text string) shim.Spec { return r.spec("bash", "-c", text) }

func (r *rig) start(s shim.Spec) *shim.Process {
	r.t.Helper()
	p, err := r.k.Start(r.t.Context(), s)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = p.Stop(ctx, 0, -1) // nothing of a failed test may stay
	})
	return p
}

func (r *rig) wait(p *shim.Process) shim.Verdict {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), 90*time.Second)
	defer cancel()
	v, err := p.Wait(ctx)
	if err != nil {
		r.t.Fatalf("wait for %s: %v", p.ID(), err)
	}
	return v
}

// log reads the whole stream of an ended process and checks that it is complete.
func (r *rig) log(p *shim.Process) (out []byte, recs []spool.Record) {
	r.t.Helper()
	rd := spool.OpenReader(p.Stream())
	defer func() { _ = rd.Close() }()
	v := r.wait(p)
	rd.Finish(v.LogEnd)
	var off uint64
	for {
		more, next, err := rd.ReadFrom(off, 1<<20)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil || next == off {
			r.t.Fatalf("read log at %d: next %d, %v", off, next, err)
		}
		for _, rec := range more {
			if rec.Offset != off {
				r.t.Fatalf("record at %d, want %d", rec.Offset, off)
			}
			off = rec.End()
			out = append(out, rec.Data...)
		}
		recs = append(recs, more...)
	}
	if off != v.LogEnd {
		r.t.Fatalf("log ends at %d, verdict says %d", off, v.LogEnd)
	}
	return out, recs
}

// text waits until the log holds want.
func (r *rig) text(p *shim.Process, want string) {
	r.t.Helper()
	rd := spool.OpenReader(p.Stream())
	defer func() { _ = rd.Close() }()
	var off uint64
	var got []byte // the last of it
	deadline := time.After(20 * time.Second)
	for {
		recs, next, err := rd.ReadFrom(off, 1<<20)
		if err != nil && !errors.Is(err, io.EOF) {
			r.t.Fatal(err)
		}
		off = next
		for _, rec := range recs {
			got = append(got, rec.Data...)
		}
		if bytes.Contains(got, []byte(want)) {
			return
		}
		got = got[max(0, len(got)-1000):]
		if len(recs) > 0 {
			continue
		}
		select {
		case <-p.Appended():
		case <-time.After(20 * time.Millisecond): // adopted processes announce only what comes after
		case <-deadline:
			r.t.Fatalf("log of %s ends in %q, waited for %q", p.ID(), got, want)
		}
	}
}

// marked lists the living processes that carry a rank's marker.
func marked(id string) []int {
	var pids []int
	envs, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, path := range envs {
		b, err := os.ReadFile(path)
		if err != nil || !bytes.Contains(append([]byte{0}, b...), []byte("\x00"+shim.Marker+"="+id+"\x00")) {
			continue
		}
		if pid, err := strconv.Atoi(strings.Split(path, "/")[2]); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// parent is the shim of a running process.
func parent(t *testing.T, pid int) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	ppid, err := strconv.Atoi(strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))[1])
	if err != nil {
		t.Fatal(err)
	}
	return ppid
}

// eventually polls a fact about other processes.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("waited too long: %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}
