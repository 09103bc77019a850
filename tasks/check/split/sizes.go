package split

import (
	"context"
	"fmt"
	"math"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/format"
)

func sizes() *engine.Definition {
	return &engine.Definition{
		ID:      "DatasetsSizeComparison",
		Summary: "Compares the number of rows of the train and test tables: a test table that is too small proves little.",
		Formula: "The numbers of rows, nothing else. No row is left out: there is no sampling.",
		Differs: "`test_size_greater_or_equal` passes at the value too, as it says; deepchecks wants more rows than the value.",
		Scope:   engine.TrainTest,
		Conditions: []engine.ConditionDef{
			{
				ID:     "test_size_greater_or_equal",
				Params: []engine.Param{{Name: "value", Type: engine.IntParam, Default: 100, Min: 0, Max: math.MaxFloat64, Doc: "fewest rows of the test table"}},
				New:    testSize,
			},
			{
				ID:     "test_train_size_ratio_greater_than",
				Params: []engine.Param{{Name: "ratio", Type: engine.FloatParam, Default: 0.01, Min: 0, Max: math.MaxFloat64, Doc: "test rows divided by train rows must exceed this"}},
				New:    sizeRatio,
			},
			{ID: "train_dataset_greater_or_equal_test", New: trainLarger},
		},
		Defaults: []engine.Use{{ID: "test_train_size_ratio_greater_than"}},
		New:      func(engine.Args, engine.Mode) (engine.Check, error) { return sizeCheck{}, nil },
	}
}

type sizeCheck struct{}

// Sizes is the value of DatasetsSizeComparison, in rows.
type Sizes struct{ Train, Test int }

// Encode returns both numbers.
func (s Sizes) Encode() any {
	return engine.Object{{Key: "Train", Value: s.Train}, {Key: "Test", Value: s.Test}}
}

func (sizeCheck) ID() string { return "DatasetsSizeComparison" }

func (sizeCheck) Run(_ context.Context, c *engine.Context) (engine.Result, error) {
	v := Sizes{Train: c.Train().Data.Total(), Test: c.Test().Data.Total()}
	return engine.Result{Value: v, Displays: []engine.Display{engine.BarChart{
		Title: "Rows", Series: []string{"Train", "Test"}, Unit: "rows",
		Groups: []engine.BarGroup{{Label: "rows", Values: []float64{float64(v.Train), float64(v.Test)}}},
	}}}, nil
}

func verdict(ok bool) engine.Verdict {
	if ok {
		return engine.Pass
	}
	return engine.Fail
}

func testSize(r engine.Request) (engine.Condition, error) {
	limit := r.Args.Int("value")
	return engine.Condition{
		Name: fmt.Sprintf("Test dataset size is greater or equal to %d", limit),
		Judge: engine.Judge(func(v Sizes) (engine.Verdict, string, error) {
			ok := v.Test >= limit
			if r.Mode == engine.Deepchecks {
				ok = v.Test > limit // the name says otherwise
			}
			return verdict(ok), fmt.Sprintf("Test dataset contains %d samples", v.Test), nil
		}),
	}, nil
}

func sizeRatio(r engine.Request) (engine.Condition, error) {
	limit := r.Args.Float("ratio")
	return engine.Condition{
		Name: "Test-Train size ratio is greater than " + format.Param(limit),
		Judge: engine.Judge(func(v Sizes) (engine.Verdict, string, error) {
			ratio := float64(v.Test) / float64(v.Train)
			return verdict(ratio > limit), "Test-Train size ratio is " + format.Number(ratio), nil
		}),
	}, nil
}

func trainLarger(engine.Request) (engine.Condition, error) {
	return engine.Condition{
		Name: "Train dataset is greater or equal to test dataset",
		Judge: engine.Judge(func(v Sizes) (engine.Verdict, string, error) {
			return verdict(v.Train >= v.Test), fmt.Sprintf("Train dataset contains %d samples, test dataset contains %d", v.Train, v.Test), nil
		}),
	}, nil
}
