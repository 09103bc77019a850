package model

import (
	"context"
	"math"
	"slices"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/format"
)

func singlePerformance() *engine.Definition {
	return &engine.Definition{
		ID:      "SingleDatasetPerformance",
		Summary: "Scores the model on one table.",
		Formula: "One row for each measure, and for each class where the measure is one of classes. By default accuracy, precision and recall, of more than two classes their plain means over the classes; for regression `−RMSE`.",
		Differs: "the measure of a regression is the negative RMSE, so that greater is better for the condition as for every other measure; deepchecks takes the RMSE itself. The measures fpr, fnr and tnr are the textbook ones.",
		Scope:   engine.SingleDataset, Predictions: true,
		Params: slices.Concat([]engine.Param{
			{Name: "scorers", Type: engine.NamesParam, Doc: "measures to compute; null means accuracy, precision and recall, or for regression the negative RMSE"},
		}, engine.SampleParams(largeSample)),
		Conditions: []engine.ConditionDef{{
			ID: "greater_than",
			Params: []engine.Param{
				{Name: "threshold", Type: engine.FloatParam, Required: true, Min: -math.MaxFloat64, Max: math.MaxFloat64, Doc: "scores must exceed this"},
				{Name: "metrics", Type: engine.TextsParam, Doc: "shown names of the measures to judge; null means all"},
				{Name: "class_mode", Type: engine.TextParam, Default: "all", Doc: "of measures per class: all classes must pass, any of them, or the one named"},
			},
			New: scoresGreater,
		}},
		New: func(a engine.Args, m engine.Mode) (engine.Check, error) { return singleCheck{a, m}, nil },
	}
}

type singleCheck struct {
	args engine.Args
	mode engine.Mode
}

// TableScores is the value of SingleDatasetPerformance.
type TableScores struct {
	List []Score
	task engine.Task
	mode engine.Mode
}

// Encode returns a table of the scores; of a regression without classes.
func (s TableScores) Encode() any {
	if s.task == engine.Regression {
		g := engine.Grid{Columns: []string{"Metric", "Value"}}
		for _, r := range s.List {
			g.Rows = append(g.Rows, []any{r.Metric, r.Value})
		}
		return g
	}
	g := engine.Grid{Columns: []string{"Class", "Metric", "Value"}}
	for _, r := range s.List {
		class := r.Class.Native()
		if class == nil && s.mode == engine.Deepchecks {
			class = math.NaN()
		}
		g.Rows = append(g.Rows, []any{class, r.Metric, r.Value})
	}
	return g
}

func (singleCheck) ID() string { return "SingleDatasetPerformance" }

func (s singleCheck) Run(_ context.Context, c *engine.Context) (engine.Result, error) {
	e, err := evaluate(c, c.Side(), s.args)
	if err != nil {
		return engine.Result{}, err
	}
	defaults := defaultScorers(c.Task(), true)
	if c.Task() == engine.Regression {
		defaults = [][2]string{{"Neg RMSE", "neg_rmse"}}
		if s.mode == engine.Deepchecks {
			defaults = [][2]string{{"RMSE", "rmse"}}
		}
	}
	chosen, err := chooseScorers(s.args.Names("scorers"), defaults, c.Task(), s.mode)
	if err != nil {
		return engine.Result{}, err
	}
	value := TableScores{task: c.Task(), mode: s.mode}
	for _, sc := range chosen {
		if err := sc.ready(e, c.Side().Which); err != nil {
			return engine.Result{}, err
		}
		value.List = append(value.List, scoreRows("", e, sc, union(e.classes, nil))...)
	}
	var reduced engine.Object
	chart := engine.BarChart{Title: "Scores", Series: []string{"score"}}
	for _, r := range value.List {
		name := r.Metric
		if !r.Class.IsNull() {
			name += " " + r.Class.String()
		}
		reduced = append(reduced, engine.Field{Key: name, Value: r.Value})
		chart.Groups = append(chart.Groups, engine.BarGroup{Label: name, Values: []float64{r.Value}})
	}
	return engine.Result{Value: value, Reduced: reduced, Displays: []engine.Display{chart}}, nil
}

func scoresGreater(r engine.Request) (engine.Condition, error) {
	limit, metrics, class := r.Args.Float("threshold"), r.Args.Texts("metrics"), r.Args.Text("class_mode")
	return engine.Condition{
		Name: "Selected metrics scores are greater than " + format.Param(limit),
		Judge: engine.Judge(func(v TableScores) (engine.Verdict, string, error) {
			var known []string
			for _, s := range v.List {
				if !slices.Contains(known, s.Metric) {
					known = append(known, s.Metric)
				}
			}
			chosen := metrics
			if chosen == nil {
				chosen = known
			}
			var failed []string
			for _, m := range chosen {
				if !slices.Contains(known, m) {
					return engine.Broken, "", engine.Errorf(engine.ValueError, "The requested metric was not calculated, the metrics calculated in this check are: %s.", format.List(quoted(known)))
				}
				ok, found := v.passes(m, class, limit)
				if !found {
					return engine.Broken, "", engine.Errorf(engine.ValueError, "class_mode expected be one of the classes in the check results or any or all, received %s.", class)
				}
				if !ok {
					failed = append(failed, m)
				}
			}
			if len(failed) > 0 {
				return engine.Fail, "Failed for metrics: " + format.List(quoted(failed)), nil
			}
			return engine.Pass, "Passed for all of the metrics.", nil
		}),
	}, nil
}

// passes judges one measure; found is false when no row is of the class.
func (s TableScores) passes(metric, class string, limit float64) (ok, found bool) {
	over, rows := 0, 0
	for _, r := range s.List {
		if r.Metric != metric || class != "all" && class != "any" && !r.Class.IsNull() && r.Class.String() != class {
			continue
		}
		rows++
		if r.Value > limit {
			over++
		}
	}
	return over == rows || class == "any" && over > 0, rows > 0
}

func quoted(names []string) []string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = format.Quote(n)
	}
	return out
}
