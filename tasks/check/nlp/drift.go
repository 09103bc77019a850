package nlp

import (
	"context"
	"fmt"
	"slices"

	"aloft/tasks/check/drift"
	"aloft/tasks/check/engine"
	"aloft/tasks/check/frame"
	"aloft/tasks/check/stats"
	"aloft/tasks/check/text"
)

const rareDiffers = "categories with less than `min_category_size_ratio` of the train texts are counted together as one category. There, that category is dropped when it too is rare, with all its texts."

func propertyDrift() *engine.Definition {
	params := drift.Params(false, true)
	for i := range params {
		if params[i].Name == "min_samples" {
			params[i].Default = 100
		}
	}
	return &engine.Definition{
		ID:         "PropertyDrift",
		Summary:    "Measures for each property of the texts, such as their length, how far its distribution in the test texts has moved from that in the train texts.",
		Formula:    "That of FeatureDrift of tables, on the properties.",
		Differs:    rareDiffers,
		Scope:      engine.TrainTest,
		Params:     slices.Concat(properties().params(), []engine.Param{count("n_top_properties", 5, "properties to show")}, params, sampleParams(driftTexts)),
		Conditions: []engine.ConditionDef{drift.Less("column", "columns", "", 0.2, 0.2)},
		Defaults:   []engine.Use{{ID: "drift_score_less_than"}},
		New: func(a engine.Args, m engine.Mode) (engine.Check, error) {
			_, err := drift.FromArgs(a, m)
			return propertyMoves{a}, err
		},
	}
}

type propertyMoves struct{ args engine.Args }

func (propertyMoves) ID() string { return "PropertyDrift" }

func (p propertyMoves) Run(ctx context.Context, c *engine.Context) (engine.Result, error) {
	names, err := properties().choose(c, c.Train(), p.args)
	if err != nil {
		return engine.Result{}, err
	}
	others, err := properties().choose(c, c.Test(), p.args)
	if err != nil {
		return engine.Result{}, err
	}
	both := slices.DeleteFunc(slices.Clone(names), func(n string) bool { return !slices.Contains(others, n) })
	if len(both) == 0 {
		return engine.Result{}, engine.Errorf(engine.DatasetValidation, "train and test texts have no property in common")
	}
	for _, n := range slices.Concat(names, others) {
		if !slices.Contains(both, n) {
			c.Note(fmt.Sprintf("the property %q is there on one side only: its drift is not measured", n))
		}
	}
	train, err := table(c.Train().Texts.Properties, both, c.Train().TextRows(p.args), nil)
	if err != nil {
		return engine.Result{}, err
	}
	test, err := table(c.Test().Texts.Properties, both, c.Test().TextRows(p.args), nil)
	if err != nil {
		return engine.Result{}, err
	}
	def := tabular("FeatureDrift")
	params := shared(p.args, def)
	params["n_samples"], params["sort_feature_by"], params["n_top_columns"] = nil, "drift", p.args["n_top_properties"]
	params["aggregation_method"] = "none"
	out, err := borrowed(ctx, c, def, params, engine.Inputs{Train: train, Test: test})
	if c.Mode() == engine.Deepchecks {
		out.Reduced = nil // there, it has none
	}
	return out, err
}

func labelDrift() *engine.Definition {
	params := without(drift.Params(true, false), "margin_quantile_filter", "numerical_drift_method")
	return &engine.Definition{
		ID:         "LabelDrift",
		Summary:    "Measures how far the distribution of the labels of the test texts has moved from that of the train texts.",
		Formula:    "That of LabelDrift of tables for categories. Of tokens each label counts, without the B- or I- before it; those outside of entities count as O. Of texts with several labels each (multilabel) every label counts.",
		Differs:    rareDiffers,
		Scope:      engine.TrainTest,
		Params:     slices.Concat(params, sampleParams(driftTexts)),
		Conditions: []engine.ConditionDef{drift.LabelLess()},
		Defaults:   []engine.Use{{ID: "drift_score_less_than"}},
		New: func(a engine.Args, m engine.Mode) (engine.Check, error) {
			o, err := drift.FromArgs(a, m)
			return labelMoves{a, o}, err
		},
	}
}

