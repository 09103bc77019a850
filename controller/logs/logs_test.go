package logs_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	"aloft/controller/logs"
	agentv1 "aloft/proto/sky/agent/v1"
)

func open(t testing.TB, dir string, o logs.Options) *logs.Store {
	t.Helper()
	s, err := logs.Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func key(name string) *agentv1.StreamKey {
	return &agentv1.StreamKey{JobId: "job1", Attempt: 1, Slot: 0, Name: name}
}

func rec(data string) *agentv1.LogRecord {
	return &agentv1.LogRecord{AtMs: 42, Fd: 1, Data: []byte(data)}
}

func gap(n uint64) *agentv1.LogRecord { return &agentv1.LogRecord{AtMs: 43, Fd: 3, Gap: n} }

func mustAppend(t testing.TB, s *logs.Store, k *agentv1.StreamKey, off uint64, recs ...*agentv1.LogRecord) uint64 {
	t.Helper()
	end, err := s.Append(context.Background(), k, off, recs)
	if err != nil {
		t.Fatal(err)
	}
	return end
}

// text reads a stream; a gap of n shows as <n>.
func text(t testing.TB, s *logs.Store, k *agentv1.StreamKey, from uint64) string {
	t.Helper()
	var b strings.Builder
	at := from
	err := s.Read(context.Background(), k, from, false, func(r logs.Record) bool {
		if r.Offset != at {
			t.Errorf("record at %d, want %d", r.Offset, at)
		}
		at = r.Offset + uint64(len(r.Data)) + r.Gap
		if r.Gap > 0 {
			fmt.Fprintf(&b, "<%d>", r.Gap)
		}
		b.Write(r.Data)
		return true
	})
	if err != nil {
		t.Error(err)
	}
	return b.String()
}

func TestAppend(t *testing.T) {
	t.Parallel()
	type step struct {
		off  uint64
		recs []*agentv1.LogRecord
		end  uint64
		want uint64 // of a hole
	}
	for _, tc := range []struct {
		name  string
		steps []step
		text  string
	}{
		{"one", []step{{0, []*agentv1.LogRecord{rec("abc")}, 3, 0}}, "abc"},
		{"two in one", []step{{0, []*agentv1.LogRecord{rec("abc"), rec("def")}, 6, 0}}, "abcdef"},
		{"twice the same", []step{{0, []*agentv1.LogRecord{rec("abc")}, 3, 0}, {0, []*agentv1.LogRecord{rec("abc")}, 3, 0}}, "abc"},
		{"overlap within a record", []step{{0, []*agentv1.LogRecord{rec("abc")}, 3, 0}, {1, []*agentv1.LogRecord{rec("bcde")}, 5, 0}}, "abcde"},
		{"overlap over records", []step{{0, []*agentv1.LogRecord{rec("abc")}, 3, 0}, {1, []*agentv1.LogRecord{rec("b"), rec("cd"), rec("e")}, 5, 0}}, "abcde"},
		{"hole", []step{{0, []*agentv1.LogRecord{rec("abc")}, 3, 0}, {4, []*agentv1.LogRecord{rec("e")}, 3, 3}}, "abc"},
		{"gap", []step{{0, []*agentv1.LogRecord{rec("abc"), gap(10), rec("d")}, 14, 0}}, "abc<10>d"},
		{"overlap within a gap", []step{{0, []*agentv1.LogRecord{gap(10)}, 10, 0}, {5, []*agentv1.LogRecord{gap(10), rec("x")}, 16, 0}}, "<10><5>x"},
		{"nothing", []step{{0, nil, 0, 0}, {0, []*agentv1.LogRecord{rec("")}, 0, 0}}, ""},
		{"binary", []step{{0, []*agentv1.LogRecord{rec("\x00\xff\n\x00")}, 4, 0}}, "\x00\xff\n\x00"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			s := open(t, dir, logs.Options{NoSync: true})
			for _, st := range tc.steps {
				end, err := s.Append(context.Background(), key("run"), st.off, st.recs)
				var hole *logs.HoleError
				if errors.As(err, &hole) != (st.want > 0) || (hole != nil && hole.Want != st.want) {
					t.Fatal(err)
				}
				if end != st.end {
					t.Fatalf("end %d, want %d", end, st.end)
				}
			}
			if got := text(t, s, key("run"), 0); got != tc.text {
				t.Errorf("got %q, want %q", got, tc.text)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = open(t, dir, logs.Options{NoSync: true})
			if got := text(t, s, key("run"), 0); got != tc.text {
				t.Errorf("after reopening got %q, want %q", got, tc.text)
			}
		})
	}
}

// TestModel appends random overlapping batches to small segments, reopening now and then, and compares with a buffer.
func TestModel(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 1))
		dir := t.TempDir()
		o := logs.Options{NoSync: true, SegmentBytes: 500}
		s := open(t, dir, o)
		var all []byte
		for range 200 {
			back := min(rng.IntN(30), len(all))
			fresh := make([]byte, rng.IntN(100))
			for i := range fresh {
				fresh[i] = byte('a' + rng.IntN(26))
				if rng.IntN(9) == 0 {
					fresh[i] = '\n'
				}
			}
			data := append(bytes.Clone(all[len(all)-back:]), fresh...)
			var recs []*agentv1.LogRecord
			for off := len(all) - back; len(data) > 0; {
				n := 1 + rng.IntN(len(data))
				recs = append(recs, &agentv1.LogRecord{Data: data[:n]})
				data, off = data[n:], off+n
			}
			all = append(all, fresh...)
			if end := mustAppend(t, s, key("run"), uint64(len(all)-len(fresh)-back), recs...); end != uint64(len(all)) {
				t.Fatalf("seed %d: end %d, want %d", seed, end, len(all))
			}
			if rng.IntN(10) == 0 {
				_ = s.Close()
				s = open(t, dir, o)
			}
			from := rng.IntN(len(all) + 1)
			if got := text(t, s, key("run"), uint64(from)); got != string(all[from:]) {
				t.Fatalf("seed %d: from %d got %q, want %q", seed, from, got, all[from:])
			}
			lines := rng.IntN(20)
			if got, err := s.TailOffset(key("run"), lines); err != nil || got != tail(all, lines) {
				t.Fatalf("seed %d: tail of %d lines at %d, %v; want %d", seed, lines, got, err, tail(all, lines))
			}
		}
	}
}

