package stats

// Total adds numbers in the order that numpy does: eight running sums over
// blocks of up to 128, and the blocks in pairs. Its rounding is that of numpy,
// which shows where the sum nearly cancels.
func Total(values []float64) float64 {
	n := len(values)
	switch {
	case n < 8:
		sum := 0.0
		for _, v := range values {
			sum += v
		}
		return sum
	case n <= 128:
		var r [8]float64
		copy(r[:], values)
		i := 8
		for ; i+8 <= n; i += 8 {
			for k := range r {
				r[k] += values[i+k]
			}
		}
		sum := ((r[0] + r[1]) + (r[2] + r[3])) + ((r[4] + r[5]) + (r[6] + r[7]))
		for ; i < n; i++ {
			sum += values[i]
		}
		return sum
	}
	half := n / 2
	half -= half % 8
	return Total(values[:half]) + Total(values[half:])
}
