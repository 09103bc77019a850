package model

import (
	"cmp"
	"context"
	"math"
	"slices"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/format"
	"aloft/tasks/check/frame"
	"aloft/tasks/check/stats"
	"aloft/tasks/check/stats/tree"
)

// weakFeature is a feature as the search sees it: numbers, or the rank of
// each category.
type weakFeature struct {
	name        string
	categorical bool
	values      []float64 // by row of the sample; NaN for nulls of numbers
	sorted      *tree.Feature
	nulls       bool
	infinite    bool
	// categories in the order of their ranks, with the rank of each.
	categories []frame.Value
	ranks      []int
}

// measure scores a set of rows.
type measure struct {
	shown string
	// each and fold make the score of rows as fold(mean(each)).
	each []float64
	fold func(mean float64) float64
	// general is used instead where no mean of rows gives the score.
	general func(rows []int32) float64
}

// all scores rows.
func (m measure) all(rows []int32) float64 {
	if m.general != nil {
		return m.general(rows)
	}
	values := make([]float64, len(rows))
	for i, r := range rows {
		values[i] = m.each[r]
	}
	return m.fold(mean(values))
}

// weakData is the sample that the search looks at. Rows are numbered as in
// the sample.
type weakData struct {
	ids      []int   // row numbers of the table
	rows     []int32 // all rows
	score    []float64
	target   []float64 // what categories are ranked by
	measure  measure
	features []*weakFeature
	minShare float64
	seed     uint32
}

func (w weakCheck) prepare(ctx context.Context, c *engine.Context) (*weakData, error) {
	side := c.Side()
	names, err := w.features(ctx, c)
	if err != nil {
		return nil, err
	}
	e, err := w.evaluate(c)
	if err != nil {
		return nil, err
	}
	d := &weakData{minShare: w.args.Float("segment_minimum_size_ratio"), seed: stats.NewRandom(uint32(w.args.Int("random_state"))).TreeSeed()}
	for i, r := range e.rowIDs {
		d.ids, d.rows = append(d.ids, side.Row(r)), append(d.rows, int32(i))
	}
	if err := w.scores(c, d, e); err != nil {
		return nil, err
	}
	d.target = e.targets()
	categorical := side.Data.CategoricalFeatures()
	for _, name := range names {
		col := side.Data.Column(name)
		f := &weakFeature{name: name, categorical: slices.Contains(categorical, name)}
		if f.categorical {
			d.rank(f, col, e.rowIDs, w.args.Float("categorical_aggregation_threshold"))
		} else {
			f.numbers(col, e.rowIDs)
		}
		f.sort()
		d.features = append(d.features, f)
	}
	return d, nil
}

// features lists the features to pair: by falling importance, or categorical
// ones first.
func (w weakCheck) features(ctx context.Context, c *engine.Context) ([]string, error) {
	data := c.Side().Data
	all, err := c.Side().Features()
	if err != nil {
		return nil, err
	}
	columns, err := c.Side().Columns(w.args, all)
	if err != nil {
		return nil, err
	}
	numerical := data.NumericalFeatures()
	var names []string
	for _, wanted := range [][]string{data.CategoricalFeatures(), numerical} {
		for _, col := range columns {
			if slices.Contains(wanted, col.Name()) && !slices.Contains(names, col.Name()) {
				names = append(names, col.Name())
			}
		}
	}
	if len(names) < 2 {
		return nil, engine.Errorf(engine.NotSupported, "Check requires data to have at least two columns in order to run.")
	}
	importance, err := c.Importance(ctx)
	if err != nil {
		return nil, err
	}
	if importance != nil {
		inOrder := slices.DeleteFunc(slices.Clone(all), func(n string) bool { return !slices.Contains(names, n) })
		names = importance.Order(inOrder)
	}
	return names[:min(len(names), w.args.Int("n_top_features"))], nil
}

// evaluate reads labels and predictions; a column of scores needs neither
// probabilities nor known classes.
func (w weakCheck) evaluate(c *engine.Context) (*evaluation, error) {
	e, err := evaluate(c, c.Side(), w.args)
	if err != nil || e.y != nil || !w.args.IsNull("score_per_sample") {
		return e, err
	}
	if e.proba == nil {
		return nil, engine.Errorf(engine.ModelValidation, "the %s predictions do not hold one probability for each class of the model", c.Side().Which)
	}
	for _, t := range e.truth {
		if int(t) >= e.known {
			var present []string
			for _, k := range e.present() {
				present = append(present, e.classes[k].Repr())
			}
			known := make([]string, e.known)
			for k, v := range e.classes[:e.known] {
				known[k] = v.Repr()
			}
			return nil, engine.Errorf(engine.ValueError, "Label observed values %s contain values that are not found in the model classes: %s.", format.List(present), format.List(known))
		}
	}
	return e, nil
}

