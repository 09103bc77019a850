package integrity

import (
	"context"
	"fmt"
	"math"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/format"
	"aloft/tasks/check/pps"
)

func featureLabelCorrelation() *engine.Definition {
	return &engine.Definition{
		ID:      "FeatureLabelCorrelation",
		Summary: "Finds features that predict the label nearly alone: often the label, or a consequence of it, has leaked into them.",
		Formula: pps.Formula,
		Differs: "the seed is 42 unless another is given, where deepchecks draws one.",
		Scope:   engine.SingleDataset,
		Params: params([]engine.Param{pps.Param(), topFeatures()},
			engine.SampleParams(100_000)),
		Conditions: []engine.ConditionDef{{
			ID:     "feature_pps_less_than",
			Params: []engine.Param{{Name: "threshold", Type: engine.FloatParam, Default: 0.8, Doc: "score from which a feature fails"}},
			New:    smallScores,
		}},
		Defaults: []engine.Use{{ID: "feature_pps_less_than"}},
		New: func(a engine.Args, _ engine.Mode) (engine.Check, error) {
			o, err := pps.Parse(a)
			return featureLabel{a, o}, err
		},
	}
}

func topFeatures() engine.Param {
	return engine.Param{Name: "n_top_features", Type: engine.IntParam, Default: 5, Min: 0, Max: math.MaxFloat64, Doc: "features to show"}
}

type featureLabel struct {
	args    engine.Args
	options pps.Options
}

func (featureLabel) ID() string { return "FeatureLabelCorrelation" }

// Scores is the value of the checks that score columns by how well they
// predict the label: best first.
type Scores []pps.Score

// Encode returns an object of scores by column.
func (s Scores) Encode() any {
	out := make(engine.Object, len(s))
	for i, e := range s {
		out[i] = engine.Field{Key: e.Column, Value: e.PPS}
	}
	return out
}

func (f featureLabel) Run(ctx context.Context, c *engine.Context) (engine.Result, error) {
	side := c.Side()
	if _, err := side.Label(); err != nil {
		return engine.Result{}, err
	}
	features, err := side.Features()
	if err != nil {
		return engine.Result{}, err
	}
	scores, _, err := pps.Of(ctx, c, pps.Request{Side: side, Columns: features, Rows: side.Sample(f.args), Args: f.args, Options: f.options})
	if err != nil {
		return engine.Result{}, err
	}
	value := Scores(scores)
	return engine.Result{Value: value, Displays: value.displays("Features that predict the label best", f.args.Int("n_top_features"))}, nil
}

// displays shows the best scores.
func (s Scores) displays(title string, n int) []engine.Display {
	chart := engine.BarChart{Title: title, Series: []string{"Predictive power score"}}
	for _, e := range s[:min(len(s), n)] {
		chart.Groups = append(chart.Groups, engine.BarGroup{Label: e.Column, Values: []float64{e.PPS}})
	}
	if len(chart.Groups) == 0 {
		return nil
	}
	return []engine.Display{chart, engine.Note{Text: "The score is 0 when the column alone predicts the label no better than a guess, and 1 when it predicts it perfectly."}}
}

func smallScores(r engine.Request) (engine.Condition, error) {
	limit := r.Args.Float("threshold")
	return engine.Condition{
		Name: "Features' Predictive Power Score is less than " + format.Number(limit),
		Judge: engine.Judge(func(v Scores) (engine.Verdict, string, error) {
			var high []format.Pair
			for _, e := range v {
				if e.PPS >= limit {
					high = append(high, format.Pair{Key: format.Quote(e.Column), Value: format.Quote(format.Number(e.PPS))})
				}
			}
			if len(high) > 0 {
				return engine.Fail, fmt.Sprintf("Found %d out of %d features with PPS above threshold: %s", len(high), len(v), format.Dict(high)), nil
			}
			return engine.Pass, format.Passed(len(v)), nil
		}),
	}, nil
}
