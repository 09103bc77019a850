package integrity

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/format"
	"aloft/tasks/check/frame"
)

// shownRows bounds how many row numbers a display lists for one group.
const shownRows = 10

func dataDuplicates() *engine.Definition {
	return &engine.Definition{
		ID:         "DataDuplicates",
		Summary:    "Finds rows that occur more than once: they add weight without adding information.",
		Formula:    "`1 − distinct rows / rows`; missing values are equal to each other.",
		Scope:      engine.SingleDataset,
		Params:     params(engine.ColumnParams(), nToShow(), engine.SampleParams(largeSample)),
		Conditions: []engine.ConditionDef{maxRatio("ratio_less_or_equal", 0.05, duplicateRatio)},
		Defaults:   []engine.Use{{ID: "ratio_less_or_equal"}},
		New:        func(a engine.Args, _ engine.Mode) (engine.Check, error) { return duplicates{a}, nil },
	}
}

type duplicates struct{ args engine.Args }

func (duplicates) ID() string { return "DataDuplicates" }

func (d duplicates) Run(_ context.Context, c *engine.Context) (engine.Result, error) {
	side := c.Side()
	columns, err := side.Columns(d.args, nil)
	if err != nil {
		return engine.Result{}, err
	}
	rows := side.Sample(d.args)
	if len(rows) == 0 {
		return engine.Result{}, engine.Errorf(engine.DatasetValidation, "Dataset does not contain any data")
	}
	groups := frame.GroupRows(columns, rows)
	ratio := 1 - float64(len(groups.First))/float64(len(rows))
	result := engine.Result{Value: engine.Scalar(ratio)}
	var repeated []int32
	for k, size := range groups.Size {
		if size > 1 {
			repeated = append(repeated, int32(k))
		}
	}
	if len(repeated) == 0 {
		return result, nil
	}
	slices.SortStableFunc(repeated, func(a, b int32) int { return cmp.Compare(groups.Size[b], groups.Size[a]) })
	repeated = repeated[:min(len(repeated), d.args.Int("n_to_show"))]
	members := rowsOf(groups, rows, repeated, side)
	grid := engine.Grid{Columns: []string{"Copies", "Rows"}}
	for _, col := range columns {
		grid.Columns = append(grid.Columns, col.Name())
	}
	for i, k := range repeated {
		row := []any{int(groups.Size[k]), rowList(members[i], int(groups.Size[k]))}
		for _, col := range columns {
			row = append(row, col.Value(int(groups.First[k])).String())
		}
		grid.Rows = append(grid.Rows, row)
	}
	result.Displays = []engine.Display{engine.TableView{Title: "Rows that repeat most", Grid: grid}}
	return result, nil
}

func duplicateRatio(limit float64, name string) engine.Condition {
	return engine.Condition{
		Name: "Duplicate data ratio is less or equal to " + name,
		Judge: engine.Judge(func(v engine.Scalar) (engine.Verdict, string, error) {
			details := fmt.Sprintf("Found %s duplicate data", format.Percent(float64(v)))
			if float64(v) > limit {
				return engine.Warn, details, nil
			}
			return engine.Pass, details, nil
		}),
	}
}

// maxRatio defines a condition with the one parameter max_ratio.
func maxRatio(id string, def float64, make func(limit float64, percent string) engine.Condition) engine.ConditionDef {
	return engine.ConditionDef{
		ID:     id,
		Params: []engine.Param{{Name: "max_ratio", Type: engine.FloatParam, Default: def, Min: 0, Max: 1, Doc: "largest share that passes, from 0 to 1"}},
		New: func(r engine.Request) (engine.Condition, error) {
			limit := r.Args.Float("max_ratio")
			return make(limit, format.Percent(limit)), nil
		},
	}
}

// rowsOf lists the first rows of the chosen groups, numbered from offset on.
func rowsOf(g frame.Groups, rows, chosen []int32, side *engine.Side) [][]int {
	place := make(map[int32]int, len(chosen))
	for i, k := range chosen {
		place[k] = i
	}
	out := make([][]int, len(chosen))
	for i, k := range g.Of {
		if at, ok := place[k]; ok && len(out[at]) < shownRows {
			out[at] = append(out[at], side.Row(rows[i]))
		}
	}
	for _, list := range out {
		slices.Sort(list)
	}
	return out
}

func rowList(rows []int, total int) string {
	s := ""
	for i, r := range rows {
		if i > 0 {
			s += ", "
		}
		s += strconv.Itoa(r)
	}
	if total > len(rows) {
		s += fmt.Sprintf(" and %d more", total-len(rows))
	}
	return s
}
