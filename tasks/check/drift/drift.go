// Package drift scores how far the distribution of a value has moved between
// two samples, whatever the value is a value of: a column, a label, a property
// of an image or of a text. It knows numbers and counts of categories only.
package drift

import (
	"math"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/stats"
)

// The labels of the methods, as results show them.
const (
	KolmogorovSmirnov = "Kolmogorov-Smirnov"
	EarthMover        = "Earth Mover's Distance"
	CramersV          = "Cramer's V"
	PSI               = "PSI"
)

// Options choose how drift is measured.
type Options struct {
	// Margin is the quantile that EMD cuts off at both ends.
	Margin float64
	// MaxCategories limits the categories compared; 0 is no limit.
	MaxCategories int
	// MinCategoryRatio is the share of train rows below which a category
	// counts as rare.
	MinCategoryRatio float64
	// Sort says which categories stay when there are too many.
	Sort stats.CategorySort
	// Numerical is "KS" or "EMD", Categorical "cramers_v" or "PSI".
	Numerical, Categorical string
	// Balance evens out the classes of Cramér's V.
	Balance bool
	// MinSamples is the least number of values on either side.
	MinSamples int
	// KeepRare counts the rare categories however few they are.
	KeepRare bool
}

// Score is the drift of one value. Method is "" and Value NaN when there were
// too few values on one side; Value alone is NaN when the sides have no
// category in common that is frequent enough, or EMD met infinite numbers.
type Score struct {
	Value  float64
	Method string
}

// Known reports whether there is a score.
func (s Score) Known() bool { return !math.IsNaN(s.Value) }

// Measured reports whether there were enough values for a score.
func (s Score) Measured() bool { return s.Method != "" }

// Categorical reports whether the score is one of categories.
func (s Score) Categorical() bool { return s.Method == CramersV || s.Method == PSI }

// Numbers scores numbers without nulls; it sorts both samples in place.
func (o Options) Numbers(train, test []float64) Score {
	if min(len(train), len(test)) < max(o.MinSamples, 1) {
		return Score{Value: math.NaN()}
	}
	stats.SortFloats(train)
	stats.SortFloats(test)
	if o.Numerical == "EMD" {
		return Score{stats.EMD(train, test, o.Margin), EarthMover}
	}
	return Score{stats.KS(train, test), KolmogorovSmirnov}
}

// Counts is how often each category occurs on both sides.
type Counts struct {
	Names       []string
	Train, Test []int
}

// Rows returns the number of values of each side.
func (c Counts) Rows() (train, test int) {
	for i := range c.Names {
		train, test = train+c.Train[i], test+c.Test[i]
	}
	return train, test
}

// Categories scores counts of categories.
func (o Options) Categories(c Counts) Score {
	if n1, n2 := c.Rows(); min(n1, n2) < max(o.MinSamples, 1) {
		return Score{Value: math.NaN()}
	}
	ratio := o.MinCategoryRatio
	if o.Balance {
		ratio = 0
	}
	bins := stats.SameBins(c.Names, c.Train, c.Test, o.MaxCategories, ratio, o.Sort, o.KeepRare)
	if o.Categorical == "PSI" {
		return Score{stats.PSI(bins), PSI}
	}
	return Score{stats.CramersV(bins, o.Balance), CramersV}
}

// TooFew is the error of a drift that could not be scored for lack of values;
// what names the values ("labels", "columns").
func TooFew(minSamples int, what string) error {
	return engine.Errorf(engine.NotEnoughSamples, "Not enough samples to calculate drift score. Minimum %d samples required. "+
		"Note that for numerical %s, None values do not count as samples.Use the 'min_samples' parameter to change this requirement.", minSamples, what)
}

// Params are the parameters that all drift checks share, with the defaults of
// tables. Balance adds the parameter that evens out classes.
func Params(balance, ignoreNA bool) []engine.Param {
	methods := []engine.Param{
		{Name: "margin_quantile_filter", Type: engine.FloatParam, Default: 0.025, Min: 0, Max: 0.5, Doc: "quantile of numbers that the earth mover's distance leaves out at both ends, below 0.5"},
		{Name: "max_num_categories_for_drift", Type: engine.IntParam, Min: 1, Max: math.MaxFloat64, Doc: "categories to compare, at most; the rest counts as one; null means all"},
		{Name: "min_category_size_ratio", Type: engine.FloatParam, Default: 0.01, Min: 0, Max: 1, Doc: "share of the train rows below which a category counts as rare; the rare ones count as one category"},
		{Name: "max_num_categories_for_display", Type: engine.IntParam, Default: 10, Min: 1, Max: math.MaxFloat64, Null: true, Doc: "categories to show; null means all"},
		{Name: "show_categories_by", Type: engine.TextParam, Default: string(stats.ByDifference), Allowed: []string{string(stats.ByTrain), string(stats.ByTest), string(stats.ByDifference)}, Doc: "which categories to show"},
		{Name: "numerical_drift_method", Type: engine.TextParam, Default: "KS", Allowed: []string{"KS", "EMD"}, Doc: "how the drift of numbers is measured: Kolmogorov-Smirnov or earth mover's distance"},
		{Name: "categorical_drift_method", Type: engine.TextParam, Default: "cramers_v", Allowed: []string{"cramers_v", "PSI"}, Doc: "how the drift of categories is measured: Cramér's V or population stability index"},
	}
	if balance {
		methods = append(methods, engine.Param{Name: "balance_classes", Type: engine.BoolParam, Default: false, Doc: "weigh all classes alike, so that a change of a rare class counts; for Cramér's V"})
	}
	return append(methods,
		engine.Param{Name: "ignore_na", Type: engine.BoolParam, Default: ignoreNA, Doc: "leave missing categories out rather than count them as one more category"},
		engine.Param{Name: "min_samples", Type: engine.IntParam, Default: 10, Min: 0, Max: math.MaxFloat64, Doc: "fewest values of either side"},
	)
}

// FromArgs reads the parameters that Params declares.
func FromArgs(a engine.Args, mode engine.Mode) (Options, error) {
	o := Options{
		Margin: a.Float("margin_quantile_filter"), MaxCategories: a.Int("max_num_categories_for_drift"), MinCategoryRatio: a.Float("min_category_size_ratio"),
		Sort: stats.ByDifference, Numerical: a.Text("numerical_drift_method"), Categorical: a.Text("categorical_drift_method"),
		Balance: a.Bool("balance_classes"), MinSamples: a.Int("min_samples"), KeepRare: mode != engine.Deepchecks,
	}
	if o.Margin >= 0.5 {
		return o, engine.Errorf(engine.ValueError, "margin_quantile_filter expected a value in range [0, 0.5), instead got %v", o.Margin)
	}
	if o.Balance && o.Categorical == "PSI" {
		return o, engine.Errorf(engine.ValueError, "balance_classes needs the categorical_drift_method cramers_v; PSI has no balanced form")
	}
	return o, nil
}
