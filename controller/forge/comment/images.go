package comment

import (
	"regexp"
	"strings"
)

// image is a picture in Markdown: alt text, address in brackets or bare, and a title.
var image = regexp.MustCompile(`!\[([^\]\n]*)\]\(\s*(?:<([^>\n]*)>|([^\s()]+))(?:\s+"[^"\n]*"|\s+'[^'\n]*')?\s*\)`)

// Images replaces pictures that are files: replace gets the alternative text and the path and gives the Markdown to stand
// there. Addresses with a scheme, and what is code, stay as they are.
func Images(text string, replace func(alt, path string) string) string {
	var b strings.Builder
	fence := ""
	for line := range strings.Lines(text) {
		trimmed := strings.TrimLeft(line, " \t")
		if f := fenceOf(trimmed); f != "" && fence == "" {
			fence = f
			b.WriteString(line)
			continue
		} else if fence != "" {
			if f != "" && f[0] == fence[0] && len(f) >= len(fence) && strings.TrimSpace(trimmed) == f {
				fence = ""
			}
			b.WriteString(line)
			continue
		}
		b.WriteString(imagesOf(line, replace))
	}
	return b.String()
}

// imagesOf works on a line, outside of code spans.
func imagesOf(line string, replace func(alt, path string) string) string {
	var b strings.Builder
	at := 0
	for _, m := range image.FindAllStringSubmatchIndex(line, -1) {
		path := group(line, m, 2) + group(line, m, 3)
		if strings.Contains(path, "://") || strings.HasPrefix(path, "data:") || strings.HasPrefix(path, "//") || strings.HasPrefix(path, "#") || inCode(line, m[0]) {
			continue
		}
		b.WriteString(line[at:m[0]])
		b.WriteString(replace(group(line, m, 1), path))
		at = m[1]
	}
	b.WriteString(line[at:])
	return b.String()
}

func group(s string, m []int, i int) string {
	if m[2*i] < 0 {
		return ""
	}
	return s[m[2*i]:m[2*i+1]]
}

// fenceOf is the run of backticks or tildes that begins a line of code; "" when none does.
func fenceOf(line string) string {
	for _, c := range []string{"`", "~"} {
		n := len(line) - len(strings.TrimLeft(line, c))
		if n >= 3 {
			return line[:n]
		}
	}
	return ""
}

// inCode reports whether a place of a line is within a code span: an odd number of runs of backticks before it.
func inCode(line string, at int) bool {
	open := 0
	for i := 0; i < at; i++ {
		if line[i] != '`' {
			continue
		}
		n := 1
		for i+n < at && line[i+n] == '`' {
			n++
		}
		switch open {
		case 0:
			open = n
		case n:
			open = 0
		}
		i += n - 1
	}
	return open > 0
}
