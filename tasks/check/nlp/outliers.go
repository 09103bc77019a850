package nlp

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

func propertyOutliers() *engine.Definition {
	return &engine.Definition{
		ID:      "TextPropertyOutliers",
		Summary: "Finds texts whose properties, such as their length, lie far from those of the others: empty texts, pasted logs, another language.",
		Formula: "Of each property that is a number, `limits = Q1 − iqr_scale·(Q3 − Q1)` and `Q3 + iqr_scale·(Q3 − Q1)` with the percentiles `iqr_percentiles`; where these coincide, of the distance to the nearest other value. What lies outside is an outlier. Of categories, those with at most the share at which shares fall off by sharp_drop_ratio, once 95 % of the texts are covered.",
		Differs: "outliers of equal values come in the order of the texts; there, an unstable sort decides.",
		Scope:   engine.SingleDataset,
		Params: slices.Concat([]engine.Param{
			count("n_show_top", 5, "outliers to show at either end"),
			{Name: "iqr_percentiles", Type: engine.NumbersParam, Default: []any{25, 75}, Doc: "the two percentiles, from 0 to 100"},
			{Name: "iqr_scale", Type: engine.FloatParam, Default: 2.0, Min: 1, Max: math.MaxFloat64, Doc: "how many times their distance is not yet an outlier"},
			{Name: "sharp_drop_ratio", Type: engine.FloatParam, Default: 0.9, Min: 0, Max: 1, Doc: "drop between the shares of two categories from which the rarer ones are outliers"},
			count("min_samples", 10, "fewest values of a property"),
		}, properties().params(), sampleParams(manyTexts)),
		Conditions: []engine.ConditionDef{{
			ID: "outlier_ratio_less_or_equal",
			Params: []engine.Param{
				fraction("max_outliers_ratio", 0.05, "largest share of outliers that passes"),
				{Name: "properties_to_ignore", Type: engine.TextsParam, Doc: "properties not to judge"},
			},
			New: fewOutliers,
		}},
		Defaults: []engine.Use{{ID: "outlier_ratio_less_or_equal"}},
		New: func(a engine.Args, m engine.Mode) (engine.Check, error) {
			p := a.Numbers("iqr_percentiles")
			if len(p) != 2 || p[0] < 0 || p[1] > 100 || p[0] >= p[1] || p[1] < 1 {
				return nil, engine.Errorf(engine.ValueError, "IQR range must contain two numbers between 0 to 100")
			}
			return outliers{a, m, p[0], p[1]}, nil
		},
	}
}

type outliers struct {
	args   engine.Args
	mode   engine.Mode
	lo, hi float64
}

// Outlying is what was found of one property.
type Outlying struct {
	Property string
	Rows     []int32
	// Low and High are the limits of numbers; of categories, Low is the share
	// up to which they are outliers and High is NaN.
	Low, High float64
	Ratio     float64
	// Why tells why there is no result, "" for one.
	Why string
}

// Outliers is the value of TextPropertyOutliers.
type Outliers []Outlying

// Encode returns outliers and limits by property.
func (v Outliers) Encode() any {
	out := make(engine.Object, len(v))
	for i, o := range v {
		out[i].Key = o.Property
		if o.Why != "" {
			out[i].Value = o.Why
			continue
		}
		rows := make([]any, len(o.Rows))
		for k, r := range o.Rows {
			rows[k] = int(r)
		}
		limit := func(f float64) any {
			if math.IsNaN(f) {
				return nil
			}
			return f
		}
		out[i].Value = engine.Object{{Key: "indices", Value: rows}, {Key: "lower_limit", Value: limit(o.Low)}, {Key: "upper_limit", Value: limit(o.High)}, {Key: "outlier_ratio", Value: o.Ratio}}
	}
	return out
}

func (outliers) ID() string { return "TextPropertyOutliers" }

const tooFewValues = "Not enough non-null samples to calculate outliers."

func (o outliers) Run(_ context.Context, c *engine.Context) (engine.Result, error) {
	side := c.Side()
	names, err := properties().choose(c, side, o.args)
	if err != nil {
		return engine.Result{}, err
	}
	rows := side.TextRows(o.args)
	var value Outliers
	var reduced engine.Object
	var displays []engine.Display
	for _, name := range names {
		col := side.Texts.Properties.Table.Column(name)
		var found Outlying
		if slices.Contains(side.Texts.Properties.Categorical, name) {
			found = o.categories(col, rows)
		} else {
			var shown engine.Display
			found, shown = o.numbers(col, rows)
			if shown != nil {
				displays = append(displays, shown)
			}
		}
		found.Property = name
		value = append(value, found)
		if found.Why == "" {
			reduced = append(reduced, engine.Field{Key: name, Value: found.Ratio})
			if t := o.table(c, col, found); t != nil {
				displays = append(displays, t)
			}
		}
	}
	if o.mode == engine.Deepchecks {
		reduced = nil // there, it has none
	}
	return engine.Result{Value: value, Reduced: reduced, Displays: displays}, nil
}

