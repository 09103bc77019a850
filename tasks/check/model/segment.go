package model

import (
	"context"
	"math"
	"slices"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/nearest"
)

func segmentPerformance() *engine.Definition {
	return &engine.Definition{
		ID:      "SegmentPerformance",
		Summary: "Scores the model in each cell of two features. WeakSegmentsPerformance finds the worst cells by itself.",
		Formula: "Both features are divided into at most max_segments parts: numbers at their quantiles, categories one by one until nine tenths of the rows are covered. Each cell is scored on its own rows.",
		Scope:   engine.SingleDataset, Predictions: true,
		Params: slices.Concat([]engine.Param{
			{Name: "feature_1", Type: engine.TextParam, Doc: "the first feature; null means the most important one"},
			{Name: "feature_2", Type: engine.TextParam, Doc: "the second feature; null means the next one"},
			{Name: "max_segments", Type: engine.IntParam, Default: 10, Min: 1, Max: 1000, Doc: "parts of each feature, at most"},
			{Name: "alternative_scorer", Type: engine.NamesParam, Doc: "the measure; null means accuracy, or for regression the negative RMSE"},
		}, engine.SampleParams(largeSample)),
		New: func(a engine.Args, m engine.Mode) (engine.Check, error) { return segmentCheck{a, m}, nil },
	}
}

type segmentCheck struct {
	args engine.Args
	mode engine.Mode
}

// Cells is the value of SegmentPerformance.
type Cells struct {
	Feature1, Feature2 string
	Scores             [][]float64 // NaN for cells without rows
	Counts             [][]int
}

// Encode returns both matrices.
func (v Cells) Encode() any {
	scores, counts := make([]any, len(v.Scores)), make([]any, len(v.Counts))
	for i := range v.Scores {
		scores[i] = floats(v.Scores[i])
		row := make([]any, len(v.Counts[i]))
		for j, n := range v.Counts[i] {
			row[j] = n
		}
		counts[i] = row
	}
	return engine.Object{
		{Key: "scores", Value: scores}, {Key: "counts", Value: counts},
		{Key: "feature_1", Value: v.Feature1}, {Key: "feature_2", Value: v.Feature2},
	}
}

func (segmentCheck) ID() string { return "SegmentPerformance" }

func (s segmentCheck) Run(ctx context.Context, c *engine.Context) (engine.Result, error) {
	side := c.Side()
	features, err := s.features(ctx, c)
	if err != nil {
		return engine.Result{}, err
	}
	e, err := evaluate(c, side, s.args)
	if err != nil {
		return engine.Result{}, err
	}
	sc, err := chosenScorer(s.args.Names("alternative_scorer"), c.Task(), s.mode)
	if err != nil {
		return engine.Result{}, err
	}
	if err := sc.ready(e, side.Which); err != nil {
		return engine.Result{}, err
	}
	var by [2]parts
	for i, f := range features {
		by[i] = partition(side.Data.Column(f), e.rowIDs, slices.Contains(side.Data.CategoricalFeatures(), f), s.args.Int("max_segments"))
	}
	value := Cells{Feature1: features[0], Feature2: features[1]}
	heat := engine.Heatmap{Title: sc.shown + " by segment", RowName: features[0], ColName: features[1], Rows: by[0].labels, Cols: by[1].labels}
	for a := range by[0].labels {
		scores, counts := make([]float64, len(by[1].labels)), make([]int, len(by[1].labels))
		for b := range by[1].labels {
			var rows []int32
			for i := range e.rowIDs {
				if by[0].of[i] == int32(a) && by[1].of[i] == int32(b) {
					rows = append(rows, int32(i))
				}
			}
			scores[b], counts[b] = math.NaN(), len(rows)
			if len(rows) > 0 {
				scores[b] = sc.score(e.take(rows))[0]
			}
		}
		value.Scores, value.Counts = append(value.Scores, scores), append(value.Counts, counts)
		heat.Values = append(heat.Values, scores)
	}
	return engine.Result{Value: value, Displays: []engine.Display{heat}}, nil
}

// features are the two given, or the most important ones in their place.
func (s segmentCheck) features(ctx context.Context, c *engine.Context) ([2]string, error) {
	var out [2]string
	all, err := c.Side().Features()
	if err != nil {
		return out, err
	}
	usable := slices.DeleteFunc(slices.Clone(all), func(f string) bool {
		return !slices.Contains(c.Side().Data.CategoricalFeatures(), f) && !slices.Contains(c.Side().Data.NumericalFeatures(), f)
	})
	importance, err := c.Importance(ctx)
	if err != nil {
		return out, err
	}
	usable = importance.Order(usable)
	for i, param := range []string{"feature_1", "feature_2"} {
		out[i] = s.args.Text(param)
		if out[i] != "" && !slices.Contains(all, out[i]) {
			return out, engine.Errorf(engine.ValueError, "%s must name a feature, there is no %q%s", param, out[i], nearest.Hint(out[i], all))
		}
	}
	for i := range out {
		for _, f := range usable {
			if out[i] == "" && f != out[1-i] {
				out[i] = f
			}
		}
	}
	switch {
	case out[0] == "" || out[1] == "":
		return out, engine.Errorf(engine.DatasetValidation, "Dataset must have at least 2 features")
	case out[0] == out[1]:
		return out, engine.Errorf(engine.ValueError, "feature_1 must be different than feature_2")
	}
	return out, nil
}
