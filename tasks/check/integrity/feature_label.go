package integrity

import (
	"context"
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
	value := pps.Scores(scores)
	return engine.Result{Value: value, Displays: scoreDisplays(value, "Features that predict the label best", f.args.Int("n_top_features"))}, nil
}

// scoreDisplays shows the best scores.
func scoreDisplays(s pps.Scores, title string, n int) []engine.Display {
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
	return pps.Below("Features' Predictive Power Score is less than "+format.Number(limit), "features", limit, format.Passed), nil
}