// numbers finds the outliers of a property that is a number.
func (o outliers) numbers(col *frame.Column, rows []int32) (Outlying, engine.Display) {
	if !col.Kind().Numeric() {
		return Outlying{Why: "The property holds texts that are no categories: outliers are not defined."}, nil
	}
	var at []int32
	var values, finite []float64
	for _, r := range rows {
		v := col.Float(int(r))
		if math.IsNaN(v) {
			continue
		}
		at, values = append(at, r), append(values, v)
		if !math.IsInf(v, 0) { // what is infinite is an outlier whatever the others are
			finite = append(finite, v)
		}
	}
	if len(values) < max(o.args.Int("min_samples"), 1) || len(finite) == 0 {
		return Outlying{Why: tooFewValues}, nil
	}
	stats.SortFloats(finite)
	low, high := stats.IQRLimits(finite, o.lo, o.hi, o.args.Float("iqr_scale"), o.args.Float("sharp_drop_ratio"))
	out := Outlying{Low: max(low, finite[0]), High: min(high, finite[len(finite)-1])}
	var below, above []float64
	var under, over []int32
	for i, v := range values {
		switch {
		case v < low:
			under, below = append(under, at[i]), append(below, v)
		case v > high:
			over, above = append(over, at[i]), append(above, v)
		}
	}
	out.Rows = slices.Concat(o.sorted(under, below), o.sorted(over, above))
	out.Ratio = float64(len(out.Rows)) / float64(len(values))
	if len(out.Rows) == 0 {
		return out, nil
	}
	return out, histogram(col.Name(), finite, out)
}

// sorted puts rows into the ascending order of their values.
func (o outliers) sorted(rows []int32, values []float64) []int32 {
	var order []int32
	if o.mode == engine.Deepchecks {
		order = rising(values)
	} else {
		order = make([]int32, len(rows))
		for i := range order {
			order[i] = int32(i)
		}
		slices.SortStableFunc(order, func(a, b int32) int { return cmp.Compare(values[a], values[b]) })
	}
	out := make([]int32, len(rows))
	for i, k := range order {
		out[i] = rows[k]
	}
	return out
}

// categories finds the outliers of a property that is a category.
func (o outliers) categories(col *frame.Column, rows []int32) Outlying {
	counts := make(map[uint64]int)
	n := 0
	for _, r := range rows {
		if !col.IsNull(int(r)) {
			counts[col.Bits(int(r))]++
			n++
		}
	}
	if n < max(o.args.Int("min_samples"), 1) {
		return Outlying{Why: tooFewValues}
	}
	var shares []float64
	for _, k := range counts {
		shares = append(shares, float64(k)/float64(n))
	}
	limit, ok := stats.SharpDrop(shares, o.args.Float("sharp_drop_ratio"))
	out := Outlying{Low: math.NaN(), High: math.NaN()}
	if !ok {
		return out
	}
	out.Low = limit
	for _, r := range rows {
		if !col.IsNull(int(r)) && float64(counts[col.Bits(int(r))])/float64(n) <= limit {
			out.Rows = append(out.Rows, r)
		}
	}
	out.Ratio = float64(len(out.Rows)) / float64(n)
	return out
}

// histogram draws the values with their limits.
func histogram(name string, sorted []float64, o Outlying) engine.Display {
	const bins = 30
	low, high := sorted[0], sorted[len(sorted)-1]
	if low == high {
		return engine.Note{Text: fmt.Sprintf("%s: all finite values are %s.", name, format.Number(low))}
	}
	h := engine.Histogram{Title: name + ": values and limits", XName: name, Series: []string{"texts"}, Shares: [][]float64{make([]float64, bins)}, Marks: []float64{o.Low, o.High}, MarkNames: []string{"lower limit", "upper limit"}}
	for i := range bins + 1 {
		h.Edges = append(h.Edges, low+(high-low)*float64(i)/bins)
	}
	for _, v := range sorted {
		h.Shares[0][min(int((v-low)/(high-low)*bins), bins-1)] += 1 / float64(len(sorted))
	}
	return h
}

// table shows the outliers at both ends.
func (o outliers) table(c *engine.Context, col *frame.Column, found Outlying) engine.Display {
	n := o.args.Int("n_show_top")
	rows := found.Rows
	if len(rows) > 2*n {
		rows = slices.Concat(rows[:n], rows[len(rows)-n:])
	}
	if len(rows) == 0 {
		return nil
	}
	g := engine.Grid{Columns: []string{"Row", col.Name(), "Text"}}
	for _, r := range rows {
		g.Rows = append(g.Rows, []any{int(r), col.Value(int(r)).String(), excerpt(c.Side().Texts.Texts[r], keptText)})
	}
	return engine.TableView{Title: "Outliers of " + col.Name(), Grid: g}
}

func fewOutliers(r engine.Request) (engine.Condition, error) {
	limit, ignored := r.Args.Float("max_outliers_ratio"), r.Args.Texts("properties_to_ignore")
	newline := "\n"
	if r.Mode == engine.Deepchecks {
		newline = "</br>"
	}
	return engine.Condition{
		Name: fmt.Sprintf("Outlier ratio in all properties is less or equal than %s", format.Percent(limit)),
		Judge: engine.Judge(func(v Outliers) (engine.Verdict, string, error) {
			failed, worst := 0, -1
			for i, o := range v {
				if o.Why != "" || slices.Contains(ignored, o.Property) {
					continue
				}
				if o.Ratio > limit {
					failed++
				}
				if worst < 0 || o.Ratio > v[worst].Ratio {
					worst = i
				}
			}
			switch {
			case worst < 0:
				return engine.Pass, "No property has enough values to have outliers", nil
			case failed > 0:
				return engine.Fail, fmt.Sprintf("Found %d properties with outlier ratios above threshold.%sProperty with highest ratio is %s with outlier ratio of %s",
					failed, newline, v[worst].Property, format.Percent(v[worst].Ratio)), nil
			}
			return engine.Pass, fmt.Sprintf("Property with highest ratio is %s with outlier ratio of %s", v[worst].Property, format.Percent(v[worst].Ratio)), nil
		}),
	}, nil
}
