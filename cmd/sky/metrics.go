package main

import (
	"context"
	"encoding/csv"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	controlv1 "aloft/proto/sky/control/v1"
	statev1 "aloft/proto/sky/state/v1"
	"aloft/tasks/metrics"
	"aloft/tasks/metrics/draw"
)

const sparkWidth = 20

type metricsFlags struct {
	names, plots  []string
	output, html  string
	follow, ascii bool
	attempt       int32
	height        int32
}

func newMetricsCmd(a *app) *cobra.Command {
	fl := &metricsFlags{}
	cmd := &cobra.Command{
		Use:   "metrics RUN | CLUSTER [JOB]",
		Short: "Show what a job measured",
		Long: `Show what a job measured, during the job, after it, and after its cluster is gone:
of every series its last and best value, its range, and its curve. A job appends
lines of JSON to the file $ALOFT_METRICS; metrics.json, metrics.txt and event files
of TensorBoard in its working directory are read too. A RUN is CLUSTER (its latest
job), CLUSTER/JOB, or the id of a job.`,
		Example: `  sky metrics train
  sky metrics train/3 --name 'val*' --plot loss
  sky metrics train 3 -o csv > points.csv`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error { return a.metrics(cmd.Context(), args, fl) },
	}
	f := cmd.Flags()
	f.StringArrayVar(&fl.names, "name", nil, "only series that match `GLOB`; can be repeated")
	f.StringArrayVar(&fl.plots, "plot", nil, "draw the series that match `GLOB`; can be repeated")
	f.StringVar(&fl.html, "html", "", "write a page of the curves into `FILE`")
	f.BoolVar(&fl.follow, "follow", false, "say it again whenever something is new, until the job ends")
	f.BoolVar(&fl.ascii, "ascii", false, "draw with plain characters")
	f.Int32Var(&fl.attempt, "attempt", 0, "only `N`th attempt of the job (default all: of earlier ones what was not done again)")
	f.Int32Var(&fl.height, "height", 12, "lines of a plot")
	f.StringVarP(&fl.output, "output", "o", "text", "text, json, or csv (every point)")
	return cmd
}

func (a *app) metrics(ctx context.Context, args []string, fl *metricsFlags) error {
	switch fl.output {
	case "text", "json", "csv":
	default:
		return usageError("--output %q: allowed: text, json, csv", fl.output)
	}
	if fl.attempt < 0 || fl.height < 2 || fl.height > 100 {
		return usageError("--attempt counts from 1; --height is 2 to 100")
	}
	c, err := a.connectTo(ctx, args...)
	if err != nil {
		return err
	}
	defer c.Close()
	ans, err := findRun(ctx, c, args)
	if err != nil {
		return err
	}
	j := ans.GetJob().GetJob()
	q := &controlv1.MetricsRequest{JobId: j.GetId(), Names: fl.names, Points: 200, Attempt: fl.attempt}
	if len(fl.plots) > 0 {
		q.Names, q.Points = append(append([]string{}, fl.names...), fl.plots...), 1000
	}
	if fl.output == "csv" {
		return a.metricsCSV(ctx, c, q)
	}
	if fl.follow {
		return a.followMetrics(ctx, c, q, fl)
	}
	m, err := again(ctx, a, c, func() (*controlv1.MetricsAnswer, error) { return c.Metrics(ctx, q) })
	if err != nil {
		return rpcError("read the metrics", err)
	}
	if fl.html != "" {
		if err := os.WriteFile(fl.html, []byte(metricsPage(j, m)), 0o644); err != nil {
			return &exitError{code: exitFailure, err: fmt.Errorf("write the page of metrics: %w", err)}
		}
	}
	if fl.output == "json" {
		doc := metricsJSON(m)
		doc["cluster"], doc["job_id"], doc["id"], doc["status"] = j.GetClusterName(), j.GetNumber(), j.GetId(), ans.GetJob().GetStatus()
		return a.printJSON(doc)
	}
	if len(m.GetSeries()) == 0 {
		a.say("Job %d of %s has measured nothing%s.", j.GetNumber(), j.GetClusterName(), map[bool]string{true: " of that name"}[len(q.GetNames()) > 0])
		if len(q.GetNames()) == 0 {
			a.say("  A job measures by appending lines of JSON to the file $ALOFT_METRICS: {\"step\": 1, \"loss\": 0.3}")
		}
	} else {
		a.showMetrics(m, fl)
	}
	a.metricNotes(m)
	return nil
}

