package report_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"io"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/frame"
	"aloft/tasks/check/report"
)

const evil = `<script>alert("x")</script>|*`

// sample is a report with everything a report can hold, and hostile names.
func sample() *engine.Report {
	def := &engine.Definition{ID: "FakeCheck", Summary: "Looks for <b>.", Scope: engine.SingleDataset, Params: engine.SampleParams(5)}
	args := engine.Args{"n_samples": 5, "random_state": 42}
	return &engine.Report{
		Kind: "tabular", Name: evil, Suite: "data_integrity", Seed: 42, FailOn: engine.FailOnFail, Task: engine.Multiclass,
		Classes: []frame.Value{frame.TextValue(evil)}, Started: time.Date(2024, 1, 2, 3, 4, 5, 0, time.UTC), Elapsed: 1500 * time.Millisecond,
		Train: engine.Shape{Rows: 10, Columns: 2, Label: evil, Features: []string{evil}}, Test: &engine.Shape{Rows: 5, Columns: 2},
		Outcomes: []engine.Outcome{
			{
				Suite: "data_integrity", Def: def, Args: args, Which: engine.Train, Header: "Fake & Check", Sampled: engine.Sampled{Train: 5, TrainTotal: 10},
				Result: engine.Result{
					Value:   engine.Scalar(0.5),
					Reduced: engine.Object{{Key: evil, Value: 1.0}},
					Displays: []engine.Display{
						engine.Note{Text: evil},
						engine.TableView{Title: evil, Grid: engine.Grid{Columns: []string{evil, "n"}, Rows: [][]any{{evil, 3}, {nil, 4}}}},
						engine.BarChart{Title: evil, Series: []string{"Train", "Test"}, Groups: []engine.BarGroup{{Label: evil, Values: []float64{0.4, nan()}}, {Label: "b", Values: []float64{-3, 2}}}},
						engine.LineChart{Title: evil, XMax: 1, YMax: 1, Diagonal: true, Lines: []engine.Line{{Name: evil, X: []float64{0, 1}, Y: []float64{0, 1}, Mark: 1, MarkText: evil}}},
						engine.Heatmap{Title: evil, RowName: "True", ColName: "Predicted", Rows: []string{evil, "b"}, Cols: []string{evil, "b"}, Values: [][]float64{{1, 2}, {0, 5}}, Shares: [][]float64{{.3, .7}, {0, 1}}},
					},
				},
				Conditions: []engine.Judged{
					{ID: "a", Name: "Passes " + evil, Verdict: engine.Pass, Details: evil},
					{ID: "b", Name: "Fails", Verdict: engine.Fail, Details: "a\nb " + evil},
					{ID: "c", Name: "Warns", Verdict: engine.Warn, Details: evil},
					{ID: "d", Name: "Breaks", Verdict: engine.Broken, Details: evil},
				},
			},
			{Suite: "data_integrity", Def: def, Args: args, Which: engine.Test, Header: "Fake & Check", Err: engine.Errorf(engine.Internal, "%s", evil)},
			{Def: def, Args: args, Which: engine.Test, Header: "Skipped", Err: &engine.Error{Class: engine.NotSupported, Cause: engine.Missing, Message: evil}},
			{Def: def, Args: args, Header: "Plain", Result: engine.Result{Value: engine.Scalar(nan())}},
		},
	}
}

func nan() float64 { var z float64; return z / z }

func render(t *testing.T, r *engine.Report, write func(io.Writer, *engine.Report) error) string {
	t.Helper()
	var b bytes.Buffer
	if err := write(&b, r); err != nil {
		t.Fatal(err)
	}
	if !utf8.Valid(b.Bytes()) {
		t.Error("not UTF-8")
	}
	return b.String()
}

func TestJSON(t *testing.T) {
	t.Parallel()
	out := render(t, sample(), report.JSON)
	var doc map[string]any
	if err := json.Unmarshal([]byte(out), &doc); err != nil {
		t.Fatal(err)
	}
	if doc["format"] != 1.0 || doc["passed"] != false || doc["dataset"] != evil {
		t.Errorf("%v %v %v", doc["format"], doc["passed"], doc["dataset"])
	}
	checks := doc["checks"].([]any)
	first, last := checks[0].(map[string]any), checks[3].(map[string]any)
	if first["value"] != 0.5 || last["value"] != "NaN" || first["sampled"].(map[string]any)["train"] != true {
		t.Errorf("%v %v %v", first["value"], last["value"], first["sampled"])
	}
	if e := checks[1].(map[string]any)["error"].(map[string]any); e["class"] != "InternalError" || e["kind"] != "error" {
		t.Errorf("%v", e)
	}
}

