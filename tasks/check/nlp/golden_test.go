package nlp_test

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
	"strings"
	"testing"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/frame"
	"aloft/tasks/check/nlp"
	"aloft/tasks/check/report"
	"aloft/tasks/check/text"
)

// goldenDir is where recorded results of deepchecks are: the full collection,
// where it is at hand.
func goldenDir(t testing.TB) string {
	for _, dir := range []string{os.Getenv("ALOFT_GOLDEN_CHECKS"), filepath.Join("..", "..", "..", "..", "shared", "golden", "checks")} {
		if dir == "" {
			continue
		}
		if _, err := os.Stat(filepath.Join(dir, "expected", "txt_spam")); err == nil {
			return dir
		}
	}
	t.Skip("the recorded results of deepchecks are not at hand: set ALOFT_GOLDEN_CHECKS to their folder")
	return ""
}

type recorded struct {
	Check      string         `json:"check"`
	Name       string         `json:"name"`
	Dataset    any            `json:"dataset"`
	Header     any            `json:"header"`
	Params     map[string]any `json:"params"`
	Status     string         `json:"status"`
	Truth      string         `json:"truth"`
	Value      any            `json:"value"`
	Reduced    any            `json:"reduced"`
	Conditions []verdict      `json:"conditions"`
	Error      *failure       `json:"error"`
	Notes      []string       `json:"notes"`
}

type verdict struct {
	Name     string `json:"name"`
	Category string `json:"category"`
	Details  string `json:"details"`
}

type failure struct {
	Class   string `json:"class"`
	Kind    string `json:"kind"`
	Message string `json:"message"`
}

// suites lists the checks by the name of their suite.
func suites() map[string][]*engine.Definition {
	return map[string][]*engine.Definition{"data_integrity": nlp.Integrity(), "train_test_validation": nlp.Split(), "model_evaluation": nlp.Model()}
}

// run runs checks with their defaults, as a report in JSON.
func run(t testing.TB, defs []*engine.Definition, in engine.Inputs) []recorded {
	t.Helper()
	suite := engine.Suite{}
	for _, d := range defs {
		item, problems := d.Build(nil, nil, in.Mode)
		if len(problems) > 0 {
			t.Fatalf("%s: %v", d.ID, problems)
		}
		suite.Items = append(suite.Items, item)
	}
	return runSuite(t, suite, in)
}

func runSuite(t testing.TB, suite engine.Suite, in engine.Inputs) []recorded {
	t.Helper()
	r, err := engine.Run(context.Background(), suite, in)
	if err != nil {
		t.Fatal(err)
	}
	if r.Err != nil {
		t.Fatal(r.Err)
	}
	var b bytes.Buffer
	if err := report.JSON(&b, r); err != nil {
		t.Fatal(err)
	}
	var out struct{ Checks []recorded }
	if err := json.Unmarshal(b.Bytes(), &out); err != nil {
		t.Fatal(err)
	}
	return out.Checks
}

// spam reads a side of the recorded data set.
func spam(t testing.TB, dir, side string) *text.Set {
	t.Helper()
	read := func(name string) *frame.Table {
		table, err := frame.Read([]frame.File{{Path: filepath.Join(dir, "data", "txt_spam", name)}}, frame.Options{})
		if err != nil {
			t.Fatal(err)
		}
		return table
	}
	s, err := text.FromTable(read(side+".csv"), text.Layout{Text: "text", Label: "label", Predicted: "y_pred", Proba: "proba_*", Metadata: []string{"source", "n_exclaim"}})
	if err != nil {
		t.Fatal(err)
	}
	s.Properties = &text.Columns{Table: read("properties_" + side + ".csv")}
	return s
}

// TestGolden compares results with those that deepchecks gave for the same
// texts.
func TestGolden(t *testing.T) {
	t.Parallel()
	dir := goldenDir(t)
	train, test := spam(t, dir, "train"), spam(t, dir, "test")
	if err := text.Agree(train, test, []string{"source"}, nil); err != nil {
		t.Fatal(err)
	}
	compared := 0
	for _, suite := range slices.Sorted(maps.Keys(suites())) {
		var want struct{ Checks []recorded }
		readJSON(t, filepath.Join(dir, "expected", "txt_spam", suite+".json"), &want)
		got := run(t, suites()[suite], engine.Inputs{TrainTexts: train, TestTexts: test, Mode: engine.Deepchecks})
		if suite == "model_evaluation" {
			got = sameProperties(t, got, engine.Inputs{TrainTexts: train, TestTexts: test, Mode: engine.Deepchecks})
		}
		if len(got) != len(want.Checks) {
			t.Errorf("%s: %d results, want %d", suite, len(got), len(want.Checks))
		}
		for i, w := range want.Checks {
			if i >= len(got) || got[i].Check != w.Check || got[i].Dataset != w.Dataset {
				t.Errorf("%s: result %d is %+v, want %s %v", suite, i, got[min(i, len(got)-1)].Check, w.Check, w.Dataset)
				continue
			}
			if w.Truth == "not-available" {
				continue
			}
			compared++
			for _, line := range differences(got[i], w) {
				t.Errorf("%s %v: %s", w.Check, w.Dataset, line)
			}
		}
	}
	t.Logf("%d results compared, to 1e-9", compared)
}

// sameProperties runs PropertySegmentsPerformance again on the properties that
// it looked at when the results were recorded: there, the ten of twelve come
// out of a set, whose order differs from run to run.
func sameProperties(t testing.TB, got []recorded, in engine.Inputs) []recorded {
	t.Helper()
	for side, without := range map[string][]string{"train": {"Sentiment", "Subjectivity"}, "test": {"Average Word Length", "% Punctuation"}} {
		var names []any
		for _, n := range slices.Backward(in.TrainTexts.Properties.Table.Names()) {
			if !slices.Contains(without, n) {
				names = append(names, n)
			}
		}
		item, problems := nlp.Model()[2].Build(map[string]any{"properties": names}, nil, in.Mode)
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		for _, again := range runSuite(t, engine.Suite{Items: []engine.Item{item}}, in) {
			for i := range got {
				if got[i].Check == again.Check && got[i].Dataset == side && again.Dataset == side {
					delete(again.Params, "properties")
					got[i] = again
				}
			}
		}
	}
	return got
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
		g := got.Params[k]
		if set, ok := w.(map[string]any); ok && set["__type__"] == "set" { // of characters: here, one text
			var letters []string
			for _, c := range set["items"].([]any) {
				letters = append(letters, c.(string))
			}
			have := strings.Split(g.(string), "")
			slices.Sort(letters)
			slices.Sort(have)
			g, w = strings.Join(have, ""), strings.Join(letters, "")
		}
		out = append(out, compare("params."+k, g, w)...)
	}
	if (got.Error == nil) != (want.Error == nil) || got.Error != nil && (got.Error.Class != want.Error.Class || got.Error.Message != want.Error.Message) {
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

func readJSON(t testing.TB, path string, into any) {
	t.Helper()
	src, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(src, into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}
