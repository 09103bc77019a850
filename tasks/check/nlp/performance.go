package nlp

import (
	"context"
	"math"
	"slices"
	"strings"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/frame"
	"aloft/tasks/check/model"
	"aloft/tasks/check/stats"
	"aloft/tasks/check/text"
)

const scoresFormula = "Of texts those of tables. Of tokens, entities are compared: an entity is found when its kind, its first and its last token are predicted exactly; of texts with several labels each (multilabel) every label by itself. Per kind `precision = TP/(TP+FP)`, `recall = TP/(TP+FN)`, `F1 = 2TP/(2TP+FP+FN)`."

func performance() *engine.Definition {
	of := tabular("TrainTestPerformance")
	return &engine.Definition{
		ID:      "TrainTestPerformance",
		Summary: "Compares the model's scores on the train and test texts: a large drop means that it learned the train texts by heart.",
		Formula: scoresFormula + " Classes with fewer than min_samples texts on a side have no score there. The degradation is `(train − test) / |train|`.",
		Differs: of.Differs,
		Scope:   engine.TrainTest, Predictions: true,
		Params: slices.Concat([]engine.Param{
			{Name: "scorers", Type: engine.NamesParam, Doc: "measures to compute; null means F1, precision and recall per class. Of tokens and of several labels: f1_per_class, precision_per_class, recall_per_class"},
			count("min_samples", 30, "fewest texts, or entities, of a class on a side"),
			count("n_top_classes", 10, "classes to show"),
			{Name: "show_classes_by", Type: engine.TextParam, Default: "test_largest", Allowed: []string{"test_largest", "train_largest", "test_smallest", "train_smallest"}, Doc: "which classes to show"},
		}, sampleParams(manyTexts)),
		Conditions: of.Conditions, Defaults: of.Defaults,
		New: func(a engine.Args, _ engine.Mode) (engine.Check, error) { return scored{a}, nil },
	}
}

type scored struct{ args engine.Args }

func (scored) ID() string { return "TrainTestPerformance" }

func (s scored) Run(ctx context.Context, c *engine.Context) (engine.Result, error) {
	if err := only(c, text.Classification, text.Tokens); err != nil {
		return engine.Result{}, err
	}
	var value model.Scores
	if c.TextTask() == text.Tokens || c.Train().Texts.Multilabel() {
		train, err := s.spans(c, c.Train())
		if err != nil {
			return engine.Result{}, err
		}
		test, err := s.spans(c, c.Test())
		if err != nil {
			return engine.Result{}, err
		}
		if value.List, err = s.entities(train, test); err != nil {
			return engine.Result{}, err
		}
	} else {
		in := engine.Inputs{Classes: c.Classes()}
		var err error
		if in.Train, in.TrainPredictions, err = classification(c, c.Train(), s.args); err != nil {
			return engine.Result{}, err
		}
		if in.Test, in.TestPredictions, err = classification(c, c.Test(), s.args); err != nil {
			return engine.Result{}, err
		}
		in.Task = taskOf(c, in)
		def := tabular("TrainTestPerformance")
		params := shared(s.args, def, "scorers")
		params["n_samples"] = nil
		result, err := borrowed(ctx, c, def, params, in)
		if err != nil {
			return engine.Result{}, err
		}
		scores, ok := result.Value.(model.Scores)
		if !ok {
			return engine.Result{}, engine.Errorf(engine.Internal, "the scores are a %T", result.Value)
		}
		value = scores
	}
	for i := range value.List {
		if r := &value.List[i]; !r.Class.IsNull() && r.Rows < s.args.Int("min_samples") {
			r.Value = math.NaN()
		}
	}
	return engine.Result{Value: value, Displays: s.displays(value)}, nil
}

// taskOf tells whether labels and predictions are of two classes or of more.
func taskOf(c *engine.Context, in engine.Inputs) engine.Task {
	columns := []*frame.Column{in.Train.Label(), in.TrainPredictions.WithLabels().Labels}
	if in.Test != nil {
		columns = append(columns, in.Test.Label(), in.TestPredictions.WithLabels().Labels)
	}
	if classes(c, columns...) <= 2 {
		return engine.Binary
	}
	return engine.Multiclass
}

