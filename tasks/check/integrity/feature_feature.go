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
	"aloft/tasks/check/stats"
)

func featureFeatureCorrelation() *engine.Definition {
	return &engine.Definition{
		ID:      "FeatureFeatureCorrelation",
		Header:  "Feature-Feature Correlation",
		Summary: "Finds pairs of features that say the same: one of them can go.",
		Formula: "Two numbers: Spearman's rank correlation. Two categories: `2 I(x, y) / (H(x) + H(y))`, the symmetric form of Theil's U. A number and a category: the correlation ratio `√(variance between categories / variance)`. Rows that lack one of the two are left out of a pair.",
		Differs: "the condition counts negative correlations by their size, where deepchecks passes them all.",
		Scope:   engine.SingleDataset,
		Params: params(engine.ColumnParams(), []engine.Param{
			{Name: "show_n_top_columns", Type: engine.IntParam, Default: 10, Min: 0, Max: math.MaxFloat64, Doc: "features to show, those with the highest correlations"},
		}, engine.SampleParams(10_000)),
		Conditions: []engine.ConditionDef{{
			ID: "max_number_of_pairs_above_threshold",
			Params: []engine.Param{
				{Name: "threshold", Type: engine.FloatParam, Default: 0.9, Doc: "correlation above which a pair counts"},
				{Name: "n_pairs", Type: engine.IntParam, Default: 0, Min: 0, Max: math.MaxFloat64, Doc: "most pairs that pass"},
			},
			New: fewPairs,
		}},
		Defaults: []engine.Use{{ID: "max_number_of_pairs_above_threshold"}},
		New:      func(a engine.Args, m engine.Mode) (engine.Check, error) { return featurePairs{a, m}, nil },
	}
}

type featurePairs struct {
	args engine.Args
	mode engine.Mode
}

func (featurePairs) ID() string { return "FeatureFeatureCorrelation" }

// Correlations is the value of FeatureFeatureCorrelation: a symmetric matrix,
// numerical features first.
type Correlations struct {
	Columns []string
	Values  [][]float64
}

// Encode returns the matrix as a table.
func (v Correlations) Encode() any {
	g := engine.Grid{Columns: v.Columns, Index: []any{}}
	for i, c := range v.Columns {
		g.Index = append(g.Index, c)
		row := make([]any, len(v.Columns))
		for j, x := range v.Values[i] {
			row[j] = x
		}
		g.Rows = append(g.Rows, row)
	}
	return g
}

// operand is a feature made ready for correlations: a number or a category.
type operand struct {
	ranked     *stats.Ranked
	numbers    []float64
	categories []int32
	k          int
	coded      *stats.Coded
}

func (f featurePairs) Run(ctx context.Context, c *engine.Context) (engine.Result, error) {
	side := c.Side()
	features, err := side.Features()
	if err != nil {
		return engine.Result{}, err
	}
	columns, err := side.Columns(f.args, features)
	if err != nil {
		return engine.Result{}, err
	}
	rows := side.Unordered(f.args)
	if f.mode == engine.Deepchecks {
		rows = side.Sample(f.args)
	}
	numerical, categorical := side.Data.NumericalFeatures(), side.Data.CategoricalFeatures()
	var used []*frame.Column
	n := 0 // numbers, which come first
	for _, names := range [][]string{numerical, categorical} {
		n = len(used)
		among := make(map[string]bool, len(names))
		for _, name := range names {
			among[name] = true
		}
		for _, col := range columns {
			if among[col.Name()] {
				used = append(used, col)
			}
		}
	}
	operands := make([]operand, len(used))
	if err := stats.Parallel(len(used), func(i int) {
		if i < n {
			operands[i].numbers = finite(used[i].FloatsOrNaN(rows))
			operands[i].ranked = stats.NewRanked(operands[i].numbers)
		} else {
			o := &operands[i]
			o.categories, o.k = categories(used[i], rows)
			o.coded = new(stats.Entropies).NewCoded(o.categories, o.k)
		}
	}); err != nil {
		return engine.Result{}, err
	}
	value := Correlations{Values: make([][]float64, len(used))}
	for i, col := range used {
		value.Columns = append(value.Columns, col.Name())
		value.Values[i] = make([]float64, len(used))
		value.Values[i][i] = 1
	}
	if err := stats.Parallel(len(used), func(i int) {
		var e stats.Entropies
		for j := range i {
			if ctx.Err() != nil {
				return
			}
			r := operands[i].correlation(&operands[j], &e, f.mode == engine.Deepchecks)
			if math.IsNaN(r) && f.mode != engine.Deepchecks {
				r = 0 // what does not vary correlates with nothing
			}
			value.Values[i][j], value.Values[j][i] = r, r
		}
	}); err != nil {
		return engine.Result{}, err
	}
	if err := ctx.Err(); err != nil {
		return engine.Result{}, err
	}
	return engine.Result{Value: value, Displays: f.displays(value)}, nil
}

