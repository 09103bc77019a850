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

func weakSegments() *engine.Definition {
	return &engine.Definition{
		ID:      "WeakSegmentsPerformance",
		Summary: "Searches for parts of the table, bounded by one or two features, in which the model is much worse than on the whole.",
		Formula: "For each pair of the most important features a regression tree (depth 5, leaves of at least segment_minimum_size_ratio of the rows) learns each row's score: `ln(p + 1e-15)` of the true class's probability, or `−(y − ŷ)²`. " +
			"Of trees for the squared and for the absolute error the one with the worse leaf in three folds is taken, and its worst leaf is the segment. Categories enter by the rank of their target encoding.",
		Differs: "a segment says how many rows it has; deepchecks lists the number of each row, as `list_rows` does here.",
		Scope:   engine.SingleDataset, Predictions: true,
		Params: slices.Concat(engine.ColumnParams(), []engine.Param{
			{Name: "n_top_features", Type: engine.IntParam, Default: 10, Min: 2, Max: 1000, Doc: "features to pair, the most important ones"},
			{Name: "segment_minimum_size_ratio", Type: engine.FloatParam, Default: 0.05, Min: 0, Max: 0.5, Doc: "smallest segment, as a share of the rows"},
			{Name: "max_categories_weak_segment", Type: engine.IntParam, Min: 1, Max: math.MaxFloat64, Doc: "most categories of a feature in one segment; null means any number"},
			{Name: "alternative_scorer", Type: engine.NamesParam, Doc: "the measure of a segment; null means accuracy, or for regression the negative RMSE"},
			{Name: "loss_per_sample", Type: engine.TextParam, CompatOnly: true, Doc: "accepted; has no effect"},
			{Name: "score_per_sample", Type: engine.TextParam, Doc: "a column that holds each row's score, to use in place of the model's"},
			{Name: "categorical_aggregation_threshold", Type: engine.FloatParam, Default: 0.05, Min: 0, Max: 1, Doc: "categories with a smaller share of the rows are taken together"},
			{Name: "n_to_show", Type: engine.IntParam, Default: 3, Min: 0, Max: math.MaxFloat64, Doc: "segments to draw"},
			{Name: "multiple_segments_per_feature", Type: engine.BoolParam, Default: true, Doc: "list a feature more than once"},
			{Name: "list_rows", Type: engine.BoolParam, Default: false, Doc: "list the numbers of a segment's rows in the value, not only how many there are"},
		}, engine.SampleParams(10_000)),
		Conditions: []engine.ConditionDef{{
			ID: "segments_relative_performance_greater_than",
			Params: []engine.Param{{
				Name: "max_ratio_change", Type: engine.FloatParam, Default: 0.2, Min: 0, Max: 1,
				Doc: "largest loss of a segment against the whole, as a share of the latter",
			}},
			New: segmentsGreater,
		}},
		Defaults: []engine.Use{{ID: "segments_relative_performance_greater_than"}},
		New:      func(a engine.Args, m engine.Mode) (engine.Check, error) { return weakCheck{a, m}, nil },
	}
}

type weakCheck struct {
	args engine.Args
	mode engine.Mode
}

// Bound limits one feature of a segment: Low < value ≤ High, or the
// categories.
type Bound struct {
	Feature    string
	Low, High  float64
	Categories []frame.Value // nil for numbers
}

func (b Bound) encode() any {
	if b.Categories == nil {
		return []any{b.Low, b.High}
	}
	out := make([]any, len(b.Categories))
	for i, c := range b.Categories {
		out[i] = c.Native()
	}
	return out
}

// String names the rows within the bound: "age > 3".
func (b Bound) String() string {
	if b.Categories != nil {
		parts := make([]string, len(b.Categories))
		for i, c := range b.Categories {
			parts[i] = c.String()
		}
		return b.Feature + " in " + format.Shorten(parts)
	}
	switch {
	case math.IsInf(b.Low, -1):
		return b.Feature + " ≤ " + format.Number(b.High)
	case math.IsInf(b.High, 1):
		return b.Feature + " > " + format.Number(b.Low)
	}
	return fmt.Sprintf("%s in (%s, %s]", b.Feature, format.Number(b.Low), format.Number(b.High))
}

// Segment is a weak part of the table.
type Segment struct {
	Score  float64
	Bounds []Bound // one or two
	Share  float64 // percent of the rows
	Rows   []int   // row numbers
	place  int     // among all segments found, by score
}

// String names the segment by its bounds.
func (s Segment) String() string {
	parts := make([]string, len(s.Bounds))
	for i, b := range s.Bounds {
		parts[i] = b.String()
	}
	return strings.Join(parts, ", ")
}

// Segments is the value of WeakSegmentsPerformance.
type Segments struct {
	Measure string // the name of the score
	Average float64
	List    []Segment // worst first
	ids     bool      // rows are listed, not counted
}