// spans tallies the entities of a side by their kind.
func (s scored) spans(c *engine.Context, side *engine.Side) (map[string]*stats.Tally, error) {
	rows, err := labelled(c, side, side.TextRows(s.args))
	if err != nil {
		return nil, err
	}
	if err := predicted(c, side); err != nil {
		return nil, err
	}
	return tally(side.Texts, rows), nil
}

// entities lists the scores of the kinds of entities.
func (s scored) entities(train, test map[string]*stats.Tally) ([]model.Score, error) {
	kinds := make([]string, 0, len(train))
	for _, side := range []map[string]*stats.Tally{train, test} {
		for k := range side {
			if !slices.Contains(kinds, k) {
				kinds = append(kinds, k)
			}
		}
	}
	slices.Sort(kinds)
	measures, err := spanMeasures(s.args.Names("scorers"))
	if err != nil {
		return nil, err
	}
	var out []model.Score
	for _, side := range []struct {
		name string
		by   map[string]*stats.Tally
	}{{"Train", train}, {"Test", test}} {
		for _, m := range measures {
			for _, k := range kinds {
				r := model.Score{Dataset: side.name, Class: frame.TextValue(k), Metric: m.shown, Value: math.NaN()}
				if t := side.by[k]; t != nil {
					r.Value, r.Rows = m.of(*t), t.Support()
				}
				out = append(out, r)
			}
		}
	}
	return out, nil
}

// spanMeasure is a measure of entities.
type spanMeasure struct {
	id, shown string
	of        func(stats.Tally) float64
}

func spanMeasures(wanted [][2]string) ([]spanMeasure, error) {
	all := []spanMeasure{{"f1_per_class", "F1", stats.Tally.F1}, {"precision_per_class", "Precision", stats.Tally.Precision}, {"recall_per_class", "Recall", stats.Tally.Recall}}
	if wanted == nil {
		return all, nil
	}
	var out []spanMeasure
	for _, w := range wanted {
		i := slices.IndexFunc(all, func(m spanMeasure) bool { return m.id == w[1] })
		if i < 0 {
			return nil, engine.Errorf(engine.ValueError, "there is no measure %q of tokens or of several labels; there are f1_per_class, precision_per_class and recall_per_class", w[1])
		}
		m := all[i]
		if m.shown = w[1]; w[0] != "" {
			m.shown = w[0]
		}
		out = append(out, m)
	}
	return out, nil
}

// displays draws the scores of the classes to show.
func (s scored) displays(v model.Scores) []engine.Display {
	half := len(v.List) / 2
	by := s.args.Text("show_classes_by")
	rows := make(map[string]int)
	var names []string
	for i := range half {
		a, b := v.List[i], v.List[half+i]
		name := a.Class.String()
		if _, ok := rows[name]; !ok {
			names = append(names, name)
		}
		if rows[name] = b.Rows; strings.HasPrefix(by, "train") {
			rows[name] = a.Rows
		}
	}
	slices.SortStableFunc(names, func(a, b string) int {
		if strings.HasSuffix(by, "smallest") {
			return rows[a] - rows[b]
		}
		return rows[b] - rows[a]
	})
	names = names[:min(len(names), s.args.Int("n_top_classes"))]
	charts := make(map[string]*engine.BarChart)
	var order []string
	g := engine.Grid{Columns: []string{"Metric", "Class", "Train", "Test", "Train samples", "Test samples"}}
	for i := range half {
		a, b := v.List[i], v.List[half+i]
		name := a.Class.String()
		if a.Class.IsNull() {
			name = "all"
		} else if !slices.Contains(names, name) {
			continue
		}
		chart := charts[a.Metric]
		if chart == nil {
			chart = &engine.BarChart{Title: a.Metric, Series: []string{"Train", "Test"}}
			charts[a.Metric], order = chart, append(order, a.Metric)
		}
		chart.Groups = append(chart.Groups, engine.BarGroup{Label: name, Values: []float64{a.Value, b.Value}})
		g.Rows = append(g.Rows, []any{a.Metric, name, a.Value, b.Value, a.Rows, b.Rows})
	}
	var out []engine.Display
	for _, m := range order {
		out = append(out, *charts[m])
	}
	return append(out, engine.TableView{Title: "Scores", Grid: g})
}

