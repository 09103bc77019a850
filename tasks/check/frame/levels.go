package frame

import "slices"

// Levels counts each distinct value of two columns on both sides.
type Levels struct {
	// Values are in ascending order, a null last.
	Values []Value
	A, B   []int
	// Of finds the position of a value in Values by its Key.
	Of map[Value]int
}

// CountLevels counts the distinct values of rows of two columns: numbers are
// one value whatever their type, as 1 and 1.0 are. Missing cells count as one
// more value with nulls set, else not at all.
func CountLevels(a, b *Column, rowsA, rowsB []int32, nulls bool) Levels {
	l := Levels{Of: make(map[Value]int)}
	ca, cb := a.counts(rowsA), b.counts(rowsB)
	for _, side := range []counts{ca, cb} {
		for _, v := range side.values {
			if v.IsNull() && !nulls {
				continue
			}
			if _, ok := l.Of[v.Key()]; !ok {
				l.Of[v.Key()] = 0
				l.Values = append(l.Values, v)
			}
		}
	}
	slices.SortFunc(l.Values, Compare)
	l.A, l.B = make([]int, len(l.Values)), make([]int, len(l.Values))
	for i, v := range l.Values {
		l.Of[v.Key()] = i
	}
	for k, side := range []counts{ca, cb} {
		for i, v := range side.values {
			if at, ok := l.Of[v.Key()]; ok && k == 0 {
				l.A[at] += side.n[i]
			} else if ok {
				l.B[at] += side.n[i]
			}
		}
	}
	return l
}

// counts is how often each distinct value occurs; a null is one.
type counts struct {
	values []Value
	n      []int
}

func (c *Column) counts(rows []int32) counts {
	var out counts
	nulls := 0
	if c.Kind() == Text {
		byCode := make([]int, len(c.Dict()))
		for _, r := range rows {
			if c.IsNull(int(r)) {
				nulls++
			} else {
				byCode[c.Bits(int(r))]++
			}
		}
		for code, n := range byCode {
			if n > 0 {
				out.values, out.n = append(out.values, c.FromBits(uint64(code))), append(out.n, n)
			}
		}
	} else {
		place := make(map[uint64]int)
		last, at := uint64(0), -1
		for _, r := range rows {
			if c.IsNull(int(r)) {
				nulls++
				continue
			}
			if b := c.Bits(int(r)); at < 0 || b != last {
				k, ok := place[b]
				if !ok {
					k = len(out.n)
					place[b] = k
					out.values, out.n = append(out.values, c.FromBits(b)), append(out.n, 0)
				}
				last, at = b, k
			}
			out.n[at]++
		}
	}
	if nulls > 0 {
		out.values, out.n = append(out.values, Value{}), append(out.n, nulls)
	}
	return out
}
