package split

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/format"
	"aloft/tasks/check/frame"
)

func stringMismatch() *engine.Definition {
	ratio := engine.Param{Name: "ratio", Type: engine.FloatParam, Default: 0.0, Min: 0, Max: 1, Required: true, Doc: "largest share of test rows with a new variant"}
	return &engine.Definition{
		ID:      "StringMismatchComparison",
		Summary: "Finds texts that the test table spells in a way the train table does not, such as \"Deep\" and \"deep!\".",
		Formula: "Texts of a column that are equal in lower case and without punctuation (`base form`) are variants of one another. A base form found on both sides is reported when the test table has a variant of it that the train table lacks, with the share of rows of its new variants.",
		Scope:   engine.TrainTest,
		Params:  params(engine.ColumnParams(), []engine.Param{count("n_top_columns", 10, "columns to show")}, engine.SampleParams(1_000_000)),
		Conditions: []engine.ConditionDef{
			{ID: "no_new_variants", New: func(engine.Request) (engine.Condition, error) {
				return newVariants("No new variants allowed in test data", 0), nil
			}},
			{ID: "ratio_new_variants_less_or_equal", Params: []engine.Param{ratio}, New: func(r engine.Request) (engine.Condition, error) {
				limit := r.Args.Float("ratio")
				return newVariants("Ratio of new variants in test data is less or equal to "+format.Percent(limit), limit), nil
			}},
		},
		Defaults: []engine.Use{{ID: "no_new_variants"}},
		New:      func(a engine.Args, _ engine.Mode) (engine.Check, error) { return variantCheck{a}, nil },
	}
}

type variantCheck struct{ args engine.Args }

// Variants is the value of StringMismatchComparison.
type Variants struct{ Columns []ColumnVariants }

// ColumnVariants are the base forms of one column that have new variants.
type ColumnVariants struct {
	Column string
	Forms  []FormVariants
}

// FormVariants are the variants of one base form.
type FormVariants struct {
	Form                        string
	Common, OnlyTest, OnlyTrain []string
	// TestShare and TrainShare are the shares of rows of the variants that
	// only one side has.
	TestShare, TrainShare float64
}

func (c ColumnVariants) share() float64 {
	sum := 0.0
	for _, f := range c.Forms {
		sum += f.TestShare
	}
	return sum
}

// Encode returns the variants by column and base form.
func (v Variants) Encode() any {
	out := make(engine.Object, len(v.Columns))
	for i, c := range v.Columns {
		forms := make(engine.Object, len(c.Forms))
		for j, f := range c.Forms {
			forms[j] = engine.Field{Key: f.Form, Value: engine.Object{
				{Key: "commons", Value: anys(f.Common)}, {Key: "variants_only_in_test", Value: anys(f.OnlyTest)}, {Key: "variants_only_in_train", Value: anys(f.OnlyTrain)},
				{Key: "percent_variants_only_in_test", Value: f.TestShare}, {Key: "percent_variants_in_train", Value: f.TrainShare},
			}}
		}
		out[i] = engine.Field{Key: c.Column, Value: forms}
	}
	return out
}

func anys(list []string) []any {
	out := make([]any, len(list))
	for i, s := range list {
		out[i] = s
	}
	return out
}

func (variantCheck) ID() string { return "StringMismatchComparison" }

func (k variantCheck) Run(_ context.Context, c *engine.Context) (engine.Result, error) {
	columns, err := c.Train().Columns(k.args, nil)
	if err != nil {
		return engine.Result{}, err
	}
	trainRows, testRows := c.Train().Unordered(k.args), c.Test().Unordered(k.args)
	value := Variants{Columns: []ColumnVariants{}}
	for _, col := range columns {
		test := c.Test().Data.Column(col.Name())
		if test == nil || !col.Textual() || !test.Textual() {
			continue
		}
		value.Columns = append(value.Columns, ColumnVariants{col.Name(), compareVariants(col, test, trainRows, testRows)})
	}
	return engine.Result{Value: value, Displays: k.displays(value)}, nil
}

// variant is one text with the rows that hold it on both sides.
type variant struct {
	text        string
	train, test int
}

func compareVariants(train, test *frame.Column, trainRows, testRows []int32) []FormVariants {
	levels := frame.CountLevels(train, test, trainRows, testRows, false)
	forms := make(map[string][]variant)
	var order []string
	for i, v := range levels.Values {
		text := v.String()
		form := frame.BaseForm(text)
		if len(forms[form]) == 0 {
			order = append(order, form)
		}
		forms[form] = append(forms[form], variant{text, levels.A[i], levels.B[i]})
	}
	var out []FormVariants
	for _, form := range order {
		f := FormVariants{Form: form}
		inTest, inTrain := 0, 0
		for _, v := range forms[form] {
			switch {
			case v.train > 0 && v.test > 0:
				f.Common = append(f.Common, v.text)
			case v.test > 0:
				f.OnlyTest = append(f.OnlyTest, v.text)
				inTest += v.test
			case v.train > 0:
				f.OnlyTrain = append(f.OnlyTrain, v.text)
				inTrain += v.train
			}
		}
		// Without a train variant the form is a new text, not a new spelling.
		if len(f.OnlyTest) == 0 || len(f.Common)+len(f.OnlyTrain) == 0 {
			continue
		}
		f.TestShare, f.TrainShare = float64(inTest)/float64(len(testRows)), float64(inTrain)/float64(len(trainRows))
		out = append(out, f)
	}
	return out
}

func (k variantCheck) displays(v Variants) []engine.Display {
	columns := slices.Clone(v.Columns)
	slices.SortStableFunc(columns, func(a, b ColumnVariants) int { return cmp.Compare(b.share(), a.share()) })
	grid := engine.Grid{Columns: []string{"Column", "Base form", "On both sides", "Only in test", "% of test", "Only in train", "% of train"}}
	for _, c := range columns[:min(len(columns), k.args.Int("n_top_columns"))] {
		for _, f := range c.Forms {
			grid.Rows = append(grid.Rows, []any{
				c.Column, f.Form, format.Shorten(f.Common), format.Shorten(f.OnlyTest), format.Percent(f.TestShare), format.Shorten(f.OnlyTrain), format.Percent(f.TrainShare),
			})
		}
	}
	if len(grid.Rows) == 0 {
		return nil
	}
	return []engine.Display{engine.TableView{Title: "Spellings that only the test table has", Grid: grid}}
}

func newVariants(name string, limit float64) engine.Condition {
	return engine.Condition{
		Name: name,
		Judge: engine.Judge(func(v Variants) (engine.Verdict, string, error) {
			var over []format.Pair
			for _, c := range v.Columns {
				if share := c.share(); share > limit {
					over = append(over, format.Pair{Key: format.Quote(c.Column), Value: format.Quote(format.Percent(share))})
				}
			}
			if len(over) == 0 {
				return engine.Pass, format.Passed(len(v.Columns)), nil
			}
			return engine.Fail, fmt.Sprintf("Found %d out of %d relevant columns with ratio of variants above threshold: %s", len(over), len(v.Columns), format.Dict(over)), nil
		}),
	}
}
