package model

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/format"
	"aloft/tasks/check/frame"
)

func performance() *engine.Definition {
	return &engine.Definition{
		ID:      "TrainTestPerformance",
		Summary: "Compares the model's scores on the train and test tables: a large drop means that it learned the train table by heart.",
		Formula: "One row for each table, class and measure. Per class `precision = TP/(TP+FP)`, `recall = TP/(TP+FN)`, `F1 = 2TP/(2TP+FP+FN)`; a measure whose denominator is 0 is 0. " +
			"The degradation is `(train − test) / |train|`.",
		Differs:     "the measures fpr, fnr and tnr are the textbook ones (`FP/(FP+TN)`, `FN/(FN+TP)`, `TN/(TN+FP)`); deepchecks divides by other cells. Messages do not name a class where there is none, and whole-numbered classes stay whole when a label is unknown to the model.",
		Scope:       engine.TrainTest,
		Predictions: true,
		Params: slices.Concat([]engine.Param{
			{Name: "scorers", Type: engine.NamesParam, Doc: "measures to compute; null means F1, precision and recall per class, or for regression negative RMSE, negative MAE and R2"},
		}, engine.SampleParams(largeSample)),
		Conditions: []engine.ConditionDef{
			{
				ID:     "train_test_relative_degradation_less_than",
				Params: []engine.Param{{Name: "threshold", Type: engine.FloatParam, Default: 0.1, Min: 0, Max: math.MaxFloat64, Doc: "largest loss from train to test, as a share of the train score"}},
				New:    degradation,
			},
			{
				ID:     "test_performance_greater_than",
				Params: []engine.Param{{Name: "min_score", Type: engine.FloatParam, Required: true, Doc: "every test score must exceed this"}},
				New:    minScore,
			},
			{
				ID: "class_performance_imbalance_ratio_less_than",
				Params: []engine.Param{
					{Name: "score", Type: engine.TextParam, Required: true, Doc: "the shown name of the measure"},
					{Name: "threshold", Type: engine.FloatParam, Default: 0.3, Min: 0, Max: 1, Doc: "largest difference between classes, as a share of the best"},
				},
				New: imbalance,
			},
		},
		Defaults: []engine.Use{{ID: "train_test_relative_degradation_less_than"}},
		New: func(a engine.Args, m engine.Mode) (engine.Check, error) {
			return scoreCheck{args: a, mode: m}, nil
		},
	}
}

type scoreCheck struct {
	args engine.Args
	mode engine.Mode
}

// Score is one row of TrainTestPerformance's value.
type Score struct {
	Dataset string      // "Train" or "Test"
	Class   frame.Value // null for measures of the whole table
	Metric  string
	Value   float64 // NaN where it has no meaning
	Rows    int     // rows of the class, or of the table
}

// Scores is the value of TrainTestPerformance.
type Scores struct {
	List []Score
	mode engine.Mode
	task engine.Task
}

// Encode returns a table of the scores.
func (s Scores) Encode() any {
	g := engine.Grid{Columns: []string{"Dataset", "Class", "Metric", "Value", "Number of samples"}}
	for _, r := range s.List {
		class := r.Class.Native()
		if class == nil && s.mode == engine.Deepchecks {
			class = math.NaN()
		}
		g.Rows = append(g.Rows, []any{r.Dataset, class, r.Metric, r.Value, r.Rows})
	}
	return g
}

func (scoreCheck) ID() string { return "TrainTestPerformance" }

func (s scoreCheck) Run(_ context.Context, c *engine.Context) (engine.Result, error) {
	train, err := evaluate(c, c.Train(), s.args)
	if err != nil {
		return engine.Result{}, err
	}
	test, err := evaluate(c, c.Test(), s.args)
	if err != nil {
		return engine.Result{}, err
	}
	chosen, err := chooseScorers(s.args.Names("scorers"), defaultScorers(c.Task(), false), c.Task(), s.mode)
	if err != nil {
		return engine.Result{}, err
	}
	classes := union(train.classes, test.classes)
	if s.mode == engine.Deepchecks && len(classes) > train.known {
		classes = asFloats(classes) // there, a label without a score turns the column into floats
	}
	value := Scores{mode: s.mode, task: c.Task()}
	for _, side := range []struct {
		name string
		e    *evaluation
	}{{"Train", train}, {"Test", test}} {
		for _, sc := range chosen {
			if err := sc.ready(side.e, engine.Which(strings.ToLower(side.name))); err != nil {
				return engine.Result{}, err
			}
			value.List = append(value.List, scoreRows(side.name, side.e, sc, classes)...)
		}
	}
	return engine.Result{Value: value, Displays: s.displays(value)}, nil
}

