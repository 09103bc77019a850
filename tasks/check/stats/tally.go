package stats

// Tally counts the outcomes of one class against all others.
type Tally struct{ TP, FP, FN, TN int }

// Tallies counts outcomes per class. True and predicted labels are numbers of
// classes; a number outside 0 to k-1 is a label that the model does not know,
// right or wrong for none of its classes.
func Tallies(truth, predicted []int32, k int) []Tally {
	out := make([]Tally, k)
	for i, y := range truth {
		p := predicted[i]
		if y == p {
			if y >= 0 && int(y) < k {
				out[y].TP++
			}
			continue
		}
		if y >= 0 && int(y) < k {
			out[y].FN++
		}
		if p >= 0 && int(p) < k {
			out[p].FP++
		}
	}
	for c := range out {
		out[c].TN = len(truth) - out[c].TP - out[c].FP - out[c].FN
	}
	return out
}

// Sum adds the tallies of all classes, for micro averages.
func Sum(tallies []Tally) Tally {
	var s Tally
	for _, t := range tallies {
		s.TP, s.FP, s.FN, s.TN = s.TP+t.TP, s.FP+t.FP, s.FN+t.FN, s.TN+t.TN
	}
	return s
}

// Support counts the rows of the class.
func (t Tally) Support() int { return t.TP + t.FN }

// Precision is TP/(TP+FP). Like all rates here it is 0 where it would divide
// by zero.
func (t Tally) Precision() float64 { return ratio(t.TP, t.TP+t.FP) }

// Recall is TP/(TP+FN).
func (t Tally) Recall() float64 { return ratio(t.TP, t.TP+t.FN) }

// F1 is 2TP/(2TP+FP+FN).
func (t Tally) F1() float64 { return ratio(2*t.TP, 2*t.TP+t.FP+t.FN) }

// Jaccard is TP/(TP+FP+FN).
func (t Tally) Jaccard() float64 { return ratio(t.TP, t.TP+t.FP+t.FN) }

// FPR is FP/(FP+TN).
func (t Tally) FPR() float64 { return ratio(t.FP, t.FP+t.TN) }

// FNR is FN/(FN+TP).
func (t Tally) FNR() float64 { return ratio(t.FN, t.FN+t.TP) }

// TNR is TN/(TN+FP).
func (t Tally) TNR() float64 { return ratio(t.TN, t.TN+t.FP) }

// SwappedFPR is FP/(FP+TP), what deepchecks computes for FPR.
func (t Tally) SwappedFPR() float64 { return ratio(t.FP, t.FP+t.TP) }

// SwappedFNR is FN/(FN+TN), what deepchecks computes for FNR.
func (t Tally) SwappedFNR() float64 { return ratio(t.FN, t.FN+t.TN) }

// SwappedTNR is TP/(TP+FP), what deepchecks computes for TNR.
func (t Tally) SwappedTNR() float64 { return ratio(t.TP, t.TP+t.FP) }

func ratio(a, b int) float64 {
	if b == 0 {
		return 0
	}
	return float64(a) / float64(b)
}