type labelMoves struct {
	args    engine.Args
	options drift.Options
}

func (labelMoves) ID() string { return "LabelDrift" }

func (l labelMoves) Run(_ context.Context, c *engine.Context) (engine.Result, error) {
	if err := only(c, text.Classification, text.Tokens); err != nil {
		return engine.Result{}, err
	}
	var columns [2]*frame.Column
	for i, s := range []*engine.Side{c.Train(), c.Test()} {
		rows := s.TextRows(l.args)
		if _, err := labelled(c, s, rows); err != nil {
			return engine.Result{}, err
		}
		switch {
		case s.Texts.Tags != nil:
			columns[i] = entities(s.Texts.Tags, rows)
		case s.Texts.Multi != nil:
			columns[i] = flat(rows, func(r int32) []string { return s.Texts.Multi[r] })
		default:
			columns[i] = labelOf(s.Texts, rows)
		}
	}
	counts := countsOf(columns, !l.args.Bool("ignore_na") && c.TextTask() == text.Classification && !c.Train().Texts.Multilabel())
	score := l.options.Categories(counts)
	if !score.Measured() {
		return engine.Result{}, drift.TooFew(l.options.MinSamples, "labels")
	}
	out := engine.Result{Value: score, Displays: []engine.Display{drift.ShowScore("Drift of the label", score, 0.15), l.show(counts, score)}}
	if c.Mode() != engine.Deepchecks {
		out.Reduced = engine.Object{{Key: "Label Drift Score", Value: score.Value}}
	}
	return out, nil
}

func (l labelMoves) show(counts drift.Counts, score drift.Score) engine.Display {
	title := fmt.Sprintf("Labels: %s %.3f", score.Method, score.Value)
	return drift.ShowCategories(title, counts, l.args.Int("max_num_categories_for_display"), stats.CategorySort(l.args.Text("show_categories_by")))
}

// countsOf counts the values of two columns.
func countsOf(columns [2]*frame.Column, nulls bool) drift.Counts {
	var rows [2][]int32
	for i, c := range columns {
		rows[i] = make([]int32, c.Len())
		for k := range rows[i] {
			rows[i][k] = int32(k)
		}
	}
	return drift.ColumnCounts(columns[0], columns[1], rows[0], rows[1], nulls)
}

// flat lists all labels of some rows.
func flat(rows []int32, of func(r int32) []string) *frame.Column {
	var out []string
	for _, r := range rows {
		out = append(out, of(r)...)
	}
	return frame.NewTexts(labelColumn, out)
}

// entities lists the entities of all tokens of some rows.
func entities(tags [][]string, rows []int32) *frame.Column {
	return flat(rows, func(r int32) []string {
		out := make([]string, len(tags[r]))
		for i, t := range tags[r] {
			out[i] = entity(t)
		}
		return out
	})
}

func predictionDrift() *engine.Definition {
	return &engine.Definition{
		ID:      "PredictionDrift",
		Summary: "Measures how far the distribution of the model's predictions for the test texts has moved from that for the train texts. It needs no labels.",
		Formula: "That of PredictionDrift of tables. Of tokens each predicted label counts, without the B- or I- before it; of texts with several labels each (multilabel) every label.",
		Differs: "texts are counted by the class predicted. There, all texts of a model of two classes with probabilities are counted for the first. Rare categories are kept, as in LabelDrift.",
		Scope:   engine.TrainTest, Predictions: true,
		Params: slices.Concat(
			without(tabular("PredictionDrift").Params, "n_samples", "random_state", "aggregation_method"), sampleParams(driftTexts)),
		Conditions: []engine.ConditionDef{drift.PredictionLess()},
		Defaults:   []engine.Use{{ID: "drift_score_less_than"}},
		New: func(a engine.Args, m engine.Mode) (engine.Check, error) {
			o, err := drift.FromArgs(a, m)
			return predictionMoves{a, o}, err
		},
	}
}

