package hgb

import "math"

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
func (gr *grower) tree(raw []float64) *node {
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
		hist = gr.histogram(gr.rows)
	}
	return gr.grow(gr.rows, total, hist, 0, raw)
}

func (gr *grower) splittable(sum cell, depth int) bool {
	return depth < gr.o.MaxDepth && sum.n >= 2*gr.o.MinLeaf
}

// grow grows the node that holds rows. Without a histogram it is a leaf.
func (gr *grower) grow(rows []int32, sum cell, hist histogram, depth int, raw []float64) *node {
	if hist != nil {
		if s := gr.best(hist, sum); s.gain > 0 {
			return gr.divide(rows, sum, s, hist, depth, raw)
		}
	}
	leaf := &node{feature: -1, leaf: gr.o.LearningRate * worth(sum.g, sum.h)}
	for _, r := range rows {
		raw[r] += leaf.leaf
	}
	return leaf
}

func (gr *grower) divide(rows []int32, sum cell, s split, hist histogram, depth int, raw []float64) *node {
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
		if left.n < right.n {
			lh = gr.histogram(l)
			rh = hist.minus(lh)
		} else {
			rh = gr.histogram(r)
			lh = hist.minus(rh)
		}
	}
	if !splitLeft {
		lh = nil
	}
	if !splitRight {
		rh = nil
	}
	n.l = gr.grow(l, left, lh, depth+1, raw)
	n.r = gr.grow(r, right, rh, depth+1, raw)
	return n
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

func (gr *grower) histogram(rows []int32) histogram {
	out := make(histogram, len(gr.features))
	all := make([]cell, len(gr.features)*(missingBin+1))
	parallel(len(gr.features), func(f int) {
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
	return out
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
