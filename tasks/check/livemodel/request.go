package livemodel

import (
	"encoding/json"
	"math"
	"strconv"

	"aloft/tasks/check/frame"
)

// request encodes batches of one table: its columns as lists.
type request struct {
	columns []*frame.Column
	names   [][]byte
	texts   [][][]byte // by column and code: the texts as JSON
	buffer  []byte
}

func newRequest(t *frame.Table) *request {
	r := &request{columns: t.Columns()}
	for _, c := range r.columns {
		r.names = append(r.names, quote(c.Name()))
		var texts [][]byte
		if c.Kind() == frame.Text {
			texts = make([][]byte, len(c.Dict()))
			for i, s := range c.Dict() {
				texts[i] = quote(s)
			}
		}
		r.texts = append(r.texts, texts)
	}
	return r
}

// encode writes one batch. What it returns is valid until the next call.
func (r *request) encode(op string, trees int, proba bool, start, end int) []byte {
	b := append(r.buffer[:0], `{"op":"`...)
	b = append(b, op...)
	b = append(b, `","rows":`...)
	b = strconv.AppendInt(b, int64(end-start), 10)
	b = append(b, `,"proba":`...)
	b = strconv.AppendBool(b, proba)
	if trees > 0 {
		b = append(b, `,"trees":`...)
		b = strconv.AppendInt(b, int64(trees), 10)
	}
	b = append(b, `,"types":{`...)
	for k, c := range r.columns {
		if k > 0 {
			b = append(b, ',')
		}
		b = append(b, r.names[k]...)
		b = append(b, `:"`...)
		b = append(b, c.Kind().String()...)
		b = append(b, '"')
	}
	b = append(b, `},"columns":{`...)
	for k, c := range r.columns {
		if k > 0 {
			b = append(b, ',')
		}
		b = append(b, r.names[k]...)
		b = append(b, ":["...)
		for i := start; i < end; i++ {
			if i > start {
				b = append(b, ',')
			}
			b = r.cell(b, c, k, i)
		}
		b = append(b, ']')
	}
	r.buffer = append(b, "}}"...)
	return r.buffer
}

func (r *request) cell(b []byte, c *frame.Column, k, i int) []byte {
	if c.IsNull(i) {
		return append(b, "null"...)
	}
	switch c.Kind() {
	case frame.Int:
		return strconv.AppendInt(b, int64(c.Bits(i)), 10)
	case frame.Float:
		switch f := c.Float(i); {
		case math.IsInf(f, 1):
			return append(b, `"Infinity"`...)
		case math.IsInf(f, -1):
			return append(b, `"-Infinity"`...)
		default:
			return strconv.AppendFloat(b, f, 'g', -1, 64)
		}
	case frame.Bool:
		return strconv.AppendBool(b, c.Bits(i) != 0)
	case frame.Text:
		return append(b, r.texts[k][c.Bits(i)]...)
	default:
		return append(b, quote(c.Value(i).String())...)
	}
}

// quote renders a text as JSON; texts always have a form.
func quote(s string) []byte {
	b, err := json.Marshal(s)
	if err != nil {
		return []byte(`""`)
	}
	return b
}
