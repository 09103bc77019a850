package integrity

import (
	"math"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/frame"
)

// texts are the distinct texts of some rows of a column, counted.
type texts struct {
	col    *frame.Column
	counts []int32 // by code
	total  int     // cells present
}

type textsKey struct {
	which  engine.Which
	column string
	rows   int
	seed   int
}

// textsOf counts the texts of a column in the rows that the arguments choose;
// the checks of a run share the counts. The column must be of kind Text.
func textsOf(c *engine.Context, side *engine.Side, col *frame.Column, args engine.Args) (*texts, error) {
	rows := side.Unordered(args)
	key := textsKey{side.Which, col.Name(), len(rows), args.Int("random_state")}
	if len(rows) == side.Data.Rows() {
		key.seed = 0 // all rows are the same rows
	}
	return engine.Memo(c, key, func() (*texts, error) {
		t := &texts{col: col, counts: make([]int32, len(col.Dict()))}
		nulls := col.HasNulls()
		for _, r := range rows {
			if !nulls || !col.IsNull(int(r)) {
				t.counts[col.Bits(int(r))]++
				t.total++
			}
		}
		return t, nil
	})
}

// each calls f for the distinct texts that occur.
func (t *texts) each(f func(code int, text string, count int)) {
	for code, n := range t.counts {
		if n > 0 {
			f(code, t.col.Dict()[code], int(n))
		}
	}
}

// first lists the chosen codes in the order in which the rows have them first,
// n of them at most. There must be as many that occur.
func (t *texts) first(rows []int32, chosen map[int]bool, n int) []int {
	var out []int
	seen := make(map[int]bool, n)
	for _, r := range rows {
		if len(out) == n {
			break
		}
		if t.col.IsNull(int(r)) {
			continue
		}
		if code := int(t.col.Bits(int(r))); chosen[code] && !seen[code] {
			seen[code] = true
			out = append(out, code)
		}
	}
	return out
}

// topColumns declares how many columns a check shows.
func topColumns() engine.Param {
	return engine.Param{Name: "n_top_columns", Type: engine.IntParam, Default: 10, Min: 0, Max: math.MaxFloat64, Doc: "columns to show"}
}

func aggregation() engine.Param {
	return engine.Param{Name: "aggregation_method", Type: engine.TextParam, Default: "max", Allowed: engine.Aggregations(), Doc: "how the reduced value sums up the columns"}
}

// allNaN is what deepchecks writes for the importance of features where there
// is none.
func allNaN(columns []string) engine.Series {
	s := engine.Series{Index: columns, Values: make([]any, len(columns))}
	for i := range s.Values {
		s.Values[i] = math.NaN()
	}
	return s
}

// weightsOf lists the importances of columns, NaN for those that are no
// features; nil where nothing is known, for which deepchecks has NaN.
func weightsOf(names []string, i *engine.Importance, mode engine.Mode) any {
	if i == nil {
		if mode == engine.Deepchecks {
			return allNaN(names)
		}
		return nil
	}
	out := allNaN(names)
	for k, name := range names {
		if w, ok := i.Weights[name]; ok {
			out.Values[k] = w
		}
	}
	return out
}
