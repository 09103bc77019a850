package baseline

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"aloft/tasks/check"
	"aloft/tasks/check/engine"
	"aloft/tasks/check/images"
	"aloft/tasks/check/report"
	"aloft/tasks/check/vision"
)

// Every check says how its results are compared, be it by conditions only.
func TestRules(t *testing.T) {
	t.Parallel()
	for kind, known := range map[check.Kind]map[string]rule{check.Tabular: rules(), check.Vision: imageRules()} {
		registry, err := kind.Registry()
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range registry.IDs() {
			if _, ok := known[id]; !ok {
				t.Errorf("%s of %s has no rule", id, kind)
			}
		}
	}
}

// TestImages compares reports on images: a model that got worse.
func TestImages(t *testing.T) {
	t.Parallel()
	set := func(wrong int) *images.Set {
		s := &images.Set{Task: images.Classification, Classes: map[int]string{0: "ant", 1: "bee"}, Records: make([]images.Record, 40)}
		for i := range s.Records {
			p := []float64{.9, .1}
			if guess := i%2 == 1; guess != (i < 2*wrong && i%2 == 1) {
				p = []float64{.1, .9}
			}
			s.Records[i] = images.Record{HasLabel: true, Class: i % 2, HasPrediction: true, Proba: p}
		}
		return s
	}
	reportOf := func(wrong int) *engine.Report {
		suite := engine.Suite{}
		for _, d := range vision.Model() {
			item, problems := d.Build(nil, nil, engine.Mended)
			if len(problems) > 0 {
				t.Fatal(problems)
			}
			suite.Items = append(suite.Items, item)
		}
		r, err := engine.Run(t.Context(), suite, engine.Inputs{TrainImages: set(0), TestImages: set(wrong)})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	var earlier bytes.Buffer
	if err := report.JSON(&earlier, reportOf(0)); err != nil {
		t.Fatal(err)
	}
	c, err := Compare(earlier.Bytes(), reportOf(10), "v1", DefaultTolerance)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Class Performance  Recall, class bee, Test 1→0.5", "Class Performance  Precision, class ant, Test 1→0.667"} {
		if !slices.ContainsFunc(lines(c), func(l string) bool { return strings.HasPrefix(l, "worse "+want) }) {
			t.Errorf("not among what got worse: %s\n%s", want, strings.Join(lines(c), "\n"))
		}
	}
}

