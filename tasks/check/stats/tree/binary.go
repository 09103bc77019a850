package tree

import "math"

// binaryFit grows trees on one feature for two classes, without weights. The
// rows of a node stay next to each other in the feature's order, so that sums
// of the second class from the front tell the counts of every node and cut.
type binaryFit struct {
	x    []float32 // in the feature's order
	ones []int32   // rows of the second class before each place
}

// fits reports whether the fit at hand is of this kind.
func (b *binaryFit) fits(features []*Feature, y *Target, o Options) bool {
	return len(features) == 1 && o.Criterion == Gini && y.k == 2 && o.Weights == nil
}

// growBinary is the loop of Fit for binaryFit.
func (f *Fitter) growBinary() {
	b, rows := &f.binary, f.sorted[0]
	b.x, b.ones = resize(b.x, len(rows)), resize(b.ones, len(rows)+1)
	b.ones[0] = 0
	for i, r := range rows {
		b.x[i] = f.features[0].values[r]
		b.ones[i+1] = b.ones[i] + f.y.classes[r]
	}
	minWeight := f.o.MinWeightFractionLeaf * f.total
	least := max(float64(max(f.o.MinSamplesLeaf, 1)), minWeight)
	for len(f.stack) > 0 {
		s := f.stack[len(f.stack)-1]
		f.stack = f.stack[:len(f.stack)-1]
		id := f.link(s)
		n, one := float64(s.end-s.start), float64(b.ones[s.end]-b.ones[s.start])
		node := Node{Feature: -1, Rows: s.end - s.start, Weight: n, Impurity: s.impurity}
		if one > n-one {
			node.Value = 1
		}
		if s.parent < 0 {
			node.Impurity = impurity(one, n)
		}
		f.tree.nodes = append(f.tree.nodes, node)
		f.tree.counts = append(f.tree.counts, n-one, one)
		if f.o.MaxDepth > 0 && s.depth >= f.o.MaxDepth || node.Rows < 2 || node.Rows < 2*f.o.MinSamplesLeaf ||
			n < 2*minWeight || node.Impurity <= epsilon {
			continue
		}
		rowsLeft := b.scan(s.start, s.end, least)
		if rowsLeft == 0 {
			continue
		}
		middle := s.start + rowsLeft
		nl := float64(rowsLeft)
		oneLeft := float64(b.ones[middle] - b.ones[s.start])
		left, right := impurity(oneLeft, nl), impurity(one-oneLeft, n-nl)
		gain := n / f.total * (node.Impurity - (n-nl)/n*right - nl/n*left)
		if gain+epsilon < f.o.MinImpurityDecrease {
			continue
		}
		cut := &f.tree.nodes[id]
		cut.Feature, cut.Threshold = 0, between(b.x[middle-1], b.x[middle])
		f.stack = append(f.stack,
			span{start: middle, end: s.end, depth: s.depth + 1, parent: id, right: true, impurity: right},
			span{start: s.start, end: middle, depth: s.depth + 1, parent: id, impurity: left})
	}
}

// impurity is the Gini impurity of n rows of which one are of the second class.
func impurity(one, n float64) float64 {
	return 1 - ((n-one)*(n-one)+one*one)/(n*n)
}

// scan returns how many rows the best cut of a node puts on its left, 0 for
// none. The gain of a cut grows with t²/(l·r), where t = n·(ones on the left) −
// l·(ones): only cuts that come near the best by this are taken exactly.
func (b *binaryFit) scan(start, end int, least float64) int {
	const slack = 1 + 1e-9
	n, one := float64(end-start), float64(b.ones[end]-b.ones[start])
	best, gain := 0, math.Inf(-1)
	num, den := 0.0, 1.0 // t² and l·r of the best
	x, ones := b.x[start:end], b.ones[start:end]
	before, first := x[0], ones[0]
	for p := 1; p < len(x); p++ {
		low := before
		before = x[p]
		if before <= low+minGap {
			continue
		}
		nl := float64(p)
		oneLeft := float64(ones[p] - first)
		t := n*oneLeft - nl*one
		nr := n - nl
		if t*t*den*slack < num*nl*nr || nl < least || nr < least {
			continue
		}
		zeroLeft, oneRight := nl-oneLeft, one-oneLeft
		zeroRight := nr - oneRight
		g := -nr*(1-(zeroRight*zeroRight+oneRight*oneRight)/(nr*nr)) - nl*(1-(zeroLeft*zeroLeft+oneLeft*oneLeft)/(nl*nl))
		if g > gain {
			best, gain = p, g
			num, den = t*t, nl*nr
		}
	}
	return best
}
