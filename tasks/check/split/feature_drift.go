package split

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"

	"aloft/tasks/check/drift"
	"aloft/tasks/check/engine"
	"aloft/tasks/check/stats"
)

// driftSample is how many rows the drift checks look at by default.
const driftSample = 100_000

const rareDiffers = "categories with less than `min_category_size_ratio` of the train rows are counted together as one category. There, that category is dropped when it too is rare, with all its rows."

func featureDrift() *engine.Definition {
	return &engine.Definition{
		ID:      "FeatureDrift",
		Former:  []string{"TrainTestFeatureDrift"},
		Summary: "Measures for each feature how far its distribution in the test table has moved from that in the train table.",
		Formula: "Numbers: Kolmogorov-Smirnov `max |F_train(x) − F_test(x)|`, or the earth mover's distance `∫ |F_train − F_test|` of the values scaled to 0..1. Categories: Cramér's V of the table side × category with bias correction, `√(max(0, χ²/n − (k−1)/(n−1)) / min(k̃−1, r̃−1))`, both sides scaled to the size of the smaller; or PSI `Σ (a − e)·ln(a/e)` over the shares, each at least 0.01.",
		Differs: rareDiffers,
		Scope:   engine.TrainTest,
		Params: params(engine.ColumnParams(), []engine.Param{
			count("n_top_columns", 5, "columns to show"),
			{Name: "sort_feature_by", Type: engine.TextParam, Default: "drift + importance", Allowed: []string{"drift", "importance", "drift + importance"}, Doc: "which columns to show first"},
		}, drift.Params(false, true), []engine.Param{
			{Name: "aggregation_method", Type: engine.TextParam, Default: "l3_weighted", Allowed: engine.Aggregations(), Doc: "how the reduced value sums up the features"},
		}, engine.SampleParams(driftSample)),
		Conditions: []engine.ConditionDef{drift.Less("column", "columns", "", 0.2, 0.2)},
		Defaults:   []engine.Use{{ID: "drift_score_less_than"}},
		New: func(a engine.Args, m engine.Mode) (engine.Check, error) {
			o, err := drift.FromArgs(a, m)
			return featureDriftCheck{args: a, options: o}, err
		},
	}
}

type featureDriftCheck struct {
	args    engine.Args
	options drift.Options
}

func (featureDriftCheck) ID() string { return "FeatureDrift" }

// driftColumn is a feature whose drift is scored.
type driftColumn struct {
	name        string
	categorical bool
}

// driftColumns lists the numerical and categorical features among names.
// Features that are numbers on one side only are left out, with a note.
func driftColumns(c *engine.Context, names []string) []driftColumn {
	train, test := c.Train().Data, c.Test().Data
	categories, trainNumbers, testNumbers := set(train.CategoricalFeatures()), set(train.NumericalFeatures()), set(test.NumericalFeatures())
	var out []driftColumn
	for _, name := range names {
		if test.Column(name) == nil {
			continue
		}
		if categories[name] {
			out = append(out, driftColumn{name, true})
			continue
		}
		a, b := trainNumbers[name], testNumbers[name]
		switch {
		case a && b:
			out = append(out, driftColumn{name, false})
		case a != b && !test.Column(name).Kind().Numeric() || a != b && b:
			c.Note(fmt.Sprintf("the column %q is %s in train and %s in test: its drift is not measured", name, train.Column(name).Kind(), test.Column(name).Kind()))
		}
	}
	return out
}

func (f featureDriftCheck) Run(ctx context.Context, c *engine.Context) (engine.Result, error) {
	features, err := c.Train().Features()
	if err != nil {
		return engine.Result{}, err
	}
	selected, err := c.Train().Columns(f.args, features)
	if err != nil {
		return engine.Result{}, err
	}
	weights, err := c.Importance(ctx)
	if err != nil {
		return engine.Result{}, err
	}
	names := make([]string, len(selected))
	for i, col := range selected {
		names[i] = col.Name()
	}
	columns := driftColumns(c, names)
	value := drift.Scores{List: make([]drift.Named, len(columns)), WithImportance: true}
	err = stats.Parallel(len(columns), func(i int) {
		value.List[i] = drift.Named{Name: columns[i].name, Score: f.score(c, columns[i]), Importance: importances(weights, []string{columns[i].name})[0]}
	})
	if err != nil {
		return engine.Result{}, engine.Errorf(engine.Internal, "score drift: %v", err)
	}
	if len(columns) > 0 && !slices.ContainsFunc(value.List, drift.Named.Measured) {
		return engine.Result{}, drift.TooFew(f.options.MinSamples, "columns")
	}
	return engine.Result{Value: value, Reduced: value.Reduce(f.args.Text("aggregation_method")), Displays: f.displays(c, columns, value)}, nil
}

func (f featureDriftCheck) score(c *engine.Context, col driftColumn) drift.Score {
	if col.categorical {
		return f.options.Categories(f.counts(c, col))
	}
	train, test := f.numbers(c, col)
	return f.options.Numbers(train, test)
}

func (f featureDriftCheck) counts(c *engine.Context, col driftColumn) drift.Counts {
	return drift.ColumnCounts(c.Train().Data.Column(col.name), c.Test().Data.Column(col.name),
		c.Train().Unordered(f.args), c.Test().Unordered(f.args), !f.args.Bool("ignore_na"))
}

func (f featureDriftCheck) numbers(c *engine.Context, col driftColumn) (train, test []float64) {
	return c.Train().Data.Column(col.name).Floats(c.Train().Unordered(f.args)), c.Test().Data.Column(col.name).Floats(c.Test().Unordered(f.args))
}

// displays draws the scores of the first features and their distributions.
func (f featureDriftCheck) displays(c *engine.Context, columns []driftColumn, v drift.Scores) []engine.Display {
	order := make([]int, 0, len(v.List))
	for i, n := range v.List {
		if n.Known() {
			order = append(order, i)
		}
	}
	by := f.args.Text("sort_feature_by")
	rank := func(i int) float64 {
		weight := v.List[i].Importance
		if math.IsNaN(weight) {
			weight = 0
		}
		switch by {
		case "drift":
			return v.List[i].Value
		case "importance":
			return weight
		}
		return v.List[i].Value + weight
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(rank(b), rank(a)) })
	order = order[:min(len(order), f.args.Int("n_top_columns"))]
	if len(order) == 0 {
		return nil
	}
	chart := engine.BarChart{Title: "Drift scores, by " + by, Series: []string{"Drift score"}}
	for _, i := range order {
		chart.Groups = append(chart.Groups, engine.BarGroup{Label: v.List[i].Name, Values: []float64{v.List[i].Value}})
	}
	out := []engine.Display{chart}
	for _, i := range order {
		title := fmt.Sprintf("%s: %s %.3f", v.List[i].Name, v.List[i].Method, v.List[i].Value)
		out = append(out, showColumn(title, columns[i], f.args, func() drift.Counts { return f.counts(c, columns[i]) }, func() (a, b []float64) { return f.numbers(c, columns[i]) }))
	}
	return out
}

// showColumn draws the distribution of a column on both sides.
func showColumn(title string, col driftColumn, args engine.Args, counts func() drift.Counts, numbers func() (a, b []float64)) engine.Display {
	if col.categorical {
		return drift.ShowCategories(title, counts(), args.Int("max_num_categories_for_display"), stats.CategorySort(args.Text("show_categories_by")))
	}
	a, b := numbers()
	stats.SortFloats(a)
	stats.SortFloats(b)
	return drift.ShowNumbers(title, col.name, a, b)
}
