package supervise

import (
	"context"
	"math"
	"path/filepath"

	agentv1 "aloft/proto/sky/agent/v1"
	statev1 "aloft/proto/sky/state/v1"
)

// measure begins to collect what the rank measures. A rank whose metrics cannot be collected runs all the same.
func (f *flow) measure(ctx context.Context) {
	if f.s.o.Measure == nil {
		return
	}
	m := Measured{Stream: streamKey(f.a, streamMetrics), Rank: f.a.GetRank(), Dir: f.dir, Lines: f.own(metricsFile), Workdir: f.workdir}
	if dir := f.a.GetTask().GetEnvs()["ALOFT_TENSORBOARD"]; dir != "" {
		if m.Events = dir; !filepath.IsAbs(dir) {
			m.Events = filepath.Join(f.workdir, dir)
		}
	}
	meter, err := f.s.o.Measure(context.WithoutCancel(ctx), m)
	if err != nil {
		f.s.o.Log.Warn("metrics are not collected", "job", f.a.GetJobId(), "err", err)
		return
	}
	f.meter = meter
}

// measured ends the collection. A rank that measured nothing has no such stream.
func (f *flow) measured() {
	if f.meter == nil {
		return
	}
	end, file, series := f.meter.Finish()
	f.meter, f.metrics, f.series = nil, file, series
	if end > 0 {
		f.streams = append(f.streams, &agentv1.StreamEnd{Stream: streamKey(f.a, streamMetrics), End: end, Complete: true})
	}
}

// lastOf is the last value of every series, as far as it is a number.
func lastOf(series []*statev1.MetricSummary) map[string]float64 {
	out := make(map[string]float64, len(series))
	for _, s := range series {
		if v := s.GetLast(); !math.IsNaN(v) && !math.IsInf(v, 0) {
			out[s.GetName()] = v
		}
	}
	return out
}
