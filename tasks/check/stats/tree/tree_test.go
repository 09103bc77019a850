package tree_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"aloft/tasks/check/stats/tree"
)

// naive grows the same tree by trying every cut of every node anew, and gives
// each row the value and the bounds of its leaf.
type naive struct {
	x       [][]float32
	y       []float64
	weights []float64
	o       tree.Options
	values  []float64
	leaves  int
	near    bool // two cuts were so close that rounding decides
}

func (v *naive) weight(r int32) float64 {
	if v.weights == nil {
		return 1
	}
	return v.weights[r]
}

func (v *naive) total(rows []int32) float64 {
	sum := 0.0
	for _, r := range rows {
		sum += v.weight(r)
	}
	return sum
}

func (v *naive) impurity(rows []int32) float64 {
	w := v.total(rows)
	switch v.o.Criterion {
	case tree.Gini:
		counts := map[float64]float64{}
		for _, r := range rows {
			counts[v.y[r]] += v.weight(r)
		}
		sum := 0.0
		for _, c := range counts {
			sum += c / w * c / w
		}
		return 1 - sum
	case tree.SquaredError:
		mean, sum := v.value(rows), 0.0
		for _, r := range rows {
			sum += v.weight(r) * (v.y[r] - mean) * (v.y[r] - mean)
		}
		return sum / w
	default:
		median, sum := v.value(rows), 0.0
		for _, r := range rows {
			sum += math.Abs(v.y[r] - median)
		}
		return sum / w
	}
}

func (v *naive) value(rows []int32) float64 {
	switch v.o.Criterion {
	case tree.Gini:
		counts := map[float64]float64{}
		for _, r := range rows {
			counts[v.y[r]] += v.weight(r)
		}
		best := math.Inf(1)
		for k, c := range counts {
			if math.IsInf(best, 1) || c > counts[best]+1e-9 || c > counts[best]-1e-9 && k < best {
				best = k
			}
		}
		return best
	case tree.SquaredError:
		sum := 0.0
		for _, r := range rows {
			sum += v.weight(r) * v.y[r]
		}
		return sum / v.total(rows)
	default:
		var ys []float64
		for _, r := range rows {
			ys = append(ys, v.y[r])
		}
		slices.Sort(ys)
		n := len(ys)
		return (ys[(n-1)/2] + ys[n/2]) / 2
	}
}

func (v *naive) grow(rows []int32, depth int, all float64) {
	w := v.total(rows)
	least := v.o.MinWeightFractionLeaf * all
	impurity := v.impurity(rows)
	if math.Abs(w-2*least) < 1e-9 && v.weights != nil {
		v.near = true
	}
	var left, right []int32
	if !(v.o.MaxDepth > 0 && depth >= v.o.MaxDepth || len(rows) < 2 || len(rows) < 2*v.o.MinSamplesLeaf || w < 2*least || impurity <= 1e-13) {
		best := math.Inf(1)
		for _, x := range v.x {
			var cuts []float32
			for _, r := range rows {
				cuts = append(cuts, x[r])
			}
			slices.Sort(cuts)
			for _, at := range slices.Compact(cuts) {
				var a, b []int32
				for _, r := range rows {
					if x[r] <= at {
						a = append(a, r)
					} else {
						b = append(b, r)
					}
				}
				if len(b) == 0 || min(len(a), len(b)) < v.o.MinSamplesLeaf {
					continue
				}
				wa, wb := v.total(a), v.total(b)
				if math.Abs(min(wa, wb)-least) < 1e-9 && v.weights != nil {
					v.near = true
				}
				if min(wa, wb) < least {
					continue
				}
				cost := wa*v.impurity(a) + wb*v.impurity(b)
				if math.Abs(cost-best) < 1e-9 && !slices.Equal(a, left) {
					v.near = true
				}
				if cost < best {
					best, left, right = cost, a, b
				}
			}
		}
		if gain := (w*impurity - best) / all; math.Abs(gain-v.o.MinImpurityDecrease) < 1e-9 && v.o.MinImpurityDecrease > 0 {
			v.near = true
		} else if gain+1e-13 < v.o.MinImpurityDecrease {
			left = nil
		}
	}
	if left == nil {
		v.leaves++
		for _, r := range rows {
			v.values[r] = v.value(rows)
		}
		return
	}
	v.grow(left, depth+1, all)
	v.grow(right, depth+1, all)
}

