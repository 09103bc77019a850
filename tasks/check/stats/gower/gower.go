// Package gower finds outliers: the nearest neighbours of each row by Gower's
// distance, which takes numbers and categories alike, and the probability that
// a row lies apart from them.
package gower

import (
	"context"
	"fmt"
	"math"
	"math/bits"
	"sync"

	"aloft/tasks/check/stats"
)

// Table is rows of numbers and categories. Distances between two rows are the
// mean over the features of |a − b| / range, or of whether categories differ.
type Table struct {
	// Numbers holds each numeric feature by row; NaN is a missing value, for
	// which the feature is left out of the mean.
	Numbers [][]float64
	// Categories holds each categorical feature by row.
	Categories [][]int32
	// Poison makes the distance of two rows that both miss the same number
	// missing itself.
	Poison bool
}

// Neighbors are the nearest rows of each row, the row itself included. Both
// lists are in order of distance, then of row.
type Neighbors struct {
	Rows     [][]int32
	Distance [][]float64 // NaN for neighbours at no known distance
}

// block is how many rows one step compares with as many others.
const block = 128

// Nearest finds the k nearest rows of each of the n rows on all processors; of
// equally distant ones the first are taken.
func (t Table) Nearest(ctx context.Context, n, k int) (Neighbors, error) {
	s := newSearch(t, n, min(k, n))
	blocks := (n + block - 1) / block
	type pair struct{ a, b int }
	var pairs []pair
	for a := range blocks {
		for b := a; b < blocks; b++ {
			pairs = append(pairs, pair{a, b})
		}
	}
	locks := make([]sync.Mutex, blocks)
	err := stats.Parallel(len(pairs), func(i int) {
		if ctx.Err() == nil {
			s.compare(pairs[i].a, pairs[i].b, locks)
		}
	})
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return Neighbors{}, fmt.Errorf("nearest neighbours: %w", err)
	}
	return s.result(), nil
}

// search holds the rows in a form that is compared fast.
type search struct {
	n, k, width int // rows, neighbours, numbers in a row
	features    float64
	numbers     []float64 // by row, scaled to 0…1; missing ones are 0
	missing     []uint64  // by row, a bit for each number; nil without any
	holes       []bool    // rows that miss a number
	words       int       // of missing
	narrow      []uint64  // by row, categories in bytes
	narrowWords int
	wide        []uint64 // by row, categories in halves of a word
	wideWords   int
	poison      bool
	best        []heap
	spare       sync.Pool // of distances of two blocks
}

func newSearch(t Table, n, k int) *search {
	s := &search{n: n, k: k, width: len(t.Numbers), features: float64(len(t.Numbers) + len(t.Categories)), poison: t.Poison}
	s.numbers = make([]float64, n*s.width)
	for f, values := range t.Numbers {
		low, high := math.Inf(1), math.Inf(-1)
		for _, v := range values {
			if !math.IsNaN(v) {
				low, high = min(low, v), max(high, v)
			}
		}
		span := high - low
		if span == 0 {
			span = 1
		}
		for i, v := range values {
			if math.IsNaN(v) {
				s.miss(i, f)
				continue
			}
			s.numbers[i*s.width+f] = (v - low) / span
		}
	}
	var narrow, wide [][]int32
	for _, codes := range t.Categories {
		most := int32(0)
		for _, c := range codes {
			most = max(most, c)
		}
		if most < 1<<8 {
			narrow = append(narrow, codes)
		} else {
			wide = append(wide, codes)
		}
	}
	s.narrow, s.narrowWords = pack(narrow, n, 8)
	s.wide, s.wideWords = pack(wide, n, 32)
	s.best = make([]heap, n)
	for i := range s.best {
		s.best[i].limit = math.Inf(1)
	}
	return s
}

// miss notes that a row has no number.
func (s *search) miss(row, feature int) {
	if s.missing == nil {
		s.words = (s.width + 63) / 64
		s.missing, s.holes = make([]uint64, s.n*s.words), make([]bool, s.n)
	}
	s.missing[row*s.words+feature/64] |= 1 << (feature % 64)
	s.holes[row] = true
}

// pack puts codes side by side in words, lanes of the given width.
func pack(columns [][]int32, n, lane int) ([]uint64, int) {
	per := 64 / lane
	words := (len(columns) + per - 1) / per
	out := make([]uint64, n*words)
	for f, codes := range columns {
		for i, c := range codes {
			out[i*words+f/per] |= uint64(uint32(c)) << (f % per * lane)
		}
	}
	return out, words
}

