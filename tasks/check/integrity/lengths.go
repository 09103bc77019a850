package integrity

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"unicode/utf8"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/format"
)

func stringLengthOutOfBounds() *engine.Definition {
	number := func(name string, t engine.ParamType, def any, most float64, doc string) engine.Param {
		return engine.Param{Name: name, Type: t, Default: def, Min: 0, Max: most, Doc: doc}
	}
	without := func(name string, def any, t engine.ParamType) engine.Param {
		return engine.Param{Name: name, Type: t, Default: def, CompatOnly: true, Doc: "accepted; has no effect"}
	}
	return &engine.Definition{
		ID:      "StringLengthOutOfBounds",
		Summary: "Finds texts that are much longer or shorter than the others of their column: cut, glued together, or not what the column is for.",
		Formula: "With `p6`, `p50` and `p94` the quantiles of the lengths, a length is out of bounds when `|length − p50| > outlier_factor · (p94 − p6) / 2`, and when it is away from the normal lengths `lo` to `hi` by at least `max(min_length_difference, min_length_ratio_difference · (lo + hi) / 2)`. Categorical features are left out.",
		Scope:   engine.SingleDataset,
		Params: params(engine.ColumnParams(), []engine.Param{
			{Name: "num_percentiles", Type: engine.IntParam, Default: 1000, Min: 1, Max: 1e6, Doc: "steps between quantiles, for columns of as many distinct lengths or more"},
			number("inner_quantile_range", engine.IntParam, 94, 100, "upper quantile in percent; the lower one is as far from 0"),
			number("outlier_factor", engine.IntParam, 4, math.MaxFloat64, "how many times the quantiles' half distance from the median is out of bounds"),
			number("min_length_difference", engine.IntParam, 5, math.MaxFloat64, "least distance from the normal lengths"),
			number("min_length_ratio_difference", engine.FloatParam, 0.5, math.MaxFloat64, "the same as a share of the mean normal length"),
			without("min_unique_value_ratio", 0.01, engine.FloatParam),
			without("min_unique_values", 100, engine.IntParam),
			topColumns(),
			number("outlier_length_to_show", engine.IntParam, 50, math.MaxFloat64, "characters to show of a text"),
			number("samples_per_range_to_show", engine.IntParam, 3, math.MaxFloat64, "texts to show of each range"),
		}, engine.SampleParams(largeSample)),
		Conditions: []engine.ConditionDef{
			{
				ID:     "number_of_outliers_less_or_equal",
				Params: []engine.Param{{Name: "max_outliers", Type: engine.IntParam, Default: 0, Min: 0, Max: math.MaxFloat64, Doc: "most texts out of bounds that pass, in one column"}},
				New:    fewOutlyingTexts,
			},
			maxRatio("ratio_of_outliers_less_or_equal", 0, outlyingTextRatio),
		},
		Defaults: []engine.Use{{ID: "ratio_of_outliers_less_or_equal"}},
		New:      func(a engine.Args, _ engine.Mode) (engine.Check, error) { return lengths{a}, nil },
	}
}

type lengths struct{ args engine.Args }

func (lengths) ID() string { return "StringLengthOutOfBounds" }

// TextLengths is the value of StringLengthOutOfBounds.
type TextLengths []ColumnLengths

// ColumnLengths tells which texts of a column are out of bounds.
type ColumnLengths struct {
	Column string
	// Ranges hold the lengths out of bounds that occur; nil when none do.
	Ranges []LengthRange
	// Low and High bound the normal lengths, Rows counts the texts. They are
	// set with Ranges.
	Low, High, Rows int
}

// LengthRange counts the texts with lengths from Min to Max.
type LengthRange struct {
	Min, Max float64
	Rows     int
}

func (c ColumnLengths) outliers() int {
	n := 0
	for _, r := range c.Ranges {
		n += r.Rows
	}
	return n
}

