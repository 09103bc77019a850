package vision

import (
	"context"
	"math"
	"slices"
	"strings"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/format"
	"aloft/tasks/check/frame"
	"aloft/tasks/check/images"
	"aloft/tasks/check/model"
	"aloft/tasks/check/stats"
	"aloft/tasks/check/vision/detect"
)

// weakProperties is how many properties are paired.
const weakProperties = 5

func weakSegments() *engine.Definition {
	var conditions []engine.ConditionDef
	var defaults []engine.Use
	if def := tabularWeak(); def != nil {
		conditions, defaults = def.Conditions, def.Defaults
	}
	return &engine.Definition{
		ID:      "WeakSegmentsPerformance",
		Summary: "Searches for images, bounded by one or two of their properties, on which the model is much worse than on the rest: the dark ones, the large ones.",
		Formula: "That of WeakSegmentsPerformance of tables, on the first n_top_features properties and a score of each image: of classification `ln(p + 1e-15)` of the true class's probability; of detection the mean over the predicted boxes of the largest IoU with a labelled box of the same class; of segmentation the mean Dice of the classes in the label. The score of a segment is the mean of its images' scores.",
		Differs: "a segment says how many images it has; deepchecks lists the number of each. Where no segment is found the check is skipped; there, it fails.",
		Scope:   engine.SingleDataset, Predictions: true,
		Params: []engine.Param{
			propertiesParam("image_properties", "images"),
			{Name: "n_top_features", Type: engine.IntParam, Default: weakProperties, Min: 2, Max: 1000, Doc: "properties to pair, the first ones"},
			count("n_to_show", 3, "segments to draw"),
			{Name: "segment_minimum_size_ratio", Type: engine.FloatParam, Default: 0.05, Min: 0, Max: 0.5, Doc: "smallest segment, as a share of the images"},
			{Name: "max_categories_weak_segment", Type: engine.IntParam, Min: 1, Max: math.MaxFloat64, Doc: "most categories of a property in one segment; null means any number"},
			sampleParam(),
			fraction("categorical_aggregation_threshold", 0.05, "categories with a smaller share of the images are taken together"),
			{Name: "multiple_segments_per_property", Type: engine.BoolParam, Default: true, Doc: "list a property more than once"},
			seedParam(),
		},
		Conditions: conditions, Defaults: defaults,
		New: func(a engine.Args, m engine.Mode) (engine.Check, error) { return weakCheck{a}, nil },
	}
}

// tabularWeak is the check of tables.
func tabularWeak() *engine.Definition {
	for _, d := range model.Checks() {
		if d.ID == "WeakSegmentsPerformance" {
			return d
		}
	}
	return nil
}

type weakCheck struct{ args engine.Args }

func (weakCheck) ID() string { return "WeakSegmentsPerformance" }

func (w weakCheck) Run(ctx context.Context, c *engine.Context) (engine.Result, error) {
	if err := known(c); err != nil {
		return engine.Result{}, err
	}
	properties, err := imageProperties(c, c.Side(), w.args)
	if err != nil {
		return engine.Result{}, err
	}
	if len(properties) < 2 {
		return engine.Result{}, engine.Errorf(engine.NotSupported, "Check requires at least two properties in order to run.")
	}
	properties = properties[:min(len(properties), w.args.Int("n_top_features"))]
	list, err := judged(c, c.Side(), w.args)
	if err != nil {
		return engine.Result{}, err
	}
	rows, scores := make([]*images.Record, 0, len(list.at)), make([]float64, 0, len(list.at))
	scored := sample{set: list.set, which: list.which}
	for i := range list.at {
		r := list.record(i)
		score, err := imageScore(c.ImageTask(), r)
		if err != nil {
			return engine.Result{}, err
		}
		if !math.IsNaN(score) {
			rows, scores, scored.at = append(rows, r), append(scores, score), append(scored.at, list.at[i])
		}
	}
	if len(rows) == 0 {
		return engine.Result{}, noSegments(c)
	}
	// The check of tables looks at rows in the order of a permutation: they are
	// put where it finds them in their own.
	places := stats.Permutation(len(rows), uint32(w.args.Int("random_state")))
	placed, values, origin := make([]*images.Record, len(rows)), make([]float64, len(rows)), make([]int, len(rows))
	for i, at := range places {
		placed[at], values[at], origin[at] = rows[i], scores[i], i
	}
	label := frame.NewFloats(labelColumn, values)
	data, err := table(string(c.Side().Which), properties, placed, label)
	if err != nil {
		return engine.Result{}, err
	}
	params := map[string]any{
		"score_per_sample": labelColumn, "n_top_features": w.args["n_top_features"], "n_samples": nil,
		"multiple_segments_per_feature": w.args["multiple_segments_per_property"],
		"list_rows":                     true,
	}
	for _, same := range []string{"n_to_show", "segment_minimum_size_ratio", "max_categories_weak_segment", "categorical_aggregation_threshold", "random_state"} {
		params[same] = w.args[same]
	}
	result, err := borrowed(ctx, c, tabularWeak(), params, engine.Inputs{
		Train: data, TrainPredictions: &engine.Predictions{Labels: label}, Task: engine.Regression,
	})
	if err != nil {
		if strings.HasPrefix(err.Error(), "WeakSegmentsPerformance was unable") {
			err = noSegments(c)
		}
		return engine.Result{}, err
	}
	found, ok := result.Value.(model.Segments)
	if !ok {
		return engine.Result{}, engine.Errorf(engine.Internal, "the segments are a %T", result.Value)
	}
	found.Measure = map[images.Task]string{images.Classification: "Cross Entropy", images.ObjectDetection: "Mean IoU", images.Segmentation: "Dice"}[c.ImageTask()]
	for _, s := range found.List {
		for k, at := range s.Rows {
			s.Rows[k] = origin[at]
		}
	}
	displays := w.displays(scored, scores, found)
	for _, s := range found.List {
		for k, i := range s.Rows {
			s.Rows[k] = scored.at[i]
		}
	}
	value := found
	if c.Mode() != engine.Deepchecks {
		value = found.Counted()
	}
	return engine.Result{Value: value, Displays: displays}, nil
}

