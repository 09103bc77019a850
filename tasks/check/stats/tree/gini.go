package tree

import "math"

// classSums counts classes for Gini cuts.
type classSums struct {
	classes     []int32
	weights     []float64
	node        []float64 // weight of each class in the node
	left, right []float64
}

func (c *classSums) reset(y *Target, weights []float64) {
	c.classes, c.weights = y.classes, weights
	c.node, c.left, c.right = resize(c.node, y.k), resize(c.left, y.k), resize(c.right, y.k)
}

func (c *classSums) weight(row int32) float64 {
	if c.weights == nil {
		return 1
	}
	return c.weights[row]
}

// measure counts the classes of the node and returns their total.
func (c *classSums) measure(rows []int32) float64 {
	clear(c.node)
	total := 0.0
	for _, r := range rows {
		w := c.weight(r)
		c.node[c.classes[r]] += w
		total += w
	}
	return total
}

func (c *classSums) majority() int {
	best := 0
	for k, n := range c.node {
		if n > c.node[best] {
			best = k
		}
	}
	return best
}

// gini is 1 − Σp².
func gini(counts []float64, total float64) float64 {
	return 1 - sumSquares(counts)/(total*total)
}

func sumSquares(counts []float64) float64 {
	sum := 0.0
	for _, n := range counts {
		sum += n * n
	}
	return sum
}

// scan finds the best cut of rows sorted by x that beats the gain given; a
// cut of no rows is none.
func (c *classSums) scan(rows []int32, x []float32, minRows int, total, minWeight, beat float64) cut {
	clear(c.left)
	copy(c.right, c.node)
	best := cut{gain: beat}
	if c.weights != nil {
		return c.scanWeighted(rows, x, minRows, total, minWeight, best)
	}
	// With whole counts the sums of squares are exact, however they are taken.
	squaresLeft, squaresRight := 0.0, sumSquares(c.node)
	n := float64(len(rows))
	least := max(float64(minRows), minWeight)
	at := x[rows[0]]
	for p := 1; p < len(rows); p++ {
		k := c.classes[rows[p-1]]
		squaresLeft += 2*c.left[k] + 1
		squaresRight -= 2*c.right[k] - 1
		c.left[k]++
		c.right[k]--
		before := at
		at = x[rows[p]]
		if at <= before+minGap {
			continue
		}
		nl := float64(p)
		nr := n - nl
		if nl < least || nr < least {
			continue
		}
		gain := -nr*(1-squaresRight/(nr*nr)) - nl*(1-squaresLeft/(nl*nl))
		if gain > best.gain {
			best.gain, best.rows = gain, p
		}
	}
	return best
}

func (c *classSums) scanWeighted(rows []int32, x []float32, minRows int, total, minWeight float64, best cut) cut {
	wl := 0.0
	for p := 1; p < len(rows); p++ {
		r := rows[p-1]
		w := c.weights[r]
		c.left[c.classes[r]] += w
		wl += w
		if x[rows[p]] <= x[r]+minGap || p < minRows || len(rows)-p < minRows {
			continue
		}
		wr := total - wl
		if wl < minWeight || wr < minWeight {
			continue
		}
		for k := range c.right {
			c.right[k] = c.node[k] - c.left[k]
		}
		gain := -wr*gini(c.right, wr) - wl*gini(c.left, wl)
		if gain > best.gain {
			best.gain, best.rows = gain, p
		}
	}
	return best
}

// children returns the impurity of the left rows and of the rest, and the
// weight of the left.
func (c *classSums) children(left []int32, total float64) (il, ir, wl float64) {
	clear(c.left)
	for _, r := range left {
		w := c.weight(r)
		c.left[c.classes[r]] += w
		wl += w
	}
	for k := range c.right {
		c.right[k] = c.node[k] - c.left[k]
	}
	wr := total - wl
	il, ir = gini(c.left, wl), gini(c.right, wr)
	return il, noNaN(ir), wl
}

// noNaN turns the impurity of a side without weight into that of a pure one.
func noNaN(v float64) float64 {
	if math.IsNaN(v) {
		return 0
	}
	return v
}
