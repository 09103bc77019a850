package split

import (
	"context"
	"fmt"

	"aloft/tasks/check/drift"
	"aloft/tasks/check/engine"
)

func labelDrift() *engine.Definition {
	return &engine.Definition{
		ID:         "LabelDrift",
		Former:     []string{"TrainTestLabelDrift"},
		Summary:    "Measures how far the distribution of the label in the test table has moved from that in the train table.",
		Formula:    "As FeatureDrift: the label of a classification by a method for categories, of a regression by one for numbers.",
		Differs:    rareDiffers,
		Scope:      engine.TrainTest,
		Params:     params(drift.Params(true, false), engine.SampleParams(driftSample)),
		Conditions: []engine.ConditionDef{drift.LabelLess()},
		Defaults:   []engine.Use{{ID: "drift_score_less_than"}},
		New: func(a engine.Args, m engine.Mode) (engine.Check, error) {
			o, err := drift.FromArgs(a, m)
			return labelDriftCheck{args: a, options: o}, err
		},
	}
}

type labelDriftCheck struct {
	args    engine.Args
	options drift.Options
}

func (labelDriftCheck) ID() string { return "LabelDrift" }

func (l labelDriftCheck) Run(_ context.Context, c *engine.Context) (engine.Result, error) {
	train, test, err := both(c, (*engine.Side).Label)
	if err != nil {
		return engine.Result{}, err
	}
	trainRows, testRows := c.Train().Unordered(l.args), c.Test().Unordered(l.args)
	col := driftColumn{train.Name(), c.Task() != engine.Regression}
	counts := func() drift.Counts {
		return drift.ColumnCounts(train, test, trainRows, testRows, !l.args.Bool("ignore_na"))
	}
	numbers := func() (a, b []float64) { return train.Floats(trainRows), test.Floats(testRows) }
	var score drift.Score
	if col.categorical {
		score = l.options.Categories(counts())
	} else {
		score = l.options.Numbers(numbers())
	}
	if !score.Measured() {
		return engine.Result{}, drift.TooFew(l.options.MinSamples, "labels")
	}
	title := fmt.Sprintf("%s: %s %.3f", train.Name(), score.Method, score.Value)
	return engine.Result{
		Value:    score,
		Reduced:  engine.Object{{Key: "Label Drift Score", Value: score.Value}},
		Displays: []engine.Display{drift.ShowScore("Drift of the label", score, 0.15), showColumn(title, col, l.args, counts, numbers)},
	}, nil
}
