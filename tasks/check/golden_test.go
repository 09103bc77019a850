package check_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"aloft/tasks/check"
	"aloft/tasks/check/report"
)

// goldenDirs lists the directories with data and expected results: the
// committed sets, and before them the full collection where it is at hand;
// -short leaves that out.
func goldenDirs(t *testing.T) []string {
	t.Helper()
	committed := filepath.Join("testdata", "golden")
	if testing.Short() {
		return []string{committed}
	}
	for _, extra := range []string{os.Getenv("ALOFT_GOLDEN_CHECKS"), filepath.Join("..", "..", "..", "shared", "golden", "checks")} {
		if extra == "" {
			continue
		}
		if _, err := os.Stat(filepath.Join(extra, "expected")); err == nil {
			return []string{extra, committed}
		}
	}
	return []string{committed}
}

type goldenDataset struct {
	Name        string            `json:"name"`
	Kind        string            `json:"kind"`
	Train       string            `json:"train"`
	Test        string            `json:"test"`
	Label       string            `json:"label"`
	Task        string            `json:"task_type"`
	Features    []any             `json:"features"`
	Categorical []any             `json:"cat_features"`
	Index       string            `json:"index"`
	Datetime    string            `json:"datetime"`
	Types       map[string]any    `json:"dtypes"`
	LabelType   string            `json:"label_dtype"`
	Predictions map[string]string `json:"predictions"`
	Classes     []any             `json:"model_classes"`
}

type goldenSuite struct {
	Suite   string         `json:"suite"`
	Inputs  []string       `json:"inputs"`
	Error   *goldenError   `json:"suite_error"`
	Context map[string]any `json:"context"`
	Checks  []goldenCheck  `json:"checks"`
}

type goldenError struct {
	Class   string `json:"class"`
	Message string `json:"message"`
}

type goldenCheck struct {
	Check      string            `json:"check"`
	Name       string            `json:"name"`
	Dataset    any               `json:"dataset"`
	Header     any               `json:"header"`
	Params     map[string]any    `json:"params"`
	Status     string            `json:"status"`
	Value      any               `json:"value"`
	Reduced    any               `json:"reduced"`
	Conditions []goldenCondition `json:"conditions"`
	Error      *goldenError      `json:"error"`
	Sampled    map[string]any    `json:"sampled"`
	CondParams []goldenCondition `json:"condition_params"`
}

type goldenCondition struct {
	Name     string `json:"name"`
	Category string `json:"category"`
	Details  string `json:"details"`
}

// extraConditions maps the condition names that suites do not add to the
// request that makes them.
func extraConditions() map[string]any {
	return map[string]any{
		"Scores are greater than 0.6":                                 map[string]any{"test_performance_greater_than": map[string]any{"min_score": 0.6}},
		"Misclassified cell size lower than 20% of the total samples": "misclassified_samples_lower_than_condition",
	}
}

