package ignore

import "strings"

// wildmatch matches one component of a path, as fnmatch does: * ? [a-z] [!a-z]. In git's dialect [^a] negates too, a
// backslash quotes, classes like [:alpha:] exist, and a [ without its ] matches nothing; in Python's it is a plain [.
func wildmatch(pat, name string, git bool) bool {
	// One remembered * suffices: a later one makes all earlier ones moot.
	star, mark := -1, 0
	p, n := 0, 0
	for n < len(name) {
		if p < len(pat) && pat[p] == '*' {
			star, mark = p, n
			p++
			continue
		}
		if p < len(pat) {
			if size, ok := matchOne(pat[p:], name[n], git); ok {
				p += size
				n++
				continue
			} else if size < 0 {
				return false // the pattern is broken
			}
		}
		if star < 0 {
			return false
		}
		mark++
		p, n = star+1, mark
	}
	for p < len(pat) && pat[p] == '*' {
		p++
	}
	return p == len(pat)
}

// matchOne matches a byte with what pat begins with, and says how long that is; < 0 when it is broken.
func matchOne(pat string, c byte, git bool) (size int, ok bool) {
	switch pat[0] {
	case '?':
		return 1, true
	case '[':
		size, ok = matchClass(pat, c, git)
		if size > 0 {
			return size, ok
		}
		if git {
			return -1, false
		}
		return 1, c == '['
	case '\\':
		if git {
			if len(pat) == 1 {
				return -1, false
			}
			return 2, c == pat[1]
		}
	}
	return 1, c == pat[0]
}

// matchClass matches a byte with the bracket expression that pat begins with; size 0 when it does not end.
func matchClass(pat string, c byte, git bool) (size int, ok bool) {
	i := 1
	not := false
	if i < len(pat) && (pat[i] == '!' || (git && pat[i] == '^')) {
		not = true
		i++
	}
	for first := true; ; first = false {
		if i >= len(pat) {
			return 0, false
		}
		if pat[i] == ']' && !first {
			return i + 1, ok != not
		}
		if git && strings.HasPrefix(pat[i:], "[:") {
			// Only a name that ends with :] is a class; else the [ is one of the characters.
			if end := strings.IndexByte(pat[i+2:], ']'); end < 0 {
				return 0, false
			} else if end > 0 && pat[i+2+end-1] == ':' {
				in, known := class(pat[i+2:i+2+end-1], c)
				if !known {
					return 0, false
				}
				ok = ok || in
				i += end + 3
				continue
			}
		}
		lo, next := classByte(pat, i, git)
		if next > len(pat) {
			return 0, false
		}
		hi := lo
		i = next
		if i+1 < len(pat) && pat[i] == '-' && pat[i+1] != ']' {
			if hi, i = classByte(pat, i+1, git); i > len(pat) {
				return 0, false
			}
		}
		ok = ok || (lo <= c && c <= hi)
	}
}

// classByte reads one character of a bracket expression; next is beyond the pattern when it is cut off.
func classByte(pat string, i int, git bool) (c byte, next int) {
	if git && pat[i] == '\\' {
		if i+1 >= len(pat) {
			return 0, len(pat) + 1
		}
		return pat[i+1], i + 2
	}
	return pat[i], i + 1
}

// class tells whether c is in a named class of ASCII characters.
func class(name string, c byte) (in, known bool) {
	digit := '0' <= c && c <= '9'
	lower := 'a' <= c && c <= 'z'
	upper := 'A' <= c && c <= 'Z'
	graph := '!' <= c && c <= '~'
	switch name {
	case "alnum":
		return digit || lower || upper, true
	case "alpha":
		return lower || upper, true
	case "blank":
		return c == ' ' || c == '\t', true
	case "cntrl":
		return c < ' ' || c == 0x7f, true
	case "digit":
		return digit, true
	case "graph":
		return graph, true
	case "lower":
		return lower, true
	case "print":
		return graph || c == ' ', true
	case "punct":
		return graph && !digit && !lower && !upper, true
	case "space":
		return c == ' ' || ('\t' <= c && c <= '\r'), true
	case "upper":
		return upper, true
	case "xdigit":
		return digit || ('a' <= c && c <= 'f') || ('A' <= c && c <= 'F'), true
	}
	return false, false
}
