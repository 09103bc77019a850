package stats_test

import (
	"math"
	"testing"

	"aloft/tasks/check/stats"
)

func TestEigen(t *testing.T) {
	t.Parallel()
	random := stats.NewRandom(7)
	for _, n := range []int{0, 1, 2, 3, 10, 41} {
		m := make([][]float64, n)
		for i := range m {
			m[i] = make([]float64, n)
			for j := range i + 1 {
				m[i][j] = random.Float64() - 0.5
				m[j][i] = m[i][j]
			}
		}
		values, vectors := stats.Eigen(m)
		for k, v := range vectors {
			if k > 0 && values[k] > values[k-1] {
				t.Errorf("n=%d: values are not sorted: %v", n, values)
			}
			length := 0.0
			for i := range n {
				length += v[i] * v[i]
				product := 0.0
				for j := range n {
					product += m[i][j] * v[j]
				}
				if math.Abs(product-values[k]*v[i]) > 1e-10 {
					t.Errorf("n=%d: vector %d, row %d: %v, want %v", n, k, i, product, values[k]*v[i])
				}
			}
			if math.Abs(length-1) > 1e-10 {
				t.Errorf("n=%d: vector %d has length %v", n, k, length)
			}
		}
	}
}

func TestTotal(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 5, 8, 100, 129, 1000} {
		values := make([]float64, n)
		for i := range values {
			values[i] = float64(i)
		}
		if got, want := stats.Total(values), float64(n*(n-1)/2); got != want {
			t.Errorf("n=%d: %v, want %v", n, got, want)
		}
	}
}
