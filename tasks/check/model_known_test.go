package check_test

import (
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// knownTables writes the tables of TestKnownScores.
func knownTables(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	generate(t, dir, "train", 1, 400, false)
	generate(t, dir, "test", 2, 200, true)
	return dir
}

// knownDocument runs checks on the tables, with the importances of the model.
func knownDocument(t *testing.T, dir string, more map[string]any, checks ...any) goldenSuite {
	t.Helper()
	doc := map[string]any{
		"train": "train.csv", "test": "test.csv", "label": "label", "categorical": []string{"cat_a", "cat_b"}, "checks": checks,
		"predictions":        map[string]any{"train": "pred_train.csv", "test": "pred_test.csv"},
		"feature_importance": map[string]any{"num_a": .5, "num_b": .2, "num_int": .1, "cat_a": .1, "cat_b": .1},
	}
	for k, v := range more {
		if v == nil {
			delete(doc, k)
		} else {
			doc[k] = v
		}
	}
	return runDocument(t, doc, dir)
}

func outcomeOf(t *testing.T, s goldenSuite, check string, which any) goldenCheck {
	t.Helper()
	for _, c := range s.Checks {
		if c.Check == check && c.Dataset == which {
			return c
		}
	}
	t.Fatalf("no result of %s", check)
	return goldenCheck{}
}

func TestKnownModelScores(t *testing.T) {
	t.Parallel()
	dir := knownTables(t)
	got := knownDocument(t, dir, nil, "SimpleModelComparison", "CalibrationScore", "WeakSegmentsPerformance", "UnusedFeatures",
		map[string]any{"check": "PerformanceBias", "params": map[string]any{"protected_feature": "cat_a"}, "conditions": []any{map[string]any{"bounded_performance_difference": map[string]any{"lower_bound": -0.05}}}},
		map[string]any{"check": "SingleDatasetPerformance", "conditions": []any{map[string]any{"greater_than": map[string]any{"threshold": 0.8}}}},
		map[string]any{"check": "SegmentPerformance", "params": map[string]any{"feature_1": "cat_a", "max_segments": 3}})
	near := func(what string, got any, want float64) {
		t.Helper()
		if g, ok := got.(float64); !ok || math.Abs(g-want) > 1e-4 {
			t.Errorf("%s: got %v, want %v", what, got, want)
		}
	}
	value := func(check string, which any) map[string]any {
		t.Helper()
		v, ok := outcomeOf(t, got, check, which).Value.(map[string]any)
		if !ok {
			t.Fatalf("%s: %+v", check, outcomeOf(t, got, check, which))
		}
		return v
	}
	f1 := value("SimpleModelComparison", nil)["scores"].(map[string]any)["F1"].(map[string]any)
	near("simple 0", f1["0"].(map[string]any)["Simple"], 0)
	near("simple 1", f1["1"].(map[string]any)["Simple"], .66667)
	if d := outcomeOf(t, got, "SimpleModelComparison", nil).Conditions[0].Details; !strings.Contains(d, "75.52%") {
		t.Error(d)
	}
	near("calibration", value("CalibrationScore", "test")["0"], 0.11222276815026089)
	table := value("WeakSegmentsPerformance", "test")["weak_segments_list"].(map[string]any)["data"].([]any)
	near("average", value("WeakSegmentsPerformance", "test")["avg_score"], .885)
	first, second := table[0].([]any), table[1].([]any)
	near("weakest", first[0], 0.47368421052631576)
	near("its low end", first[2].([]any)[0], 49.02599906921387)
	near("its high end", first[2].([]any)[1], 74.7234992980957)
	near("second", second[0], 0.48148148148148145)
	if first[1] != "num_a" || first[3] != "" || first[6] != 38. || second[1] != "num_b" || second[6] != 27. {
		t.Errorf("segments %v", table)
	}
	if c := outcomeOf(t, got, "WeakSegmentsPerformance", "test").Conditions[0]; c.Category != "WARN" {
		t.Errorf("%+v", c)
	}
	if used := fmt.Sprint(value("UnusedFeatures", "test")["used features"]); used != "[num_a num_b num_int cat_a cat_b]" {
		t.Error(used)
	}
	bias := map[any]any{}
	for _, row := range value("PerformanceBias", "test")["scores_df"].(map[string]any)["data"].([]any) {
		bias[row.([]any)[0]] = row.([]any)[2]
	}
	for group, want := range map[string]float64{"blue": .8444, "red": .8899, "green": .9130} {
		near(group, bias[group], want)
	}
	if c := outcomeOf(t, got, "PerformanceBias", "test").Conditions[0]; c.Category != "PASS" || c.Name != "Performance differences are bounded between -0.05 and inf." {
		t.Errorf("%+v", c)
	}
	near("accuracy", value("SingleDatasetPerformance", "test")["data"].([]any)[0].([]any)[2], .885)
	if c := outcomeOf(t, got, "SingleDatasetPerformance", "test").Conditions[0]; c.Category != "FAIL" || c.Details != "Failed for metrics: ['Recall']" {
		t.Errorf("%+v", c)
	}
	if counts := fmt.Sprint(value("SegmentPerformance", "test")["counts"]); strings.Count(counts, "[") != 4 {
		t.Error(counts)
	}
}

// Every strategy of the simple model gives scores, the same each time.
func TestSimpleStrategies(t *testing.T) {
	t.Parallel()
	dir := knownTables(t)
	for _, strategy := range []string{"uniform", "stratified", "tree", "most_frequent"} {
		one := map[string]any{"check": "SimpleModelComparison", "params": map[string]any{"strategy": strategy, "scorers": []string{"roc_auc", "f1_per_class"}}}
		var before string
		for range 2 {
			c := outcomeOf(t, knownDocument(t, dir, nil, one), "SimpleModelComparison", nil)
			now := fmt.Sprint(c.Value, c.Error)
			if c.Status != "ok" || before != "" && now != before {
				t.Errorf("%s: %s, then %s", strategy, before, now)
			}
			before = now
		}
		reg := map[string]any{"label": "num_b", "task_type": "regression", "predictions": map[string]any{"train": "y_train.csv", "test": "y_test.csv"}, "feature_importance": nil}
		for name, rows := range map[string]int{"train": 400, "test": 200} {
			text := "y_pred\n" + strings.Repeat("30.5\n", rows)
			if err := os.WriteFile(filepath.Join(dir, "y_"+name+".csv"), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if c := outcomeOf(t, knownDocument(t, dir, reg, one), "SimpleModelComparison", nil); c.Status != "error" || !strings.Contains(c.Error.Message, "roc_auc") {
			t.Errorf("%s of a regression: %+v", strategy, c)
		}
		delete(one["params"].(map[string]any), "scorers")
		if c := outcomeOf(t, knownDocument(t, dir, reg, one), "SimpleModelComparison", nil); c.Status != "ok" {
			t.Errorf("%s of a regression: %+v", strategy, c.Error)
		}
	}
}

// What needs a live model is not run without one, which is no failure.
func TestWithoutModel(t *testing.T) {
	t.Parallel()
	dir := knownTables(t)
	got := knownDocument(t, dir, map[string]any{"feature_importance": nil}, "ModelInfo", "BoostingOverfit", "ModelInferenceTime", "UnusedFeatures", "MultiModelPerformanceReport")
	for _, c := range got.Checks {
		if c.Status != "error" {
			t.Errorf("%s ran", c.Check)
		}
	}
	two := map[string]any{"models": map[string]any{"a": map[string]any{"test": "pred_test.csv"}, "b": map[string]any{"test": "pred_test.csv"}}}
	if c := outcomeOf(t, knownDocument(t, dir, two, "MultiModelPerformanceReport"), "MultiModelPerformanceReport", nil); c.Status != "ok" || c.Value.(map[string]any)["n_rows"] != 12. {
		t.Errorf("%+v %+v", c.Value, c.Error)
	}
	for weights, want := range map[string]string{"lacks": "it lacks cat_a", "more": "there is no feature nope"} {
		given := map[string]any{"num_a": .5, "num_b": .2, "num_int": .1, "cat_b": .1}
		if weights == "more" {
			given["cat_a"], given["nope"] = 1, 1
		}
		if s := knownDocument(t, dir, map[string]any{"feature_importance": given}, "UnusedFeatures"); s.Error == nil || !strings.Contains(s.Error.Message, want) {
			t.Errorf("%s: %+v", weights, s.Error)
		}
	}
}

// A live model answers for the whole document; one that fails leaves the
// checks that do not need it.
func TestLiveDocument(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("python3"); err != nil {
		t.Skip("no python3")
	}
	server, err := filepath.Abs(filepath.Join("livemodel", "testdata", "serve.py"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	var text strings.Builder
	text.WriteString("x,z,y\n")
	for i := range 60 {
		fmt.Fprintf(&text, "%v,%d,%s\n", float64(i%10)/10, i%7, map[bool]string{true: "yes", false: "no"}[i%10 > 5])
	}
	for _, name := range []string{"train.csv", "test.csv"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run := func(fault string) goldenSuite {
		return runDocument(t, map[string]any{
			"train": "train.csv", "test": "test.csv", "label": "y", "suites": []string{"model_evaluation"},
			"checks": []string{"ModelInfo", "IsSingleValue"},
			"model":  map[string]any{"command": "exec python3 '" + server + "'", "env": map[string]any{"FAULT": fault}},
		}, dir)
	}
	got := run("")
	for _, name := range []string{"TrainTestPerformance", "BoostingOverfit", "ModelInfo"} {
		if c := outcomeOf(t, got, name, nil); c.Status != "ok" {
			t.Errorf("%s: %+v", name, c.Error)
		}
	}
	if c := outcomeOf(t, got, "ModelInferenceTime", "train"); c.Value != 2e-6 {
		t.Errorf("time %v %+v", c.Value, c.Error)
	}
	if used := fmt.Sprint(outcomeOf(t, got, "UnusedFeatures", "test").Value.(map[string]any)["used features"]); used != "[x]" {
		t.Errorf("used %s", used)
	}
	if last := outcomeOf(t, got, "BoostingOverfit", nil).Value.(map[string]any)["test"].([]any); len(last) != 10 || last[9] != 1. {
		t.Errorf("stages %v", last)
	}
	broken := run("die")
	for _, name := range []string{"TrainTestPerformance", "BoostingOverfit"} {
		if c := outcomeOf(t, broken, name, nil); c.Error == nil || !strings.Contains(c.Error.Message, "exit code 3") {
			t.Errorf("%s: %+v", name, c.Error)
		}
	}
	if c := outcomeOf(t, broken, "IsSingleValue", "train"); c.Status != "ok" {
		t.Errorf("IsSingleValue: %+v", c.Error)
	}
}
