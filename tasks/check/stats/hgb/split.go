package hgb

import (
	"cmp"
	"slices"

	"aloft/tasks/check/stats"
)

// split is a way to divide a node.
type split struct {
	gain        float64
	feature     int
	bin         uint8 // numbers: the last bin that goes left
	categorical bool
	set         [4]uint64 // categories: the bins that go left
	missingLeft bool
	left        cell
}

// best finds the split of largest gain; among equals the first feature's.
func (gr *grower) best(hist histogram, sum cell) (split, error) {
	splits := make([]split, len(gr.features))
	err := stats.Parallel(len(gr.features), func(f int) {
		s := split{gain: -1, feature: f}
		if gr.features[f].categorical {
			gr.byCategory(&s, hist[f], sum)
		} else {
			gr.byNumber(&s, hist[f], sum)
		}
		splits[f] = s
	})
	best := split{gain: -1}
	for _, s := range splits {
		if s.gain > best.gain {
			best = s
		}
	}
	return best, err
}

// allows judges a division: whether both sides are large enough, and whether
// growing the first side further is in vain.
func (gr *grower) allows(first, rest cell) (ok, done bool) {
	switch {
	case first.n < gr.o.MinLeaf:
		return false, false
	case rest.n < gr.o.MinLeaf:
		return false, true
	case first.h < minHessian:
		return false, false
	case rest.h < minHessian:
		return false, true
	}
	return true, false
}

func gain(sum, left, right cell) float64 {
	return worth(sum.g, sum.h)*sum.g - worth(left.g, left.h)*left.g - worth(right.g, right.h)*right.g
}

func (gr *grower) byNumber(s *split, cells []cell, sum cell) {
	bins := gr.features[s.feature].bins
	missing := gr.missing[s.feature]
	end := bins - 1
	if missing {
		end++ // all values against the missing ones
	}
	var left cell
	for k := range end {
		left = left.plus(cells[k])
		right := sum.minus(left)
		ok, done := gr.allows(left, right)
		if done {
			break
		}
		if ok {
			if g := gain(sum, left, right); g > s.gain && g > 0 {
				s.gain, s.bin, s.left, s.missingLeft = g, uint8(k), left, false
			}
		}
	}
	if !missing {
		return
	}
	var right cell
	for k := bins - 2; k >= 0; k-- {
		right = right.plus(cells[k+1])
		left := sum.minus(right)
		ok, done := gr.allows(right, left)
		if done {
			break
		}
		if ok {
			if g := gain(sum, left, right); g > s.gain && g > 0 {
				s.gain, s.bin, s.left, s.missingLeft = g, uint8(k), left, true
			}
		}
	}
}

func (gr *grower) byCategory(s *split, cells []cell, sum cell) {
	s.categorical = true
	support := float64(sum.n) / sum.h
	type category struct {
		bin   uint8
		value float64
	}
	var used []category
	for k, c := range cells {
		if c.n > 0 && c.h*support >= minCategory {
			used = append(used, category{uint8(k), c.g / (c.h + minCategory)})
		}
	}
	if len(used) < 2 {
		return
	}
	// Of equal categories the later comes first, as the original's merge sort
	// leaves them.
	slices.SortFunc(used, func(a, b category) int { return cmp.Or(cmp.Compare(a.value, b.value), cmp.Compare(b.bin, a.bin)) })
	// Either half is tried from its end. The halves do not mirror each other:
	// categories too rare to be used go right in both.
	most := (len(used) + 1) / 2
	bestN, forward := 0, true
	for _, ascending := range []bool{true, false} {
		if !ascending {
			most--
		}
		var left cell
		for i := range most {
			at := i
			if !ascending {
				at = len(used) - 1 - i
			}
			left = left.plus(cells[used[at].bin])
			right := sum.minus(left)
			if left.n < gr.o.MinLeaf || left.h < minHessian {
				continue
			}
			if right.n < gr.o.MinLeaf || right.h < minHessian {
				break
			}
			if g := gain(sum, left, right); g > s.gain && g > 0 {
				s.gain, s.left, bestN, forward = g, left, i+1, ascending
			}
		}
	}
	for i := range bestN {
		at := i
		if !forward {
			at = len(used) - 1 - i
		}
		k := used[at].bin
		s.set[k>>6] |= 1 << (k & 63)
	}
	s.missingLeft = s.set[missingBin>>6]>>(missingBin&63)&1 == 1
}
