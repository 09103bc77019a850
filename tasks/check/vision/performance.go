package vision

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/format"
	"aloft/tasks/check/images"
)

const scoresFormula = "Of classification: precision and recall of each class, from the most probable class of each image. Of detection: average precision and average recall of each class as COCO defines them, the means over the IoU thresholds 0.50, 0.55 … 0.95 (see MeanAveragePrecisionReport). Of segmentation: `Dice = (2·TP + 0.001) / (label + predicted + 0.001)` in pixels of each image, the mean over the images whose label has the class. Precision, recall and the like of detection are at IoU 0.5 and confidence 0.5."

// showParams are the parameters by which classes are chosen for display.
func showParams() []engine.Param {
	return []engine.Param{
		count("n_to_show", 20, "classes to show"),
		{Name: "show_only", Type: engine.TextParam, Default: "largest", Allowed: []string{"largest", "smallest", "random", "best", "worst"}, Doc: "which classes to show"},
		{Name: "metric_to_show_by", Type: engine.TextParam, Doc: "the measure that best and worst look at, by its shown name; null means the first"},
		{Name: "class_list_to_show", Type: engine.NumbersParam, Doc: "numbers of the classes to show; null means those that show_only says"},
	}
}

func classPerformance() *engine.Definition {
	return &engine.Definition{
		ID:      "ClassPerformance",
		Summary: "Scores the model on train and test for each class.",
		Formula: scoresFormula,
		Differs: "detections of low confidence are left out before the others are matched by falling confidence; there, they are matched in the order given.",
		Scope:   engine.TrainTest, Predictions: true,
		Params: slices.Concat([]engine.Param{scorersParam()}, showParams(), []engine.Param{sampleParam()}),
		Conditions: []engine.ConditionDef{
			{
				ID:     "test_performance_greater_than",
				Params: []engine.Param{{Name: "min_score", Type: engine.FloatParam, Required: true, Min: -math.MaxFloat64, Max: math.MaxFloat64, Doc: "test scores must exceed this"}},
				New:    minScore,
			},
			{
				ID:     "train_test_relative_degradation_less_than",
				Params: []engine.Param{fraction("threshold", 0.1, "loss from train to test that must not be reached, as a share of the train score")},
				New:    degradation,
			},
			{
				ID: "class_performance_imbalance_ratio_less_than",
				Params: []engine.Param{
					fraction("threshold", 0.3, "distance of the worst class from the best that must not be reached, as a share of the best"),
					{Name: "score", Type: engine.TextParam, Required: true, Doc: "the measure to judge, by its shown name"},
				},
				New: imbalance,
			},
		},
		Defaults: []engine.Use{{ID: "train_test_relative_degradation_less_than"}},
		New:      func(a engine.Args, _ engine.Mode) (engine.Check, error) { return performanceCheck{a}, nil },
	}
}

type performanceCheck struct{ args engine.Args }

// Score is one row of a result of scores.
type Score struct {
	Group  string // "Train" and "Test", or the model
	Metric string
	// PerClass tells that the score is of Class, called Name.
	PerClass bool
	Class    int
	Name     string
	Count    int // labels of the class, or all
	Value    float64
	place    int // in the order of computation
}

// Scores is the value of ClassPerformance and SimpleModelComparison.
type Scores struct {
	First string // what Group is: "Dataset" or "Model"
	List  []Score
	// Places numbers the rows as they were computed; else from 0 on.
	Places bool
}

// Encode returns a table of the scores.
func (s Scores) Encode() any {
	g := engine.Grid{Columns: []string{s.First, "Metric", "Class", "Class Name", "Number of samples", "Value"}}
	for _, r := range s.List {
		row := []any{r.Group, r.Metric, nil, nil, r.Count, r.Value}
		if r.PerClass {
			row[2], row[3] = r.Class, r.Name
		}
		g.Rows = append(g.Rows, row)
		if s.Places {
			g.Index = append(g.Index, r.place)
		}
	}
	return g
}

func (performanceCheck) ID() string { return "ClassPerformance" }

func (p performanceCheck) Run(_ context.Context, c *engine.Context) (engine.Result, error) {
	if err := known(c); err != nil {
		return engine.Result{}, err
	}
	chosen, err := chooseScorers(p.args.Names("scorers"), defaultScorers(c.ImageTask()), c.ImageTask())
	if err != nil {
		return engine.Result{}, err
	}
	value := Scores{First: "Dataset", Places: true}
	var test *evaluation
	for _, s := range []struct {
		name string
		side *engine.Side
	}{{"Train", c.Train()}, {"Test", c.Test()}} {
		e, err := evaluate(c, s.side, p.args)
		if err != nil {
			return engine.Result{}, err
		}
		rows, err := scoreRows(c, s.name, e, chosen)
		if err != nil {
			return engine.Result{}, err
		}
		value.List = append(value.List, byValue(rows)...)
		test = e
	}
	var reduced engine.Object
	for _, r := range value.List {
		if r.Group == "Test" && c.Mode() != engine.Deepchecks {
			reduced = append(reduced, engine.Field{Key: r.title(), Value: r.Value})
		}
	}
	d := p.displays(value)
	return engine.Result{Value: value, Reduced: reduced, Displays: worstImages(c, test, d)}, nil
}

// title names a score by measure and class.
func (s Score) title() string {
	if s.PerClass {
		return s.Metric + " " + s.Name
	}
	return s.Metric
}