// Trees are those that trying every cut anew gives.
func TestFitIsTheBestCutEverywhere(t *testing.T) {
	t.Parallel()
	var fitter tree.Fitter
	rapid.Check(t, func(t *rapid.T) {
		n, d := rapid.IntRange(1, 40).Draw(t, "n"), rapid.IntRange(1, 3).Draw(t, "d")
		o := tree.Options{
			Criterion:      tree.Criterion(rapid.IntRange(0, 2).Draw(t, "criterion")),
			MaxDepth:       rapid.IntRange(0, 4).Draw(t, "depth"),
			MinSamplesLeaf: rapid.IntRange(0, 4).Draw(t, "leaf"),
		}
		if rapid.Bool().Draw(t, "weighted leaves") {
			o.MinWeightFractionLeaf = .11
		}
		if rapid.Bool().Draw(t, "decrease") {
			o.MinImpurityDecrease = .013
		}
		v := &naive{o: o, values: make([]float64, n), y: make([]float64, n)}
		var features []*tree.Feature
		for range d {
			x := make([]float32, n)
			for i := range x {
				x[i] = float32(rapid.IntRange(-6, 6).Draw(t, "x"))
			}
			v.x, features = append(v.x, x), append(features, tree.NewFeature(x))
		}
		classes := make([]int32, n)
		k := rapid.IntRange(2, 3).Draw(t, "classes")
		for i := range classes {
			if o.Criterion == tree.Gini {
				classes[i] = int32(rapid.IntRange(0, k-1).Draw(t, "y"))
				v.y[i] = float64(classes[i])
			} else {
				v.y[i] = float64(rapid.IntRange(-3000, 3000).Draw(t, "y")) / 1000
			}
		}
		if o.Criterion != tree.AbsoluteError && rapid.Bool().Draw(t, "weights") {
			v.weights = make([]float64, n)
			for i := range v.weights {
				v.weights[i] = float64(rapid.IntRange(1, 16).Draw(t, "w")) / 8 // sums are exact
			}
			o.Weights = v.weights
		}
		rows := make([]int32, 0, n)
		for i := range n {
			if i == 0 || rapid.IntRange(0, 9).Draw(t, "in") > 0 {
				rows = append(rows, int32(i))
			}
		}
		target := tree.Ranked(v.y)
		if o.Criterion == tree.Gini {
			target = tree.Classes(classes, k)
		}
		v.grow(rows, 0, v.total(rows))
		if v.near {
			return
		}
		got := fitter.Fit(features, target, rows, o)
		for _, r := range rows {
			if p := got.Predict(features, r); math.Abs(p-v.values[r]) > 1e-9 {
				t.Fatalf("row %d: %v, want %v (%+v)", r, p, v.values[r], got.Nodes())
			}
		}
		if leaves := len(got.Regions()); leaves != v.leaves {
			t.Fatalf("%d leaves, want %d", leaves, v.leaves)
		}
	})
}

// Regions hold exactly the rows of their leaves.
func TestRegions(t *testing.T) {
	t.Parallel()
	features, values := sample(300)
	var fitter tree.Fitter
	got := fitter.Fit(features, tree.Ranked(values), nil, tree.Options{Criterion: tree.AbsoluteError, MaxDepth: 5, MinSamplesLeaf: 5})
	rows := 0
	for _, region := range got.Regions() {
		rows += got.Nodes()[region.Node].Rows
		for r := range int32(300) {
			inside := true
			for _, b := range region.Ranges {
				v := float64(features[b.Feature].Values()[r])
				inside = inside && v > b.Low && v <= b.High
			}
			if inside != (got.Leaf(features, r) == region.Node) {
				t.Fatalf("row %d and region %+v", r, region)
			}
		}
	}
	if rows != 300 {
		t.Errorf("the leaves hold %d rows of 300", rows)
	}
}

// Rows of the balanced classes weigh the same in total, and the leaves tell
// the classes' shares.
func TestBalanced(t *testing.T) {
	t.Parallel()
	classes := []int32{0, 0, 0, 1, 2, 2}
	weights := tree.Balanced(classes, 4, nil)
	want := []float64{6. / 9, 6. / 9, 6. / 9, 2, 1, 1}
	for i := range want {
		if math.Abs(weights[i]-want[i]) > 1e-15 {
			t.Fatalf("weights %v, want %v", weights, want)
		}
	}
	if some := tree.Balanced(classes, 4, []int32{0, 3, 4, 5}); some[0] != 4./3 || some[1] != 0 || some[4] != 4./6 {
		t.Errorf("weights of four rows: %v", some)
	}
	var fitter tree.Fitter
	x := []*tree.Feature{tree.NewFeature([]float32{1, 1, 1, 1, 2, 3})}
	got := fitter.Fit(x, tree.Classes(classes, 4), nil, tree.Options{Weights: weights, MaxDepth: 1})
	if got.Predict(x, 0) != 0 || got.Predict(x, 5) != 2 {
		t.Errorf("predictions %v and %v", got.Predict(x, 0), got.Predict(x, 5))
	}
	if p := got.Probabilities(nil, got.Leaf(x, 0)); math.Abs(p[0]-.5) > 1e-15 || math.Abs(p[1]-.5) > 1e-15 || p[3] != 0 {
		t.Errorf("probabilities %v", p)
	}
}

