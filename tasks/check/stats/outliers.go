package stats

import (
	"math"
	"slices"
)

// IQRLimits returns the range outside which numbers are outliers: scale times
// the distance between two percentiles (lo and hi, 0 to 100) beyond them. When
// the percentiles coincide, most numbers are equal: those outside then are all
// the others, if the most frequent has more than sharpDrop of the numbers, and
// else what is far compared with its nearest neighbour. The numbers are sorted
// ascending and not none.
func IQRLimits(sorted []float64, lo, hi, scale, sharpDrop float64) (low, high float64) {
	q1, q2 := SortedQuantile(sorted, lo/100), SortedQuantile(sorted, hi/100)
	if q1 != q2 {
		return q1 - scale*(q2-q1), q2 + scale*(q2-q1)
	}
	share := float64(mostFrequent(sorted)) / float64(len(sorted))
	const tiny = 0.001
	if share > sharpDrop {
		return q1 - tiny, q1 + tiny
	}
	closest := math.Inf(1)
	for _, v := range sorted {
		if v != q1 {
			closest = min(closest, math.Abs(v-q1))
		}
	}
	width := closest * (sharpDrop + (scale-1)*(1-share))
	return q1 - width, q1 + width
}

// mostFrequent counts the longest run of equal numbers.
func mostFrequent(sorted []float64) int {
	most, run := 0, 0
	for i, v := range sorted {
		if i > 0 && v == sorted[i-1] {
			run++
		} else {
			run = 1
		}
		most = max(most, run)
	}
	return most
}

// SharpDrop finds where shares of categories fall off once they cover 95 % of
// the rows: categories with at most the share returned are outliers. It
// returns false when the shares do not drop by dropRatio anywhere.
func SharpDrop(shares []float64, dropRatio float64) (float64, bool) {
	const covered = 0.95
	s := slices.Clone(shares)
	slices.SortFunc(s, func(a, b float64) int {
		switch {
		case a > b:
			return -1
		case a < b:
			return 1
		}
		return 0
	})
	sum := 0.0
	for i := 0; i+1 < len(s); i++ {
		sum += s[i]
		if sum >= covered && 1-s[i+1]/s[i] >= dropRatio {
			return s[i+1], true
		}
	}
	return 0, false
}
