package tree_test

import (
	"math"
	"testing"

	"pgregory.net/rapid"

	"aloft/tasks/check/stats/tree"
)

// The chain of categories predicts what the tree on their zeros and ones does,
// for categories that are absent from the training too.
func TestOneHot(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n, k := rapid.IntRange(1, 60).Draw(t, "n"), rapid.IntRange(1, 7).Draw(t, "k")
		categories, classes, values := make([]int32, n), make([]int32, n), make([]float64, n)
		rows := []int32{0}
		for i := range categories {
			categories[i] = int32(rapid.IntRange(0, k-1).Draw(t, "category"))
			classes[i] = int32(rapid.IntRange(0, 2).Draw(t, "class"))
			values[i] = float64(rapid.IntRange(-8, 8).Draw(t, "value")) / 8
			if i > 0 && rapid.Bool().Draw(t, "in") {
				rows = append(rows, int32(i))
			}
		}
		var features []*tree.Feature
		for c := range int32(k) {
			x := make([]float32, n)
			for i := range x {
				if categories[i] == c {
					x[i] = 1
				}
			}
			features = append(features, tree.NewFeature(x))
		}
		o := tree.Options{Criterion: tree.Criterion(rapid.IntRange(0, 1).Draw(t, "criterion"))}
		if o.Criterion == tree.Gini {
			// Sums of numbers may differ in the last digit between equal cuts.
			seed := rapid.Uint32().Draw(t, "seed")
			o.Shuffle = &seed
		}
		y := tree.Numbers(values)
		if o.Criterion == tree.Gini {
			y = tree.Classes(classes, 3)
		}
		var fitter tree.Fitter
		want, got := fitter.Fit(features, y, rows, o), tree.FitOneHot(categories, k, y, rows, o)
		trained := map[int32]bool{}
		for _, r := range rows {
			trained[categories[r]] = true
		}
		for r := range int32(n) {
			if !trained[categories[r]] && o.Criterion != tree.Gini {
				continue
			}
			if g, w := got.Predict(categories[r]), want.Predict(features, r); math.Abs(g-w) > 1e-12 {
				t.Fatalf("category %d: %v, want %v", categories[r], g, w)
			}
		}
		if got.Predict(-1) != got.Predict(int32(k)) {
			t.Fatal("unknown categories differ")
		}
	})
}
