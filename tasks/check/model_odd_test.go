package check_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"aloft/tasks/check"
	"aloft/tasks/check/engine"
)

// Odd tables give results or named errors in every check of a model, in both
// modes; nothing crashes.
func TestOddModels(t *testing.T) {
	t.Parallel()
	column := func(n int, cell func(int) string) []string {
		out := make([]string, n)
		for i := range out {
			out[i] = cell(i)
		}
		return out
	}
	same := func(s string) func(int) string { return func(int) string { return s } }
	cycle := func(s ...string) func(int) string { return func(i int) string { return s[i%len(s)] } }
	number := func(i int) string { return fmt.Sprint(i * 7 % 11) }
	tests := []struct {
		name            string
		rows            int
		a, b, y, pred   func(int) string
		proba, task     string
		predictionsHead string
	}{
		{"one row", 1, number, number, same("1"), same("1"), "0.2,0.8", "binary", "y_pred,proba_0,proba_1"},
		{"two rows", 2, number, number, cycle("0", "1"), cycle("0", "1"), "0.5,0.5", "", "y_pred,proba_0,proba_1"},
		{"constant label", 30, number, cycle("u", "v"), same("1"), cycle("0", "1"), "0.2,0.8", "binary", "y_pred,proba_0,proba_1"},
		{"feature without a value", 30, same(""), same(""), cycle("0", "1"), cycle("0", "1"), "0.2,0.8", "", "y_pred,proba_0,proba_1"},
		{"infinities", 30, cycle("inf", "-inf", "1", "2"), cycle("1", "inf"), cycle("0", "1"), cycle("0", "1"), "0.2,0.8", "", "y_pred,proba_0,proba_1"},
		{"a class of the data alone", 40, number, number, cycle("0", "1", "2"), cycle("0", "1"), "0.2,0.8", "binary", "y_pred,proba_0,proba_1"},
		{"probabilities of three", 40, number, number, cycle("0", "1"), cycle("0", "1"), "0.2,0.7,0.1", "", "y_pred,proba_0,proba_1,proba_2"},
		{"no probabilities", 40, number, number, cycle("0", "1"), cycle("0", "1"), "", "", "y_pred"},
		{"labels missing", 40, number, cycle("u", "", "w"), cycle("0", "1", ""), cycle("0", "1"), "0.4,0.6", "", "y_pred,proba_0,proba_1"},
		{"constant regression", 40, number, number, same("3.5"), same("3.5"), "", "regression", "y_pred"},
		{"infinite label", 40, number, number, cycle("1.5", "inf", "2"), cycle("1.5", "2.5"), "", "regression", "y_pred"},
		{"infinite prediction", 40, number, number, number, cycle("1.5", "-inf"), "", "regression", "y_pred"},
		{"texts to regress", 40, number, number, number, cycle("a", "b"), "", "regression", "y_pred"},
	}
	checks := []any{
		map[string]any{"check": "PerformanceBias", "params": map[string]any{"protected_feature": "a"}}, "SegmentPerformance", "SingleDatasetPerformance", "RegressionSystematicError",
		map[string]any{"check": "SimpleModelComparison", "params": map[string]any{"strategy": "tree"}},
		map[string]any{"check": "WeakSegmentsPerformance", "params": map[string]any{"score_per_sample": "a"}},
		map[string]any{"check": "WeakSegmentsPerformance", "params": map[string]any{"alternative_scorer": map[string]any{"F1": "f1_macro"}, "max_categories_weak_segment": 1, "multiple_segments_per_feature": false}},
	}
	for _, tt := range tests {
		for _, compat := range []string{"", "deepchecks"} {
			t.Run(tt.name+compat, func(t *testing.T) {
				t.Parallel()
				dir := t.TempDir()
				a, b, y, p := column(tt.rows, tt.a), column(tt.rows, tt.b), column(tt.rows, tt.y), column(tt.rows, tt.pred)
				var table, pred strings.Builder
				table.WriteString("a,b,y\n")
				pred.WriteString(tt.predictionsHead + "\n")
				for i := range tt.rows {
					fmt.Fprintf(&table, "%s,%s,%s\n", a[i], b[i], y[i])
					pred.WriteString(strings.TrimSuffix(p[i]+","+tt.proba, ",") + "\n")
				}
				for name, text := range map[string]string{"t.csv": table.String(), "p.csv": pred.String()} {
					if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
						t.Fatal(err)
					}
				}
				doc := map[string]any{
					"train": "t.csv", "test": "t.csv", "label": "y", "suites": []string{"model_evaluation"}, "checks": checks,
					"predictions": map[string]any{"train": "p.csv", "test": "p.csv"}, "feature_importance": map[string]any{"a": 0.9, "b": 0.1},
				}
				if tt.task != "" {
					doc["task_type"] = tt.task
				}
				if compat != "" {
					doc["compat"] = compat
				}
				spec, err := check.SpecFromMap(doc)
				if err != nil {
					t.Fatal(err)
				}
				r, err := check.RunSpec(t.Context(), spec, dir)
				if err != nil {
					t.Fatal(err)
				}
				for _, o := range r.Outcomes {
					if o.Err != nil && (o.Err.Class == engine.Internal || o.Err.Message == "") {
						t.Errorf("%s %s: %v", o.Def.ID, o.Which, o.Err)
					}
					for _, c := range o.Conditions {
						if c.Verdict == engine.Broken {
							t.Errorf("%s %s: %s", o.Def.ID, o.Which, c.Details)
						}
					}
				}
			})
		}
	}
}
