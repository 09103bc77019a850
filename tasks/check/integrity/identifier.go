package integrity

import (
	"context"
	"fmt"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/format"
	"aloft/tasks/check/pps"
)

func identifierLabelCorrelation() *engine.Definition {
	return &engine.Definition{
		ID:      "IdentifierLabelCorrelation",
		Summary: "Finds out whether the index or the time of a row predicts its label: rows may have been collected or sorted by label.",
		Formula: pps.Formula,
		Differs: "the default threshold is 0.05, not 0: scores of columns that say nothing are not exactly 0.",
		Scope:   engine.SingleDataset,
		Params:  params([]engine.Param{pps.Param()}, engine.SampleParams(1_000_000)),
		Conditions: []engine.ConditionDef{{
			ID: "pps_less_or_equal",
			Params: []engine.Param{{Name: "max_pps", Type: engine.FloatParam, Default: 0.05, Compat: 0.0,
				Doc: "largest score that passes"}},
			New: smallIdentifierScores,
		}},
		Defaults: []engine.Use{{ID: "pps_less_or_equal"}},
		New: func(a engine.Args, _ engine.Mode) (engine.Check, error) {
			o, err := pps.Parse(a)
			return identifierLabel{a, o}, err
		},
	}
}

type identifierLabel struct {
	args    engine.Args
	options pps.Options
}

func (identifierLabel) ID() string { return "IdentifierLabelCorrelation" }

func (f identifierLabel) Run(ctx context.Context, c *engine.Context) (engine.Result, error) {
	side := c.Side()
	if _, err := side.Label(); err != nil {
		return engine.Result{}, err
	}
	columns, err := side.Identifiers()
	if err != nil {
		return engine.Result{}, err
	}
	scores, _, err := pps.Of(ctx, c, pps.Request{Side: side, Columns: columns, Rows: side.Sample(f.args), Args: f.args, Options: f.options})
	if err != nil {
		return engine.Result{}, err
	}
	value := pps.Scores(scores)
	return engine.Result{Value: value, Displays: scoreDisplays(value, "How well identifiers predict the label", len(value))}, nil
}

func smallIdentifierScores(r engine.Request) (engine.Condition, error) {
	limit := r.Args.Float("max_pps")
	return engine.Condition{
		Name: "Identifier columns PPS is less or equal to " + format.Number(limit),
		Judge: engine.Judge(func(v pps.Scores) (engine.Verdict, string, error) {
			var high []format.Pair
			for _, e := range v {
				if e.PPS > limit {
					high = append(high, format.Pair{Key: format.Quote(e.Column), Value: format.Quote(format.Number(e.PPS))})
				}
			}
			if len(high) > 0 {
				return engine.Fail, fmt.Sprintf("Found %d out of %d columns with PPS above threshold: %s", len(high), len(v), format.Dict(high)), nil
			}
			return engine.Pass, format.Passed(len(v)), nil
		}),
	}, nil
}
