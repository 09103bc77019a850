package integrity

import (
	"context"
	"fmt"
	"slices"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/format"
)

// shownExamples is how many texts and numbers MixedDataTypes gives of a column.
const shownExamples = 3

func mixedDataTypes() *engine.Definition {
	limit := func(name string, def float64, doc string) engine.Param {
		return engine.Param{Name: name, Type: engine.FloatParam, Default: def, Min: 0, Max: 1, Doc: doc}
	}
	return &engine.Definition{
		ID:      "MixedDataTypes",
		Summary: "Finds columns in which a few texts stand among numbers, or a few numbers among texts.",
		Formula: "For each text column, over the cells present, `numbers = cells that read as a number / cells` and `strings = 1 − numbers`. A cell reads as a number by the rules of Python's `float`, so that \"nan\", \"inf\" and \"1_000\" are numbers.",
		Scope:   engine.SingleDataset,
		Params:  params(engine.ColumnParams(), []engine.Param{topColumns()}, engine.SampleParams(largeSample)),
		Conditions: []engine.ConditionDef{{
			ID: "rare_type_ratio_not_in_range",
			Params: []engine.Param{
				limit("min", 0.01, "share of the rarer type from which a column is suspicious"),
				limit("max", 0.1, "share of the rarer type up to which a column is suspicious"),
			},
			New: rareType,
		}},
		Defaults: []engine.Use{{ID: "rare_type_ratio_not_in_range"}},
		New:      func(a engine.Args, _ engine.Mode) (engine.Check, error) { return mixed{a}, nil },
	}
}

type mixed struct{ args engine.Args }

func (mixed) ID() string { return "MixedDataTypes" }

// Mixes is the value of MixedDataTypes.
type Mixes []Mix

// Mix is how texts and numbers mix in one column. Both shares are 0 when they
// do not.
type Mix struct {
	Column            string
	Strings, Numbers  float64
	StringExamples    []string
	NumberExamples    []string
	strings, numerals int
}

// Encode returns shares and examples by column.
func (m Mixes) Encode() any {
	out := make(engine.Object, len(m))
	for i, c := range m {
		o := engine.Object{}
		if c.Strings > 0 {
			o = engine.Object{
				{Key: "strings", Value: c.Strings}, {Key: "numbers", Value: c.Numbers},
				{Key: "strings_examples", Value: textSet(c.StringExamples)}, {Key: "numbers_examples", Value: textSet(c.NumberExamples)},
			}
		}
		out[i] = engine.Field{Key: c.Column, Value: o}
	}
	return out
}

// textSet encodes a set of texts.
func textSet(items []string) engine.Object {
	sorted := slices.Sorted(slices.Values(items))
	list := make([]any, len(sorted))
	for i, s := range sorted {
		list[i] = s
	}
	return engine.Object{{Key: "__type__", Value: "set"}, {Key: "items", Value: list}, {Key: "n", Value: len(list)}}
}

func (m mixed) Run(_ context.Context, c *engine.Context) (engine.Result, error) {
	side := c.Side()
	columns, err := side.Columns(m.args, nil)
	if err != nil {
		return engine.Result{}, err
	}
	var value Mixes
	for _, col := range columns {
		mix := Mix{Column: col.Name()}
		if col.Textual() {
			t, err := textsOf(c, side, col, m.args)
			if err != nil {
				return engine.Result{}, err
			}
			mix = m.mix(side, t)
		}
		value = append(value, mix)
	}
	return engine.Result{Value: value, Displays: m.displays(value)}, nil
}

// mix counts the numbers of a column.
func (m mixed) mix(side *engine.Side, t *texts) Mix {
	mix := Mix{Column: t.col.Name()}
	strings, numbers := map[int]bool{}, map[int]bool{}
	t.each(func(code int, text string, count int) {
		if readsAsNumber(text) {
			numbers[code] = true
			mix.numerals += count
		} else {
			strings[code] = true
			mix.strings += count
		}
	})
	if mix.numerals == 0 || mix.strings == 0 {
		return mix
	}
	mix.Strings, mix.Numbers = float64(mix.strings)/float64(t.total), float64(mix.numerals)/float64(t.total)
	rows := side.Sample(m.args)
	examples := func(codes map[int]bool) []string {
		var out []string
		for _, code := range t.first(rows, codes, min(shownExamples, len(codes))) {
			out = append(out, t.col.Dict()[code])
		}
		return out
	}
	mix.StringExamples, mix.NumberExamples = examples(strings), examples(numbers)
	return mix
}

func (m mixed) displays(v Mixes) []engine.Display {
	grid := engine.Grid{Columns: []string{"Column", "Texts", "Numbers", "Examples of texts", "Examples of numbers"}}
	for _, c := range v {
		if c.Strings > 0 && len(grid.Rows) < m.args.Int("n_top_columns") {
			grid.Rows = append(grid.Rows, []any{
				c.Column, fmt.Sprintf("%s (%d)", format.Percent(c.Strings), c.strings), fmt.Sprintf("%s (%d)", format.Percent(c.Numbers), c.numerals),
				format.QuotedList(c.StringExamples), format.QuotedList(c.NumberExamples),
			})
		}
	}
	if len(grid.Rows) == 0 {
		return nil
	}
	return []engine.Display{engine.TableView{Title: "Columns of texts and numbers", Grid: grid}}
}

func rareType(r engine.Request) (engine.Condition, error) {
	low, high := r.Args.Float("min"), r.Args.Float("max")
	return engine.Condition{
		Name: fmt.Sprintf("Rare data types in column are either more than %s or less than %s of the data", format.Percent(high), format.Percent(low)),
		Judge: engine.Judge(func(v Mixes) (engine.Verdict, string, error) {
			var failing []string
			mixes := 0
			for _, c := range v {
				rare := min(c.Strings, c.Numbers)
				if rare > 0 {
					mixes++
				}
				if low < rare && rare < high {
					failing = append(failing, c.Column)
				}
			}
			if len(failing) > 0 {
				return engine.Warn, fmt.Sprintf("Found %d out of %d columns with non-negligible quantities of samples with a different data type from the majority of samples: %s",
					len(failing), len(v), format.QuotedList(failing)), nil
			}
			return engine.Pass, fmt.Sprintf("%d columns passed: found %d columns with negligible types mix, and %d columns without any types mix",
				len(v), mixes, len(v)-mixes), nil
		}),
	}, nil
}
