package stats

import (
	"cmp"
	"math"
	"slices"
)

// Eigen returns the eigenvectors of a symmetric matrix by falling eigenvalue,
// with the eigenvalues: Householder's reduction to three diagonals, then the
// QL algorithm with implicit shifts. The matrix is not changed. Signs of
// vectors are arbitrary.
func Eigen(matrix [][]float64) (values []float64, vectors [][]float64) {
	n := len(matrix)
	v := make([][]float64, n)
	for i := range v {
		v[i] = slices.Clone(matrix[i])
	}
	d, e := make([]float64, n), make([]float64, n)
	tridiagonal(v, d, e)
	diagonal(v, d, e)
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(d[b], d[a]) })
	for _, k := range order {
		column := make([]float64, n)
		for i := range column {
			column[i] = v[i][k]
		}
		values, vectors = append(values, d[k]), append(vectors, column)
	}
	return values, vectors
}

// tridiagonal turns v into the transformation that makes it tridiagonal, with
// the diagonal in d and the other in e.
func tridiagonal(v [][]float64, d, e []float64) {
	n := len(d)
	if n == 0 {
		return
	}
	copy(d, v[n-1])
	for i := n - 1; i > 0; i-- {
		scale, h := 0.0, 0.0
		for k := range i {
			scale += math.Abs(d[k])
		}
		if scale == 0 {
			e[i] = d[i-1]
			for j := range i {
				d[j], v[i][j], v[j][i] = v[i-1][j], 0, 0
			}
			d[i] = h
			continue
		}
		for k := range i {
			d[k] /= scale
			h += d[k] * d[k]
		}
		f := d[i-1]
		g := math.Sqrt(h)
		if f > 0 {
			g = -g
		}
		e[i] = scale * g
		h -= f * g
		d[i-1] = f - g
		clear(e[:i])
		for j := range i {
			f = d[j]
			v[j][i] = f
			g = e[j] + v[j][j]*f
			for k := j + 1; k < i; k++ {
				g += v[k][j] * d[k]
				e[k] += v[k][j] * f
			}
			e[j] = g
		}
		f = 0
		for j := range i {
			e[j] /= h
			f += e[j] * d[j]
		}
		hh := f / (h + h)
		for j := range i {
			e[j] -= hh * d[j]
		}
		for j := range i {
			f, g = d[j], e[j]
			for k := j; k < i; k++ {
				v[k][j] -= f*e[k] + g*d[k]
			}
			d[j], v[i][j] = v[i-1][j], 0
		}
		d[i] = h
	}
	for i := range n - 1 {
		v[n-1][i], v[i][i] = v[i][i], 1
		if h := d[i+1]; h != 0 {
			for k := range i + 1 {
				d[k] = v[k][i+1] / h
			}
			for j := range i + 1 {
				g := 0.0
				for k := range i + 1 {
					g += v[k][i+1] * v[k][j]
				}
				for k := range i + 1 {
					v[k][j] -= g * d[k]
				}
			}
		}
		for k := range i + 1 {
			v[k][i+1] = 0
		}
	}
	copy(d, v[n-1])
	clear(v[n-1])
	v[n-1][n-1], e[0] = 1, 0
}

// diagonal turns the tridiagonal form into eigenvalues in d and eigenvectors
// in the columns of v.
func diagonal(v [][]float64, d, e []float64) {
	const sweeps = 60 // far more than are ever needed
	n := len(d)
	if n == 0 {
		return
	}
	copy(e, e[1:])
	e[n-1] = 0
	shift, size := 0.0, 0.0
	for l := range n {
		size = max(size, math.Abs(d[l])+math.Abs(e[l]))
		m := l
		for m < n-1 && math.Abs(e[m]) > 0x1p-52*size {
			m++
		}
		for sweep := 0; m > l && sweep < sweeps; sweep++ {
			g := d[l]
			p := (d[l+1] - g) / (2 * e[l])
			r := math.Hypot(p, 1)
			if p < 0 {
				r = -r
			}
			d[l] = e[l] / (p + r)
			d[l+1] = e[l] * (p + r)
			next := d[l+1]
			h := g - d[l]
			for i := l + 2; i < n; i++ {
				d[i] -= h
			}
			shift += h
			p = d[m]
			c, c2, c3, el, s, s2 := 1.0, 1.0, 1.0, e[l+1], 0.0, 0.0
			for i := m - 1; i >= l; i-- {
				c3, c2, s2 = c2, c, s
				g = c * e[i]
				h = c * p
				r = math.Hypot(p, e[i])
				e[i+1] = s * r
				s, c = e[i]/r, p/r
				p = c*d[i] - s*g
				d[i+1] = h + s*(c*g+s*d[i])
				for k := range n {
					h = v[k][i+1]
					v[k][i+1] = s*v[k][i] + c*h
					v[k][i] = c*v[k][i] - s*h
				}
			}
			p = -s * s2 * c3 * el * e[l] / next
			e[l], d[l] = s*p, c*p
			if math.Abs(e[l]) <= 0x1p-52*size {
				break
			}
		}
		d[l] += shift
		e[l] = 0
	}
}
