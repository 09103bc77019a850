package frame

import (
	"math/bits"
	"slices"
)

// Selection says which rows of a large table are kept in memory: those that
// some sample takes. The zero Selection cannot be used.
type Selection struct {
	total  int
	rows   []int32 // kept, ascending
	words  []uint64
	before []int32 // kept rows before each word
	orders map[int][]int32
}

// NewSelection makes the selection of the rows that the samples hold, out of
// total rows. The samples are lists of row numbers by seed.
func NewSelection(total int, samples map[int][]int32) *Selection {
	s := &Selection{total: total, words: make([]uint64, total/64+1), orders: make(map[int][]int32, len(samples))}
	for _, rows := range samples {
		for _, r := range rows {
			s.words[r>>6] |= 1 << (r & 63)
		}
	}
	s.before = make([]int32, len(s.words))
	kept := 0
	for i, w := range s.words {
		s.before[i] = int32(kept)
		kept += bits.OnesCount64(w)
	}
	s.rows = make([]int32, 0, kept)
	for i, w := range s.words {
		for ; w != 0; w &= w - 1 {
			s.rows = append(s.rows, int32(i<<6+bits.TrailingZeros64(w)))
		}
	}
	for seed, rows := range samples {
		order := make([]int32, len(rows))
		for i, r := range rows {
			order[i] = s.before[r>>6] + int32(bits.OnesCount64(s.words[r>>6]&(1<<(r&63)-1)))
		}
		s.orders[seed] = order
	}
	return s
}

// Kept returns the number of rows kept.
func (s *Selection) Kept() int { return len(s.rows) }

// Order returns the sample of a seed as positions among the kept rows, and
// whether there is one.
func (s *Selection) Order(seed int) ([]int32, bool) {
	order, ok := s.orders[seed]
	return order, ok
}

// within returns the kept rows of n rows from first, as offsets from it, in
// buf. Without a selection every row is kept, which nil stands for.
func (s *Selection) within(first, n int, buf []int32) []int32 {
	if s == nil {
		return nil
	}
	at, _ := slices.BinarySearch(s.rows, int32(first))
	buf = buf[:0]
	for ; at < len(s.rows) && int(s.rows[at]) < first+n; at++ {
		buf = append(buf, s.rows[at]-int32(first))
	}
	if buf == nil {
		buf = []int32{}
	}
	return buf
}
