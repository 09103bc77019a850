// Package tree grows decision trees by the CART algorithm as scikit-learn 1.2
// does: float32 features, the same candidate cuts, rules for leaves and order
// of evaluation. Features are sorted once and may be shared by many trees;
// growing allocates nothing per node.
package tree

import "math"

// Criterion is what a cut improves.
type Criterion uint8

// The criteria.
const (
	// Gini makes leaves of one class.
	Gini Criterion = iota
	// SquaredError makes leaves close to their mean.
	SquaredError
	// AbsoluteError makes leaves close to their median.
	AbsoluteError
)

// Options bound the growth of a tree. The zero value grows a classification
// tree until its leaves are pure.
type Options struct {
	Criterion Criterion
	// MaxDepth is the number of cuts on the way to a leaf, at most; 0 is
	// unlimited.
	MaxDepth int
	// MinSamplesLeaf is the number of rows of a leaf, at least.
	MinSamplesLeaf int
	// MinWeightFractionLeaf is the share of the total weight of a leaf, at
	// least.
	MinWeightFractionLeaf float64
	// MinImpurityDecrease is how much a cut must improve the tree.
	MinImpurityDecrease float64
	// Weights holds one weight for each row of the features; nil means 1.
	// Gini and SquaredError take them, AbsoluteError does not.
	Weights []float64
	// Shuffle, when set, visits the features of each node in the order that
	// scikit-learn draws from this seed, which decides between cuts that are
	// exactly as good; nil visits them in their order, so that the lowest
	// number wins.
	Shuffle *uint32
}

// Balanced returns weights that give each class the same total: rows divided
// by the number of classes present and by the rows of the class. Rows outside
// the list get 0; nil means all rows.
func Balanced(classes []int32, k int, rows []int32) []float64 {
	counts, n := make([]int, k), len(rows)
	weights := make([]float64, len(classes))
	if rows == nil {
		n = len(classes)
		for _, c := range classes {
			counts[c]++
		}
	}
	for _, r := range rows {
		counts[classes[r]]++
	}
	present := 0
	for _, c := range counts {
		if c > 0 {
			present++
		}
	}
	of := make([]float64, k)
	for c, count := range counts {
		if count > 0 {
			of[c] = float64(n) / (float64(present) * float64(count))
		}
	}
	if rows == nil {
		for r, c := range classes {
			weights[r] = of[c]
		}
	}
	for _, r := range rows {
		weights[r] = of[classes[r]]
	}
	return weights
}

// Node is one node of a tree: a cut, or a leaf.
type Node struct {
	// Feature is the number of the feature that is cut; -1 in a leaf.
	Feature int32
	// Left and Right are the nodes for values up to the threshold and above.
	Left, Right int32
	Threshold   float64
	// Rows and Weight tell how much of the training data came to the node.
	Rows     int
	Weight   float64
	Impurity float64
	// Value is the mean of the targets, their median for AbsoluteError, or the
	// majority class, the lowest of equals.
	Value float64
}

// IsLeaf reports whether the node is a leaf.
func (n *Node) IsLeaf() bool { return n.Feature < 0 }

// Tree is a fitted tree. The root is node 0.
type Tree struct {
	nodes  []Node
	counts []float64 // weight of each class, by node; nil for regression
	k      int
}

// Nodes lists the nodes, each before its children, left before right.
func (t *Tree) Nodes() []Node { return t.nodes }

// Counts returns the weight of each class in a node; nil for regression.
func (t *Tree) Counts(node int) []float64 {
	if t.counts == nil {
		return nil
	}
	return t.counts[node*t.k : (node+1)*t.k]
}

// Probabilities appends the share of each class in a node to dst.
func (t *Tree) Probabilities(dst []float64, node int) []float64 {
	total := 0.0
	for _, c := range t.Counts(node) {
		total += c
	}
	for _, c := range t.Counts(node) {
		dst = append(dst, c/total)
	}
	return dst
}

// Leaf returns the leaf that a row of the features falls into. The features
// must be those of the training, in their order, though of other rows.
func (t *Tree) Leaf(features []*Feature, row int32) int {
	at := int32(0)
	for {
		n := &t.nodes[at]
		switch {
		case n.Feature < 0:
			return int(at)
		case float64(features[n.Feature].values[row]) <= n.Threshold:
			at = n.Left
		default:
			at = n.Right
		}
	}
}

// Predict returns the value of the leaf that a row falls into.
func (t *Tree) Predict(features []*Feature, row int32) float64 {
	return t.nodes[t.Leaf(features, row)].Value
}

// Range bounds a feature: Low < value ≤ High.
type Range struct {
	Feature   int
	Low, High float64
}

// Region is a leaf with the ranges that lead to it.
type Region struct {
	Node int
	// Ranges holds the features that were cut on the way, in the order in
	// which they were cut first.
	Ranges []Range
}

// Regions lists the leaves from left to right.
func (t *Tree) Regions() []Region {
	var out []Region
	var walk func(at int32, ranges []Range)
	walk = func(at int32, ranges []Range) {
		n := &t.nodes[at]
		if n.IsLeaf() {
			out = append(out, Region{Node: int(at), Ranges: ranges})
			return
		}
		walk(n.Left, bound(ranges, int(n.Feature), math.Inf(-1), n.Threshold))
		walk(n.Right, bound(ranges, int(n.Feature), n.Threshold, math.Inf(1)))
	}
	walk(0, nil)
	return out
}

// bound returns a copy of the ranges in which the feature is also in (low, high].
func bound(ranges []Range, feature int, low, high float64) []Range {
	out := append([]Range(nil), ranges...)
	for i := range out {
		if out[i].Feature == feature {
			out[i].Low, out[i].High = max(out[i].Low, low), min(out[i].High, high)
			return out
		}
	}
	return append(out, Range{feature, low, high})
}
