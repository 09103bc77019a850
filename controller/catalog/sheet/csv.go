package sheet

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

// maxRecord bounds one record in bytes, maxFields its fields: catalogues come over networks.
const (
	maxRecord = 1 << 20
	maxFields = 256
)

// errRecord is wrapped by what makes the rest of a file unreadable.
var errRecord = errors.New("unreadable record")

// scanner splits a CSV file (RFC 4180) into records, one at a time; a record's fields live until the next call.
type scanner struct {
	r     *bufio.Reader
	line  int // where the record began
	next  int // where the next one begins
	buf   []byte
	ends  []int
	field [][]byte
	eof   bool
}

func newScanner(r io.Reader) *scanner {
	return &scanner{r: bufio.NewReaderSize(r, 256<<10), next: 1}
}

// record gives the fields of the next record that is not empty; io.EOF at the end.
func (s *scanner) record() ([][]byte, error) {
	for {
		if s.eof {
			return nil, io.EOF
		}
		s.line = s.next
		fields, err := s.read()
		if err != nil {
			return nil, err
		}
		if len(fields) == 1 && len(fields[0]) == 0 {
			continue
		}
		return fields, nil
	}
}

func (s *scanner) read() ([][]byte, error) {
	line, err := s.readLine()
	if err != nil {
		return nil, err
	}
	s.buf, s.ends = s.buf[:0], s.ends[:0]
	for {
		if len(s.ends) > maxFields {
			return nil, fmt.Errorf("%w: more than %d fields", errRecord, maxFields)
		}
		if len(line) > 0 && line[0] == '"' {
			rest, more, err := s.quoted(line[1:])
			if err != nil {
				return nil, err
			}
			s.ends = append(s.ends, len(s.buf))
			if !more {
				break
			}
			line = rest
			continue
		}
		i := indexByte(line, ',')
		if i < 0 {
			s.buf = append(s.buf, line...)
			s.ends = append(s.ends, len(s.buf))
			break
		}
		s.buf = append(s.buf, line[:i]...)
		s.ends = append(s.ends, len(s.buf))
		line = line[i+1:]
	}
	s.field = s.field[:0]
	from := 0
	for _, e := range s.ends {
		s.field = append(s.field, s.buf[from:e:e])
		from = e
	}
	return s.field, nil
}

// quoted reads the rest of a quoted field; more says whether another field follows.
func (s *scanner) quoted(line []byte) (rest []byte, more bool, err error) {
	for {
		i := indexByte(line, '"')
		switch {
		case i < 0:
			s.buf = append(append(s.buf, line...), '\n')
			if len(s.buf) > maxRecord {
				return nil, false, fmt.Errorf("%w: more than %d bytes", errRecord, maxRecord)
			}
			if line, err = s.readLine(); err != nil {
				if errors.Is(err, io.EOF) {
					err = fmt.Errorf("%w: a quote is never closed", errRecord)
				}
				return nil, false, err
			}
		case i+1 < len(line) && line[i+1] == '"':
			s.buf = append(s.buf, line[:i+1]...)
			line = line[i+2:]
		case i+1 == len(line):
			s.buf = append(s.buf, line[:i]...)
			return nil, false, nil
		case line[i+1] == ',':
			s.buf = append(s.buf, line[:i]...)
			return line[i+2:], true, nil
		default:
			return nil, false, fmt.Errorf("%w: text after a closing quote", errRecord)
		}
	}
}

// readLine gives a line without its end; it lives until the next call.
func (s *scanner) readLine() ([]byte, error) {
	if s.eof {
		return nil, io.EOF
	}
	line, err := s.r.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		return nil, fmt.Errorf("%w: a line of more than %d bytes", errRecord, len(line))
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read: %w", err)
	}
	if err != nil {
		s.eof = true
		if len(line) == 0 {
			return nil, io.EOF
		}
	}
	s.next++
	if n := len(line); n > 0 && line[n-1] == '\n' {
		line = line[:n-1]
	}
	if n := len(line); n > 0 && line[n-1] == '\r' {
		line = line[:n-1]
	}
	return line, nil
}
