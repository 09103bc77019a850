package tasks

import (
	"fmt"
	"strings"
)

// KeyValue is one line of a dotenv file.
type KeyValue struct{ Key, Value string }

var (
	reDotenvKey = newPattern(`^(?:export[ \t]+)?([^=\s]+)[ \t]*$`)
	reDotenvVar = newPattern(`\$\{([a-zA-Z_][a-zA-Z0-9_]*)(?::-([^}]*))?\}`)
)

// ParseDotenv reads KEY=VALUE lines: comments, `export`, single and double
// quotes (which may span lines), and ${NAME} or ${NAME:-default}, taken from
// earlier lines or lookup, outside single quotes. A key without = is skipped
// with a warning, as it has no value.
func ParseDotenv(file string, src []byte, lookup func(string) (string, bool)) ([]KeyValue, Diagnostics) {
	c := newChecker(file)
	var out []KeyValue
	seen := map[string]string{}
	written := 0
	text := strings.TrimPrefix(strings.ReplaceAll(string(src), "\r\n", "\n"), "\ufeff")
	lines := strings.Split(text, "\n")
	expand := func(s string) string {
		return reDotenvVar.ReplaceAllStringFunc(s, func(m string) string {
			g := reDotenvVar.FindStringSubmatch(m)
			if v, ok := seen[g[1]]; ok {
				return v
			}
			if lookup != nil {
				if v, ok := lookup(g[1]); ok {
					return v
				}
			}
			return g[2]
		})
	}
	for i := 0; i < len(lines); i++ {
		line := strings.TrimLeft(lines[i], " \t")
		p := position{line: i + 1, column: 1}
		if line == "" || line[0] == '#' {
			continue
		}
		left, rest, hasValue := strings.Cut(line, "=")
		m := reDotenvKey.FindStringSubmatch(left)
		switch {
		case !hasValue:
			c.warn(p, "", "the line has no = and is skipped", "KEY=VALUE", "")
			continue
		case m == nil || !reEnvName.MatchString(m[1]):
			c.fail(p, "", quote(strings.TrimSpace(left))+" is not a variable name", "letters, digits and _, not starting with a digit", "")
			continue
		}
		rest = strings.TrimLeft(rest, " \t")
		var val string
		if rest != "" && (rest[0] == '"' || rest[0] == '\'') {
			q := rest[0]
			body, used, ok := dotenvQuoted(rest[1:], lines[i+1:], q)
			if !ok {
				c.fail(p, "", fmt.Sprintf("the quote that opens the value of %s is never closed", m[1]), "", "")
				return out, c.report()
			}
			i += used
			val = body
			if q == '"' {
				val = expand(val)
			}
		} else {
			for _, mark := range []string{" #", "\t#"} {
				rest, _, _ = strings.Cut(rest, mark)
			}
			if strings.HasPrefix(rest, "#") {
				rest = ""
			}
			val = expand(strings.TrimRight(rest, " \t"))
		}
		if written += len(val); written > maxText {
			c.fail(p, "", "replacing variables makes the file too large", fmt.Sprintf("at most %d MiB of text", maxText>>20), "")
			return out, c.report()
		}
		seen[m[1]] = val
		out = append(out, KeyValue{Key: m[1], Value: val})
	}
	return out, c.report()
}

// dotenvQuoted reads up to the closing quote and says how many more lines it used.
func dotenvQuoted(first string, more []string, q byte) (body string, used int, ok bool) {
	var b strings.Builder
	s := first
	for {
		for j := 0; j < len(s); j++ {
			switch {
			case s[j] == q:
				return b.String(), used, true
			case s[j] == '\\' && j+1 < len(s):
				j++
				b.WriteString(dotenvEscape(s[j], q))
			default:
				b.WriteByte(s[j])
			}
		}
		if used == len(more) {
			return "", used, false
		}
		b.WriteByte('\n')
		s = more[used]
		used++
	}
}

func dotenvEscape(b, q byte) string {
	if q == '"' {
		switch b {
		case 'n':
			return "\n"
		case 'r':
			return "\r"
		case 't':
			return "\t"
		case '"', '\\', '$':
			return string(b)
		}
	}
	if b == q || b == '\\' {
		return string(b)
	}
	return `\` + string(b)
}
