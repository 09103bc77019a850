package model

import (
	"context"
	"math"
	"slices"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/format"
	"aloft/tasks/check/frame"
)

func simpleComparison() *engine.Definition {
	return &engine.Definition{
		ID:      "SimpleModelComparison",
		Summary: "Compares the model with one that a line of code would give: the most frequent class, the mean, a draw or a small tree. A model that hardly beats it is not worth its keep.",
		Formula: "The simple model learns from the train table; both are scored on the test table. The gain is `(model − simple) / (perfect − simple)`, clipped to ±max_gain, where perfect is the score of the labels themselves; where the simple model is perfect it is 0, or −max_gain for a worse model.",
		Differs: "the draws of the strategies uniform and stratified come from random_state; deepchecks' differ from run to run.",
		Scope:   engine.TrainTest, Predictions: true,
		Params: slices.Concat([]engine.Param{
			{Name: "strategy", Type: engine.TextParam, Default: "most_frequent", Allowed: []string{"most_frequent", "uniform", "stratified", "tree"}, Doc: "the simple model: the most frequent class or the mean, any class or number alike, a label drawn from the train table, or a small decision tree"},
			{Name: "scorers", Type: engine.NamesParam, Doc: "measures to compute; null means F1 per class, or for regression the negative RMSE"},
			{Name: "alternative_scorers", Type: engine.NamesParam, Doc: "an older name of scorers"},
			{Name: "max_gain", Type: engine.FloatParam, Default: 50.0, Min: 0, Max: math.MaxFloat64, Doc: "bound of the gain"},
			{Name: "max_depth", Type: engine.IntParam, Default: 3, Min: 1, Max: 64, Doc: "depth of the tree"},
		}, engine.SampleParams(largeSample)),
		Conditions: []engine.ConditionDef{{
			ID: "gain_greater_than",
			Params: []engine.Param{
				{Name: "min_allowed_gain", Type: engine.FloatParam, Default: 0.1, Min: -math.MaxFloat64, Max: math.MaxFloat64, Doc: "the gain must exceed this"},
				{Name: "classes", Type: engine.ValuesParam, Doc: "classes to judge; null means all"},
				{Name: "average", Type: engine.BoolParam, Default: false, Doc: "judge the mean over the classes"},
			},
			New: gainGreater,
		}},
		Defaults: []engine.Use{{ID: "gain_greater_than"}},
		New:      func(a engine.Args, m engine.Mode) (engine.Check, error) { return simpleCheck{a, m}, nil },
	}
}

type simpleCheck struct {
	args engine.Args
	mode engine.Mode
}

// Duel is one measure of SimpleModelComparison: the scores of both models for
// each class, or one pair for measures of the whole table.
type Duel struct {
	Metric         string
	Classes        []frame.Value // nil for measures of the whole table
	Origin, Simple []float64
	Perfect        float64
}

// Comparison is the value of SimpleModelComparison.
type Comparison struct {
	Task  engine.Task
	Duels []Duel
}

// Encode returns the scores by measure, class and model.
func (c Comparison) Encode() any {
	scores, perfect := make(engine.Object, len(c.Duels)), make(engine.Object, len(c.Duels))
	for i, d := range c.Duels {
		pair := func(k int) engine.Object {
			return engine.Object{{Key: "Origin", Value: d.Origin[k]}, {Key: "Simple", Value: d.Simple[k]}}
		}
		scores[i] = engine.Field{Key: d.Metric}
		if d.Classes == nil {
			scores[i].Value = pair(0)
		} else {
			byClass := make(engine.Object, len(d.Classes))
			for k, class := range d.Classes {
				byClass[k] = engine.Field{Key: class.String(), Value: pair(k)}
			}
			scores[i].Value = byClass
		}
		perfect[i] = engine.Field{Key: d.Metric, Value: d.Perfect}
	}
	return engine.Object{{Key: "scores", Value: scores}, {Key: "type", Value: string(c.Task)}, {Key: "scorers_perfect", Value: perfect}}
}

func (simpleCheck) ID() string { return "SimpleModelComparison" }

func (s simpleCheck) Run(_ context.Context, c *engine.Context) (engine.Result, error) {
	test, err := evaluate(c, c.Test(), s.args)
	if err != nil {
		return engine.Result{}, err
	}
	train, err := evaluatePredictions(c, c.Train(), s.args, nil)
	if err != nil {
		return engine.Result{}, err
	}
	names := s.args.Names("scorers")
	if names == nil {
		names = s.args.Names("alternative_scorers")
	}
	defaults := [][2]string{{"F1", "f1_per_class"}}
	if c.Task() == engine.Regression {
		defaults = [][2]string{{"Neg RMSE", "neg_rmse"}}
	}
	chosen, err := chooseScorers(names, defaults, c.Task(), s.mode)
	if err != nil {
		return engine.Result{}, err
	}
	simple, err := s.simple(c, train, test)
	if err != nil {
		return engine.Result{}, err
	}
	perfect := test.with(test.truth, test.y)
	value := Comparison{Task: c.Task()}
	var displays []engine.Display
	for _, sc := range chosen {
		if err := sc.ready(test, engine.Test); err != nil {
			return engine.Result{}, err
		}
		d := Duel{Metric: sc.shown, Origin: sc.score(test), Simple: sc.score(simple), Perfect: slices.Max(sc.score(perfect))}
		chart := engine.BarChart{Title: sc.shown, Series: []string{"model", "simple model"}}
		if sc.perClass {
			d.Classes = test.classes[:test.known]
		}
		for k := range d.Origin {
			label := "all rows"
			if sc.perClass {
				label = d.Classes[k].String()
			}
			chart.Groups = append(chart.Groups, engine.BarGroup{Label: label, Values: []float64{d.Origin[k], d.Simple[k]}})
		}
		value.Duels, displays = append(value.Duels, d), append(displays, chart)
	}
	return engine.Result{Value: value, Displays: displays}, nil
}

