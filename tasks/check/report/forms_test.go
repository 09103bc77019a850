package report_test

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/report"
)

// TestDeepchecksForm reads the report as what reads deepchecks' own results
// does.
func TestDeepchecksForm(t *testing.T) {
	t.Parallel()
	r := sample()
	table := r.Outcomes[0]
	table.Header, table.Conditions = "Table", nil
	table.Result = engine.Result{Value: gridValue{engine.Grid{Columns: []string{"a", "b"}, Index: []any{"x", "y"}, Rows: [][]any{{1.0, nan()}, {2.0, "t"}}}}}
	nested := table
	nested.Header, nested.Result = "Nested", engine.Result{Value: anyValue{engine.Object{
		{Key: "set", Value: engine.Object{{Key: "__type__", Value: "set"}, {Key: "items", Value: []any{"a"}}, {Key: "n", Value: 1}}},
		{Key: "series", Value: engine.Series{Index: []string{"p"}, Values: []any{nan()}}}, {Key: "table", Value: engine.Grid{Columns: []string{"c"}, Rows: [][]any{{3}}}},
	}}}
	r.Outcomes = append(r.Outcomes, table, nested)
	out := render(t, r, report.Deepchecks)
	type result struct {
		Type   string
		Header string
		Check  struct {
			Name    string
			Params  map[string]any
			Summary string
		}
		Value      any
		Table      map[string]any
		Conditions []map[string]string `json:"conditions_results"`
		Display    []struct {
			Type    string
			Payload any
		}
		Exception, Kind, Class string
	}
	var doc struct {
		Name, Type string
		Results    []result
		Counts     map[string]int
		Passed     bool
	}
	if err := json.Unmarshal([]byte(out), &doc); err != nil {
		t.Fatal(err)
	}
	if doc.Name != "Data Integrity Suite" || doc.Type != "SuiteResult" || doc.Passed || doc.Counts["fail"] != 1 {
		t.Errorf("suite %q of type %q, passed %v, %v", doc.Name, doc.Type, doc.Passed, doc.Counts)
	}
	by := make(map[string]result)
	for _, r := range doc.Results {
		by[r.Header] = r
	}
	first := doc.Results[0]
	if first.Type != "CheckResult" || first.Header != "Fake & Check - Train Dataset" || first.Check.Name != "Fake Check" || first.Check.Params["n_samples"] != 5.0 || first.Value != 0.5 {
		t.Errorf("the worst result does not come first, or lacks its parts: %+v", first)
	}
	var statuses []string
	for _, c := range first.Conditions {
		statuses = append(statuses, c["Status"])
	}
	if !slices.Equal(statuses, []string{"FAIL", "WARN", "ERROR", "PASS"}) || !strings.HasPrefix(first.Conditions[0]["More Info"], "a\nb ") {
		t.Errorf("conditions %v", first.Conditions)
	}
	kinds := make(map[string]int)
	for _, d := range first.Display {
		kinds[d.Type]++
		if text, ok := d.Payload.(string); ok && strings.Contains(text, "<script") {
			t.Error("user data are not escaped")
		}
	}
	if kinds["html"] != 5 || kinds["dataframe"] != 1 {
		t.Errorf("displays %v", kinds)
	}
	var records []map[string]any
	text, _ := by["Table - Train Dataset"].Value.(string)
	if err := json.Unmarshal([]byte(text), &records); err != nil || len(records) != 2 || records[0]["a"] != 1.0 || records[0]["b"] != nil {
		t.Errorf("table %q: %v", text, err)
	}
	if index, ok := by["Table - Train Dataset"].Table["index"].([]any); !ok || index[1] != "y" {
		t.Errorf("whole table %v", by["Table - Train Dataset"].Table)
	}
	inner, _ := json.Marshal(by["Nested - Train Dataset"].Value)
	if string(inner) != `{"series":{"p":null},"set":["a"],"table":[{"c":3}]}` {
		t.Errorf("nested value %s", inner)
	}
	last := doc.Results[len(doc.Results)-2]
	if last.Type != "CheckFailure" || last.Exception != evil || last.Class != "InternalError" || last.Display != nil {
		t.Errorf("failure %+v", last)
	}
	if v := by["Plain"]; v.Value != nil || v.Display != nil {
		t.Errorf("a result that is no number: %+v", v)
	}
}

type gridValue struct{ g engine.Grid }

func (v gridValue) Encode() any { return v.g }

type anyValue struct{ v any }

func (v anyValue) Encode() any { return v.v }

// surefireTime is the form of seconds.
var surefireTime = regexp.MustCompile(`^(([0-9]{0,3},)*[0-9]{3}|[0-9]{0,3})*(\.[0-9]*)?$`)

