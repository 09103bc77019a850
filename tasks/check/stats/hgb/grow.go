package hgb

import (
	"math"

	"aloft/tasks/check/stats"
)

// cell sums what one bin of one feature holds.
type cell struct {
	g, h float64
	n    int
}

// histogram holds the cells of every feature in a node.
type histogram [][]cell

// grower grows trees on the rows of one Binned.
type grower struct {
	o        Options
	features []feature
	missing  []bool // features with missing values
	b        *Binned
	g, h     []float64
	rows     []int32
	spare    []int32
}

func newGrower(m *Model, b *Binned, o Options) *grower {
	gr := &grower{o: o, features: m.features, b: b, missing: make([]bool, len(m.features))}
	for f, bins := range b.columns {
		for _, k := range bins {
			if k == missingBin {
				gr.missing[f] = true
				break
			}
		}
	}
	gr.g, gr.h = make([]float64, b.rows), make([]float64, b.rows)
	gr.rows, gr.spare = make([]int32, b.rows), make([]int32, b.rows)
	return gr
}

// derive computes the first and second derivatives of the log loss, in single
// precision as the histograms of the original hold them.
func (gr *grower) derive(raw, truth []float64, learn []int32) {
	for i, r := range learn {
		y, e := truth[r], math.Exp(-raw[i])
		gr.g[i] = float64(float32(((1 - y) - y*e) / (1 + e)))
		gr.h[i] = float64(float32(e / ((1 + e) * (1 + e))))
	}
}

// tree grows one tree and adds its values to raw.
func (gr *grower) tree(raw []float64) (*node, error) {
	for i := range gr.rows {
		gr.rows[i] = int32(i)
	}
	var total cell
	for i := range gr.rows {
		total.g, total.h = total.g+gr.g[i], total.h+gr.h[i]
	}
	total.n = len(gr.rows)
	var hist histogram
	if gr.splittable(total, 0) && total.h >= minHessian {
		h, err := gr.histogram(gr.rows)
		if err != nil {
			return nil, err
		}
		hist = h
	}
	return gr.grow(gr.rows, total, hist, 0, raw)
}

func (gr *grower) splittable(sum cell, depth int) bool {
	return depth < gr.o.MaxDepth && sum.n >= 2*gr.o.MinLeaf
}

// grow grows the node that holds rows. Without a histogram it is a leaf.
func (gr *grower) grow(rows []int32, sum cell, hist histogram, depth int, raw []float64) (*node, error) {
	if hist != nil {
		s, err := gr.best(hist, sum)
		if err != nil {
			return nil, err
		}
		if s.gain > 0 {
			return gr.divide(rows, sum, s, hist, depth, raw)
		}
	}
	leaf := &node{feature: -1, leaf: gr.o.LearningRate * worth(sum.g, sum.h)}
	for _, r := range rows {
		raw[r] += leaf.leaf
	}
	return leaf, nil
}

func (gr *grower) divide(rows []int32, sum cell, s split, hist histogram, depth int, raw []float64) (*node, error) {
	n := &node{feature: s.feature, bin: s.bin, categorical: s.categorical, set: s.set, missingLeft: s.missingLeft}
	left, right := s.left, sum.minus(s.left)
	if !gr.missing[s.feature] {
		n.missingLeft = left.n > right.n // for rows to come
	}
	at := gr.partition(rows, n)
	l, r := rows[:at], rows[at:]
	splitLeft, splitRight := gr.splittable(left, depth+1), gr.splittable(right, depth+1)
	var lh, rh histogram
	if splitLeft || splitRight {
		// The smaller side is counted, the larger is the rest.
		small := r
		if left.n < right.n {
			small = l
		}
		counted, err := gr.histogram(small)
		if err != nil {
			return nil, err
		}
		lh, rh = hist.minus(counted), counted
		if left.n < right.n {
			lh, rh = rh, lh
		}
	}
	if !splitLeft {
		lh = nil
	}
	if !splitRight {
		rh = nil
	}
	var err error
	if n.l, err = gr.grow(l, left, lh, depth+1, raw); err != nil {
		return nil, err
	}
	if n.r, err = gr.grow(r, right, rh, depth+1, raw); err != nil {
		return nil, err
	}
	return n, nil
}

// partition brings the rows that go left to the front, keeping their order.
func (gr *grower) partition(rows []int32, n *node) int {
	bins := gr.b.columns[n.feature]
	at, rest := 0, gr.spare[:0]
	for _, r := range rows {
		if n.left(bins[r]) {
			rows[at] = r
			at++
		} else {
			rest = append(rest, r)
		}
	}
	copy(rows[at:], rest)
	return at
}

func (gr *grower) histogram(rows []int32) (histogram, error) {
	out := make(histogram, len(gr.features))
	all := make([]cell, len(gr.features)*(missingBin+1))
	err := stats.Parallel(len(gr.features), func(f int) {
		cells := all[f*(missingBin+1) : (f+1)*(missingBin+1)]
		bins := gr.b.columns[f]
		for _, r := range rows {
			c := &cells[bins[r]]
			c.g += gr.g[r]
			c.h += gr.h[r]
			c.n++
		}
		out[f] = cells
	})
	return out, err
}

// minus takes the part of one child away, in place: what remains is the other.
func (hs histogram) minus(part histogram) histogram {
	for f, cells := range hs {
		for k := range cells {
			cells[k] = cells[k].minus(part[f][k])
		}
	}
	return hs
}

func (c cell) minus(d cell) cell { return cell{c.g - d.g, c.h - d.h, c.n - d.n} }

func (c cell) plus(d cell) cell { return cell{c.g + d.g, c.h + d.h, c.n + d.n} }

// worth is the value of a node: one Newton step down the loss.
func worth(g, h float64) float64 { return -g / (h + 1e-15) }
