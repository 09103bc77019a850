package hgb

import (
	"fmt"
	"math"

	"aloft/tasks/check/stats"
)

// node is a division of rows, or a leaf.
type node struct {
	feature     int // -1 in leaves
	bin         uint8
	categorical bool
	set         [4]uint64
	missingLeft bool
	l, r        *node
	leaf        float64
}

// left tells on which side a bin goes.
func (n *node) left(bin uint8) bool {
	if bin == missingBin {
		return n.missingLeft
	}
	if n.categorical {
		return n.set[bin>>6]>>(bin&63)&1 == 1
	}
	return bin <= n.bin
}

// value finds the leaf of a row; the bin of the feature changed is given apart.
func (n *node) value(b *Binned, row, changed int, bin uint8) float64 {
	for n.feature >= 0 {
		k := bin
		if n.feature != changed {
			k = b.columns[n.feature][row]
		}
		if n.left(k) {
			n = n.l
		} else {
			n = n.r
		}
	}
	return n.leaf
}

func (n *node) uses(f int) bool {
	return n.feature >= 0 && (n.feature == f || n.l.uses(f) || n.r.uses(f))
}

// Importance returns how much accuracy is lost on average when the values of
// each feature are shuffled among the rows, rounds times. Features that no
// tree asks lose nothing.
func (m *Model) Importance(b *Binned, truth []bool, rounds int, seed uint32) ([]float64, error) {
	e := evaluation{m: m, b: b, truth: truth, leaves: make([][]float64, len(m.trees))}
	for t, tree := range m.trees {
		e.leaves[t] = make([]float64, b.rows)
		for i := range b.rows {
			e.leaves[t][i] = tree.value(b, i, -1, 0)
		}
	}
	e.raw = m.Raw(b)
	accuracy := e.share(func(i int) float64 { return e.raw[i] })
	orders := stats.Shuffles(b.rows, rounds, seed)
	out := make([]float64, len(m.features))
	err := stats.Parallel(len(m.features), func(f int) {
		if !m.asks(f) {
			return
		}
		sum := 0.0
		for _, order := range orders {
			sum += accuracy - e.shuffled(f, order)
		}
		out[f] = sum / float64(rounds)
	})
	if err != nil {
		return nil, fmt.Errorf("weigh features: %w", err)
	}
	return out, nil
}

// asks tells whether any tree looks at a feature.
func (m *Model) asks(f int) bool {
	for _, t := range m.trees {
		if t.uses(f) {
			return true
		}
	}
	return false
}

// evaluation holds what is known of the rows that importance is judged by.
type evaluation struct {
	m      *Model
	b      *Binned
	truth  []bool
	leaves [][]float64 // by tree and row
	raw    []float64
}

// share is the share of rows predicted rightly from their log odds.
func (e *evaluation) share(raw func(i int) float64) float64 {
	right := 0
	for i, is := range e.truth {
		if positive(raw(i)) == is {
			right++
		}
	}
	return float64(right) / float64(len(e.truth))
}

// shuffled is share with feature f taken from the rows in order. Only the trees
// that ask it are asked again; where the outcome is too close to call, all are
// added up in their order.
func (e *evaluation) shuffled(f int, order []int32) float64 {
	column := e.b.columns[f]
	var asked []int
	for t, tree := range e.m.trees {
		if tree.uses(f) {
			asked = append(asked, t)
		}
	}
	return e.share(func(i int) float64 {
		raw, bin := e.raw[i], column[order[i]]
		if bin == column[i] {
			return raw
		}
		for _, t := range asked {
			raw += e.m.trees[t].value(e.b, i, f, bin) - e.leaves[t][i]
		}
		if math.Abs(raw) > distinct {
			return raw
		}
		raw = e.m.base
		for _, t := range e.m.trees {
			raw += t.value(e.b, i, f, bin)
		}
		return raw
	})
}

// distinct is how far log odds are from 0 when rounding cannot turn them.
const distinct = 1e-9

// positive tells whether log odds stand for class 1: its probability must
// exceed that of class 0 in floating point.
func positive(raw float64) bool {
	if math.Abs(raw) > distinct {
		return raw > 0
	}
	p := 1 / (1 + math.Exp(-raw))
	return p > 1-p
}
