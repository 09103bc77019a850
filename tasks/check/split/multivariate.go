package split

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"aloft/tasks/check/drift"
	"aloft/tasks/check/engine"
	"aloft/tasks/check/format"
	"aloft/tasks/check/stats"
)

func multivariateDrift() *engine.Definition {
	return &engine.Definition{
		ID:      "MultivariateDrift",
		Former:  []string{"WholeDatasetDrift"},
		Summary: "Measures how well a classifier can tell test rows from train rows: drift that no single feature shows.",
		Formula: "As many rows of each side are taken; a classifier (10 gradient boosted trees of depth 2 over histograms) learns on 70 % of them and is judged on the rest: `score = max(2·AUC − 1, 0)`. A feature's importance is the accuracy lost when its values are shuffled, the mean of 10 times, as a share of all features' losses.",
		Differs: "importance is always computed; there, it is left out when it would take long.",
		Scope:   engine.TrainTest,
		Params: params([]engine.Param{
			count("n_top_columns", 3, "columns to show"),
			{Name: "min_feature_importance", Type: engine.FloatParam, Default: 0.05, Min: 0, Max: 1, Doc: "importance that a column needs to be shown"},
		}, drift.Params(false, true)[3:5], engine.SampleParams(10_000), []engine.Param{
			{Name: "test_size", Type: engine.FloatParam, Default: 0.3, Min: 0.001, Max: 0.999, Doc: "share of the rows by which the classifier is judged"},
			{Name: "min_meaningful_drift_score", Type: engine.FloatParam, Default: 0.05, Min: 0, Max: 1, Doc: "score from which columns are shown"},
		}),
		Conditions: []engine.ConditionDef{{
			ID:     "overall_drift_value_less_than",
			Params: []engine.Param{{Name: "max_drift_value", Type: engine.FloatParam, Default: 0.25, Min: 0, Max: 1, Doc: "score that must not be reached"}},
			New:    lowDrift,
		}},
		Defaults: []engine.Use{{ID: "overall_drift_value_less_than"}},
		New:      func(a engine.Args, _ engine.Mode) (engine.Check, error) { return multivariateCheck{a}, nil },
	}
}

type multivariateCheck struct{ args engine.Args }

// DomainDrift is the value of MultivariateDrift.
type DomainDrift struct {
	AUC, Score float64
	// Features are in descending order of Importance.
	Features   []string
	Importance []float64
}

// Encode returns AUC, score and importance by feature.
func (d DomainDrift) Encode() any {
	list := make(engine.Object, len(d.Features))
	for i, f := range d.Features {
		list[i] = engine.Field{Key: f, Value: d.Importance[i]}
	}
	return engine.Object{
		{Key: "domain_classifier_auc", Value: d.AUC}, {Key: "domain_classifier_drift_score", Value: d.Score}, {Key: "domain_classifier_feature_importance", Value: list},
	}
}

func (multivariateCheck) ID() string { return "MultivariateDrift" }

func (m multivariateCheck) Run(_ context.Context, c *engine.Context) (engine.Result, error) {
	features, err := c.Train().Features()
	if err != nil {
		return engine.Result{}, err
	}
	columns := driftColumns(c, features)
	// Numbers come first, as the classifier tries features in this order.
	slices.SortStableFunc(columns, func(a, b driftColumn) int {
		switch {
		case a.categorical == b.categorical:
			return 0
		case a.categorical:
			return 1
		}
		return -1
	})
	if len(columns) == 0 {
		return engine.Result{}, engine.Errorf(engine.ProcessError, "the features hold neither numbers nor categories: there is nothing to tell the tables apart by")
	}
	d, err := newDomain(c, columns, m.args)
	if err != nil {
		return engine.Result{}, err
	}
	auc, weights, err := d.classify()
	if err != nil {
		return engine.Result{}, engine.Errorf(engine.ProcessError, "domain classifier: %v", err)
	}
	value := DomainDrift{AUC: auc, Score: stats.DomainScore(auc)}
	order := make([]int, len(columns))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(weights[b], weights[a]) })
	for _, i := range order {
		value.Features, value.Importance = append(value.Features, columns[i].name), append(value.Importance, weights[i])
	}
	return engine.Result{Value: value, Displays: m.displays(c, d, columns, order, value)}, nil
}

func (m multivariateCheck) displays(c *engine.Context, d *domain, columns []driftColumn, order []int, v DomainDrift) []engine.Display {
	out := []engine.Display{drift.ShowScore("Drift of all features together", drift.Score{Value: v.Score, Method: "domain classifier"}, 0.25)}
	if v.Score <= m.args.Float("min_meaningful_drift_score") {
		return out
	}
	var top []int
	for rank, i := range order {
		if rank < m.args.Int("n_top_columns") && v.Importance[rank] >= m.args.Float("min_feature_importance") {
			top = append(top, i)
		}
	}
	if len(top) == 0 {
		return out
	}
	chart := engine.BarChart{Title: "What tells the tables apart", Series: []string{"Importance"}}
	for rank, i := range top {
		chart.Groups = append(chart.Groups, engine.BarGroup{Label: columns[i].name, Values: []float64{v.Importance[rank]}})
	}
	out = append(out, chart)
	for rank, i := range top {
		col := columns[i]
		title := fmt.Sprintf("%s: %s of the importance", col.name, format.Percent(v.Importance[rank]))
		train, test := c.Train().Data.Column(col.name), c.Test().Data.Column(col.name)
		out = append(out, showColumn(title, col, m.args,
			func() drift.Counts { return drift.ColumnCounts(train, test, d.train, d.test, false) },
			func() (a, b []float64) { return train.Floats(d.train), test.Floats(d.test) }))
	}
	return out
}

func lowDrift(r engine.Request) (engine.Condition, error) {
	limit := r.Args.Float("max_drift_value")
	return engine.Condition{
		Name: "Drift value is less than " + format.Param(limit),
		Judge: engine.Judge(func(d DomainDrift) (engine.Verdict, string, error) {
			return verdict(d.Score < limit), fmt.Sprintf("Found drift value of: %s, corresponding to a domain classifier AUC of: %s", format.Number(d.Score), format.Number(d.AUC)), nil
		}),
	}, nil
}
