package frame

import (
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"
)

// errJSON reports text that is no JSON.
var errJSON = errors.New("this is not valid JSON")

// objectScanner takes lines of JSON objects apart.
type objectScanner struct {
	reader *jsonReader
	parts  *parts
	texts  map[string]bool // read these columns alone, as text
	key    []byte
	value  []byte
	guess  int // the position of the column that is likely next
}

// lines reads the objects of a block. Blank lines do not count.
func (s *objectScanner) lines(data []byte) (int, error) {
	rows := 0
	for pos := 0; ; {
		pos = space(data, pos, true)
		if pos == len(data) {
			break
		}
		next, err := s.object(data, pos, rows)
		if err != nil {
			return 0, err
		}
		if pos = space(data, next, false); pos < len(data) && data[pos] != '\n' {
			return 0, &fault{pos, errors.New("one JSON object is needed in each line, and nothing behind it")}
		}
		rows++
	}
	for _, c := range s.parts.cells {
		if c != nil {
			for c.n < rows {
				c.null(0)
			}
		}
	}
	return rows, nil
}

func space(data []byte, pos int, breaks bool) int {
	for pos < len(data) && (data[pos] == ' ' || data[pos] == '\t' || data[pos] == '\r' || breaks && data[pos] == '\n') {
		pos++
	}
	return pos
}

func (s *objectScanner) object(data []byte, pos, row int) (int, error) {
	if data[pos] != '{' {
		return 0, &fault{pos, errors.New("a JSON object is needed in each line")}
	}
	s.guess = 0
	pos = space(data, pos+1, false)
	if pos < len(data) && data[pos] == '}' {
		return pos + 1, nil
	}
	for {
		at := pos
		key, next, err := s.text(data, pos, &s.key)
		if err != nil {
			return 0, err
		}
		pos = space(data, next, false)
		if pos >= len(data) || data[pos] != ':' {
			return 0, &fault{pos, errJSON}
		}
		c, err := s.column(key, row)
		if err != nil {
			return 0, &fault{at, err}
		}
		pos = space(data, pos+1, false)
		if next, err = s.put(c, data, pos); err != nil {
			if f := (*fault)(nil); errors.As(err, &f) {
				return 0, err
			}
			return 0, &fault{pos, fmt.Errorf("column %q: %w", clip(string(key)), err)}
		}
		pos = space(data, next, false)
		switch {
		case pos < len(data) && data[pos] == ',':
			pos = space(data, pos+1, false)
		case pos < len(data) && data[pos] == '}':
			return pos + 1, nil
		default:
			return 0, &fault{min(pos, len(data)), errJSON}
		}
	}
}

// column finds the cells of a key, filled up to the row; nil means that the
// column is not read.
func (s *objectScanner) column(key []byte, row int) (*cells, error) {
	p := s.parts
	at := s.guess
	if at >= len(p.names) || p.names[at] != string(key) {
		i, ok := p.index[string(key)]
		if !ok {
			if len(p.names) >= maxColumns {
				return nil, fmt.Errorf("more than %d different keys", maxColumns)
			}
			if !utf8.Valid(key) {
				return nil, errNotUTF8
			}
			i = len(p.names)
			name := string(key)
			p.names, p.index[name] = append(p.names, name), i
			p.cells = append(p.cells, s.begin(name))
		}
		at = i
	}
	s.guess = at + 1
	c := p.cells[at]
	if c == nil {
		return nil, nil
	}
	if c.n > row {
		return nil, fmt.Errorf("the key %q occurs twice in one object", clip(string(key)))
	}
	for c.n < row && !c.broken {
		c.null(0)
	}
	return c, nil
}

func (s *objectScanner) begin(name string) *cells {
	kind, fixed := s.reader.kind(name)
	if s.texts != nil {
		if !s.texts[name] {
			return nil
		}
		kind, fixed = int32(Text), false
	}
	if kind == expectSkip {
		return nil
	}
	c := &cells{piece: newPiece(s.reader.seed), fixed: fixed, point: '.', spellings: s.reader.assembler.spellings}
	c.reset(Kind(kind))
	return c
}

