package model

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"runtime"
	"slices"
	"sync"

	"aloft/tasks/check/frame"
	"aloft/tasks/check/stats"
	"aloft/tasks/check/stats/tree"
)

// weakFolds is the number of folds by which the criterion is chosen.
const weakFolds = 3

// search looks at every pair of features, on all processors, and returns the
// worst segment of each in the order of the pairs.
func (d *weakData) search(ctx context.Context) ([]Segment, error) {
	type pair struct{ a, b *weakFeature }
	var pairs []pair
	for i, a := range d.features {
		for _, b := range d.features[i+1:] {
			if b.categorical && !a.categorical {
				pairs = append(pairs, pair{b, a})
			} else {
				pairs = append(pairs, pair{a, b})
			}
		}
	}
	y := tree.Ranked(d.score)
	found := make([]*Segment, len(pairs))
	next := make(chan int)
	var workers sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), max(len(pairs), 1)) {
		workers.Go(func() {
			var s pairSearch
			for i := range next {
				if ctx.Err() == nil {
					found[i] = s.worst(d, y, pairs[i].a, pairs[i].b)
				}
			}
		})
	}
	for i := range pairs {
		next <- i
	}
	close(next)
	workers.Wait()
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("search weak segments: %w", err)
	}
	var out []Segment
	for _, s := range found {
		if s != nil {
			out = append(out, *s)
		}
	}
	return out, nil
}

// pairSearch searches one pair after the other; it is for one goroutine.
type pairSearch struct {
	fitter tree.Fitter
	rows   []int32
	learn  []int32
	sums   []float64
	counts []int
	leaves [][]int32
}

// worst returns the weakest segment of a pair, or nil when no tree finds one.
func (s *pairSearch) worst(d *weakData, y *tree.Target, a, b *weakFeature) *Segment {
	if a.infinite || b.infinite {
		return nil
	}
	s.rows = s.rows[:0]
	for _, r := range d.rows {
		if !math.IsNaN(a.values[r]) && !math.IsNaN(b.values[r]) {
			s.rows = append(s.rows, r)
		}
	}
	n := len(s.rows)
	if n < weakFolds {
		return nil
	}
	share := d.minShare * float64(len(d.rows)) / float64(n)
	if share > 0.5 {
		return nil
	}
	pair := [2]*weakFeature{a, b}
	features := []*tree.Feature{a.sorted, b.sorted}
	options := tree.Options{MaxDepth: 5, MinSamplesLeaf: 5, MinWeightFractionLeaf: share, MinImpurityDecrease: 0.003, Shuffle: &d.seed}
	best, lowest := tree.SquaredError, math.Inf(1)
	for _, criterion := range []tree.Criterion{tree.SquaredError, tree.AbsoluteError} {
		options.Criterion = criterion
		sum, start := 0.0, 0
		for k := range weakFolds {
			size := n / weakFolds
			if k < n%weakFolds {
				size++
			}
			s.learn = append(append(s.learn[:0], s.rows[:start]...), s.rows[start+size:]...)
			start += size
			_, score := s.weakest(d, s.fitter.Fit(features, y, s.learn, options), pair)
			sum += score
		}
		if sum/weakFolds < lowest {
			best, lowest = criterion, sum/weakFolds
		}
	}
	options.Criterion = best
	grown := s.fitter.Fit(features, y, s.rows, options)
	leaf, score := s.weakest(d, grown, pair)
	region := grown.Regions()[max(leaf, 0)]
	if leaf < 0 || len(region.Ranges) == 0 {
		return nil
	}
	return d.segment(score, region, pair)
}

// weakest scores the leaves of a tree over all rows of the pair and returns
// the place of the worst among them, from left to right, with its score. Rows
// fall into leaves by their full values, not by the float32 of the training.
func (s *pairSearch) weakest(d *weakData, t *tree.Tree, pair [2]*weakFeature) (leaf int, score float64) {
	nodes := t.Nodes()
	s.sums, s.counts = resized(s.sums, len(nodes)), resized(s.counts, len(nodes))
	general := d.measure.general != nil
	if general {
		s.leaves = make([][]int32, len(nodes))
	}
	x0, x1 := pair[0].values, pair[1].values
	for _, r := range s.rows {
		at := int32(0)
		for nodes[at].Feature >= 0 {
			v := x0[r]
			if nodes[at].Feature == 1 {
				v = x1[r]
			}
			if v <= nodes[at].Threshold {
				at = nodes[at].Left
			} else {
				at = nodes[at].Right
			}
		}
		s.counts[at]++
		if general {
			s.leaves[at] = append(s.leaves[at], r)
		} else {
			s.sums[at] += d.measure.each[r]
		}
	}
	leaf, score = -1, math.Inf(1)
	place := -1
	for at := range nodes { // nodes are listed left before right
		if !nodes[at].IsLeaf() {
			continue
		}
		place++
		if s.counts[at] == 0 {
			continue
		}
		v := 0.0
		if general {
			v = d.measure.general(s.leaves[at])
		} else {
			v = d.measure.fold(s.sums[at] / float64(s.counts[at]))
		}
		if v < score {
			leaf, score = place, v
		}
	}
	return leaf, score
}

