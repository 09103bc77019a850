// Package series reads what jobs measured. The points of a rank lie in a stream beside its logs (see controller/logs), in
// batches as its agent made them; they come and go with the logs. A summary and a curve of every series are kept in
// memory for the jobs that were asked for last, and brought up to date by what is new in the stream.
package series

import (
	"context"
	"encoding/binary"
	"fmt"
	"path"
	"sort"
	"strings"
	"sync"

	"google.golang.org/protobuf/proto"

	"aloft/controller/logs"
	agentv1 "aloft/proto/sky/agent/v1"
	controlv1 "aloft/proto/sky/control/v1"
	statev1 "aloft/proto/sky/state/v1"
	"aloft/tasks/metrics"
)

const (
	// Stream is the name of the streams of batches.
	Stream = "metrics"
	// MostPoints is how many points of a curve are given at most.
	MostPoints = 1000

	keepRanks = 256 // ranks in memory
	mostNotes = 100
	mostBatch = 4 << 20
)

// Store reads the series of jobs. It is safe for concurrent use.
type Store struct {
	logs *logs.Store

	mu    sync.Mutex
	ranks map[key]*rank
	uses  uint64
}

type key struct {
	job           string
	attempt, slot int32
}

// rank is what one stream holds.
type rank struct {
	mu     sync.Mutex
	used   uint64 // guarded by Store.mu
	key    *agentv1.StreamKey
	next   uint64
	held   decoder
	series map[string]*curve
	bad    uint64
	lost   uint64 // points beyond the limit
	gap    uint64
	notes  []string
}

type curve struct {
	rank int32
	sum  metrics.Summary
	c    *metrics.Curve
}

// New makes a Store over logs.
func New(l *logs.Store) *Store { return &Store{logs: l, ranks: map[key]*rank{}} }

// stretches is how fine the curve of one more series is: with many of them each is coarser, for they are all in memory.
func stretches(known int) int {
	switch {
	case known < 50:
		return 512
	case known < 300:
		return 128
	}
	return 32
}

// find makes or finds a rank.
func (s *Store) find(k *agentv1.StreamKey) *rank {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := key{k.GetJobId(), k.GetAttempt(), k.GetSlot()}
	r := s.ranks[id]
	if r == nil {
		r = &rank{key: k, series: map[string]*curve{}}
		s.ranks[id] = r
		if len(s.ranks) > keepRanks {
			var oldest key
			least := s.uses + 1
			for k, x := range s.ranks {
				if x.used < least && x != r {
					oldest, least = k, x.used
				}
			}
			delete(s.ranks, oldest)
		}
	}
	s.uses++
	r.used = s.uses
	return r
}

// update takes what is new in the stream. The caller holds r.mu.
func (r *rank) update(ctx context.Context, l *logs.Store) error {
	end, _, err := l.End(r.key)
	if err != nil {
		return err
	}
	if end < r.next { // the logs were removed
		r.next, r.held, r.series = 0, decoder{}, map[string]*curve{}
		r.bad, r.lost, r.gap, r.notes = 0, 0, 0, nil
	}
	if end == r.next {
		return nil
	}
	return l.Read(ctx, r.key, r.next, false, func(rec logs.Record) bool {
		r.next = rec.Offset + uint64(len(rec.Data)) + rec.Gap
		r.gap += rec.Gap
		r.held.take(rec, r.batch)
		return true
	})
}

func (r *rank) batch(b *agentv1.MetricBatch) {
	r.bad += b.GetBadLines()
	r.lost += b.GetDropped()
	for _, n := range b.GetNotes() {
		if len(r.notes) < mostNotes {
			r.notes = append(r.notes, n)
		}
	}
	for _, c := range b.GetColumns() {
		x := r.series[c.GetName()]
		if x == nil {
			if len(r.series) >= metrics.MostSeries {
				r.lost += uint64(len(c.GetValue()))
				continue
			}
			x = &curve{rank: b.GetRank(), c: metrics.NewCurve(stretches(len(r.series)))}
			r.series[c.GetName()] = x
		}
		each(c, func(p metrics.Point) {
			x.sum.Add(p)
			x.c.Add(p)
		})
	}
}

