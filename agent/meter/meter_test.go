package meter_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"aloft/agent/meter"
	"aloft/agent/spool"
	agentv1 "aloft/proto/sky/agent/v1"
)

type rig struct {
	dir string
	o   meter.Options
}

func newRig(t testing.TB) *rig {
	t.Helper()
	dir := t.TempDir()
	for _, d := range []string{"job", "work"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return &rig{dir: dir, o: meter.Options{SpoolDir: filepath.Join(dir, "spool"), Key: spool.Key{JobID: "j", Attempt: 1, Name: meter.Stream},
		Dir: filepath.Join(dir, "job"), Lines: filepath.Join(dir, "job", "metrics.jsonl"), Workdir: filepath.Join(dir, "work"),
		Log: slog.New(slog.DiscardHandler)}}
}

func (r *rig) write(t testing.TB, name, text string) {
	t.Helper()
	f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = f.WriteString(text)
	}
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

func (r *rig) open(t testing.TB) *meter.Meter {
	t.Helper()
	m, err := meter.Open(r.o)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// points are the values of each series in the stream, in order.
func (r *rig) points(t testing.TB) (map[string][]string, []string) {
	t.Helper()
	out, notes := map[string][]string{}, []string(nil)
	rd := spool.OpenReader(r.o.SpoolDir, r.o.Key)
	defer func() { _ = rd.Close() }()
	for at := uint64(0); ; {
		recs, next, err := rd.ReadFrom(at, 1<<20)
		if errors.Is(err, io.EOF) || len(recs) == 0 && err == nil {
			return out, notes
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, rec := range recs {
			_, k := binary.Uvarint(rec.Data)
			b := new(agentv1.MetricBatch)
			if err := proto.Unmarshal(rec.Data[k:], b); err != nil {
				t.Fatal(err)
			}
			notes = append(notes, b.GetNotes()...)
			for _, c := range b.GetColumns() {
				step := int64(0)
				for i, v := range c.GetValue() {
					step += c.GetStep()[i]
					out[c.GetName()] = append(out[c.GetName()], fmt.Sprintf("%d:%g", step, v))
				}
			}
		}
		at = next
	}
}

// until runs the meter until its stream says something.
func (r *rig) until(t testing.TB, m *meter.Meter, name string, n int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		m.Run(ctx)
	}()
	for ctx.Err() == nil {
		if got, _ := r.points(t); len(got[name]) >= n {
			cancel()
		}
		time.Sleep(5 * time.Millisecond) // paces the polling
	}
	<-done
	if got, _ := r.points(t); len(got[name]) != n {
		t.Fatalf("%s has %d points, want %d", name, len(got[name]), n)
	}
}

func TestEverySource(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	work := func(name string) string { return filepath.Join(r.o.Workdir, name) }
	r.write(t, work("metrics.txt"), "old: 1\n") // of an earlier run
	m := r.open(t)
	r.write(t, r.o.Lines, "{\"step\": 1, \"loss\": 0.5}\n\noops\n{\"step\": 2, \"loss\": NaN")
	r.until(t, m, "loss", 1)
	r.write(t, r.o.Lines, "}\n{\"step\": 3, \"loss\": 0.25}") // the last line has no newline
	r.write(t, work("metrics.json"), `{"acc": 0.9, "curve": [1, 2], "epoch": 7}`)
	events, err := os.ReadFile("../../tasks/metrics/testdata/events.out.tfevents.1700000000.host")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{"logs/train", "logs/validation"} {
		if err := os.MkdirAll(work(d), 0o700); err != nil {
			t.Fatal(err)
		}
		r.write(t, work(d+"/events.out.tfevents.1.h"), string(events[:len(events)-3])) // torn at its end
	}
	end, err := m.Finish()
	if err != nil {
		t.Fatal(err)
	}
	got, notes := r.points(t)
	for name, want := range map[string]string{"loss": "[1:0.5 2:NaN 3:0.25]", "acc": "[7:0.9]", "curve": "[1:1 2:2]"} {
		if fmt.Sprint(got[name]) != want {
			t.Errorf("%s: %v, want %s", name, got[name], want)
		}
	}
	if len(got["train/loss"]) != 20 || len(got["validation/epoch_accuracy"]) != 20 || got["old"] != nil || got["bad"] != nil {
		t.Errorf("%v", got)
	}
	if len(notes) != 1 || !strings.Contains(notes[0], "metrics.jsonl, line 2") { // the empty line is none
		t.Logf("notes %q", notes)
		if len(notes) != 1 || !strings.Contains(notes[0], "metrics.jsonl, line 3") {
			t.Errorf("notes %q", notes)
		}
	}
	again := r.open(t)
	if e, err := again.Finish(); e != end || err != nil || len(again.Summaries(100)) != len(got) {
		t.Errorf("finished again: %d, %v; was %d", e, err, end)
	}
	all, err := os.ReadFile(meter.File(r.o.Dir, r.o.Lines))
	if err != nil || !strings.Contains(string(all), `"loss": 0.25`) || !strings.Contains(string(all), `"validation/loss": `) || !strings.Contains(string(all), `"acc": 0.9`) {
		t.Errorf("the file of all points: %v\n%.500s", err, all)
	}
}

// TestDies loses the meter at every moment that matters: before its state is written, and after it.
func TestDies(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	state := filepath.Join(r.o.Dir, "metrics.state")
	n := 0
	for life := range 6 {
		m := r.open(t)
		before, err := os.ReadFile(state)
		if err != nil {
			t.Fatal(err)
		}
		for range 10 {
			n++
			r.write(t, r.o.Lines, fmt.Sprintf("{\"n\": %d}\n", n))
		}
		r.until(t, m, "n", n)
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
		if life%2 == 0 { // as if the process had died between the two writes
			if err := os.WriteFile(state, before, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	m := r.open(t)
	if _, err := m.Finish(); err != nil {
		t.Fatal(err)
	}
	got, _ := r.points(t)
	for i := range n {
		if len(got["n"]) != n || got["n"][i] != fmt.Sprintf("%d:%d", i+1, i+1) {
			t.Fatalf("points %v", got["n"])
		}
	}
	if s := m.Summaries(1); s[0].GetPoints() != uint64(n) || s[0].GetLast() != float64(n) {
		t.Errorf("summary %v", s[0])
	}
}

func TestTooManySeries(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	m := r.open(t)
	for i := range 2100 {
		r.write(t, r.o.Lines, fmt.Sprintf("{\"s%d\": 1}\n", i))
	}
	if _, err := m.Finish(); err != nil {
		t.Fatal(err)
	}
	got, notes := r.points(t)
	if len(got) != 2000 || len(notes) != 1 || !strings.Contains(notes[0], "more than 2000 series") {
		t.Errorf("%d series, notes %q", len(got), notes)
	}
}

func BenchmarkIngest(b *testing.B) {
	var text strings.Builder
	const lines = 200_000
	for i := range lines {
		fmt.Fprintf(&text, "{\"step\": %d, \"loss\": %g, \"acc\": %g, \"lr\": 0.001, \"time\": %d}\n", i, 1/float64(i+1), 1-1/float64(i+1), 1700000000+i)
	}
	for b.Loop() {
		b.StopTimer()
		r := newRig(b)
		m := r.open(b)
		r.write(b, r.o.Lines, text.String())
		b.StartTimer()
		if _, err := m.Finish(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(3*lines*float64(b.N)/b.Elapsed().Seconds(), "points/s")
}