func resized[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	s = s[:n]
	clear(s)
	return s
}

// segment describes a leaf.
func (d *weakData) segment(score float64, region tree.Region, pair [2]*weakFeature) *Segment {
	out := &Segment{Score: score}
	ranges := slices.Clone(region.Ranges)
	slices.SortFunc(ranges, func(a, b tree.Range) int { return cmp.Compare(a.Feature, b.Feature) })
	for _, r := range ranges {
		f := pair[r.Feature]
		b := Bound{Feature: f.name, Low: r.Low, High: r.High}
		if f.categorical {
			b.Categories = []frame.Value{}
			for i, rank := range f.ranks {
				if v := float64(rank); v > r.Low && v <= r.High {
					b.Categories = append(b.Categories, f.categories[i])
				}
			}
		}
		out.Bounds = append(out.Bounds, b)
	}
	d.fill(out)
	return out
}

// fill finds the rows of a segment.
func (d *weakData) fill(s *Segment) {
	var columns [][]float64
	for _, b := range s.Bounds {
		i := slices.IndexFunc(d.features, func(f *weakFeature) bool { return f.name == b.Feature })
		columns = append(columns, d.features[i].values)
	}
	s.Rows = nil
	for _, r := range d.rows {
		in := true
		for i, b := range s.Bounds {
			v := columns[i][r]
			in = in && v > b.Low && v <= b.High
		}
		if in {
			s.Rows = append(s.Rows, d.ids[r])
		}
	}
	s.Share = math.RoundToEven(10000*float64(len(s.Rows))/float64(len(d.rows))) / 100
}

// narrow shrinks ranges of more than limit categories to their largest one. It
// tells whether the segment is still large enough.
func (d *weakData) narrow(s *Segment, limit int) bool {
	changed := false
	bounds := slices.Clone(s.Bounds)
	for i, b := range bounds {
		if len(b.Categories) <= limit {
			continue
		}
		at := slices.IndexFunc(d.features, func(f *weakFeature) bool { return f.name == b.Feature })
		f, counts := d.features[at], make(map[float64]int)
		for _, v := range f.values {
			counts[v]++
		}
		best := -1
		for k, rank := range f.ranks {
			v := float64(rank)
			if v > b.Low && v <= b.High && (best < 0 || counts[v] > counts[float64(f.ranks[best])]) {
				best = k
			}
		}
		changed = true
		rank := float64(f.ranks[best])
		bounds[i].Low, bounds[i].High, bounds[i].Categories = rank-1, rank, []frame.Value{f.categories[best]}
	}
	if !changed {
		return true
	}
	s.Bounds = bounds
	d.fill(s)
	if float64(len(s.Rows)) < d.minShare*float64(len(d.rows)) || len(s.Rows) == 0 {
		return false
	}
	place := make(map[int]int32, len(d.ids))
	for i, id := range d.ids {
		place[id] = int32(i)
	}
	rows := make([]int32, len(s.Rows))
	for i, id := range s.Rows {
		rows[i] = place[id]
	}
	s.Score = d.measure.all(rows)
	return true
}

// sortedAs returns the ascending order of scores, with equal ones where
// numpy's argsort leaves them.
func sortedAs(scores []float64) []int32 {
	order := ascending(scores)
	ranks, rank := make([]int, len(scores)), 0
	for i, at := range order {
		if i > 0 && scores[at] != scores[order[i-1]] {
			rank++
		}
		ranks[at] = rank
	}
	return stats.Argsort(ranks)
}

// descendingAs returns the falling order of values, with equal ones where
// pandas' sort_values leaves them: it sorts the reversed list and reverses.
func descendingAs(values []float64) []int32 {
	n := len(values)
	reversed := make([]float64, n)
	for i, v := range values {
		reversed[n-1-i] = v
	}
	out := make([]int32, n)
	for i, at := range sortedAs(reversed) {
		out[n-1-i] = int32(n-1) - at
	}
	return out
}
