package tree

import "math"

const (
	// minGap is how far apart two values must be for a cut between them.
	minGap = float32(1e-7)
	// epsilon is the impurity up to which a node counts as pure.
	epsilon = 2.220446049250313e-16
)

// Fitter grows trees one after the other in memory that it reuses. The zero
// value is ready; it is for one goroutine at a time.
type Fitter struct {
	features []*Feature
	y        *Target
	o        Options
	tree     *Tree
	total    float64 // weight of all rows

	// A node owns the span [start, end) of each of these.
	sorted  [][]int32 // rows by each feature
	byValue []int32   // rows by target, for AbsoluteError
	samples []int32   // rows in the order in which sums are taken

	marked []bool // by row: goes left
	spare  []int32
	stack  []span
	visit  visitor
	class  classSums
	number numberSums
	median medianScan
	binary binaryFit
	free   Tree // whose memory the next tree takes
}

// Recycle gives the memory of a tree of this fitter, which must not be used
// any more, to the next.
func (f *Fitter) Recycle(t *Tree) { f.free = Tree{nodes: t.nodes[:0], counts: t.counts[:0]} }

// span is a node that waits to be grown.
type span struct {
	start, end, depth int
	parent            int32 // -1 for the root
	right             bool
	impurity          float64 // NaN for the root
	constants         int
}

// cut is a way to divide a node: the first rows, by the feature, go left.
type cut struct {
	feature int
	rows    int // 0 for none
	gain    float64
}

// Fit grows a tree on some rows of the features; nil means all. Features and
// target must be of equal length, and the rows distinct.
func (f *Fitter) Fit(features []*Feature, y *Target, rows []int32, o Options) *Tree {
	f.features, f.y, f.o = features, y, o
	f.tree = &Tree{nodes: f.free.nodes, k: y.k}
	if o.Criterion == Gini {
		f.tree.counts = f.free.counts
	}
	f.free = Tree{}
	f.prepare(rows)
	f.visit.reset(len(features), o.Shuffle)
	f.stack = append(f.stack[:0], span{end: len(f.samples), parent: -1, impurity: math.NaN()})
	if f.binary.fits(features, y, o) {
		f.growBinary()
		return f.tree
	}
	for len(f.stack) > 0 {
		s := f.stack[len(f.stack)-1]
		f.stack = f.stack[:len(f.stack)-1]
		f.grow(s)
	}
	return f.tree
}

// prepare fills the sorted rows of the root.
func (f *Fitter) prepare(rows []int32) {
	n := 0
	if len(f.features) > 0 {
		n = len(f.features[0].values)
	}
	f.marked = resize(f.marked, n)
	f.samples = f.samples[:0]
	all := rows == nil
	if all {
		for r := range n {
			f.samples = append(f.samples, int32(r))
		}
	} else {
		f.samples = append(f.samples, rows...)
		clear(f.marked)
		for _, r := range rows {
			f.marked[r] = true
		}
	}
	pick := func(dst, order []int32) []int32 {
		dst = dst[:0]
		if all {
			return append(dst, order...)
		}
		for _, r := range order {
			if f.marked[r] {
				dst = append(dst, r)
			}
		}
		return dst
	}
	for len(f.sorted) < len(f.features) {
		f.sorted = append(f.sorted, nil)
	}
	f.sorted = f.sorted[:len(f.features)]
	for i, feature := range f.features {
		f.sorted[i] = pick(f.sorted[i], feature.order)
	}
	f.spare = resize(f.spare, len(f.samples))
	f.total = float64(len(f.samples))
	if f.o.Weights != nil {
		f.total = 0
		for _, r := range f.samples {
			f.total += f.o.Weights[r]
		}
	}
	switch f.o.Criterion {
	case Gini:
		f.class.reset(f.y, f.o.Weights)
	case SquaredError:
		f.number.reset(f.y.values, f.o.Weights)
	default:
		f.byValue = pick(f.byValue, f.y.order)
		f.median.reset(f.y.values, n, len(f.samples))
	}
}

// grow makes the node of a span and, if it can be cut, the spans of its
// children.
func (f *Fitter) grow(s span) {
	id := f.link(s)
	n := Node{Feature: -1, Rows: s.end - s.start, Weight: float64(s.end - s.start), Impurity: s.impurity}
	f.measure(&n, s)
	f.tree.nodes = append(f.tree.nodes, n)
	if f.o.Criterion == Gini {
		f.tree.counts = append(f.tree.counts, f.class.node...)
	}
	minWeight := f.o.MinWeightFractionLeaf * f.total
	if f.o.MaxDepth > 0 && s.depth >= f.o.MaxDepth || n.Rows < 2 || n.Rows < 2*f.o.MinSamplesLeaf ||
		n.Weight < 2*minWeight || n.Impurity <= epsilon {
		return
	}
	best, last, constants := f.search(s, n.Weight, minWeight)
	if best.rows == 0 {
		return
	}
	below, above := f.threshold(s, best)
	f.divide(s, best, last, above)
	left, right, leftWeight := f.children(s, best, n.Weight)
	rightWeight := n.Weight - leftWeight
	gain := n.Weight / f.total * (n.Impurity - rightWeight/n.Weight*right - leftWeight/n.Weight*left)
	if gain+epsilon < f.o.MinImpurityDecrease {
		return
	}
	node := &f.tree.nodes[id]
	node.Feature, node.Threshold = int32(best.feature), below
	middle := s.start + best.rows
	f.stack = append(f.stack,
		span{middle, s.end, s.depth + 1, id, true, right, constants},
		span{s.start, middle, s.depth + 1, id, false, left, constants})
}

