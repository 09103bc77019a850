package stats

import (
	"cmp"
	"math"
	"slices"
)

// OtherCategories names the bin that takes the categories too rare to stand
// alone.
const OtherCategories = "Other rare categories"

// CategorySort says which categories stay when there are too many of them.
type CategorySort string

// The orders.
const (
	ByDifference CategorySort = "largest_difference"
	ByTrain      CategorySort = "train_largest"
	ByTest       CategorySort = "test_largest"
)

// Bins are the categories that two samples are compared over.
type Bins struct {
	Names       []string
	Train, Test []float64 // rows of each
}

// SameBins brings the counts of two samples over the same categories: only the
// largest categories stay when their number is limited (0 is no limit), and
// those with less than minRatio of the train rows go into one bin for rare
// ones. That bin counts if it holds more than minRatio of the rows of either
// side, or always when keepRare is set.
func SameBins(names []string, train, test []int, limit int, minRatio float64, by CategorySort, keepRare bool) Bins {
	n1, n2 := total(train), total(test)
	order := make([]int, len(names))
	for i := range order {
		order[i] = i
	}
	var b Bins
	other1, other2 := 0, 0
	if limit > 0 && len(names) > limit {
		size := func(i int) float64 {
			switch by {
			case ByTrain:
				return float64(train[i])
			case ByTest:
				return float64(test[i])
			default:
				return math.Abs(float64(train[i])/float64(n1) - float64(test[i])/float64(n2))
			}
		}
		slices.SortFunc(order, func(i, j int) int {
			return cmp.Or(cmp.Compare(size(j), size(i)), cmp.Compare(names[i], names[j]))
		})
		for _, i := range order[limit:] {
			other1, other2 = other1+train[i], other2+test[i]
		}
		order = order[:limit]
	}
	least1, least2 := minRatio*float64(n1), minRatio*float64(n2)
	for _, i := range order {
		if float64(train[i]) < least1 {
			other1, other2 = other1+train[i], other2+test[i]
			continue
		}
		b.add(names[i], train[i], test[i])
	}
	if float64(other1) > least1 || float64(other2) > least2 || keepRare && other1+other2 > 0 {
		b.add(OtherCategories, other1, other2)
	}
	return b
}

func (b *Bins) add(name string, train, test int) {
	b.Names, b.Train, b.Test = append(b.Names, name), append(b.Train, float64(train)), append(b.Test, float64(test))
}

func total(counts []int) int {
	n := 0
	for _, c := range counts {
		n += c
	}
	return n
}

func sum(v []float64) float64 {
	s := 0.0
	for _, x := range v {
		s += x
	}
	return s
}

// CramersV is the association between sample and category, from 0 for equal
// distributions to 1, corrected for bias (Bergsma 2013). Samples are first
// brought to the size of the smaller. With balance the classes' train counts
// are evened out, so that a change of a rare class weighs as much as one of a
// frequent class. It is NaN when one sample has no rows in any bin.
func CramersV(b Bins, balance bool) float64 {
	if len(b.Train) < 2 {
		return 0
	}
	c1, c2 := slices.Clone(b.Train), slices.Clone(b.Test)
	s1, s2 := sum(c1), sum(c2)
	if s1 == 0 || s2 == 0 {
		return math.NaN()
	}
	larger, factor := c2, s1/s2
	if s1 > s2 {
		larger, factor = c1, s2/s1
	}
	if s1 != s2 {
		for i := range larger {
			larger[i] *= factor
			if !balance {
				larger[i] = math.RoundToEven(larger[i])
			}
		}
	}
	if balance {
		evenOut(c1, c2)
	}
	return correctedV(c1, c2)
}

// evenOut gives every class the same train count and scales the test counts
// along.
func evenOut(c1, c2 []float64) {
	k := float64(len(c1))
	base := math.Trunc((sum(c2) + k) / k)
	for i := range c1 {
		factor := (c2[i] + 1) / (c1[i] + 1)
		c1[i], c2[i] = base, math.RoundToEven(base*factor)
	}
	q := sum(c1) / sum(c2)
	for i := range c2 {
		c2[i] = math.RoundToEven(c2[i] * q)
	}
}

