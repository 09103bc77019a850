package agent

import (
	"context"

	"aloft/agent/meter"
	"aloft/agent/supervise"
	agentv1 "aloft/proto/sky/agent/v1"
	statev1 "aloft/proto/sky/state/v1"
)

// measuring is a meter that runs.
type measuring struct {
	a    *agent
	m    *meter.Meter
	wire *agentv1.StreamKey
	o    supervise.Measured
	quit context.CancelFunc
	done chan struct{}
}

// measure implements supervise.Options.Measure: what the meter reads is sent beside the rank's logs.
func (a *agent) measure(_ context.Context, o supervise.Measured) (supervise.Meter, error) {
	push := func() {
		a.uploads.mu.Lock()
		defer a.uploads.mu.Unlock()
		a.uploads.push(a.uploads.get(o.Stream))
	}
	m, err := meter.Open(meter.Options{
		SpoolDir: a.uploads.root, Key: spoolKey(o.Stream), Rank: o.Rank, Dir: o.Dir, Lines: o.Lines, Workdir: o.Workdir,
		Events: o.Events, Log: a.log, Appended: push,
	})
	if err != nil {
		return nil, err
	}
	ctx, quit := context.WithCancel(a.ctx)
	r := &measuring{a: a, m: m, wire: o.Stream, o: o, quit: quit, done: make(chan struct{})}
	a.follows.Go(func() {
		defer close(r.done)
		push() // of an earlier life
		m.Run(ctx)
	})
	return r, nil
}

// Finish implements supervise.Meter.
func (r *measuring) Finish() (end uint64, file string, series []*statev1.MetricSummary) {
	r.quit()
	<-r.done
	end, err := r.m.Finish()
	if err != nil {
		r.a.log.Warn("collect metrics", "job", r.wire.GetJobId(), "err", err)
	}
	r.a.uploads.mu.Lock()
	up := r.a.uploads.get(r.wire)
	r.a.uploads.mu.Unlock()
	r.a.uploads.finish(up, end)
	return end, meter.File(r.o.Dir, r.o.Lines), r.m.Summaries(meter.MostSummaries)
}
