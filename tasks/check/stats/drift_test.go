package stats_test

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"aloft/tasks/check/stats"
)

func bins(train, test []int, minRatio float64) stats.Bins {
	return stats.SameBins([]string{"a", "b", "c", "d"}[:len(train)], train, test, 0, minRatio, stats.ByDifference, false)
}

func TestCramersV(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		train, test []int
		ratio       float64
		balance     bool
		want        float64
	}{
		{[]int{200, 800}, []int{400, 600}, 0, false, 0.21602579183508638},
		{[]int{2000, 8000}, []int{400, 600}, 0, false, 0.21602579183508638},
		{[]int{200, 800, 50}, []int{400, 600, 10}, 0, false, 0.24080058958755088},
		{[]int{1000, 0}, []int{0, 1000}, 0, false, 0.9989994992488733},
		{[]int{200, 800, 100}, []int{400, 600, 0}, 0, false, 0.30240811588221844},
		{[]int{200, 800, 10, 10}, []int{400, 620, 0, 0}, 0.1, false, 0.20805758975883742},
		{[]int{9900, 100}, []int{9950, 50}, 0, true, 0.16763769096012626},
		{[]int{4900, 100, 5000}, []int{4950, 50, 5000}, 0, true, 0.149392087689574},
		{[]int{9900, 100}, []int{10000, 0}, 0, true, 0.5622653616537642},
		{[]int{9900, 100}, []int{1000, 0}, 0, true, 0.4561545260421611},
		{[]int{9900, 100}, []int{100, 0}, 0, true, 0.14312143052707973},
		{[]int{99900, 100}, []int{10000, 0}, 0, true, 0.458262721256824},
		{[]int{99900, 100}, []int{99000, 1000}, 0, true, 0.44832087695234135},
		{[]int{99900, 100}, []int{990, 10}, 0, true, 0.3687107256848667},
		{[]int{99000, 1000}, []int{999, 1}, 0, true, 0.3687107256848667},
		{[]int{7}, []int{9}, 0, false, 0},
		{[]int{1, 0}, []int{0, 1}, 0, false, 0},
		{[]int{5, 5}, []int{0, 0}, 0, false, math.NaN()},
	} {
		near(t, "V", stats.CramersV(bins(tt.train, tt.test, tt.ratio), tt.balance), tt.want)
	}
}

func TestPSI(t *testing.T) {
	t.Parallel()
	near(t, "PSI", stats.PSI(bins([]int{200, 800}, []int{400, 600}, 0)), 0.19616585060234526)
	near(t, "disjoint", stats.PSI(bins([]int{1000, 0}, []int{0, 1000}, 0)), 9.11823696825642)
	near(t, "no rows", stats.PSI(bins([]int{1000, 0}, []int{0, 0}, 0)), math.NaN())
}

func TestSameBins(t *testing.T) {
	t.Parallel()
	names := []string{"a", "b", "c", "d"}
	train, test := []int{500, 300, 195, 5}, []int{100, 700, 198, 2}
	for _, tt := range []struct {
		name  string
		limit int
		by    stats.CategorySort
		keep  bool
		want  []string
	}{
		{"the rare bin is dropped", 0, stats.ByDifference, false, []string{"a", "b", "c"}},
		{"or kept", 0, stats.ByDifference, true, []string{"a", "b", "c", stats.OtherCategories}},
		{"largest in train", 2, stats.ByTrain, false, []string{"a", "b", stats.OtherCategories}},
		{"largest in test", 2, stats.ByTest, false, []string{"b", "c", stats.OtherCategories}},
		{"largest difference, names decide", 1, stats.ByDifference, false, []string{"a", stats.OtherCategories}},
	} {
		if got := stats.SameBins(names, train, test, tt.limit, 0.01, tt.by, tt.keep); !slices.Equal(got.Names, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, got.Names, tt.want)
		}
	}
}

func TestDistances(t *testing.T) {
	t.Parallel()
	a, b := make([]float64, 100), make([]float64, 100)
	for i := range a {
		a[i], b[i] = float64(i), float64(i+50)
	}
	near(t, "KS", stats.KS(a, b), 0.5)
	near(t, "EMD", stats.EMD(a, b, 0), 0.3355704697986577)
	near(t, "EMD with margins", stats.EMD(a, b, 0.025), 0.3496503496503497)
	near(t, "EMD of constants", stats.EMD([]float64{1, 1}, []float64{1}, 0), 0)
	near(t, "domain", stats.DomainScore(0.4), 0)
	near(t, "domain", stats.DomainScore(0.75), 0.5)
}

func TestOutliers(t *testing.T) {
	t.Parallel()
	ten := []float64{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}
	for _, tt := range []struct {
		data                  []float64
		scale, wantLo, wantHi float64
	}{
		{ten, 1.5, -4.5, 13.5}, {ten, 1, -2.25, 11.25}, {slices.Concat(make([]float64, 20), ten), 1.5, -2.625, 4.375}, {[]float64{1, 2, 3, 4, 100}, 1.5, -1, 7},
		{slices.Concat(make([]float64, 99), []float64{5}), 1.5, -0.001, 0.001},
		{slices.Concat(make([]float64, 80), ten), 1.5, -(0.9 + 0.5*9/90.), 0.9 + 0.5*9/90.},
	} {
		lo, hi := stats.IQRLimits(tt.data, 25, 75, tt.scale, 0.9)
		near(t, "low", lo, tt.wantLo)
		near(t, "high", hi, tt.wantHi)
	}
	if drop, ok := stats.SharpDrop([]float64{.6, .37, .02, .005, .003, .002}, 0.9); !ok || drop != .02 {
		t.Errorf("drop at %v, %v", drop, ok)
	}
	if _, ok := stats.SharpDrop([]float64{.5, .5}, 0.9); ok {
		t.Error("found a drop in equal shares")
	}
}

func TestSortFloats(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 2000).Draw(t, "n")
		seed := rapid.Uint32().Draw(t, "seed")
		offset := rapid.SampledFrom([]float64{0, 1.7e9, -1e15}).Draw(t, "offset") // many share their leading bits
		values := make([]float64, n)
		for i, p := range stats.Permutation(n, seed) {
			values[i] = offset + float64(p-int32(n)/2)/float64(1+seed%7)
		}
		if n > 3 {
			values[0], values[1], values[2] = math.Inf(1), math.Inf(-1), math.Copysign(0, -1)
		}
		want := slices.Clone(values)
		slices.Sort(want)
		stats.SortFloats(values)
		if !slices.Equal(values, want) {
			t.Fatalf("not sorted: %v", values)
		}
	})
}

// Scores are 0 for equal samples and lie between 0 and 1; V and the distances
// do not depend on which sample comes first when both are of one size.
func TestScoresAreDistances(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		draw := func() []float64 {
			out := make([]float64, 40)
			for i := range out {
				out[i] = float64(rapid.IntRange(0, 20).Draw(t, "x"))
			}
			slices.Sort(out)
			return out
		}
		a, b := draw(), draw()
		for name, f := range map[string]func(a, b []float64) float64{
			"KS":  stats.KS,
			"EMD": func(a, b []float64) float64 { return stats.EMD(a, b, 0) },
		} {
			d := f(a, b)
			if f(a, a) != 0 || d < 0 || d > 1 || math.Abs(d-f(b, a)) > 1e-12 {
				t.Fatalf("%s: %v, %v", name, d, f(b, a))
			}
		}
	})
}
