package integrity

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/format"
	"aloft/tasks/check/frame"
)

func mixedNulls() *engine.Definition {
	return &engine.Definition{
		ID:      "MixedNulls",
		Summary: "Finds columns that write a missing value in more than one way, such as an empty field here and \"NA\" there.",
		Formula: "Counted are true nulls and the texts whose base form (lower case, letters and digits only) is in `null_string_list`, each spelling by itself. `percent` is the count over all rows. The reduced value of a column with several ways is the sum of their shares.",
		Differs: "true nulls are called `null`, and each spelling that the document declares as missing counts by itself; there, they are called after the Python object that stands for them and are one. `check_nan`, which has no effect there, is unknown.",
		Scope:   engine.SingleDataset,
		Params: params([]engine.Param{
			{Name: "null_string_list", Type: engine.TextsParam, Doc: "texts that mean missing, compared without case and punctuation; null means none, null, nan, na, the empty text and NUL characters"},
			{Name: "check_nan", Type: engine.BoolParam, Default: true, CompatOnly: true, Doc: "accepted; has no effect"},
		}, engine.ColumnParams(), []engine.Param{
			{Name: "n_top_columns", Type: engine.IntParam, Default: 10, Min: 0, Max: math.MaxFloat64, Doc: "columns to show"},
			{Name: "aggregation_method", Type: engine.TextParam, Default: "max", Allowed: engine.Aggregations(), Doc: "how the reduced value sums up the columns"},
		}, engine.SampleParams(largeSample)),
		Conditions: []engine.ConditionDef{{
			ID:     "different_nulls_less_equal_to",
			Params: []engine.Param{{Name: "max_allowed_null_types", Type: engine.IntParam, Default: 1, Min: 0, Max: math.MaxFloat64, Doc: "most spellings of a missing value in one column"}},
			New:    fewNullTypes,
		}},
		Defaults: []engine.Use{{ID: "different_nulls_less_equal_to"}},
		New:      newNulls,
	}
}

type nulls struct {
	args  engine.Args
	mode  engine.Mode
	forms map[string]bool
}

func newNulls(a engine.Args, mode engine.Mode) (engine.Check, error) {
	forms := []string{"none", "null", "nan", "na", "", "\x00", "\x00\x00"}
	if !a.IsNull("null_string_list") {
		forms = a.Texts("null_string_list")
		if len(forms) == 0 {
			return nil, engine.Errorf(engine.ValueError, "null_string_list must be a non-empty list of texts")
		}
	}
	n := nulls{args: a, mode: mode, forms: make(map[string]bool, len(forms))}
	for _, f := range forms {
		n.forms[f] = true
	}
	return n, nil
}

func (nulls) ID() string { return "MixedNulls" }

// NullTypes is the value of MixedNulls.
type NullTypes struct {
	Rows    int
	Columns []ColumnNulls
	mode    engine.Mode
	weights *engine.Importance
}

// ColumnNulls lists the ways one column writes a missing value.
type ColumnNulls struct {
	Column string
	Types  []NullType
}

// NullType is one way to write a missing value.
type NullType struct {
	Name  string // a spelling in double quotes, or the name of a true null
	Count int
}

// share returns the part of the rows that the types cover when there are
// several, 0 for columns that do not mix.
func (c ColumnNulls) share(rows int) float64 {
	if len(c.Types) < 2 {
		return 0
	}
	sum := 0.0
	for _, t := range c.Types {
		sum += float64(t.Count) / float64(rows)
	}
	return sum
}

// Encode returns counts and shares by column and type.
func (v NullTypes) Encode() any {
	columns := make(engine.Object, len(v.Columns))
	names := make([]string, len(v.Columns))
	for i, c := range v.Columns {
		types := make(engine.Object, len(c.Types))
		for j, t := range c.Types {
			types[j] = engine.Field{Key: t.Name, Value: engine.Object{
				{Key: "count", Value: t.Count}, {Key: "percent", Value: float64(t.Count) / float64(v.Rows)},
			}}
		}
		columns[i] = engine.Field{Key: c.Column, Value: types}
		names[i] = c.Column
	}
	return engine.Object{{Key: "n_samples", Value: v.Rows}, {Key: "columns", Value: columns}, {Key: "feature_importance", Value: weightsOf(names, v.weights, v.mode)}}
}