// noSegments is the error where no tree finds a weak segment. It is no fault of
// the data: only as deepchecks does it does it count as one.
func noSegments(c *engine.Context) error {
	if c.Mode() != engine.Deepchecks {
		return &engine.Error{
			Class: engine.ProcessError, Cause: engine.Irrelevant,
			Message: "No weak segment was found: no property tells images on which the model is worse from the others. More images or properties may.",
		}
	}
	return engine.Errorf(engine.ProcessError, "WeakSegmentsPerformance was unable to train an error model to find weak segments. Try increasing n_samples or supply additional properties.")
}

// imageScore scores the prediction of one image, greater is better; NaN when
// there is nothing to score.
func imageScore(task images.Task, r *images.Record) (float64, error) {
	switch task {
	case images.Classification:
		if r.Class < 0 || r.Class >= len(r.Proba) {
			return 0, engine.Errorf(engine.ValueError, "the label %d of the image %s has no probability: the predictions hold %d", r.Class, r.ID, len(r.Proba))
		}
		const least = 1e-15
		return math.Log(r.Proba[r.Class] + least), nil
	case images.ObjectDetection:
		return detect.MeanIoU(r.Boxes, r.Predicted), nil
	default:
		return detect.MeanDice(r.Areas, r.PredictedArea, r.Overlaps), nil
	}
}

// displays draws the weakest segments and shows their worst images.
func (w weakCheck) displays(list sample, scores []float64, v model.Segments) []engine.Display {
	chart := engine.BarChart{Title: v.Measure + " of the weakest segments", Series: []string{"segment", "all images"}}
	g := engine.Grid{Columns: []string{v.Measure, "Segment", "% of Data", "Images"}}
	for i, s := range v.List {
		if i < w.args.Int("n_to_show") {
			chart.Groups = append(chart.Groups, engine.BarGroup{Label: s.String(), Values: []float64{s.Score, v.Average}})
		}
		g.Rows = append(g.Rows, []any{s.Score, s.String(), s.Share, len(s.Rows)})
	}
	var out []engine.Display
	if len(chart.Groups) > 0 {
		out = append(out, chart)
	}
	out = append(out, engine.TableView{Title: "Weak segments", Grid: g})
	const most = 6
	worst := gallery{sample: list, title: "Worst predictions of the weakest segment", most: most, guesses: true}
	rows := slices.Clone(v.List[0].Rows)
	slices.SortStableFunc(rows, func(a, b int) int {
		switch {
		case scores[a] < scores[b]:
			return -1
		case scores[a] > scores[b]:
			return 1
		}
		return 0
	})
	for _, i := range rows {
		worst.add(i, strings.ToLower(v.Measure)+" "+format.Number(scores[i])+answerCaption(list.set, list.record(i)))
	}
	return worst.show(out)
}

// answerCaption tells label and prediction of a classification.
func answerCaption(set *images.Set, r *images.Record) string {
	if set.Task != images.Classification || !r.HasLabel || len(r.Proba) == 0 {
		return ""
	}
	k := best(r.Proba)
	return ", label " + set.ClassName(r.Class) + ", predicted " + set.ClassName(k) + " (" + format.Percent(r.Proba[k]) + ")"
}