// findRun finds a job by what was printed of it: CLUSTER JOB, CLUSTER/JOB, CLUSTER-JOB (the results directory), CLUSTER, or
// an id.
func findRun(ctx context.Context, c *client, args []string) (*controlv1.JobAnswer, error) {
	run := strings.TrimSuffix(strings.TrimPrefix(args[0], resultsDir+"/"), "/")
	q := &controlv1.GetJobRequest{ClusterName: run}
	if len(args) > 1 {
		n, err := strconv.ParseUint(args[1], 10, 32)
		if err != nil || n == 0 {
			return nil, usageError("job %q: allowed: the numbers that `sky queue %s` shows", args[1], run)
		}
		q.Number = uint32(n)
	} else if name, num, ok := strings.Cut(run, "/"); ok {
		n, err := strconv.ParseUint(num, 10, 32)
		if err != nil || n == 0 {
			return nil, usageError("run %q: allowed: CLUSTER, CLUSTER/JOB with a number that `sky queue %s` shows, or the id of a job", run, name)
		}
		q.ClusterName, q.Number = name, uint32(n)
	}
	ans, err := c.GetJob(ctx, q)
	if err == nil || failureOf(err).GetKind() != statev1.FailureKind_NOT_FOUND || q.GetNumber() != 0 {
		return ans, rpcError("find the run", err)
	}
	if i := strings.LastIndexByte(run, '-'); i > 0 {
		if n, nerr := strconv.ParseUint(run[i+1:], 10, 32); nerr == nil && n > 0 {
			if ans, aerr := c.GetJob(ctx, &controlv1.GetJobRequest{ClusterName: run[:i], Number: uint32(n)}); aerr == nil {
				return ans, nil
			}
		}
	}
	if ans, aerr := c.GetJob(ctx, &controlv1.GetJobRequest{JobId: run}); aerr == nil {
		return ans, nil
	}
	return nil, rpcError("find the run", err)
}

// showMetrics is the table and the plots.
func (a *app) showMetrics(m *controlv1.MetricsAnswer, fl *metricsFlags) {
	several := false
	for _, s := range m.GetSeries() {
		several = several || s.GetSummary().GetRank() > 0
	}
	t := &table{header: []string{"NAME", "LAST", "BEST", "MIN", "MAX", "STEP", "POINTS", "CURVE"}, flex: []int{0}, drop: []int{6, 5, 4, 3, 7}}
	for _, s := range m.GetSeries() {
		x := s.GetSummary()
		name := x.GetName()
		if several {
			name += fmt.Sprintf(" [%d]", x.GetRank())
		}
		t.add(name, draw.Number(x.GetLast()), bestText(s), draw.Number(x.GetMin()), draw.Number(x.GetMax()), fmt.Sprint(x.GetLastStep()),
			fmt.Sprint(x.GetPoints()), draw.Spark(s.GetValue(), sparkWidth))
	}
	a.say("%s", strings.TrimRight(a.plain(t), "\n"))
	if len(fl.plots) == 0 {
		return
	}
	width := 80
	if a.ttyOut && a.width > 0 {
		width = min(a.width, 160)
	}
	for _, s := range m.GetSeries() {
		a.say("\n%s", a.style(styleBold, s.GetSummary().GetName()))
		a.say("%s", strings.TrimRight(draw.Plot(curveOf(s), width, int(fl.height), fl.ascii), "\n"))
	}
}

// metricsPage is a page of the curves of a job.
func metricsPage(j *statev1.Job, m *controlv1.MetricsAnswer) string {
	var curves []draw.Curve
	for _, s := range m.GetSeries() {
		x := s.GetSummary()
		note := fmt.Sprintf("last %s @%d · min %s · max %s · %s", draw.Number(x.GetLast()), x.GetLastStep(), draw.Number(x.GetMin()), draw.Number(x.GetMax()), plural(int(x.GetPoints()), "point"))
		name := x.GetName()
		if x.GetRank() > 0 {
			name += fmt.Sprintf(" [%d]", x.GetRank())
		}
		curves = append(curves, draw.Curve{Name: name, Note: note, Points: curveOf(s)})
	}
	return draw.HTML(strings.TrimSpace(fmt.Sprintf("%s/%d %s", j.GetClusterName(), j.GetNumber(), j.GetTask().GetName())), curves)
}

