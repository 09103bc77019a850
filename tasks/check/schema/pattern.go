package schema

import (
	"fmt"
	"regexp"
	"strings"
)

// known are patterns that texts often follow, the narrowest first.
func known() []string {
	return []string{
		`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`,
		`\d{4}-\d{2}-\d{2}`,
		`\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:?\d{2})?`,
		`\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}`,
		`https?://\S+`,
		`[^@\s]+@[^@\s]+\.[^@\s]+`,
	}
}

// mostParts bounds a pattern made from texts: a longer one says nothing.
const mostParts = 10

// leastTexts is the number of texts from which their form is no accident.
const leastTexts = 10

// patternOf finds what all texts look like; nil if that is nothing definite.
func patternOf(texts []string) *regexp.Regexp {
	if len(texts) < leastTexts {
		return nil
	}
	for _, p := range known() {
		if re := compile(p); re != nil && fits(re, texts) {
			return re
		}
	}
	parts := shape(texts[0])
	for _, s := range texts[1:] {
		if parts = widen(parts, shape(s)); parts == nil {
			return nil
		}
	}
	if definite := render(parts); definite != "" {
		if re := compile(definite); re != nil && fits(re, texts) {
			return re
		}
	}
	return nil
}

func compile(p string) *regexp.Regexp {
	re, err := regexp.Compile(`^(?:` + p + `)$`)
	if err != nil {
		return nil
	}
	return re
}

func fits(re *regexp.Regexp, texts []string) bool {
	for _, s := range texts {
		if !re.MatchString(s) {
			return false
		}
	}
	return true
}

// part is a run of characters of one class.
type part struct {
	class       string // of a regular expression
	least, most int
}

// shape is a text as runs of digits, capitals, small letters and others.
func shape(s string) []part {
	var out []part
	for _, r := range s {
		class := ""
		switch {
		case r >= '0' && r <= '9':
			class = `\d`
		case r >= 'A' && r <= 'Z':
			class = `[A-Z]`
		case r >= 'a' && r <= 'z':
			class = `[a-z]`
		default:
			class = regexp.QuoteMeta(string(r))
		}
		if n := len(out); n > 0 && out[n-1].class == class {
			out[n-1].least++
			out[n-1].most++
			continue
		}
		if len(out) == mostParts {
			return nil
		}
		out = append(out, part{class, 1, 1})
	}
	return out
}

// widen makes a shape cover another one; nil if they differ in more than the
// lengths of runs.
func widen(a, b []part) []part {
	if len(a) != len(b) {
		return nil
	}
	for i := range a {
		if a[i].class != b[i].class {
			return nil
		}
		a[i].least, a[i].most = min(a[i].least, b[i].least), max(a[i].most, b[i].most)
	}
	return a
}

// render writes the shape, "" if it is letters only: those of names and words
// are not meant.
func render(parts []part) string {
	definite := false
	var b strings.Builder
	for _, p := range parts {
		definite = definite || p.class != `[a-z]` && p.class != `[A-Z]` && p.class != " "
		b.WriteString(p.class)
		switch {
		case p.least != p.most:
			fmt.Fprintf(&b, "{%d,%d}", p.least, p.most)
		case p.least > 1:
			fmt.Fprintf(&b, "{%d}", p.least)
		}
	}
	if !definite {
		return ""
	}
	return b.String()
}