// Encode returns ranges and counts by column.
func (v TextLengths) Encode() any {
	out := make(engine.Object, len(v))
	for i, c := range v {
		ranges := make([]any, len(c.Ranges))
		for j, r := range c.Ranges {
			ranges[j] = engine.Object{
				{Key: "range", Value: engine.Object{{Key: "min", Value: r.Min}, {Key: "max", Value: r.Max}}}, {Key: "n_samples", Value: r.Rows},
			}
		}
		o := engine.Object{{Key: "outliers", Value: ranges}}
		if len(ranges) > 0 {
			o = append(o, engine.Field{Key: "normal_range", Value: engine.Object{{Key: "min", Value: c.Low}, {Key: "max", Value: c.High}}},
				engine.Field{Key: "n_samples", Value: c.Rows})
		}
		out[i] = engine.Field{Key: c.Column, Value: o}
	}
	return out
}

func (l lengths) Run(_ context.Context, c *engine.Context) (engine.Result, error) {
	side := c.Side()
	columns, err := side.Columns(l.args, nil)
	if err != nil {
		return engine.Result{}, err
	}
	value := TextLengths{}
	grid := engine.Grid{Columns: []string{"Column", "Texts out of bounds", "Lengths", "Normal lengths", "Examples"}}
	shown := 0
	for _, col := range columns {
		if !col.Textual() || slices.Contains(side.Data.CategoricalFeatures(), col.Name()) {
			continue
		}
		t, err := textsOf(c, side, col, l.args)
		if err != nil {
			return engine.Result{}, err
		}
		found := l.column(t)
		value = append(value, found)
		if len(found.Ranges) > 0 && shown < l.args.Int("n_top_columns") {
			shown++
			for _, r := range found.Ranges {
				grid.Rows = append(grid.Rows, []any{
					col.Name(), fmt.Sprintf("%d (%s)", r.Rows, format.Percent(float64(r.Rows)/float64(found.Rows))),
					fmt.Sprintf("%s to %s", format.Number(r.Min), format.Number(r.Max)), fmt.Sprintf("%d to %d", found.Low, found.High), l.examples(t, r),
				})
			}
		}
	}
	result := engine.Result{Value: value}
	if len(grid.Rows) > 0 {
		result.Displays = []engine.Display{engine.TableView{Title: "Texts of unusual length", Grid: grid}}
	}
	return result, nil
}

// examples shows the first texts of a range, in the order of the table.
func (l lengths) examples(t *texts, r LengthRange) string {
	var out []string
	t.each(func(_ int, text string, _ int) {
		if len(out) < l.args.Int("samples_per_range_to_show") {
			if n := float64(utf8.RuneCountInString(text)); n >= r.Min && n <= r.Max {
				out = append(out, format.Truncate(text, l.args.Int("outlier_length_to_show")))
			}
		}
	})
	return format.QuotedList(out)
}

// point is a quantile of the lengths.
type point struct {
	percent float64
	length  int
}

// column looks at one column.
func (l lengths) column(t *texts) ColumnLengths {
	out := ColumnLengths{Column: t.col.Name(), Rows: t.total}
	if t.total == 0 {
		return out
	}
	counts := make(map[int]int)
	t.each(func(_ int, text string, count int) { counts[utf8.RuneCountInString(text)] += count })
	sorted := make([]int, 0, len(counts))
	for n := range counts {
		sorted = append(sorted, n)
	}
	slices.Sort(sorted)
	points := l.points(sorted, counts, t.total)
	closest := func(percent float64) int {
		best := points[0]
		for _, p := range points {
			if math.Abs(p.percent-percent) < math.Abs(best.percent-percent) {
				best = p
			}
		}
		return best.length
	}
	inner := float64(l.args.Int("inner_quantile_range"))
	middle := closest(50)
	spread := math.Abs(float64(closest(inner) - closest(100-inner)))
	limit := float64(l.args.Int("outlier_factor")) * spread / 2
	var below, above []int // lengths out of bounds under and over the median
	out.Low, out.High = math.MaxInt, math.MinInt
	for _, p := range points {
		switch outlying := math.Abs(float64(p.length-middle)) > limit; {
		case outlying && p.percent < 50:
			below = append(below, p.length)
		case outlying && p.percent > 50:
			above = append(above, p.length)
		default:
			out.Low, out.High = min(out.Low, p.length), max(out.High, p.length)
		}
	}
	for _, section := range [][]int{below, above} {
		if len(section) == 0 {
			continue
		}
		r := LengthRange{Min: float64(section[0]), Max: float64(section[len(section)-1])}
		if !l.widen(&r, out.Low, out.High) {
			continue
		}
		for n, rows := range counts {
			if float64(n) >= r.Min && float64(n) <= r.Max {
				r.Rows += rows
			}
		}
		if r.Rows > 0 {
			out.Ranges = append(out.Ranges, r)
		}
	}
	return out
}

