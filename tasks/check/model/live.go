package model

import (
	"context"
	"math"
	"slices"
	"time"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/format"
)

func inferenceTime() *engine.Definition {
	return &engine.Definition{
		ID:      "ModelInferenceTime",
		Summary: "Measures how long the live model takes for one row.",
		Formula: "One prediction of a sample, timed by the model's process where it says so and from outside where not, divided by the rows of the sample.",
		Differs: "the time is that of a live model; without one the check does not run. deepchecks then times the look-up of stored predictions.",
		Scope:   engine.SingleDataset, Alone: true,
		Params: engine.SampleParams(1000),
		Conditions: []engine.ConditionDef{{
			ID:     "inference_time_less_than",
			Params: []engine.Param{{Name: "value", Type: engine.FloatParam, Default: 0.001, Min: 0, Max: math.MaxFloat64, Doc: "seconds for a row, at most"}},
			New:    timeLess,
		}},
		Defaults: []engine.Use{{ID: "inference_time_less_than"}},
		New:      func(a engine.Args, m engine.Mode) (engine.Check, error) { return timeCheck{a, m}, nil },
	}
}

type timeCheck struct {
	args engine.Args
	mode engine.Mode
}

func (timeCheck) ID() string { return "ModelInferenceTime" }

func (t timeCheck) Run(ctx context.Context, c *engine.Context) (engine.Result, error) {
	side := c.Side()
	if _, err := side.Features(); err != nil {
		return engine.Result{}, err
	}
	picked := side.Sample(t.args)
	m, err := c.Model()
	if err != nil {
		if pred, perr := side.Predictions(); perr == nil && t.mode == engine.Deepchecks {
			started := time.Now()
			_ = pred.Labels.Take(picked)
			c.Note("There is no live model: the time is that of looking up the stored predictions.")
			return timed(time.Since(started), len(picked)), nil
		}
		return engine.Result{}, err
	}
	rows, err := side.Data.Only(side.Data.Features())
	if err != nil {
		return engine.Result{}, engine.Errorf(engine.ValueError, "%v", err)
	}
	started := time.Now()
	_, took, err := m.Predict(ctx, rows.Take(picked), side.Data.Label())
	if err != nil {
		return engine.Result{}, err
	}
	if took <= 0 {
		took = time.Since(started)
		c.Note("The model's process does not say how long it took; the time includes the transfer of the rows.")
	}
	return timed(took, len(picked)), nil
}

func timed(took time.Duration, rows int) engine.Result {
	each := took.Seconds() / float64(rows)
	return engine.Result{Value: engine.Scalar(each), Displays: []engine.Display{
		engine.Note{Text: "Average model inference time for one sample (in seconds): " + format.NumberTo(each, 8)},
	}}
}

func timeLess(r engine.Request) (engine.Condition, error) {
	limit := r.Args.Float("value")
	return engine.Condition{
		Name: "Average model inference time for one sample is less than " + format.Param(limit),
		Judge: engine.Judge(func(v engine.Scalar) (engine.Verdict, string, error) {
			details := "Found average inference time (seconds): " + format.NumberTo(float64(v), 8)
			if float64(v) < limit {
				return engine.Pass, details, nil
			}
			return engine.Fail, details, nil
		}),
	}, nil
}

func modelInfo() *engine.Definition {
	return &engine.Definition{
		ID:      "ModelInfo",
		Summary: "Shows the live model's type and parameters, and which differ from their defaults.",
		Formula: "What the model says of itself.",
		Scope:   engine.ModelOnly,
		New:     func(engine.Args, engine.Mode) (engine.Check, error) { return infoCheck{}, nil },
	}
}

type infoCheck struct{}

// Described is the value of ModelInfo.
type Described struct {
	Type   string
	Params engine.Object
}

// Encode returns type and parameters.
func (d Described) Encode() any {
	params := d.Params
	if params == nil {
		params = engine.Object{}
	}
	return engine.Object{{Key: "type", Value: d.Type}, {Key: "params", Value: params}}
}

func (infoCheck) ID() string { return "ModelInfo" }

func (infoCheck) Run(_ context.Context, c *engine.Context) (engine.Result, error) {
	if _, err := c.Model(); err != nil {
		if e, ok := err.(*engine.Error); ok && e.Cause == engine.Missing {
			return engine.Result{}, &engine.Error{Class: engine.NotSupported, Cause: engine.Missing, Message: "Check is irrelevant if model is not supplied"}
		}
		return engine.Result{}, err
	}
	info := c.ModelInfo()
	g := engine.Grid{Columns: []string{"Parameter", "Value", "Default", "Changed"}}
	for _, p := range info.Params {
		at := slices.IndexFunc(info.Defaults, func(f engine.Field) bool { return f.Key == p.Key })
		row := []any{p.Key, p.Value, nil, ""}
		if at >= 0 {
			row[2] = info.Defaults[at].Value
			if row[2] != p.Value {
				row[3] = "changed"
			}
		}
		g.Rows = append(g.Rows, row)
	}
	return engine.Result{Value: Described{info.Type, info.Params}, Displays: []engine.Display{
		engine.Note{Text: "Model type: " + info.Type}, engine.TableView{Title: "Parameters", Grid: g},
	}}, nil
}
