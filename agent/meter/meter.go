// Package meter collects what a rank measures while it runs: lines of JSON that it appends to $ALOFT_METRICS, metrics.json
// and metrics.txt in its working directory, and event files of TensorBoard. What it reads goes into one more stream of the
// spool, "metrics", and travels as logs do.
//
// Every batch in the stream says where its source goes on, and the meter's state is written down after every batch: after
// a crash the one batch that the state lacks is read back from the stream. So no point is lost and none comes twice.
package meter

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"aloft/agent/spool"
	agentv1 "aloft/proto/sky/agent/v1"
	statev1 "aloft/proto/sky/state/v1"
	"aloft/tasks/metrics"
)

const (
	// Stream is the name of the stream of batches.
	Stream = "metrics"
	// MostSummaries is how many series a rank's verdict tells of.
	MostSummaries = 256

	lookEvery   = 500 * time.Millisecond
	scanEvery   = 5 * time.Second
	batchPoints = 8192
	batchBytes  = 128 << 10
	mostNotes   = 20
	stateFile   = "metrics.state"
	pointsFile  = "metrics.collected"
	mergedFile  = "metrics/metrics.jsonl"
)

// Options say what to collect. Every field is required unless it says otherwise.
type Options struct {
	SpoolDir string
	Key      spool.Key
	Rank     int32
	Dir      string // of the job's attempt, for what the meter remembers
	Lines    string // file that the rank appends lines of JSON to
	Workdir  string
	Events   string // directory of event files; "" = the working directory
	Log      *slog.Logger
	Appended func() // the stream has grown; nil = nobody asks
}

// Meter collects of one rank. Run it in one goroutine at a time.
type Meter struct {
	o     Options
	w     *spool.Writer
	state *agentv1.MetricState
	lines *metrics.Lines

	mu     sync.Mutex // guards what follows, for Summaries
	series map[string]*statev1.MetricSummary
	order  []string

	sources map[string]*agentv1.MetricSource
	scanned time.Time
	batch   *agentv1.MetricBatch
	columns map[string]*column
	points  int
	bytes   int
	told    map[string]bool
}

type column struct {
	c          *agentv1.MetricColumn
	step, atMS int64
}

// Open takes up the collection, or goes on with it after a restart. Files of metrics that lie in the working directory
// already when it is opened for the first time are not of this run, unless they change.
func Open(o Options) (*Meter, error) {
	m := &Meter{o: o, lines: metrics.NewLines(), state: &agentv1.MetricState{}, series: map[string]*statev1.MetricSummary{},
		sources: map[string]*agentv1.MetricSource{}, told: map[string]bool{}}
	if o.Appended == nil {
		m.o.Appended = func() {}
	}
	b, err := os.ReadFile(filepath.Join(o.Dir, stateFile))
	first := errors.Is(err, os.ErrNotExist)
	if err == nil {
		err = proto.Unmarshal(b, m.state)
	}
	if err != nil && !first {
		return nil, fmt.Errorf("read the state of the metrics: %w", err)
	}
	for _, s := range m.state.GetSeries() {
		m.series[s.GetName()] = s
		m.order = append(m.order, s.GetName())
	}
	for _, s := range m.state.GetSources() {
		m.sources[s.GetPath()] = s
	}
	if m.state.GetComplete() {
		return m, nil
	}
	// The cap of the spool is for logs; a meter's stream is short of it by far.
	if m.w, err = spool.OpenWriter(o.SpoolDir, o.Key, spool.WriterOptions{}); err != nil {
		return nil, fmt.Errorf("open the stream of metrics: %w", err)
	}
	if first {
		m.passOver()
		return m, m.save()
	}
	if err := m.catchUp(); err != nil {
		return nil, errors.Join(err, m.w.Close())
	}
	return m, nil
}

