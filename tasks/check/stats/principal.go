package stats

import "math"

// PrincipalAxes returns the mean of points and the k directions, of length 1,
// along which they are spread most, most first: the eigenvectors of their
// covariance. There are fewer when the points span fewer dimensions. Signs are
// those by which the largest component of each is positive.
func PrincipalAxes(points [][]float32, k int) (mean []float64, axes [][]float64) {
	n, d := len(points), len(points[0])
	mean = make([]float64, d)
	for _, p := range points {
		for j, x := range p {
			mean[j] += float64(x) / float64(n)
		}
	}
	centred := make([][]float64, n)
	for i, p := range points {
		centred[i] = make([]float64, d)
		for j, x := range p {
			centred[i][j] = float64(x) - mean[j]
		}
	}
	// The smaller of XᵀX and XXᵀ has the same eigenvalues: an eigenvector u of
	// the latter is one of the former as Xᵀu.
	wide := d > n
	rows := centred
	if !wide {
		rows = make([][]float64, d)
		for j := range rows {
			rows[j] = make([]float64, n)
			for i := range centred {
				rows[j][i] = centred[i][j]
			}
		}
	}
	matrix := make([][]float64, len(rows))
	for i := range matrix {
		matrix[i] = make([]float64, len(rows))
	}
	for i := range rows {
		for j := range i + 1 {
			matrix[i][j] = dot(rows[i], rows[j])
			matrix[j][i] = matrix[i][j]
		}
	}
	values, vectors := Eigen(matrix)
	const negligible = 1e-12 // of the largest eigenvalue: rounding
	for a, v := range vectors {
		if len(axes) == k || !(values[a] > negligible*values[0]) {
			break
		}
		axis := v
		if wide {
			axis = make([]float64, d)
			for i, u := range v {
				for j, x := range centred[i] {
					axis[j] += u * x
				}
			}
		}
		axes = append(axes, unit(axis))
	}
	return mean, axes
}

func dot(a, b []float64) float64 {
	sum := 0.0
	for i, x := range a {
		sum += x * b[i]
	}
	return sum
}

// unit scales a vector to length 1, its largest component positive.
func unit(v []float64) []float64 {
	most := 0
	for i, x := range v {
		if x*x > v[most]*v[most] {
			most = i
		}
	}
	length := math.Sqrt(dot(v, v))
	if v[most] < 0 {
		length = -length
	}
	out := make([]float64, len(v))
	for i, x := range v {
		out[i] = x / length
	}
	return out
}
