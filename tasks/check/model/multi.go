package model

import (
	"context"
	"slices"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/frame"
)

func multiModel() *engine.Definition {
	return &engine.Definition{
		ID:      "MultiModelPerformanceReport",
		Summary: "Scores several models on the same table, side by side.",
		Formula: "One row for each model, measure and class, on the test table, or the train table without one. The models stand under `models` in the suite document.",
		Scope:   engine.ModelOnly,
		Params: slices.Concat([]engine.Param{
			{Name: "scorers", Type: engine.NamesParam, Doc: "measures to compute; null means F1, precision and recall per class, or for regression negative RMSE, negative MAE and R2"},
		}, engine.SampleParams(largeSample)),
		New: func(a engine.Args, m engine.Mode) (engine.Check, error) { return multiCheck{a, m}, nil },
	}
}

type multiCheck struct {
	args engine.Args
	mode engine.Mode
}

// Contest is the value of MultiModelPerformanceReport.
type Contest struct {
	Models []string
	Scores [][]Score // by model
	task   engine.Task
}

// Encode returns a table of the scores.
func (m Contest) Encode() any {
	g := engine.Grid{Columns: []string{"Model", "Value", "Metric", "Class", "Number of samples"}}
	if m.task == engine.Regression {
		g.Columns = []string{"Model", "Value", "Metric", "Number of samples"}
	}
	for i, name := range m.Models {
		for _, s := range m.Scores[i] {
			row := []any{name, s.Value, s.Metric}
			if m.task != engine.Regression {
				row = append(row, s.Class.Native())
			}
			g.Rows = append(g.Rows, append(row, s.Rows))
		}
	}
	return g
}

func (multiCheck) ID() string { return "MultiModelPerformanceReport" }

func (m multiCheck) Run(ctx context.Context, c *engine.Context) (engine.Result, error) {
	side := c.Test()
	if side == nil {
		side = c.Train()
	}
	if len(c.Rivals()) < 2 {
		return engine.Result{}, &engine.Error{Class: engine.NotSupported, Cause: engine.Missing, Message: "Check is irrelevant if fewer than two models are given under \"models\""}
	}
	chosen, err := chooseScorers(m.args.Names("scorers"), defaultScorers(c.Task(), false), c.Task(), m.mode)
	if err != nil {
		return engine.Result{}, err
	}
	value := Contest{task: c.Task()}
	var classes []frame.Value
	var all []*evaluation
	for _, r := range c.Rivals() {
		pred, err := rivalPredictions(ctx, side, r)
		if err != nil {
			return engine.Result{}, err
		}
		e, err := evaluatePredictions(c, side, m.args, pred.WithLabels())
		if err != nil {
			return engine.Result{}, err
		}
		for _, sc := range chosen {
			if err := sc.ready(e, side.Which); err != nil {
				return engine.Result{}, err
			}
		}
		classes, all = union(classes, e.classes), append(all, e)
		value.Models = append(value.Models, r.Name)
	}
	for _, e := range all {
		var scores []Score
		for _, sc := range chosen {
			scores = append(scores, scoreRows("", e, sc, classes)...)
		}
		value.Scores = append(value.Scores, scores)
	}
	return engine.Result{Value: value, Displays: value.displays()}, nil
}

func rivalPredictions(ctx context.Context, side *engine.Side, r engine.Rival) (*engine.Predictions, error) {
	pred := r.Train
	if side.Which == engine.Test {
		pred = r.Test
	}
	switch {
	case pred != nil:
		return pred, nil
	case r.Model == nil:
		return nil, engine.Errorf(engine.ValueError, "the model %s has no predictions for the %s table", r.Name, side.Which)
	}
	rows, err := side.Data.Only(side.Data.Features())
	if err != nil {
		return nil, engine.Errorf(engine.ValueError, "%v", err)
	}
	if _, err := r.Model.Info(ctx); err != nil {
		return nil, err
	}
	pred, _, err = r.Model.Predict(ctx, rows, side.Data.Label())
	return pred, err
}

// displays draws one chart for each measure.
func (m Contest) displays() []engine.Display {
	var out []engine.Display
	if len(m.Scores) == 0 {
		return nil
	}
	charts := make(map[string]*engine.BarChart)
	var order []string
	for k, s := range m.Scores[0] {
		chart := charts[s.Metric]
		if chart == nil {
			chart = &engine.BarChart{Title: s.Metric, Series: m.Models}
			charts[s.Metric], order = chart, append(order, s.Metric)
		}
		g := engine.BarGroup{Label: "all rows"}
		if !s.Class.IsNull() {
			g.Label = s.Class.String()
		}
		for i := range m.Models {
			g.Values = append(g.Values, m.Scores[i][k].Value)
		}
		chart.Groups = append(chart.Groups, g)
	}
	for _, metric := range order {
		out = append(out, *charts[metric])
	}
	return out
}
