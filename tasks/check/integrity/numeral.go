package integrity

import "strings"

// readsAsNumber reports whether Python's float reads the text: a decimal
// number with optional sign, point, exponent and underscores between digits,
// or nan, inf or infinity in any case, with white space around.
func readsAsNumber(s string) bool {
	s = strings.TrimSpace(s)
	if s != "" && (s[0] == '+' || s[0] == '-') {
		s = s[1:]
	}
	if len(s) >= 3 && len(s) <= 8 {
		switch strings.ToLower(s) {
		case "nan", "inf", "infinity":
			return true
		}
	}
	whole, rest := digits(s)
	frac := 0
	if strings.HasPrefix(rest, ".") {
		frac, rest = digits(rest[1:])
	}
	if whole < 0 || frac < 0 || whole+frac == 0 {
		return false
	}
	if rest == "" {
		return true
	}
	if rest[0] != 'e' && rest[0] != 'E' {
		return false
	}
	rest = rest[1:]
	if rest != "" && (rest[0] == '+' || rest[0] == '-') {
		rest = rest[1:]
	}
	exponent, rest := digits(rest)
	return exponent > 0 && rest == ""
}

// digits counts the digits at the beginning, among which single underscores
// may stand, and returns what follows; -1 when an underscore is misplaced.
func digits(s string) (n int, rest string) {
	after := false // an underscore comes after a digit only, and before one
	for i := range len(s) {
		switch c := s[i]; {
		case c >= '0' && c <= '9':
			n++
			after = true
		case c == '_' && after:
			after = false
		case c == '_':
			return -1, s[i:]
		case n > 0 && !after:
			return -1, s[i:]
		default:
			return n, s[i:]
		}
	}
	if n > 0 && !after {
		return -1, ""
	}
	return n, ""
}
