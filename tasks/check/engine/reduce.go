package engine

import "math"

// Aggregations lists the ways ReduceFeatures folds values into one.
func Aggregations() []string {
	return []string{"none", "mean", "max", "weighted", "l3_weighted", "l5_weighted"}
}

// ReduceFeatures folds one value per feature into the object that monitors a
// check: "none" keeps them apart, "mean" and "max" are plain, "weighted",
// "l3_weighted" and "l5_weighted" are norms of order 1, 3 and 5 under the
// features' importances. Without importances (nil) the latter are the mean.
// Values that are NaN are left out.
func ReduceFeatures(method, what string, names []string, values, weights []float64) Object {
	if method == "none" {
		out := make(Object, len(names))
		for i, n := range names {
			out[i] = Field{n, values[i]}
		}
		return out
	}
	titles := map[string]string{"mean": "Mean ", "max": "Max ", "weighted": "Weighted ", "l3_weighted": "L3 Weighted ", "l5_weighted": "L5 Weighted "}
	orders := map[string]float64{"weighted": 1, "l3_weighted": 3, "l5_weighted": 5}
	key := titles[method] + what
	order := orders[method]
	if order == 0 || weights == nil {
		return Object{{key, plain(method, values)}}
	}
	sum, total := 0.0, 0.0
	for _, w := range weights {
		total += w
	}
	if !(total > 0) { // none of them weighs anything, or it is not known
		return Object{{key, plain(method, values)}}
	}
	for i, v := range values {
		if !math.IsNaN(v) {
			sum += math.Pow(v, order) * weights[i] / total
		}
	}
	return Object{{key, math.Pow(sum, 1/order)}}
}

func plain(method string, values []float64) float64 {
	sum, n, most := 0.0, 0, math.Inf(-1)
	for _, v := range values {
		if math.IsNaN(v) {
			continue
		}
		sum, n, most = sum+v, n+1, max(most, v)
	}
	switch {
	case n == 0:
		return math.NaN()
	case method == "max":
		return most
	default:
		return sum / float64(n)
	}
}
