package vision

import (
	"context"
	"fmt"
	"math"
	"slices"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/format"
	"aloft/tasks/check/images"
	"aloft/tasks/check/stats"
)

func simpleComparison() *engine.Definition {
	return &engine.Definition{
		ID:      "SimpleModelComparison",
		Summary: "Compares the model with one that a line of code would give: the most frequent class, or a draw. A model that hardly beats it is not worth its keep.",
		Formula: "The simple model knows the train labels; both are scored on the test images, by default with F1 of each class. The gain is `(model − simple) / (perfect − simple)`, clipped to ±max_gain, where perfect is the score of the labels themselves.",
		Differs: "the draws come from random_state; deepchecks' differ from run to run.",
		Scope:   engine.TrainTest, Predictions: true,
		Params: slices.Concat([]engine.Param{
			{Name: "scorers", Type: engine.NamesParam, Doc: "measures to compute; null means F1 per class"},
			{Name: "strategy", Type: engine.TextParam, Default: "most_frequent", Allowed: []string{"most_frequent", "prior", "stratified", "uniform"}, Doc: "the simple model: the most frequent class (prior is the same), a class drawn from the train labels, or any of their classes alike"},
		}, showParams(), []engine.Param{sampleParam(), seedParam()}),
		Conditions: []engine.ConditionDef{{
			ID: "gain_greater_than",
			Params: []engine.Param{
				{Name: "min_allowed_gain", Type: engine.FloatParam, Default: 0.1, Min: -math.MaxFloat64, Max: math.MaxFloat64, Doc: "the gain must exceed this"},
				{Name: "classes", Type: engine.NumbersParam, Doc: "numbers of the classes to judge; null means all"},
				{Name: "max_gain", Type: engine.FloatParam, Default: 50.0, Min: 0, Max: math.MaxFloat64, Doc: "bound of the gain"},
				{Name: "average", Type: engine.BoolParam, Default: false, Doc: "judge the mean over the classes"},
			},
			New: gainGreater,
		}},
		Defaults: []engine.Use{{ID: "gain_greater_than"}},
		New:      func(a engine.Args, _ engine.Mode) (engine.Check, error) { return simpleCheck{a}, nil },
	}
}

type simpleCheck struct{ args engine.Args }

// The models that are compared.
const (
	simpleModel  = "Simple Model"
	perfectModel = "Perfect Model"
	givenModel   = "Given Model"
)

func (simpleCheck) ID() string { return "SimpleModelComparison" }

func (s simpleCheck) Run(_ context.Context, c *engine.Context) (engine.Result, error) {
	if err := only(c, images.Classification); err != nil {
		return engine.Result{}, err
	}
	train, err := labelled(c, c.Train(), s.args)
	if err != nil {
		return engine.Result{}, err
	}
	given, err := evaluate(c, c.Test(), s.args)
	if err != nil {
		return engine.Result{}, err
	}
	chosen, err := chooseScorers(s.args.Names("scorers"), [][2]string{{"F1", "f1_per_class"}}, c.ImageTask())
	if err != nil {
		return engine.Result{}, err
	}
	truth := make([]int, len(given.at))
	for i := range truth {
		truth[i] = given.record(i).Class
	}
	simple, perfect := *given, *given
	simple.classify(truth, s.guess(train, len(truth)))
	perfect.classify(truth, truth)
	value := Scores{First: "Model"}
	groups := make([][]Score, 0, 2)
	for _, m := range []struct {
		name string
		e    *evaluation
	}{{simpleModel, &simple}, {perfectModel, &perfect}, {givenModel, given}} {
		rows, err := scoreRows(c, m.name, m.e, chosen)
		if err != nil {
			return engine.Result{}, err
		}
		rows = byValue(rows)
		value.List = append(value.List, rows...)
		if m.name != perfectModel {
			groups = append(groups, rows)
		}
	}
	return engine.Result{Value: value, Displays: showScores(s.args, []string{"simple model", "model"}, groups)}, nil
}

