package vision

import (
	"context"
	"math"
	"slices"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/format"
)

func singlePerformance() *engine.Definition {
	condition := func(id string, greater bool) engine.ConditionDef {
		bound := "scores must exceed this"
		if !greater {
			bound = "scores must stay below this"
		}
		return engine.ConditionDef{
			ID: id,
			Params: []engine.Param{
				{Name: "threshold", Type: engine.FloatParam, Required: true, Min: -math.MaxFloat64, Max: math.MaxFloat64, Doc: bound},
				{Name: "metrics", Type: engine.TextsParam, Doc: "shown names of the measures to judge; null means all"},
				{Name: "class_mode", Type: engine.TextParam, Default: "all", Doc: "of measures per class: all classes must pass, any of them, or the one named"},
			},
			New: func(r engine.Request) (engine.Condition, error) { return boundScores(r, greater), nil },
		}
	}
	return &engine.Definition{
		ID:      "SingleDatasetPerformance",
		Summary: "Scores the model on one set of images.",
		Formula: scoresFormula,
		Scope:   engine.SingleDataset, Predictions: true,
		Params:     []engine.Param{scorersParam(), sampleParam()},
		Conditions: []engine.ConditionDef{condition("greater_than", true), condition("less_than", false)},
		New:        func(a engine.Args, _ engine.Mode) (engine.Check, error) { return singleCheck{a}, nil },
	}
}

type singleCheck struct{ args engine.Args }

// SetScores is the value of SingleDatasetPerformance.
type SetScores []Score

// Encode returns a table of the scores.
func (s SetScores) Encode() any {
	g := engine.Grid{Columns: []string{"Metric", "Class", "Value"}}
	for _, r := range s {
		var class any
		if r.PerClass {
			class = r.Name
		}
		g.Rows = append(g.Rows, []any{r.Metric, class, r.Value})
	}
	return g
}

func (singleCheck) ID() string { return "SingleDatasetPerformance" }

func (s singleCheck) Run(_ context.Context, c *engine.Context) (engine.Result, error) {
	if err := known(c); err != nil {
		return engine.Result{}, err
	}
	chosen, err := chooseScorers(s.args.Names("scorers"), defaultScorers(c.ImageTask()), c.ImageTask())
	if err != nil {
		return engine.Result{}, err
	}
	e, err := evaluate(c, c.Side(), s.args)
	if err != nil {
		return engine.Result{}, err
	}
	rows, err := scoreRows(c, "", e, chosen)
	if err != nil {
		return engine.Result{}, err
	}
	var reduced engine.Object
	chart := engine.BarChart{Title: "Scores", Series: []string{"score"}}
	for _, r := range rows {
		reduced = append(reduced, engine.Field{Key: r.title(), Value: r.Value})
		chart.Groups = append(chart.Groups, engine.BarGroup{Label: r.title(), Values: []float64{r.Value}})
	}
	return engine.Result{Value: SetScores(rows), Reduced: reduced, Displays: []engine.Display{chart}}, nil
}

// boundScores bounds scores from below or above.
func boundScores(r engine.Request, greater bool) engine.Condition {
	limit, metrics, class := r.Args.Float("threshold"), r.Args.Texts("metrics"), r.Args.Text("class_mode")
	name := "Selected metrics scores are less than "
	if greater {
		name = "Selected metrics scores are greater than "
	}
	return engine.Condition{
		Name: name + format.Param(limit),
		Judge: engine.Judge(func(v SetScores) (engine.Verdict, string, error) {
			var known []string
			for _, s := range v {
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
					return engine.Broken, "", engine.Errorf(engine.ValueError, "The requested metric was not calculated, the metrics calculated in this check are: %s.", format.QuotedList(known))
				}
				right, rows := 0, 0
				for _, s := range v {
					if s.Metric != m || class != "all" && class != "any" && s.PerClass && s.Name != class {
						continue
					}
					rows++
					if greater && s.Value > limit || !greater && s.Value < limit {
						right++
					}
				}
				if rows == 0 {
					return engine.Broken, "", engine.Errorf(engine.ValueError, "class_mode expected be one of the classes in the check results or any or all, received %s.", class)
				}
				if right < rows && !(class == "any" && right > 0) {
					failed = append(failed, m)
				}
			}
			if len(failed) > 0 {
				return engine.Fail, "Failed for metrics: " + format.QuotedList(failed), nil
			}
			return engine.Pass, "Passed for all of the metrics.", nil
		}),
	}
}
