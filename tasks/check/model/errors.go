package model

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/format"
	"aloft/tasks/check/stats"
)

func errorDistribution() *engine.Definition {
	return &engine.Definition{
		ID:      "RegressionErrorDistribution",
		Summary: "Shows how the errors of a regression are spread: a mean far from 0 is a bias, tails that are too thin or too thick hint at a missing input.",
		Formula: "With `d = label − prediction`: the mean and the median of d, `RMSE = √mean(d²)`, and the kurtosis `mean((d−m)⁴)/mean((d−m)²)² − 3`, which is 0 for a normal distribution.",
		Scope:   engine.SingleDataset, Predictions: true,
		Params: slices.Concat([]engine.Param{
			{Name: "n_top_samples", Type: engine.IntParam, Default: 3, Min: 0, Max: math.MaxFloat64, Doc: "rows with the largest errors to show, of each sign"},
			{Name: "n_bins", Type: engine.IntParam, Default: 40, Min: 1, Max: 10_000, Doc: "bars of the histogram"},
		}, engine.SampleParams(largeSample)),
		Conditions: []engine.ConditionDef{
			{
				ID:     "kurtosis_greater_than",
				Params: []engine.Param{{Name: "threshold", Type: engine.FloatParam, Default: -0.1, Min: -math.MaxFloat64, Max: math.MaxFloat64, Doc: "the kurtosis must exceed this"}},
				New:    kurtosisGreater,
			},
			{
				ID:     "systematic_error_ratio_to_rmse_less_than",
				Params: []engine.Param{{Name: "max_ratio", Type: engine.FloatParam, Default: 0.01, Min: 0, Max: math.MaxFloat64, Doc: "largest mean error, as a share of the RMSE"}},
				New: func(r engine.Request) (engine.Condition, error) {
					limit := r.Args.Float("max_ratio")
					return engine.Condition{
						Name: "Systematic error ratio lower than " + format.NumberTo(limit, 2),
						Judge: engine.Judge(func(v Errors) (engine.Verdict, string, error) {
							return biased(v.Mean, v.RMSE, limit, "Found systematic error to rmse ratio of ")
						}),
					}, nil
				},
			},
		},
		Defaults: []engine.Use{{ID: "kurtosis_greater_than"}, {ID: "systematic_error_ratio_to_rmse_less_than"}},
		New:      func(a engine.Args, _ engine.Mode) (engine.Check, error) { return errorCheck{a}, nil },
	}
}

type errorCheck struct{ args engine.Args }

// Errors is the value of RegressionErrorDistribution.
type Errors struct{ Mean, Median, Kurtosis, RMSE float64 }

// Encode returns the four numbers.
func (e Errors) Encode() any {
	return engine.Object{
		{Key: "Mean Prediction Error", Value: e.Mean}, {Key: "Median Prediction Error", Value: e.Median},
		{Key: "Kurtosis Value", Value: e.Kurtosis}, {Key: "RMSE", Value: e.RMSE},
	}
}

func (errorCheck) ID() string { return "RegressionErrorDistribution" }

func (r errorCheck) Run(_ context.Context, c *engine.Context) (engine.Result, error) {
	if err := c.RegressionTask(); err != nil {
		return engine.Result{}, err
	}
	e, err := evaluate(c, c.Side(), r.args)
	if err != nil {
		return engine.Result{}, err
	}
	if e.y == nil {
		return engine.Result{}, engine.Errorf(engine.ModelValidation, "Check is irrelevant for classification tasks")
	}
	d := e.residuals()
	v := Errors{Mean: mean(d), Kurtosis: kurtosis(d), RMSE: math.Sqrt(stats.MSE(e.y, e.p))}
	order := ascending(d)
	v.Median = medianOf(d, order)
	return engine.Result{Value: v, Displays: []engine.Display{
		histogram("Errors", "label minus prediction", d, r.args.Int("n_bins"), v.Mean, v.Median),
		engine.TableView{Title: "Largest errors", Grid: r.largest(c.Side(), e, d, order)},
	}}, nil
}

// largest lists the rows with the largest errors of both signs.
func (r errorCheck) largest(s *engine.Side, e *evaluation, d []float64, order []int32) engine.Grid {
	g := engine.Grid{Columns: []string{"Row", "Label", "Prediction", "Error"}}
	n := min(r.args.Int("n_top_samples"), len(order)/2)
	add := func(i int32) {
		g.Rows = append(g.Rows, []any{s.Row(e.rowIDs[i]), e.y[i], e.p[i], d[i]})
	}
	for i := range n {
		add(order[len(order)-1-i])
	}
	for i := range n {
		add(order[i])
	}
	return g
}

func (e *evaluation) residuals() []float64 {
	d := make([]float64, len(e.y))
	for i := range d {
		d[i] = e.y[i] - e.p[i]
	}
	return d
}

func mean(values []float64) float64 { return stats.Total(values) / float64(len(values)) }

// kurtosis is m4/m2² − 3, NaN for equal values.
func kurtosis(values []float64) float64 {
	m, m2, m4 := mean(values), 0.0, 0.0
	for _, v := range values {
		q := (v - m) * (v - m)
		m2, m4 = m2+q, m4+q*q
	}
	n := float64(len(values))
	return m4/n/(m2/n*m2/n) - 3
}

