package frame

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
)

// Only returns a table of the named columns, in the order given.
func (t *Table) Only(names []string) (*Table, error) {
	columns := make([]*Column, len(names))
	for i, name := range names {
		c, err := t.Lookup(name)
		if err != nil {
			return nil, err
		}
		columns[i] = c
	}
	return NewTable(t.name, columns...)
}

// With returns a table in which c stands in the place of the column of its
// name.
func (t *Table) With(c *Column) *Table {
	out := &Table{name: t.name, columns: slices.Clone(t.columns), index: t.index, rows: t.rows}
	out.columns[t.index[c.name]] = c
	return out
}

// Take returns a table of the rows given, in their order.
func (t *Table) Take(rows []int32) *Table {
	out := &Table{name: t.name, columns: make([]*Column, len(t.columns)), index: t.index, rows: len(rows)}
	for i, c := range t.columns {
		out.columns[i] = c.Take(rows)
	}
	return out
}

// Take returns a column of the rows given, in their order.
func (c *Column) Take(rows []int32) *Column {
	out := &Column{name: c.name, kind: c.kind, n: len(rows), dict: c.dict, spellings: c.spellings}
	out.ints, out.floats, out.codes = take(c.ints, rows), take(c.floats, rows), take(c.codes, rows)
	out.nulls = take(c.nulls, rows)
	return out
}

func take[T any](values []T, rows []int32) []T {
	if values == nil {
		return nil
	}
	out := make([]T, len(rows))
	for i, r := range rows {
		out[i] = values[r]
	}
	return out
}

// errNoValue reports a value that no cell of the kind can hold.
var errNoValue = errors.New("not a value of the kind")

// Convert makes a value of a kind out of a bool, a number, a text or nil, as
// documents and models write them. Numbers in texts are read, and texts are
// made of numbers. Null as the kind keeps the value's own.
func Convert(v any, kind Kind) (Value, error) {
	var own Value
	switch v := v.(type) {
	case nil:
		return Value{}, nil
	case bool:
		own = BoolValue(v)
	case int:
		own = IntValue(int64(v))
	case int64:
		own = IntValue(v)
	case float64:
		own = FloatValue(v)
	case string:
		own = TextValue(v)
	default:
		return Value{}, fmt.Errorf("%w: %v", errNoValue, v)
	}
	if kind == Null || own.kind == kind {
		return own, nil
	}
	number, isNumber := own.Number()
	if own.kind == Text {
		f, err := strconv.ParseFloat(own.s, 64)
		number, isNumber = f, err == nil
	}
	switch {
	case kind == Text:
		return TextValue(own.String()), nil
	case kind == Float && isNumber:
		return FloatValue(number), nil
	case kind == Int && isNumber && number == math.Trunc(number) && math.Abs(number) < 1<<62:
		return IntValue(int64(number)), nil
	case kind == Int && isNumber:
		return FloatValue(number), nil // a prediction between whole labels
	case kind == Bool && isNumber && (number == 0 || number == 1):
		return BoolValue(number == 1), nil
	case kind == Bool && (own.s == "True" || own.s == "true"):
		return BoolValue(true), nil
	case kind == Bool && (own.s == "False" || own.s == "false"):
		return BoolValue(false), nil
	}
	return Value{}, fmt.Errorf("%w %s: %v", errNoValue, kind, v)
}

// FromValues makes a column of values: of their common kind, of floats where
// whole and broken numbers meet, or of texts where nothing else fits all.
func FromValues(name string, values []Value) *Column {
	kind := Null
	for _, v := range values {
		switch {
		case v.kind == Null || v.kind == kind:
		case kind == Null:
			kind = v.kind
		case kind.Numeric() && v.kind.Numeric():
			kind = Float
		default:
			kind = Text
		}
	}
	if kind == Null {
		kind = Float
	}
	c := &Column{name: name, kind: kind, n: len(values), spellings: []string{""}}
	seen := make(map[string]int32)
	for i, v := range values {
		if v.kind == Null {
			c.setNull(i, 0)
		}
		switch kind {
		case Float:
			f, _ := v.Number()
			c.floats = append(c.floats, f)
		case Text:
			s := ""
			if v.kind != Null {
				s = v.String()
			}
			code, ok := seen[s]
			if !ok {
				code = int32(len(c.dict))
				seen[s], c.dict = code, append(c.dict, s)
			}
			c.codes = append(c.codes, code)
		default:
			c.ints = append(c.ints, v.i)
		}
	}
	return c
}
