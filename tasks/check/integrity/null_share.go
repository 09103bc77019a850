package integrity

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/format"
)

func percentOfNulls() *engine.Definition {
	return &engine.Definition{
		ID:      "PercentOfNulls",
		Header:  "PercentOfNulls",
		Summary: "Tells which share of each feature is missing.",
		Formula: "`rows without a value / rows`, for each feature.",
		Differs: "the table is sorted, the largest share first, and its column is called a ratio, which it is.",
		Scope:   engine.SingleDataset,
		Params: params(engine.ColumnParams(), []engine.Param{
			{Name: "max_features_to_show", Type: engine.IntParam, Default: 5, Min: 0, Max: math.MaxFloat64, Doc: "features to show"},
			aggregation(),
		}, engine.SampleParams(100_000)),
		Conditions: []engine.ConditionDef{{
			ID:     "percent_of_nulls_not_greater_than",
			Params: []engine.Param{{Name: "threshold", Type: engine.FloatParam, Default: 0.05, Min: 0, Max: 1, Doc: "largest share of missing values that passes"}},
			New:    fewNulls,
		}},
		Defaults: []engine.Use{{ID: "percent_of_nulls_not_greater_than"}},
		New:      func(a engine.Args, m engine.Mode) (engine.Check, error) { return nullShare{a, m}, nil },
	}
}

type nullShare struct {
	args engine.Args
	mode engine.Mode
}

func (nullShare) ID() string { return "PercentOfNulls" }

// NullShares is the value of PercentOfNulls.
type NullShares struct {
	Shares
	// Importance weighs the features; nil when nothing is known.
	Importance []float64
	mode       engine.Mode
}

// Encode returns a table of shares by feature.
func (v NullShares) Encode() any {
	g := engine.Grid{Columns: []string{"Ratio of nulls in sample"}, IndexName: "Column", Index: []any{}}
	if v.mode == engine.Deepchecks {
		g.Columns[0] = "Percent of nulls in sample"
	}
	if v.Importance != nil {
		g.Columns = append(g.Columns, "Feature importance")
	}
	for i, c := range v.Columns {
		g.Index = append(g.Index, c)
		row := []any{v.Shares.Shares[i]}
		if v.Importance != nil {
			row = append(row, v.Importance[i])
		}
		g.Rows = append(g.Rows, row)
	}
	return g
}

func (n nullShare) Run(ctx context.Context, c *engine.Context) (engine.Result, error) {
	side := c.Side()
	features, err := side.Features()
	if err != nil {
		return engine.Result{}, err
	}
	columns, err := side.Columns(n.args, features)
	if err != nil {
		return engine.Result{}, err
	}
	importance, err := c.Importance(ctx)
	if err != nil {
		return engine.Result{}, err
	}
	rows := side.Unordered(n.args)
	value := NullShares{mode: n.mode}
	for _, col := range columns {
		nulls := 0
		if col.HasNulls() {
			for _, r := range rows {
				if col.IsNull(int(r)) {
					nulls++
				}
			}
		}
		value.Columns = append(value.Columns, col.Name())
		value.Shares.Shares = append(value.Shares.Shares, float64(nulls)/float64(len(rows)))
	}
	value.Importance = importance.Of(value.Columns)
	sorted := value.sorted()
	if n.mode != engine.Deepchecks {
		value = sorted
	}
	result := engine.Result{
		Value:   value,
		Reduced: engine.ReduceFeatures(n.args.Text("aggregation_method"), "Null Ratio", value.Columns, value.Shares.Shares, value.Importance),
	}
	chart := engine.BarChart{Title: "Features with missing values", Unit: "share of rows", Series: []string{"Missing"}}
	for i, share := range sorted.Shares.Shares {
		if share > 0 && i < n.args.Int("max_features_to_show") {
			chart.Groups = append(chart.Groups, engine.BarGroup{Label: sorted.Columns[i], Values: []float64{share}})
		}
	}
	if len(chart.Groups) > 0 {
		result.Displays = []engine.Display{chart}
	}
	return result, nil
}

// sorted returns the shares from the largest on.
func (v NullShares) sorted() NullShares {
	order := make([]int, len(v.Columns))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(v.Shares.Shares[b], v.Shares.Shares[a]) })
	out := NullShares{mode: v.mode}
	for _, i := range order {
		out.Columns = append(out.Columns, v.Columns[i])
		out.Shares.Shares = append(out.Shares.Shares, v.Shares.Shares[i])
		if v.Importance != nil {
			out.Importance = append(out.Importance, v.Importance[i])
		}
	}
	return out
}

func fewNulls(r engine.Request) (engine.Condition, error) {
	const mostShown = 5
	limit := r.Args.Float("threshold")
	return engine.Condition{
		Name: "Percent of null values in each column is not greater than " + format.Percent(limit),
		Judge: engine.Judge(func(v NullShares) (engine.Verdict, string, error) {
			var over, some []format.Pair
			for i, share := range v.Shares.Shares {
				p := format.Pair{Key: format.Quote(v.Columns[i]), Value: format.Quote(format.Percent(share))}
				if share > limit {
					over = append(over, p)
				}
				if share > 0 && len(some) < mostShown {
					some = append(some, p)
				}
			}
			if len(over) > 0 {
				return engine.Fail, fmt.Sprintf("Found %d columns with ratio of nulls above threshold: \n%s", len(over), format.Dict(over)), nil
			}
			details := format.Passed(len(v.Columns))
			if len(some) > 0 {
				details += ". Top columns with null ratio: \n" + format.Dict(some)
			}
			return engine.Pass, details, nil
		}),
	}, nil
}