func curveOf(s *controlv1.MetricSeries) []metrics.Point {
	out := make([]metrics.Point, len(s.GetValue()))
	for i, v := range s.GetValue() {
		out[i] = metrics.Point{Step: s.GetStep()[i], AtMS: s.GetAtMs()[i], Value: v}
	}
	return out
}

// bestOf is the best value of a series when its name says which way is better.
func bestOf(x *statev1.MetricSummary) (v float64, step int64, ok bool) {
	s := metrics.Summary{Min: x.GetMin(), Max: x.GetMax(), MinStep: x.GetMinStep(), MaxStep: x.GetMaxStep()}
	return s.Best(x.GetName())
}

func bestText(s *controlv1.MetricSeries) string {
	v, step, ok := bestOf(s.GetSummary())
	if !ok {
		return "-"
	}
	return fmt.Sprintf("%s @%d", draw.Number(v), step)
}

// metricNotes says what could not be taken.
func (a *app) metricNotes(m *controlv1.MetricsAnswer) {
	if n := m.GetBadLines(); n > 0 {
		a.note("warning: %s could not be read as metrics", plural(int(n), "line"))
	}
	if n := m.GetDropped(); n > 0 {
		a.note("warning: %s of series beyond the limit were left out", plural(int(n), "point"))
	}
	if n := m.GetMissingBytes(); n > 0 {
		a.note("warning: %d bytes of points are missing: the node's spool was full", n)
	}
	for _, n := range m.GetNotes() {
		a.note("  %s", n)
	}
}

// jsonNumber is a number under -o json; what JSON has no form for is a string.
type jsonNumber float64

// MarshalJSON implements json.Marshaler.
func (n jsonNumber) MarshalJSON() ([]byte, error) {
	switch f := float64(n); {
	case math.IsNaN(f):
		return []byte(`"NaN"`), nil
	case math.IsInf(f, 1):
		return []byte(`"Infinity"`), nil
	case math.IsInf(f, -1):
		return []byte(`"-Infinity"`), nil
	default:
		return strconv.AppendFloat(nil, f, 'g', -1, 64), nil
	}
}

func metricsJSON(m *controlv1.MetricsAnswer) map[string]any {
	list := []map[string]any{}
	for _, s := range m.GetSeries() {
		x := s.GetSummary()
		one := map[string]any{"name": x.GetName(), "rank": x.GetRank(), "points": x.GetPoints(), "not_finite": x.GetNotFinite(), "better": s.GetBetter(),
			"first": jsonNumber(x.GetFirst()), "last": jsonNumber(x.GetLast()), "min": jsonNumber(x.GetMin()), "max": jsonNumber(x.GetMax()),
			"first_step": x.GetFirstStep(), "last_step": x.GetLastStep(), "min_step": x.GetMinStep(), "max_step": x.GetMaxStep(),
			"first_ms": x.GetFirstMs(), "last_ms": x.GetLastMs()}
		if v, step, ok := bestOf(x); ok {
			one["best"], one["best_step"] = jsonNumber(v), step
		}
		curve := [][]any{}
		for i, v := range s.GetValue() {
			curve = append(curve, []any{s.GetStep()[i], jsonNumber(v)})
		}
		one["curve"] = curve
		list = append(list, one)
	}
	return map[string]any{"series": list, "bad_lines": m.GetBadLines(), "dropped_points": m.GetDropped(), "missing_bytes": m.GetMissingBytes(),
		"notes": append([]string{}, m.GetNotes()...), "complete": m.GetEnd()}
}

// metricsCSV prints every point.
func (a *app) metricsCSV(ctx context.Context, c *client, q *controlv1.MetricsRequest) error {
	st, err := c.MetricPoints(ctx, q)
	if err != nil {
		return rpcError("read the points", err)
	}
	w := csv.NewWriter(a.out)
	_ = w.Write([]string{"name", "rank", "attempt", "step", "time", "value"}) // what goes wrong is in w.Error
	for {
		p, err := st.Recv()
		if isEOF(err) {
			break
		}
		if err != nil {
			return rpcError("read the points", err)
		}
		for i, v := range p.GetValue() {
			_ = w.Write([]string{p.GetName(), fmt.Sprint(p.GetRank()), fmt.Sprint(p.GetAttempt()), fmt.Sprint(p.GetStep()[i]),
				time.UnixMilli(p.GetAtMs()[i]).UTC().Format("2006-01-02T15:04:05.000Z"), strconv.FormatFloat(v, 'g', -1, 64)})
		}
	}
	w.Flush()
	return w.Error()
}

