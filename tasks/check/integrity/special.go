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

func specialCharacters() *engine.Definition {
	return &engine.Definition{
		ID:      "SpecialCharacters",
		Summary: "Finds texts that hold neither a letter nor a digit, such as \"--\" or \"?\": as a rule they stand for something that is missing.",
		Formula: "For each column `rows whose text is not empty and has no letter, digit or other number / all rows`. Columns of numbers have 0.",
		Scope:   engine.SingleDataset,
		Params: params(engine.ColumnParams(), []engine.Param{
			{Name: "n_most_common", Type: engine.IntParam, Default: 2, Min: 0, Max: math.MaxFloat64, Doc: "texts to show of each column"},
			topColumns(),
		}, engine.SampleParams(largeSample)),
		Conditions: []engine.ConditionDef{{
			ID:     "ratio_of_special_characters_less_or_equal",
			Params: []engine.Param{{Name: "max_ratio", Type: engine.FloatParam, Default: 0.001, Min: 0, Max: 1, Doc: "largest share of one column that passes"}},
			New:    fewSpecial,
		}},
		Defaults: []engine.Use{{ID: "ratio_of_special_characters_less_or_equal"}},
		New:      func(a engine.Args, _ engine.Mode) (engine.Check, error) { return special{a}, nil },
	}
}

type special struct{ args engine.Args }

func (special) ID() string { return "SpecialCharacters" }

// Shares is the value of SpecialCharacters: one share of the rows for each
// column.
type Shares struct {
	Columns []string
	Shares  []float64
}

// Encode returns an object of shares by column.
func (s Shares) Encode() any {
	out := make(engine.Object, len(s.Columns))
	for i, c := range s.Columns {
		out[i] = engine.Field{Key: c, Value: s.Shares[i]}
	}
	return out
}

// specialText is a text without letters and digits.
type specialText struct {
	text  string
	count int
}

func (s special) Run(_ context.Context, c *engine.Context) (engine.Result, error) {
	side := c.Side()
	columns, err := side.Columns(s.args, nil)
	if err != nil {
		return engine.Result{}, err
	}
	rows := len(side.Unordered(s.args))
	var value Shares
	found := make([][]specialText, len(columns))
	for i, col := range columns {
		value.Columns = append(value.Columns, col.Name())
		share := 0.0
		if col.Kind() == frame.Text {
			t, err := textsOf(c, side, col, s.args)
			if err != nil {
				return engine.Result{}, err
			}
			n := 0
			t.each(func(_ int, text string, count int) {
				if text != "" && frame.BareForm(text) == "" {
					found[i] = append(found[i], specialText{text, count})
					n += count
				}
			})
			share = float64(n) / float64(rows)
		}
		value.Shares = append(value.Shares, share)
	}
	return engine.Result{Value: value, Displays: s.displays(value, found)}, nil
}

func (s special) displays(v Shares, found [][]specialText) []engine.Display {
	order := make([]int, len(v.Columns))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(v.Shares[b], v.Shares[a]) })
	grid := engine.Grid{Columns: []string{"Column", "Share of rows", "Most common"}}
	for _, i := range order[:min(len(order), s.args.Int("n_top_columns"))] {
		if v.Shares[i] == 0 {
			break
		}
		slices.SortStableFunc(found[i], func(a, b specialText) int { return cmp.Compare(b.count, a.count) })
		var common []string
		for _, t := range found[i][:min(len(found[i]), s.args.Int("n_most_common"))] {
			common = append(common, t.text)
		}
		grid.Rows = append(grid.Rows, []any{v.Columns[i], format.Percent(v.Shares[i]), format.QuotedList(common)})
	}
	if len(grid.Rows) == 0 {
		return nil
	}
	return []engine.Display{engine.TableView{Title: "Texts without letters and digits", Grid: grid}}
}

func fewSpecial(r engine.Request) (engine.Condition, error) {
	limit := r.Args.Float("max_ratio")
	return engine.Condition{
		Name: "Ratio of samples containing solely special character is less or equal to " + format.Percent(limit),
		Judge: engine.Judge(func(v Shares) (engine.Verdict, string, error) {
			var over []format.Pair
			for i, share := range v.Shares {
				if share > limit {
					over = append(over, format.Pair{Key: format.Quote(v.Columns[i]), Value: format.Quote(format.Percent(share))})
				}
			}
			if len(over) == 0 {
				return engine.Pass, format.Passed(len(v.Columns)), nil
			}
			return engine.Warn, fmt.Sprintf("Found %d out of %d relevant columns with ratio above threshold: %s", len(over), len(v.Columns), format.Dict(over)), nil
		}),
	}, nil
}
