package gower

import "math"

// Outlying returns for each row the local outlier probability (LoOP, Kriegel
// et al. 2009): how much farther it is from its neighbours than they are from
// theirs, from 0 for a row like any other to 1. Extent is the number of
// standard deviations that a neighbourhood reaches.
func (n Neighbors) Outlying(extent float64) []float64 {
	rows := len(n.Rows)
	out := make([]float64, rows)
	reach := make([]float64, rows)
	for i, distances := range n.Distance {
		sum := 0.0
		for _, d := range distances {
			sum += d * d
		}
		reach[i] = extent * math.Sqrt(sum/float64(len(distances)))
	}
	expected := make([]float64, rows)
	alike := true
	for i, neighbors := range n.Rows {
		sum, known := 0.0, 0
		for _, j := range neighbors {
			if !math.IsNaN(reach[j]) {
				sum += reach[j]
				known++
			}
		}
		expected[i] = sum / float64(known)
		alike = alike && reach[i] == expected[i]
	}
	if alike {
		return out
	}
	squares := 0.0
	for i, e := range expected {
		if e == 0 {
			e = 1e-8
		}
		out[i] = reach[i]/e - 1
		squares += out[i] * out[i]
	}
	scale := extent * math.Sqrt(squares/float64(rows)) * math.Sqrt2
	for i, v := range out {
		out[i] = max(0, math.Erf(v/scale))
		if math.IsNaN(out[i]) {
			out[i] = 0
		}
	}
	return out
}