// tail is TailOffset, the simple way.
func tail(b []byte, lines int) uint64 {
	if lines == 0 {
		return uint64(len(b))
	}
	at := len(bytes.TrimSuffix(b, []byte("\n")))
	for ; lines > 0; lines-- {
		at = bytes.LastIndexByte(b[:at], '\n')
		if at < 0 {
			return 0
		}
	}
	return uint64(at + 1)
}

func TestComplete(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir, logs.Options{})
	k := key("run")
	mustAppend(t, s, k, 0, rec("abc"))
	var hole *logs.HoleError
	if err := s.Complete(k, 5); !errors.As(err, &hole) || hole.Want != 3 {
		t.Fatal(err)
	}
	if err := s.Complete(k, 2); !errors.Is(err, logs.ErrComplete) {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.Complete(k, 3); err != nil {
			t.Fatal(err)
		}
		if end, done, err := s.End(k); end != 3 || !done || err != nil {
			t.Fatal(end, done, err)
		}
		mustAppend(t, s, k, 1, rec("bc"))
		if _, err := s.Append(context.Background(), k, 1, []*agentv1.LogRecord{rec("bcd")}); !errors.Is(err, logs.ErrComplete) {
			t.Fatal(err)
		}
		_ = s.Close()
		s = open(t, dir, logs.Options{})
	}
	if err := s.Complete(key("empty"), 0); err != nil {
		t.Fatal(err)
	}
	if _, done, _ := s.End(key("empty")); !done {
		t.Error("an empty stream cannot be complete")
	}
	got, err := s.Streams("job1", -1)
	want := []*agentv1.StreamKey{key("run")} // what is empty costs no file
	if err != nil || cmp.Diff(want, got, protocmp.Transform()) != "" {
		t.Error(got, err)
	}
}

