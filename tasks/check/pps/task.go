package pps

import (
	"math"
	"slices"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/frame"
	"aloft/tasks/check/stats"
	"aloft/tasks/check/stats/tree"
)

// target prepares the tasks of one label.
type target struct {
	c      *engine.Context
	label  *frame.Column
	sample sample
	rows   []int32
}

// split is the rows of a task in the order of the folds, with the label.
type split struct {
	// fixed is the score where there is nothing to predict; else NaN.
	fixed    float64
	rows     []int32
	classes  []int32 // of a classification, numbered in ascending order
	k        int
	values   []float64 // of a regression
	baseline float64
	train    [][]int32 // positions in rows, by fold
	test     [][]int32
}

// task is a column to be scored.
type task struct {
	fixed      float64 // the score, when it has neither numbers nor categories
	split      *split
	features   []float32 // by position, or
	categories []int32
	k          int
}

// task prepares a column.
func (t target) task(column *frame.Column) (*task, error) {
	if !column.HasNulls() { // all such columns share their rows
		s, err := engine.Memo(t.c, t.sample, func() (*split, error) {
			return t.split(t.present(nil)), nil
		})
		if err != nil {
			return nil, err
		}
		return t.taskOf(s, column), nil
	}
	return t.taskOf(t.split(t.present(column)), column), nil
}

// present lists the rows in which label and column are present.
func (t target) present(column *frame.Column) []int32 {
	if column == nil && !t.label.HasNulls() {
		return t.rows
	}
	rows := make([]int32, 0, len(t.rows))
	for _, r := range t.rows {
		if !t.label.IsNull(int(r)) && (column == nil || !column.IsNull(int(r))) {
			rows = append(rows, r)
		}
	}
	return rows
}

func (t target) taskOf(s *split, column *frame.Column) *task {
	if len(s.rows) == 0 {
		return &task{fixed: s.fixed}
	}
	out := &task{split: s}
	if isText(column) {
		out.categories, out.k = numbered(column, s.rows)
		if out.k == len(s.rows) {
			return &task{} // the column is an identifier
		}
	} else {
		out.features = make([]float32, len(s.rows))
		for i, r := range s.rows {
			out.features[i] = number(column, int(r))
			if math.IsInf(float64(out.features[i]), 0) && math.IsNaN(s.fixed) {
				return &task{fixed: t.sample.o.Invalid} // no tree takes it
			}
		}
	}
	if !math.IsNaN(s.fixed) {
		return &task{fixed: s.fixed}
	}
	return out
}

// number returns a cell as trees see it; times count nanoseconds.
func number(c *frame.Column, row int) float32 {
	if c.Kind() == frame.Float {
		return float32(c.Float(row))
	}
	return float32(int64(c.Bits(row)))
}

// numbered numbers the distinct values of the rows in ascending order.
func numbered(c *frame.Column, rows []int32) (codes []int32, k int) {
	codes = make([]int32, len(rows))
	seen := make(map[uint64]int32)
	var levels []frame.Value
	for i, r := range rows {
		b := c.Bits(int(r))
		code, ok := seen[b]
		if !ok {
			code = int32(len(levels))
			seen[b] = code
			levels = append(levels, c.FromBits(b))
		}
		codes[i] = code
	}
	order := make([]int32, len(levels))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortFunc(order, func(a, b int32) int { return frame.Compare(levels[a], levels[b]) })
	place := make([]int32, len(levels))
	for i, code := range order {
		place[code] = int32(i)
	}
	for i, code := range codes {
		codes[i] = place[code]
	}
	return codes, len(levels)
}

