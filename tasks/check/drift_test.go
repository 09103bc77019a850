package check_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"aloft/tasks/check/engine"
)

// TestKnownDrift compares drift scores with those computed independently on
// the generated data set.
func TestKnownDrift(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	generate(t, dir, "train", 1, 400, false)
	generate(t, dir, "test", 2, 200, true)
	type args = map[string]any
	params := func(check string, p args) args { return args{"check": check, "params": p} }
	s := runDocument(t, args{
		"train": "train.csv", "test": "test.csv", "label": "label", "categorical": []string{"cat_a", "cat_b"}, "compat": "deepchecks",
		"predictions": args{"train": "pred_train.csv", "test": "pred_test.csv"},
		"checks": []any{
			"FeatureDrift", params("FeatureDrift", args{"numerical_drift_method": "EMD", "categorical_drift_method": "PSI"}), "LabelDrift", "MultivariateDrift",
			"PredictionDrift", params("PredictionDrift", args{"drift_mode": "prediction"}), params("PredictionDrift", args{"drift_mode": "proba"}),
		},
	}, dir)
	for _, tt := range []struct {
		check int
		path  string
		want  float64
	}{
		{0, "num_a.Drift score", .12}, {0, "num_b.Drift score", .1175}, {0, "num_int.Drift score", .1}, {0, "cat_a.Drift score", .1730391005848507}, {0, "cat_b.Drift score", 0},
		{1, "num_a.Drift score", .03805534127526609}, {1, "num_b.Drift score", .04021046930046798}, {1, "num_int.Drift score", .031241961562488523},
		{1, "cat_a.Drift score", .1449932678879448}, {1, "cat_b.Drift score", .0838746130579993},
		{2, "Drift score", .0011502599047078165},
		{3, "domain_classifier_auc", .63125}, {3, "domain_classifier_drift_score", .2625},
		{3, "domain_classifier_feature_importance.cat_a", .7291667}, {3, "domain_classifier_feature_importance.num_a", .2361111},
		{3, "domain_classifier_feature_importance.cat_b", .0347222}, {3, "domain_classifier_feature_importance.num_b", 0},
		{4, "Drift score", .12}, {4, "Samples per class.0", 600}, {5, "Drift score", .05323556488738167}, {5, "Samples per class.0", 392}, {5, "Samples per class.1", 208}, {6, "Drift score", .12},
	} {
		v := s.Checks[tt.check].Value
		for _, key := range strings.Split(tt.path, ".") {
			m, _ := v.(map[string]any)
			v = m[key]
		}
		if got, ok := v.(float64); !ok || math.Abs(got-tt.want) > 1e-7 {
			t.Errorf("%s %s: got %v, want %v", s.Checks[tt.check].Check, tt.path, v, tt.want)
		}
	}
	if c := s.Checks[3].Conditions[0]; c.Category != "FAIL" || c.Details != "Found drift value of: 0.26, corresponding to a domain classifier AUC of: 0.63" {
		t.Errorf("%+v", c)
	}
}

// series writes a CSV of n rows, each made from its number.
func series(header string, n int, row func(i int) string) string {
	var b strings.Builder
	b.WriteString(header + "\n")
	for i := range n {
		b.WriteString(row(i) + "\n")
	}
	return b.String()
}