// run makes a report of files.
func run(t *testing.T, document string, files map[string]string) *engine.Report {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	spec, err := check.ParseSuite("s.yaml", []byte(document))
	if err != nil {
		t.Fatal(err)
	}
	r, err := check.RunSpec(t.Context(), spec, dir)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func lines(c *engine.Comparison) []string {
	var out []string
	for _, turn := range c.Turns {
		out = append(out, strings.TrimSpace(fmt.Sprintf("%s %s %s %s %s→%s", turn.Kind, turn.Check, turn.Which, turn.Condition, turn.Before, turn.After)))
	}
	for _, m := range c.Changes {
		out = append(out, fmt.Sprintf("%s %s %s %s %.3g→%.3g %.3g", m.Kind, m.Check, m.Which, m.Measure, m.Before, m.After, m.Share))
	}
	return out
}

func TestCompare(t *testing.T) {
	t.Parallel()
	const document = `
train: a.csv
test: b.csv
label: y
predictions: {train: p.csv, test: q.csv}
checks:
  - {check: DataDuplicates, conditions: [less_or_equal: 0.3, less_than: {value: 0.2, severity: warn}]}
  - {check: TrainTestPerformance, params: {scorers: [recall_macro, accuracy]}}
  - NewLabelTrainTest
  - {check: {name: Mine, command: "cat mine.json", conditions: [less_than: 5]}}
`
	good := map[string]string{
		"a.csv": "x,y\n1,a\n2,b\n3,a\n4,b\n", "b.csv": "x,y\n1,a\n2,b\n3,a\n4,b\n", "mine.json": `{"value": {"k": 4, "steady": 1}}`,
		"p.csv": "y_pred\na\nb\na\nb\n", "q.csv": "y_pred\na\nb\na\nb\n",
	}
	bad := map[string]string{
		"a.csv": "x,y\n1,a\n1,a\n1,a\n4,b\n", "b.csv": "x,y\n1,a\n2,b\n3,a\n4,c\n", "mine.json": `{"value": {"k": 9, "steady": 1}}`,
		"p.csv": "y_pred\na\na\na\nb\n", "q.csv": "y_pred\na\na\na\na\n",
	}
	broken := map[string]string{"a.csv": good["a.csv"], "b.csv": good["b.csv"], "mine.json": `none`, "p.csv": good["p.csv"], "q.csv": good["q.csv"]}
	json := func(r *engine.Report) []byte {
		var b bytes.Buffer
		if err := report.JSON(&b, r.Untimed()); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	tests := []struct {
		name          string
		before, after map[string]string
		worse         int
		want          []string
	}{
		{"the same", good, good, 0, nil},
		{"worse", good, bad, 8, []string{
			"worse Data Duplicates train Result is less or equal to 0.3 PASS→FAIL",
			"worse New Label Train Test  Number of new label values is less or equal to 0 PASS→FAIL",
			"changed Data Duplicates train Result is less than 0.2 PASS→WARN",
			"changed Mine test k 4→9 1.25",
			"worse Data Duplicates train value 0→0.5 +Inf",
			"worse Train Test Performance  accuracy, Test 1→0.5 -0.5",
			"worse New Label Train Test  Samples with New Labels 0→1 +Inf",
		}},
		{"better", bad, good, 0, []string{"better Data Duplicates train Result is less or equal to 0.3 FAIL→PASS", "better Train Test Performance  accuracy, Test 0.5→1 1"}},
		{"broken", good, broken, 2, []string{"worse Mine train  ran→not run", "worse Mine test  ran→not run"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			after := run(t, document, tt.after)
			c, err := Compare(json(run(t, document, tt.before)), after, "before", DefaultTolerance)
			if err != nil {
				t.Fatal(err)
			}
			got := lines(c)
			for _, w := range tt.want {
				if !slices.Contains(got, w) {
					t.Errorf("no line %q", w)
				}
			}
			if tt.want == nil && len(got) > 0 || c.Worse() < tt.worse || tt.worse == 0 && c.Worse() > 0 {
				t.Errorf("%d worse, want %d:\n%s", c.Worse(), tt.worse, strings.Join(got, "\n"))
			}
			if t.Failed() {
				t.Log(strings.Join(got, "\n"))
			}
			after.Baseline = c
			for name, write := range map[string]func() (string, error){
				"text": func() (string, error) {
					var b bytes.Buffer
					err := report.Text(&b, after, report.TextOptions{})
					return b.String(), err
				},
				"JSON":     func() (string, error) { var b bytes.Buffer; err := report.JSON(&b, after); return b.String(), err },
				"HTML":     func() (string, error) { var b bytes.Buffer; err := report.HTML(&b, after); return b.String(), err },
				"Markdown": func() (string, error) { var b bytes.Buffer; err := report.Markdown(&b, after); return b.String(), err },
				"JUnit":    func() (string, error) { var b bytes.Buffer; err := report.JUnit(&b, after); return b.String(), err },
			} {
				text, err := write()
				if err != nil || !strings.Contains(strings.ToLower(text), "baseline") {
					t.Errorf("%s says nothing of the baseline: %v", name, err)
				}
			}
		})
	}
}

// The step that counts: a share of what the measure was, of small shares at
// least a hundredth.
func TestTolerance(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		before, after, tolerance float64
		moved                    bool
	}{
		{0.9, 0.86, 0.05, false}, {0.9, 0.85, 0.05, true}, {0.01, 0.02, 0.05, false}, {0.01, 0.03, 0.05, true},
		{100, 96, 0.05, false}, {100, 94, 0.05, true}, {0.9, 0.8999, 0, true}, {0, 0.001, 0, true}, {0, 0, 0, false}, {3, 3, 0, false},
	} {
		c := &comparer{out: &engine.Comparison{Tolerance: tt.tolerance}}
		c.measure(&result{}, measure{"m", tt.after, higher}, tt.before)
		if got := len(c.out.Changes) > 0; got != tt.moved {
			t.Errorf("%v → %v with %v moved: %v", tt.before, tt.after, tt.tolerance, got)
		}
	}
}

func TestNotAReport(t *testing.T) {
	t.Parallel()
	for _, src := range []string{"", "{}", "[]", `{"checks": [1]}`, `{"checks": [{}]}`, `{"checks": 3}`, "null", "{"} {
		if _, err := Compare([]byte(src), &engine.Report{}, "b", 0); err == nil || !strings.Contains(err.Error(), "read the baseline b") {
			t.Errorf("%q: error %v", src, err)
		}
	}
}

// Whatever a file holds, it is compared or refused.
func FuzzCompare(f *testing.F) {
	f.Add([]byte(`{"checks": [{"check": "DataDuplicates", "dataset": "train", "value": 0.5, "conditions": [{"name": "n", "category": "PASS"}], "condition_params": [{"id": "i"}]}]}`))
	f.Add([]byte(`{"checks": [{"check": "TrainTestPerformance", "value": {"__type__": "DataFrame", "columns": ["Metric", "Value"], "index": [0], "data": [["F1", 1]]}}]}`))
	f.Add([]byte(`{"checks": [{"check": "WeakSegmentsPerformance", "value": {"weak_segments_list": {"__type__": "DataFrame", "columns": ["s"], "index": [], "data": [[1]]}}}]}`))
	f.Fuzz(func(t *testing.T, src []byte) {
		d, err := read(src)
		if err != nil {
			return
		}
		c := &comparer{out: &engine.Comparison{}}
		c.circumstances(d, d)
		c.checks(d, d)
		if c.out.Worse() > 0 {
			t.Error("worse than itself")
		}
	})
}
