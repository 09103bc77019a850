package schema

import (
	"math"
	"slices"
	"unicode/utf8"

	"aloft/tasks/check/frame"
)

// leastUnique is the number of rows from which distinct values are taken to be
// distinct on purpose.
const leastUnique = 100

// Infer writes down what the columns of a table are like.
func Infer(d *frame.Dataset) *Schema {
	s := &Schema{}
	index := d.Index()
	for _, c := range d.Columns() {
		s.Columns = append(s.Columns, inferColumn(c, c == index))
	}
	return s
}

func inferColumn(c *frame.Column, index bool) Column {
	out := Column{Name: c.Name(), Kind: c.Kind(), MinLength: -1, MaxLength: -1}
	present := c.NonNull()
	out.MaxNulls = roundUp(1 - float64(present)/float64(max(c.Len(), 1)))
	if present == 0 {
		out.Kind = frame.Null // a column without values says nothing of its kind
		return out
	}
	if wholeWithGaps(c) {
		out.Kind = frame.Int
	}
	distinct, _ := c.Distinct(all(c.Len()))
	if distinct == present && c.Kind() != frame.Float && c.Kind() != frame.Bool && (index || present >= leastUnique) {
		out.Unique = true
	}
	switch c.Kind() {
	case frame.Int, frame.Float, frame.Time:
		low, high := bounds(c)
		out.Min, out.Max = &low, &high
	case frame.Text:
		inferText(c, &out, distinct, present)
	}
	return out
}

// roundUp rounds a share up to whole hundredths.
func roundUp(share float64) float64 { return max(math.Ceil(share*100-1e-9), 0) / 100 }

// wholeWithGaps tells a column of whole numbers that is one of floats only for
// its missing cells.
func wholeWithGaps(c *frame.Column) bool {
	if c.Kind() != frame.Float || !c.HasNulls() {
		return false
	}
	return whole(c)
}

func whole(c *frame.Column) bool {
	for i := range c.Len() {
		if f := c.Float(i); !math.IsNaN(f) && f != math.Trunc(f) || math.IsInf(f, 0) {
			return false
		}
	}
	return true
}

func all(n int) []int32 {
	rows := make([]int32, n)
	for i := range rows {
		rows[i] = int32(i)
	}
	return rows
}

// number is a cell as bounds see it.
func number(c *frame.Column, i int) float64 {
	if c.Kind() == frame.Time {
		return float64(int64(c.Bits(i)))
	}
	return c.Float(i)
}

func bounds(c *frame.Column) (low, high float64) {
	low, high = math.Inf(1), math.Inf(-1)
	for i := range c.Len() {
		if !c.IsNull(i) {
			f := number(c, i)
			low, high = min(low, f), max(high, f)
		}
	}
	return low, high
}

func inferText(c *frame.Column, out *Column, distinct, present int) {
	texts := presentTexts(c)
	if c.Categorical(frame.FeatureRatio) && 2*distinct <= present {
		out.Categories = texts
		return
	}
	out.MinLength, out.MaxLength = math.MaxInt, 0
	for _, s := range texts {
		n := utf8.RuneCountInString(s)
		out.MinLength, out.MaxLength = min(out.MinLength, n), max(out.MaxLength, n)
	}
	out.Pattern = patternOf(texts)
}

// presentTexts lists the distinct texts that some row holds, in order.
func presentTexts(c *frame.Column) []string {
	held := make([]bool, len(c.Dict()))
	for i := range c.Len() {
		if !c.IsNull(i) {
			held[c.Bits(i)] = true
		}
	}
	var out []string
	for code, s := range c.Dict() {
		if held[code] {
			out = append(out, s)
		}
	}
	slices.Sort(out)
	return out
}
