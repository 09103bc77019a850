package check_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"aloft/tasks/check"
	"aloft/tasks/check/engine"
	"aloft/tasks/check/report"
)

// people are 120 rows: half of them men, whose labels are all predicted wrong.
func people(t *testing.T) string {
	t.Helper()
	var table, answers strings.Builder
	table.WriteString("sex,age,city,x,y\n")
	answers.WriteString("y_pred\n")
	for i := range 120 {
		sex, y := []string{"f", "m"}[i%2], []string{"a", "b"}[i/2%2]
		age := fmt.Sprint(i % 60)
		if i < 5 {
			age = ""
		}
		fmt.Fprintf(&table, "%s,%s,%s,%d,%s\n", sex, age, []string{"rome", "rome", "oslo", "bonn"}[i%97%4], i*7%100, y)
		if sex == "m" {
			y = map[string]string{"a": "b", "b": "a"}[y]
		}
		answers.WriteString(y + "\n")
	}
	return files(t, map[string]string{"a.csv": table.String(), "p.csv": answers.String()})
}

func TestSegments(t *testing.T) {
	t.Parallel()
	dir := people(t)
	const head = "train: a.csv\ntest: a.csv\nlabel: y\npredictions: {train: p.csv, test: p.csv}\n" +
		"checks: [{check: TrainTestPerformance, params: {scorers: [accuracy]}, conditions: [test_performance_greater_than: {min_score: 0.4}]}, IsSingleValue]\n"
	tests := []struct {
		name, src string
		want      []string
		worst     string
	}{
		{"by category", "segment_by: sex", []string{"sex = f: 60 60 pass 3 fail 0", "sex = m: 60 60 pass 2 fail 1"}, "sex = m"},
		{"by bins", "segments: [{column: age, bins: 2, min_rows: 6, checks: [IsSingleValue]}]", []string{
			"age in [0 - 31): 57 57 pass 2 fail 0", "age in [31 - 59]: 58 58 pass 2 fail 0", "age = missing: 5 5 too small",
		}, ""},
		{"the rest", "segments: [{column: city, max_categories: 1, checks: [IsSingleValue]}]", []string{"city = rome: 61 61 pass 2 fail 0", "city = Others: 59 59 pass 2 fail 0"}, ""},
		{"too small", "segments: [{column: sex, min_rows: 61}]", []string{"sex = f: 60 60 too small", "sex = m: 60 60 too small"}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := run(t, dir, head+tt.src)
			var got []string
			for _, s := range r.Segments {
				line := fmt.Sprintf("%s: %d %d pass %d fail %d", s.Name, s.Train, s.Test, s.Pass, s.Fail)
				if s.TooSmall {
					line = fmt.Sprintf("%s: %d %d too small", s.Name, s.Train, s.Test)
				}
				got = append(got, line)
			}
			if strings.Join(got, "\n") != strings.Join(tt.want, "\n") {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
			}
			worst := ""
			if s := r.WorstSegment(r.Segments[0].Column); s != nil {
				worst = s.Name
			}
			if worst != tt.worst || r.Passed() != (tt.worst == "") {
				t.Errorf("worst %q, passed %v", worst, r.Passed())
			}
			for name, write := range writers() {
				var b strings.Builder
				if err := write(&b, r); err != nil || !strings.Contains(b.String(), r.Segments[0].Column) && name != "junit" {
					t.Errorf("%s says nothing of the segments: %v", name, err)
				}
			}
		})
	}
}

func writers() map[string]func(*strings.Builder, *engine.Report) error {
	return map[string]func(*strings.Builder, *engine.Report) error{
		"text": func(b *strings.Builder, r *engine.Report) error {
			return report.Text(b, r, report.TextOptions{Width: 200})
		},
		"json":     func(b *strings.Builder, r *engine.Report) error { return report.JSON(b, r) },
		"html":     func(b *strings.Builder, r *engine.Report) error { return report.HTML(b, r) },
		"markdown": func(b *strings.Builder, r *engine.Report) error { return report.Markdown(b, r) },
		"junit":    func(b *strings.Builder, r *engine.Report) error { return report.JUnit(b, r) },
	}
}

func TestSegmentProblems(t *testing.T) {
	t.Parallel()
	dir := people(t)
	for _, tt := range []struct{ src, want string }{
		{"segment_by: sexx", `s.yaml:3: segments: the train table has no column "sexx" to make segments of (did you mean "sex"?)`},
		{"segments: [{column: sex, bins: 3}]", `holds texts: leave out "bins"`},
		{"segments: [{bins: 1}]", "must be a whole number from 2 to 1000"},
		{"segments: sex", "must be a list of mappings"},
		{"segments: [{column: sex, checks: [Nope]}]", `unknown check "Nope"`},
	} {
		spec, err := check.ParseSuite(filepath.Join(dir, "s.yaml"), []byte("train: a.csv\nchecks: [IsSingleValue]\n"+tt.src))
		if err == nil {
			_, err = check.RunSpec(t.Context(), spec, dir)
		}
		var bad *check.SpecError
		if !errors.As(err, &bad) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want %s", tt.src, err, tt.want)
		}
	}
}

// The schema of a document: inline or in a file, with conditions changed.
func TestSchemaKey(t *testing.T) {
	t.Parallel()
	dir := files(t, map[string]string{
		"a.csv": "x,y\n1,a\n9,b\n3,c\n", "s.yml": "schema:\n  columns:\n    x: {kind: int64, max: 5}\n    y: {kind: text}\n",
		"bad.yml": "schema:\n  columns:\n    x: {kin: int64}\n", "odd.yml": "columns: {}\n",
	})
	for _, tt := range []struct{ src, want string }{
		{"schema: s.yml", "SchemaValidation, columns_present=PASS, no_new_columns=PASS, kinds_match=PASS, nulls_within_limits=PASS, values_within_ranges=FAIL, no_unseen_categories=PASS, texts_fit=PASS, values_unique=PASS"},
		{"schema: {columns: {x: , y: }}\nchecks: [{check: SchemaValidation, conditions: [columns_present]}]", "SchemaValidation, columns_present=PASS"},
		{"schema: s.yml\nchecks: [{check: SchemaValidation, conditions: {remove: [no_new_columns, kinds_match, nulls_within_limits, no_unseen_categories, texts_fit, values_unique], replace: [values_within_ranges: {max_ratio: 0.5}]}}]", "SchemaValidation, columns_present=PASS, values_within_ranges=PASS"},
		{"schema: {columns: {x: {kin: 3}}}", `unknown key "kin"`},
		{"schema: bad.yml", `bad.yml:3: schema.columns.x: unknown key "kin"`},
		{"schema: odd.yml", `must have the one key "schema"`},
		{"schema: none.yml", "cannot read none.yml: no such file"},
		{"checks: [SchemaValidation]", "SchemaValidation needs a schema"},
	} {
		spec, err := check.ParseSuite(filepath.Join(dir, "s.yaml"), []byte("train: a.csv\n"+tt.src))
		var got string
		if err == nil {
			var r *check.Report
			if r, err = check.RunSpec(t.Context(), spec, dir); err == nil {
				got = strings.Join(told(r), "\n")
			}
		}
		if err != nil {
			got = err.Error()
		}
		if got != tt.want && (err == nil || !strings.Contains(got, tt.want)) {
			t.Errorf("%s: got %s, want %s", tt.src, got, tt.want)
		}
	}
	text, err := check.InferSchema(map[string]any{"train": "a.csv", "suites": "data_integrity"}, dir)
	if err != nil || !strings.Contains(string(text), "max: 9") {
		t.Errorf("%s, %v", text, err)
	}
}
