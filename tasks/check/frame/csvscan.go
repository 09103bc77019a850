package frame

import (
	"bytes"
	"errors"
)

// The faults of quotes.
var (
	errBareQuote = errors.New("a quote inside a field that does not begin with one; if quotes mean nothing in this file, declare csv: {quote: none}")
	errQuote     = errors.New("a quoted field must end with a quote before the next delimiter")
)

// scanner takes rows of delimited text apart.
type scanner struct {
	delimiter, quote byte
	unquoted         []byte
}

// cellFault is an error in a field.
type cellFault struct {
	at, column int
	err        error
}

func (f *cellFault) Error() string { return f.err.Error() }
func (f *cellFault) Unwrap() error { return f.err }

// rows reads the rows of data from a position on into columns; the fields of
// nil columns are skipped. Rows without a character do not count.
func (s *scanner) rows(data []byte, from int, columns []*cells) (int, error) {
	var stop [256]bool // the bytes at which a field may end
	stop[s.delimiter], stop['\n'] = true, true
	if s.quote != 0 {
		stop[s.quote] = true
	}
	rows := 0
	for pos := from; pos < len(data); {
		if data[pos] == '\n' {
			pos++
			continue
		}
		if data[pos] == '\r' && (pos+1 == len(data) || data[pos+1] == '\n') {
			pos += 2
			continue
		}
		start, field := pos, 0
		for more := true; more; field++ {
			begin, end := pos, pos
			for end < len(data) && !stop[data[end]] {
				end++
			}
			var value []byte
			if end < len(data) && data[end] == s.delimiter { // as nearly all fields end
				value, pos = data[begin:end], end+1
			} else {
				var err error
				if value, pos, more, err = s.field(data, begin); err != nil {
					return 0, err
				}
			}
			if field >= len(columns) {
				continue
			}
			if c := columns[field]; c != nil && !c.broken {
				if err := c.add(value); err != nil {
					return 0, &cellFault{begin, field, err}
				}
			}
		}
		if field != len(columns) {
			return 0, &fault{start, rowFields(field, len(columns))}
		}
		rows++
	}
	return rows, nil
}

// field reads one field. It returns where the next one, or the next row,
// begins and whether the row goes on.
func (s *scanner) field(data []byte, pos int) (value []byte, next int, more bool, err error) {
	if pos < len(data) && data[pos] == s.quote && s.quote != 0 {
		return s.quoted(data, pos)
	}
	delimiter, quote := s.delimiter, s.quote
	for i := pos; i < len(data); i++ {
		c := data[i]
		switch {
		case c == delimiter:
			return data[pos:i], i + 1, true, nil
		case c == '\n':
			end := i
			if end > pos && data[end-1] == '\r' {
				end--
			}
			return data[pos:end], i + 1, false, nil
		case c == quote && quote != 0:
			return nil, 0, false, &fault{i, errBareQuote}
		}
	}
	end := len(data)
	if end > pos && data[end-1] == '\r' {
		end--
	}
	return data[pos:end], len(data), false, nil
}

// quoted reads a field in quotes, in which a quote is doubled.
func (s *scanner) quoted(data []byte, pos int) (value []byte, next int, more bool, err error) {
	begin, copied := pos+1, false
	s.unquoted = s.unquoted[:0]
	for at := begin; ; {
		i := bytes.IndexByte(data[at:], s.quote)
		if i < 0 {
			return nil, 0, false, &fault{pos, errQuote}
		}
		end := at + i
		if end+1 < len(data) && data[end+1] == s.quote {
			s.unquoted = append(s.unquoted, data[at:end+1]...)
			copied, at = true, end+2
			continue
		}
		value = data[begin:end]
		if copied {
			s.unquoted = append(s.unquoted, data[at:end]...)
			value = s.unquoted
		}
		after := end + 1
		switch {
		case after == len(data):
			return value, after, false, nil
		case data[after] == s.delimiter:
			return value, after + 1, true, nil
		case data[after] == '\n':
			return value, after + 1, false, nil
		case data[after] == '\r' && after+1 == len(data):
			return value, after + 1, false, nil
		case data[after] == '\r' && data[after+1] == '\n':
			return value, after + 2, false, nil
		}
		return nil, 0, false, &fault{pos, errQuote}
	}
}

// row hands the fields of the row at pos to f and returns where the next row
// begins. A row without a character has no fields.
func (s *scanner) row(data []byte, pos int, f func(field int, value []byte) error) (int, error) {
	switch {
	case pos < len(data) && data[pos] == '\n':
		return pos + 1, nil
	case pos < len(data) && data[pos] == '\r' && (pos+1 == len(data) || data[pos+1] == '\n'):
		return min(pos+2, len(data)), nil
	}
	for field := 0; ; field++ {
		value, next, more, err := s.field(data, pos)
		if err != nil {
			return 0, err
		}
		if err := f(field, value); err != nil {
			return 0, err
		}
		if pos = next; !more {
			return pos, nil
		}
	}
}

// count counts the rows that have a character.
func (s *scanner) count(data []byte) (int, error) {
	rows := 0
	if s.quote == 0 || bytes.IndexByte(data, s.quote) < 0 {
		for len(data) > 0 {
			end := bytes.IndexByte(data, '\n')
			if end < 0 {
				end = len(data)
			}
			if line := data[:end]; len(line) > 1 || len(line) == 1 && line[0] != '\r' {
				rows++
			}
			data = data[min(end+1, len(data)):]
		}
		return rows, nil
	}
	for pos := 0; pos < len(data); {
		fields := 0
		next, err := s.row(data, pos, func(int, []byte) error { fields++; return nil })
		if err != nil {
			return 0, err
		}
		if fields > 0 {
			rows++
		}
		pos = next
	}
	return rows, nil
}
