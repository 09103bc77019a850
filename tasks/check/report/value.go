package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"aloft/tasks/check/engine"
)

// Marshal writes a value of the kinds that engine.Object lists as JSON, keys
// in their order, NaN and infinities as texts.
func Marshal(v any) ([]byte, error) { return marshal(v) }

// maxNesting bounds how deep JSON that others wrote may nest.
const maxNesting = 64

var (
	errNesting  = fmt.Errorf("it nests deeper than %d levels", maxNesting)
	errTrailing = errors.New("more follows after the value")
)

// Unmarshal reads one JSON value into nil, bool, int64, float64, string, []any
// and engine.Object, keeping the order of keys.
func Unmarshal(src []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(src))
	d.UseNumber()
	v, err := readValue(d, 0)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, fmt.Errorf("read JSON: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read JSON: %w", errTrailing)
	}
	return v, nil
}

func readValue(d *json.Decoder, depth int) (any, error) {
	t, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch t := t.(type) {
	case json.Delim:
		if depth++; depth > maxNesting {
			return nil, errNesting
		}
		if t == '[' {
			return readList(d, depth)
		}
		return readObject(d, depth)
	case json.Number:
		return number(t.String())
	default:
		return t, nil
	}
}

func readList(d *json.Decoder, depth int) (any, error) {
	out := []any{}
	for d.More() {
		v, err := readValue(d, depth)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	_, err := d.Token()
	return out, err
}

func readObject(d *json.Decoder, depth int) (any, error) {
	out := engine.Object{}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, err
		}
		key, ok := t.(string)
		if !ok {
			return nil, fmt.Errorf("a key is %v", t)
		}
		v, err := readValue(d, depth)
		if err != nil {
			return nil, err
		}
		out = append(out, engine.Field{Key: key, Value: v})
	}
	_, err := d.Token()
	return out, err
}

// number keeps whole numbers whole, as long as they fit.
func number(s string) (any, error) {
	if !strings.ContainsAny(s, ".eE") {
		if i, err := strconv.ParseInt(s, 10, 64); err == nil {
			return i, nil
		}
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return nil, err
	}
	return f, nil
}
