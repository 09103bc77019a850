package api

import (
	"context"
	"path"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"aloft/controller/series"
	controlv1 "aloft/proto/sky/control/v1"
	statev1 "aloft/proto/sky/state/v1"
)

// watchEvery is how often WatchMetrics looks when it is not told.
const watchEvery = time.Second

func checkMetrics(q *controlv1.MetricsRequest) error {
	for _, g := range q.GetNames() {
		if _, err := path.Match(g, ""); err != nil {
			return usage("metric %q: not a name or glob", g)
		}
	}
	if q.GetPoints() < 0 || q.GetPoints() > series.MostPoints {
		return usage("%d points of a curve: allowed: 0 to %d", q.GetPoints(), series.MostPoints)
	}
	return nil
}

// Metrics answers `sky metrics`.
func (s *Server) Metrics(ctx context.Context, q *controlv1.MetricsRequest) (*controlv1.MetricsAnswer, error) {
	if err := checkMetrics(q); err != nil {
		return nil, err
	}
	job, _, err := s.readJob(ctx, q.GetJobId())
	if err != nil {
		return nil, err
	}
	leave, err := s.queue(ctx)
	if err != nil {
		return nil, s.reply("read the metrics", err)
	}
	defer leave()
	ans, err := s.o.Series.Read(ctx, q)
	if err != nil {
		return nil, s.reply("read the metrics", err)
	}
	ans.End = evidenceOver(job)
	return ans, nil
}

// MetricPoints streams all points of a job.
func (s *Server) MetricPoints(q *controlv1.MetricsRequest, out grpc.ServerStreamingServer[controlv1.MetricPointsPart]) error {
	if err := checkMetrics(q); err != nil {
		return err
	}
	if _, _, err := s.readJob(out.Context(), q.GetJobId()); err != nil {
		return err
	}
	return s.reply("read the points", s.o.Series.Points(out.Context(), q, out.Send))
}

// WatchMetrics sends what has changed until the job's evidence is complete.
func (s *Server) WatchMetrics(q *controlv1.MetricsRequest, out grpc.ServerStreamingServer[controlv1.MetricsAnswer]) error {
	if err := checkMetrics(q); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(out.Context())
	defer cancel()
	job, rev, err := s.readJob(ctx, q.GetJobId())
	if err != nil {
		return err
	}
	jw := &jobWatch{job: job, changed: make(chan struct{}), over: make(chan struct{})}
	go s.followJob(ctx, jw, rev)
	every := watchEvery
	if q.GetEveryMs() > 0 {
		every = max(time.Duration(q.GetEveryMs())*time.Millisecond, 50*time.Millisecond)
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	type id struct {
		name string
		rank int32
	}
	sent := map[id]*statev1.MetricSummary{}
	length, over := uint64(0), false
	for first := true; ; first = false {
		now, err := s.o.Series.Length(q)
		if err != nil {
			return s.reply("read the metrics", err)
		}
		if first || over || now != length {
			length = now
			ans, err := s.o.Series.Read(ctx, q)
			if err != nil {
				return s.reply("read the metrics", err)
			}
			kept := ans.Series[:0]
			for _, x := range ans.Series {
				k := id{x.GetSummary().GetName(), x.GetSummary().GetRank()}
				if !proto.Equal(sent[k], x.GetSummary()) {
					sent[k] = x.GetSummary()
					kept = append(kept, x)
				}
			}
			ans.Series, ans.End = kept, over
			if err := out.Send(ans); err != nil {
				return err
			}
			if over {
				return nil
			}
		}
		select {
		case <-tick.C:
		case <-jw.over:
			over = true
		case <-ctx.Done():
			return s.reply("read the metrics", ctx.Err())
		}
	}
}
