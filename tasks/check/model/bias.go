package model

import (
	"context"
	"fmt"
	"math"
	"slices"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/format"
	"aloft/tasks/check/frame"
	"aloft/tasks/check/nearest"
)

func performanceBias() *engine.Definition {
	bounds := []engine.Param{
		{Name: "lower_bound", Type: engine.FloatParam, Required: true, Min: -math.MaxFloat64, Max: math.MaxFloat64, Doc: "least difference allowed"},
		{Name: "upper_bound", Type: engine.FloatParam, Min: -math.MaxFloat64, Max: math.MaxFloat64, Doc: "largest difference allowed; null means any"},
	}
	return &engine.Definition{
		ID:      "PerformanceBias",
		Summary: "Compares the model's score for groups of a protected feature, such as age or sex, with that of all rows or of a control group.",
		Formula: "The protected feature is divided into its categories or into at most max_bins parts at its quantiles; `difference = score of the subgroup − baseline`, the baseline being the score of all rows, or of the rows with the same value of the control feature. Subgroups of fewer than min_subgroup_size rows have no score.",
		Scope:   engine.SingleDataset, Predictions: true,
		Params: slices.Concat([]engine.Param{
			{Name: "protected_feature", Type: engine.TextParam, Required: true, Doc: "the feature whose groups are compared"},
			{Name: "control_feature", Type: engine.TextParam, Doc: "a feature within whose values the groups are compared; null means all rows"},
			{Name: "scorer", Type: engine.NamesParam, Doc: "the measure; null means accuracy, or for regression the negative RMSE"},
			{Name: "max_bins", Type: engine.IntParam, Default: 10, Min: 1, Max: 1000, Doc: "parts of a feature, at most"},
			{Name: "min_subgroup_size", Type: engine.IntParam, Default: 5, Min: 1, Max: math.MaxFloat64, Doc: "rows of a subgroup that is scored, at least"},
			{Name: "max_subgroups_per_control_cat_to_display", Type: engine.IntParam, Default: 3, Min: 0, Max: math.MaxFloat64, Doc: "subgroups to draw for each value of the control feature"},
			{Name: "max_control_cat_to_display", Type: engine.IntParam, Default: 3, Min: 0, Max: math.MaxFloat64, Doc: "values of the control feature to draw"},
		}, engine.SampleParams(largeSample)),
		Conditions: []engine.ConditionDef{
			{ID: "bounded_performance_difference", Params: bounds, New: func(r engine.Request) (engine.Condition, error) {
				return bounded(r, "Performance differences are bounded between ", func(g Subgroup) float64 { return g.Score - g.Baseline }), nil
			}},
			{ID: "bounded_relative_performance_difference", Params: bounds, New: func(r engine.Request) (engine.Condition, error) {
				return bounded(r, "Relative performance differences are bounded between ", func(g Subgroup) float64 { return (g.Score - g.Baseline) / g.Baseline }), nil
			}},
		},
		New: func(a engine.Args, m engine.Mode) (engine.Check, error) { return biasCheck{a, m}, nil },
	}
}

type biasCheck struct {
	args engine.Args
	mode engine.Mode
}

// Subgroup is one row of PerformanceBias' value.
type Subgroup struct {
	Protected, Control string
	Class              frame.Value // null for measures of all classes
	Score, Baseline    float64     // NaN where there are too few rows
	Rows, BaselineRows int
}

// Subgroups is the value of PerformanceBias, by rising difference.
type Subgroups struct {
	Protected, Control string // the features; Control may be ""
	Measure            string
	PerClass           bool
	List               []Subgroup
}

// Encode returns the table of the subgroups.
func (v Subgroups) Encode() any {
	g := engine.Grid{Columns: []string{v.Protected}}
	if v.Control != "" {
		g.Columns = append(g.Columns, v.Control)
	}
	g.Columns = append(g.Columns, "_scorer", "_score", "_baseline", "_baseline_count", "_count", "_diff")
	if v.PerClass {
		g.Columns = append(g.Columns, "_class")
	}
	for _, s := range v.List {
		row := []any{s.Protected}
		if v.Control != "" {
			row = append(row, s.Control)
		}
		row = append(row, v.Measure, s.Score, s.Baseline, s.BaselineRows, s.Rows, s.Score-s.Baseline)
		if v.PerClass {
			row = append(row, s.Class.Native())
		}
		g.Rows = append(g.Rows, row)
	}
	return engine.Object{{Key: "scores_df", Value: g}}
}

func (biasCheck) ID() string { return "PerformanceBias" }

