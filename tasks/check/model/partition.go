package model

import (
	"cmp"
	"math"
	"slices"

	"aloft/tasks/check/format"
	"aloft/tasks/check/frame"
)

// parts divides rows by the values of a column.
type parts struct {
	labels []string
	of     []int32 // by row: the part, -1 for rows with a missing value
}

// partition divides rows into at most most parts: numbers at their quantiles,
// categories one by one while they cover less than nine tenths of the rows,
// the others as "Others".
func partition(col *frame.Column, rows []int32, categorical bool, most int) parts {
	if categorical || !col.Kind().Numeric() {
		return partCategories(col, rows, most)
	}
	values := make([]float64, len(rows))
	var sorted []float64
	for i, r := range rows {
		values[i] = col.Float(int(r))
		if !math.IsNaN(values[i]) {
			sorted = append(sorted, values[i])
		}
	}
	slices.Sort(sorted)
	p := parts{of: make([]int32, len(rows))}
	edges := quantileEdges(sorted, most)
	for i := 1; i < len(edges); i++ {
		end := ")"
		if i+1 == len(edges) {
			end = "]"
		}
		p.labels = append(p.labels, "["+format.Number(edges[i-1])+" - "+format.Number(edges[i])+end)
	}
	if len(edges) == 1 {
		p.labels = []string{format.Number(edges[0])}
	}
	for i, v := range values {
		if math.IsNaN(v) {
			p.of[i] = -1
			continue
		}
		at, found := slices.BinarySearch(edges, v)
		if !found {
			at--
		}
		p.of[i] = int32(min(at, len(p.labels)-1))
	}
	return p
}

// quantileEdges cuts sorted numbers into at most n parts of equal size. Where
// many are equal, finer quantiles are tried until they give no more edges.
func quantileEdges(sorted []float64, n int) []float64 {
	if len(sorted) == 0 {
		return nil
	}
	at := func(steps int) []float64 {
		edges := make([]float64, 0, steps+1)
		for i := range steps + 1 {
			edges = append(edges, quantile(sorted, float64(i)/float64(steps)))
		}
		return slices.Compact(edges)
	}
	edges := at(n)
	for steps := 2 * n; len(edges) < n+1 && steps <= 2*len(sorted)+2*n; steps *= 2 {
		finer := at(steps)
		if len(finer) == len(edges) || len(finer) > n+1 {
			break
		}
		edges = finer
	}
	return edges
}

func partCategories(col *frame.Column, rows []int32, most int) parts {
	const covered = 0.9
	p := parts{of: make([]int32, len(rows))}
	byBits := make(map[uint64]int)
	var levels []frame.Value
	var counts []int
	present := 0
	for i, r := range rows {
		if col.IsNull(int(r)) {
			p.of[i] = -1
			continue
		}
		b := col.Bits(int(r))
		k, ok := byBits[b]
		if !ok {
			k = len(levels)
			byBits[b] = k
			levels, counts = append(levels, col.FromBits(b)), append(counts, 0)
		}
		counts[k]++
		present++
		p.of[i] = int32(k)
	}
	order := make([]int, len(levels))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(counts[b], counts[a]) })
	place, sum := make([]int32, len(levels)), 0
	others := false
	for i, k := range order {
		if float64(sum) >= covered*float64(present) || i >= most {
			others = true
			place[k] = int32(len(p.labels))
			continue
		}
		sum += counts[k]
		place[k] = int32(i)
		p.labels = append(p.labels, levels[k].String())
	}
	if others {
		p.labels = append(p.labels, "Others")
	}
	for i, k := range p.of {
		if k >= 0 {
			p.of[i] = place[k]
		}
	}
	return p
}
