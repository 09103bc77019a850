package stats

import (
	"cmp"
	"math"
	"slices"
)

// Curve is a receiver operating characteristic: false and true positive rates
// at falling thresholds, from (0, 0) to (1, 1). Rows of equal score form one
// step.
type Curve struct {
	FPR, TPR, Threshold []float64
}

// ROC computes the curve of scores against truth (true is the positive
// class). Without rows of both classes the rates of the absent one are NaN.
func ROC(truth []bool, score []float64) Curve {
	steps := tallies(truth, score)
	last := steps[len(steps)-1]
	c := Curve{}
	for _, s := range steps {
		c.FPR = append(c.FPR, rate(s.fp, last.fp))
		c.TPR = append(c.TPR, rate(s.tp, last.tp))
		c.Threshold = append(c.Threshold, s.score)
	}
	return c
}

// AUC is the area under the curve by the trapezoid rule.
func (c Curve) AUC() float64 {
	sum := 0.0
	for i := 1; i < len(c.FPR); i++ {
		sum += (c.FPR[i] - c.FPR[i-1]) * (c.TPR[i] + c.TPR[i-1]) / 2
	}
	return sum
}

// Youden returns the index of the point where true minus false positive rate
// is largest, the first of equals.
func (c Curve) Youden() int {
	best := 0
	for i := range c.FPR {
		if c.TPR[i]-c.FPR[i] > c.TPR[best]-c.FPR[best] {
			best = i
		}
	}
	return best
}

// AUC is the area under the ROC curve, NaN unless both classes occur. It
// equals the chance that a positive scores above a negative, ties counting
// half.
func AUC(truth []bool, score []float64) float64 {
	steps := tallies(truth, score)
	last := steps[len(steps)-1]
	if last.tp == 0 || last.fp == 0 {
		return math.NaN()
	}
	area, prev := 0.0, step{}
	for _, s := range steps {
		area += float64(s.fp-prev.fp) * float64(s.tp+prev.tp) / 2
		prev = s
	}
	return area / (float64(last.tp) * float64(last.fp))
}

// AveragePrecision is the sum over thresholds of precision times the recall
// gained there; 0 without a positive row.
func AveragePrecision(truth []bool, score []float64) float64 {
	steps := tallies(truth, score)
	last := steps[len(steps)-1]
	if last.tp == 0 {
		return 0
	}
	sum, prev := 0.0, step{}
	for _, s := range steps[1:] {
		precision := float64(s.tp) / float64(s.tp+s.fp)
		sum += precision * float64(s.tp-prev.tp) / float64(last.tp)
		prev = s
	}
	return sum
}

// step counts the rows at or above a threshold.
type step struct {
	tp, fp int
	score  float64
}

func tallies(truth []bool, score []float64) []step {
	order := make([]int32, len(score))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortFunc(order, func(a, b int32) int { return cmp.Compare(score[b], score[a]) })
	steps := []step{{score: math.Inf(1)}}
	cur := step{}
	for i, at := range order {
		if truth[at] {
			cur.tp++
		} else {
			cur.fp++
		}
		if i+1 == len(order) || score[order[i+1]] != score[at] {
			cur.score = score[at]
			steps = append(steps, cur)
		}
	}
	return steps
}

func rate(n, total int) float64 {
	if total == 0 {
		return math.NaN()
	}
	return float64(n) / float64(total)
}
