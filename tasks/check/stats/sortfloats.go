package stats

import (
	"math"
	"slices"
)

// radixDigit is the number of bits that one pass of SortFloats sorts by, and
// radixPasses how many passes cover a float64.
const (
	radixDigit  = 11
	radixPasses = 6
	radixSmall  = 600 // below this length comparisons are faster
)

// SortFloats sorts numbers ascending in time linear in their count: long
// columns are sorted by digits of their bits. NaN sorts nowhere in particular;
// leave it out.
func SortFloats(values []float64) {
	if len(values) < radixSmall {
		slices.Sort(values)
		return
	}
	const size = 1 << radixDigit
	var counts [radixPasses][size]int32
	keys, spare := make([]uint64, len(values)), make([]uint64, len(values))
	for i, v := range values {
		k := orderedBits(v)
		keys[i] = k
		for p := range radixPasses {
			counts[p][k>>(p*radixDigit)&(size-1)]++
		}
	}
	for p := range radixPasses {
		c := &counts[p]
		shift := p * radixDigit
		if c[keys[0]>>shift&(size-1)] == int32(len(keys)) {
			continue // all numbers share this digit
		}
		at := int32(0)
		for d := range c {
			c[d], at = at, at+c[d]
		}
		for _, k := range keys {
			d := k >> shift & (size - 1)
			spare[c[d]] = k
			c[d]++
		}
		keys, spare = spare, keys
	}
	for i, k := range keys {
		if k>>63 == 1 {
			k ^= 1 << 63
		} else {
			k = ^k
		}
		values[i] = math.Float64frombits(k)
	}
}

// orderedBits maps a number to bits that order as the numbers do.
func orderedBits(v float64) uint64 {
	k := math.Float64bits(v)
	if k>>63 == 1 {
		return ^k
	}
	return k | 1<<63
}