// with returns the evaluation of other predictions for the same rows: classes
// with certainty, or numbers.
func (e *evaluation) with(predicted []int32, p []float64) *evaluation {
	out := *e
	if e.y != nil {
		out.p = p
		return &out
	}
	out.predicted = predicted
	if e.known > 0 {
		out.proba = make([][]float64, e.known)
		for k := range out.proba {
			out.proba[k] = make([]float64, len(predicted))
		}
		for i, t := range predicted {
			if t >= 0 && int(t) < e.known {
				out.proba[t][i] = 1
			}
		}
	}
	return &out
}

// gain tells how much of the way from the simple model to perfection the model
// has gone.
func gain(origin, simple, perfect, limit float64) float64 {
	distance := perfect - simple
	if distance == 0 {
		if origin == perfect {
			return 0
		}
		return -limit
	}
	return min(max((origin-simple)/distance, -limit), limit)
}

func gainGreater(r engine.Request) (engine.Condition, error) {
	limit, bound, average := r.Args.Float("min_allowed_gain"), r.Check.Float("max_gain"), r.Args.Bool("average")
	name := "Model performance gain over simple model is greater than " + format.Percent(limit)
	wanted := r.Args.Values("classes")
	if wanted != nil {
		parts := make([]string, len(wanted))
		for i, x := range wanted {
			parts[i] = frameRepr(x)
		}
		name += " for classes " + format.List(parts)
	}
	return engine.Condition{
		Name: name,
		Judge: engine.Judge(func(v Comparison) (engine.Verdict, string, error) {
			if len(v.Duels) > 0 && (average || v.Duels[0].Classes == nil) {
				verdict, details := v.wholeGains(limit, bound)
				return verdict, details, nil
			}
			verdict, details := v.classGains(wanted, limit, bound)
			return verdict, details, nil
		}),
	}, nil
}

// wholeGains judges measures by one gain each: that of the mean over classes.
func (c Comparison) wholeGains(limit, bound float64) (engine.Verdict, string) {
	var failed, passed []format.Pair
	var flawless []string
	for _, d := range c.Duels {
		origin, simple := mean(d.Origin), mean(d.Simple)
		if origin == d.Perfect {
			flawless = append(flawless, format.Quote(d.Metric))
			continue
		}
		g := gain(origin, simple, d.Perfect, bound)
		pair := format.Pair{Key: format.Quote(d.Metric), Value: format.Quote(format.Percent(g))}
		if g <= limit {
			failed = append(failed, pair)
		} else {
			passed = append(passed, pair)
		}
	}
	switch {
	case len(failed) > 0:
		return engine.Fail, "Found failed metrics: " + format.Dict(failed)
	case len(passed) > 0:
		return engine.Pass, "All metrics passed, metric's gain: " + format.Dict(passed)
	}
	return engine.Pass, "Found metrics with perfect score, no gain is calculated: " + format.List(flawless)
}

// classGains judges each class by each measure.
func (c Comparison) classGains(wanted []any, limit, bound float64) (engine.Verdict, string) {
	var failed, averages []format.Pair
	var flawless []string
	failures := make(map[int][]format.Pair) // by class
	for _, d := range c.Duels {
		sum, n := 0.0, 0
		for k, class := range d.Classes {
			if wanted != nil && !slices.ContainsFunc(wanted, func(x any) bool { return sameClass(class, x) }) || d.Origin[k] == d.Perfect {
				continue
			}
			g := gain(d.Origin[k], d.Simple[k], d.Perfect, bound)
			sum, n = sum+g, n+1
			if g <= limit {
				failures[k] = append(failures[k], format.Pair{Key: format.Quote(d.Metric), Value: format.Quote(format.Percent(g))})
			}
		}
		if n == 0 {
			flawless = append(flawless, format.Quote(d.Metric))
			continue
		}
		averages = append(averages, format.Pair{Key: format.Quote(d.Metric), Value: format.Quote(format.Percent(sum / float64(n)))})
	}
	if len(c.Duels) > 0 {
		for k, class := range c.Duels[0].Classes {
			if failures[k] != nil {
				failed = append(failed, format.Pair{Key: class.Repr(), Value: format.Dict(failures[k])})
			}
		}
	}
	switch {
	case len(failed) > 0:
		return engine.Fail, "Found classes with failed metric's gain: " + format.Dict(failed)
	case len(averages) > 0:
		return engine.Pass, "All classes passed, average gain for metrics: " + format.Dict(averages)
	}
	return engine.Pass, "Found metrics with perfect score, no gain is calculated: " + format.List(flawless)
}

// frameRepr renders a class of a parameter as a list shows it.
func frameRepr(x any) string {
	v, err := frame.Convert(x, frame.Null)
	if err != nil {
		return ""
	}
	return v.Repr()
}
