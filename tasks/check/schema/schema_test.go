package schema_test

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/frame"
	"aloft/tasks/check/schema"
)

// parse reads the schema of a document.
func parse(t *testing.T, src []byte) (*schema.Schema, []schema.Problem) {
	t.Helper()
	var doc yaml.Node
	if err := yaml.Unmarshal(src, &doc); err != nil {
		t.Fatal(err)
	}
	return schema.Parse("schema", doc.Content[0].Content[1])
}

func dataset(t *testing.T, roles frame.Roles, columns ...*frame.Column) *frame.Dataset {
	t.Helper()
	table, err := frame.NewTable("t.csv", columns...)
	if err != nil {
		t.Fatal(err)
	}
	d, err := frame.NewDataset(table, roles)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// run judges a table and lists the violations and the verdicts.
func run(t *testing.T, s *schema.Schema, d *frame.Dataset) (engine.Outcome, string) {
	t.Helper()
	def := schema.Checks()[0]
	item, problems := def.Build(nil, nil, engine.Mended)
	if problems != nil {
		t.Fatal(problems)
	}
	k, ok := item.Check.(*schema.Check)
	if !ok {
		t.Fatalf("check %T", item.Check)
	}
	item.Check = k.With(s)
	r, err := engine.Run(t.Context(), engine.Suite{Items: []engine.Item{item}}, engine.Inputs{Train: d})
	if err != nil {
		t.Fatal(err)
	}
	o := r.Outcomes[0]
	if o.Err != nil {
		t.Fatal(o.Err)
	}
	var bad []string
	for _, c := range o.Conditions {
		if c.Verdict != engine.Pass {
			bad = append(bad, fmt.Sprintf("%s %s %s", c.Verdict, c.ID, c.Details))
		}
	}
	return o, strings.Join(bad, "\n")
}

func repeat(n int, f func(i int) string) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = f(i)
	}
	return out
}

func wide(t *testing.T) *frame.Dataset {
	t.Helper()
	const n = 200
	numbers, whole, gaps := make([]float64, n), make([]int64, n), make([]float64, n)
	for i := range n {
		numbers[i], whole[i], gaps[i] = float64(i)/4, int64(i%7), float64(i)
	}
	gaps[3] = math.NaN()
	return dataset(t, frame.Roles{Index: "key"},
		frame.NewTexts("key", repeat(n, func(i int) string { return fmt.Sprintf("AB-%03d", i) })),
		frame.NewTexts("mail", repeat(n, func(i int) string { return fmt.Sprintf("u%d@example.org", i) })),
		frame.NewTexts("day", repeat(n, func(i int) string { return fmt.Sprintf("2024-01-%02d", i%28+1) })),
		frame.NewTexts("colour", repeat(n, func(i int) string { return []string{"red", "green", "no"}[i%3] })),
		frame.NewTexts("word", repeat(n, func(i int) string { return strings.Repeat("x", i%90+1) + string(rune('a'+i%26)) })),
		frame.NewFloats("number", numbers), frame.NewInts("whole", whole), frame.NewFloats("gaps", gaps),
		frame.NewFloats("none", repeatNaN(n)), frame.NewBools("flag", make([]bool, n)), frame.NewTexts("odd: name", repeat(n, func(int) string { return "a" })),
	)
}

func repeatNaN(n int) []float64 {
	out := make([]float64, n)
	for i := range out {
		out[i] = math.NaN()
	}
	return out
}

