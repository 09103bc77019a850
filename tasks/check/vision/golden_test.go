package vision_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/report"
	"aloft/tasks/check/vision"
)

// goldenDirs lists where recorded results of deepchecks are: the full
// collection where it is at hand, unless -short is given, and the committed
// sets.
func goldenDirs() []string {
	committed := filepath.Join("testdata", "golden")
	for _, dir := range []string{os.Getenv("ALOFT_GOLDEN_CHECKS"), filepath.Join("..", "..", "..", "..", "shared", "golden", "checks")} {
		if dir == "" || testing.Short() {
			continue
		}
		if _, err := os.Stat(filepath.Join(dir, "expected")); err == nil {
			return []string{committed, dir}
		}
	}
	return []string{committed}
}

type recorded struct {
	Check      string         `json:"check"`
	Name       string         `json:"name"`
	Dataset    any            `json:"dataset"`
	Header     any            `json:"header"`
	Params     map[string]any `json:"params"`
	Status     string         `json:"status"`
	Value      any            `json:"value"`
	Reduced    any            `json:"reduced"`
	Conditions []verdict      `json:"conditions"`
	Error      *failure       `json:"error"`
}

type verdict struct {
	Name     string `json:"name"`
	Category string `json:"category"`
	Details  string `json:"details"`
}

type failure struct {
	Class   string `json:"class"`
	Message string `json:"message"`
}

// suites lists the checks by the name of their suite.
func suites() map[string][]*engine.Definition {
	return map[string][]*engine.Definition{
		"data_integrity": vision.Integrity(), "train_test_validation": vision.Split(), "model_evaluation": vision.Model(),
	}
}

// run runs checks with their defaults, as a report in JSON.
func run(t *testing.T, defs []*engine.Definition, in engine.Inputs) []recorded {
	t.Helper()
	var out struct {
		Error  *failure   `json:"suite_error"`
		Checks []recorded `json:"checks"`
	}
	if err := json.Unmarshal(jsonOf(t, runReport(t, defs, in)), &out); err != nil {
		t.Fatal(err)
	}
	if out.Error != nil {
		t.Fatal(out.Error)
	}
	return out.Checks
}

func runReport(t *testing.T, defs []*engine.Definition, in engine.Inputs) *engine.Report {
	t.Helper()
	suite := engine.Suite{}
	for _, d := range defs {
		item, problems := d.Build(nil, nil, in.Mode)
		if len(problems) > 0 {
			t.Fatalf("%s: %v", d.ID, problems)
		}
		suite.Items = append(suite.Items, item)
	}
	r, err := engine.Run(context.Background(), suite, in)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func jsonOf(t *testing.T, r *engine.Report) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := report.JSON(&b, r); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestGolden compares results with those that deepchecks gave for the same
// images.
func TestGolden(t *testing.T) {
	t.Parallel()
	for _, dir := range goldenDirs() {
		for _, name := range []string{"img_digits", "img_digits__bad", "img_patches", "det_small", "det_digits"} {
			if _, err := os.Stat(filepath.Join(dir, "expected", name)); err != nil {
				continue // only some are committed
			}
			t.Run(filepath.Base(dir)+"/"+name, func(t *testing.T) {
				t.Parallel()
				goldenSet(t, dir, name)
			})
		}
	}
}

func goldenSet(t *testing.T, dir, name string) {
	var d goldenData
	readJSON(t, filepath.Join(dir, "data", name, "dataset.json"), &d)
	train, test := d.read(t, filepath.Join(dir, "data", name), "train"), d.read(t, filepath.Join(dir, "data", name), "test")
	compared, full := 0, train.Heat != nil
	for _, suite := range slices.Sorted(maps.Keys(suites())) {
		var want struct{ Checks []recorded }
		readJSON(t, filepath.Join(dir, "expected", name, suite+".json"), &want)
		got := run(t, suites()[suite], engine.Inputs{TrainImages: train, TestImages: test, Mode: engine.Deepchecks})
		for i, w := range want.Checks {
			if full && i < len(got) && (got[i].Check != w.Check || got[i].Dataset != w.Dataset) {
				t.Errorf("%s: result %d is %s %v, want %s %v", suite, i, got[i].Check, got[i].Dataset, w.Check, w.Dataset)
			}
			at := slices.IndexFunc(got, func(g recorded) bool { return g.Check == w.Check && g.Dataset == w.Dataset })
			if at < 0 {
				t.Errorf("%s: no result of %s %v", suite, w.Check, w.Dataset)
				continue
			}
			compared++
			for _, line := range differences(got[at], w) {
				t.Errorf("%s %v: %s", w.Check, w.Dataset, line)
			}
		}
	}
	t.Logf("%d results compared, to 1e-9", compared)
}

// differences lists how a result differs from the recorded one.
func differences(got, want recorded) []string {
	var out []string
	for _, p := range []struct {
		name      string
		got, want any
	}{{"name", got.Name, want.Name}, {"header", got.Header, want.Header}, {"status", got.Status, want.Status}, {"value", got.Value, want.Value}, {"reduced", got.Reduced, want.Reduced}} {
		out = append(out, compare(p.name, p.got, p.want)...)
	}
	for k, w := range want.Params {
		if k == "metric_to_show_by" {
			continue // there, the run changes it
		}
		out = append(out, compare("params."+k, got.Params[k], w)...)
	}
	if (got.Error == nil) != (want.Error == nil) || got.Error != nil && *got.Error != *want.Error {
		out = append(out, fmt.Sprintf("error: got %+v, want %+v", got.Error, want.Error))
	}
	if !slices.Equal(got.Conditions, want.Conditions) {
		out = append(out, fmt.Sprintf("conditions: got %+v, want %+v", got.Conditions, want.Conditions))
	}
	return out
}

// compare lists the differences of two decoded values; numbers may differ by
// 1e-9 of their size.
func compare(path string, got, want any) []string {
	differs := []string{fmt.Sprintf("%s: got %v, want %v", path, clip(got), clip(want))}
	switch w := want.(type) {
	case float64:
		g, ok := got.(float64)
		if ok && math.Abs(g-w) <= 1e-9*max(math.Abs(g), math.Abs(w)) {
			return nil
		}
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(w) {
			return differs
		}
		var out []string
		for i := range w {
			out = append(out, compare(fmt.Sprintf("%s[%d]", path, i), g[i], w[i])...)
		}
		return out
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok || len(g) != len(w) {
			return differs
		}
		var out []string
		for _, k := range slices.Sorted(maps.Keys(w)) {
			out = append(out, compare(path+"."+k, g[k], w[k])...)
		}
		return out
	default:
		if got == want {
			return nil
		}
	}
	return differs
}

func clip(v any) string {
	s := fmt.Sprintf("%v", v)
	return s[:min(len(s), 600)]
}

func readJSON(t *testing.T, path string, into any) {
	t.Helper()
	src, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(src, into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}
