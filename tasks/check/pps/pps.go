// Package pps computes the predictive power score: how well one column alone
// predicts another, from 0 (no better than guessing) to 1 (perfectly), found by
// cross-validation of a decision tree. It is that of the ppscore library, to
// the rows that are drawn and the cuts that are made.
package pps

import (
	"cmp"
	"context"
	"math"
	"slices"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/frame"
	"aloft/tasks/check/stats"
)

// Formula describes the score in the reference of the checks that use it.
const Formula = "The predictive power score of a column is found on at most 5,000 rows without missing values by 4-fold cross-validation of a " +
	"decision tree (unlimited depth) that knows the column alone. Classes: `(F1 − b) / (1 − b)`, with `F1` the mean weighted F1 score " +
	"and `b` the better one of always guessing the most frequent class and guessing at random. Numbers: `1 − MAE / b`, with `b` the " +
	"mean distance from the median. It is 0 where the tree is no better than `b`, for text of which every value is distinct, and for constant labels."

// Options are the parameters of the score. They are comparable.
type Options struct {
	// Sample is the number of rows looked at, at most; 0 is all.
	Sample int
	// Folds is the number of folds of the cross-validation.
	Folds int
	Seed  uint32
	// Invalid is the score of columns for which there is none.
	Invalid float64
}

// Defaults returns the options that hold unless others are given.
func Defaults(seed uint32) Options { return Options{Sample: 5000, Folds: 4, Seed: seed} }

// Score is how well a column predicts the label.
type Score struct {
	Column string
	PPS    float64
}

// Request says which scores are wanted.
type Request struct {
	Side    *engine.Side
	Columns []string
	// Rows are the rows to draw from, in order, and Args the arguments by
	// which Side.Sample chose them.
	Rows    []int32
	Args    engine.Args
	Options Options
	// Drawn is how many trees have drawn from the generator before, in mode
	// Deepchecks: there all trees of a check share one, and which of two
	// equal cuts a tree makes depends on those before it.
	Drawn int
}

// sample identifies the rows of a request.
type sample struct {
	which engine.Which
	rows  any
	seed  int
	o     Options
}

type taskKey struct {
	sample
	column string
}

type scoreKey struct {
	taskKey
	drawn int
}

// Of scores the columns against the label of the side, best first. Equal
// scores keep the order of the columns. It also returns how many trees have
// drawn from the generator. Scores are shared by the checks of a run.
func Of(ctx context.Context, c *engine.Context, r Request) ([]Score, int, error) {
	label, err := r.Side.Label()
	if err != nil {
		return nil, 0, err
	}
	s := sample{r.Side.Which, r.Args["n_samples"], r.Args.Int("random_state"), r.Options}
	t := target{c: c, label: label, sample: s, rows: r.Rows}
	out := make([]Score, len(r.Columns))
	tasks := make([]*task, len(r.Columns))
	drawn := make([]int, len(r.Columns))
	total := r.Drawn
	err = each(ctx, len(r.Columns), func(i int) error {
		out[i].Column = r.Columns[i]
		column := r.Side.Data.Column(r.Columns[i])
		var err error
		tasks[i], err = engine.Memo(c, taskKey{s, r.Columns[i]}, func() (*task, error) {
			return t.task(column)
		})
		return err
	})
	if err != nil {
		return nil, 0, err
	}
	for i, t := range tasks {
		if t.features == nil && t.categories == nil {
			continue
		}
		if t.categories != nil && c.Mode() == engine.Deepchecks {
			drawn[i] = total
		}
		total += r.Options.Folds
	}
	err = each(ctx, len(r.Columns), func(i int) error {
		var err error
		out[i].PPS, err = engine.Memo(c, scoreKey{taskKey{s, r.Columns[i]}, drawn[i]}, func() (float64, error) {
			return tasks[i].score(r.Options, drawn[i]), nil
		})
		return err
	})
	if err != nil {
		return nil, 0, err
	}
	slices.SortStableFunc(out, func(a, b Score) int { return cmp.Compare(b.PPS, a.PPS) })
	return out, total, nil
}

// each runs f for 0 to n-1 on all processors, unless the context ends.
func each(ctx context.Context, n int, f func(int) error) error {
	errs := make([]error, n+1)
	errs[n] = stats.Parallel(n, func(i int) {
		if errs[i] = ctx.Err(); errs[i] == nil {
			errs[i] = f(i)
		}
	})
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// weightedF1 is the F1 score of each class weighted by its rows, rounded as
// scikit-learn rounds it: a score may be the small difference of two of them.
func weightedF1(truth, predicted []int32, k int) float64 {
	sum, rows := 0.0, 0.0
	for _, t := range stats.Tallies(truth, predicted, k) {
		p, r := t.Precision(), t.Recall()
		if p+r > 0 {
			sum += 2 * p * r / (p + r) * float64(t.Support())
		}
		rows += float64(t.Support())
	}
	return sum / rows
}

// meanDistance is the mean of |y − p|.
func meanDistance(y, p []float64) float64 {
	sum := 0.0
	for i := range y {
		sum += math.Abs(y[i] - p[i])
	}
	return sum / float64(len(y))
}

// isText reports whether the values of a column count as categories. Numbers
// do not, though the column be declared categorical.
func isText(c *frame.Column) bool { return c.Kind() == frame.Text || c.Kind() == frame.Bool }
