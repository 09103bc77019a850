package frame

import (
	"hash/maphash"
	"math"
	"math/bits"
)

// Match finds, for each of rowsB in the columns b, a row of rowsA in the
// columns a whose cells are all equal: its position in rowsA, the first one, or
// -1. Columns stand opposite each other; missing cells equal each other. It
// takes time and memory linear in the number of cells.
func Match(a, b []*Column, rowsA, rowsB []int32) []int32 {
	pairs := make([]pair, len(a))
	ha, hb := make([]uint64, len(rowsA)), make([]uint64, len(rowsB))
	seed := maphash.MakeSeed() // how rows hash shows in no result
	for i := range a {
		pairs[i] = newPair(a[i], b[i], seed)
		pairs[i].a.hash(ha, rowsA)
		pairs[i].b.hash(hb, rowsB)
	}
	slots := make([]int32, 1<<bits.Len(uint(2*len(rowsA)))) // position + 1; 0 is free
	mask := uint64(len(slots) - 1)
	equal := func(x, y int32, same bool) bool {
		for i := range pairs {
			if same && !pairs[i].a.equal(&pairs[i].a, x, y) || !same && !pairs[i].a.equal(&pairs[i].b, x, y) {
				return false
			}
		}
		return true
	}
	for i, h := range ha {
		for at := h & mask; ; at = (at + 1) & mask {
			k := slots[at] - 1
			if k < 0 {
				slots[at] = int32(i) + 1
				break
			}
			if ha[k] == h && equal(rowsA[k], rowsA[i], true) {
				break
			}
		}
	}
	out := make([]int32, len(rowsB))
	for i, h := range hb {
		out[i] = -1
		for at := h & mask; slots[at] != 0; at = (at + 1) & mask {
			if k := slots[at] - 1; ha[k] == h && equal(rowsA[k], rowsB[i], false) {
				out[i] = k
				break
			}
		}
	}
	return out
}

// pair is two columns whose cells are compared.
type pair struct{ a, b comparable64 }

// comparable64 gives the cells of a column numbers that are equal where cells
// are: of texts their hashes, of numbers their bits.
type comparable64 struct {
	c       *Column
	texts   []uint64
	asFloat bool // the columns are of different numeric kinds
}

func newPair(a, b *Column, seed maphash.Seed) pair {
	p := pair{comparable64{c: a}, comparable64{c: b}}
	p.a.asFloat = a.Kind() != b.Kind() && a.Kind().Numeric() && b.Kind().Numeric()
	p.b.asFloat = p.a.asFloat
	for _, side := range []*comparable64{&p.a, &p.b} {
		if side.c.Kind() == Text {
			side.texts = make([]uint64, len(side.c.Dict()))
			for i, s := range side.c.Dict() {
				side.texts[i] = maphash.String(seed, s)
			}
		}
	}
	return p
}

const nullHash = 0x9e3779b97f4a7c15

func (c *comparable64) at(row int32) uint64 {
	i := int(row)
	switch {
	case c.c.IsNull(i):
		return nullHash
	case c.texts != nil:
		return c.texts[c.c.Bits(i)]
	case c.asFloat:
		return math.Float64bits(c.c.Float(i) + 0) // -0 equals 0
	default:
		return c.c.Bits(i)
	}
}

func (c *comparable64) hash(into []uint64, rows []int32) {
	for i, r := range rows {
		into[i] = mix(into[i]*3 + c.at(r))
	}
}

// equal compares a cell with one of another column, or of the same.
func (c *comparable64) equal(d *comparable64, i, j int32) bool {
	x, y := int(i), int(j)
	if nx, ny := c.c.IsNull(x), d.c.IsNull(y); nx || ny {
		return nx && ny
	}
	if (c.texts != nil) != (d.texts != nil) || (c.c.Kind() == Time) != (d.c.Kind() == Time) {
		return false
	}
	if c.texts != nil {
		return c.c.Dict()[c.c.Bits(x)] == d.c.Dict()[d.c.Bits(y)]
	}
	return c.at(i) == d.at(j)
}