// TestTornAtEveryByte cuts the last segment at every length: what is left is a prefix of whole records, and the sender can
// go on from End.
func TestTornAtEveryByte(t *testing.T) {
	t.Parallel()
	src := t.TempDir()
	s := open(t, src, logs.Options{NoSync: true, SegmentBytes: 150})
	all := ""
	for i := range 8 {
		l := fmt.Sprintf("line %d of the log\n", i)
		mustAppend(t, s, key("run"), uint64(len(all)), rec(l))
		all += l
	}
	_ = s.Close()
	segs, _ := filepath.Glob(filepath.Join(src, "job1", "*", "*.seg"))
	if len(segs) < 2 {
		t.Fatal(segs)
	}
	last := segs[len(segs)-1]
	whole, err := os.ReadFile(last)
	if err != nil {
		t.Fatal(err)
	}
	for n := range len(whole) + 1 {
		dir := t.TempDir()
		if err := os.CopyFS(dir, os.DirFS(src)); err != nil {
			t.Fatal(err)
		}
		rel, _ := filepath.Rel(src, last)
		if err := os.Truncate(filepath.Join(dir, rel), int64(n)); err != nil {
			t.Fatal(err)
		}
		s := open(t, dir, logs.Options{NoSync: true})
		end, _, err := s.End(key("run"))
		if err != nil {
			t.Fatal(err)
		}
		if got := text(t, s, key("run"), 0); got != all[:end] {
			t.Fatalf("cut at %d: got %q, want %q", n, got, all[:end])
		}
		mustAppend(t, s, key("run"), end, rec(all[end:]))
		if got := text(t, s, key("run"), 0); got != all {
			t.Fatalf("cut at %d and sent again: got %q", n, got)
		}
		_ = s.Close()
	}
}

// TestDamageInside: bytes lost in the middle of a stream show as a gap.
func TestDamageInside(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir, logs.Options{NoSync: true, SegmentBytes: 100})
	var end uint64
	for i := range 10 {
		end = mustAppend(t, s, key("run"), end, rec(fmt.Sprintf("%019d\n", i)))
	}
	_ = s.Close()
	segs, _ := filepath.Glob(filepath.Join(dir, "job1", "*", "*.seg"))
	b, err := os.ReadFile(segs[1])
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)-3] ^= 1
	if err := os.WriteFile(segs[1], b, 0o600); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, logs.Options{NoSync: true})
	got := text(t, s, key("run"), 0)
	if !strings.Contains(got, "<20>") || len(got) != int(end)-20+4 {
		t.Errorf("got %q", got)
	}
}

