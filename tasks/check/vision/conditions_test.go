package vision_test

import (
	"strings"
	"testing"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/images"
	"aloft/tasks/check/vision"
)

// TestConditions judges each check by each of its conditions.
func TestConditions(t *testing.T) {
	t.Parallel()
	sets := map[images.Task][2]*images.Set{}
	for _, task := range tasks() {
		sets[task] = [2]*images.Set{scenery{task: task, n: 120, seed: 1}.build(t), scenery{task: task, n: 100, seed: 2}.build(t)}
	}
	type args = map[string]any
	for _, c := range []struct {
		task    images.Task
		check   string
		id      string
		args    args
		name    string
		verdict engine.Verdict
		details string // how it begins
	}{
		{images.Classification, "ClassPerformance", "test_performance_greater_than", args{"min_score": .1}, "Scores are greater than 0.1", engine.Pass, "Found minimum score for "},
		{images.Classification, "ClassPerformance", "test_performance_greater_than", args{"min_score": .99}, "Scores are greater than 0.99", engine.Fail, "Found 6 scores below threshold.\nFound minimum score for "},
		{images.Segmentation, "ClassPerformance", "train_test_relative_degradation_less_than", args{"threshold": .9}, "Train-Test scores relative degradation is less than 0.9", engine.Pass, "Found max degradation of "},
		{images.ObjectDetection, "ClassPerformance", "class_performance_imbalance_ratio_less_than", args{"score": "Average Recall", "threshold": .9},
			"Relative ratio difference between labels 'Average Recall' score is less than 90%", engine.Pass, "Relative ratio difference between highest and lowest in T"},
		{images.ObjectDetection, "ClassPerformance", "class_performance_imbalance_ratio_less_than", args{"score": "F1"},
			"Relative ratio difference between labels 'F1' score is less than 30%", engine.Broken, ""},
		{images.ObjectDetection, "MeanAveragePrecisionReport", "mean_average_precision_greater_than", args{"min_score": .0}, "Scores are greater than 0", engine.Pass, "Found lowest score of "},
		{images.ObjectDetection, "MeanAveragePrecisionReport", "mean_average_precision_greater_than", args{"min_score": .99}, "Scores are greater than 0.99", engine.Fail, "Found lowest score of "},
		{images.ObjectDetection, "MeanAveragePrecisionReport", "average_mean_average_precision_greater_than", args{"min_score": .99}, "mAP score is greater than 0.99", engine.Fail, "mAP score is: 0."},
		{images.ObjectDetection, "MeanAverageRecallReport", "test_average_recall_greater_than", args{"min_score": .99}, "Scores are greater than 0.99", engine.Fail, "Found lowest score of "},
		{images.Classification, "PredictionDrift", "drift_score_less_than", nil, "categorical drift score < 0.15 and numerical drift score < 0.15 for prediction drift", engine.Pass, "Passed for 1 prediction properties out of 1 prediction properties.\nFound prediction property"},
		{images.ObjectDetection, "LabelDrift", "drift_score_less_than", args{"max_allowed_numeric_score": 0.0}, "categorical drift score < 0.15 and numerical drift score < 0", engine.Fail, "Failed for 2 out of 3 label properties.\nFound 2 numeric label properties with Kolmogorov-Smirnov above threshold: {'Bounding"},
		{images.Classification, "SimpleModelComparison", "gain_greater_than", nil, "Model performance gain over simple model is greater than 10%", engine.Pass, "Found minimal gain of "},
		{images.Classification, "SimpleModelComparison", "gain_greater_than", args{"min_allowed_gain": .999, "classes": []any{1}}, "Model performance gain over simple model is greater than 99.9% for classes [1]", engine.Fail, "Found metrics with gain below threshold: {'F1': {'bee': '"},
		{images.Classification, "SimpleModelComparison", "gain_greater_than", args{"average": true}, "Model performance gain over simple model is greater than 10%", engine.Pass, "Found minimal gain of "},
		{images.Classification, "SimpleModelComparison", "gain_greater_than", args{"average": true, "min_allowed_gain": .999}, "Model performance gain over simple model is greater than 99.9%", engine.Fail, "Found metrics with gain below threshold: {'F1': '"},
		{images.Classification, "WeakSegmentsPerformance", "segments_relative_performance_greater_than", args{"max_ratio_change": 1.0}, "The relative performance of weakest segment is greater than 0% of average model performance.", engine.Warn, "Found a segment with cross entropy of "},
		{images.Classification, "NewLabels", "new_label_ratio_less_or_equal", args{"max_allowed_new_labels_ratio": .2}, "Percentage of new labels in the test set is less or equal to 20%", engine.Pass, "No new labels were found in test set."},
		{images.Classification, "ImagePropertyDrift", "drift_score_less_than", args{"max_allowed_drift_score": 1.5}, "drift score < 1.5 for image properties drift", engine.Pass, "Passed for 7 properties out of 7 properties.\nFound property"},
		{images.Classification, "ImageDatasetDrift", "drift_score_less_than", args{"threshold": 1.0}, "Drift score is less than 1", engine.Pass, "Found drift score of "},
		{images.Classification, "PropertyLabelCorrelation", "property_pps_less_than", args{"threshold": .01}, "Properties' Predictive Power Score is less than 0.01", engine.Fail, "Found 7 out of 7 properties with PPS above threshold: {'"},
		{images.Classification, "PropertyLabelCorrelation", "property_pps_less_than", args{"threshold": 1.0}, "Properties' Predictive Power Score is less than 1", engine.Pass, "Passed for 7 properties"},
		{images.Classification, "PropertyLabelCorrelationChange", "property_pps_difference_less_than", args{"threshold": 2.0, "include_negative_diff": true}, "Train-Test properties' Predictive Power Score difference is less than 2", engine.Pass, "Found highest PPS "},
		{images.Classification, "PropertyLabelCorrelationChange", "property_pps_in_train_less_than", nil, "Train properties' Predictive Power Score is less than 0.2", engine.Fail, "Properties and classes with PPS in train above threshold: {'Brightness': {'wasp': '"},
		{images.Segmentation, "SingleDatasetPerformance", "greater_than", args{"threshold": .99}, "Selected metrics scores are greater than 0.99", engine.Fail, "Failed for metrics: ['Dice']"},
		{images.Segmentation, "SingleDatasetPerformance", "less_than", args{"threshold": .999, "class_mode": "bee"}, "Selected metrics scores are less than 0.999", engine.Pass, "Passed for all of the metrics."},
		{images.Segmentation, "SingleDatasetPerformance", "less_than", args{"threshold": .999, "class_mode": "cat"}, "Selected metrics scores are less than 0.999", engine.Broken, ""},
		{images.Segmentation, "SingleDatasetPerformance", "less_than", args{"threshold": .999, "metrics": []string{"F1"}}, "Selected metrics scores are less than 0.999", engine.Broken, ""},
	} {
		o := ok(t, once(t, use{id: c.check, conditions: []engine.Use{{ID: c.id, Args: c.args}}}, sets[c.task][0], sets[c.task][1]))
		got := o.Conditions[0]
		if got.Name != c.name || got.Verdict != c.verdict || c.details != "" && !strings.HasPrefix(got.Details, c.details) {
			t.Errorf("%s of %s\n got %s %q: %s\nwant %s %q: %s", c.check, c.task, got.Verdict, got.Name, got.Details, c.verdict, c.name, c.details)
		}
	}
}

