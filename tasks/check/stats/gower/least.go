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

// least puts the k least entries in order, and returns them.
func least(entries []entry, k int) []entry {
	for low, high := 0, len(entries)-1; low < high; { // Hoare's selection
		pivot := median(entries[low], entries[low+(high-low)/2], entries[high])
		i, j := low, high
		for i <= j {
			for entries[i].before(pivot) {
				i++
			}
			for pivot.before(entries[j]) {
				j--
			}
			if i <= j {
				entries[i], entries[j] = entries[j], entries[i]
				i++
				j--
			}
		}
		switch {
		case k-1 <= j:
			high = j
		case k-1 >= i:
			low = i
		default:
			low = high
		}
	}
	entries = entries[:k]
	slices.SortFunc(entries, func(a, b entry) int {
		switch {
		case a.before(b):
			return -1
		case b.before(a):
			return 1
		default:
			return 0
		}
	})
	return entries
}

func median(a, b, c entry) entry {
	if b.before(a) {
		a, b = b, a
	}
	switch {
	case c.before(a):
		return a
	case c.before(b):
		return c
	default:
		return b
	}
}