// TestJUnitForm holds the XML to the rules of the schema of Jenkins' xUnit plugin, form 10, written out here.
func TestJUnitForm(t *testing.T) {
	t.Parallel()
	attributes := map[string][]string{
		"testsuites": {"name", "time", "tests", "failures", "errors"},
		"testsuite":  {"name", "tests", "failures", "errors", "group", "time", "skipped", "timestamp", "hostname", "id", "package", "file", "log", "url"},
		"testcase":   {"name", "classname", "time", "group"},
		"properties": {}, "property": {"name", "value"},
		"failure": {"type", "message"}, "error": {"type", "message"}, "skipped": {"type", "message"}, "system-out": {},
	}
	needed := map[string][]string{"testsuite": {"name", "tests", "failures", "errors"}, "testcase": {"name", "classname"}, "property": {"name", "value"}}
	inside := map[string][]string{"": {"testsuites"}, "testsuites": {"testsuite"}, "testsuite": {"properties", "testcase"}, "properties": {"property"}, "testcase": {"failure", "error", "skipped", "system-out"}}
	hostileNames := hostile()
	hostileNames.Outcomes[0].Conditions[0].Details = "\x00\x1b[31m]]>&\ufffe"
	refused := sample()
	refused.Outcomes, refused.Err = nil, engine.Errorf(engine.Internal, "no")
	compat := sample()
	compat.Mode = engine.Deepchecks
	for _, r := range []*engine.Report{sample(), hostileNames, hundred(), refused, compat} {
		dec := xml.NewDecoder(strings.NewReader(render(t, r, report.JUnit)))
		path := []string{""}
		failures := 0
		for {
			tok, err := dec.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			switch tok := tok.(type) {
			case xml.StartElement:
				name := tok.Name.Local
				if !slices.Contains(inside[path[len(path)-1]], name) {
					t.Errorf("%s inside %s", name, path[len(path)-1])
				}
				path = append(path, name)
				var have []string
				for _, a := range tok.Attr {
					have = append(have, a.Name.Local)
					if a.Name.Local == "time" && !surefireTime.MatchString(a.Value) {
						t.Errorf("%s took %q", name, a.Value)
					}
					if !slices.Contains(attributes[name], a.Name.Local) {
						t.Errorf("%s has an attribute %s", name, a.Name.Local)
					}
					if name == "failure" && a.Name.Local == "type" && a.Value == "Condition" {
						failures++
					}
				}
				for _, n := range needed[name] {
					if !slices.Contains(have, n) {
						t.Errorf("%s lacks %s", name, n)
					}
				}
			case xml.EndElement:
				path = path[:len(path)-1]
			}
		}
		if r.Mode == engine.Mended && failures != r.Counts().Fail {
			t.Errorf("%d failures for %d failed conditions", failures, r.Counts().Fail)
		}
	}
}

// TestMarkdownIsHarmlessAndShort gives it names of people and issues, links,
// mathematics and far too much.
func TestMarkdownIsHarmlessAndShort(t *testing.T) {
	t.Parallel()
	r := sample()
	r.Outcomes[0].Conditions[1].Details = "@octocat fixes #12, see https://example.org and www.example.org, $x$ <!-- | --> \x1b"
	out := render(t, r, report.Markdown)
	for _, bad := range []string{"@octocat", "#12", "https://", "www.example", "$x$", "| -->", "\x1b"} {
		if strings.Contains(out, bad) {
			t.Errorf("Markdown acts on %q", bad)
		}
	}
	for _, want := range []string{"<details><summary>", "octocat", "example.org"} {
		if !strings.Contains(out, want) {
			t.Errorf("Markdown lacks %q", want)
		}
	}
	if n := strings.Count(out, "<details>"); n != strings.Count(out, "</details>") {
		t.Errorf("%d details are opened, %d closed", n, strings.Count(out, "</details>"))
	}
	big := hundred()
	for range 6 {
		big.Outcomes = append(big.Outcomes, hostile().Outcomes...)
	}
	out = render(t, big, report.Markdown)
	if n := len([]rune(out)); n > 65_000 || !strings.Contains(out, "parts were left out") {
		t.Errorf("%d characters", n)
	}
	if strings.Count(out, "<details>") != strings.Count(out, "</details>") {
		t.Error("a fold was cut")
	}
}

// TestTextOnTerminals gives it wide characters and controls.
func TestTextOnTerminals(t *testing.T) {
	t.Parallel()
	for _, width := range []int{60, 133} {
		out := render(t, hostile(), func(w io.Writer, r *engine.Report) error { return report.Text(w, r, report.TextOptions{Width: width}) })
		if strings.ContainsAny(out, "\x1b\x00\u202e") {
			t.Error("controls reach the terminal")
		}
		for _, line := range strings.Split(out, "\n") {
			columns := 0
			for _, c := range line {
				columns++
				if c >= 0x2e80 && c < 0xa4cf || c >= 0x1f300 {
					columns++
				}
			}
			if columns > width {
				t.Errorf("%d columns of %d: %s", columns, width, line)
			}
		}
		if strings.Count(out, "No model was given") != 1 {
			t.Error("a note is not told once")
		}
	}
}