// each calls fn with the points of a column.
func each(c *agentv1.MetricColumn, fn func(metrics.Point)) {
	var p metrics.Point
	n := min(len(c.GetValue()), len(c.GetStep()), len(c.GetAtMs()))
	for i := range n {
		p.Step, p.AtMS, p.Value = p.Step+c.GetStep()[i], p.AtMS+c.GetAtMs()[i], c.GetValue()[i]
		fn(p)
	}
}

// decoder finds the batches in the bytes of a stream.
type decoder struct{ buf []byte }

// take goes on with a record. After a gap the next record begins a batch.
func (d *decoder) take(rec logs.Record, batch func(*agentv1.MetricBatch)) {
	if rec.Gap > 0 {
		d.buf = nil
		return
	}
	b := rec.Data
	if len(d.buf) > 0 {
		d.buf = append(d.buf, b...)
		b = d.buf
	}
	for len(b) > 0 {
		n, k := binary.Uvarint(b)
		if k < 0 || n > mostBatch {
			d.buf = nil
			return // damaged; the next record begins anew
		}
		if k == 0 || n > uint64(len(b)-k) {
			d.buf = append([]byte(nil), b...)
			return
		}
		m := new(agentv1.MetricBatch)
		if proto.Unmarshal(b[k:k+int(n)], m) == nil {
			batch(m)
		}
		b = b[k+int(n):]
	}
	d.buf = d.buf[:0]
}

// streams are the streams of a job that a query is about, the earlier attempts first.
func (s *Store) streams(q *controlv1.MetricsRequest) ([]*agentv1.StreamKey, error) {
	attempt := int32(-1)
	if q.GetAttempt() > 0 {
		attempt = q.GetAttempt()
	}
	all, err := s.logs.Streams(q.GetJobId(), attempt)
	if err != nil {
		return nil, err
	}
	var out []*agentv1.StreamKey
	for _, k := range all {
		if k.GetName() == Stream {
			out = append(out, k)
		}
	}
	return out, nil
}

// Length is how much of a query's streams is here; it grows whenever there is something new.
func (s *Store) Length(q *controlv1.MetricsRequest) (uint64, error) {
	keys, err := s.streams(q)
	if err != nil {
		return 0, err
	}
	var sum uint64
	for _, k := range keys {
		end, _, err := s.logs.End(k)
		if err != nil {
			return 0, err
		}
		sum += end
	}
	return sum, nil
}

// wanted says whether a series is asked for.
func wanted(globs []string, name string) bool {
	for _, g := range globs {
		// A star means any text here, also with slashes in it.
		if ok, err := path.Match(strings.ReplaceAll(g, "/", "\x00"), strings.ReplaceAll(name, "/", "\x00")); err == nil && ok {
			return true
		}
	}
	return len(globs) == 0
}

// part is a series of one attempt.
type part struct {
	name   string
	rank   int32
	sum    metrics.Summary
	points []metrics.Point
}

// Read gives the series of a job by name and rank. Of an earlier attempt that counts which a later one, which may have
// gone on from a checkpoint, did not do again.
func (s *Store) Read(ctx context.Context, q *controlv1.MetricsRequest) (*controlv1.MetricsAnswer, error) {
	keys, err := s.streams(q)
	if err != nil {
		return nil, fmt.Errorf("read the metrics of job %s: %w", q.GetJobId(), err)
	}
	ans := &controlv1.MetricsAnswer{}
	type id struct {
		name string
		rank int32
	}
	parts := map[id][]part{}
	for _, k := range keys {
		r := s.find(k)
		if err := s.readRank(ctx, r, q, ans, func(p part) { parts[id{p.name, p.rank}] = append(parts[id{p.name, p.rank}], p) }); err != nil {
			return nil, fmt.Errorf("read the metrics of job %s: %w", q.GetJobId(), err)
		}
	}
	for _, list := range parts {
		ans.Series = append(ans.Series, join(list, int(q.GetPoints())))
	}
	sort.Slice(ans.Series, func(i, j int) bool {
		a, b := ans.Series[i].GetSummary(), ans.Series[j].GetSummary()
		if a.GetName() != b.GetName() {
			return a.GetName() < b.GetName()
		}
		return a.GetRank() < b.GetRank()
	})
	if q.GetFirstRank() {
		kept := ans.Series[:0]
		for i, x := range ans.Series {
			if i == 0 || x.GetSummary().GetName() != ans.Series[i-1].GetSummary().GetName() {
				kept = append(kept, x)
			}
		}
		ans.Series = kept
	}
	return ans, nil
}

