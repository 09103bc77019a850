package model

import (
	"cmp"
	"context"
	"math"
	"slices"

	"aloft/tasks/check/drift"
	"aloft/tasks/check/engine"
	"aloft/tasks/check/frame"
	"aloft/tasks/check/stats"
)

func predictionDrift() *engine.Definition {
	return &engine.Definition{
		ID:      "PredictionDrift",
		Former:  []string{"TrainTestPredictionDrift"},
		Summary: "Measures how far the distribution of the model's predictions on the test table has moved from that on the train table.",
		Formula: "As FeatureDrift, of the predicted numbers (regression), of the probability of the second class (binary, when there are probabilities), or of the predicted classes. In mode `proba` each class's probability is scored; in mode `prediction` the predicted classes.",
		Differs: "rows are counted by the class predicted. There, all rows of a binary model with probabilities are counted for the first class, and a regression's are counted by each distinct number, which is left out here. Rare categories are kept, as in FeatureDrift.",
		Scope:   engine.TrainTest, Predictions: true,
		Params: slices.Concat(
			[]engine.Param{{Name: "drift_mode", Type: engine.TextParam, Default: "auto", Allowed: []string{"auto", "proba", "prediction"}, Doc: "what is compared: probabilities, predicted classes, or what suits the task"}},
			drift.Params(true, true),
			[]engine.Param{
				{Name: "aggregation_method", Type: engine.TextParam, Default: "max", Allowed: engine.Aggregations(), Doc: "how the reduced value sums up several classes; weights are their rows"},
				{Name: "max_classes_to_display", Type: engine.IntParam, Default: 3, Min: 0, Max: math.MaxFloat64, Doc: "classes to show"},
			}, engine.SampleParams(100_000)),
		Conditions: []engine.ConditionDef{drift.PredictionLess()},
		Defaults:   []engine.Use{{ID: "drift_score_less_than"}},
		New: func(a engine.Args, m engine.Mode) (engine.Check, error) {
			o, err := drift.FromArgs(a, m)
			return predictionDriftCheck{args: a, mode: m, options: o}, err
		},
	}
}

type predictionDriftCheck struct {
	args    engine.Args
	mode    engine.Mode
	options drift.Options
}

func (predictionDriftCheck) ID() string { return "PredictionDrift" }

// predictionSide is what the check sees of one side.
type predictionSide struct {
	pred *engine.Predictions
	rows []int32
}

func (p predictionDriftCheck) Run(_ context.Context, c *engine.Context) (engine.Result, error) {
	var sides [2]predictionSide
	for i, s := range []*engine.Side{c.Train(), c.Test()} {
		pred, err := s.Predictions()
		if err != nil {
			return engine.Result{}, err
		}
		sides[i] = predictionSide{pred, s.Unordered(p.args)}
	}
	switch proba, err := p.byProbability(c, sides); {
	case err != nil:
		return engine.Result{}, err
	case proba:
		return p.probabilities(c, sides)
	case c.Task() == engine.Regression:
		return p.numbers(sides)
	}
	return p.classes(sides)
}

// byProbability decides whether probabilities are compared.
func (p predictionDriftCheck) byProbability(c *engine.Context, sides [2]predictionSide) (bool, error) {
	both := sides[0].pred.Proba != nil && sides[1].pred.Proba != nil
	switch p.args.Text("drift_mode") {
	case "proba":
		if c.Task() == engine.Regression {
			return false, engine.Errorf(engine.ValueError, `probability_drift="proba" is not supported for regression tasks`)
		}
		if !both {
			for _, s := range []*engine.Side{c.Train(), c.Test()} {
				if _, err := s.Probabilities(); err != nil {
					return false, err
				}
			}
		}
		return true, nil
	case "prediction":
		return false, nil
	}
	return c.Task() == engine.Binary && both && !p.options.Balance, nil
}

func (s predictionSide) proba(class int) []float64 {
	out := make([]float64, len(s.rows))
	for i, r := range s.rows {
		out[i] = s.pred.Proba[class][r]
	}
	return out
}

// tooFew reports whether a side has fewer rows than the check needs.
func (p predictionDriftCheck) tooFew(sides [2]predictionSide) error {
	if min(len(sides[0].rows), len(sides[1].rows)) < max(p.options.MinSamples, 1) {
		return drift.TooFew(p.options.MinSamples, "labels")
	}
	return nil
}

func (p predictionDriftCheck) numbers(sides [2]predictionSide) (engine.Result, error) {
	a, b := sides[0].pred.Labels.Floats(sides[0].rows), sides[1].pred.Labels.Floats(sides[1].rows)
	score := p.options.Numbers(a, b)
	if !score.Measured() {
		return engine.Result{}, drift.TooFew(p.options.MinSamples, "labels")
	}
	value := drift.Predicted{Method: score.Method, Scores: []float64{score.Value}}
	if p.mode == engine.Deepchecks {
		value.Rows = rowsByLabel(sides)
	}
	return p.result(value, drift.ShowNumbers("Predictions", "prediction", a, b)), nil
}

