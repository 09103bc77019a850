package frame

import (
	"bytes"
	"cmp"
)

// Dialect says how a CSV file is written. The zero value is a comma (or what
// the first rows show to be the delimiter), double quotes, UTF-8 and a header.
type Dialect struct {
	// Delimiter separates fields; 0 finds out which of , ; tab | it is.
	Delimiter byte
	// Quote encloses fields; 0 is the double quote.
	Quote byte
	// NoQuotes tells that quotes mean nothing.
	NoQuotes bool
	// NoHeader tells that the first row is data: columns are named 0, 1, ...
	NoHeader bool
	// Names replaces the names of the columns.
	Names []string
	// Decimal is the decimal point; 0 is a dot.
	Decimal byte
	// Encoding is the encoding of the text; "" is UTF-8. See Encodings.
	Encoding string
}

func (d Dialect) quote() byte {
	if d.NoQuotes {
		return 0
	}
	return cmp.Or(d.Quote, '"')
}

func (d Dialect) point() byte { return cmp.Or(d.Decimal, '.') }

// sniff finds the delimiter: that one by which the first rows have the same
// number of fields, and the most of them.
func sniff(data []byte, quote byte) byte {
	const most = 20 // rows looked at
	best, fields, fallback, widest := byte(0), 1, byte(','), 1
	for _, d := range []byte{',', ';', '\t', '|'} {
		s := scanner{delimiter: d, quote: quote}
		same, width := true, 0
		for pos, rows := 0, 0; pos < len(data) && rows < most && same; {
			if bytes.IndexByte(data[pos:], '\n') < 0 && rows > 0 {
				break // perhaps cut off
			}
			n := 0
			next, err := s.row(data, pos, func(int, []byte) error { n++; return nil })
			if err != nil {
				same = false
				break
			}
			pos = next
			switch {
			case n == 0:
				continue
			case rows == 0:
				width = n
			case n != width:
				same = false
			}
			rows++
		}
		if width > widest {
			widest, fallback = width, d
		}
		if same && width > fields {
			best, fields = d, width
		}
	}
	return cmp.Or(best, fallback)
}
