package split

import (
	"context"
	"fmt"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/format"
	"aloft/tasks/check/frame"
)

func indexLeakage() *engine.Definition {
	return &engine.Definition{
		ID:         "IndexTrainTestLeakage",
		Header:     "Index Train-Test Leakage",
		Summary:    "Finds index values that both tables have: the same thing is in train and in test.",
		Formula:    "`distinct index values on both sides / test rows`.",
		Scope:      engine.TrainTest,
		Params:     params([]engine.Param{count("n_to_show", 5, "index values to show")}, engine.SampleParams(largeSample)),
		Conditions: []engine.ConditionDef{maxRatio("ratio_less_or_equal", 0, leakedIndexes)},
		Defaults:   []engine.Use{{ID: "ratio_less_or_equal"}},
		New:        func(a engine.Args, _ engine.Mode) (engine.Check, error) { return indexCheck{a}, nil },
	}
}

type indexCheck struct{ args engine.Args }

func (indexCheck) ID() string { return "IndexTrainTestLeakage" }

func (x indexCheck) Run(_ context.Context, c *engine.Context) (engine.Result, error) {
	train, test, err := both(c, (*engine.Side).Index)
	if err != nil {
		return engine.Result{}, err
	}
	rows := c.Test().Unordered(x.args)
	leaked := matched(train, test, present(train, c.Train().Unordered(x.args)), present(test, rows))
	distinct := frame.GroupRows([]*frame.Column{test}, leaked)
	result := engine.Result{Value: engine.Scalar(float64(len(distinct.First)) / float64(len(rows)))}
	if len(leaked) > 0 {
		result.Displays = []engine.Display{mostCommon("Index values on both sides", "Index", test, leaked, x.args.Int("n_to_show"))}
	}
	return result, nil
}

func leakedIndexes(limit float64, name string) engine.Condition {
	return engine.Condition{
		Name: "Ratio of leaking indices is less or equal to " + name,
		Judge: engine.Judge(func(v engine.Scalar) (engine.Verdict, string, error) {
			if v == 0 {
				return engine.Pass, "No index leakage found", nil
			}
			return verdict(float64(v) <= limit), fmt.Sprintf("Found %s of index leakage", format.Percent(float64(v))), nil
		}),
	}
}
