package frame

import "math"

// survey is what is known of a whole column of which only some rows are kept:
// what inference asks for.
type survey struct {
	present  int
	ints     map[int64]struct{}
	floats   map[uint64]struct{}
	recent   [256]uint64 // bits + 1 seen lately, by their hash
	many     bool        // more distinct values than are counted
	fraction bool        // some float is not whole
}

// maxDistinct bounds the distinct numbers of a column that are counted.
const maxDistinct = 10_000

// maxDictionary bounds the texts kept of a column of which only some rows are
// kept; beyond it, texts that only other rows hold are left out.
const (
	maxDictionary      = 1 << 20
	maxDictionaryBytes = 256 << 20
)

// add takes in a piece of the column, of its own type.
func (s *survey) add(p *piece) {
	missing := len(p.nulls) > 0
	for i := range p.n {
		if missing && p.nulls[i] != 0 {
			continue
		}
		s.present++
		switch {
		case p.kind == Text || s.many && (p.kind != Float || s.fraction):
		case p.kind == Float:
			s.float(p.floats[i])
		default:
			s.int(p.ints[i])
		}
	}
}

func (s *survey) fresh(bits uint64) bool {
	at := &s.recent[mix(bits)>>56]
	if *at == bits+1 {
		return false
	}
	*at = bits + 1
	return true
}

func (s *survey) int(v int64) {
	if !s.fresh(uint64(v)) {
		return
	}
	if s.ints == nil {
		s.ints = make(map[int64]struct{})
	}
	s.ints[v] = struct{}{}
	s.many = s.many || len(s.ints) > maxDistinct
}

func (s *survey) float(f float64) {
	if f == 0 {
		f = 0 // -0 equals 0
	}
	bits := math.Float64bits(f)
	if !s.fresh(bits) {
		return
	}
	s.fraction = s.fraction || f != math.Trunc(f)
	if s.many {
		return
	}
	if s.floats == nil {
		s.floats = make(map[uint64]struct{})
	}
	s.floats[bits] = struct{}{}
	s.many = s.many || len(s.floats) > maxDistinct
}

// widen turns the distinct integers into floats.
func (s *survey) widen() {
	ints := s.ints
	s.ints, s.recent = nil, [256]uint64{}
	for v := range ints {
		s.float(float64(v))
	}
}

// distinct lists the distinct present values of the column in no order, and
// false when they are too many to have been counted.
func (s *survey) distinct(c *Column) ([]Value, bool) {
	if s.many {
		return nil, false
	}
	var out []Value
	switch c.kind {
	case Text:
		for _, t := range c.dict {
			out = append(out, TextValue(t))
		}
	case Float:
		for b := range s.floats {
			out = append(out, FloatValue(math.Float64frombits(b)))
		}
	default:
		for v := range s.ints {
			out = append(out, c.FromBits(uint64(v)))
		}
	}
	return out, true
}

// times is the survey of the column after its cells were turned into times:
// parsed are those of its texts.
func (s *survey) times(c *Column, parsed []int64, scale float64) *survey {
	out := &survey{present: s.present, many: s.many}
	for _, ns := range parsed {
		out.int(ns)
	}
	if c.kind == Text {
		return out
	}
	for v := range s.ints {
		ns := v
		if scale != 1 {
			ns = int64(math.Round(float64(v) * scale))
		}
		out.int(ns)
	}
	for b := range s.floats {
		out.int(int64(math.Round(math.Float64frombits(b) * scale)))
	}
	return out
}
