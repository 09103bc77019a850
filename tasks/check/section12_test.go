package check_test

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// generate writes the small data set on which known scores were computed
// independently: a linear congruential generator makes the rows, and a fixed
// rule on one column the predictions.
func generate(t *testing.T, dir, name string, seed, rows int, shift bool) {
	t.Helper()
	state := seed
	draw := func() float64 {
		state = (1103515245*state + 12345) % (1 << 31)
		return float64(state) / (1 << 31)
	}
	round := func(x float64) string {
		s := strings.TrimRight(strconv.FormatFloat(x, 'f', 3, 64), "0")
		return strings.TrimSuffix(s, ".")
	}
	var table, pred strings.Builder
	table.WriteString("num_a,num_b,num_int,cat_a,cat_b,label\n")
	pred.WriteString("y_pred,proba_0,proba_1\n")
	for range rows {
		var u [6]float64
		for i := range u {
			u[i] = draw()
		}
		scale, third := 1.0, u[3]
		if shift {
			scale, third = 1.15, u[3]*u[3]
		}
		numA := round(100 * u[0] * scale)
		a, err := strconv.ParseFloat(numA, 64)
		if err != nil {
			t.Fatal(err)
		}
		label := 0
		if u[0]+0.4*u[5] > 0.7 {
			label = 1
		}
		fmt.Fprintf(&table, "%s,%s,%d,%s,c%d,%d\n", numA, round(0.5*a+10*u[1]), int(50*u[2]),
			[]string{"red", "green", "blue"}[int(3*third)], int(12*u[4]*u[4]), label)
		p1, y := min(max(0.1+0.8*a/115, 0), 1), 0
		if p1 > 0.6 {
			y = 1
		}
		fmt.Fprintf(&pred, "%d,%v,%v\n", y, 1-p1, p1)
	}
	for file, text := range map[string]string{name + ".csv": table.String(), "pred_" + name + ".csv": pred.String()} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestKnownScores(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	generate(t, dir, "train", 1, 400, false)
	generate(t, dir, "test", 2, 200, true)
	binary := []any{"accuracy", "neg_log_loss", "f1_macro", "fpr", "fnr", "tnr", "precision", "recall", "f1", "roc_auc", "roc_auc_per_class"}
	run := func(compat bool, checks ...any) goldenSuite {
		doc := map[string]any{
			"train": "train.csv", "test": "test.csv", "label": "label", "categorical": []string{"cat_a", "cat_b"},
			"predictions": map[string]any{"train": "pred_train.csv", "test": "pred_test.csv"}, "checks": checks,
		}
		if compat {
			doc["compat"] = "deepchecks"
		}
		return runDocument(t, doc, dir)
	}
	two := map[string]any{"columns": []string{"cat_a", "num_int"}}
	got := run(false, "IsSingleValue", "RocReport", "ConfusionMatrixReport",
		map[string]any{"check": "ConflictingLabels", "params": two}, map[string]any{"check": "DataDuplicates", "params": two},
		"TrainTestPerformance", map[string]any{"check": "TrainTestPerformance", "params": map[string]any{"scorers": binary}})
	find := func(s goldenSuite, check string, which any, nth int) goldenCheck {
		for _, c := range s.Checks {
			if c.Check == check && c.Dataset == which {
				if nth == 0 {
					return c
				}
				nth--
			}
		}
		t.Fatalf("no result of %s", check)
		return goldenCheck{}
	}
	near := func(what string, got any, want, tolerance float64) {
		t.Helper()
		g, ok := got.(float64)
		if !ok || math.Abs(g-want) > tolerance {
			t.Errorf("%s: got %v, want %v", what, got, want)
		}
	}
	for column, want := range map[string]float64{"num_a": 399, "num_b": 399, "num_int": 50, "cat_a": 3, "cat_b": 12, "label": 2} {
		near(column, find(got, "IsSingleValue", "train", 0).Value.(map[string]any)[column], want, 0)
	}
	near("conflicts", find(got, "ConflictingLabels", "train", 0).Value.(map[string]any)["percent_of_conflicting_samples"], .74, 1e-12)
	near("duplicates", find(got, "DataDuplicates", "train", 0).Value, .65, 1e-12)
	near("AUC", find(got, "RocReport", "test", 0).Value.(map[string]any)["1"], .9812, 1e-9)
	if m := fmt.Sprint(find(got, "ConfusionMatrixReport", "test", 0).Value.(map[string]any)["data"]); m != "[[99 1] [22 78]]" {
		t.Errorf("confusion matrix %s", m)
	}
	score := func(c goldenCheck, dataset, metric string, class any) any {
		for _, row := range c.Value.(map[string]any)["data"].([]any) {
			r := row.([]any)
			if r[0] == dataset && r[1] == class && r[2] == metric {
				return r[3]
			}
		}
		return nil
	}
	defaults := find(got, "TrainTestPerformance", nil, 0)
	for _, w := range []struct {
		dataset, metric string
		class           any
		value           float64
	}{
		{"Train", "F1", 0., .7928730512}, {"Train", "F1", 1., .735042735}, {"Train", "Precision", 0., .6568265683}, {"Train", "Precision", 1., 1},
		{"Train", "Recall", 0., 1}, {"Train", "Recall", 1., .5810810811}, {"Test", "F1", 0., .8959276018}, {"Test", "F1", 1., .8715083799},
		{"Test", "Precision", 0., .8181818182}, {"Test", "Precision", 1., .9873417722}, {"Test", "Recall", 0., .99}, {"Test", "Recall", 1., .78},
	} {
		near(fmt.Sprint(w), score(defaults, w.dataset, w.metric, w.class), w.value, 1e-9)
	}
	many := find(got, "TrainTestPerformance", nil, 1)
	for metric, want := range map[string]float64{
		"accuracy": .885, "neg_log_loss": -.389530087, "f1_macro": .8837179908, "fpr": .01, "fnr": .22, "tnr": .99,
		"precision": .9873417722, "recall": .78, "f1": .8715083799, "roc_auc": .9812,
	} {
		near(metric, score(many, "Test", metric, nil), want, 1e-9)
	}
	near("roc_auc_per_class of 0", score(many, "Test", "roc_auc_per_class", 0.), .9812, 1e-9)
	swapped := find(run(true, map[string]any{"check": "TrainTestPerformance", "params": map[string]any{"scorers": binary}}), "TrainTestPerformance", nil, 0)
	for metric, want := range map[string]float64{"fpr": .01266, "fnr": .1818, "tnr": .9873} {
		near("compat "+metric, score(swapped, "Test", metric, "NaN"), want, 1e-4)
	}
}

// TestKnownData holds what deepchecks computes of the same data without
// predictions, in our own mode.
func TestKnownData(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	generate(t, dir, "train", 1, 400, false)
	generate(t, dir, "test", 2, 200, true)
	got := runDocument(t, map[string]any{
		"train": "train.csv", "test": "test.csv", "label": "label", "categorical": []string{"cat_a", "cat_b"},
		"checks": []any{"FeatureLabelCorrelation", "FeatureFeatureCorrelation", "OutlierSampleDetection", "ClassImbalance"},
	}, dir)
	value := func(check, which string) any {
		for _, c := range got.Checks {
			if c.Check == check && c.Dataset == which {
				return c.Value
			}
		}
		t.Fatalf("no result of %s", check)
		return nil
	}
	near := func(what string, got any, want, tolerance float64) {
		t.Helper()
		if g, ok := got.(float64); !ok || math.Abs(g-want) > tolerance {
			t.Errorf("%s: got %v, want %v", what, got, want)
		}
	}
	scores := value("FeatureLabelCorrelation", "train").(map[string]any)
	for feature, want := range map[string]float64{"num_a": .742190, "num_b": .737460, "num_int": .109466, "cat_b": .037767, "cat_a": .031003} {
		near("PPS of "+feature, scores[feature], want, 1e-6)
	}
	scores = value("FeatureLabelCorrelation", "test").(map[string]any)
	near("PPS of num_b in test", scores["num_b"], .785268, 1e-6)
	near("PPS of num_a in test", scores["num_a"], .764926, 1e-6)
	table := value("FeatureFeatureCorrelation", "train").(map[string]any)
	at := func(a, b string) any {
		names := table["index"].([]any)
		row := table["data"].([]any)[slices.Index(names, any(a))].([]any)
		return row[slices.Index(names, any(b))]
	}
	near("num_a and num_b", at("num_a", "num_b"), .97930915, 1e-8)
	near("num_a and cat_a", at("num_a", "cat_a"), .1490119294, 1e-9)
	near("num_a and cat_b", at("cat_b", "num_a"), .1687849607, 1e-9)
	near("cat_a and cat_b", at("cat_a", "cat_b"), .0142753557, 1e-9)
	near("num_int and cat_b", at("num_int", "cat_b"), .1442570663, 1e-9)
	quantiles := value("OutlierSampleDetection", "train").([]any)
	for i, want := range map[int]float64{0: 0, 500: .051484, 900: .436882, 950: .531154, 990: .679051, 999: .834118} {
		near(fmt.Sprintf("quantile %d", i), quantiles[i], want, 1e-5)
	}
	near("class 1", value("ClassImbalance", "train").(map[string]any)["1"], .56, 1e-12)
}
