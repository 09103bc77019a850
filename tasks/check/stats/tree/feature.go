package tree

import (
	"cmp"
	"math"
	"slices"
)

// Feature is one column of numbers with its order. It may be shared.
type Feature struct {
	values []float32
	order  []int32 // rows by ascending value, equal values by row
}

// NewFeature sorts a column. Values must not be NaN. The slice is kept.
func NewFeature(values []float32) *Feature {
	return &Feature{values: values, order: sortFloats(values)}
}

// Values returns the column; it must not be changed.
func (f *Feature) Values() []float32 { return f.values }

// sortFloats returns the stable order of the values, by a radix sort on their
// bits: least significant digit first, 11 bits at a time.
func sortFloats(values []float32) []int32 {
	const digit, passes = 11, 3
	n := len(values)
	keys, order := make([]uint32, n), make([]int32, n)
	var counts [passes][1 << digit]int32
	for i, v := range values {
		if v == 0 {
			v = 0 // -0 equals 0
		}
		k := math.Float32bits(v)
		if k>>31 != 0 {
			k = ^k
		} else {
			k |= 1 << 31
		}
		keys[i], order[i] = k, int32(i)
		for p := range passes {
			counts[p][k>>(p*digit)&(1<<digit-1)]++
		}
	}
	keys2, order2 := make([]uint32, n), make([]int32, n)
	for p := range passes {
		at, single := int32(0), false
		for d, c := range counts[p] {
			single = single || int(c) == n
			counts[p][d] = at
			at += c
		}
		if single {
			continue // all keys share this digit
		}
		for i, k := range keys {
			d := k >> (p * digit) & (1<<digit - 1)
			to := counts[p][d]
			counts[p][d]++
			keys2[to], order2[to] = k, order[i]
		}
		keys, keys2, order, order2 = keys2, keys, order2, order
	}
	return order
}

// Target is what a tree learns, one value for each row. It may be shared.
type Target struct {
	classes []int32
	k       int
	values  []float64
	order   []int32 // rows by ascending value, for medians
}

// Classes makes a target of class numbers from 0 to k-1. The slice is kept.
func Classes(classes []int32, k int) *Target { return &Target{classes: classes, k: k} }

// Numbers makes a target of numbers. The slice is kept. A target that is to
// be learned by AbsoluteError must come from Ranked.
func Numbers(values []float64) *Target { return &Target{values: values} }

// Ranked makes a target of numbers that is sorted, as AbsoluteError needs.
func Ranked(values []float64) *Target {
	t := Numbers(values)
	type entry struct {
		v   float64
		row int32
	}
	entries := make([]entry, len(values))
	for i, v := range values {
		entries[i] = entry{v, int32(i)}
	}
	slices.SortFunc(entries, func(a, b entry) int {
		if c := cmp.Compare(a.v, b.v); c != 0 {
			return c
		}
		return cmp.Compare(a.row, b.row)
	})
	t.order = make([]int32, len(values))
	for i, e := range entries {
		t.order[i] = e.row
	}
	return t
}
