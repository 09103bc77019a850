package vision

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/format"
	"aloft/tasks/check/frame"
	"aloft/tasks/check/pps"
)

func correlationChange() *engine.Definition {
	threshold := engine.Param{Name: "threshold", Type: engine.FloatParam, Default: 0.2, Doc: "from where a property fails"}
	return &engine.Definition{
		ID:      "PropertyLabelCorrelationChange",
		Summary: "Finds properties of the images, such as their brightness, that predict the label much better in train than in test: a shortcut that will not hold.",
		Formula: correlationFormula + " With per_class each class of the train images is scored by itself, as the number 1 against 0 for all others.",
		Differs: "the seed is 42 unless another is given.",
		Scope:   engine.TrainTest,
		Params: slices.Insert(correlationParams(), 2, engine.Param{
			Name: "per_class", Type: engine.BoolParam, Default: true, Doc: "score each class against all others",
		}),
		Conditions: []engine.ConditionDef{
			{
				ID: "property_pps_difference_less_than",
				Params: []engine.Param{threshold, {
					Name: "include_negative_diff", Type: engine.BoolParam, Default: false, Doc: "look at properties that predict better in test too",
				}},
				New: changesLess,
			},
			{ID: "property_pps_in_train_less_than", Params: []engine.Param{threshold}, New: trainLess},
		},
		Defaults: []engine.Use{{ID: "property_pps_difference_less_than"}},
		New: func(a engine.Args, _ engine.Mode) (engine.Check, error) {
			o, err := pps.Parse(a)
			return changeCheck{a, o}, err
		},
	}
}

type changeCheck struct {
	args    engine.Args
	options pps.Options
}

// Changes is the value of PropertyLabelCorrelationChange.
type Changes struct {
	Properties []string
	// Classes are nil when the scores are of all classes together.
	Classes []string
	// Train and Test are scores by property and class.
	Train, Test [][]float64
}

// Encode returns the scores by property, side and class, or by side and
// property.
func (v Changes) Encode() any {
	sides := []struct {
		name string
		of   func(p, k int) float64
	}{
		{"train", func(p, k int) float64 { return v.Train[p][k] }}, {"test", func(p, k int) float64 { return v.Test[p][k] }},
		{"train-test difference", func(p, k int) float64 { return v.Train[p][k] - v.Test[p][k] }},
	}
	var out engine.Object
	if v.Classes == nil {
		for _, s := range sides {
			by := make(engine.Object, len(v.Properties))
			for p, name := range v.Properties {
				by[p] = engine.Field{Key: name, Value: s.of(p, 0)}
			}
			out = append(out, engine.Field{Key: s.name, Value: by})
		}
		return out
	}
	for p, name := range v.Properties {
		var both engine.Object
		for _, s := range sides {
			by := make(engine.Object, len(v.Classes))
			for k, class := range v.Classes {
				by[k] = engine.Field{Key: class, Value: s.of(p, k)}
			}
			both = append(both, engine.Field{Key: s.name, Value: by})
		}
		out = append(out, engine.Field{Key: name, Value: both})
	}
	return out
}

func (changeCheck) ID() string { return "PropertyLabelCorrelationChange" }

func (p changeCheck) Run(ctx context.Context, c *engine.Context) (engine.Result, error) {
	train, err := rowsOf(c, c.Train(), p.args)
	if err != nil {
		return engine.Result{}, err
	}
	test, err := rowsOf(c, c.Test(), p.args)
	if err != nil {
		return engine.Result{}, err
	}
	value := Changes{}
	for _, x := range train.properties {
		value.Properties = append(value.Properties, x.Name)
	}
	value.Train, value.Test = make([][]float64, len(value.Properties)), make([][]float64, len(value.Properties))
	classes := []int{0}
	if p.args.Bool("per_class") {
		classes, value.Classes = train.distinct(), []string{}
	}
	for _, k := range classes {
		if value.Classes != nil {
			value.Classes = append(value.Classes, className(c, k))
		}
		for _, side := range []struct {
			rows *labelRows
			into [][]float64
		}{{train, value.Train}, {test, value.Test}} {
			scores, err := p.score(ctx, c, side.rows, k)
			if err != nil {
				return engine.Result{}, err
			}
			for i, name := range value.Properties {
				at := slices.IndexFunc(scores, func(s pps.Score) bool { return s.Column == name })
				side.into[i] = append(side.into[i], scores[at].PPS)
			}
		}
	}
	return engine.Result{Value: value, Displays: p.displays(value)}, nil
}

// score scores the properties of one side against a class, or against all.
func (p changeCheck) score(ctx context.Context, c *engine.Context, rows *labelRows, class int) ([]pps.Score, error) {
	if !p.args.Bool("per_class") {
		names := make([]string, len(rows.classes))
		for i, k := range rows.classes {
			names[i] = className(c, k)
		}
		return rows.scores(ctx, c, scoring(p), frame.NewTexts(labelColumn, names), engine.Multiclass)
	}
	is := make([]int64, len(rows.classes))
	for i, k := range rows.classes {
		if k == class {
			is[i] = 1
		}
	}
	return rows.scores(ctx, c, scoring(p), frame.NewInts(labelColumn, is), engine.Regression)
}