// categories numbers the distinct cells of the rows; a missing one is -1.
func categories(col *frame.Column, rows []int32) ([]int32, int) {
	groups := frame.GroupRows([]*frame.Column{col}, rows)
	if !col.HasNulls() {
		return groups.Of, len(groups.First)
	}
	number := make([]int32, len(groups.First))
	k := int32(0)
	for g, r := range groups.First {
		if col.IsNull(int(r)) {
			number[g] = -1
			continue
		}
		number[g] = k
		k++
	}
	for i, g := range groups.Of {
		groups.Of[i] = number[g]
	}
	return groups.Of, int(k)
}

func (o *operand) correlation(other *operand, e *stats.Entropies, compat bool) float64 {
	switch {
	case o.ranked != nil && other.ranked != nil:
		return stats.Spearman(o.ranked, other.ranked)
	case o.ranked != nil:
		return ratio(other, o, compat)
	case other.ranked != nil:
		return ratio(o, other, compat)
	default:
		return e.SymmetricUncertainty(o.coded, other.coded)
	}
}

// ratio is the correlation ratio. In deepchecks a category of which every
// number is missing makes it unknown, unless it is the last to appear.
func ratio(category, number *operand, compat bool) float64 {
	if compat {
		seen := make([]bool, category.k)
		for i, c := range category.categories {
			if c >= 0 && !math.IsNaN(number.numbers[i]) {
				seen[c] = true
			}
		}
		gap := false
		for _, s := range seen {
			if s && gap {
				return math.NaN()
			}
			gap = gap || !s
		}
	}
	return stats.CorrelationRatio(category.categories, category.k, number.numbers)
}

// displays shows the features with the highest correlations.
func (f featurePairs) displays(v Correlations) []engine.Display {
	highest := make([]float64, len(v.Columns))
	order := make([]int, len(v.Columns))
	for i, row := range v.Values {
		order[i] = i
		for j, r := range row {
			if i != j && !math.IsNaN(r) {
				highest[i] = max(highest[i], math.Abs(r))
			}
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(highest[b], highest[a]) })
	order = order[:min(len(order), f.args.Int("show_n_top_columns"))]
	if len(order) < 2 {
		return nil
	}
	slices.Sort(order)
	chart := engine.Heatmap{Title: "Correlations of the features that have the highest", RowName: "Feature", ColName: "Feature"}
	for _, i := range order {
		chart.Rows = append(chart.Rows, v.Columns[i])
		values, shades := make([]float64, len(order)), make([]float64, len(order))
		for k, j := range order {
			values[k] = math.Round(v.Values[i][j]*100) / 100
			if !math.IsNaN(values[k]) {
				shades[k] = math.Abs(values[k])
			}
		}
		chart.Values, chart.Shares = append(chart.Values, values), append(chart.Shares, shades)
	}
	chart.Cols = chart.Rows
	return []engine.Display{chart, engine.Note{Text: "Numbers by rank correlation, categories by the symmetric uncertainty coefficient, numbers with categories by the correlation ratio."}}
}

func fewPairs(r engine.Request) (engine.Condition, error) {
	limit, most := r.Args.Float("threshold"), r.Args.Int("n_pairs")
	return engine.Condition{
		Name: fmt.Sprintf("Not more than %d pairs are correlated above %s", most, format.Param(limit)),
		Judge: engine.Judge(func(v Correlations) (engine.Verdict, string, error) {
			var pairs []string
			for i, a := range v.Columns {
				for j, b := range v.Columns {
					x := v.Values[i][j]
					if r.Mode != engine.Deepchecks {
						x = math.Abs(x)
					}
					if x > limit && a < b { // each pair once, under the first name
						pairs = append(pairs, fmt.Sprintf("(%s, %s)", format.Quote(a), format.Quote(b)))
					}
				}
			}
			if len(pairs) > most {
				return engine.Fail, fmt.Sprintf("Correlation is greater than %s for pairs %s", format.Param(limit), format.List(pairs)), nil
			}
			return engine.Pass, fmt.Sprintf("All correlations are less than %s except pairs %s", format.Param(limit), format.List(pairs)), nil
		}),
	}, nil
}
