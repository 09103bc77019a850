package vision

import (
	"context"
	"fmt"
	"slices"

	"aloft/tasks/check/drift"
	"aloft/tasks/check/engine"
	"aloft/tasks/check/format"
	"aloft/tasks/check/split"
)

func imageDatasetDrift() *engine.Definition {
	shown := without(drift.Params(false, false)[3:5])
	return &engine.Definition{
		ID:      "ImageDatasetDrift",
		Summary: "Measures how well a classifier can tell test images from train images by their properties: drift that no single property shows.",
		Formula: "That of MultivariateDrift of tables, on the properties of the images: a classifier (10 gradient boosted trees of depth 2) learns on 70 % of as many images of each side and is judged on the rest: `score = max(2·AUC − 1, 0)`.",
		Differs: "importance is always computed; there, it is left out when it would take long.",
		Scope:   engine.TrainTest,
		Params: slices.Concat([]engine.Param{
			propertiesParam("image_properties", "images"),
			count("n_top_properties", 3, "properties to show"),
			fraction("min_feature_importance", 0.05, "importance that a property needs to be shown"),
			{Name: "test_size", Type: engine.FloatParam, Default: 0.3, Min: 0.001, Max: 0.999, Doc: "share of the images by which the classifier is judged"},
			fraction("min_meaningful_drift_score", 0.05, "score from which properties are shown"),
		}, shown, []engine.Param{sampleParam(), seedParam()}),
		Conditions: []engine.ConditionDef{{
			ID:     "drift_score_less_than",
			Params: []engine.Param{fraction("threshold", 0.1, "score that must not be reached")},
			New:    datasetDriftLess,
		}},
		New: func(a engine.Args, _ engine.Mode) (engine.Check, error) { return datasetDriftCheck{a}, nil },
	}
}

type datasetDriftCheck struct{ args engine.Args }

func (datasetDriftCheck) ID() string { return "ImageDatasetDrift" }

func (d datasetDriftCheck) Run(ctx context.Context, c *engine.Context) (engine.Result, error) {
	properties, err := imageProperties(c, c.Train(), d.args)
	if err != nil {
		return engine.Result{}, err
	}
	train, err := table("train", properties, pointers(records(c.Train(), d.args)), nil)
	if err != nil {
		return engine.Result{}, err
	}
	test, err := table("test", properties, pointers(records(c.Test(), d.args)), nil)
	if err != nil {
		return engine.Result{}, err
	}
	params := map[string]any{"n_top_columns": d.args["n_top_properties"], "n_samples": nil}
	for _, same := range []string{"min_feature_importance", "test_size", "min_meaningful_drift_score", "max_num_categories_for_display", "show_categories_by", "random_state"} {
		params[same] = d.args[same]
	}
	for _, def := range split.Checks() {
		if def.ID == "MultivariateDrift" {
			result, err := borrowed(ctx, c, def, params, engine.Inputs{Train: train, Test: test})
			result.Displays = ofImages(result.Displays)
			return result, err
		}
	}
	return engine.Result{}, engine.Errorf(engine.Internal, "there is no check MultivariateDrift")
}

// usualLimit is the score from which drift of images is worth a look.
const usualLimit = 0.1

// ofImages puts images and properties where displays speak of tables and
// features.
func ofImages(displays []engine.Display) []engine.Display {
	for i, d := range displays {
		switch d := d.(type) {
		case engine.Gauge:
			d.Title, d.Limit = "Drift of all properties together", usualLimit
			displays[i] = d
		case engine.BarChart:
			if d.Unit == "" {
				d.Title = "What tells the images apart"
			}
			displays[i] = d
		}
	}
	return displays
}

func datasetDriftLess(r engine.Request) (engine.Condition, error) {
	limit := r.Args.Float("threshold")
	return engine.Condition{
		Name: "Drift score is less than " + format.Param(limit),
		Judge: engine.Judge(func(v split.DomainDrift) (engine.Verdict, string, error) {
			return verdict(v.Score < limit), fmt.Sprintf("Found drift score of %s, corresponding to a domain classifier AUC of %s", format.Number(v.Score), format.Number(v.AUC)), nil
		}),
	}, nil
}
