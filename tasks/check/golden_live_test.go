package check_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"aloft/tasks/check"
)

// withSklearn returns a Python that has the scikit-learn that the results were
// recorded with, or skips: other versions fit other models.
func withSklearn(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"python3", "/usr/bin/python3"} {
		path, err := exec.LookPath(name)
		if err == nil && exec.CommandContext(t.Context(), path, "-c", "import sklearn, pandas; assert sklearn.__version__.startswith('1.2.')").Run() == nil {
			return path
		}
	}
	t.Skip("no Python with scikit-learn 1.2 and pandas (apt-get install python3-sklearn python3-pandas on Debian 12)")
	return ""
}

// TestGoldenLive repeats the recorded runs with a live model: the model is
// fitted anew, served by the example's server, and asked for predictions,
// importances and stages; no file tells them. ALOFT_GOLDEN_LIVE=1 takes more
// data sets.
func TestGoldenLive(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it asks a model thousands of times")
	}
	python := withSklearn(t)
	example, err := filepath.Abs(filepath.Join("..", "..", "examples", "model-server", "sklearn"))
	if err != nil {
		t.Fatal(err)
	}
	server, err := filepath.Abs(filepath.Join("testdata", "golden_serve.py"))
	if err != nil {
		t.Fatal(err)
	}
	registry, err := check.Tabular.Registry()
	if err != nil {
		t.Fatal(err)
	}
	root := goldenDirs(t)[0]
	names := []string{"iris"}
	if os.Getenv("ALOFT_GOLDEN_LIVE") != "" {
		names = append(names, "diabetes", "breast_cancer") // minutes on a busy machine; the preparation of others is not known
	}
	for _, name := range names {
		data, file := filepath.Join(root, "data", name), filepath.Join(root, "expected", name, "model_evaluation_model.json")
		if _, err := os.Stat(file); err != nil {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var d goldenDataset
			readJSON(t, filepath.Join(data, "dataset.json"), &d)
			var want goldenSuite
			readJSON(t, file, &want)
			data, err := filepath.Abs(data)
			if err != nil {
				t.Fatal(err)
			}
			doc := want.document(d, registry.IDs(), false)
			delete(doc, "predictions")
			delete(doc, "feature_importance")
			doc["feature_importance_timeout"] = "1h" // the machine may be busy
			doc["model"] = map[string]any{
				"command": strings.Join([]string{python, server, data}, " "), "timeout": "5m",
				"env": map[string]any{"EXAMPLE": example, "PYTHONDONTWRITEBYTECODE": "1"},
			}
			got := runDocument(t, doc, data)
			expected := slices.DeleteFunc(slices.Clone(want.Checks), func(c goldenCheck) bool { return registry.Lookup(c.Check) == nil })
			if len(got.Checks) != len(expected) || got.Error != nil {
				t.Fatalf("%d results, want %d; error %v", len(got.Checks), len(expected), got.Error)
			}
			for i, w := range expected {
				diff, _ := compareCheck(got.Checks[i], w)
				for _, line := range diff {
					t.Errorf("%s %v: %s", w.Check, w.Dataset, line)
				}
			}
		})
	}
}
