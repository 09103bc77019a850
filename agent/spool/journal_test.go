package spool_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"aloft/agent/spool"
)

func openJournal(t testing.TB, path string) *spool.Journal {
	t.Helper()
	j, err := spool.OpenJournal(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	return j
}

func wantPending(t testing.TB, j *spool.Journal, first uint64, msgs ...string) {
	t.Helper()
	got := j.Pending()
	if len(got) != len(msgs) {
		t.Fatalf("%d pending, want %d", len(got), len(msgs))
	}
	for i, e := range got {
		if e.Seq != first+uint64(i) || string(e.Data) != msgs[i] {
			t.Errorf("entry %d: %d %q, want %d %q", i, e.Seq, e.Data, first+uint64(i), msgs[i])
		}
	}
}

func add(t testing.TB, j *spool.Journal, msg string) uint64 {
	t.Helper()
	seq, err := j.Append([]byte(msg))
	if err != nil {
		t.Fatal(err)
	}
	return seq
}

func TestJournal(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "statuses")
	j := openJournal(t, path)
	for i, m := range []string{"a", "", "c"} {
		if seq := add(t, j, m); seq != uint64(i+1) {
			t.Errorf("seq %d", seq)
		}
	}
	wantPending(t, j, 1, "a", "", "c")
	if err := errors.Join(j.Ack(2), j.Ack(1)); err != nil {
		t.Fatal(err)
	}
	wantPending(t, j, 3, "c")
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := j.Append([]byte("late")); err == nil {
		t.Error("append to a closed journal")
	}
	j = openJournal(t, path)
	wantPending(t, j, 3, "c")
	if err := j.Ack(99); err != nil {
		t.Fatal(err)
	}
	wantPending(t, j, 4)
	if seq := add(t, j, "d"); seq != 4 || j.LastSeq() != 4 {
		t.Errorf("seq %d, last %d", seq, j.LastSeq())
	}
}

// A copy of the file taken at any moment holds every message whose Append had returned.
func TestJournalIsDurableWhenAppendReturns(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "statuses")
	j := openJournal(t, path)
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 20 {
				seq, err := j.Append(fmt.Appendf(nil, "%d-%d", g, i))
				if err != nil {
					t.Error(err)
					return
				}
				b, err := os.ReadFile(path)
				if err != nil {
					t.Error(err)
					return
				}
				dup := filepath.Join(dir, fmt.Sprintf("copy-%d-%d", g, i))
				if err := os.WriteFile(dup, b, 0o600); err != nil {
					t.Error(err)
					return
				}
				c, err := spool.OpenJournal(dup)
				if err != nil {
					t.Error(err)
					return
				}
				found := false
				for _, e := range c.Pending() {
					found = found || e.Seq == seq && string(e.Data) == fmt.Sprintf("%d-%d", g, i)
				}
				if !found {
					t.Errorf("%d-%d (seq %d) is not in the file", g, i, seq)
				}
				if err := c.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if n := len(j.Pending()); n != 160 {
		t.Errorf("%d pending", n)
	}
}

func TestJournalTornAtEveryByte(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	j := openJournal(t, filepath.Join(dir, "whole"))
	for _, m := range []string{"one", "two", "three"} {
		add(t, j, m)
	}
	whole, err := os.ReadFile(filepath.Join(dir, "whole"))
	if err != nil {
		t.Fatal(err)
	}
	for cut := range len(whole) + 1 {
		path := filepath.Join(dir, "cut")
		if err := os.WriteFile(path, whole[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		c := openJournal(t, path)
		n := len(c.Pending())
		wantPending(t, c, 1, []string{"one", "two", "three"}[:n]...)
		if seq := add(t, c, "next"); seq != uint64(n+1) {
			t.Fatalf("cut at %d: seq %d after %d", cut, seq, n)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		wantPending(t, openJournal(t, path), 1, append([]string{"one", "two", "three"}[:n:n], "next")...)
	}
}

func TestJournalCompacts(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "statuses")
	j := openJournal(t, path)
	msg := string(pattern(64 << 10))
	for range 100 {
		seq := add(t, j, msg)
		if err := j.Ack(seq - min(seq, 2)); err != nil {
			t.Fatal(err)
		}
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() > 2<<20 {
		t.Errorf("%d bytes for two messages of 64 KiB", info.Size())
	}
	wantPending(t, j, 99, msg, msg)
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	j = openJournal(t, path)
	if seq := add(t, j, "x"); seq != 101 {
		t.Errorf("seq %d", seq)
	}
}

func TestJournalConcurrentAck(t *testing.T) {
	t.Parallel()
	j := openJournal(t, filepath.Join(t.TempDir(), "statuses"))
	var wg sync.WaitGroup
	msg := pattern(20 << 10)
	for range 4 {
		wg.Go(func() {
			for range 60 {
				seq, err := j.Append(msg)
				if err != nil {
					t.Error(err)
					return
				}
				if err := j.Ack(seq - min(seq, 3)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if n := len(j.Pending()); j.LastSeq() != 240 || n > 8 {
		t.Errorf("last %d, %d pending", j.LastSeq(), n)
	}
}

func BenchmarkJournalAppend(b *testing.B) {
	msg := pattern(300)
	for _, callers := range []int{1, 32} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			j := openJournal(b, filepath.Join(b.TempDir(), "statuses"))
			b.SetParallelism(callers)
			work := func(next func() bool) {
				for next() {
					if _, err := j.Append(msg); err != nil {
						b.Error(err)
					}
				}
			}
			if callers == 1 {
				work(b.Loop)
			} else {
				b.RunParallel(func(pb *testing.PB) { work(pb.Next) })
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "appends/s")
			if err := j.Ack(j.LastSeq()); err != nil {
				b.Fatal(err)
			}
		})
	}
}
