package nlp

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/format"
	"aloft/tasks/check/frame"
	"aloft/tasks/check/model"
	"aloft/tasks/check/stats"
	"aloft/tasks/check/text"
)

// weakFormula is what both searches for segments have in common.
const weakFormula = "That of WeakSegmentsPerformance of tables, on "

const segmentDiffers = "a segment says how many texts it has; deepchecks lists the number of each. Of more columns than are paired the first ones are taken, in the order of the table; there, of properties any, which differ from run to run. Where no segment is found the check is skipped; there, it fails."

// segmentParams are the parameters of a search for segments.
func segmentParams(k columns, n int) []engine.Param {
	top := "n_top_" + k.what
	if k.what == "metadata" {
		top = "n_top_columns"
	}
	return slices.Concat(k.params(), []engine.Param{
		{Name: top, Type: engine.IntParam, Default: 10, Min: 2, Max: 1000, Doc: k.what + " to pair"},
		{Name: "segment_minimum_size_ratio", Type: engine.FloatParam, Default: 0.05, Min: 0, Max: 0.5, Doc: "smallest segment, as a share of the texts"},
		{Name: "max_categories_weak_segment", Type: engine.IntParam, Min: 1, Max: math.MaxFloat64, Doc: "most categories in one segment; null means any number"},
	}, sampleParams(n), []engine.Param{
		fraction("categorical_aggregation_threshold", 0.05, "categories with a smaller share of the texts are taken together"),
		count("n_to_show", 3, "segments to draw"),
		flag(k.repeat, k.repeats, "list a "+k.noun+" more than once"),
	})
}

func segments(k columns) *engine.Definition {
	of := tabular("WeakSegmentsPerformance")
	if k.what == "metadata" {
		k.repeat = "multiple_segments_column"
	}
	return &engine.Definition{
		ID:      k.segments,
		Summary: fmt.Sprintf("Searches for texts, bounded by one or two of their %s, on which the model is much worse than on the whole.", k.what),
		Formula: weakFormula + "the " + k.what + ": a text's score is `ln(p + 1e-15)` of the true class's probability.",
		Differs: segmentDiffers,
		Scope:   engine.SingleDataset, Predictions: true,
		Params: slices.Concat(segmentParams(k, 5000), []engine.Param{
			{Name: "alternative_scorer", Type: engine.NamesParam, Doc: "the measure of a segment; null means accuracy"},
			{Name: "score_per_sample", Type: engine.TextParam, Doc: "a " + k.noun + " that holds each text's score, to use in place of the model's"},
		}),
		Conditions: of.Conditions, Defaults: of.Defaults,
		New: func(a engine.Args, _ engine.Mode) (engine.Check, error) { return weak{k, a}, nil },
	}
}

type weak struct {
	from columns
	args engine.Args
}

func (w weak) ID() string { return w.from.segments }

func (w weak) Run(ctx context.Context, c *engine.Context) (engine.Result, error) {
	if err := only(c, text.Classification); err != nil {
		return engine.Result{}, err
	}
	if err := oneLabel(c); err != nil {
		return engine.Result{}, err
	}
	side := c.Side()
	names, err := w.from.choose(c, side, w.args)
	if err != nil {
		return engine.Result{}, err
	}
	rows := side.TextRows(w.args)
	q := search{from: w.from, args: w.args, names: names}
	if score := w.args.Text("score_per_sample"); score != "" {
		values := w.from.get(side.Texts).Table.Column(score)
		if values == nil || !values.Kind().Numeric() {
			return engine.Result{}, engine.Errorf(engine.ValueError, "score_per_sample must name a %s of numbers, not %q", w.from.noun, score)
		}
		q.scores = values.FloatsOrNaN(rows)
		q.names = slices.DeleteFunc(slices.Clone(names), func(n string) bool { return n == score })
	} else {
		if rows, err = labelled(c, side, rows); err != nil {
			return engine.Result{}, err
		}
		if err := predicted(c, side); err != nil {
			return engine.Result{}, err
		}
	}
	found, err := q.run(ctx, c, rows)
	if err != nil {
		return engine.Result{}, err
	}
	value := found
	if c.Mode() != engine.Deepchecks {
		value = found.Counted()
	}
	return engine.Result{Value: value, Displays: q.displays(side.Texts, found, "the whole")}, nil
}

// search is a search for weak segments.
type search struct {
	from   columns
	args   engine.Args
	names  []string
	scores []float64 // of each row; nil for those of the model
}