// widen keeps the range away from the normal lengths; nothing may be left.
func (l lengths) widen(r *LengthRange, low, high int) bool {
	least := max(float64(l.args.Int("min_length_difference")), l.args.Float("min_length_ratio_difference")*float64(low+high)/2)
	switch lo, hi := float64(low), float64(high); {
	case r.Min > hi && r.Min-hi < least:
		r.Min = hi + least
	case r.Max < lo && lo-r.Max < least:
		r.Max = lo - least
	}
	return r.Min <= r.Max
}

// points lists the quantiles of the lengths: one for each row, of which the
// first and last of a length stand for all, or, with many distinct lengths,
// as many as num_percentiles says.
func (l lengths) points(sorted []int, counts map[int]int, total int) []point {
	var out []point
	steps := l.args.Int("num_percentiles")
	if len(sorted) < steps {
		return l.rowPoints(sorted, counts, total)
	}
	ends := make([]int, len(sorted)) // rows up to each length
	n := 0
	for i, length := range sorted {
		n += counts[length]
		ends[i] = n
	}
	for j := range steps + 1 {
		percent := float64(j) * 100 / float64(steps)
		row := int(math.RoundToEven(percent / 100 * float64(total-1)))
		at, _ := slices.BinarySearchFunc(ends, row+1, cmp.Compare[int])
		out = append(out, point{percent, sorted[at]})
	}
	return out
}

// rowPoints keeps of each length the points that can be nearest to a quantile
// asked for, or the first or last of a section.
func (l lengths) rowPoints(sorted []int, counts map[int]int, total int) []point {
	var out []point
	at := func(row, length int) point { return point{100 * float64(row) / float64(total), length} }
	begin := 0
	inner := l.args.Int("inner_quantile_range")
	for _, length := range sorted {
		end := begin + counts[length] - 1
		rows := []int{begin, end}
		for _, percent := range []int{100 - inner, 50, inner} {
			near := total * percent / 100
			for row := near - 1; row <= near+1; row++ {
				if row > begin && row < end {
					rows = append(rows, row)
				}
			}
		}
		slices.Sort(rows)
		for _, row := range slices.Compact(rows) {
			out = append(out, at(row, length))
		}
		begin = end + 1
	}
	return out
}

func fewOutlyingTexts(r engine.Request) (engine.Condition, error) {
	limit := r.Args.Int("max_outliers")
	return engine.Condition{
		Name: fmt.Sprintf("Number of string length outliers is less or equal to %d", limit),
		Judge: engine.Judge(func(v TextLengths) (engine.Verdict, string, error) {
			var over []format.Pair
			for _, c := range v {
				if n := c.outliers(); n > limit {
					over = append(over, format.Pair{Key: format.Quote(c.Column), Value: fmt.Sprint(n)})
				}
			}
			if len(over) == 0 {
				return engine.Pass, format.Passed(len(v)), nil
			}
			return engine.Fail, fmt.Sprintf("Found %d out of %d columns with number of outliers above threshold: %s", len(over), len(v), format.Dict(over)), nil
		}),
	}, nil
}

func outlyingTextRatio(limit float64, name string) engine.Condition {
	return engine.Condition{
		Name: "Ratio of string length outliers is less or equal to " + name,
		Judge: engine.Judge(func(v TextLengths) (engine.Verdict, string, error) {
			var over []format.Pair
			for _, c := range v {
				if n := c.outliers(); n > 0 && float64(n)/float64(c.Rows) > limit {
					over = append(over, format.Pair{Key: format.Quote(c.Column), Value: format.Quote(format.Percent(float64(n) / float64(c.Rows)))})
				}
			}
			if len(over) == 0 {
				return engine.Pass, format.Passed(len(v)), nil
			}
			return engine.Warn, fmt.Sprintf("Found %d out of %d relevant columns with outliers ratio above threshold: %s", len(over), len(v), format.Dict(over)), nil
		}),
	}
}
