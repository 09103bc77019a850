package series_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"

	"google.golang.org/protobuf/proto"

	"aloft/controller/logs"
	"aloft/controller/series"
	agentv1 "aloft/proto/sky/agent/v1"
	controlv1 "aloft/proto/sky/control/v1"
)

type rig struct {
	logs  *logs.Store
	store *series.Store
	ends  map[string]uint64
}

func newRig(t testing.TB) *rig {
	t.Helper()
	l, err := logs.Open(t.TempDir(), logs.Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return &rig{logs: l, store: series.New(l), ends: map[string]uint64{}}
}

// put writes a batch of one series, from..to as steps, with value(step).
func (r *rig) put(t testing.TB, attempt, slot int32, name string, from, to int64, value func(int64) float64) {
	t.Helper()
	c := &agentv1.MetricColumn{Name: name}
	last := int64(0)
	for s := from; s <= to; s++ {
		c.Step, c.AtMs, c.Value = append(c.Step, s-last), append(c.AtMs, 1000*(s-last)), append(c.Value, value(s))
		last = s
	}
	body, err := proto.Marshal(&agentv1.MetricBatch{Rank: slot, Columns: []*agentv1.MetricColumn{c}, BadLines: 1})
	if err != nil {
		t.Fatal(err)
	}
	r.bytes(t, attempt, slot, append(binary.AppendUvarint(nil, uint64(len(body))), body...))
}

func (r *rig) bytes(t testing.TB, attempt, slot int32, b []byte) {
	t.Helper()
	k := &agentv1.StreamKey{JobId: "j", Attempt: attempt, Slot: slot, Name: series.Stream}
	id := fmt.Sprint(attempt, slot)
	if _, err := r.logs.Append(t.Context(), k, r.ends[id], []*agentv1.LogRecord{{AtMs: 1, Fd: 3, Data: b}}); err != nil {
		t.Fatal(err)
	}
	r.ends[id] += uint64(len(b))
}

func (r *rig) read(t testing.TB, q *controlv1.MetricsRequest) *controlv1.MetricsAnswer {
	t.Helper()
	q.JobId = "j"
	ans, err := r.store.Read(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	return ans
}

func down(s int64) float64 { return 1 / float64(s) }

func TestGrowsAndIsRemoved(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.put(t, 1, 0, "train/loss", 1, 100, down)
	r.put(t, 1, 1, "train/loss", 1, 3, down)
	r.put(t, 1, 0, "acc", 1, 2, down)
	ans := r.read(t, &controlv1.MetricsRequest{Names: []string{"train*"}, Points: 10})
	if len(ans.GetSeries()) != 2 || ans.GetSeries()[0].GetSummary().GetPoints() != 100 || len(ans.GetSeries()[0].GetValue()) != 10 || ans.GetBadLines() != 3 {
		t.Errorf("%v", ans)
	}
	if ans = r.read(t, &controlv1.MetricsRequest{FirstRank: true}); len(ans.GetSeries()) != 2 || len(ans.GetSeries()[1].GetValue()) != 0 {
		t.Errorf("%v", ans)
	}
	r.put(t, 1, 0, "train/loss", 101, 110, down)
	if s := r.read(t, &controlv1.MetricsRequest{FirstRank: true, Names: []string{"train/loss"}}).GetSeries()[0].GetSummary(); s.GetPoints() != 110 || s.GetLastStep() != 110 || s.GetMin() != down(110) {
		t.Errorf("%v", s)
	}
	if err := r.logs.RemoveJob("j"); err != nil {
		t.Fatal(err)
	}
	if ans = r.read(t, &controlv1.MetricsRequest{}); len(ans.GetSeries()) != 0 {
		t.Errorf("what was removed is still shown: %v", ans)
	}
	clear(r.ends)
	r.put(t, 1, 0, "acc", 1, 1, down)
	if ans = r.read(t, &controlv1.MetricsRequest{}); len(ans.GetSeries()) != 1 || ans.GetBadLines() != 1 {
		t.Errorf("after the removal: %v", ans)
	}
}

// TestAttempts puts a run that went on from a checkpoint together.
func TestAttempts(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.put(t, 1, 0, "loss", 1, 80, down)
	r.put(t, 2, 0, "loss", 51, 100, func(s int64) float64 { return down(s) + 1 })
	s := r.read(t, &controlv1.MetricsRequest{Points: 500}).GetSeries()[0]
	if len(s.GetStep()) != 100 || s.GetValue()[49] != down(50) || s.GetValue()[50] != down(51)+1 || s.GetSummary().GetFirst() != 1 {
		t.Errorf("%v", s)
	}
	if s := r.read(t, &controlv1.MetricsRequest{Points: 500, Attempt: 1}).GetSeries()[0]; len(s.GetStep()) != 80 {
		t.Errorf("%v", s)
	}
	n := 0
	err := r.store.Points(t.Context(), &controlv1.MetricsRequest{JobId: "j"}, func(p *controlv1.MetricPointsPart) error {
		n += len(p.GetValue())
		return nil
	})
	if err != nil || n != 130 {
		t.Errorf("%d points, %v", n, err)
	}
}

// TestDamage reads what it can of bytes that no agent wrote.
func TestDamage(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		r := newRig(t)
		rng := rand.New(rand.NewPCG(seed, 3))
		junk := make([]byte, rng.IntN(300))
		for i := range junk {
			junk[i] = byte(rng.Uint32())
		}
		if len(junk) > 0 {
			r.bytes(t, 1, 0, junk)
		}
		r.read(t, &controlv1.MetricsRequest{Points: 10})
	}
}

func BenchmarkRead(b *testing.B) {
	const batches, points = 200, 5000
	r := newRig(b)
	for i := range int64(batches) {
		r.put(b, 1, 0, "loss", i*points+1, (i+1)*points, down)
	}
	for b.Loop() {
		r.store = series.New(r.logs)
		r.read(b, &controlv1.MetricsRequest{Points: 200})
	}
	b.ReportMetric(batches*points*float64(b.N)/b.Elapsed().Seconds(), "points/s")
}
