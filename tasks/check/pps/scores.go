package pps

import (
	"fmt"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/format"
)

// Scores is the value of the checks that score columns by how well they predict a label: best first.
type Scores []Score

// Encode returns an object of scores by column.
func (s Scores) Encode() any {
	out := make(engine.Object, len(s))
	for i, e := range s {
		out[i] = engine.Field{Key: e.Column, Value: e.PPS}
	}
	return out
}

// Below is the condition, shown as name, that each of Scores is below limit. what are the scored columns, in the plural;
// passed is said of n of them when none reaches it.
func Below(name, what string, limit float64, passed func(n int) string) engine.Condition {
	return engine.Condition{
		Name: name,
		Judge: engine.Judge(func(v Scores) (engine.Verdict, string, error) {
			var high []format.Pair
			for _, e := range v {
				if e.PPS >= limit {
					high = append(high, format.Pair{Key: format.Quote(e.Column), Value: format.Quote(format.Number(e.PPS))})
				}
			}
			if len(high) > 0 {
				return engine.Fail, fmt.Sprintf("Found %d out of %d %s with PPS above threshold: %s", len(high), len(v), what, format.Dict(high)), nil
			}
			return engine.Pass, passed(len(v)), nil
		}),
	}
}

// PropertiesBelow is that condition on properties of images or texts, of the parameter threshold.
func PropertiesBelow(r engine.Request) (engine.Condition, error) {
	limit := r.Args.Float("threshold")
	return Below("Properties' Predictive Power Score is less than "+format.Param(limit), "properties", limit,
		func(n int) string { return fmt.Sprintf("Passed for %d properties", n) }), nil
}