// Of two equal features the first is taken, or one that the seed chooses.
func TestEqualFeatures(t *testing.T) {
	t.Parallel()
	x := []float32{1, 2, 3, 4}
	features := []*tree.Feature{tree.NewFeature(x), tree.NewFeature(x), tree.NewFeature([]float32{5, 5, 5, 5})}
	y := tree.Classes([]int32{0, 0, 1, 1}, 2)
	var fitter tree.Fitter
	taken := map[int32]int{}
	for i := range uint32(20) {
		seed := i * 2654435761
		taken[fitter.Fit(features, y, nil, tree.Options{Shuffle: &seed}).Nodes()[0].Feature]++
	}
	if taken[0] == 0 || taken[1] == 0 || taken[2] != 0 {
		t.Errorf("features taken: %v", taken)
	}
	if f := fitter.Fit(features, y, nil, tree.Options{}).Nodes()[0].Feature; f != 0 {
		t.Errorf("feature %d without a seed", f)
	}
}

// Odd inputs make a leaf, or a tree, but no crash.
func TestOddInputs(t *testing.T) {
	t.Parallel()
	inf := float32(math.Inf(1))
	for name, x := range map[string][]float32{
		"one row": {1}, "constant": {2, 2, 2}, "infinite": {-inf, 0, inf, inf}, "negative zero": {0, float32(math.Copysign(0, -1)), 1},
		"close": {1, 1 + 1e-7, 1 + 2e-7}, "large": {3e38, -3e38, 3.1e38},
	} {
		features := []*tree.Feature{tree.NewFeature(x)}
		values, classes := make([]float64, len(x)), make([]int32, len(x))
		for i := range x {
			values[i], classes[i] = float64(i), int32(i)
		}
		for c, y := range []*tree.Target{tree.Classes(classes, len(x)), tree.Numbers(values), tree.Ranked(values)} {
			var fitter tree.Fitter
			got := fitter.Fit(features, y, nil, tree.Options{Criterion: tree.Criterion(c)})
			for r := range x {
				if p := got.Predict(features, int32(r)); math.IsNaN(p) {
					t.Errorf("%s: row %d: %v", name, r, p)
				}
			}
			if name == "constant" && len(got.Nodes()) != 1 {
				t.Errorf("a constant feature was cut: %+v", got.Nodes())
			}
		}
	}
	var fitter tree.Fitter
	if got := fitter.Fit(nil, tree.Numbers(nil), nil, tree.Options{Criterion: tree.SquaredError}); len(got.Nodes()) != 1 {
		t.Errorf("nothing gave %+v", got.Nodes())
	}
}

// sample makes two features and a target that depends on both.
func sample(n int) ([]*tree.Feature, []float64) {
	state := uint64(42)
	next := func() float64 {
		state = state*6364136223846793005 + 1442695040888963407
		return float64(state>>33) / (1 << 31)
	}
	a, b, y := make([]float32, n), make([]float32, n), make([]float64, n)
	for i := range y {
		u, v := next(), next()
		a[i], b[i] = float32(u), float32(math.Floor(20*v))
		y[i] = -math.Abs(math.Log(.05 + .9*math.Abs(u-.5)*v + .05*next()))
	}
	return []*tree.Feature{tree.NewFeature(a), tree.NewFeature(b)}, y
}

// BenchmarkSegments fits trees as a search for weak segments does: 10,000 rows
// of two features, depth 5.
func BenchmarkSegments(b *testing.B) {
	features, values := sample(10_000)
	y := tree.Ranked(values)
	for name, c := range map[string]tree.Criterion{"squared": tree.SquaredError, "absolute": tree.AbsoluteError} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			var fitter tree.Fitter
			for b.Loop() {
				fitter.Fit(features, y, nil, tree.Options{Criterion: c, MaxDepth: 5, MinSamplesLeaf: 5, MinWeightFractionLeaf: .05, MinImpurityDecrease: .003})
			}
		})
	}
}

// BenchmarkDeep fits one feature to noise, until every leaf is pure.
func BenchmarkDeep(b *testing.B) {
	features, values := sample(3750)
	classes := make([]int32, len(values))
	for i, v := range values {
		classes[i] = int32(math.Float64bits(v) & 1)
	}
	for _, c := range []tree.Criterion{tree.Gini, tree.SquaredError} {
		b.Run(fmt.Sprint(c), func(b *testing.B) {
			b.ReportAllocs()
			var fitter tree.Fitter
			y := tree.Classes(classes, 2)
			if c != tree.Gini {
				y = tree.Numbers(values)
			}
			for b.Loop() {
				fitter.Fit(features[:1], y, nil, tree.Options{Criterion: c})
			}
		})
	}
}
