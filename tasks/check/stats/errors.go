package stats

import (
	"math"
	"slices"
)

// MSE is the mean of (y − p)².
func MSE(y, p []float64) float64 {
	return mean(len(y), func(i int) float64 { return (y[i] - p[i]) * (y[i] - p[i]) })
}

// MAE is the mean of |y − p|.
func MAE(y, p []float64) float64 {
	return mean(len(y), func(i int) float64 { return math.Abs(y[i] - p[i]) })
}

// MaxError is the largest |y − p|.
func MaxError(y, p []float64) float64 {
	most := 0.0
	for i := range y {
		most = max(most, math.Abs(y[i]-p[i]))
	}
	return most
}

// MedianAbsoluteError is the median of |y − p|.
func MedianAbsoluteError(y, p []float64) float64 {
	d := make([]float64, len(y))
	for i := range y {
		d[i] = math.Abs(y[i] - p[i])
	}
	slices.Sort(d)
	n := len(d)
	switch {
	case n == 0:
		return math.NaN()
	case n%2 == 1:
		return d[n/2]
	default:
		return (d[n/2-1] + d[n/2]) / 2
	}
}

// R2 is 1 − Σ(y−p)²/Σ(y−ȳ)². For constant y it is 1 if all are met, else 0;
// it is NaN under two rows.
func R2(y, p []float64) float64 {
	if len(y) < 2 {
		return math.NaN()
	}
	return explained(MSE(y, p), variance(y))
}

// ExplainedVariance is 1 − Var(y−p)/Var(y), with R2's rule for constant y.
func ExplainedVariance(y, p []float64) float64 {
	d := make([]float64, len(y))
	for i := range y {
		d[i] = y[i] - p[i]
	}
	return explained(variance(d), variance(y))
}

// MeanSquaredLogError is the mean of (ln(1+y) − ln(1+p))², NaN if any number
// is below zero.
func MeanSquaredLogError(y, p []float64) float64 {
	if slices.Min(y) < 0 || slices.Min(p) < 0 {
		return math.NaN()
	}
	return mean(len(y), func(i int) float64 {
		d := math.Log1p(y[i]) - math.Log1p(p[i])
		return d * d
	})
}

// PoissonDeviance is the mean of 2(y ln(y/p) − y + p), NaN where it is not
// defined: y below 0 or p not above 0.
func PoissonDeviance(y, p []float64) float64 {
	if slices.Min(y) < 0 || slices.Min(p) <= 0 {
		return math.NaN()
	}
	return mean(len(y), func(i int) float64 {
		d := p[i] - y[i]
		if y[i] > 0 {
			d += y[i] * math.Log(y[i]/p[i])
		}
		return 2 * d
	})
}

// GammaDeviance is the mean of 2(ln(p/y) + y/p − 1), NaN where it is not
// defined: y or p not above 0.
func GammaDeviance(y, p []float64) float64 {
	if slices.Min(y) <= 0 || slices.Min(p) <= 0 {
		return math.NaN()
	}
	return mean(len(y), func(i int) float64 { return 2 * (math.Log(p[i]/y[i]) + y[i]/p[i] - 1) })
}

func explained(residual, total float64) float64 {
	switch {
	case total != 0:
		return 1 - residual/total
	case residual == 0:
		return 1
	default:
		return 0
	}
}

func variance(v []float64) float64 {
	m := mean(len(v), func(i int) float64 { return v[i] })
	return mean(len(v), func(i int) float64 { return (v[i] - m) * (v[i] - m) })
}

// mean averages f(0) to f(n-1) with compensated summation (Neumaier), so that
// a million terms lose no digits.
func mean(n int, f func(int) float64) float64 {
	if n == 0 {
		return math.NaN()
	}
	sum, lost := 0.0, 0.0
	for i := range n {
		v := f(i)
		t := sum + v
		if math.Abs(sum) >= math.Abs(v) {
			lost += sum - t + v
		} else {
			lost += v - t + sum
		}
		sum = t
	}
	return (sum + lost) / float64(n)
}