// correctedV is Cramér's V of a 2×k table, empty columns left out; 2×2 tables
// get Yates' correction.
func correctedV(c1, c2 []float64) float64 {
	var a, b []float64
	for i := range c1 {
		if c1[i] != 0 || c2[i] != 0 {
			a, b = append(a, c1[i]), append(b, c2[i])
		}
	}
	k := float64(len(a))
	if k < 2 {
		return 0
	}
	s1, s2 := sum(a), sum(b)
	n := s1 + s2
	if s1 == 0 || s2 == 0 {
		return math.NaN()
	}
	chi := 0.0
	for i := range a {
		for _, cell := range [2][2]float64{{a[i], s1}, {b[i], s2}} {
			expected := cell[1] * (a[i] + b[i]) / n
			d := math.Abs(cell[0] - expected)
			if k == 2 {
				d -= min(0.5, d)
			}
			chi += d * d / expected
		}
	}
	phi := max(0, chi/n-(k-1)/(n-1))
	rows, columns := 2-1/(n-1), k-(k-1)*(k-1)/(n-1)
	least := min(columns-1, rows-1)
	if least <= 0 {
		return 0
	}
	return math.Sqrt(phi / least)
}

// psiFloor is the least share that PSI reckons with.
const psiFloor = 0.01

// PSI is the population stability index: the sum of (a − e)·ln(a/e) over the
// shares e of train and a of test, each at least 0.01. It is NaN when one
// sample has no rows in any bin.
func PSI(b Bins) float64 {
	s1, s2 := sum(b.Train), sum(b.Test)
	if s1 == 0 || s2 == 0 {
		return math.NaN()
	}
	psi := 0.0
	for i := range b.Train {
		e, a := max(b.Train[i]/s1, psiFloor), max(b.Test[i]/s2, psiFloor)
		psi += (a - e) * math.Log(a/e)
	}
	return psi
}

// KS is the Kolmogorov–Smirnov statistic of two sorted samples: the largest
// distance between their cumulative distributions.
func KS(a, b []float64) float64 {
	most := 0.0
	n1, n2 := float64(len(a)), float64(len(b))
	i, j := 0, 0
	for i < len(a) && j < len(b) {
		v := min(a[i], b[j])
		for i < len(a) && a[i] <= v {
			i++
		}
		for j < len(b) && b[j] <= v {
			j++
		}
		most = max(most, math.Abs(float64(i)/n1-float64(j)/n2))
	}
	return most
}

// EMD is the earth mover's distance of two sorted samples, each cut to what
// lies between its quantiles margin and 1 − margin, both scaled to the range
// from 0 to 1 together; 0 when nothing varies.
func EMD(a, b []float64, margin float64) float64 {
	a, b = within(a, margin), within(b, margin)
	if len(a) == 0 || len(b) == 0 {
		return 0
	}
	low, high := min(a[0], b[0]), max(a[len(a)-1], b[len(b)-1])
	if high == low {
		return 0
	}
	scale := high - low
	n1, n2 := float64(len(a)), float64(len(b))
	distance, i, j, prev := 0.0, 0, 0, low
	for i < len(a) || j < len(b) {
		v := high
		if i < len(a) {
			v = min(v, a[i])
		}
		if j < len(b) {
			v = min(v, b[j])
		}
		distance += (v - prev) / scale * math.Abs(float64(i)/n1-float64(j)/n2)
		prev = v
		for i < len(a) && a[i] <= v {
			i++
		}
		for j < len(b) && b[j] <= v {
			j++
		}
	}
	return distance
}

// within cuts a sorted sample to its quantiles q and 1 − q, both included.
func within(sorted []float64, q float64) []float64 {
	if q <= 0 || len(sorted) == 0 {
		return sorted
	}
	low, high := SortedQuantile(sorted, q), SortedQuantile(sorted, 1-q)
	from, _ := slices.BinarySearch(sorted, low)
	to := len(sorted)
	for to > from && sorted[to-1] > high {
		to--
	}
	return sorted[from:to]
}

// SortedQuantile is the quantile q of sorted numbers, interpolated linearly
// between neighbours; NaN of none.
func SortedQuantile(sorted []float64, q float64) float64 {
	if len(sorted) == 0 {
		return math.NaN()
	}
	at := q * float64(len(sorted)-1)
	i := int(math.Floor(at))
	if i >= len(sorted)-1 {
		return sorted[len(sorted)-1]
	}
	t, d := at-float64(i), sorted[i+1]-sorted[i]
	switch {
	case d == 0:
		return sorted[i] // also between equal infinities
	case t >= 0.5:
		return sorted[i+1] - d*(1-t)
	default:
		return sorted[i] + d*t
	}
}

// DomainScore turns the AUC of a classifier that tells two samples apart into
// a drift score: 0 when it cannot, 1 when it always can.
func DomainScore(auc float64) float64 { return max(2*auc-1, 0) }
