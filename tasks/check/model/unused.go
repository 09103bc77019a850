package model

import (
	"context"
	"fmt"
	"math"
	"slices"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/frame"
	"aloft/tasks/check/stats"
)

func unusedFeatures() *engine.Definition {
	return &engine.Definition{
		ID:      "UnusedFeatures",
		Summary: "Names the features that the model hardly uses, and those among them that carry much information: the model may have missed something.",
		Formula: "A feature is used when `importance · features > feature_importance_threshold`. Its variance is `v = Σ|loading|` over the first half of the principal components of all features (numbers scaled by median and quartiles, categories by rank), made to sum to 1; it is high when `v · features > feature_variance_threshold`.",
		Differs: "",
		Scope:   engine.SingleDataset,
		Params: slices.Concat([]engine.Param{
			{Name: "feature_importance_threshold", Type: engine.FloatParam, Default: 0.2, Min: 0, Max: math.MaxFloat64, Doc: "importance from which a feature counts as used, relative to the average"},
			{Name: "feature_variance_threshold", Type: engine.FloatParam, Default: 0.4, Min: 0, Max: math.MaxFloat64, Doc: "variance from which it counts as high, relative to the average"},
			{Name: "n_top_fi_to_show", Type: engine.IntParam, Default: 5, Min: 0, Max: math.MaxFloat64, Doc: "used features to show"},
			{Name: "n_top_unused_to_show", Type: engine.IntParam, Default: 15, Min: 0, Max: math.MaxFloat64, Doc: "unused features to show"},
		}, engine.SampleParams(largeSample)),
		Conditions: []engine.ConditionDef{{
			ID:     "number_of_high_variance_unused_features_less_or_equal",
			Params: []engine.Param{{Name: "max_high_variance_unused_features", Type: engine.IntParam, Default: 5, Min: 0, Max: math.MaxFloat64, Doc: "most unused features of high variance"}},
			New:    fewUnused,
		}},
		Defaults: []engine.Use{{ID: "number_of_high_variance_unused_features_less_or_equal"}},
		New:      func(a engine.Args, m engine.Mode) (engine.Check, error) { return unusedCheck{a, m}, nil },
	}
}

type unusedCheck struct {
	args engine.Args
	mode engine.Mode
}

// Unused is the value of UnusedFeatures.
type Unused struct{ Used, High, Low []string }

// Encode returns the three lists.
func (u Unused) Encode() any {
	return engine.Object{
		{Key: "used features", Value: list(u.Used)},
		{Key: "unused features", Value: engine.Object{{Key: "high variance", Value: list(u.High)}, {Key: "low variance", Value: list(u.Low)}}},
	}
}

func list(names []string) []any {
	out := make([]any, len(names))
	for i, n := range names {
		out[i] = n
	}
	return out
}

func (unusedCheck) ID() string { return "UnusedFeatures" }

func (u unusedCheck) Run(ctx context.Context, c *engine.Context) (engine.Result, error) {
	importance, err := c.DemandImportance(ctx)
	if err != nil {
		return engine.Result{}, err
	}
	features, err := c.Side().Features()
	if err != nil {
		return engine.Result{}, err
	}
	switch importance.Method {
	case engine.GivenImportance:
		c.Note("The importances are those given; the model was not asked.")
	case engine.BuiltInImportance:
		c.Note("The importances are the model's own.")
	default:
		c.Note("The importances are what shuffling each feature costs in score.")
	}
	variance := u.variance(c.Side())
	ordered, n := descending(features, importance.Of(features)), float64(len(features))
	var value Unused
	var rest []string
	for _, f := range ordered {
		if importance.Weights[f]*n > u.args.Float("feature_importance_threshold") {
			value.Used = append(value.Used, f)
		} else {
			rest = append(rest, f)
		}
	}
	spread := make([]float64, len(rest))
	for i, f := range rest {
		spread[i] = variance[f]
	}
	for _, f := range descending(rest, spread) {
		if variance[f]*n > u.args.Float("feature_variance_threshold") {
			value.High = append(value.High, f)
		} else {
			value.Low = append(value.Low, f)
		}
	}
	chart := engine.BarChart{Title: "Features by importance", Series: []string{"importance", "variance"}}
	show := func(names []string, most int) {
		for _, f := range names[:min(len(names), most)] {
			chart.Groups = append(chart.Groups, engine.BarGroup{Label: f, Values: []float64{importance.Weights[f], variance[f]}})
		}
	}
	show(value.Used, u.args.Int("n_top_fi_to_show"))
	show(slices.Concat(value.High, value.Low), u.args.Int("n_top_unused_to_show"))
	return engine.Result{Value: value, Displays: []engine.Display{chart}}, nil
}

