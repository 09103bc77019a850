package frame

import (
	"cmp"
	"math/bits"
	"slices"
	"strings"
)

// Groups are rows of a table put together by equal cells.
type Groups struct {
	// Of holds the group of each row asked for, in their order.
	Of []int32
	// First holds a row of each group: its first in the order asked for.
	First []int32
	// Size counts the rows of each group.
	Size []int32
}

// GroupRows puts together the rows whose cells in all columns are equal;
// missing cells equal each other. Groups are numbered in order of appearance.
// It takes time and memory linear in the number of cells.
func GroupRows(columns []*Column, rows []int32) Groups {
	hashes := rowHashes(columns, rows)
	slots := make([]int32, 1<<bits.Len(uint(2*len(rows)))) // group + 1; 0 is free
	mask := uint64(len(slots) - 1)
	g := Groups{Of: make([]int32, len(rows))}
	var hashOf []uint64
	for i, r := range rows {
		h := hashes[i]
		for at := h & mask; ; at = (at + 1) & mask {
			k := slots[at] - 1
			if k < 0 {
				k = int32(len(g.First))
				slots[at] = k + 1
				g.First, g.Size, hashOf = append(g.First, r), append(g.Size, 1), append(hashOf, h)
				g.Of[i] = k
				break
			}
			if hashOf[k] == h && equalRows(columns, g.First[k], r) {
				g.Size[k]++
				g.Of[i] = k
				break
			}
		}
	}
	return g
}

func rowHashes(columns []*Column, rows []int32) []uint64 {
	hashes := make([]uint64, len(rows))
	for _, c := range columns {
		switch {
		case c.nulls != nil:
			for i, r := range rows {
				v := uint64(0x9e3779b97f4a7c15) // a missing cell
				if c.nulls[r] == 0 {
					v = c.Bits(int(r))
				}
				hashes[i] = mix(hashes[i]*3 + v)
			}
		case c.kind == Float:
			for i, r := range rows {
				hashes[i] = mix(hashes[i]*3 + floatBits(c.floats[r]))
			}
		case c.kind == Text:
			for i, r := range rows {
				hashes[i] = mix(hashes[i]*3 + uint64(c.codes[r]))
			}
		default:
			for i, r := range rows {
				hashes[i] = mix(hashes[i]*3 + uint64(c.ints[r]))
			}
		}
	}
	return hashes
}

// mix spreads a number over all bits (the finaliser of splitmix64).
func mix(z uint64) uint64 {
	z += 0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

func equalRows(columns []*Column, a, b int32) bool {
	if a == b {
		return true
	}
	for _, c := range columns {
		na, nb := c.IsNull(int(a)), c.IsNull(int(b))
		if na != nb || !na && c.Bits(int(a)) != c.Bits(int(b)) {
			return false
		}
	}
	return true
}

// Distinct counts the distinct present cells of the rows, and the missing.
func (c *Column) Distinct(rows []int32) (distinct, nulls int) {
	if c.kind == Text {
		seen := make([]bool, len(c.dict))
		for _, r := range rows {
			switch {
			case c.IsNull(int(r)):
				nulls++
			case !seen[c.codes[r]]:
				seen[c.codes[r]] = true
				distinct++
			}
		}
		return distinct, nulls
	}
	var seen bitSet
	for _, r := range rows {
		switch {
		case c.IsNull(int(r)):
			nulls++
		case c.kind == Float:
			seen.add(floatBits(c.floats[r]))
		default:
			seen.add(uint64(c.ints[r]))
		}
	}
	return seen.n, nulls
}

// bitSet is a set of numbers that grows with what it holds.
type bitSet struct {
	slots []uint64 // 0 is free
	zero  bool     // whether it holds 0
	n     int
}

func (s *bitSet) add(v uint64) {
	if v == 0 {
		if !s.zero {
			s.zero = true
			s.n++
		}
		return
	}
	if 2*s.n >= len(s.slots) {
		old := s.slots
		s.slots = make([]uint64, max(2*len(old), 64))
		for _, v := range old {
			if v != 0 {
				s.slots[s.find(v)] = v
			}
		}
	}
	if at := s.find(v); s.slots[at] == 0 {
		s.slots[at] = v
		s.n++
	}
}

// find returns the slot of a number, or where it belongs.
func (s *bitSet) find(v uint64) int {
	mask := uint64(len(s.slots) - 1)
	i := mix(v) & mask
	for s.slots[i] != 0 && s.slots[i] != v {
		i = (i + 1) & mask
	}
	return int(i)
}

// Order returns a function that compares two rows by their cells, column by
// column: numbers by size, text by code point, missing cells last.
func Order(columns []*Column) func(a, b int32) int {
	ranks := make([][]int32, len(columns))
	for i, c := range columns {
		if c.kind == Text {
			ranks[i] = textRanks(c.dict)
		}
	}
	return func(a, b int32) int {
		for i, c := range columns {
			na, nb := c.IsNull(int(a)), c.IsNull(int(b))
			switch {
			case na && nb:
				continue
			case na:
				return 1
			case nb:
				return -1
			}
			d := 0
			switch c.kind {
			case Text:
				d = cmp.Compare(ranks[i][c.codes[a]], ranks[i][c.codes[b]])
			case Float:
				d = cmp.Compare(c.floats[a], c.floats[b])
			default:
				d = cmp.Compare(c.ints[a], c.ints[b])
			}
			if d != 0 {
				return d
			}
		}
		return 0
	}
}

func textRanks(dict []string) []int32 {
	order := make([]int32, len(dict))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortFunc(order, func(a, b int32) int { return strings.Compare(dict[a], dict[b]) })
	ranks := make([]int32, len(dict))
	for rank, code := range order {
		ranks[code] = int32(rank)
	}
	return ranks
}
