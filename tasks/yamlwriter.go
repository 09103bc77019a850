package tasks

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"unicode"
)

// nullKey stands for a null key in an omap. No text of a file can be equal to
// it, because NUL bytes are rejected and "\0" escapes never reach keys here.
const nullKey = "\x00null"

// yamlWriter writes block-style YAML that our own reader, and any YAML 1.1
// reader, takes back unchanged.
type yamlWriter struct{ b *bytes.Buffer }

// maxSimpleKey is the length from which a key is written in the explicit form;
// YAML limits simple keys to 1024 characters.
const maxSimpleKey = 500

// mapping writes the pairs at an indentation; the cursor is at a line's start.
func (w yamlWriter) mapping(m omap, indent int) {
	for i, p := range m {
		if i > 0 {
			w.pad(indent)
		}
		key := "null"
		if p.key != nullKey {
			key = scalarText(p.key)
		}
		if len(key) > maxSimpleKey {
			w.b.WriteString("? " + key + "\n")
			w.pad(indent)
		} else {
			w.b.WriteString(key)
		}
		w.b.WriteByte(':')
		w.field(p.val, indent)
	}
}

func (w yamlWriter) pad(n int) {
	for range n {
		w.b.WriteByte(' ')
	}
}

// field writes what follows "key:".
func (w yamlWriter) field(v any, indent int) {
	switch v := normalise(v).(type) {
	case omap:
		if len(v) == 0 {
			w.b.WriteString(" {}\n")
			return
		}
		w.b.WriteByte('\n')
		w.pad(indent + 2)
		w.mapping(v, indent+2)
	case []any:
		if len(v) == 0 {
			w.b.WriteString(" []\n")
			return
		}
		w.b.WriteByte('\n')
		w.pad(indent)
		w.list(v, indent)
	default:
		w.b.WriteByte(' ')
		w.scalar(v, indent)
	}
}

func (w yamlWriter) list(items []any, indent int) {
	for i, it := range items {
		if i > 0 {
			w.pad(indent)
		}
		w.b.WriteString("- ")
		w.value(it, indent+2)
	}
}

// value writes a value after "- " or at the top.
func (w yamlWriter) value(v any, indent int) {
	switch v := normalise(v).(type) {
	case omap:
		if len(v) == 0 {
			w.b.WriteString("{}\n")
			return
		}
		w.mapping(v, indent)
	case []any:
		if len(v) == 0 {
			w.b.WriteString("[]\n")
			return
		}
		w.list(v, indent)
	default:
		w.scalar(v, indent-2)
	}
}

// normalise turns the map and list types in use into omap and []any.
func normalise(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(omap, 0, len(v))
		for _, k := range sortedKeys(v) {
			out = append(out, pair{k, v[k]})
		}
		return out
	case []map[string]any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = v[i]
		}
		return out
	}
	return v
}

func (w yamlWriter) scalar(v any, indent int) {
	switch v := v.(type) {
	case nil:
		w.b.WriteString("null\n")
	case bool:
		w.b.WriteString(strconv.FormatBool(v) + "\n")
	case int:
		w.b.WriteString(strconv.Itoa(v) + "\n")
	case int64:
		w.b.WriteString(strconv.FormatInt(v, 10) + "\n")
	case float64:
		w.b.WriteString(floatText(v) + "\n")
	case string:
		if literalSafe(v) {
			w.literal(v, indent+2)
			return
		}
		w.b.WriteString(scalarText(v) + "\n")
	default:
		// Nothing else is ever put into a tree; text keeps the output valid.
		w.b.WriteString(scalarText(fmt.Sprint(v)) + "\n")
	}
}

// floatText writes a float so that YAML 1.1 reads a float: an exponent needs a
// dot before it.
func floatText(f float64) string {
	s := pyFloat(f)
	if m, e, ok := strings.Cut(s, "e"); ok && !strings.Contains(m, ".") {
		return m + ".0e" + e
	}
	switch s {
	case "inf":
		return ".inf"
	case "-inf":
		return "-.inf"
	case "nan":
		return ".nan"
	}
	return s
}

func (w yamlWriter) literal(s string, indent int) {
	body := strings.TrimRight(s, "\n")
	switch len(s) - len(body) {
	case 0:
		w.b.WriteString("|-\n")
	case 1:
		w.b.WriteString("|\n")
	default:
		w.b.WriteString("|+\n")
	}
	for _, line := range strings.Split(body, "\n") {
		if line != "" {
			w.pad(indent)
			w.b.WriteString(line)
		}
		w.b.WriteByte('\n')
	}
	for range max(len(s)-len(body)-1, 0) {
		w.b.WriteByte('\n')
	}
}

// literalSafe says whether a text can be a literal block and come back equal.
func literalSafe(s string) bool {
	if !strings.Contains(s, "\n") || s[0] == ' ' || s[0] == '\t' || s[0] == '\n' {
		return false
	}
	for _, line := range strings.Split(s, "\n") {
		if line != "" && strings.Trim(line, " \t") == "" {
			return false
		}
	}
	for _, r := range s {
		if r != '\n' && r != '\t' && !plainRune(r) {
			return false
		}
	}
	return true
}

// plainRune says whether a rune can stand for itself: printable, and neither a
// line break nor a byte order mark to a YAML reader.
func plainRune(r rune) bool {
	switch r {
	case ' ':
		return true
	case 0x85, 0xa0, 0x2028, 0x2029, 0xfeff, unicode.ReplacementChar:
		return false
	}
	return unicode.IsPrint(r)
}

var rePlain = newPattern(`^[A-Za-z0-9_/.~$<](?:[A-Za-z0-9_/.@%+:=,~*$<>{} ()-]*[A-Za-z0-9_/.@%+=~*$>{}()-])?$`)

// scalarText writes a string plainly when it stays text, else in double quotes.
func scalarText(s string) string {
	const longestPlain = 200
	if len(s) < longestPlain && rePlain.MatchString(s) && !strings.Contains(s, ": ") && s != "<<" {
		if v, err := typePlain(s); err == nil && v.kind == kindText {
			return s
		}
	}
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range strings.ToValidUTF8(s, "\uFFFD") {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r == '\r':
			b.WriteString(`\r`)
		case plainRune(r):
			b.WriteRune(r)
		case r < 0x100:
			fmt.Fprintf(&b, `\x%02x`, r)
		case r < 0x10000:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			fmt.Fprintf(&b, `\U%08x`, r)
		}
	}
	b.WriteByte('"')
	return b.String()
}