// run searches among some rows.
func (q search) run(ctx context.Context, c *engine.Context, rows []int32) (model.Segments, error) {
	none := model.Segments{}
	if len(q.names) < 2 {
		return none, c.MissingInput(fmt.Sprintf("Check requires %s to have at least two columns in order to run.", q.from.what))
	}
	if len(rows) < fewSamples {
		return none, tooFew(len(rows))
	}
	s := c.Side().Texts
	// The check of tables looks at rows in the order of a permutation: they are
	// put where it finds them in their own.
	seed := uint32(q.args.Int("random_state"))
	placed := make([]int32, len(rows))
	place := stats.Permutation(len(rows), seed)
	for i, at := range place {
		placed[at] = rows[i]
	}
	def := tabular("WeakSegmentsPerformance")
	params := shared(q.args, def, "n_to_show", "segment_minimum_size_ratio", "max_categories_weak_segment", "categorical_aggregation_threshold", "random_state", "alternative_scorer")
	params["n_samples"], params["list_rows"], params["multiple_segments_per_feature"] = nil, true, q.args[q.repeat()]
	params["n_top_features"] = q.top()
	in := engine.Inputs{Classes: c.Classes()}
	var err error
	if q.scores == nil {
		in.TrainPredictions = answers(s, placed)
		if in.Train, err = table(q.from.get(s), q.names, placed, labelOf(s, placed)); err != nil {
			return none, err
		}
		in.Task = taskOf(c, in)
	} else {
		values := make([]float64, len(rows))
		for i, at := range place {
			values[at] = q.scores[i]
		}
		label := frame.NewFloats(labelColumn, values)
		params["score_per_sample"] = labelColumn
		in = engine.Inputs{Task: engine.Regression, TrainPredictions: &engine.Predictions{Labels: label}}
		if in.Train, err = table(q.from.get(s), q.names, placed, label); err != nil {
			return none, err
		}
	}
	result, err := borrowed(ctx, c, def, params, in)
	if err != nil {
		if strings.HasPrefix(err.Error(), "WeakSegmentsPerformance was unable") {
			return none, q.nothing(c)
		}
		return none, err
	}
	found, ok := result.Value.(model.Segments)
	if !ok {
		return none, engine.Errorf(engine.Internal, "the segments are a %T", result.Value)
	}
	for i := range found.List {
		list := slices.Clone(found.List[i].Rows)
		for k, at := range list {
			list[k] = int(placed[at])
		}
		found.List[i].Rows = list
	}
	return found, nil
}

// repeat is the parameter that lets a column have several segments.
func (q search) repeat() string {
	for _, name := range []string{"multiple_segments_column", q.from.repeat} {
		if _, ok := q.args[name]; ok {
			return name
		}
	}
	return q.from.repeat
}

// top is how many columns are paired.
func (q search) top() any {
	if v, ok := q.args["n_top_properties"]; ok {
		return v
	}
	return q.args["n_top_columns"]
}

// nothing is the error where no tree finds a weak segment. It is no fault of the
// data: only as deepchecks does it does it count as one.
func (q search) nothing(c *engine.Context) error {
	if c.Mode() != engine.Deepchecks {
		return &engine.Error{
			Class: engine.ProcessError, Cause: engine.Irrelevant,
			Message: "No weak segment was found: no " + q.from.noun + " tells texts that are worse from the others. More texts or " + q.from.what + " may.",
		}
	}
	return engine.Errorf(engine.ProcessError, "WeakSegmentsPerformance was unable to train an error model to find weak segments. Try increasing n_samples or supply additional %s.", q.from.what)
}

// displays draws the weakest segments and shows texts of the weakest.
func (q search) displays(s *text.Set, v model.Segments, whole string) []engine.Display {
	chart := engine.BarChart{Title: v.Measure + " of the weakest segments", Series: []string{"segment", whole}}
	g := engine.Grid{Columns: []string{v.Measure, "Segment", "% of Data", "Texts"}}
	for i, x := range v.List {
		if i < q.args.Int("n_to_show") {
			chart.Groups = append(chart.Groups, engine.BarGroup{Label: x.String(), Values: []float64{x.Score, v.Average}})
		}
		g.Rows = append(g.Rows, []any{x.Score, x.String(), x.Share, len(x.Rows)})
	}
	var out []engine.Display
	if len(chart.Groups) > 0 {
		out = append(out, chart)
	}
	out = append(out, engine.TableView{Title: "Weak segments", Grid: g})
	const most = 5
	worst := engine.Grid{Columns: []string{"Row", "Label", "Predicted", "Text"}}
	cell := func(c *frame.Column, r int) string {
		if c == nil || c.IsNull(r) {
			return ""
		}
		return c.Value(r).String()
	}
	for _, r := range v.List[0].Rows {
		if len(worst.Rows) == most {
			break
		}
		if l, p := cell(s.Label, r), cell(s.Predicted, r); p == "" || l != p {
			worst.Rows = append(worst.Rows, []any{r, l, p, excerpt(s.Texts[r], keptText)})
		}
	}
	if len(worst.Rows) > 0 {
		out = append(out, engine.TableView{Title: "Texts of the weakest segment", Grid: worst})
	}
	return out
}