// scores fills in each row's score, which the trees learn, and the measure by
// which segments are judged.
func (w weakCheck) scores(c *engine.Context, d *weakData, e *evaluation) error {
	n := len(d.rows)
	same := func(mean float64) float64 { return mean }
	if name := w.args.Text("score_per_sample"); name != "" {
		col, err := c.Side().Data.Lookup(name)
		if err != nil || !col.Kind().Numeric() {
			return engine.Errorf(engine.ValueError, "score_per_sample must name a column of numbers, not %q", name)
		}
		for _, r := range e.rowIDs {
			v := col.Float(int(r))
			if math.IsNaN(v) {
				return engine.Errorf(engine.ValueError, "the column %q, which is to be score_per_sample, has missing cells", name)
			}
			d.score = append(d.score, v)
		}
		d.measure = measure{shown: "Average Score Per Sample", each: d.score, fold: same}
		return nil
	}
	d.score = make([]float64, n)
	if e.y != nil {
		squares := make([]float64, n)
		for i := range n {
			diff := e.y[i] - e.p[i]
			squares[i] = diff * diff
			d.score[i] = -squares[i]
		}
		d.measure = measure{shown: "Neg RMSE Score", each: squares, fold: func(mean float64) float64 { return -math.Sqrt(mean) }}
	} else {
		right := make([]float64, n)
		for i, t := range e.truth {
			d.score[i] = math.Log(e.proba[t][i] + 1e-15)
			if t == e.predicted[i] {
				right[i] = 1
			}
		}
		d.measure = measure{shown: "Accuracy Score", each: right, fold: same}
	}
	given := w.args.Names("alternative_scorer")
	if len(given) == 0 {
		return nil
	}
	sc, err := chosenScorer(given, c.Task(), w.mode)
	if err != nil {
		return err
	}
	if err := sc.ready(e, c.Side().Which); err != nil {
		return err
	}
	d.measure = measure{shown: sc.shown + " Score", general: func(rows []int32) float64 { return sc.score(e.take(rows))[0] }}
	return nil
}

// take returns the evaluation of some of the rows.
func (e *evaluation) take(rows []int32) *evaluation {
	out := *e
	out.rowIDs = pick(e.rowIDs, rows)
	out.truth, out.predicted, out.y, out.p = pick(e.truth, rows), pick(e.predicted, rows), pick(e.y, rows), pick(e.p, rows)
	if e.proba != nil {
		out.proba = make([][]float64, len(e.proba))
		for k := range out.proba {
			out.proba[k] = pick(e.proba[k], rows)
		}
	}
	return &out
}

func pick[T any](values []T, rows []int32) []T {
	if values == nil {
		return nil
	}
	out := make([]T, len(rows))
	for i, r := range rows {
		out[i] = values[r]
	}
	return out
}

// targets are the numbers by whose means categories are ranked: the number of
// the class, or of a regression the tenth of its range that the label is in.
func (e *evaluation) targets() []float64 {
	if e.y != nil {
		return tenths(e.y)
	}
	place := make([]float64, len(e.classes))
	for i, k := range e.present() {
		place[k] = float64(i)
	}
	out := make([]float64, len(e.truth))
	for i, t := range e.truth {
		out[i] = place[t]
	}
	return out
}

// tenths cuts numbers into ten bins of equal width, closed on the right.
func tenths(y []float64) []float64 {
	const bins = 10
	lo, hi := slices.Min(y), slices.Max(y)
	if lo == hi {
		pad := 0.001
		if lo != 0 {
			pad *= math.Abs(lo)
		}
		lo, hi = lo-pad, hi+pad
	}
	edges := make([]float64, bins+1)
	step := (hi - lo) / bins
	for i := range edges {
		edges[i] = lo + float64(i)*step
	}
	edges[bins] = hi
	out := make([]float64, len(y))
	for i, v := range y {
		at, _ := slices.BinarySearch(edges, v)
		out[i] = float64(max(at-1, 0))
	}
	return out
}

