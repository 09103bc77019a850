package stats

import (
	"cmp"
	"math"
	"slices"
)

// Ranked is a column of numbers with its order, for rank correlations. It may
// be shared.
type Ranked struct {
	values []float64
	order  []int32   // rows that have a number, by ascending number
	whole  []float64 // ranks less their mean, over their norm; nil with gaps
}

// NewRanked sorts a column; NaN is a missing value.
func NewRanked(values []float64) *Ranked {
	r := &Ranked{values: values, order: make([]int32, 0, len(values))}
	for i, v := range values {
		if !math.IsNaN(v) {
			r.order = append(r.order, int32(i))
		}
	}
	slices.SortFunc(r.order, func(a, b int32) int {
		return cmp.Or(cmp.Compare(values[a], values[b]), cmp.Compare(a, b))
	})
	if len(r.order) == len(values) {
		r.whole = make([]float64, len(values))
		r.ranks(r.order, r.whole)
		standardise(r.whole)
	}
	return r
}

// ranks writes the rank of each row of the order; equal numbers share the mean
// of their ranks.
func (r *Ranked) ranks(order []int32, out []float64) {
	for i := 0; i < len(order); {
		j := i + 1
		for j < len(order) && r.values[order[j]] == r.values[order[i]] {
			j++
		}
		for _, row := range order[i:j] {
			out[row] = float64(i+j+1) / 2
		}
		i = j
	}
}

// standardise takes the mean off and divides by the norm; what does not vary
// becomes NaN.
func standardise(v []float64) {
	sum := 0.0
	for _, x := range v {
		sum += x
	}
	mean, squares := sum/float64(len(v)), 0.0
	for i := range v {
		v[i] -= mean
		squares += v[i] * v[i]
	}
	norm := math.Sqrt(squares)
	for i := range v {
		v[i] /= norm
	}
}

// Spearman is the correlation of the ranks of two columns of equal length, over
// the rows that have both numbers; NaN when one of them does not vary.
func Spearman(a, b *Ranked) float64 {
	x, y := a.whole, b.whole
	if x == nil || y == nil {
		x, y = a.against(b), b.against(a)
	}
	sum := 0.0
	for i := range x {
		sum += x[i] * y[i]
	}
	return max(-1, min(1, sum))
}

// against standardises the ranks over the rows that the other column has too.
func (r *Ranked) against(other *Ranked) []float64 {
	order := make([]int32, 0, len(r.order))
	for _, row := range r.order {
		if !math.IsNaN(other.values[row]) {
			order = append(order, row)
		}
	}
	ranks := make([]float64, len(r.values))
	r.ranks(order, ranks)
	out := make([]float64, 0, len(order))
	for i, v := range ranks {
		if v != 0 { // ranks begin at 1
			out = append(out, ranks[i])
		}
	}
	standardise(out)
	return out
}

// CorrelationRatio is η, the square root of the share of the numbers' variance
// that lies between categories; 0 when the numbers do not vary. Rows without a
// number (NaN) or category (negative) are left out; there are k categories.
func CorrelationRatio(categories []int32, k int, numbers []float64) float64 {
	counts, sums := make([]float64, k), make([]float64, k)
	n, total := 0.0, 0.0
	for i, c := range categories {
		if v := numbers[i]; c >= 0 && !math.IsNaN(v) {
			counts[c]++
			sums[c] += v
			n++
			total += v
		}
	}
	mean := total / n
	all, between := 0.0, 0.0
	for i, c := range categories {
		if v := numbers[i]; c >= 0 && !math.IsNaN(v) {
			all += (v - mean) * (v - mean)
		}
	}
	for c, count := range counts {
		if count > 0 {
			d := sums[c]/count - mean
			between += count * d * d
		}
	}
	if !(all > 0) {
		return 0
	}
	return math.Sqrt(between / all)
}

// Coded is a column of categories made ready to be compared with others. It
// may be shared.
type Coded struct {
	codes   []int32
	k       int
	gaps    bool // a row has no category
	entropy float64
}

// Entropies compares columns of categories of equal length. It is for one
// goroutine.
type Entropies struct {
	logs                 []float64 // p ln p of p = count/n
	n                    int
	rows, columns, cells []int32
}

// NewCoded takes a column of categories below k; a negative one is missing.
func (e *Entropies) NewCoded(codes []int32, k int) *Coded {
	c := &Coded{codes: codes, k: k}
	counts := make([]int32, k)
	for _, x := range codes {
		if x >= 0 {
			counts[x]++
		} else {
			c.gaps = true
		}
	}
	if !c.gaps {
		c.entropy = e.of(counts, len(codes))
	}
	return c
}

// SymmetricUncertainty is how much of what two columns of categories tell they
// tell together: Theil's U in both directions, weighted by the entropies. Rows
// without a category in either are left out. Between two columns that do not
// vary it is NaN.
func (e *Entropies) SymmetricUncertainty(a, b *Coded) float64 {
	if a.gaps || b.gaps || a.k*b.k > dense {
		return e.uncertainty(a, b)
	}
	cells := e.zeros(&e.cells, a.k*b.k)
	for i, x := range a.codes {
		cells[int(x)*b.k+int(b.codes[i])]++
	}
	shared := max(0, a.entropy+b.entropy-e.of(cells, len(a.codes)))
	return 2 * shared / (a.entropy + b.entropy)
}

func (e *Entropies) uncertainty(a, b *Coded) float64 {
	rows, columns := e.zeros(&e.rows, a.k), e.zeros(&e.columns, b.k)
	pairs := make([]int, 0, len(a.codes))
	for i, x := range a.codes {
		if y := b.codes[i]; x >= 0 && y >= 0 {
			pairs = append(pairs, int(x)*b.k+int(y))
			rows[x]++
			columns[y]++
		}
	}
	cells := tallied(pairs, a.k*b.k)
	n := len(pairs)
	ha, hb := e.of(rows, n), e.of(columns, n)
	shared := max(0, ha+hb-e.of(cells, n))
	return 2 * shared / (ha + hb)
}

func (e *Entropies) zeros(s *[]int32, n int) []int32 {
	*s = resize(*s, n)
	clear(*s)
	return *s
}

// of is −Σ p ln p.
func (e *Entropies) of(counts []int32, n int) float64 {
	if e.n != n {
		e.n = n
		e.logs = resize(e.logs, n+1)
		clear(e.logs) // a count's is found when it occurs; that of all rows is 0
	}
	h := 0.0
	for _, c := range counts {
		if c == 0 {
			continue
		}
		l := e.logs[c]
		if l == 0 {
			p := float64(c) / float64(n)
			l = p * math.Log(p)
			e.logs[c] = l
		}
		h -= l
	}
	return h
}

func resize[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}

// dense is the size of a table above which sorting is cheaper.
const dense = 1 << 20

// tallied counts numbers below k, each that occurs.
func tallied(numbers []int, k int) []int32 {
	if k <= dense {
		counts := make([]int32, k)
		for _, v := range numbers {
			counts[v]++
		}
		return counts
	}
	slices.Sort(numbers)
	var counts []int32
	for i, v := range numbers {
		if i == 0 || v != numbers[i-1] {
			counts = append(counts, 0)
		}
		counts[len(counts)-1]++
	}
	return counts
}
