package split

import (
	"fmt"
	"math"
	"slices"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/format"
	"aloft/tasks/check/frame"
)

// largeSample is how many rows the checks that only count look at by default.
const largeSample = 10_000_000

func params(groups ...[]engine.Param) []engine.Param { return slices.Concat(groups...) }

// count declares a parameter that says how many things to show.
func count(name string, def int, doc string) engine.Param {
	return engine.Param{Name: name, Type: engine.IntParam, Default: def, Min: 0, Max: math.MaxFloat64, Doc: doc}
}

// maxRatio defines a condition with the one parameter max_ratio.
func maxRatio(id string, def float64, make func(limit float64, percent string) engine.Condition) engine.ConditionDef {
	return engine.ConditionDef{
		ID:     id,
		Params: []engine.Param{{Name: "max_ratio", Type: engine.FloatParam, Default: def, Min: 0, Max: 1, Doc: "largest share that passes, from 0 to 1"}},
		New: func(r engine.Request) (engine.Condition, error) {
			limit := r.Args.Float("max_ratio")
			return make(limit, format.Percent(limit)), nil
		},
	}
}

// passedFeatures is the message of a condition that held for n features.
func passedFeatures(n int) string {
	switch n {
	case 0:
		return "No relevant features to check were found"
	case 1:
		return "Passed for 1 relevant feature"
	default:
		return fmt.Sprintf("Passed for %d relevant features", n)
	}
}

func set(names []string) map[string]bool {
	out := make(map[string]bool, len(names))
	for _, n := range names {
		out[n] = true
	}
	return out
}

// present lists the rows whose cell is not missing.
func present(c *frame.Column, rows []int32) []int32 {
	if !c.HasNulls() {
		return rows
	}
	out := make([]int32, 0, len(rows))
	for _, r := range rows {
		if !c.IsNull(int(r)) {
			out = append(out, r)
		}
	}
	return out
}

// both returns the columns of a role on both sides.
func both(c *engine.Context, role func(*engine.Side) (*frame.Column, error)) (train, test *frame.Column, err error) {
	if train, err = role(c.Train()); err != nil {
		return nil, nil, err
	}
	if test, err = role(c.Test()); err != nil {
		return nil, nil, err
	}
	return train, test, nil
}

// importances looks up the weights of features; NaN for all when there are
// none.
func importances(i *engine.Importance, features []string) []float64 {
	out := i.Of(features)
	if out == nil {
		out = make([]float64, len(features))
		for k := range out {
			out[k] = math.NaN()
		}
	}
	return out
}
