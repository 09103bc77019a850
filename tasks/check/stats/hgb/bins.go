package hgb

import (
	"math"

	"aloft/tasks/check/stats"
)

// almostInfinite bounds the edges between bins, so that infinite values have
// bins of their own.
const almostInfinite = 1e300

func newFeature(values []float64, rows []int32, categorical bool) feature {
	if categorical {
		return categories(values, rows)
	}
	sorted := make([]float64, 0, len(rows))
	for _, r := range rows {
		if v := values[r]; !math.IsNaN(v) {
			sorted = append(sorted, v)
		}
	}
	stats.SortFloats(sorted)
	edges := edgesOf(sorted)
	for i, e := range edges {
		switch {
		case math.IsNaN(e): // between the two infinities
			edges[i] = 0
		case e > almostInfinite:
			edges[i] = almostInfinite
		}
	}
	return feature{edges: edges, bins: len(edges) + 1}
}

// edgesOf returns the midpoints between distinct values, or 254 percentiles
// when there are more than 255 of them.
func edgesOf(sorted []float64) []float64 {
	var distinct []float64
	for i, v := range sorted {
		if i == 0 || v != sorted[i-1] {
			if len(distinct) == maxBins {
				return percentiles(sorted)
			}
			distinct = append(distinct, v)
		}
	}
	if len(distinct) < 2 {
		return nil
	}
	edges := make([]float64, len(distinct)-1)
	for i := range edges {
		edges[i] = (distinct[i] + distinct[i+1]) * 0.5
	}
	return edges
}

// percentiles returns edges at equal steps of rank, each in the middle of its
// two neighbours.
func percentiles(sorted []float64) []float64 {
	edges := make([]float64, maxBins-1)
	const step = 100. / maxBins
	for i := range edges {
		at := float64(i+1) * step / 100 * float64(len(sorted)-1)
		low, high := sorted[int(math.Floor(at))], sorted[int(math.Ceil(at))]
		edges[i] = low
		if low != high {
			edges[i] = high - (high-low)*0.5
		}
	}
	return edges
}

func categories(values []float64, rows []int32) feature {
	var seen [maxBins]bool
	for _, r := range rows {
		seen[int(values[r])] = true
	}
	f := feature{categorical: true}
	for code, is := range seen {
		if is {
			f.edges = append(f.edges, float64(code))
		}
	}
	f.bins = len(f.edges)
	return f
}

// bin finds the bins of rows.
func (f *feature) bin(values []float64, rows []int32) []uint8 {
	out := make([]uint8, len(rows))
	if f.categorical {
		var of [maxBins + 1]uint8
		for i := range of {
			of[i] = missingBin
		}
		for i, code := range f.edges {
			of[int(code)] = uint8(i)
		}
		for i, r := range rows {
			out[i] = of[int(values[r])]
		}
		return out
	}
	// A search of fixed length without branches to guess wrongly.
	var edges [maxBins + 1]float64
	for i := range edges {
		edges[i] = math.Inf(1)
	}
	copy(edges[:], f.edges)
	for i, r := range rows {
		v := values[r]
		if math.IsNaN(v) {
			out[i] = missingBin
			continue
		}
		at := 0
		for step := (maxBins + 1) / 2; step > 0; step /= 2 {
			if edges[at+step-1] < v {
				at += step
			}
		}
		out[i] = uint8(at)
	}
	return out
}
