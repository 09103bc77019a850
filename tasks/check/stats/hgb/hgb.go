// Package hgb is a binary classifier by gradient boosting over histograms: the
// few shallow trees by which two samples are told apart. It grows the trees
// that scikit-learn's HistGradientBoostingClassifier grows.
package hgb

import (
	"fmt"
	"math"

	"aloft/tasks/check/stats"
)

// Column is one feature.
type Column struct {
	// Values makes the value of every row. Numbers may be NaN, which is a
	// missing value; a category is a whole number from 0 to 254. Columns are
	// made one at a time and not kept: a wide table does not fit in memory as
	// numbers.
	Values      func() []float64
	Categorical bool
}

// Options say how trees are grown.
type Options struct {
	Iterations   int
	MaxDepth     int
	LearningRate float64
	MinLeaf      int // rows
}

// Drift returns the options of the domain classifier by which drift is
// measured.
func Drift() Options {
	return Options{Iterations: 10, MaxDepth: 2, LearningRate: 0.1, MinLeaf: 20}
}

// missingBin is the bin of missing values, and of categories not known.
const missingBin = 255

// maxBins is the most bins a feature has besides that of missing values.
const maxBins = 255

// minHessian is the least sum of second derivatives in a leaf.
const minHessian = 1e-3

// minCategory is the weight a category needs to take part in a split.
const minCategory = 10

// Model is a grown classifier.
type Model struct {
	base     float64
	trees    []*node
	features []feature
}

// feature knows how values of a column fall into bins.
type feature struct {
	categorical bool
	// edges are the upper bounds of bins, the last open; for a category, the
	// known codes.
	edges []float64
	bins  int // without the one of missing values
}

// Binned holds rows as bins, feature by feature.
type Binned struct {
	columns [][]uint8
	rows    int
}

// Fit grows a classifier of rows with truth 0 or 1. Known lists the rows whose
// categories may occur, which may be more than the rows to learn from.
func Fit(columns []Column, truth []float64, learn, known []int32, o Options) (*Model, error) {
	m := &Model{features: make([]feature, len(columns))}
	b := &Binned{columns: make([][]uint8, len(columns)), rows: len(learn)}
	err := stats.Parallel(len(columns), func(f int) {
		values, rows := columns[f].Values(), learn
		if columns[f].Categorical {
			rows = known
		}
		m.features[f] = newFeature(values, rows, columns[f].Categorical)
		b.columns[f] = m.features[f].bin(values, learn)
	})
	if err != nil {
		return nil, fmt.Errorf("put values into bins: %w", err)
	}
	positive := 0.0
	for _, r := range learn {
		positive += truth[r]
	}
	p := positive / float64(len(learn))
	m.base = math.Log(p / (1 - p))
	g := newGrower(m, b, o)
	raw := make([]float64, len(learn))
	for i := range raw {
		raw[i] = m.base
	}
	for range o.Iterations {
		g.derive(raw, truth, learn)
		t, err := g.tree(raw)
		if err != nil {
			return nil, fmt.Errorf("grow tree: %w", err)
		}
		m.trees = append(m.trees, t)
	}
	return m, nil
}

// Bin puts rows to judge into the model's bins, as far as its trees ask for
// them.
func (m *Model) Bin(columns []Column, rows []int32) (*Binned, error) {
	b := &Binned{columns: make([][]uint8, len(columns)), rows: len(rows)}
	err := stats.Parallel(len(columns), func(f int) {
		if m.asks(f) {
			b.columns[f] = m.features[f].bin(columns[f].Values(), rows)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("put values into bins: %w", err)
	}
	return b, nil
}

// Raw returns each row's log odds of being 1.
func (m *Model) Raw(b *Binned) []float64 {
	out := make([]float64, b.rows)
	for i := range out {
		out[i] = m.base
	}
	for _, t := range m.trees {
		for i := range out {
			out[i] += t.value(b, i, -1, 0)
		}
	}
	return out
}