func (b biasCheck) Run(_ context.Context, c *engine.Context) (engine.Result, error) {
	side := c.Side()
	protected, control := b.args.Text("protected_feature"), b.args.Text("control_feature")
	for _, f := range []string{protected, control} {
		if f != "" && !slices.Contains(side.Data.Features(), f) {
			return engine.Result{}, engine.Errorf(engine.ValueError, "Feature %s not found in dataset.%s", f, nearest.Hint(f, side.Data.Features()))
		}
	}
	if protected == control {
		return engine.Result{}, engine.Errorf(engine.ValueError, "protected_feature and control_feature cannot be the same")
	}
	e, err := evaluate(c, side, b.args)
	if err != nil {
		return engine.Result{}, err
	}
	given := b.args.Names("scorer")
	if len(given) == 0 {
		given = defaultScorers(c.Task(), true)[:1]
	}
	chosen, err := chooseScorers(given[:1], nil, c.Task(), b.mode)
	if err != nil {
		return engine.Result{}, err
	}
	sc := chosen[0]
	if err := sc.ready(e, side.Which); err != nil {
		return engine.Result{}, err
	}
	divide := func(f string) parts {
		return partition(side.Data.Column(f), e.rowIDs, slices.Contains(side.Data.CategoricalFeatures(), f), b.args.Int("max_bins"))
	}
	groups, controls := divide(protected), parts{labels: []string{""}, of: make([]int32, len(e.rowIDs))}
	if control != "" {
		controls = divide(control)
	}
	value := Subgroups{Protected: protected, Control: control, Measure: sc.shown, PerClass: sc.perClass}
	for k, name := range controls.labels {
		base := where(len(e.rowIDs), func(i int) bool { return controls.of[i] == int32(k) })
		for g, label := range groups.labels {
			rows := where(len(e.rowIDs), func(i int) bool { return controls.of[i] == int32(k) && groups.of[i] == int32(g) })
			value.List = append(value.List, b.subgroups(e, sc, base, rows, Subgroup{Protected: label, Control: name})...)
		}
	}
	slices.SortStableFunc(value.List, func(x, y Subgroup) int {
		return frame.Compare(frame.FloatValue(x.Score-x.Baseline), frame.FloatValue(y.Score-y.Baseline))
	})
	return engine.Result{Value: value, Displays: b.displays(value)}, nil
}

func where(n int, in func(int) bool) []int32 {
	var out []int32
	for i := range n {
		if in(i) {
			out = append(out, int32(i))
		}
	}
	return out
}

// subgroups scores the rows of one subgroup against its baseline, once or for
// each class.
func (b biasCheck) subgroups(e *evaluation, sc scorer, base, rows []int32, s Subgroup) []Subgroup {
	s.Rows, s.BaselineRows = len(rows), len(base)
	few := b.args.Int("min_subgroup_size")
	score := func(rows []int32) []float64 {
		if len(rows) < few {
			return nil
		}
		return sc.score(e.take(rows))
	}
	own, all := score(rows), score(base)
	at := func(list []float64, k int) float64 {
		if k < len(list) {
			return list[k]
		}
		return math.NaN()
	}
	if !sc.perClass {
		s.Score, s.Baseline = at(own, 0), at(all, 0)
		return []Subgroup{s}
	}
	out := make([]Subgroup, e.known)
	for k := range out {
		out[k] = s
		out[k].Class, out[k].Score, out[k].Baseline = e.classes[k], at(own, k), at(all, k)
	}
	return out
}

func (b biasCheck) displays(v Subgroups) []engine.Display {
	var charts []engine.Display
	var order []string
	byControl := make(map[string]*engine.BarChart)
	for _, s := range v.List {
		if math.IsNaN(s.Score) {
			continue
		}
		chart := byControl[s.Control]
		if chart == nil {
			title := v.Measure + " by " + v.Protected
			if v.Control != "" {
				title += ", " + v.Control + " " + s.Control
			}
			chart = &engine.BarChart{Title: title, Series: []string{"subgroup", "baseline"}}
			byControl[s.Control], order = chart, append(order, s.Control)
		}
		if len(chart.Groups) == b.args.Int("max_subgroups_per_control_cat_to_display") {
			continue
		}
		label := s.Protected
		if !s.Class.IsNull() {
			label += ", class " + s.Class.String()
		}
		chart.Groups = append(chart.Groups, engine.BarGroup{Label: label, Values: []float64{s.Score, s.Baseline}})
	}
	for _, name := range order[:min(len(order), b.args.Int("max_control_cat_to_display"))] {
		charts = append(charts, *byControl[name])
	}
	return charts
}

// bounded makes the condition that differences lie between two bounds.
func bounded(r engine.Request, name string, difference func(Subgroup) float64) engine.Condition {
	lower, upper := r.Args.Float("lower_bound"), math.Inf(1)
	if !r.Args.IsNull("upper_bound") {
		upper = r.Args.Float("upper_bound")
	}
	return engine.Condition{
		Name: fmt.Sprintf("%s%s and %s.", name, format.Param(lower), format.Param(upper)),
		Judge: engine.Judge(func(v Subgroups) (engine.Verdict, string, error) {
			outside := 0
			for _, s := range v.List {
				if d := difference(s); !math.IsNaN(d) && (d < lower || d > upper) {
					outside++
				}
			}
			details := fmt.Sprintf("Found %d subgroups with performance differences outside of the given bounds.", outside)
			if outside > 0 {
				return engine.Fail, details, nil
			}
			return engine.Pass, details, nil
		}),
	}
}