// TestParameters gives checks other parameters, right and wrong.
func TestParameters(t *testing.T) {
	t.Parallel()
	detection := [2]*images.Set{scenery{task: images.ObjectDetection, n: 80, seed: 1}.build(t), scenery{task: images.ObjectDetection, n: 70, seed: 2}.build(t)}
	classes := [2]*images.Set{scenery{task: images.Classification, n: 80, seed: 1}.build(t), scenery{task: images.Classification, n: 70, seed: 2}.build(t)}
	type args = map[string]any
	for _, c := range []struct {
		sets   [2]*images.Set
		check  string
		params args
		err    string // "" if it must run
	}{
		{detection, "ClassPerformance", args{"scorers": []string{"f1_per_class", "precision_macro", "recall_weighted", "fnr_micro", "average_precision_macro"}}, ""},
		{detection, "ClassPerformance", args{"scorers": engine.Object{{Key: "AP", Value: "average_precision_per_class"}}, "show_only": "worst", "n_to_show": 1, "metric_to_show_by": "AP"}, ""},
		{classes, "ClassPerformance", args{"scorers": []string{"accuracy", "jaccard_macro", "fpr_per_class", "tnr_micro"}, "show_only": "random"}, ""},
		{classes, "ClassPerformance", args{"class_list_to_show": []any{0, 2}}, ""},
		{classes, "ClassPerformance", args{"scorers": []string{"f1_per_clas"}}, `there is no measure "f1_per_clas" of classification (did you mean`},
		{classes, "ClassPerformance", args{"scorers": []string{"dice_macro"}}, `there is no measure "dice_macro" of classification`},
		{classes, "SimpleModelComparison", args{"strategy": "stratified"}, ""},
		{classes, "SimpleModelComparison", args{"strategy": "uniform", "scorers": []string{"accuracy"}}, ""},
		{classes, "SimpleModelComparison", args{"strategy": "prior"}, ""},
		{detection, "LabelDrift", args{"numerical_drift_method": "EMD", "categorical_drift_method": "PSI", "aggregation_method": "mean"}, ""},
		{detection, "PredictionDrift", args{"balance_classes": true, "aggregation_method": "max"}, ""},
		{detection, "LabelDrift", args{"min_samples": 100000}, "Not enough samples to calculate drift score. Minimum 100000 samples required."},
		{detection, "ImagePropertyDrift", args{"min_samples": 100000}, "Not enough samples to calculate drift score. Minimum 100000 samples required."},
		{detection, "PropertyLabelCorrelationChange", args{"per_class": false}, ""},
		{detection, "ConfusionMatrixReport", args{"categories_to_display": 2, "confidence_threshold": 0.5, "normalized": false}, ""},
		{detection, "ImagePropertyOutliers", args{"iqr_percentiles": []any{10, 90}, "iqr_scale": 1.0}, ""},
		{detection, "ImagePropertyOutliers", args{"min_samples": 1000}, "Need at least 1000 non-null samples to calculate outliers."},
		{classes, "WeakSegmentsPerformance", args{"image_properties": []string{"Brightness", "RMS Contrast"}, "segment_minimum_size_ratio": .1, "multiple_segments_per_property": false}, ""},
		{classes, "WeakSegmentsPerformance", args{"image_properties": []string{"Brightness"}}, "Check requires at least two properties in order to run."},
	} {
		o := once(t, use{id: c.check, params: c.params}, c.sets[0], c.sets[1])
		switch {
		case c.err == "" && o.Err != nil:
			t.Errorf("%s %v: %v", c.check, c.params, o.Err)
		case c.err != "" && (o.Err == nil || !strings.HasPrefix(o.Err.Message, c.err)):
			t.Errorf("%s %v: got %v, want %s", c.check, c.params, o.Err, c.err)
		}
	}
	for _, c := range []struct {
		check, want string
		params      args
	}{
		{"ImagePropertyOutliers", "IQR range must contain two numbers between 0 to 100", args{"iqr_percentiles": []any{75, 25}}},
		{"ImagePropertyOutliers", "IQR range must contain two numbers between 0 to 100", args{"iqr_percentiles": []any{0.25, 0.75}}},
		{"ImagePropertyOutliers", `"iqr_percentiles" must be a list of numbers, not [a b]`, args{"iqr_percentiles": []any{"a", "b"}}},
		{"MeanAveragePrecisionReport", "area_range must be two ascending areas", args{"area_range": []any{5}}},
		{"NewLabels", `unknown parameter "n_sample" (did you mean`, args{"n_sample": 5}},
	} {
		_, problems := definition(t, c.check).Build(c.params, nil, engine.Mended)
		if len(problems) != 1 || !strings.HasPrefix(problems[0].Message, c.want) {
			t.Errorf("%s %v: got %v, want %s", c.check, c.params, problems, c.want)
		}
	}
}