func underAnnotated(k columns) *engine.Definition {
	of := tabular("WeakSegmentsPerformance")
	var conditions []engine.ConditionDef
	for _, def := range of.Conditions {
		make := def.New
		def.New = func(r engine.Request) (engine.Condition, error) {
			inner, err := make(r)
			return engine.Condition{Name: inner.Name, Judge: engine.Judge(func(v Annotation) (engine.Verdict, string, error) {
				if v.Message != "" {
					return engine.Pass, v.Message, nil
				}
				return inner.Judge(engine.Result{Value: v.Segments})
			})}, err
		}
		conditions = append(conditions, def)
	}
	conditions = append(conditions, engine.ConditionDef{
		ID:     "segments_annotation_ratio_greater_than",
		Params: []engine.Param{fraction("threshold", 0.7, "share of texts with a label that every segment must exceed")},
		New:    enoughLabels,
	})
	return &engine.Definition{
		ID:         k.unannotated,
		Summary:    fmt.Sprintf("Searches for texts, bounded by one or two of their %s, that have labels much less often than the others.", k.what),
		Formula:    weakFormula + "the " + k.what + ": a text's score is 1 with a label and 0 without. It is not searched where more than 95 % of the texts have a label.",
		Differs:    segmentDiffers,
		Scope:      engine.SingleDataset,
		Params:     segmentParams(k, 10_000),
		Conditions: conditions, Defaults: of.Defaults,
		New: func(a engine.Args, _ engine.Mode) (engine.Check, error) { return unlabelled{k, a}, nil },
	}
}

// Annotation is the value of the checks of labels that are missing: segments,
// or a message that tells why none were searched for.
type Annotation struct {
	Message  string
	Segments model.Segments
}

// Encode returns the segments, or the message.
func (v Annotation) Encode() any {
	if v.Message != "" {
		return engine.Object{{Key: "message", Value: v.Message}}
	}
	return v.Segments.Encode()
}

type unlabelled struct {
	from columns
	args engine.Args
}

func (u unlabelled) ID() string { return u.from.unannotated }

// annotated is the share of texts with a label above which segments without are
// not searched for.
const annotated = 0.95

func (u unlabelled) Run(ctx context.Context, c *engine.Context) (engine.Result, error) {
	side := c.Side()
	rows := side.TextRows(u.args)
	if !side.Texts.HasLabels() {
		return engine.Result{}, c.MissingInput(fmt.Sprintf("Check requires labels, but the %s texts have none", side.Which))
	}
	if len(rows) < fewSamples {
		return engine.Result{}, tooFew(len(rows))
	}
	names, err := u.from.choose(c, side, u.args)
	if err != nil {
		return engine.Result{}, err
	}
	scores, sum := make([]float64, len(rows)), 0.0
	for i, r := range rows {
		if side.Texts.Labelled(int(r)) {
			scores[i] = 1
			sum++
		}
	}
	if sum/float64(len(rows)) > annotated {
		// There, the message names a parameter that the check has not.
		message := fmt.Sprintf("Under annotated %s segments check is skipped since your data annotation ratio is > 95.0%%.", u.from.what)
		if c.Mode() == engine.Deepchecks {
			message += " Try increasing the annotation_ratio_threshold parameter."
		}
		return engine.Result{Value: Annotation{Message: message}, Displays: []engine.Display{engine.Note{Text: message}}}, nil
	}
	q := search{from: u.from, args: u.args, names: names, scores: scores}
	found, err := q.run(ctx, c, rows)
	if err != nil {
		return engine.Result{}, err
	}
	found.Measure = "Annotation Ratio"
	value := found
	if c.Mode() != engine.Deepchecks {
		value = found.Counted()
	}
	return engine.Result{Value: Annotation{Segments: value}, Displays: q.displays(side.Texts, found, "all texts")}, nil
}

func enoughLabels(r engine.Request) (engine.Condition, error) {
	limit := r.Args.Float("threshold")
	return engine.Condition{
		Name: fmt.Sprintf("In all segments annotation ratio should be greater than %s.", format.Percent(limit)),
		Judge: engine.Judge(func(v Annotation) (engine.Verdict, string, error) {
			if v.Message != "" {
				return engine.Pass, v.Message, nil
			}
			worst := v.Segments.List[0].Score
			details := "Found a segment with annotation ratio of " + format.NumberTo(worst, 3)
			if worst > limit {
				return engine.Pass, details, nil
			}
			return engine.Warn, details, nil
		}),
	}, nil
}