type predictionMoves struct {
	args    engine.Args
	options drift.Options
}

func (predictionMoves) ID() string { return "PredictionDrift" }

func (p predictionMoves) Run(ctx context.Context, c *engine.Context) (engine.Result, error) {
	if err := only(c, text.Classification, text.Tokens); err != nil {
		return engine.Result{}, err
	}
	for _, s := range []*engine.Side{c.Train(), c.Test()} {
		if err := predicted(c, s); err != nil {
			return engine.Result{}, err
		}
	}
	if c.TextTask() == text.Tokens || c.Train().Texts.Multilabel() {
		return p.flattened(c)
	}
	def := tabular("PredictionDrift")
	params := shared(p.args, def)
	params["n_samples"] = nil
	in := engine.Inputs{Classes: c.Classes()}
	for i, s := range []*engine.Side{c.Train(), c.Test()} {
		rows := s.TextRows(p.args)
		// The predictions stand for the labels, of which there may be none: they
		// tell how many classes there are.
		a := answers(s.Texts, rows).WithLabels()
		d, err := table(nil, nil, rows, renamed(a.Labels))
		if err != nil {
			return engine.Result{}, err
		}
		if i == 0 {
			in.Train, in.TrainPredictions = d, a
		} else {
			in.Test, in.TestPredictions = d, a
		}
	}
	in.Task = engine.Multiclass
	if n := classes(c, in.TrainPredictions.Labels, in.TestPredictions.Labels); n <= 2 {
		in.Task = engine.Binary
	}
	out, err := borrowed(ctx, c, def, params, in)
	if c.Mode() == engine.Deepchecks {
		out.Reduced = nil // there, it has none
	}
	return out, err
}

// classes counts the classes of the model: those given, or else those that
// occur.
func classes(c *engine.Context, columns ...*frame.Column) int {
	if n := len(c.Classes()); n > 0 {
		return n
	}
	seen := make(map[frame.Value]bool)
	for _, col := range columns {
		for _, v := range col.Levels() {
			seen[v.Key()] = true
		}
	}
	return len(seen)
}

// renamed is a column of texts under the name of the label.
func renamed(c *frame.Column) *frame.Column {
	values := make([]string, c.Len())
	for i := range values {
		if !c.IsNull(i) {
			values[i] = c.Value(i).String()
		}
	}
	return frame.NewTexts(labelColumn, values)
}

// flattened is the drift of all labels predicted: of tokens, or of texts that
// may have several.
func (p predictionMoves) flattened(c *engine.Context) (engine.Result, error) {
	if p.args.Text("drift_mode") == "proba" {
		return engine.Result{}, engine.Errorf(engine.ValueError, "drift_mode proba compares the probabilities of texts with one label each")
	}
	var columns [2]*frame.Column
	for i, s := range []*engine.Side{c.Train(), c.Test()} {
		if s.Texts.PredictedTags != nil {
			columns[i] = entities(s.Texts.PredictedTags, s.TextRows(p.args))
		} else {
			columns[i] = flat(s.TextRows(p.args), func(r int32) []string { return s.Texts.PredictedLabels(int(r)) })
		}
	}
	counts := countsOf(columns, false)
	score := p.options.Categories(counts)
	if !score.Measured() {
		return engine.Result{}, drift.TooFew(p.options.MinSamples, "labels")
	}
	value := drift.Predicted{Method: score.Method, Scores: []float64{score.Value}}
	for i, name := range counts.Names {
		value.Rows = append(value.Rows, engine.Field{Key: name, Value: counts.Train[i] + counts.Test[i]})
	}
	out := engine.Result{Value: value, Displays: []engine.Display{
		drift.ShowScore("Drift of the predictions", score, 0.15),
		drift.ShowCategories("Predicted labels", counts, p.args.Int("max_num_categories_for_display"), stats.CategorySort(p.args.Text("show_categories_by"))),
	}}
	if c.Mode() != engine.Deepchecks {
		out.Reduced = engine.Object{{Key: "Prediction Drift Score", Value: score.Value}}
	}
	return out, nil
}