func TestFollow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := open(t, t.TempDir(), logs.Options{NoSync: true, SegmentBytes: 200})
		k := key("run")
		const followers = 50
		var wg sync.WaitGroup
		got := make([]bytes.Buffer, followers)
		for i := range followers {
			wg.Go(func() {
				if err := s.Read(t.Context(), k, 0, true, func(r logs.Record) bool { got[i].Write(r.Data); return true }); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		var end uint64
		var want string
		for i := range 100 {
			l := fmt.Sprintf("line %d\n", i)
			end = mustAppend(t, s, k, end, rec(l))
			want += l
			if i%10 == 0 {
				before := time.Now()
				synctest.Wait() // nobody polls: everything has arrived without time going on
				if got[7].String() != want || time.Now() != before {
					t.Fatalf("follower has %d bytes, want %d", got[7].Len(), len(want))
				}
			}
			time.Sleep(time.Second)
		}
		if err := s.Complete(k, end); err != nil {
			t.Fatal(err)
		}
		wg.Wait()
		for i := range got {
			if got[i].String() != want {
				t.Errorf("follower %d has %d bytes, want %d", i, got[i].Len(), len(want))
			}
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestFollowEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := open(t, t.TempDir(), logs.Options{NoSync: true})
		mustAppend(t, s, key("run"), 0, rec("x"))
		follow := func(ctx context.Context, k *agentv1.StreamKey) chan error {
			ch := make(chan error, 1)
			go func() { ch <- s.Read(ctx, k, 0, true, func(logs.Record) bool { return true }) }()
			synctest.Wait()
			return ch
		}
		ctx, cancel := context.WithCancel(t.Context())
		ch := follow(ctx, key("run"))
		cancel()
		if err := <-ch; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		ch = follow(t.Context(), key("run"))
		if err := s.RemoveJob("job1"); err != nil {
			t.Error(err)
		}
		if err := <-ch; err != nil {
			t.Error(err)
		}
		if end, _, err := s.End(key("run")); end != 0 || err != nil {
			t.Error(end, err)
		}
		ch = follow(t.Context(), key("other"))
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if err := <-ch; !errors.Is(err, logs.ErrClosed) {
			t.Error(err)
		}
	})
}

func TestHugeRecord(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir(), logs.Options{NoSync: true})
	line := strings.Repeat("x", 10<<20) + "\n"
	end := mustAppend(t, s, key("run"), 0, rec("first\n"), rec(line), rec("last"))
	if got := text(t, s, key("run"), 0); got != "first\n"+line+"last" {
		t.Errorf("got %d bytes", len(got))
	}
	if at, err := s.TailOffset(key("run"), 2); at != 6 || err != nil {
		t.Error(at, err)
	}
	if at, err := s.TailOffset(key("run"), 1); at != end-4 || err != nil {
		t.Error(at, err)
	}
	if got := text(t, s, key("run"), end-2); got != "st" {
		t.Errorf("got %q", got)
	}
}

func TestBadKeys(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir(), logs.Options{NoSync: true})
	for _, k := range []*agentv1.StreamKey{
		{}, {JobId: "..", Name: "run"}, {JobId: "a/b", Name: "run"}, {JobId: "a", Name: "../x"}, {JobId: "a", Name: "run", Slot: -1},
	} {
		if _, err := s.Append(context.Background(), k, 0, []*agentv1.LogRecord{rec("x")}); err == nil {
			t.Errorf("%v was accepted", k)
		}
	}
}

// FuzzSegment feeds the reader arbitrary segment files: it ends, and yields offsets without holes.
func FuzzSegment(f *testing.F) {
	dir := f.TempDir()
	s := open(f, dir, logs.Options{NoSync: true})
	mustAppend(f, s, key("run"), 0, rec("hello\n"), gap(7), rec("world\n"))
	if err := s.Complete(key("run"), 19); err != nil {
		f.Fatal(err)
	}
	segs, _ := filepath.Glob(filepath.Join(dir, "job1", "*", "*.seg"))
	b, err := os.ReadFile(segs[0])
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b, b)
	f.Add(b[:len(b)-5], b[3:])
	f.Add([]byte{}, []byte("xx"))
	f.Fuzz(func(t *testing.T, first, second []byte) {
		dir := t.TempDir()
		sub := filepath.Join(dir, "job1", "1.0.run")
		if err := os.MkdirAll(sub, 0o700); err != nil {
			t.Fatal(err)
		}
		for base, b := range map[string][]byte{"00000000000000000000": first, "00000000000000000013": second} {
			if err := os.WriteFile(filepath.Join(sub, base+".seg"), b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		s := open(t, dir, logs.Options{NoSync: true})
		_, complete, err := s.End(key("run"))
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		_ = s.Read(context.Background(), key("run"), 0, false, func(r logs.Record) bool { n++; return n < 1000 })
		_, _ = s.TailOffset(key("run"), 3)
		if !complete {
			end, _, _ := s.End(key("run"))
			_, _ = s.Append(context.Background(), key("run"), end, []*agentv1.LogRecord{rec("more")})
		}
		_ = s.Close()
	})
}
