package model

import (
	"context"
	"math"
	"slices"
	"strings"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/format"
)

func boostingOverfit() *engine.Definition {
	return &engine.Definition{
		ID:      "BoostingOverfit",
		Summary: "Follows the score of a boosting model tree by tree: when the test score falls again while the train score still grows, it has too many.",
		Formula: "The model with its first k trees is scored on train and test, for num_steps values of k: few trees one by one, then in even steps. The decline is `(best − last) / |best|` of the test scores.",
		Differs: "every live model that boosts is accepted (one that names a number of trees); deepchecks knows those of five libraries.",
		Scope:   engine.TrainTest,
		Params: slices.Concat([]engine.Param{
			{Name: "alternative_scorer", Type: engine.NamesParam, Doc: "the measure; null means accuracy, or for regression the negative RMSE"},
			{Name: "num_steps", Type: engine.IntParam, Default: 20, Min: 2, Max: 10_000, Doc: "numbers of trees to score"},
		}, engine.SampleParams(largeSample)),
		Conditions: []engine.ConditionDef{{
			ID:     "test_score_percent_decline_less_than",
			Params: []engine.Param{{Name: "threshold", Type: engine.FloatParam, Default: 0.05, Min: 0, Max: math.MaxFloat64, Doc: "largest decline from the best test score"}},
			New:    declineLess,
		}},
		Defaults: []engine.Use{{ID: "test_score_percent_decline_less_than"}},
		New:      func(a engine.Args, m engine.Mode) (engine.Check, error) { return boostingCheck{a, m}, nil },
	}
}

type boostingCheck struct {
	args engine.Args
	mode engine.Mode
}

// Stages is the value of BoostingOverfit: scores by number of trees.
type Stages struct {
	Trees       []int
	Train, Test []float64
}

// Encode returns both lists of scores.
func (s Stages) Encode() any {
	return engine.Object{{Key: "test", Value: floats(s.Test)}, {Key: "train", Value: floats(s.Train)}}
}

func floats(values []float64) []any {
	out := make([]any, len(values))
	for i, v := range values {
		out[i] = v
	}
	return out
}

// boosters are the classes of models that deepchecks knows.
func boosters() []string {
	return []string{
		"AdaBoostClassifier", "GradientBoostingClassifier", "LGBMClassifier", "XGBClassifier", "CatBoostClassifier",
		"AdaBoostRegressor", "GradientBoostingRegressor", "LGBMRegressor", "XGBRegressor", "CatBoostRegressor",
	}
}

func (boostingCheck) ID() string { return "BoostingOverfit" }

func (b boostingCheck) Run(ctx context.Context, c *engine.Context) (engine.Result, error) {
	for _, s := range []*engine.Side{c.Train(), c.Test()} {
		if _, err := s.Label(); err != nil {
			return engine.Result{}, err
		}
	}
	m, err := c.Model()
	if err != nil {
		if e, ok := err.(*engine.Error); ok && e.Cause == engine.Missing && b.mode == engine.Deepchecks {
			err = &engine.Error{Class: engine.ModelValidation, Cause: engine.Missing, Message: "Check is relevant only when receiving the model, but predictions/probabilities were received instead. " +
				"In order to use this check, please pass the model to the run() method."}
		}
		return engine.Result{}, err
	}
	info := c.ModelInfo()
	if known := slices.Contains(boosters(), info.Type); info.Trees == 0 || !known && b.mode == engine.Deepchecks {
		return engine.Result{}, &engine.Error{Class: engine.ModelValidation, Cause: engine.Irrelevant, Message: "Check is relevant for Boosting models of type (" +
			strings.Join(quoted(boosters()), ", ") + "), but received model of type " + info.Type}
	}
	sc, err := chosenScorer(b.args.Names("alternative_scorer"), c.Task(), b.mode)
	if err != nil {
		return engine.Result{}, err
	}
	value := Stages{Trees: steps(b.args.Int("num_steps"), info.Trees)}
	for _, k := range value.Trees {
		for _, s := range []struct {
			side *engine.Side
			to   *[]float64
		}{{c.Train(), &value.Train}, {c.Test(), &value.Test}} {
			score, err := b.score(ctx, c, m, s.side, sc, k)
			if err != nil {
				return engine.Result{}, err
			}
			*s.to = append(*s.to, score)
		}
	}
	return engine.Result{Value: value, Displays: []engine.Display{value.chart(sc.shown)}}, nil
}

func (b boostingCheck) score(ctx context.Context, c *engine.Context, m engine.Model, side *engine.Side, sc scorer, trees int) (float64, error) {
	rows, err := side.Data.Only(side.Data.Features())
	if err != nil {
		return 0, engine.Errorf(engine.ValueError, "%v", err)
	}
	pred, err := m.Staged(ctx, rows, side.Data.Label(), trees)
	if err != nil {
		return 0, err
	}
	e, err := evaluatePredictions(c, side, b.args, pred.WithLabels())
	if err != nil {
		return 0, err
	}
	if err := sc.ready(e, side.Which); err != nil {
		return 0, err
	}
	return sc.score(e)[0], nil
}

// chosenScorer is the one measure given, or the first default.
func chosenScorer(given [][2]string, task engine.Task, mode engine.Mode) (scorer, error) {
	if len(given) == 0 {
		return chooseScorer("", defaultScorers(task, true)[0], task, mode)
	}
	sc, err := chooseScorer(given[0][1], [2]string{}, task, mode)
	if err == nil && given[0][0] != "" {
		sc.shown = given[0][0]
	}
	return sc, err
}

// steps lists n numbers of trees up to all: the first five one by one, the
// others in even steps.
func steps(n, trees int) []int {
	var out []int
	add := func(from float64, count int) {
		for i := 1; i <= count; i++ {
			share := from + (1-from)*float64(i)/float64(count)
			out = append(out, int(math.Ceil(share*float64(trees)-1e-9)))
		}
	}
	switch {
	case n >= trees:
		for k := range trees {
			out = append(out, k+1)
		}
	case n <= 5:
		add(0, n)
	default:
		out = []int{1, 2, 3, 4, 5}
		add(5/float64(trees), n-5)
	}
	return out
}

func (s Stages) chart(measure string) engine.Display {
	chart := engine.LineChart{Title: measure + " by number of trees", XName: "Trees", YName: measure, YMin: math.Inf(1), YMax: math.Inf(-1), XMin: 0}
	x := make([]float64, len(s.Trees))
	for i, k := range s.Trees {
		x[i] = float64(k)
		chart.XMax = max(chart.XMax, x[i])
	}
	for _, l := range []engine.Line{{Name: "Train", X: x, Y: s.Train, Mark: -1}, {Name: "Test", X: x, Y: s.Test, Mark: -1}} {
		chart.YMin, chart.YMax = min(chart.YMin, slices.Min(l.Y)), max(chart.YMax, slices.Max(l.Y))
		chart.Lines = append(chart.Lines, l)
	}
	return chart
}

func declineLess(r engine.Request) (engine.Condition, error) {
	limit := r.Args.Float("threshold")
	return engine.Condition{
		Name: "Test score over iterations is less than " + format.Percent(limit) + " from the best score",
		Judge: engine.Judge(func(v Stages) (engine.Verdict, string, error) {
			best, last := slices.Max(v.Test), v.Test[len(v.Test)-1]
			loss := 0.0
			if best != 0 {
				loss = (best - last) / math.Abs(best)
			}
			change := 0.0 - loss // not the negative zero
			details := "Found score decline of " + format.Percent(change)
			if loss >= limit {
				return engine.Fail, details, nil
			}
			return engine.Pass, details, nil
		}),
	}, nil
}