func TestHTMLIsSelfContainedAndEscaped(t *testing.T) {
	t.Parallel()
	out := render(t, sample(), report.HTML)
	start, end := strings.Index(out, "<script>"), strings.Index(out, "</script>")
	if start < 0 || end < start {
		t.Fatal("the page has no script")
	}
	digest := sha256.Sum256([]byte(out[start+len("<script>") : end]))
	if !strings.Contains(out, "script-src 'sha256-"+base64.StdEncoding.EncodeToString(digest[:])+"'") {
		t.Error("the page's policy does not fit its script")
	}
	out = out[:start] + out[end+len("</script>"):]
	for _, bad := range []string{"<script", "http://", "https://", "javascript:", "src=", "url(", "@import", `alert("x")`} {
		if strings.Contains(out, bad) {
			t.Errorf("the page contains %q", bad)
		}
	}
	for _, want := range []string{"&lt;script&gt;", "prefers-color-scheme:dark", `lang="en"`, `href="#main"`, "Skip to the results", "<title>"} {
		if !strings.Contains(out, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	ids := map[string]bool{}
	for _, m := range regexp.MustCompile(` id="([^"]*)"`).FindAllStringSubmatch(out, -1) {
		if ids[m[1]] {
			t.Errorf("the id %q occurs twice", m[1])
		}
		ids[m[1]] = true
	}
	for _, m := range regexp.MustCompile(`href="#([^"]*)"`).FindAllStringSubmatch(out, -1) {
		if !ids[m[1]] {
			t.Errorf("a link leads to %q, which is not there", m[1])
		}
	}
	dec := xml.NewDecoder(strings.NewReader(strings.TrimPrefix(out, "<!doctype html>")))
	dec.Strict, dec.AutoClose, dec.Entity = false, xml.HTMLAutoClose, xml.HTMLEntity
	depth := 0
	for {
		tok, err := dec.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("markup: %v", err)
		}
		switch tok.(type) {
		case xml.StartElement:
			depth++
		case xml.EndElement:
			depth--
		}
	}
	if depth != 0 {
		t.Errorf("%d elements are not closed", depth)
	}
}

func TestJUnit(t *testing.T) {
	t.Parallel()
	type suites struct {
		Tests    int `xml:"tests,attr"`
		Failures int `xml:"failures,attr"`
		Errors   int `xml:"errors,attr"`
	}
	for _, tt := range []struct {
		mode   engine.Mode
		failOn engine.FailOn
		want   suites
	}{
		{engine.Mended, engine.FailOnFail, suites{7, 1, 2}},
		{engine.Mended, engine.FailOnWarn, suites{7, 2, 2}},
		{engine.Deepchecks, engine.FailOnFail, suites{4, 2, 0}},
	} {
		r := sample()
		r.Mode, r.FailOn = tt.mode, tt.failOn
		var got suites
		if err := xml.Unmarshal([]byte(render(t, r, report.JUnit)), &got); err != nil {
			t.Fatal(err)
		}
		if got != tt.want {
			t.Errorf("%s %s: %+v, want %+v", tt.mode, tt.failOn, got, tt.want)
		}
	}
}

func TestMarkdown(t *testing.T) {
	t.Parallel()
	out := render(t, sample(), report.Markdown)
	if strings.Contains(out, "<script") || !strings.Contains(out, "&lt;script&gt;") {
		t.Error("user data are not escaped")
	}
	cells := 0
	for _, line := range strings.Split(out, "\n") {
		n := strings.Count(strings.ReplaceAll(line, `\|`, ""), "|")
		if !strings.HasPrefix(line, "|") {
			cells = 0
		} else if cells == 0 {
			cells = n
		} else if n != cells {
			t.Errorf("a row has %d cells, not %d: %s", n, cells, line)
		}
	}
	if strings.Index(out, "Fails") > strings.Index(out, "Passes") {
		t.Error("passed conditions come first")
	}
}

func TestText(t *testing.T) {
	t.Parallel()
	for _, width := range []int{60, 80, 120} {
		out := render(t, sample(), func(w io.Writer, r *engine.Report) error { return report.Text(w, r, report.TextOptions{Width: width}) })
		if strings.Contains(out, "\x1b") {
			t.Error("colours without being asked")
		}
		for _, line := range strings.Split(out, "\n") {
			if n := utf8.RuneCountInString(line); n > width {
				t.Errorf("width %d: %d characters: %s", width, n, line)
			}
		}
		if !strings.Contains(out, "✖ failed") || strings.Index(out, "Fails") > strings.Index(out, "Passes") {
			t.Errorf("failed conditions do not come first:\n%s", out)
		}
	}
	out := render(t, sample(), func(w io.Writer, r *engine.Report) error { return report.Text(w, r, report.TextOptions{Color: true}) })
	if !strings.Contains(out, "\x1b[31m") {
		t.Error("no colours")
	}
}

func TestSuiteThatRefusedToRun(t *testing.T) {
	t.Parallel()
	r := sample()
	r.Outcomes, r.Err = nil, engine.Errorf(engine.DatasetValidation, "the tables %s differ", evil)
	for name, write := range map[string]func(io.Writer, *engine.Report) error{
		"json": report.JSON, "html": report.HTML, "junit": report.JUnit, "markdown": report.Markdown,
		"text": func(w io.Writer, r *engine.Report) error { return report.Text(w, r, report.TextOptions{}) },
	} {
		if out := render(t, r, write); !strings.Contains(out, "the tables") {
			t.Errorf("%s does not tell why", name)
		}
	}
}