// split draws the rows, sets the baseline and deals the folds.
func (t target) split(rows []int32) *split {
	o := t.sample.o
	if o.Sample > 0 && len(rows) > o.Sample {
		drawn := stats.Sample(len(rows), o.Sample, o.Seed)
		for i, at := range drawn {
			drawn[i] = rows[at]
		}
		rows = drawn
	}
	n := len(rows)
	s := &split{fixed: o.Invalid}
	if n == 0 {
		return s
	}
	shuffle := stats.Permutation(n, o.Seed)
	s.rows = make([]int32, n)
	for i, at := range shuffle {
		s.rows[i] = rows[at]
	}
	codes, k := numbered(t.label, s.rows)
	classify := t.c.Task() == engine.Binary || t.c.Task() == engine.Multiclass || isText(t.label)
	switch {
	case k == 1 || classify && k == n:
		s.fixed = 0
		return s
	case t.label.Kind() == frame.Time && !classify || n < o.Folds:
		return s
	}
	var folds []int32
	if classify {
		s.classes, s.k = codes, k
		s.baseline = s.guessed(shuffle)
		folds = stats.StratifiedFolds(codes, o.Folds)
	} else {
		s.values = make([]float64, n)
		for i, r := range s.rows {
			s.values[i] = t.label.Float(int(r))
			if math.IsInf(s.values[i], 0) {
				return s
			}
		}
		s.baseline = s.median()
		folds = stats.Folds(n, o.Folds)
	}
	if folds == nil {
		return s
	}
	s.fixed = math.NaN()
	s.train, s.test = make([][]int32, o.Folds), make([][]int32, o.Folds)
	for i, f := range folds {
		for k := range s.train {
			if int32(k) == f {
				s.test[k] = append(s.test[k], int32(i))
			} else {
				s.train[k] = append(s.train[k], int32(i))
			}
		}
	}
	return s
}

// guessed is the better F1 score of always guessing the most frequent class
// and of the labels in random order.
func (s *split) guessed(shuffle []int32) float64 {
	counts := make([]int, s.k)
	for _, c := range s.classes {
		counts[c]++
	}
	common := int32(0)
	for c, n := range counts {
		if n > counts[common] {
			common = int32(c)
		}
	}
	// Rows are in the shuffled order: put the labels back in the order drawn.
	n := len(s.classes)
	drawn, most := make([]int32, n), make([]int32, n)
	for i, at := range shuffle {
		drawn[at] = s.classes[i]
	}
	for i := range most {
		most[i] = common
	}
	return max(weightedF1(drawn, most, s.k), weightedF1(drawn, s.classes, s.k))
}

// median is the mean distance of the values from their median.
func (s *split) median() float64 {
	sorted := slices.Sorted(slices.Values(s.values))
	n := len(sorted)
	middle := (sorted[(n-1)/2] + sorted[n/2]) / 2
	guess := make([]float64, n)
	for i := range guess {
		guess[i] = middle
	}
	return meanDistance(s.values, guess)
}

// score is the normalised mean of the folds' scores.
func (t *task) score(o Options, drawn int) float64 {
	if t.features == nil && t.categories == nil {
		return t.fixed
	}
	random := stats.NewRandom(o.Seed)
	for range drawn {
		random.TreeSeed()
	}
	s := t.split
	y := tree.Numbers(s.values)
	grow := tree.Options{Criterion: tree.SquaredError}
	if s.classes != nil {
		y, grow.Criterion = tree.Classes(s.classes, s.k), tree.Gini
	}
	var numeric []*tree.Feature
	if t.features != nil {
		numeric = []*tree.Feature{tree.NewFeature(t.features)}
	}
	var fitter tree.Fitter
	sum := 0.0
	for k, train := range s.train {
		var predict func(i int32) float64
		var fitted *tree.Tree
		if numeric != nil {
			fitted = fitter.Fit(numeric, y, train, grow)
			predict = func(i int32) float64 { return fitted.Predict(numeric, i) }
		} else {
			seed := random.TreeSeed()
			grow.Shuffle = &seed
			byCategory := tree.FitOneHot(t.categories, t.k, y, train, grow)
			predict = func(i int32) float64 { return byCategory.Predict(t.categories[i]) }
		}
		sum += s.judge(s.test[k], predict)
		if fitted != nil {
			fitter.Recycle(fitted)
		}
	}
	mean := sum / float64(len(s.train))
	switch {
	case s.classes != nil && mean < s.baseline, s.classes == nil && mean > s.baseline:
		return 0
	case s.classes != nil:
		return (mean - s.baseline) / (1 - s.baseline)
	default:
		return 1 - mean/s.baseline
	}
}

// judge is the weighted F1 score of the predictions of some rows, or their
// mean distance from the truth.
func (s *split) judge(rows []int32, predict func(int32) float64) float64 {
	if s.classes != nil {
		truth, predicted := make([]int32, len(rows)), make([]int32, len(rows))
		for i, at := range rows {
			truth[i], predicted[i] = s.classes[at], int32(predict(at))
		}
		return weightedF1(truth, predicted, s.k)
	}
	truth, predicted := make([]float64, len(rows)), make([]float64, len(rows))
	for i, at := range rows {
		truth[i], predicted[i] = s.values[at], predict(at)
	}
	return meanDistance(truth, predicted)
}