// guess makes n predictions of the simple model.
func (s simpleCheck) guess(train sample, n int) []int {
	out := make([]int, n)
	random := stats.NewRandom(uint32(s.args.Int("random_state")))
	counts, _ := train.tally()
	classes := make([]int, 0, len(counts))
	for k := range counts {
		classes = append(classes, k)
	}
	slices.Sort(classes)
	switch s.args.Text("strategy") {
	case "stratified":
		for i, d := range random.Choice(n, len(train.at)) {
			out[i] = train.record(int(d)).Class
		}
	case "uniform":
		for i, d := range random.Choice(n, len(classes)) {
			out[i] = classes[d]
		}
	default:
		most := classes[0]
		for _, k := range classes {
			if counts[k] > counts[most] {
				most = k
			}
		}
		for i := range out {
			out[i] = most
		}
	}
	return out
}

// contest is a measure of one class, or of all, by the three models.
type contest struct {
	metric, class          string
	simple, perfect, given float64
}

// contests pairs the scores of the models.
func (s Scores) contests(include []float64, average bool) []contest {
	var out []contest
	for _, g := range s.List {
		if g.Group != givenModel || g.PerClass && include != nil && !slices.Contains(include, float64(g.Class)) {
			continue
		}
		x := contest{metric: g.Metric, class: g.Name, given: g.Value}
		for _, r := range s.List {
			if r.Metric != g.Metric || r.PerClass != g.PerClass || r.Class != g.Class {
				continue
			}
			switch r.Group {
			case simpleModel:
				x.simple = r.Value
			case perfectModel:
				x.perfect = r.Value
			}
		}
		out = append(out, x)
	}
	if !average {
		return out
	}
	var folded []contest
	sizes := make(map[string]float64)
	for _, x := range out {
		sizes[x.metric]++
		at := slices.IndexFunc(folded, func(y contest) bool { return y.metric == x.metric })
		if at < 0 {
			x.class = ""
			folded = append(folded, x)
			continue
		}
		folded[at].simple += x.simple
		folded[at].perfect += x.perfect
		folded[at].given += x.given
	}
	for i := range folded {
		n := sizes[folded[i].metric]
		folded[i].simple, folded[i].perfect, folded[i].given = folded[i].simple/n, folded[i].perfect/n, folded[i].given/n
	}
	return folded
}

func (x contest) gain(limit float64) float64 {
	distance := x.perfect - x.simple
	if distance == 0 {
		if x.given == x.perfect {
			return 0
		}
		return -limit
	}
	return min(max((x.given-x.simple)/distance, -limit), limit)
}

func gainGreater(r engine.Request) (engine.Condition, error) {
	limit, bound, average, include := r.Args.Float("min_allowed_gain"), r.Args.Float("max_gain"), r.Args.Bool("average"), r.Args.Numbers("classes")
	name := "Model performance gain over simple model is greater than " + format.Percent(limit)
	if include != nil {
		var classes []string
		for _, k := range include {
			classes = append(classes, fmt.Sprint(k))
		}
		name += " for classes " + format.List(classes)
	}
	return engine.Condition{
		Name: name,
		Judge: engine.Judge(func(v Scores) (engine.Verdict, string, error) {
			failed := make(map[string][]format.Pair)
			var metrics []string
			least := math.Inf(1)
			var at contest
			list := v.contests(include, average)
			for _, x := range list {
				if x.given == x.perfect {
					continue
				}
				g := x.gain(bound)
				if g < least {
					least, at = g, x
				}
				if g > limit {
					continue
				}
				if failed[x.metric] == nil {
					metrics = append(metrics, x.metric)
				}
				failed[x.metric] = append(failed[x.metric], format.Pair{Key: format.Quote(x.class), Value: format.Quote(format.Percent(g))})
			}
			switch {
			case len(metrics) > 0:
				var pairs []format.Pair
				for _, m := range metrics {
					text := format.Dict(failed[m])
					if failed[m][0].Key == format.Quote("") {
						text = failed[m][0].Value
					}
					pairs = append(pairs, format.Pair{Key: format.Quote(m), Value: text})
				}
				return engine.Fail, "Found metrics with gain below threshold: " + format.Dict(pairs), nil
			case math.IsInf(least, 1):
				return engine.Pass, "The model is perfect, no gain is calculated", nil
			case at.class != "":
				return engine.Pass, fmt.Sprintf("Found minimal gain of %s for metric %s and class %s", format.Percent(least), at.metric, at.class), nil
			}
			return engine.Pass, fmt.Sprintf("Found minimal gain of %s for metric %s", format.Percent(least), at.metric), nil
		}),
	}, nil
}