// followMetrics says what changes until the job is over.
func (a *app) followMetrics(ctx context.Context, c *client, q *controlv1.MetricsRequest, fl *metricsFlags) error {
	for {
		st, err := c.WatchMetrics(ctx, q)
		for err == nil {
			var m *controlv1.MetricsAnswer
			if m, err = st.Recv(); err != nil {
				break
			}
			if fl.output == "json" {
				if err := a.ndjson(metricsJSON(m)); err != nil {
					return err
				}
			} else if len(m.GetSeries()) > 0 {
				a.say("%s", metricLine(m, 100))
			}
			if m.GetEnd() && fl.output != "json" {
				a.metricNotes(m)
			}
		}
		switch {
		case isEOF(err):
			return nil
		case ctx.Err() != nil:
			return &exitError{code: exitInterrupted}
		case !lost(ctx, err):
			return rpcError("follow the metrics", err)
		}
		if err := a.reconnect(ctx, c); err != nil {
			return err
		}
	}
}

// metricLine puts the series on one line of about width characters.
func metricLine(m *controlv1.MetricsAnswer, width int) string {
	var parts []string
	used := 0
	for _, s := range m.GetSeries() {
		p := s.GetSummary().GetName() + " " + draw.Number(s.GetSummary().GetLast())
		if len(s.GetValue()) > 1 {
			p += " " + draw.Spark(s.GetValue(), 12)
		}
		if used += len([]rune(p)) + 2; used > width && len(parts) > 0 {
			break
		}
		parts = append(parts, p)
	}
	return strings.Join(parts, "  ")
}

// liveMetrics shows, on a terminal, the curves of a job below its log while that is followed.
func (a *app) liveMetrics(ctx context.Context, c *client, jobID string) (quit func()) {
	if !a.ttyErr || !a.ttyOut {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	client := c.ControlClient
	go func() {
		defer close(done)
		st, err := client.WatchMetrics(ctx, &controlv1.MetricsRequest{JobId: jobID, Points: 24, FirstRank: true})
		if err != nil {
			return // the log tells what is wrong
		}
		var all controlv1.MetricsAnswer
		for {
			m, err := st.Recv()
			if err != nil || m.GetEnd() {
				return
			}
			for _, s := range m.GetSeries() {
				mergeSeries(&all, s)
			}
			if line := metricLine(&all, max(a.width-8, 20)); line != "" {
				a.spin("%s", cut(line, max(a.width-8, 20)))
			}
		}
	}()
	return func() {
		cancel()
		<-done
		a.endSpin()
	}
}

func mergeSeries(all *controlv1.MetricsAnswer, s *controlv1.MetricSeries) {
	for i, x := range all.GetSeries() {
		if x.GetSummary().GetName() == s.GetSummary().GetName() {
			all.Series[i] = s
			return
		}
	}
	all.Series = append(all.Series, s)
}

// showMetricsOf is the block of metrics at the end of a job.
func (a *app) showMetricsOf(j *statev1.Job) {
	if len(j.GetSeries()) == 0 {
		return
	}
	const most = 12
	parts := []string{}
	left := 0
	for _, s := range j.GetSeries() {
		if s.GetRank() != 0 {
			continue
		}
		if len(parts) == most {
			left++
			continue
		}
		p := s.GetName() + "=" + draw.Number(s.GetLast())
		if v, step, ok := bestOf(s); ok && v != s.GetLast() {
			p += fmt.Sprintf(" (best %s @%d)", draw.Number(v), step)
		}
		parts = append(parts, p)
	}
	if left > 0 {
		parts = append(parts, fmt.Sprintf("and %d more", left))
	}
	a.say("%s %s", a.style(styleBold, "Metrics:"), strings.Join(parts, "  "))
	for _, s := range j.GetSeries() {
		if s.GetPoints() > 1 {
			a.say("  their curves          sky metrics %s/%d", j.GetClusterName(), j.GetNumber())
			return
		}
	}
}