func confusionMatrix() *engine.Definition {
	of := tabular("ConfusionMatrixReport")
	return &engine.Definition{
		ID:      "ConfusionMatrixReport",
		Summary: "Counts, for each true class, what the model took its texts for.",
		Formula: of.Formula,
		Scope:   engine.SingleDataset, Predictions: true,
		Params:     slices.Concat(without(of.Params, "n_samples", "random_state"), sampleParams(manyTexts)),
		Conditions: of.Conditions, Defaults: of.Defaults,
		New: func(a engine.Args, _ engine.Mode) (engine.Check, error) {
			return single{"ConfusionMatrixReport", a}, nil
		},
	}
}

func singlePerformance() *engine.Definition {
	of := tabular("SingleDatasetPerformance")
	return &engine.Definition{
		ID:      "SingleDatasetPerformance",
		Summary: "Scores the model on one set of texts.",
		Formula: of.Formula,
		Scope:   engine.SingleDataset, Predictions: true,
		Params:     slices.Concat(without(of.Params, "n_samples", "random_state"), sampleParams(manyTexts)),
		Conditions: of.Conditions, Defaults: of.Defaults,
		New: func(a engine.Args, _ engine.Mode) (engine.Check, error) {
			return single{"SingleDatasetPerformance", a}, nil
		},
	}
}

// single is a check of tables on labels and predictions of one set of texts.
type single struct {
	id   string
	args engine.Args
}

func (s single) ID() string { return s.id }

func (s single) Run(ctx context.Context, c *engine.Context) (engine.Result, error) {
	if err := only(c, text.Classification); err != nil {
		return engine.Result{}, err
	}
	if err := oneLabel(c); err != nil {
		return engine.Result{}, err
	}
	data, pred, err := classification(c, c.Side(), s.args)
	if err != nil {
		return engine.Result{}, err
	}
	in := engine.Inputs{Train: data, TrainPredictions: pred, Classes: c.Classes()}
	in.Task = taskOf(c, in)
	def := tabular(s.id)
	params := shared(s.args, def)
	params["n_samples"] = nil
	return borrowed(ctx, c, def, params, in)
}

// tally compares the entities, or labels, that texts have with those predicted.
func tally(s *text.Set, rows []int32) map[string]*stats.Tally {
	out := make(map[string]*stats.Tally)
	at := func(kind string) *stats.Tally {
		if out[kind] == nil {
			out[kind] = &stats.Tally{}
		}
		return out[kind]
	}
	for _, r := range rows {
		truth, guess := answersOf(s, r)
		for _, x := range truth {
			if slices.Contains(guess, x) {
				at(x.kind).TP++
			} else {
				at(x.kind).FN++
			}
		}
		for _, x := range guess {
			if !slices.Contains(truth, x) {
				at(x.kind).FP++
			}
		}
	}
	return out
}

// answersOf are what is compared of a text: its entities, or its labels.
func answersOf(s *text.Set, r int32) (truth, guess []span) {
	if s.Tags != nil {
		return spansOf(s.Tags[r]), spansOf(s.PredictedTags[r])
	}
	for _, l := range s.Multi[r] {
		truth = append(truth, span{kind: l})
	}
	for _, l := range s.PredictedLabels(int(r)) {
		guess = append(guess, span{kind: l})
	}
	return truth, guess
}

// span is an entity: its kind, its first token and the one behind its last.
type span struct {
	kind       string
	begin, end int
}

// spansOf lists the entities that tags in IOB notation mark: one begins at B-,
// and at an I- that goes on with none of its kind.
func spansOf(tags []string) []span {
	var out []span
	open := false
	for i, tag := range tags {
		kind := entity(tag)
		inside := len(tag) > 2 && tag[:2] == "I-" && open && out[len(out)-1].kind == kind
		switch {
		case inside:
			out[len(out)-1].end = i + 1
		case tag == "O" || tag == "":
			open = false
		default:
			out, open = append(out, span{kind, i, i + 1}), true
		}
	}
	return out
}

// fewSamples is how many texts a search for segments needs.
const fewSamples = 10

func tooFew(n int) error {
	return engine.Errorf(engine.NotEnoughSamples, "There are not enough samples to run this check, found only %d samples.", n)
}
