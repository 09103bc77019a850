package integrity

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/format"
	"aloft/tasks/check/frame"
	"aloft/tasks/check/stats/gower"
)

// quantiles is the number of quantiles of the scores that make up the value of
// OutlierSampleDetection.
const quantiles = 1000

// secondsPerCell is the time that comparing one feature of two rows takes, for
// the estimate that the parameter timeout is about.
const secondsPerCell = 1e-9

func outlierSampleDetection() *engine.Definition {
	threshold := engine.Param{Name: "outlier_score_threshold", Type: engine.FloatParam, Default: 0.7, Min: 0, Max: 1, Doc: "score above which a row is an outlier"}
	return &engine.Definition{
		ID:      "OutlierSampleDetection",
		Summary: "Finds rows that lie apart from all others: wrong entries, or cases that a model will not know.",
		Formula: "The score of a row is its local outlier probability (LoOP) among its `k = max(⌊nearest_neighbors_percent · n⌋, 5)` nearest neighbours, itself included, by Gower's distance: the mean over numerical and categorical features of `|a − b| / range`, or of whether the categories differ. The value is the 1,000 quantiles of the scores.",
		Differs: "a number that both rows lack is left out of their distance, where deepchecks loses the distance. `timeout` is compared with an estimate from the number of rows and features, so that it does not depend on the machine. Of equally distant neighbours the first are taken, where deepchecks takes any.",
		Scope:   engine.SingleDataset,
		Params: params(engine.ColumnParams(), []engine.Param{
			{Name: "nearest_neighbors_percent", Type: engine.FloatParam, Default: 0.01, Min: 1e-9, Max: 1, Doc: "share of the rows that are a row's neighbours"},
			{Name: "extent_parameter", Type: engine.IntParam, Default: 3, Min: 1, Max: math.MaxFloat64, Doc: "standard deviations that a neighbourhood reaches"},
		}, engine.SampleParams(5000), []engine.Param{
			nToShow()[0],
			{Name: "timeout", Type: engine.IntParam, Default: 10, Min: 0, Max: math.MaxFloat64, Doc: "seconds that the check may be expected to take; 0 is no limit"},
		}),
		Conditions: []engine.ConditionDef{
			{
				ID: "outlier_ratio_less_or_equal",
				Params: []engine.Param{
					{Name: "max_outliers_ratio", Type: engine.FloatParam, Default: 0.005, Min: 0, Max: 1, Doc: "largest share of outliers that passes"}, threshold,
				},
				New: func(r engine.Request) (engine.Condition, error) {
					limit, score := r.Args.Float("max_outliers_ratio"), r.Args.Float("outlier_score_threshold")
					return fewOutliers(limit, score, fmt.Sprintf("Ratio of samples exceeding the outlier score threshold %s is less or equal to %s", format.Number(score), format.Percent(limit))), nil
				},
			},
			{
				ID: "no_outliers", Params: []engine.Param{threshold},
				New: func(r engine.Request) (engine.Condition, error) {
					score := r.Args.Float("outlier_score_threshold")
					return fewOutliers(0, score, "No samples in dataset over outlier score of "+format.Number(score)), nil
				},
			},
		},
		New: func(a engine.Args, m engine.Mode) (engine.Check, error) { return outliers{a, m}, nil },
	}
}

type outliers struct {
	args engine.Args
	mode engine.Mode
}

func (outliers) ID() string { return "OutlierSampleDetection" }

// ScoreQuantiles is the value of OutlierSampleDetection: the scores of the
// rows at i/1000 of their order.
type ScoreQuantiles []float64

// Encode returns the list.
func (q ScoreQuantiles) Encode() any {
	out := make([]any, len(q))
	for i, v := range q {
		out[i] = v
	}
	return out
}