// put reads a value into a column. Errors without a position are about the
// value at pos.
func (s *objectScanner) put(c *cells, data []byte, pos int) (int, error) {
	if pos >= len(data) {
		return 0, &fault{pos, errJSON}
	}
	switch data[pos] {
	case '"':
		value, next, err := s.text(data, pos, &s.value)
		if err != nil || c == nil || c.broken {
			return next, err
		}
		return next, c.addText(value)
	case '[':
		if s.reader.opts.Lists {
			end, err := list(data, pos)
			if err != nil || c == nil || c.broken {
				return end, err
			}
			return end, c.addText(data[pos:end])
		}
		fallthrough
	case '{':
		return 0, errors.New("an object or a list inside a cell; flatten the file first")
	}
	end := pos
	for end < len(data) && data[end] != ',' && data[end] != '}' && data[end] > ' ' {
		end++
	}
	token := data[pos:end]
	switch string(token) {
	case "null", "NaN":
		if c != nil && !c.broken {
			c.null(0)
		}
		return end, nil
	case "true", "false", "Infinity", "-Infinity":
	default:
		if !number(token) {
			return 0, &fault{pos, errJSON}
		}
	}
	if c == nil || c.broken {
		return end, nil
	}
	return end, c.put(token)
}

// addText appends a JSON string: text whatever it holds, unless another type
// was declared.
func (b *cells) addText(value []byte) error {
	for i, s := range b.spellings[1:] {
		if s == string(value) {
			b.null(uint8(i + 1))
			return nil
		}
	}
	switch {
	case b.kind == Text:
		return b.text(value)
	case b.fixed:
		return b.put(value)
	case b.kind == Null:
		b.begin(Text)
		return b.text(value)
	}
	b.broken = true
	return nil
}

// number reports whether a token is a JSON number.
func number(b []byte) bool {
	i := 0
	digits := func() bool {
		from := i
		for i < len(b) && b[i] >= '0' && b[i] <= '9' {
			i++
		}
		return i > from
	}
	if i < len(b) && b[i] == '-' {
		i++
	}
	first := i
	if !digits() || b[first] == '0' && i > first+1 {
		return false
	}
	if i < len(b) && b[i] == '.' {
		i++
		if !digits() {
			return false
		}
	}
	if i < len(b) && (b[i] == 'e' || b[i] == 'E') {
		i++
		if i < len(b) && (b[i] == '-' || b[i] == '+') {
			i++
		}
		if !digits() {
			return false
		}
	}
	return i == len(b)
}

// text reads a JSON string. One with escapes is unescaped into buf.
func (s *objectScanner) text(data []byte, pos int, buf *[]byte) (value []byte, next int, err error) {
	if pos >= len(data) || data[pos] != '"' {
		return nil, 0, &fault{min(pos, len(data)), errJSON}
	}
	escaped := false
	for i := pos + 1; i < len(data); i++ {
		switch c := data[i]; {
		case c == '\\':
			escaped = true
			i++
		case c < ' ':
			return nil, 0, &fault{i, errJSON}
		case c == '"':
			if !escaped {
				return data[pos+1 : i], i + 1, nil
			}
			var out string
			if !utf8.Valid(data[pos : i+1]) {
				return nil, 0, &fault{pos, errNotUTF8}
			}
			if err := json.Unmarshal(data[pos:i+1], &out); err != nil {
				return nil, 0, &fault{pos, errJSON}
			}
			*buf = append((*buf)[:0], out...)
			return *buf, i + 1, nil
		}
	}
	return nil, 0, &fault{pos, errJSON}
}

// list finds the end of a list of texts, numbers, truth values and nulls.
func list(data []byte, pos int) (int, error) {
	for at, quoted := pos+1, false; at < len(data); at++ {
		switch b := data[at]; {
		case b == '\n':
			return 0, &fault{at, errJSON} // a line holds one object
		case quoted && b == '\\':
			at++
		case b == '"':
			quoted = !quoted
		case quoted:
		case b == ']':
			if !json.Valid(data[pos : at+1]) {
				return 0, &fault{pos, errJSON}
			}
			return at + 1, nil
		case b == '[' || b == '{':
			return 0, errors.New("a list within a list, or an object, inside a cell; flatten the file first")
		}
	}
	return 0, &fault{pos, errJSON}
}