// document makes the suite document that repeats an expected run.
func (s *goldenSuite) document(d goldenDataset, known []string, named bool) map[string]any {
	doc := map[string]any{
		"kind": "tabular", "name": d.Name, "train": d.Train, "test": d.Test, "compat": "deepchecks", "fail_on": "never",
	}
	set := func(key string, v any, given bool) {
		if given {
			doc[key] = v
		}
	}
	set("label", d.Label, d.Label != "")
	set("task_type", d.Task, d.Task != "")
	set("index", d.Index, d.Index != "")
	set("datetime", d.Datetime, d.Datetime != "")
	set("features", d.Features, d.Features != nil)
	set("categorical", d.Categorical, d.Categorical != nil)
	set("classes", d.Classes, d.Classes != nil && slices.Contains(s.Inputs, "model_classes"))
	types := d.Types
	if d.LabelType != "" {
		if types == nil {
			types = map[string]any{}
		}
		types[d.Label] = d.LabelType
	}
	set("dtypes", types, len(types) > 0)
	set("predictions", d.Predictions, slices.Contains(s.Inputs, "y_pred_train") || slices.Contains(s.Inputs, "model"))
	// The importances of the recorded models are beside the data.
	set("feature_importance", "feature_importance.csv", slices.Contains(s.Inputs, "feature_importance") || slices.Contains(s.Inputs, "model"))
	if named {
		doc["suites"] = []string{s.Suite}
		return doc
	}
	var checks []any
	for i, c := range s.Checks {
		if !slices.Contains(known, c.Check) || i > 0 && c.Check == s.Checks[i-1].Check && c.Dataset == "test" {
			continue
		}
		conditions := []any{}
		entry := map[string]any{"check": c.Check, "params": c.Params}
		for _, name := range c.CondParams {
			if use, ok := extraConditions()[name.Name]; ok {
				conditions = append(conditions, use)
				entry["conditions"] = conditions
			}
		}
		if len(c.CondParams) == 0 {
			entry["conditions"] = conditions
		}
		checks = append(checks, entry)
	}
	doc["checks"] = checks
	return doc
}

// agreement collects the outcome of every comparison for the final table.
type agreement struct {
	mu   sync.Mutex
	cell map[string]map[string][]string // check, dataset, differences
	runs map[string]map[string]int
	near map[string]map[string]int // runs that agree within a tolerance
	// refusals counts suites that rightly refused to run.
	refusals int
}

func (a *agreement) refused() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.refusals++
}

func (a *agreement) add(check, dataset string, differences []string, tolerated bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.cell[check] == nil {
		a.cell[check], a.runs[check], a.near[check] = map[string][]string{}, map[string]int{}, map[string]int{}
	}
	if tolerated {
		a.near[check][dataset]++
	}
	a.runs[check][dataset]++
	a.cell[check][dataset] = append(a.cell[check][dataset], differences...)
}

// table renders checks against data sets: "=" and the number of equal runs,
// or "≠" and the first difference below.
func (a *agreement) table() string {
	checks, datasets := map[string]bool{}, map[string]bool{}
	for c, row := range a.cell {
		checks[c] = true
		for d := range row {
			datasets[d] = true
		}
	}
	var b, why strings.Builder
	cs, ds := keys(checks), keys(datasets)
	fmt.Fprintf(&b, "%-30s", "data set")
	for _, c := range cs {
		fmt.Fprintf(&b, " %-24s", c)
	}
	equal, tolerated, differs := 0, 0, 0
	for _, d := range ds {
		fmt.Fprintf(&b, "\n%-30s", d)
		for _, c := range cs {
			text := "-"
			if n := a.runs[c][d]; n > 0 {
				text = fmt.Sprintf("equal ×%d", n)
				if diff := a.cell[c][d]; len(diff) > 0 {
					text = "DIFFERS"
					fmt.Fprintf(&why, "\n%s × %s: %s", c, d, strings.Join(diff[:min(3, len(diff))], "; "))
					differs += 1
				} else {
					if near := a.near[c][d]; near > 0 {
						text = fmt.Sprintf("within ×%d of %d", near, n)
						tolerated += near
						n -= near
					}
					equal += n
				}
			}
			fmt.Fprintf(&b, " %-24s", text)
		}
	}
	fmt.Fprintf(&b, "\n%d runs of %d checks over %d data sets equal (exact, 1e-9 relative), %d within a tolerance, %d cells differ; %d suites refused to run with the same error%s",
		equal, len(cs), len(ds), tolerated, differs, a.refusals, why.String())
	return b.String()
}