// Encode returns the segments as a table, and the average.
func (s Segments) Encode() any {
	g := engine.Grid{Columns: []string{s.Measure, "Feature1", "Feature1 Range", "Feature2", "Feature2 Range", "% of Data", "Samples in Segment"}}
	for _, x := range s.List {
		row := []any{x.Score, x.Bounds[0].Feature, x.Bounds[0].encode(), "", nil, x.Share, len(x.Rows)}
		if len(x.Bounds) > 1 {
			row[3], row[4] = x.Bounds[1].Feature, x.Bounds[1].encode()
		}
		if s.ids {
			ids := make([]any, len(x.Rows))
			for i, r := range x.Rows {
				ids[i] = r
			}
			row[6] = ids
		}
		g.Index, g.Rows = append(g.Index, x.place), append(g.Rows, row)
	}
	return engine.Object{{Key: "weak_segments_list", Value: g}, {Key: "avg_score", Value: s.Average}}
}

func (weakCheck) ID() string { return "WeakSegmentsPerformance" }

func (w weakCheck) Run(ctx context.Context, c *engine.Context) (engine.Result, error) {
	if c.Task() != engine.Regression && w.args.IsNull("score_per_sample") {
		if _, err := c.Side().Probabilities(); err != nil {
			return engine.Result{}, err
		}
	}
	d, err := w.prepare(ctx, c)
	if err != nil {
		return engine.Result{}, err
	}
	found, err := d.search(ctx)
	if err != nil {
		return engine.Result{}, err
	}
	list := w.choose(found, d)
	if len(list) == 0 {
		return engine.Result{}, engine.Errorf(engine.ProcessError,
			"WeakSegmentsPerformance was unable to train an error model to find weak segments. Try increasing n_samples or supply additional features.")
	}
	value := Segments{Measure: d.measure.shown, Average: math.RoundToEven(d.measure.all(d.rows)*1000) / 1000, List: list, ids: w.mode == engine.Deepchecks || w.args.Bool("list_rows")}
	return engine.Result{Value: value, Displays: w.displays(value)}, nil
}

// choose sorts what was found and drops segments over the same features, and
// others by the parameters.
func (w weakCheck) choose(found []Segment, d *weakData) []Segment {
	scores := make([]float64, len(found))
	for i, s := range found {
		scores[i] = s.Score
	}
	limit, repeat := w.args.Int("max_categories_weak_segment"), w.args.Bool("multiple_segments_per_feature")
	var out []Segment
	used, seen := make(map[string]bool), make(map[[2]string]bool)
	first := sortedAs(scores)
	for i, at := range first {
		scores[i] = found[at].Score
	}
	for _, place := range sortedAs(scores) { // there the list is sorted twice, which moves equal scores once more
		s := found[first[place]]
		s.place = int(place)
		key := [2]string{s.Bounds[0].Feature}
		if len(s.Bounds) > 1 {
			key[1] = s.Bounds[1].Feature
		}
		if !repeat && (used[key[0]] || used[key[1]]) {
			continue
		}
		if limit > 0 && !d.narrow(&s, limit) {
			continue
		}
		if seen[key] {
			continue
		}
		seen[key] = true
		for _, b := range s.Bounds {
			used[b.Feature] = true
		}
		if !repeat { // there, the list is numbered anew then
			s.place = len(out)
		}
		out = append(out, s)
	}
	return out
}

func (w weakCheck) displays(v Segments) []engine.Display {
	chart := engine.BarChart{Title: v.Measure + " of the weakest segments", Series: []string{"segment", "whole table"}}
	g := engine.Grid{Columns: []string{v.Measure, "Segment", "% of Data", "Rows"}}
	for i, s := range v.List {
		if i < w.args.Int("n_to_show") {
			chart.Groups = append(chart.Groups, engine.BarGroup{Label: s.String(), Values: []float64{s.Score, v.Average}})
		}
		g.Rows = append(g.Rows, []any{s.Score, s.String(), s.Share, len(s.Rows)})
	}
	out := []engine.Display{engine.TableView{Title: "Weak segments", Grid: g}}
	if len(chart.Groups) > 0 {
		out = append([]engine.Display{chart}, out...)
	}
	return out
}

func segmentsGreater(r engine.Request) (engine.Condition, error) {
	limit := r.Args.Float("max_ratio_change")
	return engine.Condition{
		Name: fmt.Sprintf("The relative performance of weakest segment is greater than %s of average model performance.", format.Percent(1-limit)),
		Judge: engine.Judge(func(v Segments) (engine.Verdict, string, error) {
			worst := v.List[0].Score
			details := fmt.Sprintf("Found a segment with %s of %s in comparison to an average score of %s in sampled data.",
				strings.ToLower(v.Measure), format.NumberTo(worst, 3), format.NumberTo(v.Average, 3))
			ok := false
			switch {
			case v.Average > 0:
				ok = worst > (1-limit)*v.Average
			case v.Average < 0:
				ok = worst > (1+limit)*v.Average
			}
			if ok {
				return engine.Pass, details, nil
			}
			return engine.Warn, details, nil
		}),
	}, nil
}

// Counted returns the segments without the lists of their rows, for a result
// that tells only how many there are.
func (s Segments) Counted() Segments {
	s.ids = false
	return s
}
