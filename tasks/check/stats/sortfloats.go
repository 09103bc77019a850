package stats

import (
	"math"
	"slices"
)

// radixDigit is the number of bits that one pass of SortFloats sorts by, and
// radixPasses how many passes there are: they cover the sign, the exponent and
// the upper 21 bits of the fraction, by which most numbers differ.
const (
	radixDigit  = 11
	radixPasses = 3
	radixLow    = 64 - radixDigit*radixPasses // bits left to comparisons
	radixSmall  = 600                         // below this length comparisons alone are faster
)

// SortFloats sorts numbers ascending. Long columns are sorted by digits of
// their bits, in time linear in their count unless most numbers agree to six
// decimal digits. NaN sorts nowhere in particular; leave it out.
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
			counts[p][k>>(radixLow+p*radixDigit)&(size-1)]++
		}
	}
	for p := range radixPasses {
		c := &counts[p]
		shift := radixLow + p*radixDigit
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
	sortRuns(keys)
	for i, k := range keys {
		if k>>63 == 1 {
			k ^= 1 << 63
		} else {
			k = ^k
		}
		values[i] = math.Float64frombits(k)
	}
}

// sortRuns sorts what the passes left in disorder: runs of keys that agree in
// their upper bits.
func sortRuns(keys []uint64) {
	for from := 0; from < len(keys); {
		to, ordered := from+1, true
		for to < len(keys) && keys[to]>>radixLow == keys[from]>>radixLow {
			ordered = ordered && keys[to] >= keys[to-1]
			to++
		}
		if !ordered {
			slices.Sort(keys[from:to])
		}
		from = to
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