func keys(m map[string]bool) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// TestGolden compares our results with recorded ones of deepchecks.
func TestGolden(t *testing.T) {
	t.Parallel()
	registry, err := check.Tabular.Registry()
	if err != nil {
		t.Fatal(err)
	}
	all := &agreement{cell: map[string]map[string][]string{}, runs: map[string]map[string]int{}, near: map[string]map[string]int{}}
	t.Cleanup(func() { t.Logf("agreement with deepchecks\n%s", all.table()) })
	seen := map[string]bool{}
	for _, dir := range goldenDirs(t) {
		sets, err := filepath.Glob(filepath.Join(dir, "expected", "*"))
		if err != nil {
			t.Fatal(err)
		}
		for _, set := range sets {
			name := filepath.Base(set)
			if seen[name] {
				continue // the full collection has it
			}
			seen[name] = true
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				goldenSet(t, dir, name, registry.IDs(), all)
			})
		}
	}
}

func goldenSet(t *testing.T, dir, name string, known []string, all *agreement) {
	var d goldenDataset
	readJSON(t, filepath.Join(dir, "data", name, "dataset.json"), &d)
	if d.Kind != "tabular" {
		return
	}
	suites, err := filepath.Glob(filepath.Join(dir, "expected", name, "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range suites {
		var want goldenSuite
		readJSON(t, file, &want)
		named := slices.Contains(check.Tabular.SuiteNames(), want.Suite)
		doc := want.document(d, known, named)
		if checks, _ := doc["checks"].([]any); !named && len(checks) == 0 {
			continue
		}
		got := runDocument(t, doc, filepath.Join(dir, "data", name))
		label := want.Suite + ": "
		if want.Error != nil {
			if got.Error == nil || *got.Error != *want.Error {
				t.Errorf("%ssuite error: got %+v, want %+v", label, got.Error, want.Error)
			} else {
				all.refused()
			}
			continue
		}
		if got.Error != nil {
			t.Errorf("%ssuite refused to run: %+v", label, got.Error)
			continue
		}
		for _, key := range []string{"task_type", "features", "cat_features", "numerical_features"} {
			for _, diff := range compare(key, got.Context[key], want.Context[key]) {
				t.Error(label + diff)
			}
		}
		recorded := make(map[string]bool)
		for _, c := range want.Checks {
			recorded[c.Check] = true
		}
		if slices.Contains(want.Inputs, "model") {
			delete(recorded, "BoostingOverfit") // TestGoldenLive asks the model itself
			want.Checks = slices.DeleteFunc(want.Checks, func(c goldenCheck) bool { return c.Check == "BoostingOverfit" })
		}
		got.Checks = slices.DeleteFunc(got.Checks, func(c goldenCheck) bool { return !recorded[c.Check] })
		expected := slices.DeleteFunc(slices.Clone(want.Checks), func(c goldenCheck) bool { return !slices.Contains(known, c.Check) })
		if len(got.Checks) != len(expected) {
			t.Errorf("%s%d results, want %d", label, len(got.Checks), len(expected))
			continue
		}
		for i, w := range expected {
			diff, tolerated := compareCheck(got.Checks[i], w)
			all.add(w.Check, name, diff, tolerated)
			for _, line := range diff {
				t.Errorf("%s%s %v: %s", label, w.Check, w.Dataset, line)
			}
		}
	}
}

func runDocument(t *testing.T, doc map[string]any, dir string) goldenSuite {
	t.Helper()
	spec, err := check.SpecFromMap(doc)
	if err != nil {
		t.Fatal(err)
	}
	r, err := check.RunSpec(context.Background(), spec, dir)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := report.JSON(&b, r); err != nil {
		t.Fatal(err)
	}
	var got goldenSuite
	if err := json.Unmarshal(b.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	return got
}

// compareCheck lists the differences of two results; the second value tells
// that there are some, all within the tolerance of the check.
func compareCheck(got, want goldenCheck) ([]string, bool) {
	diff := compareExactly(got, want, 0)
	if rule, ok := goldenTolerances()[want.Check]; ok && len(diff) > 0 {
		diff = within(got, want, rule)
		return diff, len(diff) == 0
	}
	return diff, false
}

func compareExactly(got, want goldenCheck, epsilon float64) []string {
	if got.Check != want.Check || got.Dataset != want.Dataset {
		return []string{fmt.Sprintf("got %s %v in its place", got.Check, got.Dataset)}
	}
	var diff []string
	for _, p := range []struct {
		name      string
		got, want any
	}{
		{"name", got.Name, want.Name}, {"header", got.Header, want.Header}, {"status", got.Status, want.Status},
		{"value", got.Value, want.Value}, {"reduced", got.Reduced, want.Reduced},
	} {
		diff = append(diff, compareWithin(p.name, p.got, p.want, epsilon)...)
	}
	for k, w := range want.Params {
		if want.Check == "OutlierSampleDetection" && k == "timeout" {
			continue // recorded without a limit
		}
		diff = append(diff, compare("params."+k, got.Params[k], w)...)
	}
	if (got.Error == nil) != (want.Error == nil) || got.Error != nil && *got.Error != *want.Error {
		diff = append(diff, fmt.Sprintf("error: got %+v, want %+v", got.Error, want.Error))
	}
	if len(got.Conditions) != len(want.Conditions) {
		return append(diff, fmt.Sprintf("conditions: got %+v, want %+v", got.Conditions, want.Conditions))
	}
	for i, w := range want.Conditions {
		if got.Conditions[i] != w {
			diff = append(diff, fmt.Sprintf("condition: got %+v, want %+v", got.Conditions[i], w))
		}
	}
	return diff
}

// compare lists the differences of two decoded JSON values; numbers may
// differ by 1e-9 of their size.
func compare(path string, got, want any) []string { return compareWithin(path, got, want, 0) }

// compareWithin is compare for numbers that may differ by epsilon.
func compareWithin(path string, got, want any, epsilon float64) []string {
	switch w := want.(type) {
	case float64:
		g, ok := got.(float64)
		if ok && closeTo(g, w, epsilon) {
			return nil
		}
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(w) {
			return []string{fmt.Sprintf("%s: got %v, want %v", path, clip(got), clip(want))}
		}
		var diff []string
		for i := range w {
			diff = append(diff, compareWithin(fmt.Sprintf("%s[%d]", path, i), g[i], w[i], epsilon)...)
		}
		return diff
	case map[string]any:
		if _, cut := w["__cut__"]; cut { // only the head of a long list was kept
			g, _ := got.([]any)
			head, _ := w["head"].([]any)
			if float64(len(g)) != w["length"] || len(g) < len(head) {
				return []string{fmt.Sprintf("%s: %d items, want %v", path, len(g), w["length"])}
			}
			return compareWithin(path, g[:len(head)], head, epsilon)
		}
		g, ok := got.(map[string]any)
		if !ok || len(g) != len(w) {
			return []string{fmt.Sprintf("%s: got %v, want %v", path, clip(got), clip(want))}
		}
		g = cutTable(g, w)
		var diff []string
		for k := range w {
			diff = append(diff, compareWithin(path+"."+k, g[k], w[k], epsilon)...)
		}
		return diff
	default:
		if got == want {
			return nil
		}
	}
	return []string{fmt.Sprintf("%s: got %v, want %v", path, clip(got), clip(want))}
}

// cutTable cuts a table to the rows that the recorded one kept.
func cutTable(got, want map[string]any) map[string]any {
	rows, _ := want["data"].([]any)
	n, isTable := want["n_rows"].(float64)
	data, _ := got["data"].([]any)
	index, _ := got["index"].([]any)
	if !isTable || float64(len(rows)) >= n || len(data) < len(rows) || len(index) < len(rows) {
		return got
	}
	out := maps.Clone(got)
	out["data"], out["index"] = data[:len(rows)], index[:len(rows)]
	return out
}

func clip(v any) string {
	s := fmt.Sprintf("%v", v)
	return s[:min(len(s), 200)]
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
