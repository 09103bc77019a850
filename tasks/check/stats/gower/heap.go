package gower

import "slices"

// entry is a neighbour.
type entry struct {
	distance float64
	row      int32
}

// before orders entries by distance, then by row.
func (e entry) before(o entry) bool {
	return e.distance < o.distance || e.distance == o.distance && e.row < o.row
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
	if !e.before(h.entries[0]) {
		return
	}
	h.entries[0] = e
	h.down(0)
	h.limit = h.entries[0].distance
}

func (h *heap) down(i int) {
	entries := h.entries
	moved := entries[i]
	for {
		child := 2*i + 1
		if child >= len(entries) {
			break
		}
		if child+1 < len(entries) && entries[child].before(entries[child+1]) {
			child++
		}
		if !moved.before(entries[child]) {
			break
		}
		entries[i] = entries[child]
		i = child
	}
	entries[i] = moved
}

func (h *heap) sorted() []entry {
	slices.SortFunc(h.entries, func(a, b entry) int {
		switch {
		case a.before(b):
			return -1
		case b.before(a):
			return 1
		default:
			return 0
		}
	})
	return h.entries
}