func TestDriftConditions(t *testing.T) {
	t.Parallel()
	label := func(i, of int) string {
		if i%10 < of {
			return "yes"
		}
		return "no"
	}
	dir := files(t, map[string]string{
		"train.csv":      series("x,k,rare,y", 200, func(i int) string { return fmt.Sprintf("%d,%s,a,%s", i, label(i, 5), label(i, 5)) }),
		"test.csv":       series("x,k,rare,y", 100, func(i int) string { return fmt.Sprintf("%d,%s,b,%s", i+100, label(i, 9), label(i, 9)) }),
		"pred_train.csv": series("y_pred,proba_no,proba_yes", 200, func(i int) string { return fmt.Sprintf("%s,%v,%v", label(i, 5), float64(i)/200, 1-float64(i)/200) }),
		"pred_test.csv":  series("y_pred,proba_no,proba_yes", 100, func(i int) string { return fmt.Sprintf("%s,%v,%v", label(i, 9), float64(i)/100, 1-float64(i)/100) }),
		"m.csv":          series("x,y", 60, func(i int) string { return fmt.Sprintf("%d,%c", i, 'a'+i%3) }),
		"pm.csv":         series("proba_a,proba_b,proba_c", 60, func(i int) string { return fmt.Sprintf("%v,%v,0.1", float64(i)/100, 0.9-float64(i)/100) }),
		"pm2.csv":        series("proba_a,proba_b,proba_c", 60, func(i int) string { return fmt.Sprintf("%v,%v,0.1", float64(i)/200, 0.9-float64(i)/200) }),
	})
	type args = map[string]any
	categorical := args{"categorical": []string{"k", "rare"}}
	compat := args{"categorical": []string{"k", "rare"}, "compat": "deepchecks"}
	multi := args{"train": "m.csv", "test": "m.csv", "predictions": args{"train": "pm.csv", "test": "pm2.csv"}}
	for _, tt := range []struct {
		name, check    string
		doc            args
		params         args
		condition      any
		verdict        engine.Verdict
		title, details string
	}{
		{"features", "FeatureDrift", categorical, nil, nil, engine.Fail, "categorical drift score < 0.2 and numerical drift score < 0.2",
			"Failed for 3 out of 3 columns.\nFound 2 categorical columns with Cramer's V above threshold: {'k': '0.42', 'rare': '0.99'}\nFound 1 numeric columns with Kolmogorov-Smirnov above threshold: {'x': '0.5'}"},
		{"rare categories are dropped there", "FeatureDrift", compat, args{"columns": "rare", "min_category_size_ratio": 1}, nil, engine.Pass, "", "Passed for 1 columns out of 1 columns.\nFound column \"rare\" has the highest categorical drift score: 0"},
		{"rare categories are kept", "FeatureDrift", categorical, args{"columns": "rare", "min_category_size_ratio": 1}, nil, engine.Fail, "", "Failed for 1 out of 1 columns.\nFound 1 categorical columns with Cramer's V above threshold: {'rare': '0.99'}"},
		{"allowed", "FeatureDrift", categorical, args{"columns": []string{"x", "k"}}, args{"drift_score_less_than": args{"allowed_num_features_exceeding_threshold": 2, "max_allowed_numeric_score": 0.1}}, engine.Pass,
			"categorical drift score < 0.2 and numerical drift score < 0.1", "Passed for 0 columns out of 2 columns.\nFound column \"k\" has the highest categorical drift score: 0.42\nFound column \"x\" has the highest numerical drift score: 0.5"},
		{"label", "LabelDrift", nil, nil, nil, engine.Fail, "Label drift score < 0.15", "Label's drift score Cramer's V is 0.42"},
		{"label balanced", "LabelDrift", nil, args{"balance_classes": true}, args{"drift_score_less_than": args{"max_allowed_drift_score": 0.9}}, engine.Pass, "Label drift score < 0.9", "Label's drift score Cramer's V is 0.41"},
		{"probabilities", "PredictionDrift", nil, nil, nil, engine.Pass, "Prediction drift score < 0.15", "Found model prediction Kolmogorov-Smirnov drift score of 5.00E-3"},
		{"predictions", "PredictionDrift", nil, args{"drift_mode": "prediction"}, nil, engine.Fail, "", "Found model prediction Cramer's V drift score of 0.42"},
		{"balanced predictions", "PredictionDrift", nil, args{"balance_classes": true}, nil, engine.Fail, "", "Found model prediction Cramer's V drift score of 0.41"},
		{"classes", "PredictionDrift", multi, args{"drift_mode": "proba"}, nil, engine.Fail, "", "Found 2 classes with model predicted probability Kolmogorov-Smirnov drift score above threshold: 0.15."},
		{"domain", "MultivariateDrift", categorical, nil, nil, engine.Fail, "Drift value is less than 0.25", "Found drift value of: 1, corresponding to a domain classifier AUC of: 1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			entry := args{"check": tt.check}
			if tt.params != nil {
				entry["params"] = tt.params
			}
			if tt.condition != nil {
				entry["conditions"] = []any{tt.condition}
			}
			o := outcomes(t, dir, tt.doc, entry)[0]
			if o.Err != nil {
				t.Fatalf("%s: %s", o.Err.Class, o.Err.Message)
			}
			if c := o.Conditions[0]; c.Verdict != tt.verdict || c.Details != tt.details || tt.title != "" && c.Name != tt.title {
				t.Errorf("got %s %q\n%q, want %s %q\n%q", c.Verdict, c.Name, c.Details, tt.verdict, tt.title, tt.details)
			}
			if len(o.Result.Displays) == 0 {
				t.Error("shows nothing")
			}
		})
	}
}

// Rows are counted by the class predicted, not all for one class.
func TestPredictedRowsByClass(t *testing.T) {
	t.Parallel()
	dir := files(t, map[string]string{
		"train.csv":      series("x,y", 20, func(i int) string { return fmt.Sprintf("%d,%s", i, []string{"no", "yes"}[i%2]) }),
		"test.csv":       series("x,y", 20, func(i int) string { return fmt.Sprintf("%d,%s", i, []string{"no", "yes"}[i%2]) }),
		"pred_train.csv": series("proba_no,proba_yes", 20, func(i int) string { return []string{"0.9,0.1", "0.9,0.1", "0.2,0.8", "0.9,0.1"}[i%4] }),
		"pred_test.csv":  series("proba_no,proba_yes", 20, func(i int) string { return []string{"0.9,0.1", "0.2,0.8"}[i%2] }),
	})
	for mode, want := range map[string]string{"": "[{no 25} {yes 15}]", "deepchecks": "[{no 40}]"} {
		doc := map[string]any{"compat": mode}
		if mode == "" {
			doc["compat"] = nil
		}
		o := outcomes(t, dir, doc, "PredictionDrift")[0]
		if got := fmt.Sprint(o.Result.Value.Encode().(engine.Object).Get("Samples per class")); got != want {
			t.Errorf("mode %q: %s, want %s", mode, got, want)
		}
	}
}
