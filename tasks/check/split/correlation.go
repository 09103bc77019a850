package split

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/format"
	"aloft/tasks/check/pps"
)

func featureLabelCorrelationChange() *engine.Definition {
	threshold := func(def float64, doc string) engine.Param {
		return engine.Param{Name: "threshold", Type: engine.FloatParam, Default: def, Doc: doc}
	}
	return &engine.Definition{
		ID:      "FeatureLabelCorrelationChange",
		Summary: "Finds features that predict the label much better in the train table than in the test table: a sign of leakage or of drift.",
		Formula: pps.Formula,
		Differs: "the seed is 42 unless another is given, where deepchecks draws one.",
		Scope:   engine.TrainTest,
		Params: slices.Concat([]engine.Param{
			pps.Param(),
			{Name: "n_top_features", Type: engine.IntParam, Default: 5, Min: 0, Max: math.MaxFloat64, Doc: "features to show"},
		}, engine.SampleParams(100_000), []engine.Param{
			{Name: "min_pps_to_show", Type: engine.FloatParam, Default: 0.05, Doc: "features whose scores are all below are not shown"},
		}),
		Conditions: []engine.ConditionDef{
			{
				ID: "feature_pps_difference_less_than",
				Params: []engine.Param{
					threshold(0.2, "difference from which a feature fails"),
					{Name: "include_negative_diff", Type: engine.BoolParam, Default: true, Doc: "look at features that predict better in the test table too"},
				},
				New: smallScoreChanges,
			},
			{ID: "feature_pps_in_train_less_than", Params: []engine.Param{threshold(0.7, "score from which a feature fails")}, New: smallTrainScores},
		},
		Defaults: []engine.Use{{ID: "feature_pps_difference_less_than"}, {ID: "feature_pps_in_train_less_than"}},
		New: func(a engine.Args, _ engine.Mode) (engine.Check, error) {
			o, err := pps.Parse(a)
			return correlationChange{a, o}, err
		},
	}
}

type correlationChange struct {
	args    engine.Args
	options pps.Options
}

func (correlationChange) ID() string { return "FeatureLabelCorrelationChange" }

// ScoreChanges is the value of FeatureLabelCorrelationChange.
type ScoreChanges struct {
	// Train and Test are best first.
	Train, Test []pps.Score
	// Changes are the train scores less the test scores, in the order of the
	// names, or of the scores where that is the same on both sides.
	Changes []pps.Score
}

// Encode returns three objects of scores by feature.
func (v ScoreChanges) Encode() any {
	object := func(list []pps.Score) engine.Object {
		out := make(engine.Object, len(list))
		for i, e := range list {
			out[i] = engine.Field{Key: e.Column, Value: e.PPS}
		}
		return out
	}
	return engine.Object{
		{Key: "train", Value: object(v.Train)}, {Key: "test", Value: object(v.Test)},
		{Key: "train-test difference", Value: object(v.Changes)},
	}
}

func (f correlationChange) Run(ctx context.Context, c *engine.Context) (engine.Result, error) {
	train, test := c.Train(), c.Test()
	if _, err := train.Label(); err != nil {
		return engine.Result{}, err
	}
	features, err := train.Features()
	if err != nil {
		return engine.Result{}, err
	}
	var value ScoreChanges
	drawn := 0
	value.Train, drawn, err = pps.Of(ctx, c, pps.Request{Side: train, Columns: features, Rows: train.Sample(f.args), Args: f.args, Options: f.options})
	if err != nil {
		return engine.Result{}, err
	}
	value.Test, _, err = pps.Of(ctx, c, pps.Request{Side: test, Columns: features, Rows: test.Sample(f.args), Args: f.args, Options: f.options, Drawn: drawn})
	if err != nil {
		return engine.Result{}, err
	}
	scores := make(map[string]float64, len(features))
	same := true
	for i, e := range value.Test {
		scores[e.Column] = e.PPS
		same = same && value.Train[i].Column == e.Column
	}
	for _, e := range value.Train {
		value.Changes = append(value.Changes, pps.Score{Column: e.Column, PPS: e.PPS - scores[e.Column]})
	}
	if !same {
		slices.SortFunc(value.Changes, func(a, b pps.Score) int { return cmp.Compare(a.Column, b.Column) })
	}
	return engine.Result{Value: value, Displays: f.displays(value, scores)}, nil
}

// displays shows the features that predict best or change most.
func (f correlationChange) displays(v ScoreChanges, test map[string]float64) []engine.Display {
	chart := engine.BarChart{Title: "How well features predict the label", Series: []string{"Train", "Test"}}
	shown := slices.Clone(v.Train)
	slices.SortStableFunc(shown, func(a, b pps.Score) int {
		return cmp.Compare(math.Abs(b.PPS-test[b.Column]), math.Abs(a.PPS-test[a.Column]))
	})
	for _, e := range shown {
		if len(chart.Groups) < f.args.Int("n_top_features") && max(e.PPS, test[e.Column]) >= f.args.Float("min_pps_to_show") {
			chart.Groups = append(chart.Groups, engine.BarGroup{Label: e.Column, Values: []float64{e.PPS, test[e.Column]}})
		}
	}
	if len(chart.Groups) == 0 {
		return nil
	}
	return []engine.Display{chart, engine.Note{Text: "The predictive power score is 0 when the feature alone predicts the label no better than a guess, and 1 when it predicts it perfectly. " +
		"A high score in train alone points to leakage; features that changed most come first."}}
}

func smallScoreChanges(r engine.Request) (engine.Condition, error) {
	limit, both := r.Args.Float("threshold"), r.Args.Bool("include_negative_diff")
	return engine.Condition{
		Name: "Train-Test features' Predictive Power Score difference is less than " + format.Number(limit),
		Judge: engine.Judge(func(v ScoreChanges) (engine.Verdict, string, error) {
			changes := slices.Clone(v.Changes)
			if both {
				for i := range changes {
					changes[i].PPS = math.Abs(changes[i].PPS)
				}
			}
			return judgeScores(changes, limit, "features with PPS difference above threshold")
		}),
	}, nil
}

func smallTrainScores(r engine.Request) (engine.Condition, error) {
	limit := r.Args.Float("threshold")
	return engine.Condition{
		Name: "Train features' Predictive Power Score is less than " + format.Number(limit),
		Judge: engine.Judge(func(v ScoreChanges) (engine.Verdict, string, error) {
			return judgeScores(v.Train, limit, "features in train dataset with PPS above threshold")
		}),
	}, nil
}

// judgeScores fails the scores from limit on.
func judgeScores(scores []pps.Score, limit float64, what string) (engine.Verdict, string, error) {
	var high []format.Pair
	for _, e := range scores {
		if e.PPS >= limit {
			high = append(high, format.Pair{Key: format.Quote(e.Column), Value: format.Quote(format.Number(e.PPS))})
		}
	}
	if len(high) > 0 {
		return engine.Fail, fmt.Sprintf("Found %d out of %d %s: %s", len(high), len(scores), what, format.Dict(high)), nil
	}
	return engine.Pass, format.Passed(len(scores)), nil
}
