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

// SymmetricUncertainty is how much of what two columns of categories tell they
// tell together: Theil's U in both directions, weighted by the entropies. Rows
// without a category (negative) in either are left out. Between two columns
// that do not vary it is NaN.
func SymmetricUncertainty(a []int32, ka int, b []int32, kb int) float64 {
	rows, columns := make([]int32, ka), make([]int32, kb)
	pairs := make([]int, 0, len(a))
	for i, x := range a {
		if y := b[i]; x >= 0 && y >= 0 {
			pairs = append(pairs, int(x)*kb+int(y))
			rows[x]++
			columns[y]++
		}
	}
	cells := tallied(pairs, ka*kb)
	n := float64(len(pairs))
	ha, hb := entropy(rows, n), entropy(columns, n)
	shared := max(0, ha+hb-entropy(cells, n))
	return 2 * shared / (ha + hb)
}

// entropy is −Σ p ln p.
func entropy(counts []int32, n float64) float64 {
	h := 0.0
	for _, c := range counts {
		if c > 0 {
			p := float64(c) / n
			h -= p * math.Log(p)
		}
	}
	return h
}

// tallied counts numbers below k, each that occurs.
func tallied(numbers []int, k int) []int32 {
	const dense = 1 << 20 // above this, sorting is cheaper than a table
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
