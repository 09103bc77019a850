package drift

import (
	"fmt"
	"math"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/format"
)

// LimitParam is the parameter of conditions on one score.
func LimitParam(def float64) engine.Param {
	return engine.Param{Name: "max_allowed_drift_score", Type: engine.FloatParam, Default: def, Min: 0, Max: math.MaxFloat64, Doc: "largest score that passes"}
}

// LabelLess is the condition that bounds the drift of a label.
func LabelLess() engine.ConditionDef {
	return engine.ConditionDef{
		ID:     "drift_score_less_than",
		Params: []engine.Param{LimitParam(0.15)},
		New: func(r engine.Request) (engine.Condition, error) {
			limit := r.Args.Float("max_allowed_drift_score")
			return engine.Condition{
				Name: "Label drift score < " + format.Param(limit),
				Judge: engine.Judge(func(s Score) (engine.Verdict, string, error) {
					if !s.Known() {
						return engine.Broken, "", unscored()
					}
					return s.verdict(limit), fmt.Sprintf("Label's drift score %s is %s", s.Method, format.Number(s.Value)), nil
				}),
			}, nil
		},
	}
}

func (s Score) verdict(limit float64) engine.Verdict {
	if s.Value > limit {
		return engine.Fail
	}
	return engine.Pass
}

func unscored() error {
	return engine.Errorf(engine.ProcessError, "there is no drift score: no category is frequent enough on both sides, or numbers are infinite")
}

// Predicted is the drift of a model's predictions: one score, or one for each
// class.
type Predicted struct {
	Method string
	// Classes name the scores when there are several.
	Classes []string
	Scores  []float64
	// Rows counts the rows of each class on both sides; nil for numbers.
	Rows engine.Object
}

// Encode returns the score or scores with the method and the rows by class.
func (p Predicted) Encode() any {
	var score any
	if p.Classes == nil {
		score = orNull(p.Scores[0])
	} else {
		list := make(engine.Object, len(p.Classes))
		for i, c := range p.Classes {
			list[i] = engine.Field{Key: c, Value: orNull(p.Scores[i])}
		}
		score = list
	}
	var rows any
	if p.Rows != nil {
		rows = p.Rows
	}
	return engine.Object{{Key: "Drift score", Value: score}, {Key: "Method", Value: p.Method}, {Key: "Samples per class", Value: rows}}
}

// PredictionLess is the condition that bounds the drift of predictions.
func PredictionLess() engine.ConditionDef {
	return engine.ConditionDef{
		ID:     "drift_score_less_than",
		Params: []engine.Param{LimitParam(0.15)},
		New: func(r engine.Request) (engine.Condition, error) {
			limit := r.Args.Float("max_allowed_drift_score")
			return engine.Condition{
				Name:  "Prediction drift score < " + format.Param(limit),
				Judge: engine.Judge(func(p Predicted) (engine.Verdict, string, error) { return p.judge(limit) }),
			}, nil
		},
	}
}

func (p Predicted) judge(limit float64) (engine.Verdict, string, error) {
	over := 0
	for _, s := range p.Scores {
		if math.IsNaN(s) {
			return engine.Broken, "", unscored()
		}
		if s > limit {
			over++
		}
	}
	v := engine.Pass
	if over > 0 {
		v = engine.Fail
	}
	if p.Classes == nil {
		return v, fmt.Sprintf("Found model prediction %s drift score of %s", p.Method, format.Number(p.Scores[0])), nil
	}
	return v, fmt.Sprintf("Found %d classes with model predicted probability %s drift score above threshold: %s.", over, p.Method, format.Param(limit)), nil
}
