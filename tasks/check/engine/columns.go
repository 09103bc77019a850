package engine

import (
	"math"
	"slices"
	"strings"

	"aloft/tasks/check/frame"
	"aloft/tasks/check/nearest"
)

// ColumnParams are the parameters by which a check is limited to columns.
func ColumnParams() []Param {
	return []Param{
		{Name: "columns", Type: TextsParam, Doc: "look at these columns only; null means all"},
		{Name: "ignore_columns", Type: TextsParam, Doc: "look at all columns but these"},
	}
}

// SampleParams are the parameters by which a check is limited to n rows.
func SampleParams(n int) []Param {
	return []Param{
		{Name: "n_samples", Type: IntParam, Default: n, Min: 1, Max: math.MaxFloat64, Null: true, Doc: "rows to look at, at most; null means all"},
		{Name: "random_state", Type: IntParam, Default: 42, Min: 0, Max: math.MaxUint32, Doc: "seed of the sampling"},
	}
}

// Columns returns the columns that the parameters of ColumnParams select, out
// of the candidates named; nil means every column of the table.
func (s *Side) Columns(args Args, candidates []string) ([]*frame.Column, error) {
	only, ignore := args.Texts("columns"), args.Texts("ignore_columns")
	if only != nil && ignore != nil {
		return nil, Errorf(ValueError, "Cannot receive both parameters \"columns\" and \"ignore\", only one must be used at most")
	}
	if candidates == nil {
		candidates = s.Data.Names()
	}
	var absent []string
	for _, name := range slices.Concat(only, ignore) {
		if s.Data.Column(name) == nil {
			absent = append(absent, name+nearest.Hint(name, s.Data.Names()))
		}
	}
	if len(absent) > 0 {
		return nil, Errorf(ValueError, "Given columns do not exist in dataset: %s", strings.Join(absent, ", "))
	}
	var out []*frame.Column
	for _, name := range candidates {
		if only != nil && !slices.Contains(only, name) || slices.Contains(ignore, name) {
			continue
		}
		out = append(out, s.Data.Column(name))
	}
	return out, nil
}
