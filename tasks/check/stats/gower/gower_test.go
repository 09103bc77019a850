package gower_test

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"aloft/tasks/check/stats/gower"
)

func draw(t *rapid.T, n int) gower.Table {
	var table gower.Table
	for range rapid.IntRange(0, 3).Draw(t, "numbers") {
		values := make([]float64, n)
		gaps := rapid.Bool().Draw(t, "gaps")
		for i := range values {
			values[i] = rapid.Float64Range(-5, 5).Draw(t, "x")
			if gaps && rapid.IntRange(0, 4).Draw(t, "gap") == 0 {
				values[i] = math.NaN()
			}
		}
		table.Numbers = append(table.Numbers, values)
	}
	for range rapid.IntRange(0, 11).Draw(t, "categories") {
		codes := make([]int32, n)
		scale := rapid.SampledFrom([]int32{1, 300}).Draw(t, "scale") // above 255 codes are wide
		for i := range codes {
			codes[i] = scale * int32(rapid.IntRange(0, 2).Draw(t, "c"))
		}
		table.Categories = append(table.Categories, codes)
	}
	if len(table.Numbers)+len(table.Categories) == 0 {
		table.Categories = [][]int32{make([]int32, n)}
	}
	return table
}

// naive is the distance by definition; NaN where nothing can be compared.
func naive(t gower.Table, i, j int) float64 {
	sum, features := 0.0, 0.0
	for _, values := range t.Numbers {
		if math.IsNaN(values[i]) && math.IsNaN(values[j]) && t.Poison {
			return math.NaN()
		}
		if math.IsNaN(values[i]) || math.IsNaN(values[j]) {
			continue
		}
		low, high := math.Inf(1), math.Inf(-1)
		for _, v := range values {
			if !math.IsNaN(v) {
				low, high = min(low, v), max(high, v)
			}
		}
		if low == high {
			high = low + 1
		}
		sum += math.Abs(values[i]-values[j]) / (high - low)
		features++
	}
	for _, codes := range t.Categories {
		if codes[i] != codes[j] {
			sum++
		}
		features++
	}
	return sum / features
}

// Both ways find neighbours at the least distances there are.
func TestNearest(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.SampledFrom([]int{6, 40, 140}).Draw(rt, "n")
		k := rapid.IntRange(1, 5).Draw(rt, "k")
		table := draw(rt, n)
		for _, poison := range []bool{false, true} {
			table.Poison = poison
			for name, nearest := range map[string]func() (gower.Neighbors, error){
				"ours":  func() (gower.Neighbors, error) { return table.Nearest(t.Context(), n, k) },
				"numpy": func() (gower.Neighbors, error) { return table.NearestAsNumpy(t.Context(), n, k) },
			} {
				if name == "numpy" && !poison {
					continue // it knows the distances of deepchecks alone
				}
				got, err := nearest()
				if err != nil {
					rt.Fatal(err)
				}
				for i := range n {
					want := make([]float64, n)
					for j := range want {
						want[j] = naive(table, i, j)
						if math.IsNaN(want[j]) {
							want[j] = math.Inf(1)
						}
					}
					slices.Sort(want)
					found := slices.Clone(got.Distance[i])
					for at, d := range found {
						exact := naive(table, i, int(got.Rows[i][at]))
						if math.Abs(d-exact) > 1e-12 || math.IsNaN(d) != math.IsNaN(exact) {
							rt.Fatalf("%s: rows %d and %d: %v, want %v", name, i, got.Rows[i][at], d, exact)
						}
						if math.IsNaN(d) {
							found[at] = math.Inf(1)
						}
					}
					slices.Sort(found)
					for at := range found {
						if found[at] != want[at] && math.Abs(found[at]-want[at]) > 1e-12 {
							rt.Fatalf("%s: neighbours of %d at %v, want %v", name, i, found, want[:k])
						}
					}
				}
			}
		}
	})
}

// A point far from a cluster stands out; equal points do not.
func TestOutlying(t *testing.T) {
	t.Parallel()
	values := make([]float64, 60)
	for i := range values {
		values[i] = float64(i%7) / 100
	}
	values[17] = 9
	n, err := gower.Table{Numbers: [][]float64{values}}.Nearest(t.Context(), len(values), 5)
	if err != nil {
		t.Fatal(err)
	}
	scores := n.Outlying(3)
	for i, s := range scores {
		if (i == 17) != (s > .7) {
			t.Errorf("row %d: %v", i, s)
		}
	}
	same := make([]float64, 20)
	n, err = gower.Table{Numbers: [][]float64{same}}.Nearest(t.Context(), len(same), 5)
	if err != nil {
		t.Fatal(err)
	}
	if s := slices.Max(n.Outlying(3)); s != 0 {
		t.Errorf("equal rows score up to %v", s)
	}
}

func BenchmarkNearest(b *testing.B) {
	const n = 5000
	var table gower.Table
	state := uint64(7)
	for f := range 20 {
		values, codes := make([]float64, n), make([]int32, n)
		for i := range values {
			state = state*6364136223846793005 + 1442695040888963407
			values[i], codes[i] = float64(state>>40), int32(state>>40%20)
		}
		if f < 12 {
			table.Numbers = append(table.Numbers, values)
		} else {
			table.Categories = append(table.Categories, codes)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := table.Nearest(b.Context(), n, n/100); err != nil {
			b.Fatal(err)
		}
	}
}