// numbers reads a numerical feature.
func (f *weakFeature) numbers(col *frame.Column, rows []int32) {
	f.values = make([]float64, len(rows))
	text := col.Kind() == frame.Text
	for i, r := range rows {
		v := col.Float(int(r))
		if text && !col.IsNull(int(r)) {
			if n, err := frame.Convert(col.Value(int(r)).String(), frame.Float); err == nil {
				v, _ = n.Number()
			}
		}
		f.values[i] = v
		f.nulls = f.nulls || math.IsNaN(v)
		f.infinite = f.infinite || math.Abs(v) > math.MaxFloat32
	}
}

// sort prepares the feature for trees; nulls stand as zeros and are left out
// of the rows.
func (f *weakFeature) sort() {
	narrow := make([]float32, len(f.values))
	for i, v := range f.values {
		if !math.IsNaN(v) && math.Abs(v) <= math.MaxFloat32 {
			narrow[i] = float32(v)
		}
	}
	f.sorted = tree.NewFeature(narrow)
}

// rank reads a categorical feature: rare categories become one, and each is
// numbered by the rank of its target encoding.
func (d *weakData) rank(f *weakFeature, col *frame.Column, rows []int32, rare float64) {
	codes, levels := categories(col, rows)
	n := len(rows)
	counts := make([]int, len(levels))
	for _, k := range codes {
		counts[k]++
	}
	other := slices.IndexFunc(levels, func(v frame.Value) bool { return v == frame.TextValue("Other") })
	merged := make([]int, len(levels))
	for k := range levels {
		merged[k] = k
		if float64(counts[k])/float64(n) < rare {
			if other < 0 {
				other = len(levels)
				levels = append(levels, frame.TextValue("Other"))
			}
			merged[k] = other
		}
	}
	sums, sizes, prior := make([]float64, len(levels)), make([]float64, len(levels)), mean(d.target)
	for i, k := range codes {
		codes[i] = int32(merged[k])
		sums[codes[i]] += d.target[i]
		sizes[codes[i]]++
	}
	type encoded struct {
		level int
		value float64
	}
	var list []encoded
	for k := range levels {
		if sizes[k] == 0 {
			continue
		}
		weight := 1 / (1 + math.Exp(-(sizes[k]-20)/10))
		list = append(list, encoded{k, prior*(1-weight) + sums[k]/sizes[k]*weight})
	}
	slices.SortStableFunc(list, func(a, b encoded) int { return cmp.Compare(a.value, b.value) })
	number, rank := make([]float64, len(levels)), -1
	for i, x := range list {
		if i == 0 || x.value != list[i-1].value {
			rank++
		}
		number[x.level] = float64(rank)
		f.categories, f.ranks = append(f.categories, levels[x.level]), append(f.ranks, rank)
	}
	f.values = make([]float64, n)
	for i, k := range codes {
		f.values[i] = number[k]
	}
}

// categories numbers the values of the rows in the order of first appearance;
// nulls are the category "None", or the most frequent one where that is taken.
func categories(col *frame.Column, rows []int32) (codes []int32, levels []frame.Value) {
	byBits := make(map[uint64]int32)
	codes = make([]int32, len(rows))
	nulls := false
	for i, r := range rows {
		if col.IsNull(int(r)) {
			codes[i], nulls = -1, true
			continue
		}
		b := col.Bits(int(r))
		k, ok := byBits[b]
		if !ok {
			k = int32(len(levels))
			byBits[b] = k
			levels = append(levels, col.FromBits(b))
		}
		codes[i] = k
	}
	if !nulls {
		return codes, levels
	}
	fill := int32(len(levels))
	if slices.Contains(levels, frame.TextValue("None")) {
		fill = mode(codes, levels)
	} else {
		levels = append(levels, frame.TextValue("None"))
	}
	for i, k := range codes {
		if k < 0 {
			codes[i] = fill
		}
	}
	return codes, levels
}

// mode returns the most frequent level, the smallest of equals.
func mode(codes []int32, levels []frame.Value) int32 {
	counts := make([]int, len(levels))
	for _, k := range codes {
		if k >= 0 {
			counts[k]++
		}
	}
	best := 0
	for k := range levels {
		if counts[k] > counts[best] || counts[k] == counts[best] && frame.Compare(levels[k], levels[best]) < 0 {
			best = k
		}
	}
	return int32(best)
}