// link tells the parent of a span the number of its node, which is the next.
func (f *Fitter) link(s span) int32 {
	id := int32(len(f.tree.nodes))
	if s.parent >= 0 {
		if parent := &f.tree.nodes[s.parent]; s.right {
			parent.Right = id
		} else {
			parent.Left = id
		}
	}
	return id
}

// measure fills in the node's weight and value, and the root's impurity.
func (f *Fitter) measure(n *Node, s span) {
	switch f.o.Criterion {
	case Gini:
		n.Weight = f.class.measure(f.samples[s.start:s.end])
		n.Value = float64(f.class.majority())
		if s.parent < 0 {
			n.Impurity = gini(f.class.node, n.Weight)
		}
	case SquaredError:
		n.Weight = f.number.measure(f.samples[s.start:s.end])
		mean := f.number.sum / n.Weight
		n.Value = mean
		if s.parent < 0 {
			n.Impurity = f.number.squares/n.Weight - mean*mean
		}
	default:
		order := f.byValue[s.start:s.end]
		n.Value = f.median.middle(order)
		if s.parent < 0 {
			n.Impurity = f.median.spread(order, n.Value) / n.Weight
		}
	}
}

// search finds the best cut of a span. It also returns the feature that was
// visited last and how many features are known to be constant in the span.
func (f *Fitter) search(s span, weight, minWeight float64) (best cut, last, constants int) {
	best.gain, last = math.Inf(-1), -1
	minRows := max(f.o.MinSamplesLeaf, 1)
	if f.o.Criterion == AbsoluteError {
		f.median.begin(f.byValue[s.start:s.end])
	}
	f.visit.begin(s.constants)
	for {
		k, ok := f.visit.next()
		if !ok {
			break
		}
		rows, x := f.sorted[k][s.start:s.end], f.features[k].values
		last = k
		if x[rows[len(rows)-1]] <= x[rows[0]]+minGap {
			f.visit.constant()
			continue
		}
		f.visit.taken()
		var found cut
		switch f.o.Criterion {
		case Gini:
			found = f.class.scan(rows, x, minRows, weight, minWeight, best.gain)
		case SquaredError:
			found = f.number.scan(rows, x, minRows, weight, minWeight, best.gain)
		default:
			found = f.median.scan(rows, x, minRows, minWeight, best.gain)
		}
		if found.rows > 0 {
			found.feature = k
			best = found
		}
	}
	return best, last, f.visit.end()
}

// threshold returns the cut's threshold, and the least value above it.
func (f *Fitter) threshold(s span, c cut) (threshold float64, above float32) {
	rows, x := f.sorted[c.feature][s.start:s.end], f.features[c.feature].values
	low, high := x[rows[c.rows-1]], x[rows[c.rows]]
	return between(low, high), high
}

// between returns the threshold of a cut between two values.
func between(low, high float32) float64 {
	t := float64(low)/2 + float64(high)/2
	if t == float64(high) || math.IsInf(t, 0) {
		t = float64(low)
	}
	return t
}

// divide moves the rows that go left before those that go right.
func (f *Fitter) divide(s span, c cut, last int, above float32) {
	x := f.features[c.feature].values
	if f.o.Criterion == SquaredError || f.o.Weights != nil {
		// Sums are taken in the order that scikit-learn leaves its rows in:
		// sorted by the last feature visited, then swapped to their sides.
		samples := f.samples[s.start:s.end]
		copy(samples, f.sorted[last][s.start:s.end])
		for p, end := 0, len(samples); p < end; {
			if x[samples[p]] < above {
				p++
				continue
			}
			end--
			samples[p], samples[end] = samples[end], samples[p]
		}
	} else {
		copy(f.samples[s.start:s.end], f.sorted[c.feature][s.start:s.end])
	}
	if len(f.features) == 1 && f.o.Criterion != AbsoluteError {
		return
	}
	for i, r := range f.sorted[c.feature][s.start:s.end] {
		f.marked[r] = i < c.rows
	}
	for k := range f.sorted {
		if k != c.feature {
			f.partition(f.sorted[k][s.start:s.end])
		}
	}
	if f.o.Criterion == AbsoluteError {
		f.partition(f.byValue[s.start:s.end])
	}
}

// partition moves the marked rows to the front and keeps both sides' order.
func (f *Fitter) partition(rows []int32) {
	kept, moved := 0, 0
	for _, r := range rows {
		// Without a branch: both places are written, one is kept.
		rows[kept], f.spare[moved] = r, r
		if f.marked[r] {
			kept++
		} else {
			moved++
		}
	}
	copy(rows[kept:], f.spare[:moved])
}

// children returns the impurities of both sides and the weight of the left.
func (f *Fitter) children(s span, c cut, weight float64) (left, right, leftWeight float64) {
	middle := s.start + c.rows
	switch f.o.Criterion {
	case Gini:
		return f.class.children(f.samples[s.start:middle], weight)
	case SquaredError:
		return f.number.children(f.samples[s.start:middle], weight)
	default:
		a, b := f.byValue[s.start:middle], f.byValue[middle:s.end]
		return f.median.spread(a, f.median.middle(a)) / float64(len(a)),
			f.median.spread(b, f.median.middle(b)) / float64(len(b)), float64(len(a))
	}
}

func resize[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}
