package vision

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"

	"aloft/tasks/check/drift"
	"aloft/tasks/check/engine"
	"aloft/tasks/check/format"
	"aloft/tasks/check/images"
	"aloft/tasks/check/stats"
)

const driftFormula = "Each property's values on both sides are compared. Numbers: Kolmogorov-Smirnov `max |F_train(x) − F_test(x)|`, or the earth mover's distance of the values scaled to 0..1. Classes: Cramér's V of the table side × class with bias correction, both sides scaled to the size of the smaller; or PSI."

const rareDiffers = "classes with less than `min_category_size_ratio` of the train side are counted together as one. There, that one is dropped when it too is rare."

// aggregation declares how the reduced value sums up the properties.
func aggregation(def any) engine.Param {
	return engine.Param{Name: "aggregation_method", Type: engine.TextParam, Default: def, Null: true, Allowed: []string{"none", "mean", "max"}, Doc: "how the reduced value sums up the properties; null means not at all"}
}

func labelDrift() *engine.Definition {
	return &engine.Definition{
		ID:      "LabelDrift",
		Former:  []string{"TrainTestLabelDrift"},
		Summary: "Measures how far the labels' distribution in the test images has moved from that in the train images: which classes, how many boxes or segments, how large.",
		Formula: driftFormula + " Properties: the class of each label; of detection also the area of each box and the boxes of each image; of segmentation the pixels of each class in an image and the classes of each image.",
		Differs: rareDiffers,
		Scope:   engine.TrainTest,
		Params: slices.Concat([]engine.Param{propertiesParam("label_properties", "labels")},
			without(drift.Params(true, false), "ignore_na", "min_samples"), []engine.Param{aggregation(nil)}, without(drift.Params(true, false)[9:]), []engine.Param{sampleParam()}),
		Conditions: []engine.ConditionDef{drift.Less("label property", "label properties", "", 0.15, 0.15)},
		Defaults:   []engine.Use{{ID: "drift_score_less_than"}},
		New: func(a engine.Args, m engine.Mode) (engine.Check, error) {
			o, err := drift.FromArgs(a, m)
			return answerDrift{"LabelDrift", "labels", a, o, labelled, labelProperties}, err
		},
	}
}

func predictionDrift() *engine.Definition {
	return &engine.Definition{
		ID:      "PredictionDrift",
		Former:  []string{"TrainTestPredictionDrift"},
		Summary: "Measures how far the predictions' distribution in the test images has moved from that in the train images. It needs no labels.",
		Formula: driftFormula + " Properties are those of LabelDrift, of the predictions: the most probable class, all boxes whatever their confidence, the most probable class of each pixel.",
		Differs: rareDiffers,
		Scope:   engine.TrainTest, Predictions: true,
		Params: slices.Concat([]engine.Param{propertiesParam("prediction_properties", "predictions")},
			without(drift.Params(true, false), "ignore_na", "min_samples"), []engine.Param{aggregation(nil)}, without(drift.Params(true, false)[9:]), []engine.Param{sampleParam()}),
		Conditions: []engine.ConditionDef{drift.Less("prediction property", "prediction properties", " for prediction drift", 0.15, 0.15)},
		Defaults:   []engine.Use{{ID: "drift_score_less_than"}},
		New: func(a engine.Args, m engine.Mode) (engine.Check, error) {
			o, err := drift.FromArgs(a, m)
			return answerDrift{"PredictionDrift", "predictions", a, o, predicted, predictionProperties}, err
		},
	}
}

// answerDrift is the drift of labels or of predictions.
type answerDrift struct {
	id, what   string
	args       engine.Args
	options    drift.Options
	with       func(*engine.Context, *engine.Side, engine.Args) (sample, error)
	properties func(*engine.Context, *engine.Side, engine.Args) ([]property, error)
}

func (d answerDrift) ID() string { return d.id }

