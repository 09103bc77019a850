package stats

import "math/bits"

// smallSort is the span below which Argsort inserts rather than partitions.
const smallSort = 15

// Argsort returns the order that sorts values ascending as numpy's default
// argsort of integers does: an introspective quicksort with the median of
// three, unstable, so equal values come out in an order that is fixed but
// arbitrary. It exists to reproduce orders made by pandas; use the slices
// package for anything else.
func Argsort(values []int) []int32 {
	order := make([]int32, len(values))
	for i := range order {
		order[i] = int32(i)
	}
	if len(values) < 2 {
		return order
	}
	type span struct{ lo, hi, depth int }
	pending := []span{{0, len(values) - 1, 2 * (bits.Len(uint(len(values))) - 1)}}
	less := func(a, b int32) bool { return values[a] < values[b] }
	for len(pending) > 0 {
		s := pending[len(pending)-1]
		pending = pending[:len(pending)-1]
		if s.depth < 0 {
			heapArgsort(order[s.lo:s.hi+1], less)
			continue
		}
		for s.hi-s.lo > smallSort {
			cut := partition(order, s.lo, s.hi, values)
			s.depth--
			if cut-s.lo < s.hi-cut {
				pending = append(pending, span{cut + 1, s.hi, s.depth})
				s.hi = cut - 1
			} else {
				pending = append(pending, span{s.lo, cut - 1, s.depth})
				s.lo = cut + 1
			}
		}
		for i := s.lo + 1; i <= s.hi; i++ {
			moved, j := order[i], i
			for j > s.lo && less(moved, order[j-1]) {
				order[j] = order[j-1]
				j--
			}
			order[j] = moved
		}
	}
	return order
}

// partition splits order[lo:hi+1] around the median of its first, middle and
// last entry and returns where the median came to lie.
func partition(order []int32, lo, hi int, values []int) int {
	mid := lo + (hi-lo)>>1
	swap := func(a, b int) { order[a], order[b] = order[b], order[a] }
	at := func(i int) int { return values[order[i]] }
	if at(mid) < at(lo) {
		swap(mid, lo)
	}
	if at(hi) < at(mid) {
		swap(hi, mid)
	}
	if at(mid) < at(lo) {
		swap(mid, lo)
	}
	pivot := at(mid)
	i, j := lo, hi-1
	swap(mid, j)
	for {
		for i++; at(i) < pivot; i++ {
		}
		for j--; pivot < at(j); j-- {
		}
		if i >= j {
			break
		}
		swap(i, j)
	}
	swap(i, hi-1)
	return i
}

// heapArgsort bounds the worst case of Argsort.
func heapArgsort(a []int32, less func(a, b int32) bool) {
	n := len(a)
	sift := func(root, n int) {
		moved := a[root-1]
		i, j := root, 2*root
		for j <= n {
			if j < n && less(a[j-1], a[j]) {
				j++
			}
			if !less(moved, a[j-1]) {
				break
			}
			a[i-1] = a[j-1]
			i, j = j, 2*j
		}
		a[i-1] = moved
	}
	for l := n / 2; l > 0; l-- {
		sift(l, n)
	}
	for n > 1 {
		a[0], a[n-1] = a[n-1], a[0]
		n--
		sift(1, n)
	}
}
