package gower

import (
	"math"
	"math/bits"
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
	slack               int64 // by which the coarse distance may be too long
}

func newCoarse(s *search) coarse {
	vectors := func(bytes int) int { return (bytes + 8*vector - 1) / (8 * vector) }
	c := coarse{numbers: vectors(s.width), categories: vectors(8 * s.narrowWords), masked: s.holes != nil}
	masks := vector * (c.numbers + c.categories)
	c.stride = masks
	if c.masked {
		c.stride += vector * c.numbers
	}
	// Either number is off by half a step at most, the limit by one.
	c.slack = int64(s.width) + 1
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
func (c *coarse) equal() int64 { return int64(c.categories) * 8 * vector * levels }

// reach is the greatest coarse distance at which a row may be near enough.
func (s *search) reach(limit float64) int32 {
	if s.holes != nil {
		limit *= s.features // such distances are over all features, or fewer
	}
	if !(limit < math.MaxInt32/levels/2) {
		return math.MaxInt32
	}
	return int32(int64(limit*levels) + s.coarse.slack - s.coarse.equal())
}

// near lists the rows from first to end whose coarse distance to row i is
// within the reach of either.
func (s *search) near(i, first, end int, own int32, theirs, distances, out []int32) []int32 {
	if s.coarse.stride > 0 {
		s.coarse.compare(i, first, end, distances)
	} else {
		clear(distances) // categories of many values are all there is
	}
	n := 0
	out = out[:end-first]
	theirs = theirs[:len(out)]
	for j, d := range distances[:len(out)] {
		out[n] = int32(first + j) // kept or overwritten
		if d <= max(own, theirs[j]) {
			n++
		}
	}
	return out[:n]
}

// comparePlain writes the coarse distances between row i and those from first
// to end.
func (c *coarse) comparePlain(i, first, end int, out []int32) {
	numbers, all := vector*c.numbers, vector*(c.numbers+c.categories)
	x := c.rows[i*c.stride:][:c.stride]
	for j := first; j < end; j++ {
		y := c.rows[j*c.stride:][:len(x)]
		sums := uint64(0)
		total := -c.equal()
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