func (d answerDrift) Run(_ context.Context, c *engine.Context) (engine.Result, error) {
	if d.args.IsNull("label_properties") && d.args.IsNull("prediction_properties") {
		if err := known(c); err != nil {
			return engine.Result{}, err
		}
		for _, s := range []*engine.Side{c.Train(), c.Test()} {
			if _, err := d.with(c, s, d.args); err != nil {
				return engine.Result{}, err
			}
		}
	}
	properties, err := d.properties(c, c.Train(), d.args)
	if err != nil {
		return engine.Result{}, err
	}
	value := measure(c, properties, d.args, d.options)
	if !slices.ContainsFunc(value.List, drift.Named.Measured) {
		return engine.Result{}, drift.TooFew(d.options.MinSamples, d.what)
	}
	out := engine.Result{Value: value, Reduced: value.Reduce(cmp.Or(d.args.Text("aggregation_method"), "none"))}
	out.Displays = showDrift(c, properties, d.args, value)
	return out, nil
}

// measure scores the drift of each property.
func measure(c *engine.Context, properties []property, args engine.Args, o drift.Options) drift.Scores {
	value := drift.Scores{}
	for _, p := range properties {
		n := drift.Named{Name: p.Name, Importance: math.NaN()}
		if p.categorical() {
			n.Score = o.Categories(counts(c, p, args))
		} else {
			n.Score = o.Numbers(numbers(records(c.Train(), args), p), numbers(records(c.Test(), args), p))
		}
		value.List = append(value.List, n)
	}
	return value
}

// counts counts the categories of a property on both sides, in the order of
// their numbers.
func counts(c *engine.Context, p property, args engine.Args) drift.Counts {
	by := make(map[float64][2]int)
	for side, s := range []*engine.Side{c.Train(), c.Test()} {
		for _, v := range numbers(records(s, args), p) {
			n := by[v]
			n[side]++
			by[v] = n
		}
	}
	var out drift.Counts
	values := make([]float64, 0, len(by))
	for v := range by {
		values = append(values, v)
	}
	slices.Sort(values)
	place := make(map[string]int)
	for _, v := range values {
		name := category(c, p, v)
		at, ok := place[name]
		if !ok { // classes may share a name
			at = len(out.Names)
			place[name] = at
			out.Names, out.Train, out.Test = append(out.Names, name), append(out.Train, 0), append(out.Test, 0)
		}
		out.Train[at] += by[v][0]
		out.Test[at] += by[v][1]
	}
	return out
}

// category names a value of a categorical property.
func category(c *engine.Context, p property, v float64) string {
	if p.Kind == images.ClassID {
		return className(c, int(v))
	}
	return format.Plain(v)
}

// className names a class as the train images do, or else as the test images
// do.
func className(c *engine.Context, class int) string {
	if _, ok := c.Train().Images.Classes[class]; !ok && c.Test() != nil {
		return c.Test().Images.ClassName(class)
	}
	return c.Train().Images.ClassName(class)
}

// showDrift draws the scores and the distributions, those that moved most
// first.
func showDrift(c *engine.Context, properties []property, args engine.Args, v drift.Scores) []engine.Display {
	order := make([]int, 0, len(v.List))
	for i, n := range v.List {
		if n.Known() {
			order = append(order, i)
		}
	}
	if len(order) == 0 {
		return nil
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(v.List[b].Value, v.List[a].Value) })
	chart := engine.BarChart{Title: "Drift scores", Series: []string{"Drift score"}}
	for _, i := range order {
		chart.Groups = append(chart.Groups, engine.BarGroup{Label: v.List[i].Name, Values: []float64{v.List[i].Value}})
	}
	out := []engine.Display{chart}
	for _, i := range order {
		p := properties[i]
		if v.List[i].Value == 0 && !p.categorical() {
			continue // both sides are equal
		}
		title := fmt.Sprintf("%s: %s %.3f", p.Name, v.List[i].Method, v.List[i].Value)
		out = append(out, showProperty(c, title, p, args))
	}
	return out
}

// showProperty draws the distribution of a property on both sides.
func showProperty(c *engine.Context, title string, p property, args engine.Args) engine.Display {
	if p.categorical() {
		shown := drift.ShowCategories(title, counts(c, p, args), args.Int("max_num_categories_for_display"), stats.CategorySort(args.Text("show_categories_by")))
		if chart, ok := shown.(engine.BarChart); ok {
			chart.Unit = "share"
			return chart
		}
		return shown
	}
	a, b := numbers(records(c.Train(), args), p), numbers(records(c.Test(), args), p)
	stats.SortFloats(a)
	stats.SortFloats(b)
	return drift.ShowNumbers(title, p.Name, a, b)
}
