package frame

import (
	"math"
	"slices"
)

// Column is one typed column. Text is stored as codes into a dictionary in
// order of first appearance, so that checks touch each distinct text once.
type Column struct {
	name   string
	kind   Kind
	n      int
	ints   []int64   // Int, Bool, Time
	floats []float64 // Float
	codes  []int32   // Text; meaningless where null
	dict   []string  // Text
	// nulls is nil without nulls; else 0 for a present cell, or 1 + the index
	// of the spelling in the file.
	nulls     []uint8
	spellings []string
	// whole tells of all rows when only some are kept.
	whole *survey
}

// NewInts makes an Int column without nulls.
func NewInts(name string, values []int64) *Column {
	return &Column{name: name, kind: Int, n: len(values), ints: slices.Clone(values)}
}

// NewFloats makes a Float column; NaN is a null.
func NewFloats(name string, values []float64) *Column {
	c := &Column{name: name, kind: Float, n: len(values), floats: slices.Clone(values), spellings: []string{""}}
	for i, v := range values {
		if math.IsNaN(v) {
			c.setNull(i, 0)
		}
	}
	return c
}

// NewTexts makes a Text column; the empty text is a null.
func NewTexts(name string, values []string) *Column {
	c := &Column{name: name, kind: Text, n: len(values), spellings: []string{""}, codes: make([]int32, len(values))}
	seen := make(map[string]int32)
	for i, v := range values {
		if v == "" {
			c.setNull(i, 0)
			continue
		}
		code, ok := seen[v]
		if !ok {
			code = int32(len(c.dict))
			seen[v], c.dict = code, append(c.dict, v)
		}
		c.codes[i] = code
	}
	return c
}

// NewBools makes a Bool column.
func NewBools(name string, values []bool) *Column {
	c := &Column{name: name, kind: Bool, n: len(values), ints: make([]int64, len(values))}
	for i, v := range values {
		if v {
			c.ints[i] = 1
		}
	}
	return c
}

// Name returns the column's name.
func (c *Column) Name() string { return c.name }

// Kind returns the type of the column's cells.
func (c *Column) Kind() Kind { return c.kind }

// Len returns the number of rows.
func (c *Column) Len() int { return c.n }

// IsNull reports whether the cell of row i is missing.
func (c *Column) IsNull(i int) bool { return c.nulls != nil && c.nulls[i] != 0 }

// HasNulls reports whether any cell is missing.
func (c *Column) HasNulls() bool { return c.nulls != nil }

// NullSpelling returns how the missing cell of row i was written in the file;
// "" is an empty field. It must be called on a null only.
func (c *Column) NullSpelling(i int) string { return c.spellings[c.nulls[i]-1] }

// NonNull counts the cells present.
func (c *Column) NonNull() int {
	if c.nulls == nil {
		return c.n
	}
	n := 0
	for _, s := range c.nulls {
		if s == 0 {
			n++
		}
	}
	return n
}

// Value returns the cell of row i.
func (c *Column) Value(i int) Value {
	if c.IsNull(i) {
		return Value{}
	}
	switch c.kind {
	case Int:
		return IntValue(c.ints[i])
	case Bool:
		return BoolValue(c.ints[i] != 0)
	case Time:
		return TimeValue(c.ints[i])
	case Float:
		return FloatValue(c.floats[i])
	default:
		return TextValue(c.dict[c.codes[i]])
	}
}

// Float returns the cell of row i as a number; NaN for nulls and for cells
// that are no numbers.
func (c *Column) Float(i int) float64 {
	if c.IsNull(i) {
		return math.NaN()
	}
	switch c.kind {
	case Int, Bool:
		return float64(c.ints[i])
	case Float:
		return c.floats[i]
	}
	return math.NaN()
}

// Bits returns a number that two present cells of this column share exactly
// when they are equal. Nulls have no bits: ask IsNull first.
func (c *Column) Bits(i int) uint64 {
	switch c.kind {
	case Float:
		f := c.floats[i]
		if f == 0 {
			f = 0 // -0 equals 0
		}
		return math.Float64bits(f)
	case Text:
		return uint64(c.codes[i])
	default:
		return uint64(c.ints[i])
	}
}

// FromBits is the inverse of Bits.
func (c *Column) FromBits(b uint64) Value {
	switch c.kind {
	case Float:
		return FloatValue(math.Float64frombits(b))
	case Text:
		return TextValue(c.dict[b])
	case Bool:
		return BoolValue(b != 0)
	case Time:
		return TimeValue(int64(b))
	default:
		return IntValue(int64(b))
	}
}

// Dict returns the distinct texts of a Text column, in order of first
// appearance; it must not be changed. A text may have lost its last row to a
// declared null spelling, so counts come from the rows.
func (c *Column) Dict() []string { return c.dict }

// Levels lists the distinct present values in ascending order.
//
// Of a table of which some rows are kept, they are those of all rows, unless
// they are more than 10,000 numbers.
func (c *Column) Levels() []Value {
	if c.whole != nil {
		if out, _, ok := c.whole.distinct(c); ok {
			slices.SortFunc(out, Compare)
			return out
		}
	}
	seen := make(map[uint64]struct{})
	var out []Value
	for i := range c.n {
		if c.IsNull(i) {
			continue
		}
		b := c.Bits(i)
		if _, ok := seen[b]; !ok {
			seen[b] = struct{}{}
			out = append(out, c.FromBits(b))
		}
	}
	slices.SortFunc(out, Compare)
	return out
}

func (c *Column) setNull(row int, spelling uint8) {
	if c.nulls == nil {
		c.nulls = make([]uint8, c.n)
	}
	c.nulls[row] = spelling + 1
}

// Pick makes a column whose row i is levels[choice[i]]. Levels share a kind;
// if they do not, the column is text.
func Pick(name string, levels []Value, choice []int) *Column {
	kind := Text
	if len(levels) > 0 {
		kind = levels[0].kind
		for _, l := range levels {
			if l.kind != kind {
				kind = Text
			}
		}
	}
	c := &Column{name: name, kind: kind, n: len(choice)}
	switch kind {
	case Float:
		c.floats = make([]float64, c.n)
		for i, k := range choice {
			c.floats[i] = levels[k].f
		}
	case Text:
		c.codes = make([]int32, c.n)
		for _, l := range levels {
			c.dict = append(c.dict, l.String())
		}
		for i, k := range choice {
			c.codes[i] = int32(k)
		}
	default:
		c.ints = make([]int64, c.n)
		for i, k := range choice {
			c.ints[i] = levels[k].i
		}
	}
	return c
}