func (s *Store) readRank(ctx context.Context, r *rank, q *controlv1.MetricsRequest, ans *controlv1.MetricsAnswer, add func(part)) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.update(ctx, s.logs); err != nil {
		return err
	}
	ans.BadLines += r.bad
	ans.Dropped += r.lost
	ans.MissingBytes += r.gap
	ans.Notes = append(ans.Notes, r.notes...)
	for name, c := range r.series {
		if !wanted(q.GetNames(), name) {
			continue
		}
		p := part{name: name, rank: c.rank, sum: c.sum}
		if q.GetPoints() > 0 {
			p.points = c.c.Points(int(min(q.GetPoints(), MostPoints)))
		}
		add(p)
	}
	return nil
}

// join puts the attempts of one series together.
func join(parts []part, points int) *controlv1.MetricSeries {
	last := parts[len(parts)-1]
	sum := last.sum
	curve := last.points
	for i := len(parts) - 2; i >= 0; i-- {
		p := parts[i]
		if p.sum.FirstStep >= sum.FirstStep {
			continue // all of it was done again
		}
		sum.First, sum.FirstStep, sum.FirstMS = p.sum.First, p.sum.FirstStep, p.sum.FirstMS
		sum.Points += p.sum.Points
		sum.NotFinite += p.sum.NotFinite
		if p.sum.Min < sum.Min {
			sum.Min, sum.MinStep = p.sum.Min, p.sum.MinStep
		}
		if p.sum.Max > sum.Max {
			sum.Max, sum.MaxStep = p.sum.Max, p.sum.MaxStep
		}
		var before []metrics.Point
		for _, x := range p.points {
			if len(curve) > 0 && x.Step < curve[0].Step {
				before = append(before, x)
			}
		}
		curve = append(before, curve...)
	}
	out := &controlv1.MetricSeries{Better: int32(metrics.Direction(last.name)), Summary: Summary(last.name, last.rank, sum)}
	if points > 0 {
		for _, p := range metrics.Downsample(curve, min(points, MostPoints)) {
			out.Step, out.AtMs, out.Value = append(out.Step, p.Step), append(out.AtMs, p.AtMS), append(out.Value, p.Value)
		}
	}
	return out
}

// Summary is a summary as it is on the wire.
func Summary(name string, rank int32, x metrics.Summary) *statev1.MetricSummary {
	return &statev1.MetricSummary{Name: name, Rank: rank, Points: x.Points, NotFinite: x.NotFinite, First: x.First, Last: x.Last, Min: x.Min, Max: x.Max,
		FirstStep: x.FirstStep, LastStep: x.LastStep, MinStep: x.MinStep, MaxStep: x.MaxStep, FirstMs: x.FirstMS, LastMs: x.LastMS}
}

// Points calls fn with every point of a job as it was measured, in parts.
func (s *Store) Points(ctx context.Context, q *controlv1.MetricsRequest, fn func(*controlv1.MetricPointsPart) error) error {
	keys, err := s.streams(q)
	if err != nil {
		return fmt.Errorf("read the points of job %s: %w", q.GetJobId(), err)
	}
	for _, k := range keys {
		var d decoder
		var failed error
		err := s.logs.Read(ctx, k, 0, false, func(rec logs.Record) bool {
			d.take(rec, func(b *agentv1.MetricBatch) {
				for _, c := range b.GetColumns() {
					if failed != nil || !wanted(q.GetNames(), c.GetName()) {
						continue
					}
					p := &controlv1.MetricPointsPart{Name: c.GetName(), Rank: b.GetRank(), Attempt: k.GetAttempt()}
					each(c, func(x metrics.Point) {
						p.Step, p.AtMs, p.Value = append(p.Step, x.Step), append(p.AtMs, x.AtMS), append(p.Value, x.Value)
					})
					failed = fn(p)
				}
			})
			return failed == nil
		})
		if failed != nil {
			return failed
		}
		if err != nil {
			return fmt.Errorf("read the points of job %s: %w", q.GetJobId(), err)
		}
	}
	return nil
}
