package frame

import "math"

// survey is what is known of a whole column of which only some rows are kept:
// its distinct values in the order in which they first appear, with their
// numbers of rows.
type survey struct {
	present, nulls int
	nullAt         int // distinct values before the first missing cell
	// Of numbers, by Column.Bits.
	index    map[uint64]int32
	order    []uint64
	recent   [256]recent
	counts   []int
	texts    []int // rows by code, of a Text column
	many     bool  // more distinct values than are counted
	fraction bool  // some float is not whole
}

// recent is a value seen lately and its place in the order.
type recent struct {
	bits uint64
	at   int32 // + 1; 0 is free
}

// maxDistinct bounds the distinct numbers of a column that are counted.
const maxDistinct = 10_000

// maxDictionary bounds the texts kept of a column of which only some rows are
// kept; beyond it, texts that only other rows hold are left out.
const (
	maxDictionary      = 1 << 20
	maxDictionaryBytes = 256 << 20
)

// add takes in a piece of the column, of its own type. The codes of texts are
// counted apart.
func (s *survey) add(p *piece) {
	missing := len(p.nulls) > 0
	for i := range p.n {
		if missing && p.nulls[i] != 0 {
			if s.nulls++; s.nulls == 1 && p.kind != Text {
				s.nullAt = len(s.order)
			}
			continue
		}
		s.present++
		switch {
		case p.kind == Text:
		case p.kind == Float:
			f := p.floats[i]
			s.fraction = s.fraction || f != math.Trunc(f)
			s.number(floatBits(f))
		default:
			s.number(uint64(p.ints[i]))
		}
	}
}

func floatBits(f float64) uint64 {
	if f == 0 {
		f = 0 // -0 equals 0
	}
	return math.Float64bits(f)
}

func (s *survey) number(bits uint64) {
	if s.many {
		return
	}
	near := &s.recent[mix(bits)>>56]
	if near.at > 0 && near.bits == bits {
		s.counts[near.at-1]++
		return
	}
	at, ok := s.index[bits]
	if !ok {
		if len(s.order) == maxDistinct {
			s.many, s.index, s.order, s.counts = true, nil, nil, nil
			return
		}
		if s.index == nil {
			s.index = make(map[uint64]int32)
		}
		at = int32(len(s.order))
		s.index[bits] = at
		s.order, s.counts = append(s.order, bits), append(s.counts, 0)
	}
	s.counts[at]++
	*near = recent{bits, at + 1}
}

// text counts the codes of a piece of text; before is the size of the column's
// dictionary before it, renumbered the column's code of each of the piece's.
func (s *survey) text(p *piece, before int, renumbered []int32, used []bool) {
	if used != nil {
		s.many = true
	}
	if s.many {
		return
	}
	counts := make([]int, len(renumbered))
	most, seenNull := int32(-1), s.nulls > countNulls(p.nulls)
	for i, c := range p.codes {
		if len(p.nulls) > 0 && p.nulls[i] != 0 {
			if !seenNull {
				seenNull, s.nullAt = true, before
				for k := range most + 1 {
					if int(renumbered[k]) >= before {
						s.nullAt++
					}
				}
			}
			continue
		}
		most = max(most, c)
		counts[c]++
	}
	for k, n := range counts {
		if n == 0 {
			continue
		}
		for int(renumbered[k]) >= len(s.texts) {
			s.texts = append(s.texts, 0)
		}
		s.texts[renumbered[k]] += n
	}
}

func countNulls(nulls []uint8) int {
	n := 0
	for _, s := range nulls {
		if s != 0 {
			n++
		}
	}
	return n
}

// widen turns the distinct integers into floats.
func (s *survey) widen() {
	s.remap(func(bits uint64) uint64 { return floatBits(float64(int64(bits))) })
}

// remap replaces the distinct numbers; those that become equal are counted
// together.
func (s *survey) remap(f func(uint64) uint64) {
	order, counts := s.order, s.counts
	s.index, s.order, s.counts, s.recent = nil, nil, nil, [256]recent{}
	for i, bits := range order {
		s.number(f(bits))
		s.counts[s.index[f(bits)]] += counts[i] - 1
	}
}

// distinct lists the distinct present values of the column with their numbers
// of rows in the order in which they first appear, and false when they are too
// many to have been counted.
func (s *survey) distinct(c *Column) ([]Value, []int, bool) {
	if s.many {
		return nil, nil, false
	}
	var values []Value
	if c.kind != Text {
		for _, bits := range s.order {
			values = append(values, c.FromBits(bits))
		}
		return values, s.counts, true
	}
	for k := range s.texts {
		values = append(values, TextValue(c.dict[k]))
	}
	return values, s.texts, true
}

// times is the survey of the column after its cells were turned into times:
// parsed are those of its texts.
func (s *survey) times(c *Column, parsed []int64, scale float64) *survey {
	out := &survey{present: s.present, nulls: s.nulls, nullAt: s.nullAt, many: s.many, order: s.order, counts: s.counts}
	if s.many {
		return out
	}
	if c.kind == Text {
		out.order, out.counts = make([]uint64, len(s.texts)), s.texts
		for k := range s.texts {
			out.order[k] = uint64(k)
		}
	}
	out.remap(func(bits uint64) uint64 {
		switch {
		case c.kind == Text:
			return uint64(parsed[bits])
		case c.kind == Float:
			return uint64(int64(math.Round(math.Float64frombits(bits) * scale)))
		case scale == 1:
			return bits
		}
		return uint64(int64(math.Round(float64(int64(bits)) * scale)))
	})
	return out
}

// Counts lists the distinct cells of all rows of the column, a missing one
// among them, with their numbers of rows, in the order in which they first
// appear. It is false of a column of which only some rows are kept and that
// has more distinct numbers, or texts, than are counted then.
func (c *Column) Counts() (cells []Value, rows []int, ok bool) {
	if s := c.whole; s != nil {
		values, counts, ok := s.distinct(c)
		for i, v := range values {
			if s.nulls > 0 && i == s.nullAt {
				cells, rows = append(cells, Value{}), append(rows, s.nulls)
			}
			cells, rows = append(cells, v), append(rows, counts[i])
		}
		if s.nulls > 0 && s.nullAt == len(values) {
			cells, rows = append(cells, Value{}), append(rows, s.nulls)
		}
		return cells, rows, ok
	}
	all := make([]int32, c.n)
	for i := range all {
		all[i] = int32(i)
	}
	g := GroupRows([]*Column{c}, all)
	for k, r := range g.First {
		cells, rows = append(cells, c.Value(int(r))), append(rows, int(g.Size[k]))
	}
	return cells, rows, true
}