// scoreRows computes the measures of one side, or one model.
func scoreRows(c *engine.Context, group string, e *evaluation, chosen []scorer) ([]Score, error) {
	var out []Score
	for _, s := range chosen {
		values, err := s.score(e)
		if err != nil {
			return nil, err
		}
		if !s.perClass {
			out = append(out, Score{Group: group, Metric: s.shown, Count: len(e.at), Value: values[0], place: len(out)})
			continue
		}
		for i, k := range e.classes {
			out = append(out, Score{Group: group, Metric: s.shown, PerClass: true, Class: k, Name: className(c, k), Count: e.support[k], Value: values[i], place: len(out)})
		}
	}
	return out, nil
}

// byValue sorts by falling value, what has none last.
func byValue(rows []Score) []Score {
	slices.SortStableFunc(rows, func(a, b Score) int {
		if x, y := math.IsNaN(a.Value), math.IsNaN(b.Value); x || y {
			return cmp.Compare(map[bool]int{true: 1}[x], map[bool]int{true: 1}[y])
		}
		return cmp.Compare(b.Value, a.Value)
	})
	return rows
}

// displays draws each measure by class for train and test.
func (p performanceCheck) displays(v Scores) []engine.Display {
	var train, test []Score
	for _, r := range v.List {
		if r.Group == "Train" {
			train = append(train, r)
		} else {
			test = append(test, r)
		}
	}
	return showScores(p.args, []string{"Train", "Test"}, [][]Score{train, test})
}

// showScores draws the measures of several groups: a chart for each measure
// with the chosen classes.
func showScores(args engine.Args, series []string, groups [][]Score) []engine.Display {
	var metrics []string
	reference := groups[len(groups)-1]
	for _, r := range reference {
		if !slices.Contains(metrics, r.Metric) {
			metrics = append(metrics, r.Metric)
		}
	}
	slices.Sort(metrics)
	shown := shownClasses(args, reference)
	var out []engine.Display
	for _, m := range metrics {
		chart := engine.BarChart{Title: m, Series: series}
		for _, class := range shown {
			g := engine.BarGroup{Values: make([]float64, len(groups))}
			any := false
			for i, group := range groups {
				g.Values[i] = math.NaN()
				for _, r := range group {
					if r.Metric == m && (r.PerClass && r.Class == class || !r.PerClass && class == shown[0]) {
						g.Values[i], any = r.Value, true
						if g.Label = r.Name; !r.PerClass {
							g.Label = "all images"
						}
					}
				}
			}
			if any {
				chart.Groups = append(chart.Groups, g)
			}
		}
		if len(chart.Groups) > 0 {
			out = append(out, chart)
		}
	}
	return out
}

// shownClasses chooses the classes to show.
func shownClasses(args engine.Args, rows []Score) []int {
	by := args.Text("metric_to_show_by")
	var all []Score // one row for each class
	for _, r := range rows {
		if by == "" {
			by = r.Metric
		}
		if !r.PerClass {
			continue
		}
		at := slices.IndexFunc(all, func(s Score) bool { return s.Class == r.Class })
		switch {
		case at < 0:
			all = append(all, r)
		case r.Metric == by:
			all[at] = r
		}
	}
	if wanted := args.Numbers("class_list_to_show"); wanted != nil {
		out := make([]int, len(wanted))
		for i, v := range wanted {
			out[i] = int(v)
		}
		return out
	}
	order := map[string]func(a, b Score) int{
		"largest":  func(a, b Score) int { return cmp.Compare(b.Count, a.Count) },
		"smallest": func(a, b Score) int { return cmp.Compare(a.Count, b.Count) },
		"best":     func(a, b Score) int { return cmp.Compare(b.Value, a.Value) },
		"worst":    func(a, b Score) int { return cmp.Compare(a.Value, b.Value) },
		"random":   func(a, b Score) int { return cmp.Compare(mix(a.Class), mix(b.Class)) },
	}[args.Text("show_only")]
	slices.SortStableFunc(all, func(a, b Score) int { return cmp.Or(order(a, b), cmp.Compare(a.Class, b.Class)) })
	out := make([]int, 0, len(all))
	for _, r := range all[:min(len(all), args.Int("n_to_show"))] {
		out = append(out, r.Class)
	}
	if len(out) == 0 {
		return []int{0} // measures of all images alone
	}
	return out
}

// mix puts classes in an order that has nothing to do with their numbers.
func mix(class int) uint64 {
	const golden = 0x9E3779B97F4A7C15
	x := (uint64(class) + 1) * golden
	return x ^ x>>31
}

// worstImages shows the images that the model is worst at.
func worstImages(c *engine.Context, e *evaluation, out []engine.Display) []engine.Display {
	type scored struct {
		at    int
		score float64
	}
	var all []scored
	for i := range e.at {
		score, err := imageScore(c.ImageTask(), e.record(i))
		if err != nil {
			return out
		}
		if !math.IsNaN(score) {
			all = append(all, scored{i, score})
		}
	}
	slices.SortStableFunc(all, func(a, b scored) int { return cmp.Compare(a.score, b.score) })
	const most = 6
	g := gallery{sample: e.sample, title: "Worst predictions of the test images", most: most, guesses: true}
	for _, s := range all {
		caption := fmt.Sprintf("mean IoU %s", format.Number(s.score))
		switch c.ImageTask() {
		case images.Classification:
			caption = answerCaption(e.set, e.record(s.at))[len(", "):]
		case images.Segmentation:
			caption = fmt.Sprintf("Dice %s", format.Number(s.score))
		}
		g.add(s.at, caption)
		if g.full() {
			break
		}
	}
	return g.show(out)
}
