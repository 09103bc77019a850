package gower

import (
	"context"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// The fast comparison is the plain one, and never longer than the distance by
// more than the slack.
func TestCoarse(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(1, 40).Draw(rt, "n")
		var table Table
		holes := rapid.Bool().Draw(rt, "holes")
		for range rapid.SampledFrom([]int{0, 1, 7, 16, 17, 40, 600}).Draw(rt, "numbers") {
			values := make([]float64, n)
			seed := rapid.Uint32().Draw(rt, "seed")
			for i := range values {
				seed = seed*1664525 + 1013904223
				values[i] = float64(seed>>8) / 3
				if holes && seed>>28 == 0 {
					values[i] = math.NaN()
				}
			}
			table.Numbers = append(table.Numbers, values)
		}
		for range rapid.IntRange(0, 20).Draw(rt, "categories") {
			table.Categories = append(table.Categories, rapid.SliceOfN(rapid.Int32Range(0, 255), n, n).Draw(rt, "codes"))
		}
		s := newSearch(table, n, 1)
		if s.coarse.stride == 0 {
			return
		}
		fast, plain, exact := make([]int32, n), make([]int32, n), make([]float64, n)
		rows := make([]int32, n)
		for i := range rows {
			rows[i] = int32(i)
		}
		for i := range n {
			s.coarse.compare(i, 0, n, fast)
			s.coarse.comparePlain(i, 0, n, plain)
			if !slices.Equal(fast, plain) {
				rt.Fatalf("row %d: %v, plainly %v", i, fast, plain)
			}
			s.distances(i, rows, exact)
			if holes {
				continue
			}
			for j, d := range exact {
				steps := d*s.features*levels - float64(s.coarse.equal())
				if slack := float64(s.coarse.slack); math.Abs(steps-float64(plain[j])) > slack {
					rt.Fatalf("rows %d and %d: coarse distance %d, distance %v", i, j, plain[j], steps)
				}
			}
		}
	})
}

// BenchmarkNearest finds the neighbours of 5,000 rows of 60 numbers and 40
// categories.
func BenchmarkNearest(b *testing.B) {
	const n = 5000
	var table Table
	seed := uint64(1)
	next := func() uint64 {
		seed = seed*6364136223846793005 + 1442695040888963407
		return seed >> 33
	}
	for range 60 {
		values := make([]float64, n)
		for i := range values {
			values[i] = float64(next()%1000+next()%1000+next()%1000) / 1000
		}
		table.Numbers = append(table.Numbers, values)
	}
	for range 40 {
		codes := make([]int32, n)
		for i := range codes {
			codes[i] = int32(next() % 20)
		}
		table.Categories = append(table.Categories, codes)
	}
	for b.Loop() {
		if _, err := table.Nearest(context.Background(), n, 50); err != nil {
			b.Fatal(err)
		}
	}
}
