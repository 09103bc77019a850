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

// One step looks around from chunk rows at block others after the other, which
// then stay near the processor.
const (
	chunk = 8
	block = 256
)

// Nearest finds the k nearest rows of each of the n rows on all processors; of
// equally distant ones the first are taken.
func (t Table) Nearest(ctx context.Context, n, k int) (Neighbors, error) {
	s := newSearch(t, n, min(k, n))
	out := Neighbors{Rows: make([][]int32, n), Distance: make([][]float64, n)}
	err := stats.Parallel((n+chunk-1)/chunk, func(c int) {
		w, ok := s.spare.Get().(*work)
		if !ok {
			w = s.work()
		}
		defer s.spare.Put(w)
		if ctx.Err() != nil {
			return
		}
		first, end := c*chunk, min(n, (c+1)*chunk)
		s.glance(first, end, w)
		for i := first; i < end; i++ {
			w.coarse = w.chunk[(i-first)*n:][:n]
			out.Rows[i], out.Distance[i] = s.around(i, w)
		}
	})
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return Neighbors{}, fmt.Errorf("nearest neighbours: %w", err)
	}
	return out, nil
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
	wideCount   int
	lacking     []int32 // by row, numbers that are missing; nil without any
	poison      bool
	unbounded   bool // some number is out of all range
	coarse      coarse
	spare       sync.Pool // of work
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
			x := (v - low) / span
			s.numbers[i*s.width+f] = x
			s.unbounded = s.unbounded || math.IsNaN(x)
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
	s.wideCount = len(wide)
	s.coarse = newCoarse(s)
	return s
}

// miss notes that a row has no number.
func (s *search) miss(row, feature int) {
	if s.missing == nil {
		s.words = (s.width + 63) / 64
		s.missing, s.holes = make([]uint64, s.n*s.words), make([]bool, s.n)
		s.lacking = make([]int32, s.n)
	}
	s.missing[row*s.words+feature/64] |= 1 << (feature % 64)
	s.holes[row] = true
	s.lacking[row]++
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

// around finds the neighbours of a row: those rows are compared exactly whose
// coarse distance lets them be among the nearest.
func (s *search) around(i int, w *work) ([]int32, []float64) {
	near := s.near(i, w)
	s.distances(i, near, w.distances)
	w.entries = w.entries[:0]
	for at, j := range near {
		if d := w.distances[at]; !math.IsNaN(d) {
			w.entries = append(w.entries, entry{d, j})
		}
	}
	k := min(s.k, len(w.entries))
	list := least(w.entries, k)
	rows, distances := make([]int32, k), make([]float64, k)
	for at, e := range list {
		rows[at], distances[at] = e.row, e.distance
		if math.IsInf(e.distance, 1) {
			distances[at] = math.NaN()
		}
	}
	return rows, distances
}

// distances takes the distances of one row to others, four at a time so that
// sums do not wait for each other. A distance that is not known is infinite.
func (s *search) distances(i int, rows []int32, out []float64) {
	w := s.width
	x := s.numbers[i*w : i*w+w]
	at := 0
	for ; at+4 <= len(rows); at += 4 {
		y0, y1 := s.numbers[int(rows[at])*w:][:len(x)], s.numbers[int(rows[at+1])*w:][:len(x)]
		y2, y3 := s.numbers[int(rows[at+2])*w:][:len(x)], s.numbers[int(rows[at+3])*w:][:len(x)]
		var d0, d1, d2, d3 float64
		for f, v := range x {
			d0 += math.Abs(v - y0[f])
			d1 += math.Abs(v - y1[f])
			d2 += math.Abs(v - y2[f])
			d3 += math.Abs(v - y3[f])
		}
		out[at], out[at+1], out[at+2], out[at+3] = d0, d1, d2, d3
	}
	for ; at < len(rows); at++ {
		y, d := s.numbers[int(rows[at])*w:][:len(x)], 0.0
		for f, v := range x {
			d += math.Abs(v - y[f])
		}
		out[at] = d
	}
	for at, r := range rows {
		j := int(r)
		if s.holes == nil { // every distance is over all features
			out[at] = (out[at] + float64(s.differing(i, j))) / s.features
			continue
		}
		d, features := out[at], s.features
		if s.holes[i] || s.holes[j] {
			d, features = s.partial(i, j)
		}
		d += float64(s.differing(i, j))
		if features == 0 {
			d, features = math.Inf(1), 1
		}
		out[at] = d / features
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
	return n + s.differingWide(i, j)
}

// differingWide counts those among the categories of many values.
func (s *search) differingWide(i, j int) int {
	n := 0
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
