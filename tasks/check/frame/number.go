package frame

import (
	"errors"
	"math"
	"strconv"
	"strings"
)

// parseInt reads a decimal integer; spaces around it do not count.
func parseInt(b []byte) (int64, bool) {
	digits, negative := b, false
	if len(b) > 0 && (b[0] == '-' || b[0] == '+') {
		negative = b[0] == '-'
		digits = b[1:]
	}
	if n := len(digits); n > 0 && n <= 18 { // cannot overflow
		v := int64(0)
		for _, c := range digits {
			c -= '0'
			if c > 9 {
				return slowInt(b)
			}
			v = v*10 + int64(c)
		}
		if negative {
			v = -v
		}
		return v, true
	}
	return slowInt(b)
}

func slowInt(b []byte) (int64, bool) {
	if len(b) == 0 || b[0] != ' ' && b[len(b)-1] != ' ' && (len(b) < 19 || len(b) > 20) {
		return 0, false // what parseInt refused stays refused
	}
	s := strings.Trim(string(b), " ")
	if s == "" || len(s) > 20 || s[0] > '9' {
		return 0, false
	}
	v, err := strconv.ParseInt(s, 10, 64)
	return v, err == nil
}

// parseFloat accepts decimal numbers and infinities, not "nan", hexadecimal
// numbers or underscores, which strconv would also take. The result is that of
// strconv to the last bit: a mantissa below 2^53 and a power of ten up to 22
// are both exact, so that one division rounds correctly.
func parseFloat(b []byte, point byte) (float64, bool) {
	digits, negative := b, false
	if len(b) > 0 && (b[0] == '-' || b[0] == '+') {
		negative = b[0] == '-'
		digits = b[1:]
	}
	if n := len(digits); n == 0 || n > 17 {
		return slowFloat(b, point)
	}
	mantissa, after, seen := uint64(0), 0, false
	for _, c := range digits {
		if d := c - '0'; d <= 9 {
			mantissa = mantissa*10 + uint64(d)
			if seen {
				after++
			}
			continue
		}
		if c != point || seen {
			return slowFloat(b, point)
		}
		seen = true
	}
	if mantissa >= 1<<53 || seen && len(digits) == 1 {
		return slowFloat(b, point)
	}
	v := float64(mantissa) / powerOfTen(after)
	if negative {
		v = -v
	}
	return v, true
}

// powerOfTen returns 10^k for k up to 22, exactly.
func powerOfTen(k int) float64 {
	return [...]float64{1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22}[k]
}

func slowFloat(b []byte, point byte) (float64, bool) {
	s := strings.Trim(string(b), " ")
	if s == "" {
		return 0, false
	}
	if point != '.' {
		if strings.Contains(s, ".") {
			return 0, false
		}
		s = strings.Replace(s, string(rune(point)), ".", 1)
	}
	for i := range len(s) {
		switch c := s[i]; {
		case c >= '0' && c <= '9' || c == '.' || c == '-' || c == '+' || c == 'e' || c == 'E':
		default:
			return parseInf(s)
		}
	}
	v, err := strconv.ParseFloat(s, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return 0, false
	}
	return v, true
}

func parseInf(s string) (float64, bool) {
	sign := 1
	switch s[0] {
	case '-':
		sign, s = -1, s[1:]
	case '+':
		s = s[1:]
	}
	if strings.EqualFold(s, "inf") || strings.EqualFold(s, "infinity") {
		return math.Inf(sign), true
	}
	return 0, false
}

// isNumber reports whether a text is a number.
func isNumber(s string) bool {
	_, ok := parseFloat([]byte(s), '.')
	return ok
}

// parseBool reads the spellings of booleans that Python and others write.
func parseBool(b []byte) (value int64, ok bool) {
	switch string(b) {
	case "True", "TRUE", "true":
		return 1, true
	case "False", "FALSE", "false":
		return 0, true
	}
	return 0, false
}

// clip shortens a field for a message.
func clip(s string) string {
	const most = 40
	if len(s) > 8*most {
		s = s[:8*most]
	}
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}