func (o outliers) Run(ctx context.Context, c *engine.Context) (engine.Result, error) {
	side := c.Side()
	features, err := side.Features()
	if err != nil {
		return engine.Result{}, err
	}
	columns, err := side.Columns(o.args, features)
	if err != nil {
		return engine.Result{}, err
	}
	rows := side.Sample(o.args)
	if label := side.Data.Label(); label != nil && label.HasNulls() {
		rows = slices.DeleteFunc(slices.Clone(rows), func(r int32) bool { return label.IsNull(int(r)) })
	}
	share := o.args.Float("nearest_neighbors_percent")
	n := len(rows)
	if float64(n) < 1/share {
		return engine.Result{}, engine.Errorf(engine.NotEnoughSamples, "There are not enough samples to run this check, found only %s samples.", format.Number(float64(n)))
	}
	k := max(int(share*float64(n)), 5)
	if k >= n {
		return engine.Result{}, engine.Errorf(engine.NotEnoughSamples, "Number of neighbors (%d) is not smaller than the number of samples (%d)", k, n)
	}
	t := gower.Table{Poison: o.mode == engine.Deepchecks}
	numerical := side.Data.NumericalFeatures()
	var used []*frame.Column
	for _, col := range columns {
		switch {
		case slices.Contains(side.Data.CategoricalFeatures(), col.Name()):
			t.Categories = append(t.Categories, codes(col, rows))
			used = append(used, col)
		case slices.Contains(numerical, col.Name()):
			t.Numbers = append(t.Numbers, finite(col.FloatsOrNaN(rows)))
			used = append(used, col)
		}
	}
	if len(used) == 0 {
		return engine.Result{}, engine.Errorf(engine.NotSupported, "Dataset does not contain any numerical or categorical feature columns")
	}
	limit := o.args.Int("timeout")
	if projected := secondsPerCell * float64(n) * float64(n) / 2 * float64(len(used)); limit > 0 && projected > float64(limit) {
		return engine.Result{}, engine.Errorf(engine.Timeout, "Aborting check: calculation was projected to finish in %s seconds, but timeout was configured to %d seconds", format.Number(projected), limit)
	}
	nearest := t.Nearest
	if o.mode == engine.Deepchecks {
		nearest = t.NearestAsNumpy
	}
	neighbors, err := nearest(ctx, n, k)
	if err != nil {
		if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
			return engine.Result{}, err
		}
		return engine.Result{}, engine.Errorf(engine.ProcessError, "%v", err)
	}
	scores := neighbors.Outlying(float64(o.args.Int("extent_parameter")))
	sorted := slices.Sorted(slices.Values(scores))
	value := make(ScoreQuantiles, quantiles)
	for i := range value {
		value[i] = sorted[int(math.Ceil(float64(i)/quantiles*float64(n-1)))]
	}
	return engine.Result{Value: value, Displays: o.displays(side, used, rows, scores)}, nil
}

// codes numbers the distinct cells of the rows; a missing one has a number too.
func codes(col *frame.Column, rows []int32) []int32 {
	return frame.GroupRows([]*frame.Column{col}, rows).Of
}

// finite turns infinities, which have no place in a range, into missing values.
func finite(values []float64) []float64 {
	for i, v := range values {
		if math.IsInf(v, 0) {
			values[i] = math.NaN()
		}
	}
	return values
}

func (o outliers) displays(side *engine.Side, columns []*frame.Column, rows []int32, scores []float64) []engine.Display {
	const bins = 20
	chart := engine.Histogram{Title: "Outlier scores of the rows", XName: "Score", Series: []string{"Rows"}, Shares: [][]float64{make([]float64, bins)}}
	for i := range bins + 1 {
		chart.Edges = append(chart.Edges, float64(i)/bins)
	}
	order := make([]int, len(scores))
	for i, s := range scores {
		order[i] = i
		chart.Shares[0][min(int(s*bins), bins-1)] += 1 / float64(len(scores))
	}
	slices.SortFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(scores[b], scores[a]), cmp.Compare(rows[a], rows[b]))
	})
	grid := engine.Grid{Columns: []string{"Row", "Score"}}
	for _, col := range columns {
		grid.Columns = append(grid.Columns, col.Name())
	}
	for _, i := range order[:min(len(order), o.args.Int("n_to_show"))] {
		row := []any{strconv.Itoa(side.Row(rows[i])), format.Number(scores[i])}
		for _, col := range columns {
			row = append(row, col.Value(int(rows[i])).String())
		}
		grid.Rows = append(grid.Rows, row)
	}
	out := []engine.Display{chart}
	if len(grid.Rows) > 0 {
		out = append(out, engine.TableView{Title: "Rows that lie farthest apart", Grid: grid})
	}
	return out
}

// fewOutliers warns when more than the limit of the rows score higher.
func fewOutliers(limit, score float64, name string) engine.Condition {
	return engine.Condition{
		Name: name,
		Judge: engine.Judge(func(v ScoreQuantiles) (engine.Verdict, string, error) {
			over := 0
			for _, s := range v {
				if s > score {
					over++
				}
			}
			details := format.Percent(float64(over)/quantiles) + " of dataset samples above outlier threshold"
			at := int(quantiles - max(math.RoundToEven(limit*quantiles)/quantiles, 1./quantiles)*quantiles)
			if v[at] > score {
				return engine.Warn, details, nil
			}
			return engine.Pass, details, nil
		}),
	}
}
