package tasks

import (
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// position is a place in a file. file is set only when it differs from the
// document's, as for values given on the command line.
type position struct {
	file         string
	line, column int
}

// kind is the type of a value after YAML 1.1 typing.
type kind uint8

const (
	kindNull kind = 1 << iota
	kindBool
	kindInt
	kindFloat
	kindText
	kindTime // a date or a timestamp
	kindList
	kindMap
)

// Combinations that fields accept.
const (
	kindNumber = kindInt | kindFloat
	kindScalar = kindBool | kindInt | kindFloat | kindText | kindTime
	kindAny    = kindNull | kindScalar | kindList | kindMap
)

// describe names a set of kinds for a message.
func (k kind) describe() string {
	names := []struct {
		k kind
		s string
	}{
		{kindBool, "true or false"}, {kindNumber, "a number"}, {kindInt, "a whole number"},
		{kindText, "text"}, {kindList, "a list"}, {kindMap, "a map"},
	}
	var out []string
	for _, n := range names {
		if k&n.k == n.k {
			out = append(out, n.s)
			k &^= n.k
		}
	}
	if n := len(out); n > 1 {
		return strings.Join(out[:n-1], ", ") + " or " + out[n-1]
	}
	return strings.Join(out, "")
}

// value is one node of a document after aliases, merge keys and typing.
type value struct {
	kind kind
	pos  position
	// text is the string of a kindText, and the source text of other scalars.
	text  string
	plain bool // an unquoted scalar
	b     bool
	i     *big.Int
	f     float64
	t     timestamp
	items []*value
	// entries keep Python's dict order: merged keys first, first position wins.
	entries []*entry

	// mask is what to print instead of text when text holds a secret.
	mask   string
	masked bool
	// broken stands in for a value that was reported already.
	broken bool
	// literal values take no part in variable substitution.
	literal bool
}

type entry struct {
	key *value
	val *value
}

// timestamp is a YAML date or time.
type timestamp struct {
	t        time.Time
	dateOnly bool
	zoned    bool
}

// name is the key as Python's str() would give it.
func (e *entry) name() string { return pyStr(e.key) }

// label is the key for messages: never a secret.
func (e *entry) label() string {
	if e.key.masked {
		return e.key.mask
	}
	return e.name()
}

// get returns the value under a text key, or nil.
func (v *value) get(key string) *value {
	if v == nil {
		return nil
	}
	for _, e := range v.entries {
		if e.key.kind == kindText && e.key.text == key {
			return e.val
		}
	}
	return nil
}

// set puts a value under a text key, replacing an earlier one.
func (v *value) set(key string, val *value) {
	for _, e := range v.entries {
		if e.key.kind == kindText && e.key.text == key {
			e.val = val
			return
		}
	}
	v.entries = append(v.entries, &entry{key: textValue(key, val.pos), val: val})
}

// remove deletes text keys.
func (v *value) remove(keys ...string) {
	out := v.entries[:0]
next:
	for _, e := range v.entries {
		for _, k := range keys {
			if e.key.kind == kindText && e.key.text == k {
				continue next
			}
		}
		out = append(out, e)
	}
	v.entries = out
}

func textValue(s string, p position) *value {
	return &value{kind: kindText, text: s, pos: p}
}

func (v *value) isNull() bool { return v == nil || v.kind == kindNull }

// number returns the value of an int or float.
func (v *value) number() float64 {
	if v.kind == kindInt {
		f, _ := new(big.Float).SetInt(v.i).Float64()
		return f
	}
	return v.f
}

// smallInt returns the value of an int that fits, and whether it does.
func (v *value) smallInt() (int, bool) {
	if v.kind != kindInt || !v.i.IsInt64() {
		return 0, false
	}
	return int(v.i.Int64()), true
}

// show renders a value for a message: short, quoted, never a secret.
func (v *value) show() string {
	switch v.kind {
	case kindNull:
		return "null"
	case kindText:
		s := v.text
		if v.masked {
			s = v.mask
		}
		return quote(s)
	case kindList:
		return fmt.Sprintf("a list of %d", len(v.items))
	case kindMap:
		return fmt.Sprintf("a map of %d", len(v.entries))
	case kindBool:
		word := "false"
		if v.b {
			word = "true"
		}
		if v.plain && !strings.EqualFold(v.text, word) {
			return fmt.Sprintf("the boolean %s (YAML 1.1 reads %s so)", word, v.text)
		}
		return "the boolean " + word
	case kindTime:
		return "the date " + v.text
	}
	if s := pyStr(v); s != v.text {
		return fmt.Sprintf("the number %s (written %s)", s, v.text)
	}
	return "the number " + v.text
}

func quote(s string) string {
	const most = 80
	if len(s) > most*utf8.UTFMax { // do not convert what is cut anyway
		s = strings.ToValidUTF8(s[:most*utf8.UTFMax], "") + " "
	}
	if r := []rune(s); len(r) > most {
		s = string(r[:most]) + "..."
	}
	return strconv.Quote(s)
}

// plainText is the text a scalar was written as.
func (v *value) plainText() string {
	if v.masked {
		return v.mask
	}
	return v.text
}

// goValue converts to JSON-encodable Go values. Whole numbers that fit become
// int64; the keys of maps become text.
func (v *value) goValue(show func(*value) string) any {
	switch v.kind {
	case kindNull:
		return nil
	case kindBool:
		return v.b
	case kindInt:
		if v.i.IsInt64() {
			return v.i.Int64()
		}
		return pyStr(v)
	case kindFloat:
		if isFinite(v.f) {
			return v.f
		}
		return pyStr(v)
	case kindTime:
		return pyStr(v)
	case kindList:
		out := make([]any, len(v.items))
		for i, it := range v.items {
			out[i] = it.goValue(show)
		}
		return out
	case kindMap:
		out := make(map[string]any, len(v.entries))
		for _, e := range v.entries {
			k := e.name()
			switch {
			case e.key.kind == kindText:
				k = show(e.key)
			case e.key.kind != kindNull:
				k = e.key.text // as written: the key on stays on
			}
			out[k] = e.val.goValue(show)
		}
		return out
	}
	return show(v)
}

// data is goValue with the real texts.
func (v *value) data() any {
	return v.goValue(func(v *value) string { return v.text })
}

// size counts the values of a tree.
func (v *value) size() int {
	if v == nil {
		return 0
	}
	n := 1
	for _, it := range v.items {
		n += it.size()
	}
	for _, e := range v.entries {
		n += 1 + e.val.size()
	}
	return n
}
