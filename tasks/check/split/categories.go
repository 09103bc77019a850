package split

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

func newCategories() *engine.Definition {
	return &engine.Definition{
		ID:      "NewCategoryTrainTest",
		Former:  []string{"CategoryMismatchTrainTest"},
		Summary: "Finds categories that only the test table has: the model has never seen them.",
		Formula: "For each categorical feature, the values of the test rows that no train row has, and `ratio = test rows with such a value / test rows`. Missing cells are no category.",
		Scope:   engine.TrainTest,
		Params: params(engine.ColumnParams(), []engine.Param{
			count("max_features_to_show", 5, "features to show"),
			count("max_new_categories_to_show", 5, "new categories to show for each feature"),
			{Name: "aggregation_method", Type: engine.TextParam, Default: "max", Allowed: engine.Aggregations(), Doc: "how the reduced value sums up the features"},
		}, engine.SampleParams(largeSample)),
		Conditions: []engine.ConditionDef{
			{
				ID:     "new_categories_less_or_equal",
				Params: []engine.Param{{Name: "max_new", Type: engine.IntParam, Default: 0, Min: 0, Max: math.MaxFloat64, Doc: "most new categories in one feature"}},
				New:    fewNewCategories,
			},
			maxRatio("new_category_ratio_less_or_equal", 0, newCategoryRatio),
		},
		Defaults: []engine.Use{{ID: "new_category_ratio_less_or_equal"}},
		New:      func(a engine.Args, _ engine.Mode) (engine.Check, error) { return categoryCheck{a}, nil },
	}
}

type categoryCheck struct{ args engine.Args }

// NewCategories is the value of NewCategoryTrainTest.
type NewCategories struct {
	Features []FeatureCategories
	// Weighted tells that the features' importance is known.
	Weighted bool
}

// FeatureCategories are the new categories of one feature.
type FeatureCategories struct {
	Feature    string
	Categories []frame.Value
	Rows       []int // test rows of each
	Ratio      float64
	Importance float64
}

// Encode returns a table with a row for every categorical feature.
func (v NewCategories) Encode() any {
	g := engine.Grid{Columns: []string{"# New Categories", "Ratio of New Categories", "New categories"}, IndexName: "Feature Name", Index: []any{}}
	if v.Weighted {
		g.Columns = append(g.Columns, "Feature importance")
	}
	for _, f := range v.Features {
		list := make([]any, len(f.Categories))
		for i, c := range f.Categories {
			list[i] = c.Native()
		}
		row := []any{len(f.Categories), f.Ratio, list}
		if v.Weighted {
			row = append(row, f.Importance)
		}
		g.Index, g.Rows = append(g.Index, f.Feature), append(g.Rows, row)
	}
	return g
}

func (categoryCheck) ID() string { return "NewCategoryTrainTest" }

func (k categoryCheck) Run(ctx context.Context, c *engine.Context) (engine.Result, error) {
	features, err := c.Train().Features()
	if err != nil {
		return engine.Result{}, err
	}
	columns, err := c.Train().Columns(k.args, features)
	if err != nil {
		return engine.Result{}, err
	}
	weights, err := c.Importance(ctx)
	if err != nil {
		return engine.Result{}, err
	}
	trainRows, testRows := c.Train().Unordered(k.args), c.Test().Unordered(k.args)
	value := NewCategories{Weighted: weights != nil}
	categorical := set(c.Train().Data.CategoricalFeatures())
	for _, col := range columns {
		test := c.Test().Data.Column(col.Name())
		if test == nil || !categorical[col.Name()] {
			continue
		}
		f := FeatureCategories{Feature: col.Name(), Importance: importances(weights, []string{col.Name()})[0]}
		levels := frame.CountLevels(col, test, trainRows, testRows, false)
		total := 0
		for i, v := range levels.Values {
			if levels.A[i] == 0 {
				f.Categories, f.Rows = append(f.Categories, v), append(f.Rows, levels.B[i])
				total += levels.B[i]
			}
		}
		f.Ratio = float64(total) / float64(len(testRows))
		value.Features = append(value.Features, f)
	}
	slices.SortStableFunc(value.Features, func(a, b FeatureCategories) int { return cmp.Compare(b.Ratio, a.Ratio) })
	names, ratios := make([]string, len(value.Features)), make([]float64, len(value.Features))
	for i, f := range value.Features {
		names[i], ratios[i] = f.Feature, f.Ratio
	}
	var w []float64
	if weights != nil {
		w = weights.Of(names)
	}
	return engine.Result{
		Value:    value,
		Reduced:  engine.ReduceFeatures(k.args.Text("aggregation_method"), "New Categories Ratio", names, ratios, w),
		Displays: k.displays(value),
	}, nil
}

func (k categoryCheck) displays(v NewCategories) []engine.Display {
	grid := engine.Grid{Columns: []string{"Feature", "New category", "Test rows", "Share of the feature's new rows"}}
	for i, f := range v.Features {
		if i >= k.args.Int("max_features_to_show") || len(f.Categories) == 0 {
			break
		}
		order := make([]int, len(f.Categories))
		total := 0
		for j := range order {
			order[j] = j
			total += f.Rows[j]
		}
		slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(f.Rows[b], f.Rows[a]) })
		for _, j := range order[:min(len(order), k.args.Int("max_new_categories_to_show"))] {
			grid.Rows = append(grid.Rows, []any{f.Feature, f.Categories[j].String(), f.Rows[j], format.Percent(float64(f.Rows[j]) / float64(total))})
		}
	}
	if len(grid.Rows) == 0 {
		return nil
	}
	return []engine.Display{engine.TableView{Title: "Categories that only the test table has", Grid: grid}}
}

func fewNewCategories(r engine.Request) (engine.Condition, error) {
	limit := r.Args.Int("max_new")
	return engine.Condition{
		Name: fmt.Sprintf("Number of new category values is less or equal to %d", limit),
		Judge: engine.Judge(func(v NewCategories) (engine.Verdict, string, error) {
			var over []format.Pair
			for _, f := range v.Features {
				if len(f.Categories) > limit {
					over = append(over, format.Pair{Key: format.Quote(f.Feature), Value: fmt.Sprint(len(f.Categories))})
				}
			}
			if len(over) == 0 {
				return engine.Pass, passedFeatures(len(v.Features)), nil
			}
			return engine.Fail, fmt.Sprintf("Found %d features with number of new categories above threshold: \n%s", len(over), format.Dict(over)), nil
		}),
	}, nil
}

func newCategoryRatio(limit float64, name string) engine.Condition {
	return engine.Condition{
		Name: "Ratio of samples with a new category is less or equal to " + name,
		Judge: engine.Judge(func(v NewCategories) (engine.Verdict, string, error) {
			var over []format.Pair
			for _, f := range v.Features {
				if f.Ratio > limit {
					over = append(over, format.Pair{Key: format.Quote(f.Feature), Value: format.Quote(format.Percent(f.Ratio))})
				}
			}
			if len(over) == 0 {
				return engine.Pass, passedFeatures(len(v.Features)), nil
			}
			return engine.Fail, fmt.Sprintf("Found %d features with ratio of new categories above threshold: \n%s", len(over), format.Dict(over)), nil
		}),
	}
}
