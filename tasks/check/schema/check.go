package schema

import (
	"context"
	"fmt"
	"math"
	"slices"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/format"
)

// ID is the name of the check.
const ID = "SchemaValidation"

// mostShown bounds the table of violations.
const mostShown = 100

// Check judges a table by a schema.
type Check struct {
	args   engine.Args
	schema *Schema
}

// Checks lists the definition of the check.
func Checks() []*engine.Definition {
	params := engine.SampleParams(0)
	params[0].Default = nil
	d := &engine.Definition{
		ID:      ID,
		Header:  "Schema Validation",
		Summary: "Compares a table with a schema: columns, types, missing cells, ranges, categories, texts and uniqueness. The schema stands under the document's key `schema`; `sky test --infer-schema` makes one.",
		Formula: "For each column and rule: the rows that break it, and their share of the rows that hold a value (of all rows for missing cells). The reduced value is the number of columns that break some rule, and the largest share.",
		Scope:   engine.SingleDataset,
		Params:  params,
		New:     func(a engine.Args, _ engine.Mode) (engine.Check, error) { return &Check{args: a}, nil },
	}
	for _, c := range conditions() {
		d.Conditions = append(d.Conditions, c.definition())
		d.Defaults = append(d.Defaults, engine.Use{ID: c.id})
	}
	return []*engine.Definition{d}
}

// With returns the check for a schema.
func (k *Check) With(s *Schema) *Check { return &Check{args: k.args, schema: s} }

// ID is the check's name.
func (*Check) ID() string { return ID }

// Run compares the table of the side with the schema.
func (k *Check) Run(_ context.Context, c *engine.Context) (engine.Result, error) {
	if k.schema == nil {
		return engine.Result{}, engine.Errorf(engine.ValueError, "there is no schema: the document's key \"schema\" gives one")
	}
	side := c.Side()
	rows := all(side.Data.Rows())
	if !k.args.IsNull("n_samples") {
		rows = side.Sample(k.args)
	}
	found := judgeTable(k.schema, side.Data, rows)
	v := Value{schema: k.schema, found: found}
	broken, worst := v.columns(), 0.0
	for _, f := range found {
		worst = max(worst, f.ratio)
	}
	r := engine.Result{Value: v, Reduced: engine.Object{{Key: "Columns that break the schema", Value: broken}, {Key: "Largest share of rows", Value: worst}}}
	if len(found) == 0 {
		r.Displays = []engine.Display{engine.Note{Text: fmt.Sprintf("All %d columns of the schema are as it says.", len(k.schema.Columns))}}
		return r, nil
	}
	grid := engine.Grid{Columns: []string{"Column", "What", "Rows", "Share", "Expected", "Found"}}
	for _, f := range found[:min(len(found), mostShown)] {
		rows, share := any(f.rows), any(format.Percent(f.ratio))
		if f.rows == 0 {
			rows, share = "", ""
		}
		grid.Rows = append(grid.Rows, []any{f.column, string(f.rule), rows, share, f.expected, f.found})
	}
	r.Displays = []engine.Display{engine.TableView{Title: "What does not fit the schema", Grid: grid}}
	if more := len(found) - mostShown; more > 0 {
		r.Displays = append(r.Displays, engine.Note{Text: fmt.Sprintf("and %d more", more)})
	}
	return r, nil
}

// Value is what was found wrong with a table.
type Value struct {
	schema *Schema
	found  []violation
}

// columns counts the columns that break something.
func (v Value) columns() int {
	var names []string
	for _, f := range v.found {
		if !slices.Contains(names, f.column) {
			names = append(names, f.column)
		}
	}
	return len(names)
}

// Encode lists the violations of each column, those of the schema first.
func (v Value) Encode() any {
	of := make(map[string]engine.Object)
	var order []string
	for _, c := range v.schema.Columns {
		of[c.Name], order = engine.Object{}, append(order, c.Name)
	}
	for _, f := range v.found {
		if _, ok := of[f.column]; !ok {
			order = append(order, f.column)
		}
		of[f.column] = append(of[f.column], engine.Field{Key: string(f.rule), Value: engine.Object{
			{Key: "rows", Value: f.rows}, {Key: "ratio", Value: f.ratio}, {Key: "expected", Value: f.expected}, {Key: "found", Value: f.found},
		}})
	}
	out := make(engine.Object, len(order))
	for i, name := range order {
		out[i] = engine.Field{Key: name, Value: of[name]}
	}
	return out
}

// condition judges the violations of some rules.
type condition struct {
	id, name string
	rules    []rule
	verdict  engine.Verdict
	rows     bool // rows break it, of which a share may be allowed
}

func conditions() []condition {
	return []condition{
		{"columns_present", "All columns of the schema are there", []rule{present}, engine.Fail, false},
		{"no_new_columns", "There is no column beside those of the schema", []rule{extra}, engine.Warn, false},
		{"kinds_match", "Columns are of the kinds of the schema", []rule{kind}, engine.Fail, false},
		{"nulls_within_limits", "No more cells are missing than the schema allows", []rule{nulls}, engine.Fail, false},
		{"values_within_ranges", "Numbers and times outside their range are at most", []rule{ranges}, engine.Fail, true},
		{"no_unseen_categories", "Rows with unseen categories are at most", []rule{categories}, engine.Fail, true},
		{"texts_fit", "Texts of another length or pattern are at most", []rule{lengths, patterns}, engine.Fail, true},
		{"values_unique", "Values that occur again are at most", []rule{unique}, engine.Fail, true},
	}
}

func (c condition) definition() engine.ConditionDef {
	d := engine.ConditionDef{ID: c.id}
	if c.rows {
		d.Params = []engine.Param{{Name: "max_ratio", Type: engine.FloatParam, Default: 0.0, Min: 0, Max: 1, Doc: "largest share of a column's rows that passes, from 0 to 1"}}
	}
	d.New = func(r engine.Request) (engine.Condition, error) {
		limit, name := math.Inf(-1), c.name
		if c.rows {
			limit = r.Args.Float("max_ratio")
			name += " " + format.Percent(limit)
		}
		return engine.Condition{Name: name, Judge: engine.Judge(func(v Value) (engine.Verdict, string, error) { return c.judge(v, limit) })}, nil
	}
	return d
}

func (c condition) judge(v Value, limit float64) (engine.Verdict, string, error) {
	const most = 10
	var bad []format.Pair
	n := 0
	for _, f := range v.found {
		if !slices.Contains(c.rules, f.rule) || f.ratio <= limit {
			continue
		}
		if n++; n > most {
			continue
		}
		what := f.found
		if f.rows > 0 && f.rule != nulls {
			what = format.Percent(f.ratio) + map[bool]string{true: ", ", false: ", such as "}[f.rule == unique] + f.found
		}
		bad = append(bad, format.Pair{Key: format.Quote(f.column), Value: format.Quote(format.Truncate(what, 120))})
	}
	if n == 0 {
		return engine.Pass, format.Passed(len(v.schema.Columns)), nil
	}
	details := fmt.Sprintf("Found %d columns that do not fit: %s", n, format.Dict(bad))
	if n == 1 {
		details = "Found 1 column that does not fit: " + format.Dict(bad)
	}
	if n > most {
		details += fmt.Sprintf(" and %d more", n-most)
	}
	return c.verdict, details, nil
}
