package frame

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// errNotUTF8 reports text in another encoding.
var errNotUTF8 = errors.New("the field is not valid UTF-8; save the file as UTF-8")

// builder grows one column while its type is still a guess. The guess starts
// with the first field present and only widens from int to float; any other
// disappointment marks the column for a second reading as text.
type builder struct {
	name      string
	kind      Kind // Null until the first present field
	fixed     bool // the type was declared
	broken    bool
	rows      int
	ints      []int64
	floats    []float64
	codes     []int32
	dict      []string
	seen      map[string]int32
	nulls     []uint8
	spellings []string
}

func (b *builder) add(field string) error {
	row := b.rows
	b.rows++
	if b.broken {
		return nil
	}
	if s := b.spelling(field); s > 0 {
		if b.nulls == nil {
			b.nulls = make([]uint8, row, max(2*row, 64))
		}
		b.nulls = append(b.nulls, s)
		b.pad()
		return nil
	}
	if b.nulls != nil {
		b.nulls = append(b.nulls, 0)
	}
	if b.kind == Null {
		b.begin(field, row)
	}
	return b.put(field)
}

// spelling returns 1 + the index of a missing value's spelling, or 0.
func (b *builder) spelling(field string) uint8 {
	if field == "" {
		return 1
	}
	for i := 1; i < len(b.spellings); i++ {
		if b.spellings[i] == field {
			return uint8(i + 1)
		}
	}
	return 0
}

// begin chooses the type from the first present field and fills the missing
// rows before it.
func (b *builder) begin(field string, row int) {
	switch _, isInt := parseInt(field); {
	case isInt:
		b.kind = Int
	case isNumber(field):
		b.kind = Float
	case isBool(field):
		b.kind = Bool
	default:
		b.kind = Text
	}
	for range row {
		b.pad()
	}
}

// pad appends the placeholder of a missing cell.
func (b *builder) pad() {
	switch b.kind {
	case Null:
	case Float:
		b.floats = append(b.floats, math.NaN())
	case Text:
		b.codes = append(b.codes, 0)
	default:
		b.ints = append(b.ints, 0)
	}
}

func (b *builder) put(field string) error {
	switch b.kind {
	case Int:
		if v, ok := parseInt(field); ok {
			b.ints = append(b.ints, v)
			return nil
		}
		if !isNumber(field) || b.fixed {
			return b.fail(field)
		}
		b.widen()
		return b.put(field)
	case Float:
		if v, ok := parseFloat(field); ok {
			b.floats = append(b.floats, v)
			return nil
		}
		return b.fail(field)
	case Bool:
		if isBool(field) {
			v := int64(0)
			if field[0] == 'T' || field[0] == 't' {
				v = 1
			}
			b.ints = append(b.ints, v)
			return nil
		}
		return b.fail(field)
	default:
		return b.putText(field)
	}
}

func (b *builder) putText(field string) error {
	code, ok := b.seen[field]
	if !ok {
		if !utf8.ValidString(field) {
			return errNotUTF8
		}
		if b.seen == nil {
			b.seen = make(map[string]int32)
		}
		code = int32(len(b.dict))
		kept := strings.Clone(field) // the reader's buffer holds the whole row
		b.seen[kept], b.dict = code, append(b.dict, kept)
	}
	b.codes = append(b.codes, code)
	return nil
}

// fail gives up on the guessed type, or reports the field when the type was
// declared.
func (b *builder) fail(field string) error {
	if b.fixed {
		return fmt.Errorf("%q is not of the declared type %s", clip(field), b.kind)
	}
	b.broken = true
	b.ints, b.floats, b.nulls = nil, nil, nil
	return nil
}

func (b *builder) widen() {
	b.floats = make([]float64, len(b.ints), cap(b.ints))
	for i, v := range b.ints {
		b.floats[i] = float64(v)
		if b.nulls != nil && b.nulls[i] != 0 {
			b.floats[i] = math.NaN()
		}
	}
	b.ints, b.kind = nil, Float
}

// finish returns the column, and false when its type did not hold.
func (b *builder) finish() (*Column, bool) {
	c := &Column{name: b.name, kind: b.kind, n: b.rows, spellings: b.spellings}
	if b.broken {
		c.kind, c.codes = Text, make([]int32, b.rows)
		return c, false
	}
	if b.kind == Null { // nothing present: an all-null float column
		c.kind = Float
		b.kind = Float
		for range b.rows {
			b.pad()
		}
	}
	if b.kind == Int && b.nulls != nil && !b.fixed {
		b.widen()
		c.kind = Float
	}
	c.ints, c.floats, c.codes, c.dict, c.nulls = b.ints, b.floats, b.codes, b.dict, b.nulls
	return c, true
}

func parseInt(s string) (int64, bool) {
	s = strings.Trim(s, " ")
	if s == "" || len(s) > 20 || s[0] > '9' {
		return 0, false
	}
	v, err := strconv.ParseInt(s, 10, 64)
	return v, err == nil
}

// parseFloat accepts decimal numbers and infinities, not "nan", hexadecimal
// numbers or underscores, which strconv would also take.
func parseFloat(s string) (float64, bool) {
	s = strings.Trim(s, " ")
	if s == "" {
		return 0, false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case c >= '0' && c <= '9' || c == '.' || c == '-' || c == '+' || c == 'e' || c == 'E':
		default:
			return parseInf(s)
		}
	}
	v, err := strconv.ParseFloat(s, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return 0, false
	}
	return v, true
}

func parseInf(s string) (float64, bool) {
	sign := 1
	switch s[0] {
	case '-':
		sign, s = -1, s[1:]
	case '+':
		s = s[1:]
	}
	if strings.EqualFold(s, "inf") || strings.EqualFold(s, "infinity") {
		return math.Inf(sign), true
	}
	return 0, false
}

func isNumber(s string) bool {
	_, ok := parseFloat(s)
	return ok
}

func isBool(s string) bool {
	switch s {
	case "True", "False", "TRUE", "FALSE", "true", "false":
		return true
	}
	return false
}

// clip shortens a field for a message.
func clip(s string) string {
	const most = 40
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}