// catchUp takes from the stream what was written after the state.
func (m *Meter) catchUp() error {
	end := m.w.End()
	m.w.SkipTo(m.state.GetEnd()) // the machine died and the stream's tail with it
	if end <= m.state.GetEnd() {
		return nil
	}
	r := spool.OpenReader(m.o.SpoolDir, m.o.Key)
	defer func() { _ = r.Close() }()
	for at := m.state.GetEnd(); at < end; {
		recs, next, err := r.ReadFrom(at, spool.MaxRecord)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if len(recs) == 0 {
			break
		}
		for _, rec := range recs {
			n, k := binary.Uvarint(rec.Data)
			b := new(agentv1.MetricBatch)
			if k <= 0 || n != uint64(len(rec.Data)-k) || proto.Unmarshal(rec.Data[k:], b) != nil {
				continue
			}
			if err := m.took(b); err != nil {
				return err
			}
		}
		at = next
	}
	m.state.End = end
	return m.save()
}

// Run collects until ctx ends.
func (m *Meter) Run(ctx context.Context) {
	if m.state.GetComplete() {
		return
	}
	t := time.NewTicker(lookEvery)
	defer t.Stop()
	for {
		if err := m.look(ctx, false); err != nil && ctx.Err() == nil {
			m.once("", fmt.Sprintf("metrics cannot be collected: %v", err))
			m.o.Log.Warn("collect metrics", "stream", m.o.Key.String(), "err", err)
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
	}
}

// Finish collects what is left and completes the stream. The answer is its length. Doing it again changes nothing.
func (m *Meter) Finish() (uint64, error) {
	if m.state.GetComplete() {
		return m.state.GetEnd(), nil
	}
	err := m.look(context.Background(), true)
	m.merge()
	m.state.Complete = true
	m.state.End = m.w.End()
	err = errors.Join(err, m.w.Complete(), m.save(), m.w.Close())
	m.o.Appended()
	return m.state.GetEnd(), err
}

// Close lets go of the stream without an end: another life of the agent goes on with it.
func (m *Meter) Close() error {
	if m.w == nil {
		return nil
	}
	return m.w.Close()
}

// Summaries are the series so far in the order in which they came, and how many there are in all.
func (m *Meter) Summaries(most int) []*statev1.MetricSummary {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []*statev1.MetricSummary
	for _, name := range m.order[:min(len(m.order), most)] {
		out = append(out, proto.CloneOf(m.series[name]))
	}
	return out
}

// add takes one sample into the batch, which is flushed when it is full.
func (m *Meter) add(src *agentv1.MetricSource, s metrics.Sample, seen int64) {
	sum := m.series[s.Name]
	if sum == nil {
		if len(m.series) >= metrics.MostSeries {
			m.batchOf(src).Dropped++
			m.once("limit", fmt.Sprintf("there are more than %d series; %q and others are left out", metrics.MostSeries, s.Name))
			return
		}
		sum = &statev1.MetricSummary{Name: s.Name, Rank: m.o.Rank}
		m.mu.Lock()
		m.series[s.Name] = sum
		m.order = append(m.order, s.Name)
		m.mu.Unlock()
	}
	b := m.batchOf(src)
	c := m.columns[s.Name]
	if c == nil {
		c = &column{c: &agentv1.MetricColumn{Name: s.Name}}
		m.columns[s.Name] = c
		b.Columns = append(b.Columns, c.c)
		m.bytes += len(s.Name) + 16
	}
	step := s.Step
	if !s.HasStep {
		step = int64(sum.GetPoints()) + int64(len(c.c.Value)) + 1
	}
	at := s.AtMS
	if at == 0 {
		at = seen
	}
	c.c.Step, c.c.AtMs, c.c.Value = append(c.c.Step, step-c.step), append(c.c.AtMs, at-c.atMS), append(c.c.Value, s.Value)
	c.step, c.atMS = step, at
	m.points++
	m.bytes += 8 + 2*10 // at most
}

func (m *Meter) full() bool { return m.points >= batchPoints || m.bytes >= batchBytes }

func (m *Meter) batchOf(src *agentv1.MetricSource) *agentv1.MetricBatch {
	if m.batch == nil {
		m.batch, m.columns = &agentv1.MetricBatch{Rank: m.o.Rank, Source: src}, map[string]*column{}
	}
	return m.batch
}

// once notes something for people, the first time.
func (m *Meter) once(key, text string) {
	if key == "" {
		key = text
	}
	if m.told[key] || m.state.GetNotes() >= mostNotes {
		return
	}
	m.told[key] = true
	b := m.batchOf(nil)
	b.Notes = append(b.Notes, text)
	m.state.Notes++
}

// flush appends the batch to the stream and writes the state down.
func (m *Meter) flush(src *agentv1.MetricSource) error {
	b := m.batch
	if b == nil {
		return nil
	}
	b.Source = src
	m.batch, m.columns, m.points, m.bytes = nil, nil, 0, 0
	body, err := proto.Marshal(b)
	if err != nil {
		return fmt.Errorf("write metrics: %w", err)
	}
	m.state.End = m.w.Append(time.Now().UnixMilli(), 3, append(binary.AppendUvarint(nil, uint64(len(body))), body...))
	if err := m.took(b); err != nil {
		return err
	}
	err = m.save()
	m.o.Appended()
	return err
}

// took brings the state up to a batch that is in the stream.
func (m *Meter) took(b *agentv1.MetricBatch) error {
	m.state.BadLines += b.GetBadLines()
	m.state.Dropped += b.GetDropped()
	if src := b.GetSource(); src != nil {
		m.sources[src.GetPath()] = src
	}
	m.mu.Lock()
	for _, c := range b.GetColumns() {
		s := m.series[c.GetName()]
		if s == nil {
			s = &statev1.MetricSummary{Name: c.GetName(), Rank: b.GetRank()}
			m.series[c.GetName()] = s
			m.order = append(m.order, c.GetName())
		}
		sum := fromSummary(s)
		var p metrics.Point
		for i, v := range c.GetValue() {
			p.Step, p.AtMS, p.Value = p.Step+c.GetStep()[i], p.AtMS+c.GetAtMs()[i], v
			sum.Add(p)
		}
		intoSummary(s, sum)
	}
	m.mu.Unlock()
	return m.keepPoints(b)
}

func fromSummary(s *statev1.MetricSummary) metrics.Summary {
	return metrics.Summary{Points: s.GetPoints(), NotFinite: s.GetNotFinite(), First: s.GetFirst(), Last: s.GetLast(), Min: s.GetMin(), Max: s.GetMax(),
		FirstStep: s.GetFirstStep(), LastStep: s.GetLastStep(), MinStep: s.GetMinStep(), MaxStep: s.GetMaxStep(), FirstMS: s.GetFirstMs(), LastMS: s.GetLastMs()}
}

func intoSummary(s *statev1.MetricSummary, x metrics.Summary) {
	s.Points, s.NotFinite, s.First, s.Last, s.Min, s.Max = x.Points, x.NotFinite, x.First, x.Last, x.Min, x.Max
	s.FirstStep, s.LastStep, s.MinStep, s.MaxStep, s.FirstMs, s.LastMs = x.FirstStep, x.LastStep, x.MinStep, x.MaxStep, x.FirstMS, x.LastMS
}

// save writes the state down.
func (m *Meter) save() error {
	m.state.Sources = m.state.Sources[:0]
	for _, s := range m.sources {
		m.state.Sources = append(m.state.Sources, s)
	}
	m.state.Series = m.state.Series[:0]
	for _, name := range m.order {
		if s := m.series[name]; s.GetPoints() > 0 {
			m.state.Series = append(m.state.Series, s)
		}
	}
	b, err := proto.Marshal(m.state)
	if err != nil {
		return fmt.Errorf("write the state of the metrics: %w", err)
	}
	path := filepath.Join(m.o.Dir, stateFile)
	if err := os.WriteFile(path+".tmp", b, 0o600); err != nil {
		return fmt.Errorf("write the state of the metrics: %w", err)
	}
	if err := os.Rename(path+".tmp", path); err != nil {
		return fmt.Errorf("write the state of the metrics: %w", err)
	}
	return nil
}
