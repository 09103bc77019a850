package gower

import (
	"math"
	"math/bits"
	"slices"
)

// levels is the number of steps between the least and the greatest value of a
// number in its coarse form, which leaves the highest bit of a byte free.
const levels = 127

// vector is how many words are compared at once.
const vector = 2

// coarse holds each row in bytes: its numbers in steps of their range, its
// categories of few values, and for each number, where some are missing,
// whether it is there; each part is padded with zeros to whole vectors. Few
// pairs of rows are near: the others are told by their coarse distance, which
// takes a small part of the time of the exact one.
type coarse struct {
	rows                []uint64
	stride              int // words of a row
	numbers, categories int // vectors of a row
	masked              bool
	slack               int // by which the distance may be longer or shorter than the coarse one
}

func newCoarse(s *search) coarse {
	vectors := func(bytes int) int { return (bytes + 8*vector - 1) / (8 * vector) }
	c := coarse{numbers: vectors(s.width), categories: vectors(8 * s.narrowWords), masked: s.holes != nil}
	masks := vector * (c.numbers + c.categories)
	c.stride = masks
	if c.masked {
		c.stride += vector * c.numbers
	}
	c.slack = s.width + 1 // of two numbers, each is off by half a step at most
	c.rows = make([]uint64, s.n*c.stride)
	for i := range s.n {
		row := c.rows[i*c.stride:][:c.stride]
		for f, v := range s.numbers[i*s.width : (i+1)*s.width] {
			word, shift := f/8, f%8*8
			if v > 0 { // which NaN is not
				row[word] |= uint64(math.Round(min(v, 1)*levels)) << shift
			}
			if c.masked && s.missing[i*s.words+f/64]>>(f%64)&1 == 0 {
				row[masks+word] |= 0xff << shift
			}
		}
		copy(row[vector*c.numbers:], s.narrow[i*s.narrowWords:(i+1)*s.narrowWords])
	}
	return c
}

// equal is what the coarse distance of two rows lacks: a category counts when
// it is the same, and with the opposite sign.
func (c *coarse) equal() int { return c.categories * 8 * vector * levels }

// span is the number of different coarse distances.
func (c *coarse) span() int { return (c.numbers+c.categories)*8*vector*levels + 1 }

// work is the space in which the neighbours of a row are found.
type work struct {
	chunk        []int32 // coarse distances of several rows
	coarse, near []int32 // of one row
	counts       []int32 // by coarse distance; all 0 between two rows
	distances    []float64
	entries      []entry
}

func (s *search) work() *work {
	return &work{
		chunk: make([]int32, chunk*s.n), near: make([]int32, s.n), counts: make([]int32, s.coarse.span()), distances: make([]float64, s.n),
	}
}

// glance takes the coarse distances of the rows from first to end.
func (s *search) glance(first, end int, w *work) {
	if s.coarse.stride == 0 {
		return // categories of many values are all there is
	}
	for from := 0; from < s.n; from += block {
		to := min(from+block, s.n)
		for i := first; i < end; i++ {
			s.coarse.compare(i, from, to, w.chunk[(i-first)*s.n+from:])
		}
	}
}

// near lists the rows that may be among the nearest of row i.
func (s *search) near(i int, w *work) []int32 {
	reach, n := s.reach(i, w), 0
	for j, d := range w.coarse {
		w.near[n] = int32(j) // kept or overwritten
		if d <= reach {
			n++
		}
	}
	return w.near[:n]
}

// reach is the greatest coarse distance that one of the nearest rows of row i
// may have.
func (s *search) reach(i int, w *work) int32 {
	if s.unbounded || s.poison && s.holes != nil {
		return math.MaxInt32 // some of the nearest have no distance
	}
	base := int32(s.coarse.equal())
	for _, d := range w.coarse {
		w.counts[d+base]++
	}
	kth, seen := 0, 0
	for ; seen < s.k; kth++ {
		seen += int(w.counts[kth])
	}
	clear(w.counts)
	// k rows are no farther than this, and none is nearer than its coarse
	// distance less the slack.
	far := float64(kth + s.coarse.slack + s.wideCount*levels)
	if s.lacking != nil {
		// Means are over all features at most, and over so many at least.
		fewest := s.features - float64(s.lacking[i]) - float64(slices.Max(s.lacking))
		if fewest <= 0 {
			return math.MaxInt32
		}
		far *= s.features / fewest
	}
	return int32(min(far+float64(s.coarse.slack)-float64(base), math.MaxInt32))
}

// comparePlain writes the coarse distances between row i and those from first
// to end.
func (c *coarse) comparePlain(i, first, end int, out []int32) {
	numbers, all := vector*c.numbers, vector*(c.numbers+c.categories)
	x := c.rows[i*c.stride:][:c.stride]
	for j := first; j < end; j++ {
		y := c.rows[j*c.stride:][:len(x)]
		sums := uint64(0)
		total := -int64(c.equal())
		for w, a := range x[:numbers] {
			b := y[w]
			if c.masked {
				both := x[all+w] & y[all+w]
				a, b = a&both, b&both
			}
			if sums += apart(a, b); w%128 == 127 { // before lanes overflow
				total += lanes(sums)
				sums = 0
			}
		}
		total += lanes(sums)
		for w, a := range x[numbers:all] {
			total += levels * int64(bits.OnesCount64(differingBytes(a^y[numbers+w])))
		}
		out[j-first] = int32(total)
	}
}

// apart returns the differences of the bytes of two words, none of which has
// its highest bit set, added up in pairs: four sums in lanes of 16 bits.
func apart(a, b uint64) uint64 {
	const high, ones, even = 0x8080808080808080, 0x0101010101010101, 0x00ff00ff00ff00ff
	d := (a | high) - b             // 128 + a − b in each byte
	less := ^d >> 7 & ones          // 1 where a < b
	d = (d&^high ^ 127*less) + less // a − b, or b − a − 1, and 1
	return d&even + d>>8&even
}

// lanes adds up lanes of 16 bits.
func lanes(sums uint64) int64 {
	return int64(sums&0xffff + sums>>16&0xffff + sums>>32&0xffff + sums>>48)
}
