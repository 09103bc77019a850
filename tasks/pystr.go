package tasks

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode"
)

// pyStr is Python's str() of a loaded value: what environment variables get.
func pyStr(v *value) string {
	if v.kind == kindText {
		return v.text
	}
	var b strings.Builder
	writePy(&b, v, false)
	return b.String()
}

// writePy writes str() at the top and repr() inside containers.
func writePy(b *strings.Builder, v *value, repr bool) {
	switch v.kind {
	case kindNull:
		b.WriteString("None")
	case kindBool:
		if v.b {
			b.WriteString("True")
		} else {
			b.WriteString("False")
		}
	case kindInt:
		b.WriteString(v.i.String())
	case kindFloat:
		b.WriteString(pyFloat(v.f))
	case kindTime:
		b.WriteString(pyTime(v.t, repr))
	case kindText:
		b.WriteString(pyQuote(v.text))
	case kindList:
		b.WriteByte('[')
		for i, it := range v.items {
			if i > 0 {
				b.WriteString(", ")
			}
			writePy(b, it, true)
		}
		b.WriteByte(']')
	case kindMap:
		b.WriteByte('{')
		for i, e := range v.entries {
			if i > 0 {
				b.WriteString(", ")
			}
			writePy(b, e.key, true)
			b.WriteString(": ")
			writePy(b, e.val, true)
		}
		b.WriteByte('}')
	}
}

// pyFloat is Python's repr of a float: shortest digits, exponent below 1e-4
// and from 1e16 on, and always a mark that it is a float.
func pyFloat(f float64) string {
	switch {
	case math.IsNaN(f):
		return "nan"
	case math.IsInf(f, 1):
		return "inf"
	case math.IsInf(f, -1):
		return "-inf"
	}
	if a := math.Abs(f); a != 0 && (a < 1e-4 || a >= 1e16) {
		return strconv.FormatFloat(f, 'e', -1, 64)
	}
	s := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}

func pyTime(ts timestamp, repr bool) string {
	t := ts.t
	micro := t.Nanosecond() / 1000
	if repr {
		if ts.dateOnly {
			return fmt.Sprintf("datetime.date(%d, %d, %d)", t.Year(), t.Month(), t.Day())
		}
		s := fmt.Sprintf("datetime.datetime(%d, %d, %d, %d, %d", t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute())
		if t.Second() != 0 || micro != 0 {
			s += fmt.Sprintf(", %d", t.Second())
		}
		if micro != 0 {
			s += fmt.Sprintf(", %d", micro)
		}
		if ts.zoned {
			if _, off := t.Zone(); off == 0 {
				s += ", tzinfo=datetime.timezone.utc"
			} else {
				days := 0
				if off < 0 { // timedelta keeps the seconds positive
					days, off = -1, off+86400
				}
				delta := fmt.Sprintf("seconds=%d", off)
				if days != 0 {
					delta = fmt.Sprintf("days=-1, %s", delta)
				}
				s += ", tzinfo=datetime.timezone(datetime.timedelta(" + delta + "))"
			}
		}
		return s + ")"
	}
	if ts.dateOnly {
		return t.Format("2006-01-02")
	}
	s := t.Format("2006-01-02 15:04:05")
	if micro != 0 {
		s += fmt.Sprintf(".%06d", micro)
	}
	if ts.zoned {
		s += t.Format("-07:00")
	}
	return s
}

// pyQuote is Python's repr of a string.
func pyQuote(s string) string {
	q := '\''
	if strings.Contains(s, "'") && !strings.Contains(s, `"`) {
		q = '"'
	}
	var b strings.Builder
	b.WriteRune(q)
	for _, r := range s {
		switch {
		case r == q || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case r == ' ' || (unicode.IsPrint(r) && !unicode.IsSpace(r)):
			b.WriteRune(r)
		case r < 0x100:
			fmt.Fprintf(&b, `\x%02x`, r)
		case r < 0x10000:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			fmt.Fprintf(&b, `\U%08x`, r)
		}
	}
	b.WriteRune(q)
	return b.String()
}

// formatNumber writes a number without a trailing ".0".
func formatNumber(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }
