package comment

import (
	"fmt"
	"regexp"
	"strings"
)

// fence is an open block of code.
type fence struct {
	mark rune
	size int
}

// layout follows the blocks of a Markdown text line by line.
type layout struct {
	fence   *fence
	details int // open <details>
	summary bool
}

var fold = regexp.MustCompile(`(?i)<(/?)(details|summary)\b[^>]*>`)

// line takes the next line.
func (l *layout) line(s string) {
	if l.fence != nil {
		if closes(s, *l.fence) {
			l.fence = nil
		}
		return
	}
	if f, ok := opens(s); ok {
		l.fence = &f
		return
	}
	for _, m := range fold.FindAllStringSubmatch(s, -1) {
		open := m[1] == ""
		switch {
		case strings.EqualFold(m[2], "summary"):
			l.summary = open && l.details > 0
		case open:
			l.details++
		case l.details > 0:
			l.details--
			l.summary = false
		}
	}
}

// closers are the lines that end whatever is open.
func (l *layout) closers() string {
	var b strings.Builder
	if l.fence != nil {
		b.WriteString(strings.Repeat(string(l.fence.mark), l.fence.size) + "\n")
	}
	if l.summary {
		b.WriteString("</summary>\n")
	}
	if l.details > 0 {
		b.WriteString("\n" + strings.Repeat("</details>\n", l.details))
	}
	return b.String()
}

// opens recognises the first line of a block of code.
func opens(s string) (fence, bool) {
	text := strings.TrimLeft(s, " ")
	if len(s)-len(text) > 3 || text == "" || text[0] != '`' && text[0] != '~' {
		return fence{}, false
	}
	n := len(text) - len(strings.TrimLeft(text, text[:1]))
	if n < 3 || text[0] == '`' && strings.Contains(text[n:], "`") {
		return fence{}, false
	}
	return fence{rune(text[0]), n}, true
}

// closes recognises its last line.
func closes(s string, f fence) bool {
	text := strings.TrimLeft(s, " ")
	if len(s)-len(text) > 3 {
		return false
	}
	rest := strings.TrimLeft(text, string(f.mark))
	return len(text)-len(rest) >= f.size && strings.Trim(rest, " \t") == ""
}

// Shorten makes a Markdown text fit into so many characters: what comes first stays, blocks are not cut in two but where
// one alone is too long, and whatever is left open is closed, also in a text that fits. A note says what is missing and,
// if link is given, where the whole is.
func Shorten(text string, most int, link string) (string, bool) {
	text = strings.TrimRight(strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(strings.ToValidUTF8(text, "\uFFFD")), "\n") + "\n"
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	var whole layout
	for _, s := range lines {
		whole.line(s)
	}
	if out := text + whole.closers(); runes(out) <= most {
		return out, false
	}
	// The note is kept in mind at its longest, so that the result fits whatever the number is.
	room := most - runes(note(len(lines), link))
	var l layout
	used, best := 0, 0
	kept, bestState := 0, l
	for i, s := range lines {
		used += runes(s) + 1
		l.line(s)
		if used+runes(l.closers()) > room {
			break
		}
		kept = i + 1
		if boundary(lines, i, l) {
			best, bestState = kept, l
		}
	}
	// Within a block only where the whole block would be most of what fits.
	state := bestState
	if best*2 < kept {
		best = kept
		state = layout{}
		for _, s := range lines[:best] {
			state.line(s)
		}
	}
	if best == 0 {
		// The first line alone is too long.
		if _, code := opens(lines[0]); !code {
			lines[0] = cutRunes(lines[0], room-200) + "…"
			best = 1
			state.line(lines[0])
		}
	}
	out := strings.Join(lines[:best], "\n")
	if best > 0 {
		out += "\n"
	}
	out += state.closers()
	if n := note(len(lines)-best, link); runes(out)+runes(n) <= most {
		return out + n, true
	}
	return cutRunes(out, most), true
}

// boundary says that a block ends with line i.
func boundary(lines []string, i int, l layout) bool {
	return l.fence == nil && (i+1 == len(lines) || strings.TrimSpace(lines[i+1]) == "" || strings.TrimSpace(lines[i]) == "")
}

func note(n int, link string) string {
	s := fmt.Sprintf("\n*%d more lines were left out to keep this short", n)
	if link != "" {
		return s + ": [the whole report](" + link + ").*\n"
	}
	return s + ".*\n"
}

func runes(s string) int { return len([]rune(s)) }

func cutRunes(s string, n int) string {
	if rs := []rune(s); len(rs) > n {
		return string(rs[:max(n, 0)])
	}
	return s
}