// scoreRows lists the scores of one measure: one row, or one for each class.
// Classes that the model does not know have no score.
func scoreRows(name string, e *evaluation, sc scorer, classes []frame.Value) []Score {
	scores := sc.score(e)
	if !sc.perClass {
		return []Score{{Dataset: name, Metric: sc.shown, Value: scores[0], Rows: e.rows()}}
	}
	number := make(map[frame.Value]int)
	for i, v := range e.classes {
		number[v.Key()] = i
	}
	support := make([]int, len(e.classes))
	for _, t := range e.truth {
		support[t]++
	}
	out := make([]Score, len(classes))
	for i, v := range classes {
		out[i] = Score{Dataset: name, Class: v, Metric: sc.shown, Value: math.NaN()}
		if k, ok := number[v.Key()]; ok {
			out[i].Rows = support[k]
			if k < e.known {
				out[i].Value = scores[k]
			}
		}
	}
	return out
}

// union lists the values of both in ascending order.
func union(a, b []frame.Value) []frame.Value {
	seen := make(map[frame.Value]bool)
	var out []frame.Value
	for _, v := range slices.Concat(a, b) {
		if !seen[v.Key()] {
			seen[v.Key()] = true
			out = append(out, v)
		}
	}
	slices.SortFunc(out, frame.Compare)
	return out
}

func asFloats(values []frame.Value) []frame.Value {
	out := slices.Clone(values)
	for i, v := range values {
		if f, ok := v.Number(); ok {
			out[i] = frame.FloatValue(f)
		}
	}
	return out
}

func (s scoreCheck) displays(v Scores) []engine.Display {
	var charts []engine.Display
	byMetric := make(map[string]*engine.BarChart)
	var order []string
	for _, r := range v.List {
		chart := byMetric[r.Metric]
		if chart == nil {
			chart = &engine.BarChart{Title: r.Metric, Series: []string{"Train", "Test"}}
			byMetric[r.Metric] = chart
			order = append(order, r.Metric)
		}
		label := "all rows"
		if !r.Class.IsNull() {
			label = r.Class.String()
		}
		if r.Dataset == "Train" {
			chart.Groups = append(chart.Groups, engine.BarGroup{Label: label, Values: []float64{r.Value, math.NaN()}})
			continue
		}
		for i := range chart.Groups {
			if chart.Groups[i].Label == label {
				chart.Groups[i].Values[1] = r.Value
			}
		}
	}
	for _, m := range order {
		charts = append(charts, *byMetric[m])
	}
	return append(charts, engine.TableView{Title: "Scores", Grid: scoreGrid(v)})
}

// scoreGrid sets the scores of train and test side by side.
func scoreGrid(v Scores) engine.Grid {
	g := engine.Grid{Columns: []string{"Metric", "Class", "Train", "Test", "Change", "Train rows", "Test rows"}}
	half := len(v.List) / 2
	for i := range half {
		a, b := v.List[i], v.List[half+i]
		class := ""
		if !a.Class.IsNull() {
			class = a.Class.String()
		}
		change := ""
		if c, ok := decline(a.Value, b.Value); ok {
			change = format.Percent(-c)
		}
		g.Rows = append(g.Rows, []any{a.Metric, class, a.Value, b.Value, change, a.Rows, b.Rows})
	}
	return g
}

// decline is the loss from train to test as a share of the train score; false
// where one of them has no value.
func decline(train, test float64) (float64, bool) {
	switch {
	case math.IsNaN(train) || math.IsNaN(test):
		return 0, false
	case train == 0 && test == 0:
		return 0, true
	case train == 0:
		return 1, true
	default:
		return (train - test) / math.Abs(train), true
	}
}