// TestGalleries looks for sample images among the displays.
func TestGalleries(t *testing.T) {
	t.Parallel()
	train, test := scenery{task: images.Classification, n: 90, seed: 1, thumbs: true}.build(t), scenery{task: images.Classification, n: 80, seed: 2, thumbs: true}.build(t)
	kept := train.Records[:0]
	for _, r := range train.Records { // no wasps in train: thumbnails are of other places now
		if r.Class != 2 {
			kept = append(kept, r)
		}
	}
	train.Records, train.Total, train.Thumbs = kept, len(kept), nil
	for _, c := range []struct {
		check, title, caption string
		params                map[string]any
	}{
		{"NewLabels", "New class wasp", "label wasp", nil},
		{"ClassPerformance", "Worst predictions of the test images", "label ", nil},
		{"ImagePropertyOutliers", "Below the lower limit", "Brightness ", map[string]any{"iqr_percentiles": []any{40, 60}, "iqr_scale": 1.0, "image_properties": []string{"Brightness"}}},
		{"WeakSegmentsPerformance", "Worst predictions of the weakest segment", "cross entropy -", map[string]any{"image_properties": []string{"Brightness", "RMS Contrast"}}},
	} {
		o := ok(t, once(t, use{id: c.check, params: c.params}, train, test))
		found := false
		for _, d := range o.Result.Displays {
			g, is := d.(engine.Gallery)
			if !is || g.Title != c.title {
				continue
			}
			found = true
			for _, s := range g.Samples {
				if len(s.Thumb.Data) == 0 || s.ID == "" || !strings.HasPrefix(s.Caption, c.caption) {
					t.Errorf("%s shows %q %q (%d bytes), want a caption as %q", c.check, s.ID, s.Caption, len(s.Thumb.Data), c.caption)
				}
			}
		}
		if !found {
			t.Errorf("%s shows no gallery %q", c.check, c.title)
		}
	}
	boxes := scenery{task: images.ObjectDetection, n: 60, seed: 2, thumbs: true}.build(t)
	o := ok(t, once(t, use{id: "ClassPerformance"}, boxes, boxes))
	g, _ := o.Result.Displays[len(o.Result.Displays)-1].(engine.Gallery)
	drawn := 0
	for _, s := range g.Samples {
		drawn += len(s.Boxes) + len(s.Predicted)
	}
	if drawn == 0 {
		t.Error("no box is drawn over the worst images")
	}
	shades := 0
	for _, d := range ok(t, once(t, use{id: "HeatmapComparison"}, boxes, boxes)).Result.Displays {
		if _, is := d.(engine.Shade); is {
			shades++
		}
	}
	if shades != 6 {
		t.Errorf("%d shades, want 6: two means and a difference, of pixels and of boxes", shades)
	}
}

// TestClassesUnseen has labels that the model has no probability for.
func TestClassesUnseen(t *testing.T) {
	t.Parallel()
	set := scenery{task: images.Classification, n: 60, seed: 1}.build(t)
	odd := *set
	odd.Records = append([]images.Record(nil), set.Records...)
	for i := range 10 {
		odd.Records[i].Class = 7
	}
	fresh, _ := ok(t, once(t, use{id: "NewLabels"}, set, &odd)).Result.Value.(vision.Newcomers)
	if len(fresh.Names) != 1 || fresh.Names[0] != "7" || fresh.Counts[0] != 10 {
		t.Errorf("got %+v", fresh)
	}
	ok(t, once(t, use{id: "ClassPerformance"}, set, &odd))
	ok(t, once(t, use{id: "ConfusionMatrixReport"}, set, &odd))
	o := once(t, use{id: "WeakSegmentsPerformance"}, set, &odd)
	if o.Err == nil || !strings.HasPrefix(o.Err.Message, "the label 7 of the image 0 has no probability: the predictions hold 3") {
		t.Errorf("got %v", o.Err)
	}
}