func (n nulls) Run(ctx context.Context, c *engine.Context) (engine.Result, error) {
	side := c.Side()
	weights, err := c.Importance(ctx)
	if err != nil {
		return engine.Result{}, err
	}
	columns, err := side.Columns(n.args, nil)
	if err != nil {
		return engine.Result{}, err
	}
	rows := side.Sample(n.args)
	value := NullTypes{Rows: len(rows), mode: n.mode, weights: weights}
	names, shares := make([]string, len(columns)), make([]float64, len(columns))
	for i, col := range columns {
		found := ColumnNulls{Column: col.Name(), Types: n.types(col, rows)}
		value.Columns = append(value.Columns, found)
		names[i], shares[i] = col.Name(), found.share(len(rows))
	}
	return engine.Result{
		Value:    value,
		Reduced:  engine.ReduceFeatures(n.args.Text("aggregation_method"), "Percent Mixed Nulls", names, shares, weights.Of(names)),
		Displays: n.displays(value),
	}, nil
}

// types counts the spellings of a missing value in a column: texts that mean
// missing by descending count, then true nulls.
func (n nulls) types(col *frame.Column, rows []int32) []NullType {
	texts := make(map[string]int)
	trueNulls := make(map[string]int)
	var order []string
	count := func(name string) {
		if texts[name] == 0 {
			order = append(order, name)
		}
		texts[name]++
	}
	isForm := make(map[string]bool)
	for _, s := range col.Dict() {
		if n.forms[frame.BaseForm(s)] {
			isForm[s] = true
		}
	}
	if !col.HasNulls() && len(isForm) == 0 {
		return nil
	}
	for _, r := range rows {
		if col.IsNull(int(r)) {
			spelling := col.NullSpelling(int(r))
			if n.mode == engine.Deepchecks || spelling == "" {
				trueNulls[n.nullName(col.Kind())]++
			} else {
				count(spelling)
			}
			continue
		}
		if len(isForm) > 0 {
			if s := col.Value(int(r)).String(); isForm[s] {
				count(s)
			}
		}
	}
	slices.SortStableFunc(order, func(a, b string) int { return cmp.Compare(texts[b], texts[a]) })
	var out []NullType
	for _, s := range order {
		out = append(out, NullType{Name: `"` + s + `"`, Count: texts[s]})
	}
	for name, k := range trueNulls { // one kind of column has one name
		out = append(out, NullType{Name: name, Count: k})
	}
	return out
}

// nullName names a true null: there is one kind of them here; deepchecks
// shows which Python object stands for it in a column of the kind.
func (n nulls) nullName(k frame.Kind) string {
	if n.mode != engine.Deepchecks {
		return "null"
	}
	switch k {
	case frame.Text, frame.Bool:
		return "numpy.nan"
	case frame.Time:
		return "pandas.NaT"
	default:
		return "math.nan"
	}
}

func (n nulls) displays(v NullTypes) []engine.Display {
	found := make([]ColumnNulls, 0, len(v.Columns))
	for _, c := range v.Columns {
		if len(c.Types) > 0 {
			found = append(found, c)
		}
	}
	slices.SortStableFunc(found, func(a, b ColumnNulls) int { return cmp.Compare(len(b.Types), len(a.Types)) })
	grid := engine.Grid{Columns: []string{"Column", "Value", "Count", "Percent"}}
	for _, c := range found[:min(len(found), n.args.Int("n_top_columns"))] {
		for _, t := range c.Types {
			grid.Rows = append(grid.Rows, []any{c.Column, t.Name, t.Count, format.Percent(float64(t.Count) / float64(v.Rows))})
		}
	}
	if len(grid.Rows) == 0 {
		return nil
	}
	return []engine.Display{engine.TableView{Title: "Ways to write a missing value", Grid: grid}}
}

func fewNullTypes(r engine.Request) (engine.Condition, error) {
	limit := r.Args.Int("max_allowed_null_types")
	return engine.Condition{
		Name: fmt.Sprintf("Number of different null types is less or equal to %d", limit),
		Judge: engine.Judge(func(v NullTypes) (engine.Verdict, string, error) {
			var over []string
			for _, c := range v.Columns {
				if len(c.Types) > limit {
					over = append(over, c.Column)
				}
			}
			if len(over) == 0 {
				return engine.Pass, format.Passed(len(v.Columns)), nil
			}
			return engine.Fail, fmt.Sprintf("Found %d out of %d columns with amount of null types above threshold: %s",
				len(over), len(v.Columns), format.QuotedList(over)), nil
		}),
	}, nil
}
