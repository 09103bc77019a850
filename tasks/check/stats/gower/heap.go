package gower

import (
	"cmp"
	"slices"
)

// entry is a neighbour.
type entry struct {
	distance float64
	row      int32
}

func compare(a, b entry) int {
	return cmp.Or(cmp.Compare(a.distance, b.distance), cmp.Compare(a.row, b.row))
}

// heap keeps the nearest entries, the farthest of them on top.
type heap struct {
	entries []entry
	limit   float64 // no entry farther away is of interest
}

func (h *heap) add(e entry, k int) {
	if len(h.entries) < k {
		h.entries = append(h.entries, e)
		if len(h.entries) == k {
			for i := k/2 - 1; i >= 0; i-- {
				h.down(i)
			}
			h.limit = h.entries[0].distance
		}
		return
	}
	if compare(e, h.entries[0]) >= 0 {
		return
	}
	h.entries[0] = e
	h.down(0)
	h.limit = h.entries[0].distance
}

func (h *heap) down(i int) {
	n := len(h.entries)
	for {
		child := 2*i + 1
		if child >= n {
			return
		}
		if child+1 < n && compare(h.entries[child+1], h.entries[child]) > 0 {
			child++
		}
		if compare(h.entries[child], h.entries[i]) <= 0 {
			return
		}
		h.entries[i], h.entries[child] = h.entries[child], h.entries[i]
		i = child
	}
}

func (h *heap) sorted() []entry {
	slices.SortFunc(h.entries, compare)
	return h.entries
}
