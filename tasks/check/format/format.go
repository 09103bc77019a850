// Package format renders numbers, ratios, lists and mappings the way the
// messages of the checks show them to people. The forms are fixed: reports of
// two runs, and reports of other implementations, are compared as text.
package format

import (
	"math"
	"strconv"
	"strings"
)

// The defaults of Percent and Number: digits after the point, and digits
// after the point of a percentage that is too small for the former.
const (
	places    = 2
	sciPlaces = 4
)

// Percent renders a ratio (0.12345 becomes "12.35%"). Ratios that would round
// up to 100% without being 1 stay at "99.99%"; tiny ratios keep four digits
// ("0.001%"), and smaller ones turn scientific ("1.00E-5%").
func Percent(ratio float64) string {
	switch {
	case math.IsNaN(ratio):
		return "nan%"
	case math.IsInf(ratio, 0):
		return strings.TrimPrefix(signed(ratio, "inf%"), "+")
	case ratio < 0:
		return "-" + Percent(-ratio)
	case ratio == math.Trunc(ratio):
		return strconv.FormatFloat(ratio*100, 'f', 0, 64) + "%"
	case ratio > 1:
		return trim(fixed(ratio*100, places)) + "%"
	case ratio < math.Pow10(-(2 + places)):
		if ratio > math.Pow10(-(2 + sciPlaces)) {
			return trim(fixed(ratio*100, sciPlaces)) + "%"
		}
		return scientific(ratio*100) + "%"
	case ratio > 1-math.Pow10(-(2+places)):
		return "99.99%"
	default:
		return trim(fixed(ratio*100, places)) + "%"
	}
}

// Number renders a number with at most two digits after the point and commas
// between thousands ("1,234,567.89"); what is smaller than 0.01 turns
// scientific with the shortest exponent ("1.00E-3").
func Number(x float64) string {
	switch {
	case math.IsNaN(x):
		return "nan"
	case math.IsInf(x, 0):
		return signed(x, "inf")
	case x == 0:
		return "0"
	case math.Abs(x) < math.Pow10(-places):
		return scientific(x)
	}
	return commas(trim(fixed(x, places)))
}

// NumberTo renders a number rounded to some digits after the point, with commas
// between thousands ("-14,167.778") and without needless zeros; numbers below
// 0.0001 that those digits still show turn scientific ("1.294e-05").
func NumberTo(x float64, digits int) string {
	switch {
	case math.IsNaN(x):
		return "nan"
	case math.IsInf(x, 0):
		return signed(x, "inf")
	case x == 0:
		return "0"
	case math.Abs(x) < math.Pow10(-digits):
		return scientific(x)
	}
	text := fixed(x, digits)
	if rounded, err := strconv.ParseFloat(text, 64); err == nil && rounded != 0 && math.Abs(rounded) < 1e-4 {
		return strconv.FormatFloat(rounded, 'e', -1, 64)
	}
	return commas(trim(text))
}

// Plain renders a number as Python's str does: the shortest digits that read
// back equal, "1.0" for whole floats, exponents from 1e16 on and below 1e-4.
func Plain(x float64) string {
	switch {
	case math.IsNaN(x):
		return "nan"
	case math.IsInf(x, 0):
		return signed(x, "inf")
	}
	abs := math.Abs(x)
	if abs != 0 && (abs < 1e-4 || abs >= 1e16) {
		return strconv.FormatFloat(x, 'e', -1, 64)
	}
	s := strconv.FormatFloat(x, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}

// Param renders a threshold inside the name of a condition: like Plain, but a
// whole number written without a point stays so, since users write "0" and
// "0.5" and expect to read them back.
func Param(x float64) string {
	if x == math.Trunc(x) && math.Abs(x) < 1e15 {
		return strconv.FormatFloat(x, 'f', 0, 64)
	}
	return Plain(x)
}

// Quote renders a string as Python's repr does: single quotes, or double ones
// where the text holds a single quote and no double one.
func Quote(s string) string {
	quote := byte('\'')
	if strings.Contains(s, "'") && !strings.Contains(s, `"`) {
		quote = '"'
	}
	var b strings.Builder
	b.WriteByte(quote)
	for _, r := range s {
		switch {
		case r == rune(quote) || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case r < 0x20 || r == 0x7f:
			b.WriteString(`\x`)
			b.WriteString(hex2(byte(r)))
		case r < 0xa0 && r > 0x7f:
			b.WriteString(`\x`)
			b.WriteString(hex2(byte(r)))
		case !strconv.IsPrint(r) && r <= 0xffff:
			b.WriteString(strings.Trim(strconv.QuoteRuneToASCII(r), "'"))
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte(quote)
	return b.String()
}

// List renders items, already rendered, as a Python list: "['a', 'b']".
func List(items []string) string { return "[" + strings.Join(items, ", ") + "]" }

// QuotedList renders strings as a Python list of strings.
func QuotedList(items []string) string {
	quoted := make([]string, len(items))
	for i, s := range items {
		quoted[i] = Quote(s)
	}
	return List(quoted)
}

// Pair is one entry of Dict, both sides already rendered.
type Pair struct{ Key, Value string }

// Dict renders entries as a Python dict in the order given.
func Dict(pairs []Pair) string {
	parts := make([]string, len(pairs))
	for i, p := range pairs {
		parts[i] = p.Key + ": " + p.Value
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

// Shorten joins the first ten items with commas and cuts the outcome to forty
// characters, "..." marking the cut.
func Shorten(items []string) string {
	const maxItems, maxLen = 10, 40
	if len(items) > maxItems {
		items = items[:maxItems]
	}
	return Truncate(strings.Join(items, ", "), maxLen)
}

// Truncate cuts s to n characters and marks the cut with "...".
func Truncate(s string, n int) string {
	runes := []rune(s)
	if len(runes) <= n {
		return s
	}
	return string(runes[:n]) + "..."
}

// Passed is the message of a condition that held for n columns.
func Passed(n int) string {
	switch n {
	case 0:
		return "No relevant columns to check were found"
	case 1:
		return "Passed for 1 relevant column"
	default:
		return "Passed for " + strconv.Itoa(n) + " relevant columns"
	}
}

func signed(x float64, s string) string {
	if x < 0 {
		return "-" + s
	}
	return s
}

// fixed rounds the exact decimal value of x half to even, as Python's format
// does; strconv does the same.
func fixed(x float64, digits int) string { return strconv.FormatFloat(x, 'f', digits, 64) }

func trim(s string) string {
	if !strings.Contains(s, ".") {
		return s
	}
	return strings.TrimSuffix(strings.TrimRight(s, "0"), ".")
}

// scientific writes two digits and an exponent without leading zeros or plus.
func scientific(x float64) string {
	mantissa, exponent, _ := strings.Cut(strconv.FormatFloat(x, 'E', 2, 64), "E")
	n, err := strconv.Atoi(exponent)
	if err != nil {
		return mantissa + "E" + exponent
	}
	return mantissa + "E" + strconv.Itoa(n)
}

func commas(s string) string {
	sign := ""
	if strings.HasPrefix(s, "-") {
		sign, s = "-", s[1:]
	}
	whole, frac, dotted := strings.Cut(s, ".")
	var b strings.Builder
	for i, r := range whole {
		if i > 0 && (len(whole)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(r)
	}
	if dotted {
		b.WriteByte('.')
		b.WriteString(frac)
	}
	return sign + b.String()
}

func hex2(b byte) string {
	const digits = "0123456789abcdef"
	return string([]byte{digits[b>>4], digits[b&15]})
}
