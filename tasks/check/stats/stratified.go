package stats

import (
	"cmp"
	"math"
	"slices"
)

// StratifiedSplit divides rows at random into train and test so that each
// class keeps its share, as scikit-learn's train_test_split does with
// stratify: class[i] is the class of row i (0 to k-1), testShare the part of
// the rows for test. The rows come in random order.
func StratifiedSplit(class []int32, k int, testShare float64, seed uint32) (train, test []int32) {
	m := newMT(seed)
	rows := make([][]int32, k)
	for i, c := range class {
		rows[c] = append(rows[c], int32(i))
	}
	nTest := int(math.Ceil(testShare * float64(len(class))))
	counts := make([]int, k)
	for c := range rows {
		counts[c] = len(rows[c])
	}
	inTrain := m.apportion(counts, len(class)-nTest)
	for c := range counts {
		counts[c] -= inTrain[c]
	}
	inTest := m.apportion(counts, nTest)
	for c, list := range rows {
		p := m.permutation(len(list))
		for i, at := range p {
			switch {
			case i < inTrain[c]:
				train = append(train, list[at])
			case i < inTrain[c]+inTest[c]:
				test = append(test, list[at])
			}
		}
	}
	return m.shuffled(train), m.shuffled(test)
}

// apportion divides n among classes in proportion to their counts: whole parts
// first, what is left to the largest fractions, equal fractions by lot.
func (m *mt) apportion(counts []int, n int) []int {
	all := total(counts)
	parts, fractions := make([]int, len(counts)), make([]float64, len(counts))
	left := n
	for i, c := range counts {
		exact := 0.0
		if all > 0 {
			exact = float64(c) / float64(all) * float64(n)
		}
		parts[i] = int(math.Floor(exact))
		fractions[i] = exact - math.Floor(exact)
		left -= parts[i]
	}
	levels := slices.Clone(fractions)
	slices.SortFunc(levels, func(a, b float64) int { return cmp.Compare(b, a) })
	for _, f := range slices.Compact(levels) {
		if left <= 0 {
			break
		}
		var same []int
		for i := range fractions {
			if fractions[i] == f {
				same = append(same, i)
			}
		}
		for _, at := range m.permutation(len(same))[:min(left, len(same))] {
			parts[same[at]]++
			left--
		}
	}
	return parts
}

func (m *mt) shuffled(rows []int32) []int32 {
	out := make([]int32, len(rows))
	for i, at := range m.permutation(len(rows)) {
		out[i] = rows[at]
	}
	return out
}

// Shuffles returns the orders in which one column stands after 1 to n rounds
// of permutation importance: each round shuffles the order of the round before
// once more and applies it to the column as that round left it. The generator
// is seeded with the first draw of one seeded with seed.
func Shuffles(rows, n int, seed uint32) [][]int32 {
	m := newMT(newMT(seed).uint32() & math.MaxInt32)
	order, column := make([]int32, rows), make([]int32, rows)
	for i := range order {
		order[i], column[i] = int32(i), int32(i)
	}
	out := make([][]int32, n)
	for round := range out {
		m.shuffle(order)
		next := make([]int32, rows)
		for i, at := range order {
			next[i] = column[at]
		}
		out[round], column = next, next
	}
	return out
}

// FirstDraw is the first 32 bits that a generator seeded with seed gives: what
// libraries seed their inner generators with.
func FirstDraw(seed uint32) uint32 { return newMT(seed).uint32() }