func degradation(r engine.Request) (engine.Condition, error) {
	limit := r.Args.Float("threshold")
	return engine.Condition{
		Name: "Train-Test scores relative degradation is less than " + format.Param(limit),
		Judge: engine.Judge(func(v Scores) (engine.Verdict, string, error) {
			failed, worst, at := 0, math.Inf(-1), -1
			half := len(v.List) / 2
			for i := range half {
				d, ok := decline(v.List[i].Value, v.List[half+i].Value)
				if !ok {
					continue
				}
				if d > worst {
					worst, at = d, i
				}
				if d >= limit {
					failed++
				}
			}
			if at < 0 {
				return engine.Pass, "No scores to compare", nil
			}
			details := fmt.Sprintf("Found max degradation of %s for metric %s", format.Percent(worst), v.List[at].Metric)
			if class := v.List[at].Class; !class.IsNull() {
				details += " and class " + class.String() + "."
			}
			if failed > 0 {
				return engine.Fail, fmt.Sprintf("%d scores failed. %s", failed, details), nil
			}
			return engine.Pass, details, nil
		}),
	}, nil
}

func minScore(r engine.Request) (engine.Condition, error) {
	limit := r.Args.Float("min_score")
	return engine.Condition{
		Name: "Scores are greater than " + format.Param(limit),
		Judge: engine.Judge(func(v Scores) (engine.Verdict, string, error) {
			failed, least, at := 0, math.Inf(1), -1
			for i, s := range v.List {
				if s.Dataset != "Test" || math.IsNaN(s.Value) {
					continue
				}
				if s.Value < least {
					least, at = s.Value, i
				}
				if s.Value <= limit {
					failed++
				}
			}
			if at < 0 {
				return engine.Pass, "No scores to compare", nil
			}
			details := fmt.Sprintf("Found minimum score for %s metric of value %s", v.List[at].Metric, format.Number(least))
			switch class := v.List[at].Class; {
			case !class.IsNull():
				details += " for class " + class.String()
			case r.Mode == engine.Deepchecks:
				details += " for class <NA>"
			}
			details += "."
			if failed > 0 {
				return engine.Fail, fmt.Sprintf("Found %d scores below threshold.\n%s", failed, details), nil
			}
			return engine.Pass, details, nil
		}),
	}, nil
}

func imbalance(r engine.Request) (engine.Condition, error) {
	metric, limit := r.Args.Text("score"), r.Args.Float("threshold")
	return engine.Condition{
		Name: fmt.Sprintf("Relative ratio difference between labels '%s' score is less than %s", metric, format.Percent(limit)),
		Judge: engine.Judge(func(v Scores) (engine.Verdict, string, error) {
			found, worst, details := false, math.Inf(-1), ""
			for _, dataset := range []string{"Train", "Test"} {
				lo, hi := Score{Value: math.Inf(1)}, Score{Value: math.Inf(-1)}
				for _, s := range v.List {
					if s.Dataset != dataset || s.Metric != metric {
						continue
					}
					found = true
					if s.Value < lo.Value {
						lo = s
					}
					if s.Value > hi.Value {
						hi = s
					}
				}
				if math.IsInf(lo.Value, 0) {
					continue
				}
				ratio := 0.0
				if hi.Value != 0 {
					ratio = math.Abs((lo.Value - hi.Value) / hi.Value)
				}
				if ratio > worst {
					worst = ratio
					details = fmt.Sprintf("Relative ratio difference between highest and lowest in %s dataset classes is %s, using %s metric. "+
						"Lowest class - %s: %s; Highest class - %s: %s", dataset, format.Percent(ratio), metric,
						lo.Class, format.Number(lo.Value), hi.Class, format.Number(hi.Value))
				}
			}
			if !found {
				return engine.Broken, "", engine.Errorf(engine.ValueError, "Data was not calculated using the scoring function: %s", metric)
			}
			if worst >= limit {
				return engine.Fail, details, nil
			}
			return engine.Pass, details, nil
		}),
	}, nil
}
