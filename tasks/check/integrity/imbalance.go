package integrity

import (
	"cmp"
	"context"
	"math"
	"slices"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/format"
)

func classImbalance() *engine.Definition {
	return &engine.Definition{
		ID:      "ClassImbalance",
		Summary: "Tells how often each class occurs, and finds tables in which one class is rare beside another.",
		Formula: "`rows of the class / rows with a label`, rounded to two digits; the condition judges the least of these by the largest.",
		Differs: "the condition warns when the ratio is below the threshold; in deepchecks it warns when classes are balanced.",
		Scope:   engine.SingleDataset,
		Params: []engine.Param{
			{Name: "n_top_labels", Type: engine.IntParam, Default: 5, Min: 0, Max: math.MaxFloat64, Doc: "labels to show"},
			{Name: "ignore_nan", Type: engine.BoolParam, Default: true, Doc: "do not count a missing label as a class"},
		},
		Conditions: []engine.ConditionDef{{
			ID:     "class_ratio_less_than",
			Params: []engine.Param{{Name: "class_imbalance_ratio_th", Type: engine.FloatParam, Default: 0.1, Min: 0, Max: 1, Doc: "ratio of the least to the most frequent class below which classes are imbalanced"}},
			New:    balanced,
		}},
		Defaults: []engine.Use{{ID: "class_ratio_less_than"}},
		New:      func(a engine.Args, _ engine.Mode) (engine.Check, error) { return imbalance{a}, nil },
	}
}

type imbalance struct{ args engine.Args }

func (imbalance) ID() string { return "ClassImbalance" }

func (b imbalance) Run(_ context.Context, c *engine.Context) (engine.Result, error) {
	side := c.Side()
	if err := c.Classification(); err != nil {
		return engine.Result{}, err
	}
	label, err := side.Label()
	if err != nil {
		return engine.Result{}, err
	}
	values, sizes, counted := label.Counts()
	if !counted {
		return engine.Result{}, engine.Errorf(engine.DatasetValidation, "the label of the %s dataset has too many distinct values to be counted", side.Which)
	}
	total := 0
	var classes []int
	for k, v := range values {
		if !v.IsNull() || !b.args.Bool("ignore_nan") {
			classes = append(classes, k)
			total += sizes[k]
		}
	}
	if total == 0 {
		return engine.Result{}, engine.Errorf(engine.DatasetValidation, "every label of the %s dataset is null", side.Which)
	}
	slices.SortStableFunc(classes, func(x, y int) int { return cmp.Compare(sizes[y], sizes[x]) })
	var value Shares
	chart := engine.BarChart{Title: "Share of each class", Unit: "share of rows", Series: []string{"Rows"}}
	for _, k := range classes {
		share := float64(sizes[k]) / float64(total)
		value.Columns = append(value.Columns, values[k].String())
		value.Shares = append(value.Shares, math.RoundToEven(share*100)/100)
		if len(chart.Groups) < b.args.Int("n_top_labels") {
			chart.Groups = append(chart.Groups, engine.BarGroup{Label: value.Columns[len(value.Columns)-1], Values: []float64{share}})
		}
	}
	return engine.Result{Value: value, Displays: []engine.Display{chart}}, nil
}

func balanced(r engine.Request) (engine.Condition, error) {
	limit := r.Args.Float("class_imbalance_ratio_th")
	name := "The ratio between least frequent label to most frequent label is greater than or equal "
	if r.Mode == engine.Deepchecks {
		name = "The ratio between least frequent label to most frequent label is less than or equal "
	}
	return engine.Condition{
		Name: name + format.Param(limit),
		Judge: engine.Judge(func(v Shares) (engine.Verdict, string, error) {
			ratio := v.Shares[len(v.Shares)-1] / v.Shares[0]
			details := "The ratio between least to most frequent label is " + format.Number(ratio)
			if r.Mode == engine.Deepchecks && ratio >= limit || r.Mode != engine.Deepchecks && ratio < limit {
				return engine.Warn, details, nil
			}
			return engine.Pass, details, nil
		}),
	}, nil
}
