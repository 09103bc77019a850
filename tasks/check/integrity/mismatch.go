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

func stringMismatch() *engine.Definition {
	return &engine.Definition{
		ID:      "StringMismatch",
		Summary: "Finds texts that differ in nothing but case, spaces and punctuation, such as \"New York\" and \"new-york\": probably they mean the same.",
		Formula: "Distinct texts of a column are put together by their base form: lower case, letters and digits only. A form with more than one text is reported.",
		Differs: "the message of a condition that holds counts the columns that were looked at, where deepchecks always says 1.",
		Scope:   engine.SingleDataset,
		Params:  params(engine.ColumnParams(), []engine.Param{topColumns(), aggregation()}, engine.SampleParams(1_000_000)),
		Conditions: []engine.ConditionDef{
			{ID: "no_variants", New: func(r engine.Request) (engine.Condition, error) {
				return fewVariants(r.Mode, 0, "No string variants"), nil
			}},
			{
				ID:     "number_variants_less_or_equal",
				Params: []engine.Param{{Name: "num_max_variants", Type: engine.IntParam, Required: true, Min: 0, Max: math.MaxFloat64, Doc: "most spellings of one text that pass"}},
				New: func(r engine.Request) (engine.Condition, error) {
					n := r.Args.Int("num_max_variants")
					return fewVariants(r.Mode, n, fmt.Sprintf("Number of string variants is less or equal to %d", n)), nil
				},
			},
			maxRatio("ratio_variants_less_or_equal", 0.01, variantRatio),
		},
		Defaults: []engine.Use{{ID: "no_variants"}},
		New:      func(a engine.Args, m engine.Mode) (engine.Check, error) { return mismatch{a, m}, nil },
	}
}

type mismatch struct {
	args engine.Args
	mode engine.Mode
}

func (mismatch) ID() string { return "StringMismatch" }

// Variants is the value of StringMismatch.
type Variants struct {
	Rows    int
	Columns []ColumnVariants
	all     []string // every column selected, for deepchecks' importances
	mode    engine.Mode
	weights *engine.Importance
}

// ColumnVariants lists the base forms that a text column spells in several
// ways.
type ColumnVariants struct {
	Column string
	Forms  []Form
}

// Form is a base form and its spellings.
type Form struct {
	Base     string
	Variants []Variant
}

// Variant is one spelling.
type Variant struct {
	Text  string
	Count int
}

// share is the part of the rows that have one of several spellings.
func (c ColumnVariants) share(rows int) float64 {
	n := 0
	for _, f := range c.Forms {
		for _, v := range f.Variants {
			n += v.Count
		}
	}
	return float64(n) / float64(rows)
}

// Encode returns spellings with counts and shares by column and base form.
func (v Variants) Encode() any {
	columns := make(engine.Object, len(v.Columns))
	for i, c := range v.Columns {
		forms := make(engine.Object, len(c.Forms))
		for j, f := range c.Forms {
			list := make([]any, len(f.Variants))
			for k, s := range f.Variants {
				list[k] = engine.Object{
					{Key: "variant", Value: s.Text}, {Key: "count", Value: s.Count}, {Key: "percent", Value: float64(s.Count) / float64(v.Rows)},
				}
			}
			forms[j] = engine.Field{Key: f.Base, Value: list}
		}
		columns[i] = engine.Field{Key: c.Column, Value: forms}
	}
	return engine.Object{{Key: "n_samples", Value: v.Rows}, {Key: "columns", Value: columns}, {Key: "feature_importance", Value: weightsOf(v.all, v.weights, v.mode)}}
}

func (m mismatch) Run(ctx context.Context, c *engine.Context) (engine.Result, error) {
	side := c.Side()
	weights, err := c.Importance(ctx)
	if err != nil {
		return engine.Result{}, err
	}
	columns, err := side.Columns(m.args, nil)
	if err != nil {
		return engine.Result{}, err
	}
	value := Variants{Rows: len(side.Unordered(m.args)), mode: m.mode, weights: weights}
	var names []string
	var shares []float64
	for _, col := range columns {
		value.all = append(value.all, col.Name())
		if !col.Textual() {
			continue
		}
		t, err := textsOf(c, side, col, m.args)
		if err != nil {
			return engine.Result{}, err
		}
		found := ColumnVariants{Column: col.Name(), Forms: m.forms(side, t)}
		value.Columns = append(value.Columns, found)
		names, shares = append(names, found.Column), append(shares, found.share(value.Rows))
	}
	return engine.Result{
		Value:    value,
		Reduced:  engine.ReduceFeatures(m.args.Text("aggregation_method"), "Percent Mismatched Strings", names, shares, weights.Of(names)),
		Displays: m.displays(value),
	}, nil
}

