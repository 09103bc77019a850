package tree

// numberSums sums targets for SquaredError cuts.
type numberSums struct {
	values  []float64
	weights []float64
	sum     float64 // of the node
	squares float64
}

func (s *numberSums) reset(values, weights []float64) { s.values, s.weights = values, weights }

func (s *numberSums) weighted(row int32) (w, wy float64) {
	if s.weights == nil {
		return 1, s.values[row]
	}
	w = s.weights[row]
	return w, w * s.values[row]
}

func (s *numberSums) measure(rows []int32) (total float64) {
	s.sum, s.squares = 0, 0
	for _, r := range rows {
		w, wy := s.weighted(r)
		s.sum += wy
		s.squares += wy * s.values[r]
		total += w
	}
	return total
}

// scan finds the best cut of rows sorted by x that beats the gain given. The
// sum of the left side is carried forward, or taken from the end where that is
// nearer, so that rounding is as in scikit-learn.
func (s *numberSums) scan(rows []int32, x []float32, minRows int, total, minWeight, beat float64) cut {
	best := cut{gain: beat}
	n, from := len(rows), 0
	sum, wl := 0.0, 0.0
	at := x[rows[0]]
	for p := 1; p < n; p++ {
		before := at
		at = x[rows[p]]
		if at <= before+minGap || p < minRows || n-p < minRows {
			continue
		}
		if p-from <= n-p {
			for _, r := range rows[from:p] {
				w, wy := s.weighted(r)
				sum += wy
				wl += w
			}
		} else {
			sum, wl = s.sum, total
			for i := n - 1; i >= p; i-- {
				w, wy := s.weighted(rows[i])
				sum -= wy
				wl -= w
			}
		}
		from = p
		wr := total - wl
		if wl < minWeight || wr < minWeight {
			continue
		}
		rest := s.sum - sum
		gain := sum*sum/wl + rest*rest/wr
		if gain > best.gain {
			best.gain, best.rows = gain, p
		}
	}
	return best
}

// children returns the impurity of the left rows and of the rest, and the
// weight of the left.
func (s *numberSums) children(left []int32, total float64) (il, ir, wl float64) {
	sum, squares := 0.0, 0.0
	for _, r := range left {
		w, wy := s.weighted(r)
		sum += wy
		squares += wy * s.values[r]
		wl += w
	}
	wr := total - wl
	a, b := sum/wl, (s.sum-sum)/wr
	return noNaN(squares/wl - a*a), noNaN((s.squares-squares)/wr - b*b), wl
}
