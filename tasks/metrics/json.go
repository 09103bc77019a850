package metrics

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
)

// walker goes through one JSON value and folds objects to names with dots. Beside JSON it knows the numbers that Python
// writes: NaN, Infinity and -Infinity.
type walker struct {
	b    []byte
	i    int
	name []byte
	// leaf is told of every number; nested says that it is inside of an inner object.
	leaf func(name []byte, nested bool, v float64) error
	// text is told of every string; nil = they are passed over.
	text func(name []byte, nested bool, s []byte) error
	// list is told of every list of numbers; nil = they are passed over.
	list func(name []byte, v []float64) error
}

var (
	errEnd  = errors.New("it ends too early")
	errDeep = errors.New("it is nested too deeply")
)

func (w *walker) space() {
	for w.i < len(w.b) {
		switch w.b[w.i] {
		case ' ', '\t', '\r', '\n':
			w.i++
		default:
			return
		}
	}
}

// peek is the next byte that is no blank; 0 at the end.
func (w *walker) peek() byte {
	w.space()
	if w.i < len(w.b) {
		return w.b[w.i]
	}
	return 0
}

func (w *walker) unexpected() error {
	if w.i >= len(w.b) {
		return errEnd
	}
	return fmt.Errorf("unexpected %q at byte %d", w.b[w.i], w.i+1)
}

// object walks through the object that begins here.
func (w *walker) object(depth int) error {
	if depth > mostDepth {
		return errDeep
	}
	w.i++
	if w.peek() == '}' {
		w.i++
		return nil
	}
	base := len(w.name)
	for {
		if w.peek() != '"' {
			return w.unexpected()
		}
		key, err := w.str()
		if err != nil {
			return err
		}
		if w.peek() != ':' {
			return w.unexpected()
		}
		w.i++
		if base > 0 {
			w.name = append(w.name, '.')
		}
		w.name = append(w.name, key...)
		if err := w.value(depth); err != nil {
			return err
		}
		w.name = w.name[:base]
		switch w.peek() {
		case ',':
			w.i++
		case '}':
			w.i++
			return nil
		default:
			return w.unexpected()
		}
	}
}

func (w *walker) value(depth int) error {
	switch c := w.peek(); {
	case c == '{':
		return w.object(depth + 1)
	case c == '[':
		return w.array(depth + 1)
	case c == '"':
		s, err := w.str()
		if err != nil || w.text == nil {
			return err
		}
		return w.text(w.name, depth > 0, s)
	default:
		v, ok, err := w.scalar()
		if err != nil || !ok {
			return err
		}
		return w.leaf(w.name, depth > 0, v)
	}
}

// scalar reads a number or a word; ok = it is a number.
func (w *walker) scalar() (v float64, ok bool, err error) {
	w.space()
	start := w.i
	for w.i < len(w.b) && !delimiter(w.b[w.i]) {
		w.i++
	}
	word := w.b[start:w.i]
	if len(word) == 0 {
		return 0, false, w.unexpected()
	}
	if c := word[0]; c >= '0' && c <= '9' || c == '-' && len(word) > 1 && word[1] >= '0' && word[1] <= '9' {
		for _, c := range word {
			if (c < '0' || c > '9') && c != '-' && c != '+' && c != '.' && c != 'e' && c != 'E' {
				return 0, false, fmt.Errorf("%.40q is no number", word)
			}
		}
		v, err := strconv.ParseFloat(string(word), 64)
		if err != nil {
			return 0, false, fmt.Errorf("%.40q is no number", word)
		}
		return v, true, nil
	}
	switch string(word) {
	case "true", "false", "null":
		return 0, false, nil
	}
	if v, ok := odd(word); ok {
		return v, true, nil
	}
	return 0, false, fmt.Errorf("%.40q is no JSON", word)
}

// odd reads the names of numbers that JSON has no form for.
func odd(word []byte) (float64, bool) {
	switch string(word) {
	case "NaN", "nan":
		return math.NaN(), true
	case "Infinity", "inf", "Inf":
		return math.Inf(1), true
	case "-Infinity", "-inf", "-Inf":
		return math.Inf(-1), true
	}
	return 0, false
}

func delimiter(c byte) bool {
	switch c {
	case ',', '}', ']', ':', ' ', '\t', '\r', '\n', '"', '{', '[':
		return true
	}
	return false
}

// array reads a list. Only lists of nothing but numbers count.
func (w *walker) array(depth int) error {
	if depth > mostDepth {
		return errDeep
	}
	w.i++
	if w.peek() == ']' {
		w.i++
		return nil
	}
	var all []float64
	numbers := true
	inner := walker{b: w.b, leaf: func([]byte, bool, float64) error { return nil }}
	for {
		switch c := w.peek(); c {
		case '{', '[', '"':
			numbers = false
			inner.i, inner.name = w.i, inner.name[:0]
			if err := inner.value(depth); err != nil {
				return err
			}
			w.i = inner.i
		default:
			v, ok, err := w.scalar()
			if err != nil {
				return err
			}
			if numbers = numbers && ok; numbers {
				all = append(all, v)
			}
		}
		switch w.peek() {
		case ',':
			w.i++
		case ']':
			w.i++
			if !numbers || w.list == nil {
				return nil
			}
			return w.list(w.name, all)
		default:
			return w.unexpected()
		}
	}
}

// str reads a string; the answer aliases the input when it has no escapes.
func (w *walker) str() ([]byte, error) {
	start := w.i
	w.i++
	escaped := false
	for w.i < len(w.b) {
		switch c := w.b[w.i]; {
		case c == '\\':
			escaped = true
			w.i += 2
		case c == '"':
			w.i++
			if !escaped {
				return w.b[start+1 : w.i-1], nil
			}
			var s string
			if err := json.Unmarshal(w.b[start:w.i], &s); err != nil {
				return nil, fmt.Errorf("%.40q is no string", w.b[start:w.i])
			}
			return []byte(s), nil
		case c < 0x20:
			return nil, fmt.Errorf("a control character in a string at byte %d", w.i+1)
		default:
			w.i++
		}
	}
	return nil, errEnd
}

// document walks through a whole text that is one object.
func (w *walker) document() error {
	if w.peek() != '{' {
		if w.i >= len(w.b) {
			return errEnd
		}
		return errors.New("it is no JSON object")
	}
	if err := w.object(0); err != nil {
		return err
	}
	if w.peek(); w.i < len(w.b) {
		return errors.New("there is something after the object")
	}
	return nil
}

var bom = []byte("\xef\xbb\xbf")

func trimmed(src []byte) []byte { return bytes.TrimSpace(bytes.TrimPrefix(src, bom)) }
