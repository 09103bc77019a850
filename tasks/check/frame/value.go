// Package frame holds tables in memory, column by column: typed cells, nulls
// with their spelling in the file, and the roles columns play for checks.
package frame

import (
	"cmp"
	"math"
	"strconv"
	"time"

	"aloft/tasks/check/format"
)

// Kind is the type of a column or of one value.
type Kind uint8

// The kinds. Null is the kind of a missing value only, never of a column.
const (
	Null Kind = iota
	Int
	Float
	Bool
	Text
	Time
)

// String names the kind as documents and messages do.
func (k Kind) String() string {
	switch k {
	case Int:
		return "int64"
	case Float:
		return "float64"
	case Bool:
		return "bool"
	case Text:
		return "text"
	case Time:
		return "datetime"
	default:
		return "null"
	}
}

// Numeric reports whether values of the kind take part in arithmetic.
func (k Kind) Numeric() bool { return k == Int || k == Float || k == Bool }

// Value is one cell taken out of its column. Values compare with == within a
// kind; Key makes values of different numeric kinds comparable.
type Value struct {
	kind Kind
	i    int64   // Int, Bool (0 or 1), Time (nanoseconds since 1970 UTC)
	f    float64 // Float
	s    string  // Text
}

// IntValue makes a value of kind Int.
func IntValue(i int64) Value { return Value{kind: Int, i: i} }

// FloatValue makes a value of kind Float, or a null of NaN.
func FloatValue(f float64) Value {
	if math.IsNaN(f) {
		return Value{}
	}
	return Value{kind: Float, f: f}
}

// BoolValue makes a value of kind Bool.
func BoolValue(b bool) Value {
	if b {
		return Value{kind: Bool, i: 1}
	}
	return Value{kind: Bool}
}

// TextValue makes a value of kind Text.
func TextValue(s string) Value { return Value{kind: Text, s: s} }

// TimeValue makes a value of kind Time from nanoseconds since 1970 UTC.
func TimeValue(ns int64) Value { return Value{kind: Time, i: ns} }

// Kind returns the value's kind.
func (v Value) Kind() Kind { return v.kind }

// IsNull reports whether the value is missing.
func (v Value) IsNull() bool { return v.kind == Null }

// Number returns the value as a float64, and whether it is a number.
func (v Value) Number() (float64, bool) {
	switch v.kind {
	case Int, Bool:
		return float64(v.i), true
	case Float:
		return v.f, true
	}
	return math.NaN(), false
}

// Key returns the value under which equal numbers of different kinds meet: 1,
// 1.0 and true share one key, as they do in Python.
func (v Value) Key() Value {
	switch v.kind {
	case Bool:
		return IntValue(v.i)
	case Float:
		if v.f == math.Trunc(v.f) && math.Abs(v.f) < 1<<62 {
			return IntValue(int64(v.f))
		}
	}
	return v
}

// String renders the value as a table cell: text as it is, floats with at
// least one decimal, True and False, ISO times, and "nan" for a null.
func (v Value) String() string {
	switch v.kind {
	case Int:
		return strconv.FormatInt(v.i, 10)
	case Float:
		return format.Plain(v.f)
	case Bool:
		if v.i != 0 {
			return "True"
		}
		return "False"
	case Text:
		return v.s
	case Time:
		return FormatTime(v.i)
	}
	return "nan"
}

// Repr renders the value as it appears inside a list in a message: text in
// quotes, everything else as String does.
func (v Value) Repr() string {
	if v.kind == Text {
		return format.Quote(v.s)
	}
	return v.String()
}

// Native returns the value as int64, float64, bool or string (times in ISO
// form), or nil for a null.
func (v Value) Native() any {
	switch v.kind {
	case Int:
		return v.i
	case Float:
		return v.f
	case Bool:
		return v.i != 0
	case Text:
		return v.s
	case Time:
		return FormatTime(v.i)
	}
	return nil
}

// FormatTime renders nanoseconds since 1970 UTC in ISO 8601 without a zone.
func FormatTime(ns int64) string {
	t := time.Unix(0, ns).UTC()
	if ns%int64(time.Second) == 0 {
		return t.Format("2006-01-02T15:04:05")
	}
	return t.Format("2006-01-02T15:04:05.000000000")
}

// Compare orders values: numbers by size, then times, then text by code
// point, and nulls last.
func Compare(a, b Value) int {
	rank := func(v Value) int {
		switch v.kind {
		case Int, Float, Bool:
			return 0
		case Time:
			return 1
		case Text:
			return 2
		}
		return 3
	}
	if c := cmp.Compare(rank(a), rank(b)); c != 0 {
		return c
	}
	switch rank(a) {
	case 0:
		if a.kind != Float && b.kind != Float {
			return cmp.Compare(a.i, b.i)
		}
		x, _ := a.Number()
		y, _ := b.Number()
		return cmp.Compare(x, y)
	case 1:
		return cmp.Compare(a.i, b.i)
	case 2:
		return cmp.Compare(a.s, b.s)
	}
	return 0
}
