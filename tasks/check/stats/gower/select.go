package gower

import "math/bits"

// argSelect reorders the positions 0 to n-1 so that those of the k+1 smallest
// values come first, as numpy's argpartition does: an introspective selection
// with the median of three. Which of several equal values come first is fixed
// but arbitrary. NaN is the largest value.
func argSelect(values []float64, k int, order []int32) {
	for i := range order {
		order[i] = int32(i)
	}
	s := selection{values, order}
	low, high := 0, len(order)-1
	if k < 3 {
		s.few(order, k+1)
		return
	}
	if k == len(order)-1 {
		s.last(k)
		return
	}
	for depth := 2 * (bits.Len(uint(len(order))) - 1); low+1 < high; depth-- {
		left, right := low+1, high
		if depth > 0 || right-left < 5 {
			s.medianOfThree(low, low+(high-low)/2, high)
		} else {
			s.swap(left+s.medianOfMedians(left, right-left), low)
			left--
			right++
		}
		pivot := s.at(low)
		for {
			for left++; less(s.at(left), pivot); left++ {
			}
			for right--; less(pivot, s.at(right)); right-- {
			}
			if right < left {
				break
			}
			s.swap(left, right)
		}
		s.swap(low, right)
		if right >= k {
			high = right - 1
		}
		if right <= k {
			low = left
		}
	}
	if high == low+1 && less(s.at(high), s.at(low)) {
		s.swap(high, low)
	}
}

// less orders NaN last.
func less(a, b float64) bool { return a < b || b != b && a == a } //nolint:staticcheck // NaN differs from itself

type selection struct {
	values []float64
	order  []int32
}

func (s selection) at(i int) float64 { return s.values[s.order[i]] }

func (s selection) swap(i, j int) { s.order[i], s.order[j] = s.order[j], s.order[i] }

// few puts the k smallest first, one after the other.
func (s selection) few(order []int32, k int) {
	for i := range min(k, len(order)) {
		least := i
		for j := i + 1; j < len(order); j++ {
			if less(s.values[order[j]], s.values[order[least]]) {
				least = j
			}
		}
		order[i], order[least] = order[least], order[i]
	}
}

// last puts the largest last.
func (s selection) last(k int) {
	most := 0
	for i := 1; i < len(s.order); i++ {
		if !less(s.at(i), s.at(most)) {
			most = i
		}
	}
	s.swap(k, most)
}

// medianOfThree moves the median to low and the least to low+1.
func (s selection) medianOfThree(low, mid, high int) {
	if less(s.at(high), s.at(mid)) {
		s.swap(high, mid)
	}
	if less(s.at(high), s.at(low)) {
		s.swap(high, low)
	}
	if less(s.at(low), s.at(mid)) {
		s.swap(low, mid)
	}
	s.swap(mid, low+1)
}

// medianOfMedians returns the place, from first on, of a value near the median
// of n: it bounds the time where the median of three makes no progress.
func (s selection) medianOfMedians(first, n int) int {
	groups := n / 5
	for i := range groups {
		at := first + 5*i
		five := s.order[at : at+5]
		s.few(five, 3)
		s.swap(at+2, first+i)
	}
	if groups > 2 {
		medians := selection{s.values, s.order[first : first+groups]}
		medians.few(medians.order, groups/2+1)
	}
	return groups / 2
}
