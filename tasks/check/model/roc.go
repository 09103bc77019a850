package model

import (
	"context"
	"fmt"
	"math"
	"slices"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/format"
	"aloft/tasks/check/frame"
	"aloft/tasks/check/stats"
)

func rocReport() *engine.Definition {
	return &engine.Definition{
		ID:          "RocReport",
		Header:      "ROC Report",
		Summary:     "Draws the ROC curve of each class: how many of its rows are found at the price of how many false alarms.",
		Formula:     "One class against the rest: rows by falling probability, equal ones together, give true and false positive rates; the value is the area below by the trapezoid rule.",
		Scope:       engine.SingleDataset,
		Predictions: true,
		Params: slices.Concat([]engine.Param{
			{Name: "excluded_classes", Type: engine.ValuesParam, Doc: "classes to leave out; null means none, and of two classes only the second is judged"},
		}, engine.SampleParams(largeSample)),
		Conditions: []engine.ConditionDef{{
			ID:     "auc_greater_than",
			Params: []engine.Param{{Name: "min_auc", Type: engine.FloatParam, Default: 0.7, Min: 0, Max: 1, Doc: "every class's area under the curve must exceed this"}},
			New:    aucGreater,
		}},
		Defaults: []engine.Use{{ID: "auc_greater_than"}},
		New:      func(a engine.Args, _ engine.Mode) (engine.Check, error) { return rocCheck{a}, nil },
	}
}

type rocCheck struct{ args engine.Args }

// Areas is the value of RocReport: the area under the curve of each class,
// NaN for a class without rows.
type Areas struct {
	Classes []frame.Value
	AUC     []float64
}

// Encode returns the areas by class.
func (a Areas) Encode() any {
	out := make(engine.Object, len(a.Classes))
	for i, c := range a.Classes {
		out[i] = engine.Field{Key: c.String(), Value: a.AUC[i]}
	}
	return out
}

func (rocCheck) ID() string { return "RocReport" }

func (r rocCheck) Run(_ context.Context, c *engine.Context) (engine.Result, error) {
	if err := c.Classification(); err != nil {
		return engine.Result{}, err
	}
	if _, err := c.Side().Probabilities(); err != nil {
		return engine.Result{}, err
	}
	e, err := evaluate(c, c.Side(), r.args)
	if err != nil {
		return engine.Result{}, err
	}
	if e.proba == nil {
		return engine.Result{}, engine.Errorf(engine.ModelValidation, "the %s predictions do not hold one probability for each class of the model", c.Side().Which)
	}
	var value Areas
	chart := engine.LineChart{
		Title: "ROC curves", XName: "False positive rate", YName: "True positive rate", XMax: 1, YMax: 1, Diagonal: true,
	}
	for k, class := range e.classes[:e.known] {
		if r.skips(class, k, e.known) {
			continue
		}
		curve := stats.ROC(e.is(k), e.proba[k])
		auc := stats.AUC(e.is(k), e.proba[k])
		value.Classes, value.AUC = append(value.Classes, class), append(value.AUC, auc)
		if !math.IsNaN(auc) {
			chart.Lines = append(chart.Lines, drawn(curve, class, auc))
		}
	}
	return engine.Result{Value: value, Displays: []engine.Display{chart}}, nil
}

// skips tells which classes have no curve. Two classes mirror each other, so
// only the second is drawn unless exclusions are given.
func (r rocCheck) skips(class frame.Value, k, n int) bool {
	if r.args.IsNull("excluded_classes") {
		return n == 2 && k == 0
	}
	for _, x := range r.args.Values("excluded_classes") {
		if sameClass(class, x) {
			return true
		}
	}
	return false
}

func sameClass(class frame.Value, x any) bool {
	switch x := x.(type) {
	case int:
		return class.Key() == frame.IntValue(int64(x))
	case float64:
		return class.Key() == frame.FloatValue(x).Key()
	case bool:
		return class == frame.BoolValue(x)
	case string:
		return class.String() == x
	}
	return false
}

// mostPoints bounds the points of a drawn curve.
const mostPoints = 200

// drawn makes a line of a curve without its collinear points, thinned where
// the eye could not tell.
func drawn(c stats.Curve, class frame.Value, auc float64) engine.Line {
	best := c.Youden()
	l := engine.Line{Name: fmt.Sprintf("%s (AUC %s)", class, format.Number(auc)), Mark: -1}
	last := len(c.FPR) - 1
	var keep []int
	for i := range c.FPR {
		corner := i == 0 || i == last || !(c.FPR[i-1] == c.FPR[i] && c.FPR[i] == c.FPR[i+1]) && !(c.TPR[i-1] == c.TPR[i] && c.TPR[i] == c.TPR[i+1])
		if corner || i == best {
			keep = append(keep, i)
		}
	}
	stride := (len(keep) + mostPoints - 1) / mostPoints
	for n, i := range keep {
		if n%stride != 0 && i != best && i != last {
			continue
		}
		if i == best {
			l.Mark = len(l.X)
			l.MarkText = fmt.Sprintf("best cut-off %s: true positives %s, false positives %s",
				format.Number(c.Threshold[i]), format.Percent(c.TPR[i]), format.Percent(c.FPR[i]))
		}
		l.X, l.Y = append(l.X, c.FPR[i]), append(l.Y, c.TPR[i])
	}
	return l
}

func aucGreater(r engine.Request) (engine.Condition, error) {
	limit := r.Args.Float("min_auc")
	name := "AUC score for all the classes is greater than " + format.Param(limit)
	if excluded := r.Check.Values("excluded_classes"); len(excluded) > 0 {
		parts := make([]string, len(excluded))
		for i, x := range excluded {
			parts[i] = fmt.Sprint(x)
			if s, ok := x.(string); ok {
				parts[i] = format.Quote(s)
			}
		}
		name += " except: " + format.List(parts)
	}
	return engine.Condition{
		Name: name,
		Judge: engine.Judge(func(v Areas) (engine.Verdict, string, error) {
			var below []format.Pair
			least := -1
			for i, auc := range v.AUC {
				if math.IsNaN(auc) {
					continue
				}
				if auc <= limit {
					below = append(below, format.Pair{Key: v.Classes[i].Repr(), Value: format.Quote(format.Number(auc))})
				}
				if least < 0 || auc < v.AUC[least] {
					least = i
				}
			}
			switch {
			case len(below) > 0:
				return engine.Fail, "Found classes with AUC below threshold: " + format.Dict(below), nil
			case least < 0:
				return engine.Pass, "No class has rows of both kinds", nil
			}
			return engine.Pass, fmt.Sprintf("All classes passed, minimum AUC found is %s for class %s", format.Number(v.AUC[least]), v.Classes[least]), nil
		}),
	}, nil
}
