package journal_test

import (
	"context"
	"iter"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"aloft/agent/supervise/journal"
	agentv1 "aloft/proto/sky/agent/v1"
)

func record(n uint64) *agentv1.JournalRecord {
	return &agentv1.JournalRecord{Record: &agentv1.JournalRecord_StatusAcked{StatusAcked: n}}
}

func open(t testing.TB, dir string) (*journal.Journal, []uint64) {
	t.Helper()
	var got []uint64
	j, err := journal.Open(dir, slog.New(slog.DiscardHandler), func(r *agentv1.JournalRecord) error {
		got = append(got, r.GetStatusAcked())
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return j, got
}

func closing(t testing.TB, j *journal.Journal) {
	t.Helper()
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestReplayAndTornTail(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	j, _ := open(t, dir)
	var pos journal.Pos
	for n := uint64(1); n <= 5; n++ {
		pos = j.Append(record(n))
	}
	if err := j.Wait(context.Background(), pos); err != nil {
		t.Fatal(err)
	}
	closing(t, j)
	path := filepath.Join(dir, "journal")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	// Cut at every byte: what is left is the records that are whole, and the journal takes more.
	for cut := range len(whole) + 1 {
		d := t.TempDir()
		if err := os.WriteFile(filepath.Join(d, "journal"), whole[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		j, got := open(t, d)
		want := cut / (len(whole) / 5)
		if len(got) != want {
			t.Fatalf("cut at %d of %d: %v", cut, len(whole), got)
		}
		j.Append(record(99))
		closing(t, j)
		j, got = open(t, d)
		closing(t, j)
		if len(got) != want+1 || got[want] != 99 {
			t.Fatalf("after a cut at %d: %v", cut, got)
		}
	}
}

func TestCompact(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	j, _ := open(t, dir)
	last, compacted := uint64(0), 0
	for range 200_000 {
		last++
		j.Append(record(last))
		if j.Bulky() {
			compacted++
			j.Compact(iter.Seq[*agentv1.JournalRecord](slices.Values([]*agentv1.JournalRecord{record(last)})))
		}
	}
	closing(t, j)
	if compacted == 0 {
		t.Error("never compacted")
	}
	j, got := open(t, dir)
	closing(t, j)
	if got[len(got)-1] != last {
		t.Errorf("last record %d, want %d", got[len(got)-1], last)
	}
	for i := 1; i < len(got); i++ {
		if got[i] != got[i-1]+1 {
			t.Fatalf("%d follows %d", got[i], got[i-1])
		}
	}
}

func TestManyWriters(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	j, _ := open(t, dir)
	var wg sync.WaitGroup
	const writers, each = 8, 50
	for range writers {
		wg.Go(func() {
			for range each {
				if err := j.Wait(context.Background(), j.Append(record(1))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	closing(t, j)
	j, got := open(t, dir)
	closing(t, j)
	if len(got) != writers*each {
		t.Errorf("%d records, want %d", len(got), writers*each)
	}
}

func BenchmarkAppend(b *testing.B) {
	j, _ := open(b, b.TempDir())
	var pos journal.Pos
	for n := range b.N {
		pos = j.Append(record(uint64(n)))
	}
	if err := j.Wait(context.Background(), pos); err != nil {
		b.Fatal(err)
	}
	closing(b, j)
}