// A table fits the schema inferred from it, after a trip through YAML.
func TestInferred(t *testing.T) {
	t.Parallel()
	d := wide(t)
	text := schema.Write(schema.Infer(d), d)
	for _, want := range []string{
		"# What the columns of a table must be like, as they were in t.csv (200 rows).",
		"key: # 200 distinct values; the index\n      kind: text\n      max_null_ratio: 0\n      min_length: 6\n      max_length: 6\n      pattern: '[A-Z]{2}-\\d{3}'\n      unique: true\n",
		"pattern: '[^@\\s]+@[^@\\s]+\\.[^@\\s]+'", "categories: [green, \"no\", red]",
		"gaps: # 199 distinct values, 0.5% missing\n      kind: int64\n      max_null_ratio: 0.01\n      min: 0\n      max: 199\n",
		"none: # 0 distinct values, 100% missing", "max_null_ratio: 1\n", "kind: bool", "\"odd: name\":",
	} {
		if !bytes.Contains(text, []byte(want)) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	s, problems := parse(t, text)
	if problems != nil {
		t.Fatal(problems)
	}
	o, bad := run(t, s, d)
	if bad != "" || fmt.Sprint(o.Result.Reduced.Get("Columns that break the schema")) != "0" {
		t.Errorf("%s", bad)
	}
	if again := schema.Write(s, d); !bytes.Equal(again, text) {
		t.Errorf("written again it differs:\n%s", again)
	}
}

func TestViolations(t *testing.T) {
	t.Parallel()
	const asked = `
schema:
  columns:
    here: {kind: int64, min: 0, max: 3, max_null_ratio: 0.25, unique: true}
    gone: {kind: text}
    maybe: {required: false}
    kind: {kind: float64}
    text: {kind: text, categories: [red, green], max_length: 4}
    code: {kind: text, pattern: 'A\d'}
`
	s, problems := parse(t, []byte(asked))
	if problems != nil {
		t.Fatal(problems)
	}
	d := dataset(t, frame.Roles{},
		frame.NewFloats("here", []float64{1, 1, 9, math.NaN(), math.NaN()}), frame.NewTexts("kind", []string{"1", "2", "x", "4", "5"}),
		frame.NewTexts("text", []string{"red", "gren", "purple", "red", ""}), frame.NewTexts("code", []string{"A1", "A1", "A12", "xA1", "A1"}), frame.NewTexts("gond", []string{"", "a", "b", "c", "d"}),
	)
	_, got := run(t, s, d)
	want := `FAIL columns_present Found 1 column that does not fit: {'gone': 'none (did you mean "gond"?)'}
WARN no_new_columns Found 1 column that does not fit: {'gond': 'a column of text (did you mean "gone"?)'}
FAIL kinds_match Found 1 column that does not fit: {'kind': "text: 'x'"}
FAIL nulls_within_limits Found 1 column that does not fit: {'here': '40% missing'}
FAIL values_within_ranges Found 1 column that does not fit: {'here': '33.33%, such as 9.0'}
FAIL no_unseen_categories Found 1 column that does not fit: {'text': '50%, such as \'gren\' (did you mean "green"?), \'purple\''}
FAIL texts_fit Found 2 columns that do not fit: {'text': "25%, such as 'purple'", 'code': "40%, such as 'A12', 'xA1'"}
FAIL values_unique Found 1 column that does not fit: {'here': '33.33%, 1 again'}`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestProblems(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ src, want string }{
		{"schema: 3", `1 schema: a schema is a mapping with the one key "columns"`},
		{"schema: {columns: {}}", "1 schema.columns: must be a mapping of columns"},
		{"schema:\n  columns:\n    a: {kin: text}\n    a: 3\n    b: {kind: txt, min: x}\n    c: {kind: text, min: 3}\n    d: {min: 3, max: 2}\n    e: {pattern: '['}\n    f: {kind: datetime, min: noon}\n    g: {kind: int64, categories: [a]}\n    h: {max_null_ratio: 2, min_length: -1}\n    i: 3",
			`3 schema.columns.a: unknown key "kin" (did you mean "kind"?)|4 schema.columns.a: the column occurs twice, first in line 3|5 schema.columns.b.kind: unknown kind "txt" (did you mean "text"?)|5 schema.columns.b.min: must be a number|` +
				`6 schema.columns.c.min: bounds are for numbers and times|7 schema.columns.d.min: min is above max|8 schema.columns.e.pattern: not a regular expression|9 schema.columns.f.min: must be a time|10 schema.columns.g: categories, lengths and patterns are for|11 schema.columns.h.max_null_ratio: must be between 0 and 1|11 schema.columns.h.min_length: must be at least 0|12 schema.columns.i: must be a mapping`},
	} {
		_, problems := parse(t, []byte(tt.src))
		want := strings.Split(tt.want, "|")
		if len(problems) != len(want) {
			t.Fatalf("%d problems, want %d: %v", len(problems), len(want), problems)
		}
		for i, p := range problems {
			if got := fmt.Sprintf("%d %s: %s", p.Line, p.Path, p.Message); !strings.HasPrefix(got, want[i]) {
				t.Errorf("got %s, want %s", got, want[i])
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("schema: {columns: {a: {kind: text, categories: [a], pattern: '\\d+', min_length: 1}}}"))
	f.Add([]byte("schema: &a {columns: {b: {kind: datetime, max: 2024-01-01, unique: yes}, c: *a}}"))
	f.Fuzz(func(t *testing.T, src []byte) {
		var doc yaml.Node
		if yaml.Unmarshal(src, &doc) != nil || len(doc.Content) == 0 || len(doc.Content[0].Content) < 2 {
			return
		}
		s, problems := schema.Parse("schema", doc.Content[0].Content[1])
		if len(problems) == 0 && len(s.Columns) == 0 {
			t.Error("a schema of nothing")
		}
	})
}
