package tasks

import (
	"errors"
	"math"
	"math/big"
	"strconv"
	"strings"
	"time"
)

// The implicit types of YAML 1.1 as PyYAML's safe loader resolves them. The
// patterns are facts of that loader; everything else is text.
var (
	reBool  = newPattern(`^(?:yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF)$`)
	reInt   = newPattern(`^[-+]?(?:0b[01_]+|0[0-7_]+|0|[1-9][0-9_]*|0x[0-9a-fA-F_]+|[1-9][0-9_]*(?::[0-5]?[0-9])+)$`)
	reFloat = newPattern(`^(?:[-+]?[0-9][0-9_]*\.[0-9_]*(?:[eE][-+][0-9]+)?|\.[0-9][0-9_]*(?:[eE][-+][0-9]+)?|[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+\.[0-9_]*|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$`)
	reTime  = newPattern(`^(\d{4})-(\d\d?)-(\d\d?)(?:(?:[Tt]|[ \t]+)(\d\d?):(\d\d):(\d\d)(?:\.(\d*))?(?:[ \t]*(Z|([-+])(\d\d?)(?::(\d\d))?))?)?$`)
)

var errNumber = errors.New("not a valid number")

// typePlain gives an unquoted scalar its type. An error means that the text
// looks like a number or a date but is none, on which PyYAML fails as well.
func typePlain(text string) (value, error) {
	v := value{text: text, plain: true}
	switch {
	case text == "" || text == "~" || text == "null" || text == "Null" || text == "NULL":
		v.kind = kindNull
	case text == "=":
		return v, errors.New("a lone = has a special meaning in YAML 1.1")
	case len(text) <= 5 && reBool.MatchString(text):
		v.kind = kindBool
		switch strings.ToLower(text) {
		case "yes", "true", "on":
			v.b = true
		}
	case !strings.ContainsAny(text[:1], "+-.0123456789"):
		v.kind = kindText
	case reInt.MatchString(text):
		i, err := parseInt(text)
		if err != nil {
			return v, err
		}
		v.kind, v.i = kindInt, i
	case reFloat.MatchString(text):
		f, err := parseFloat(text)
		if err != nil {
			return v, err
		}
		v.kind, v.f = kindFloat, f
	case isTimestamp(text):
		t, err := parseTimestamp(text)
		if err != nil {
			return v, err
		}
		v.kind, v.t = kindTime, t
	default:
		v.kind = kindText
	}
	return v, nil
}

// maxDigits bounds numbers: converting very long ones takes quadratic time, and
// Python refuses them too (its limit is 4300 digits).
const maxDigits = 4300

func parseInt(text string) (*big.Int, error) {
	s := strings.ReplaceAll(text, "_", "")
	if len(s) > maxDigits {
		return nil, errNumber
	}
	neg := strings.HasPrefix(s, "-")
	s = strings.TrimLeft(s, "+-")
	i := new(big.Int)
	ok := true
	switch {
	case s == "0":
	case strings.HasPrefix(s, "0b"):
		_, ok = i.SetString(s[2:], 2)
	case strings.HasPrefix(s, "0x"):
		_, ok = i.SetString(s[2:], 16)
	case strings.HasPrefix(s, "0"):
		_, ok = i.SetString(s[1:], 8)
	case strings.Contains(s, ":"):
		for _, part := range strings.Split(s, ":") {
			d, err := strconv.ParseInt(part, 10, 64)
			if err != nil {
				return nil, errNumber
			}
			i.Mul(i, big.NewInt(60)).Add(i, big.NewInt(d))
		}
	default:
		_, ok = i.SetString(s, 10)
	}
	if !ok {
		return nil, errNumber
	}
	if neg {
		i.Neg(i)
	}
	return i, nil
}

func parseFloat(text string) (float64, error) {
	s := strings.ToLower(strings.ReplaceAll(text, "_", ""))
	if len(s) > maxDigits {
		return 0, errNumber
	}
	sign := 1.0
	if strings.HasPrefix(s, "-") {
		sign = -1
	}
	s = strings.TrimLeft(s, "+-")
	switch {
	case s == ".inf":
		return sign * math.Inf(1), nil
	case s == ".nan":
		return math.NaN(), nil
	case strings.Contains(s, ":"):
		total := 0.0
		for _, part := range strings.Split(s, ":") {
			f, err := strconv.ParseFloat(part, 64)
			if err != nil {
				return 0, errNumber
			}
			total = total*60 + f
		}
		return sign * total, nil
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return 0, errNumber
	}
	return sign * f, nil
}

// isTimestamp mirrors the loader's two shapes: a strict date, or a looser date
// with a time.
func isTimestamp(text string) bool {
	m := reTime.FindStringSubmatch(text)
	if m == nil {
		return false
	}
	return m[4] != "" || (len(m[2]) == 2 && len(m[3]) == 2)
}

func parseTimestamp(text string) (timestamp, error) {
	m := reTime.FindStringSubmatch(text)
	n := func(s string) int {
		i, _ := strconv.Atoi(s) // the pattern lets only short digit strings through
		return i
	}
	bad := errors.New("not a valid date")
	year, month, day := n(m[1]), n(m[2]), n(m[3])
	d := time.Date(year, time.Month(month), day, 0, 0, 0, 0, time.UTC)
	if year < 1 || d.Month() != time.Month(month) || d.Day() != day {
		return timestamp{}, bad
	}
	if m[4] == "" {
		return timestamp{t: d, dateOnly: true}, nil
	}
	hour, minute, second := n(m[4]), n(m[5]), n(m[6])
	if hour > 23 || minute > 59 || second > 59 {
		return timestamp{}, bad
	}
	micro := 0
	if frac := m[7]; frac != "" {
		if len(frac) > 6 {
			frac = frac[:6]
		}
		micro = n(frac + strings.Repeat("0", 6-len(frac)))
	}
	loc := time.UTC
	if m[9] != "" {
		off := n(m[10])*3600 + n(m[11])*60
		if off >= 24*3600 {
			return timestamp{}, bad
		}
		if m[9] == "-" {
			off = -off
		}
		loc = time.FixedZone("", off)
	}
	t := time.Date(year, time.Month(month), day, hour, minute, second, micro*1000, loc)
	return timestamp{t: t, zoned: m[8] != ""}, nil
}

func isFinite(f float64) bool { return !math.IsInf(f, 0) && !math.IsNaN(f) }

// surprising says whether a number's notation is one that YAML 1.1 reads in a
// way people seldom mean: octal by a leading zero, base 60 by colons.
func (v *value) surprising() bool {
	if !v.plain || v.kind&kindNumber == 0 {
		return false
	}
	s := strings.TrimLeft(v.text, "+-")
	return strings.Contains(s, ":") ||
		(v.kind == kindInt && len(s) > 1 && s[0] == '0' && s[1] != 'x' && s[1] != 'b')
}
