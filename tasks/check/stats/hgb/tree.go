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
	out := make([]float64, len(m.features))
	right := 0
	for i, raw := range m.Raw(b) {
		if positive(raw) == truth[i] {
			right++
		}
	}
	accuracy := float64(right) / float64(b.rows)
	orders := stats.Shuffles(b.rows, rounds, seed)
	err := stats.Parallel(len(m.features), func(f int) {
		asked := false
		for _, t := range m.trees {
			asked = asked || t.uses(f)
		}
		if !asked {
			return
		}
		sum := 0.0
		for _, order := range orders {
			sum += accuracy - m.accuracy(b, truth, f, order)
		}
		out[f] = sum / float64(rounds)
	})
	if err != nil {
		return nil, fmt.Errorf("weigh features: %w", err)
	}
	return out, nil
}

// accuracy is the share of rows predicted rightly with feature f taken from
// the rows in order.
func (m *Model) accuracy(b *Binned, truth []bool, f int, order []int32) float64 {
	column := b.columns[f]
	right := 0
	for i, at := range order {
		raw := m.base
		for _, t := range m.trees {
			raw += t.value(b, i, f, column[at])
		}
		if positive(raw) == truth[i] {
			right++
		}
	}
	return float64(right) / float64(b.rows)
}

// positive tells whether log odds stand for class 1: its probability must
// exceed that of class 0 in floating point.
func positive(raw float64) bool {
	const clear = 1e-9
	if math.Abs(raw) > clear {
		return raw > 0
	}
	p := 1 / (1 + math.Exp(-raw))
	return p > 1-p
}