// forms lists base forms of several spellings in the order in which the rows
// have them first, and the spellings of each by descending count.
func (m mismatch) forms(side *engine.Side, t *texts) []Form {
	byBase := make(map[string][]int)
	t.each(func(code int, text string, _ int) {
		base := frame.BaseForm(text)
		byBase[base] = append(byBase[base], code)
	})
	several := make(map[int]bool)
	for _, codes := range byBase {
		if len(codes) > 1 {
			for _, code := range codes {
				several[code] = true
			}
		}
	}
	if len(several) == 0 {
		return nil
	}
	var out []Form
	place := make(map[string]int)
	for _, code := range t.first(side.Sample(m.args), several, len(several)) {
		text := t.col.Dict()[code]
		base := frame.BaseForm(text)
		at, ok := place[base]
		if !ok {
			at = len(out)
			place[base] = at
			out = append(out, Form{Base: base})
		}
		out[at].Variants = append(out[at].Variants, Variant{text, int(t.counts[code])})
	}
	for _, f := range out {
		slices.SortStableFunc(f.Variants, func(a, b Variant) int { return cmp.Compare(b.Count, a.Count) })
	}
	return out
}

func (m mismatch) displays(v Variants) []engine.Display {
	grid := engine.Grid{Columns: []string{"Column", "Base form", "Text", "Count", "Percent"}}
	shown := 0
	for _, c := range v.Columns {
		if len(c.Forms) == 0 || shown == m.args.Int("n_top_columns") {
			continue
		}
		shown++
		for _, f := range c.Forms {
			for _, s := range f.Variants {
				grid.Rows = append(grid.Rows, []any{c.Column, f.Base, s.Text, s.Count, format.Percent(float64(s.Count) / float64(v.Rows))})
			}
		}
	}
	if len(grid.Rows) == 0 {
		return nil
	}
	return []engine.Display{engine.TableView{Title: "Spellings of the same text", Grid: grid}}
}

// fewVariants fails columns with a form of more than limit spellings. With a
// limit of 0 every reported form fails.
func fewVariants(mode engine.Mode, limit int, name string) engine.Condition {
	const mostColumns, mostForms = 5, 5
	return engine.Condition{
		Name: name,
		Judge: engine.Judge(func(v Variants) (engine.Verdict, string, error) {
			var over []format.Pair
			failing := 0
			for _, c := range v.Columns {
				var forms []string
				for _, f := range c.Forms {
					if len(f.Variants) > limit {
						forms = append(forms, f.Base)
					}
				}
				if len(forms) == 0 {
					continue
				}
				failing++
				if failing <= mostColumns {
					over = append(over, format.Pair{Key: format.Quote(c.Column), Value: format.QuotedList(forms[:min(len(forms), mostForms)])})
				}
			}
			switch {
			case failing > 0:
				return engine.Warn, fmt.Sprintf("Found %d out of %d columns with amount of variants above threshold: %s", failing, len(v.Columns), format.Dict(over)), nil
			case mode == engine.Deepchecks:
				return engine.Pass, format.Passed(1), nil
			default:
				return engine.Pass, format.Passed(len(v.Columns)), nil
			}
		}),
	}
}

func variantRatio(limit float64, name string) engine.Condition {
	return engine.Condition{
		Name: "Ratio of variants is less or equal to " + name,
		Judge: engine.Judge(func(v Variants) (engine.Verdict, string, error) {
			var over []format.Pair
			for _, c := range v.Columns {
				if share := c.share(v.Rows); share > limit {
					over = append(over, format.Pair{Key: format.Quote(c.Column), Value: format.Quote(format.Percent(share))})
				}
			}
			if len(over) > 0 {
				return engine.Fail, fmt.Sprintf("Found %d out of %d relevant columns with variants ratio above threshold: %s", len(over), len(v.Columns), format.Dict(over)), nil
			}
			return engine.Pass, format.Passed(len(v.Columns)), nil
		}),
	}
}
