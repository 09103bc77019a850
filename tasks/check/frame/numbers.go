package frame

import "math"

// numbers reads the cells of a column as numbers, also where they are written
// as texts.
type numbers struct {
	c      *Column
	parsed []float64 // by code, of a Text column
}

// Floats returns the present numbers of the rows: of a numeric column, or of a
// text column as far as its texts are numbers. Cells that are no numbers are
// left out.
func (c *Column) Floats(rows []int32) []float64 {
	out := make([]float64, 0, len(rows))
	n := newNumbers(c)
	for _, r := range rows {
		if v := n.at(int(r)); !math.IsNaN(v) {
			out = append(out, v)
		}
	}
	return out
}

// FloatsOrNaN is Floats with NaN in the place of the cells left out.
func (c *Column) FloatsOrNaN(rows []int32) []float64 {
	out := make([]float64, len(rows))
	n := newNumbers(c)
	for i, r := range rows {
		out[i] = n.at(int(r))
	}
	return out
}

func newNumbers(c *Column) numbers {
	n := numbers{c: c}
	if c.Kind() == Text {
		n.parsed = make([]float64, len(c.Dict()))
		for i, s := range c.Dict() {
			v, ok := parseFloat([]byte(s), '.')
			if !ok {
				v = math.NaN()
			}
			n.parsed[i] = v
		}
	}
	return n
}

func (n numbers) at(i int) float64 {
	if n.parsed == nil {
		return n.c.Float(i)
	}
	if n.c.IsNull(i) {
		return math.NaN()
	}
	return n.parsed[n.c.Bits(i)]
}

// Textual reports whether the column holds texts that are not all numbers.
func (c *Column) Textual() bool { return c.Kind() == Text && !c.allNumbers() }
