package pps

import (
	"fmt"
	"strings"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/nearest"
)

// Param describes the parameter ppscore_params, by which checks take Options.
func Param() engine.Param {
	return engine.Param{
		Name: "ppscore_params", Type: engine.MapParam, Default: engine.Object{},
		Doc: "how the score is found: `sample` (rows drawn at most, 5000; null means all), `cross_validation` (folds, 4), " +
			"`random_seed` (random_state), `invalid_score` (score of columns that have none, 0)",
	}
}

// Parse reads the options out of the arguments of a check.
func Parse(a engine.Args) (Options, error) {
	o := Options{Sample: 5000, Folds: 4, Seed: uint32(a.Int("random_state"))}
	known := []string{"sample", "cross_validation", "random_seed", "invalid_score"}
	for _, f := range a.Map("ppscore_params") {
		fault := func(what string) error {
			return engine.Errorf(engine.ValueError, "ppscore_params: %s must be %s, not %v", f.Key, what, f.Value)
		}
		n, whole := f.Value.(int)
		switch f.Key {
		case "sample":
			if f.Value == nil {
				n, whole = 0, true
			}
			if !whole || n < 0 {
				return o, fault("a number of rows or null")
			}
			o.Sample = n
		case "cross_validation":
			if !whole || n < 2 {
				return o, fault("a number of folds, at least 2")
			}
			o.Folds = n
		case "random_seed":
			if !whole || n < 0 || int64(n) >= 1<<32 {
				return o, fault("a number from 0 to 4294967295")
			}
			o.Seed = uint32(n)
		case "invalid_score":
			x, ok := f.Value.(float64)
			if whole {
				x, ok = float64(n), true
			}
			if !ok {
				return o, fault("a number")
			}
			o.Invalid = x
		default:
			return o, fmt.Errorf("ppscore_params has no %q%s; known are %s", f.Key, nearest.Hint(f.Key, known), strings.Join(known, ", "))
		}
	}
	return o, nil
}
