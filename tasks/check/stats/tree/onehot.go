package tree

import "math"

// OneHot is a tree on one text feature that is coded as one feature of zeros
// and ones for each category. Each cut sets one category apart from the rest,
// so the tree is a chain of them.
type OneHot struct {
	values []float64 // by category
	rest   float64   // of categories that are not in the training rows
}

// Predict returns the value of the category's leaf; categories unknown to the
// training fall into the last leaf of the chain.
func (t *OneHot) Predict(category int32) float64 {
	if category < 0 || int(category) >= len(t.values) || math.IsNaN(t.values[category]) {
		return t.rest
	}
	return t.values[category]
}

// FitOneHot grows a tree, without limits, on the categories of some rows;
// there are k categories. It equals the tree that Fit grows on k features of
// zeros and ones, in a time that does not depend on the number of rows. Of the
// options it takes Criterion (not AbsoluteError) and Shuffle.
func FitOneHot(categories []int32, k int, y *Target, rows []int32, o Options) *OneHot {
	c := chain{size: make([]float64, k), out: &OneHot{values: make([]float64, k)}}
	if o.Criterion == Gini {
		c.stat = newClassStat(categories, k, y, rows)
	} else {
		c.stat = newNumberStat(categories, k, y, rows)
	}
	for _, r := range rows {
		c.size[categories[r]]++
	}
	for i, n := range c.size {
		c.out.values[i] = math.NaN()
		if n > 0 {
			c.out.values[i] = c.stat.value(i)
		}
	}
	c.visit.reset(k, o.Shuffle)
	c.grow(float64(len(rows)))
	return c.out
}

// chain grows a OneHot tree.
type chain struct {
	size  []float64 // rows of each category in the rest, 0 once set apart
	stat  categoryStat
	visit visitor
	out   *OneHot
}

// categoryStat keeps what a criterion sums up by category and for the rest.
type categoryStat interface {
	// value is the prediction for a category; -1 is the rest.
	value(category int) float64
	// pure tells whether the rest has nothing to gain from a cut.
	pure(n float64) bool
	// gain is that of setting a category of size n out of total apart.
	gain(category int, n, total float64) float64
	// drop takes a category out of the rest.
	drop(category int)
}

func (c *chain) grow(total float64) {
	known := 0
	for total >= 2 && !c.stat.pure(total) {
		best, gain := -1, math.Inf(-1)
		c.visit.begin(known)
		for {
			f, ok := c.visit.next()
			if !ok {
				break
			}
			if n := c.size[f]; n == 0 || n == total {
				c.visit.constant()
				continue
			}
			c.visit.taken()
			if g := c.stat.gain(f, c.size[f], total); g > gain {
				best, gain = f, g
			}
		}
		known = c.visit.end()
		if best < 0 {
			break
		}
		c.stat.drop(best)
		total -= c.size[best]
		c.size[best] = 0
	}
	c.out.rest = c.stat.value(-1)
}

// classStat counts classes by category.
type classStat struct {
	k     int
	cells []float64 // by category and class
	rest  []float64
}

func newClassStat(categories []int32, n int, y *Target, rows []int32) *classStat {
	s := &classStat{k: y.k, cells: make([]float64, n*y.k), rest: make([]float64, y.k)}
	for _, r := range rows {
		s.cells[int(categories[r])*y.k+int(y.classes[r])]++
		s.rest[y.classes[r]]++
	}
	return s
}

func (s *classStat) of(category int) []float64 {
	if category < 0 {
		return s.rest
	}
	return s.cells[category*s.k : (category+1)*s.k]
}

func (s *classStat) value(category int) float64 {
	best, counts := 0, s.of(category)
	for k, n := range counts {
		if n > counts[best] {
			best = k
		}
	}
	return float64(best)
}

func (s *classStat) pure(n float64) bool { return gini(s.rest, n) <= epsilon }

func (s *classStat) gain(category int, n, total float64) float64 {
	left, right := 0.0, 0.0 // of the squares of the counts; ones go right
	for k, c := range s.of(category) {
		right += c * c
		left += (s.rest[k] - c) * (s.rest[k] - c)
	}
	nl := total - n
	return -n*(1-right/(n*n)) - nl*(1-left/(nl*nl))
}

func (s *classStat) drop(category int) {
	for k, c := range s.of(category) {
		s.rest[k] -= c
	}
}

// numberStat sums targets by category.
type numberStat struct {
	n, sum, squares []float64 // the rest comes last
}

func newNumberStat(categories []int32, k int, y *Target, rows []int32) *numberStat {
	s := &numberStat{make([]float64, k+1), make([]float64, k+1), make([]float64, k+1)}
	for _, r := range rows {
		v := y.values[r]
		for _, i := range [2]int{int(categories[r]), k} {
			s.n[i]++
			s.sum[i] += v
			s.squares[i] += v * v
		}
	}
	return s
}

func (s *numberStat) value(category int) float64 {
	if category < 0 {
		category = len(s.n) - 1
	}
	return s.sum[category] / s.n[category]
}

func (s *numberStat) pure(n float64) bool {
	last := len(s.n) - 1
	mean := s.sum[last] / n
	return s.squares[last]/n-mean*mean <= epsilon
}

func (s *numberStat) gain(category int, n, total float64) float64 {
	a := s.sum[category]
	b := s.sum[len(s.sum)-1] - a
	return b*b/(total-n) + a*a/n
}

// drop sums the rest up anew, so that rounding does not add up.
func (s *numberStat) drop(category int) {
	last := len(s.n) - 1
	s.n[category], s.sum[category], s.squares[category] = 0, 0, 0
	s.n[last], s.sum[last], s.squares[last] = 0, 0, 0
	for i := range last {
		s.n[last] += s.n[i]
		s.sum[last] += s.sum[i]
		s.squares[last] += s.squares[i]
	}
}