// displays shows the properties that predict best in train less test.
func (p changeCheck) displays(v Changes) []engine.Display {
	var out []engine.Display
	type shown struct {
		at   int
		most float64
	}
	var order []shown
	for i := range v.Properties {
		s := shown{i, 0}
		high := false
		for k := range v.Train[i] {
			s.most = max(s.most, math.Abs(v.Train[i][k]-v.Test[i][k]))
			high = high || max(v.Train[i][k], v.Test[i][k]) >= p.args.Float("min_pps_to_show")
		}
		if high {
			order = append(order, s)
		}
	}
	slices.SortStableFunc(order, func(a, b shown) int { return cmp.Compare(b.most, a.most) })
	order = order[:min(len(order), p.args.Int("n_top_properties"))]
	if len(order) == 0 {
		return nil
	}
	if v.Classes == nil {
		chart := engine.BarChart{Title: "How well properties predict the label", Series: []string{"Train", "Test"}}
		for _, s := range order {
			chart.Groups = append(chart.Groups, engine.BarGroup{Label: v.Properties[s.at], Values: []float64{v.Train[s.at][0], v.Test[s.at][0]}})
		}
		out = append(out, chart)
	} else {
		for _, s := range order {
			chart := engine.BarChart{Title: "How well " + v.Properties[s.at] + " predicts each class", Series: []string{"Train", "Test"}}
			for k, class := range v.Classes {
				chart.Groups = append(chart.Groups, engine.BarGroup{Label: class, Values: []float64{v.Train[s.at][k], v.Test[s.at][k]}})
			}
			out = append(out, chart)
		}
	}
	return append(out, engine.Note{Text: "The predictive power score is 0 when the property alone predicts the label no better than a guess, and 1 when it predicts it perfectly. A high score in train alone is a shortcut that will not hold."})
}

func changesLess(r engine.Request) (engine.Condition, error) {
	limit, both := r.Args.Float("threshold"), r.Args.Bool("include_negative_diff")
	return engine.Condition{
		Name: "Train-Test properties' Predictive Power Score difference is less than " + format.Number(limit),
		Judge: engine.Judge(func(v Changes) (engine.Verdict, string, error) {
			return v.judge(limit, "PPS difference above threshold", func(p, k int) float64 {
				d := v.Train[p][k] - v.Test[p][k]
				if both {
					return math.Abs(d)
				}
				return d
			})
		}),
	}, nil
}

func trainLess(r engine.Request) (engine.Condition, error) {
	limit := r.Args.Float("threshold")
	return engine.Condition{
		Name: "Train properties' Predictive Power Score is less than " + format.Number(limit),
		Judge: engine.Judge(func(v Changes) (engine.Verdict, string, error) {
			return v.judge(limit, "PPS in train above threshold", func(p, k int) float64 { return v.Train[p][k] })
		}),
	}, nil
}

// judge fails the scores from limit on.
func (v Changes) judge(limit float64, what string, of func(p, k int) float64) (engine.Verdict, string, error) {
	var failed []format.Pair
	most, property, class := 0.0, "", ""
	for p, name := range v.Properties {
		var high []format.Pair
		for k := range v.Train[p] {
			score := of(p, k)
			if score > most {
				most, property = score, name
				if v.Classes != nil {
					class = v.Classes[k]
				}
			}
			if score < limit {
				continue
			}
			if v.Classes == nil {
				failed = append(failed, format.Pair{Key: format.Quote(name), Value: format.Quote(format.Number(score))})
			} else {
				high = append(high, format.Pair{Key: format.Quote(v.Classes[k]), Value: format.Quote(format.Number(score))})
			}
		}
		slices.SortFunc(high, func(a, b format.Pair) int { return cmp.Compare(a.Key, b.Key) })
		if len(high) > 0 {
			failed = append(failed, format.Pair{Key: format.Quote(name), Value: format.Dict(high)})
		}
	}
	switch {
	case len(failed) > 0 && v.Classes != nil:
		return engine.Fail, "Properties and classes with " + what + ": " + format.Dict(failed), nil
	case len(failed) > 0:
		return engine.Fail, "Properties with " + what + ": " + format.Dict(failed), nil
	case most == 0:
		return engine.Pass, "0 PPS found for all properties", nil
	case class != "":
		return engine.Pass, fmt.Sprintf("Found highest PPS %s for property %s and class %s", format.Number(most), property, class), nil
	}
	return engine.Pass, fmt.Sprintf("Found highest PPS %s for property %s", format.Number(most), property), nil
}