func (p predictionDriftCheck) classes(sides [2]predictionSide) (engine.Result, error) {
	counts := drift.ColumnCounts(sides[0].pred.Labels, sides[1].pred.Labels, sides[0].rows, sides[1].rows, !p.args.Bool("ignore_na"))
	score := p.options.Categories(counts)
	if !score.Measured() {
		return engine.Result{}, drift.TooFew(p.options.MinSamples, "labels")
	}
	value := drift.Predicted{Method: score.Method, Scores: []float64{score.Value}, Rows: rowsByLabel(sides)}
	return p.result(value, drift.ShowCategories("Predicted classes", counts, p.args.Int("max_num_categories_for_display"), stats.CategorySort(p.args.Text("show_categories_by")))), nil
}

func (p predictionDriftCheck) probabilities(c *engine.Context, sides [2]predictionSide) (engine.Result, error) {
	if err := p.tooFew(sides); err != nil {
		return engine.Result{}, err
	}
	classes := c.Classes()
	list := make([]int, len(classes))
	for k := range list {
		list[k] = k
	}
	if len(classes) == 2 {
		list = list[1:] // the other is its mirror image
	}
	value := drift.Predicted{Rows: p.rowsByProbability(classes, sides)}
	type shown struct {
		score   float64
		display engine.Display
	}
	var displays []shown
	for _, k := range list {
		a, b := sides[0].proba(k), sides[1].proba(k)
		score := p.options.Numbers(a, b)
		value.Method, value.Scores = score.Method, append(value.Scores, score.Value)
		if len(list) > 1 {
			value.Classes = append(value.Classes, classes[k].String())
		}
		displays = append(displays, shown{score.Value, drift.ShowNumbers("Probability of "+classes[k].String(), "probability", a, b)})
	}
	slices.SortStableFunc(displays, func(a, b shown) int { return cmp.Compare(b.score, a.score) })
	var out []engine.Display
	for _, d := range displays[:min(len(displays), p.args.Int("max_classes_to_display"))] {
		out = append(out, d.display)
	}
	return p.result(value, out...), nil
}

func (p predictionDriftCheck) result(v drift.Predicted, displays ...engine.Display) engine.Result {
	reduced := engine.Object{{Key: "Prediction Drift Score", Value: v.Scores[0]}}
	if v.Classes != nil {
		weights := make([]float64, len(v.Classes))
		for i, c := range v.Classes {
			if n, ok := v.Rows.Get(c).(int); ok {
				weights[i] = float64(n)
			}
		}
		reduced = engine.ReduceFeatures(p.args.Text("aggregation_method"), "Drift Score", v.Classes, v.Scores, weights)
	} else {
		displays = append([]engine.Display{drift.ShowScore("Drift of the predictions", drift.Score{Value: v.Scores[0], Method: v.Method}, 0.15)}, displays...)
	}
	return engine.Result{Value: v, Reduced: reduced, Displays: displays}
}

// rowsByLabel counts the rows of both sides by their prediction, most frequent
// first.
func rowsByLabel(sides [2]predictionSide) engine.Object {
	levels := frame.CountLevels(sides[0].pred.Labels, sides[1].pred.Labels, sides[0].rows, sides[1].rows, false)
	out := make(engine.Object, len(levels.Values))
	for i, v := range levels.Values {
		out[i] = engine.Field{Key: v.String(), Value: levels.A[i] + levels.B[i]}
	}
	return mostFirst(out)
}

// rowsByProbability counts the rows by their most probable class. deepchecks
// forgets all classes but one of a binary model and counts every row for the
// first.
func (p predictionDriftCheck) rowsByProbability(classes []frame.Value, sides [2]predictionSide) engine.Object {
	counts := make([]int, len(classes))
	for _, s := range sides {
		for _, r := range s.rows {
			best := 0
			if p.mode != engine.Deepchecks || len(classes) != 2 {
				for k := range classes {
					if s.pred.Proba[k][r] > s.pred.Proba[best][r] {
						best = k
					}
				}
			}
			counts[best]++
		}
	}
	var out engine.Object
	for k, n := range counts {
		if n > 0 {
			out = append(out, engine.Field{Key: classes[k].String(), Value: n})
		}
	}
	return mostFirst(out)
}

func mostFirst(o engine.Object) engine.Object {
	slices.SortStableFunc(o, func(a, b engine.Field) int {
		x, _ := a.Value.(int)
		y, _ := b.Value.(int)
		return cmp.Compare(y, x)
	})
	return o
}
