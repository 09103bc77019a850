package check_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"go.yaml.in/yaml/v3"

	"aloft/tasks/check"
	"aloft/tasks/check/engine"
)

// TestQuickstart runs the example's training script, where Python is at hand,
// and judges what it wrote by the tests section of its task. The outcome is
// also recorded, so that the suites are judged everywhere.
func TestQuickstart(t *testing.T) {
	t.Parallel()
	example := filepath.Join("..", "..", "examples", "quickstart")
	src, err := os.ReadFile(filepath.Join(example, "task.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var task struct {
		Tests map[string]any `yaml:"tests"`
	}
	if err := yaml.Unmarshal(src, &task); err != nil {
		t.Fatal(err)
	}
	dirs := []string{filepath.Join("testdata", "quickstart")}
	if python, err := exec.LookPath("python3"); err == nil {
		dir := t.TempDir()
		for _, name := range []string{"train.py", "iris.csv"} {
			content, err := os.ReadFile(filepath.Join(example, name))
			if err != nil {
				t.Fatal(err)
			}
			copyTo(t, dir, name, string(content))
		}
		if out, err := exec.CommandContext(t.Context(), python, filepath.Join(dir, "train.py")).CombinedOutput(); err != nil {
			t.Fatalf("train.py: %v\n%s", err, out)
		}
		for _, name := range []string{"metrics.txt", "plot.svg"} {
			if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
				t.Error(err)
			}
		}
		dirs = append(dirs, dir)
	}
	for _, dir := range dirs {
		spec, err := check.SpecFromMap(task.Tests)
		if err != nil {
			t.Fatal(err)
		}
		r, err := check.RunSpec(t.Context(), spec, dir)
		if err != nil {
			t.Fatal(err)
		}
		if n := r.Counts(); !r.Passed() || n.Pass < 13 || n.NotRun > 0 {
			t.Errorf("%s: %+v", dir, n)
		}
		for _, o := range r.Outcomes {
			for _, c := range o.Conditions {
				// Some flowers between two species are told apart less well: a warning, and true.
				if c.Verdict != engine.Pass && (c.Verdict != engine.Warn || o.Def.ID != "WeakSegmentsPerformance") {
					t.Errorf("%s: %s %s: %s: %s", dir, o.Def.ID, o.Which, c.Verdict, c.Details)
				}
			}
		}
	}
}
