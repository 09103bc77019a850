package integrity

import (
	"context"
	"fmt"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/format"
	"aloft/tasks/check/frame"
)

func isSingleValue() *engine.Definition {
	return &engine.Definition{
		ID:      "IsSingleValue",
		Header:  "Single Value in Column",
		Summary: "Finds columns that hold one and the same value in every row and so carry no information.",
		Formula: "The number of distinct values of each column; a missing value is none of them, unless `ignore_nan` is false. The condition fails at exactly 1: a column without any value has 0 and passes.",
		Scope:   engine.SingleDataset,
		Params: params(engine.ColumnParams(),
			[]engine.Param{{Name: "ignore_nan", Type: engine.BoolParam, Default: true, Doc: "do not count a missing value as a value"}},
			engine.SampleParams(largeSample)),
		Conditions: []engine.ConditionDef{{ID: "not_single_value", New: notSingleValue}},
		Defaults:   []engine.Use{{ID: "not_single_value"}},
		New:        func(a engine.Args, _ engine.Mode) (engine.Check, error) { return singleValue{a}, nil },
	}
}

type singleValue struct{ args engine.Args }

// DistinctCounts is the value of IsSingleValue: the number of distinct values
// of each column.
type DistinctCounts struct {
	Columns []string
	Counts  []int
}

// Encode returns an object of counts by column.
func (d DistinctCounts) Encode() any {
	out := make(engine.Object, len(d.Columns))
	for i, c := range d.Columns {
		out[i] = engine.Field{Key: c, Value: d.Counts[i]}
	}
	return out
}

func (singleValue) ID() string { return "IsSingleValue" }

func (s singleValue) Run(_ context.Context, c *engine.Context) (engine.Result, error) {
	side := c.Side()
	columns, err := side.Columns(s.args, nil)
	if err != nil {
		return engine.Result{}, err
	}
	rows := side.Unordered(s.args)
	var value DistinctCounts
	grid := engine.Grid{Columns: []string{"Column", "Single value"}}
	for _, col := range columns {
		n, nulls := col.Distinct(rows)
		if nulls > 0 && !s.args.Bool("ignore_nan") {
			n++
		}
		value.Columns, value.Counts = append(value.Columns, col.Name()), append(value.Counts, n)
		if n == 1 {
			grid.Rows = append(grid.Rows, []any{col.Name(), firstPresent(col, rows).String()})
		}
	}
	result := engine.Result{Value: value}
	if len(grid.Rows) > 0 {
		result.Displays = append(result.Displays, engine.TableView{Title: "Columns with a single value", Grid: grid})
	}
	return result, nil
}

// firstPresent returns the first cell that is not missing, or a null.
func firstPresent(c *frame.Column, rows []int32) frame.Value {
	for _, r := range rows {
		if !c.IsNull(int(r)) {
			return c.Value(int(r))
		}
	}
	return frame.Value{}
}

func notSingleValue(engine.Request) (engine.Condition, error) {
	return engine.Condition{
		Name: "Does not contain only a single value",
		Judge: engine.Judge(func(v DistinctCounts) (engine.Verdict, string, error) {
			var single []string
			for i, n := range v.Counts {
				if n == 1 {
					single = append(single, v.Columns[i])
				}
			}
			if len(single) == 0 {
				return engine.Pass, format.Passed(len(v.Columns)), nil
			}
			return engine.Fail, fmt.Sprintf("Found %d out of %d columns with a single value: %s",
				len(single), len(v.Columns), format.QuotedList(single)), nil
		}),
	}, nil
}