// descending sorts names by falling value.
func descending(names []string, values []float64) []string {
	out := make([]string, len(names))
	for i, at := range descendingAs(values) {
		out[i] = names[at]
	}
	return out
}

// variance tells how much each numerical or categorical feature takes part in
// the main components of the table; other features have none.
func (u unusedCheck) variance(s *engine.Side) map[string]float64 {
	rows := s.Sample(u.args)
	categorical, numerical := s.Data.CategoricalFeatures(), s.Data.NumericalFeatures()
	var names []string
	var columns [][]float64
	for _, name := range slices.Concat(numerical, categorical) {
		col := s.Data.Column(name)
		var x []float64
		if slices.Contains(categorical, name) {
			x = ordinals(col, rows)
		} else {
			f := &weakFeature{}
			f.numbers(col, rows)
			x = f.values
			imputeMean(x)
		}
		robustScale(x)
		names, columns = append(names, name), append(columns, x)
	}
	out := make(map[string]float64, len(names))
	if len(rows) < 2 {
		return out
	}
	_, vectors := stats.Eigen(covariance(columns))
	loadings, total := make([]float64, len(names)), 0.0
	for _, v := range vectors[:len(vectors)/2] {
		for i, l := range v {
			loadings[i] += math.Abs(l)
			total += math.Abs(l)
		}
	}
	for i, name := range names {
		if total > 0 {
			out[name] = loadings[i] / total
		}
	}
	return out
}

// imputeMean puts the mean in the place of what is no finite number; a column
// of nothing becomes 0.
func imputeMean(x []float64) {
	sum, n := 0.0, 0
	usable := func(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }
	for _, v := range x {
		if usable(v) {
			sum, n = sum+v, n+1
		}
	}
	m := 0.0
	if n > 0 {
		m = sum / float64(n)
	}
	for i, v := range x {
		if !usable(v) {
			x[i] = m
		}
	}
}

// ordinals numbers categories in ascending order; nulls count as the most
// frequent category.
func ordinals(col *frame.Column, rows []int32) []float64 {
	codes, levels := categories(col, rows)
	none := frame.TextValue("None")
	missing := int32(slices.Index(levels, none))
	if missing >= 0 && slices.ContainsFunc(rows, func(r int32) bool { return col.IsNull(int(r)) }) && len(levels) > 1 {
		present := slices.DeleteFunc(slices.Clone(codes), func(k int32) bool { return k == missing })
		fill := mode(present, levels)
		for i, r := range rows {
			if col.IsNull(int(r)) {
				codes[i] = fill
			}
		}
	}
	order := make([]int, len(levels))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return frame.Compare(levels[a], levels[b]) })
	occurs := make([]bool, len(levels))
	for _, k := range codes {
		occurs[k] = true
	}
	place, next := make([]float64, len(levels)), 0.0
	for _, k := range order {
		if occurs[k] {
			place[k] = next
			next++
		}
	}
	out := make([]float64, len(codes))
	for i, k := range codes {
		out[i] = place[k]
	}
	return out
}

// robustScale subtracts the median and divides by the distance of the
// quartiles.
func robustScale(x []float64) {
	sorted := slices.Clone(x)
	slices.Sort(sorted)
	center, width := quantile(sorted, 0.5), quantile(sorted, 0.75)-quantile(sorted, 0.25)
	if width == 0 {
		width = 1
	}
	for i := range x {
		x[i] = (x[i] - center) / width
	}
}

// quantile interpolates linearly in a sorted list.
func quantile(sorted []float64, q float64) float64 {
	at := q * float64(len(sorted)-1)
	i := int(at)
	if i+1 >= len(sorted) {
		return sorted[len(sorted)-1]
	}
	return sorted[i] + (sorted[i+1]-sorted[i])*(at-float64(i))
}

func covariance(columns [][]float64) [][]float64 {
	out := make([][]float64, len(columns))
	for _, x := range columns {
		m := mean(x)
		for i := range x {
			x[i] -= m
		}
	}
	for i, a := range columns {
		out[i] = make([]float64, len(columns))
		for j, b := range columns[:i+1] {
			sum := 0.0
			for k, v := range a {
				sum += v * b[k]
			}
			out[i][j] = sum / float64(len(a)-1)
			out[j][i] = out[i][j]
		}
	}
	return out
}

func fewUnused(r engine.Request) (engine.Condition, error) {
	most := r.Args.Int("max_high_variance_unused_features")
	return engine.Condition{
		Name: fmt.Sprintf("Number of high variance unused features is less or equal to %d", most),
		Judge: engine.Judge(func(v Unused) (engine.Verdict, string, error) {
			details := fmt.Sprintf("Found %d high variance unused features", len(v.High))
			if len(v.High) > most {
				return engine.Warn, details, nil
			}
			return engine.Pass, details, nil
		}),
	}, nil
}