// compare takes the distances between the rows of two blocks and gives them to
// the rows of both.
func (s *search) compare(a, b int, locks []sync.Mutex) {
	firstA, firstB := a*block, b*block
	endA, endB := min(firstA+block, s.n), min(firstB+block, s.n)
	buffer, ok := s.spare.Get().(*[block * block]float64)
	if !ok {
		buffer = new([block * block]float64)
	}
	defer s.spare.Put(buffer)
	distances := buffer[:]
	for i := firstA; i < endA; i++ {
		s.row(i, firstB, endB, distances[(i-firstA)*block:])
	}
	locks[a].Lock()
	for i := firstA; i < endA; i++ {
		h := &s.best[i]
		for j, d := range distances[(i-firstA)*block:][:endB-firstB] {
			if d <= h.limit {
				h.add(entry{d, int32(firstB + j)}, s.k)
			}
		}
	}
	locks[a].Unlock()
	if a == b {
		return // both orders of each pair have been seen
	}
	locks[b].Lock()
	for j := firstB; j < endB; j++ {
		h := &s.best[j]
		for i := firstA; i < endA; i++ {
			if d := distances[(i-firstA)*block+j-firstB]; d <= h.limit {
				h.add(entry{d, int32(i)}, s.k)
			}
		}
	}
	locks[b].Unlock()
}

// row takes the distances of one row to those from first to end, four at a
// time so that sums do not wait for each other. A distance that is not known
// is infinite.
func (s *search) row(i, first, end int, out []float64) {
	w := s.width
	x := s.numbers[i*w : i*w+w]
	j := first
	for ; j+4 <= end; j += 4 {
		y0, y1 := s.numbers[j*w:][:len(x)], s.numbers[(j+1)*w:][:len(x)]
		y2, y3 := s.numbers[(j+2)*w:][:len(x)], s.numbers[(j+3)*w:][:len(x)]
		var d0, d1, d2, d3 float64
		for f, v := range x {
			d0 += math.Abs(v - y0[f])
			d1 += math.Abs(v - y1[f])
			d2 += math.Abs(v - y2[f])
			d3 += math.Abs(v - y3[f])
		}
		at := out[j-first:][:4]
		at[0], at[1], at[2], at[3] = d0, d1, d2, d3
	}
	for ; j < end; j++ {
		y, d := s.numbers[j*w:][:len(x)], 0.0
		for f, v := range x {
			d += math.Abs(v - y[f])
		}
		out[j-first] = d
	}
	s.addCategories(i, first, end, out)
	if s.holes == nil {
		return // every distance is over all features: result divides
	}
	for j := first; j < end; j++ {
		d, features := out[j-first], s.features
		if s.holes[i] || s.holes[j] {
			d, features = s.partial(i, j)
			d += float64(s.differing(i, j))
		}
		if features == 0 {
			d, features = math.Inf(1), 1
		}
		out[j-first] = d / features
	}
}

// addCategories adds the categories that differ to the distances.
func (s *search) addCategories(i, first, end int, out []float64) {
	if s.narrowWords != 1 || s.wideWords != 0 {
		if s.narrowWords+s.wideWords > 0 {
			for j := first; j < end; j++ {
				out[j-first] += float64(s.differing(i, j))
			}
		}
		return
	}
	a := s.narrow[i]
	for j, b := range s.narrow[first:end] {
		out[j] += float64(bits.OnesCount64(differingBytes(a ^ b)))
	}
}

// differingBytes sets the highest bit of each byte that is not zero.
func differingBytes(x uint64) uint64 {
	const low, high = 0x7f7f7f7f7f7f7f7f, 0x8080808080808080
	return (x&low + low | x) & high
}

// partial is the distance by numbers where some are missing, and the number
// of all features that take part.
func (s *search) partial(i, j int) (d, features float64) {
	a, b := s.missing[i*s.words:(i+1)*s.words], s.missing[j*s.words:(j+1)*s.words]
	features = s.features
	for w := range a {
		if s.poison && a[w]&b[w] != 0 {
			return math.Inf(1), features
		}
		features -= float64(bits.OnesCount64(a[w] | b[w]))
	}
	x, y := s.numbers[i*s.width:(i+1)*s.width], s.numbers[j*s.width:(j+1)*s.width]
	for f := range x {
		if (a[f/64]|b[f/64])>>(f%64)&1 == 0 {
			d += math.Abs(x[f] - y[f])
		}
	}
	return d, features
}

// differing counts the categories that differ.
func (s *search) differing(i, j int) int {
	n := 0
	a, b := s.narrow[i*s.narrowWords:(i+1)*s.narrowWords], s.narrow[j*s.narrowWords:(j+1)*s.narrowWords]
	for w, v := range a {
		n += bits.OnesCount64(differingBytes(v ^ b[w]))
	}
	c, d := s.wide[i*s.wideWords:(i+1)*s.wideWords], s.wide[j*s.wideWords:(j+1)*s.wideWords]
	for w, v := range c {
		x := v ^ d[w]
		if x>>32 != 0 {
			n++
		}
		if uint32(x) != 0 {
			n++
		}
	}
	return n
}

func (s *search) result() Neighbors {
	out := Neighbors{Rows: make([][]int32, s.n), Distance: make([][]float64, s.n)}
	for i := range s.best {
		list := s.best[i].sorted()
		for _, e := range list {
			d := e.distance
			if s.holes == nil {
				d /= s.features
			}
			if math.IsInf(d, 1) {
				d = math.NaN()
			}
			out.Rows[i], out.Distance[i] = append(out.Rows[i], e.row), append(out.Distance[i], d)
		}
	}
	return out
}