func ascending(values []float64) []int32 {
	order := make([]int32, len(values))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortStableFunc(order, func(a, b int32) int { return cmp.Compare(values[a], values[b]) })
	return order
}

func medianOf(values []float64, order []int32) float64 {
	n := len(order)
	if n%2 == 1 {
		return values[order[n/2]]
	}
	return (values[order[n/2-1]] + values[order[n/2]]) / 2
}

// histogram counts finite values in equal bins and marks their mean and median.
func histogram(title, axis string, values []float64, bins int, mean, median float64) engine.Display {
	lo, hi := math.Inf(1), math.Inf(-1)
	for _, v := range values {
		if !math.IsInf(v, 0) && !math.IsNaN(v) {
			lo, hi = min(lo, v), max(hi, v)
		}
	}
	if lo > hi {
		return engine.Note{Text: "No error is a finite number."}
	}
	if lo == hi {
		lo, hi = lo-0.5, hi+0.5
	}
	h := engine.Histogram{
		Title: title, XName: axis, Series: []string{"rows"}, Shares: [][]float64{make([]float64, bins)},
		Marks: []float64{mean, median}, MarkNames: []string{"mean", "median"},
	}
	for i := range bins + 1 {
		h.Edges = append(h.Edges, lo+(hi-lo)*float64(i)/float64(bins))
	}
	for _, v := range values {
		if at := (v - lo) / (hi - lo) * float64(bins); at >= 0 && !math.IsInf(v, 0) {
			h.Shares[0][min(int(at), bins-1)] += 1 / float64(len(values))
		}
	}
	return h
}

func kurtosisGreater(r engine.Request) (engine.Condition, error) {
	limit := r.Args.Float("threshold")
	return engine.Condition{
		Name: "Kurtosis value higher than " + format.NumberTo(limit, 5),
		Judge: engine.Judge(func(v Errors) (engine.Verdict, string, error) {
			details := "Found kurtosis value of " + format.NumberTo(v.Kurtosis, 5)
			if v.Kurtosis > limit {
				return engine.Pass, details, nil
			}
			return engine.Warn, details, nil
		}),
	}, nil
}

// biased judges the mean error by its size relative to the RMSE.
func biased(mean, rmse, limit float64, says string) (engine.Verdict, string, error) {
	ratio := math.Abs(mean) / rmse
	details := says + format.Number(ratio)
	if ratio < limit {
		return engine.Pass, details, nil
	}
	return engine.Fail, details, nil
}

func systematicError() *engine.Definition {
	return &engine.Definition{
		ID:      "RegressionSystematicError",
		Summary: "Compares the mean error of a regression with its RMSE: a large share is a bias that could be corrected. RegressionErrorDistribution tells more.",
		Formula: "With `d = label − prediction`: `rmse = √mean(d²)` and `mean_error = mean(d)`; the bias ratio is `|mean_error| / rmse`.",
		Scope:   engine.SingleDataset, Predictions: true,
		Params: engine.SampleParams(largeSample),
		Conditions: []engine.ConditionDef{{
			ID:     "systematic_error_ratio_to_rmse_less_than",
			Params: []engine.Param{{Name: "max_ratio", Type: engine.FloatParam, Default: 0.01, Min: 0, Max: math.MaxFloat64, Doc: "largest mean error, as a share of the RMSE"}},
			New: func(r engine.Request) (engine.Condition, error) {
				limit := r.Args.Float("max_ratio")
				return engine.Condition{
					Name: "Bias ratio is less than " + format.NumberTo(limit, 2),
					Judge: engine.Judge(func(v SystematicError) (engine.Verdict, string, error) {
						return biased(v.Mean, v.RMSE, limit, "Found bias ratio ")
					}),
				}, nil
			},
		}},
		Defaults: []engine.Use{{ID: "systematic_error_ratio_to_rmse_less_than"}},
		New:      func(a engine.Args, _ engine.Mode) (engine.Check, error) { return systematicCheck{a}, nil },
	}
}

type systematicCheck struct{ args engine.Args }

// SystematicError is the value of RegressionSystematicError.
type SystematicError struct{ RMSE, Mean float64 }

// Encode returns both numbers.
func (s SystematicError) Encode() any {
	return engine.Object{{Key: "rmse", Value: s.RMSE}, {Key: "mean_error", Value: s.Mean}}
}

func (systematicCheck) ID() string { return "RegressionSystematicError" }

func (r systematicCheck) Run(_ context.Context, c *engine.Context) (engine.Result, error) {
	if err := c.RegressionTask(); err != nil {
		return engine.Result{}, err
	}
	e, err := evaluate(c, c.Side(), r.args)
	if err != nil {
		return engine.Result{}, err
	}
	if e.y == nil {
		return engine.Result{}, engine.Errorf(engine.ModelValidation, "Check is irrelevant for classification tasks")
	}
	d := e.residuals()
	v := SystematicError{RMSE: math.Sqrt(stats.MSE(e.y, e.p)), Mean: mean(d)}
	order := ascending(d)
	median := medianOf(d, order)
	return engine.Result{Value: v, Displays: []engine.Display{
		engine.Note{Text: fmt.Sprintf("The mean error is %s, the median error %s.", format.Number(v.Mean), format.Number(median))},
		histogram("Errors", "label minus prediction", d, 40, v.Mean, median),
	}}, nil
}
