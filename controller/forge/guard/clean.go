package guard

import (
	"bytes"
	"regexp"
	"unicode/utf8"

	"aloft/controller/forge/cienv"
)

// broken stands between characters that would be an order: a space of no width.
const broken = "\u200b"

func (o Options) github() bool {
	return o.System == cienv.GitHub || o.System == cienv.Act || o.System == cienv.Gitea
}

// PrefixEnd ends what the printer of a log put before a line: carriage returns in the line do not overwrite it.
const PrefixEnd = 0x1e

// clean appends a line as it may be printed.
func (o Options) clean(dst, line []byte) []byte {
	if i := bytes.IndexByte(line, PrefixEnd); i >= 0 {
		dst = o.part(dst, line[:i])
		line = line[i+1:]
	}
	return o.part(dst, line)
}

// part appends a part of a line.
func (o Options) part(dst, line []byte) []byte {
	if !plain(line) {
		line = text(line)
	}
	if o.System == cienv.None {
		return append(dst, line...)
	}
	if o.Token != "" && bytes.Contains(line, []byte(o.Token)) {
		line = bytes.ReplaceAll(line, []byte(o.Token), []byte("***"))
	}
	if bytes.Contains(line, []byte("##")) {
		line = orders.ReplaceAll(line, []byte("$1"+broken+"$2"))
	}
	switch o.System {
	case cienv.GitLab:
		if bytes.Contains(line, []byte("section_")) {
			line = sections.ReplaceAll(line, []byte("${1}"+broken+":"))
		}
	case cienv.Buildkite:
		if len(line) >= 4 && line[3] == ' ' && line[0] == line[1] && line[1] == line[2] && bytes.IndexByte([]byte("-+~^"), line[0]) >= 0 {
			dst = append(dst, broken...)
		}
	}
	if o.github() || o.System == cienv.Generic {
		if t := bytes.TrimLeft(line, " \t\v\f\u0085\u00a0\ufeff\u200b"); bytes.HasPrefix(t, []byte("::")) {
			dst = append(append(dst, line[:len(line)-len(t)]...), ':')
			return append(append(dst, broken...), t[1:]...)
		}
	}
	return append(dst, line...)
}

// orders are the commands of GitHub's old form, Azure's and TeamCity's, anywhere in a line.
var orders = regexp.MustCompile(`(##)(\[|vso\[|teamcity\[)`)

// sections are the marks of GitLab's foldable sections.
var sections = regexp.MustCompile(`(section_(?:start|end)):`)

// plain reports whether a line is ASCII without control characters but the tab.
func plain(line []byte) bool {
	var bad byte
	for _, c := range line {
		bad |= odd[c]
	}
	return bad == 0
}

// odd marks bytes that need a second look.
var odd = func() (t [256]byte) {
	for c := range t {
		if c < 0x20 && c != '\t' || c >= 0x7f {
			t[c] = 1
		}
	}
	return t
}()

// text is a line without terminal codes but colours, without what was overwritten, and without what is no UTF-8.
func text(line []byte) []byte {
	line = latest(line)
	out := make([]byte, 0, len(line))
	for i := 0; i < len(line); {
		c := line[i]
		switch {
		case c == 0x1b:
			n, colour := escape(line[i:])
			if colour {
				out = append(out, line[i:i+n]...)
			}
			i += n
		case c < 0x20 && c != '\t' || c == 0x7f:
			i++
		case c < utf8.RuneSelf:
			out = append(out, c)
			i++
		default:
			r, n := utf8.DecodeRune(line[i:])
			if !hidden(r) {
				out = utf8.AppendRune(out, r)
			}
			i += n
		}
	}
	return out
}

// hidden are characters that change how others are shown: controls of the second set, and those of direction.
func hidden(r rune) bool {
	return r >= 0x80 && r <= 0x9f || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 || r == 0x200e || r == 0x200f
}

// latest is the last state of a line that carriage returns overwrote.
func latest(line []byte) []byte {
	line = bytes.TrimRight(line, "\r")
	for {
		i := bytes.LastIndexByte(line, '\r')
		if i < 0 {
			return line
		}
		if rest := line[i+1:]; len(bytes.TrimSpace(rest)) > 0 {
			return rest
		}
		line = bytes.TrimRight(line[:i], "\r")
	}
}

// escape measures a terminal code at the start of b and says whether it only sets colours.
func escape(b []byte) (n int, colour bool) {
	if len(b) < 2 {
		return len(b), false
	}
	switch b[1] {
	case '[': // CSI: parameters, intermediates, one final byte
		for i := 2; i < len(b); i++ {
			switch c := b[i]; {
			case c >= 0x40 && c <= 0x7e:
				return i + 1, c == 'm' && sgr(b[2:i])
			case c < 0x20 || c > 0x7e:
				return i, false // broken off
			}
		}
		return len(b), false
	case ']', 'P', 'X', '^', '_': // OSC, DCS, SOS, PM, APC: until BEL or ST
		for i := 2; i < len(b); i++ {
			if b[i] == 0x07 {
				return i + 1, false
			}
			if b[i] == 0x1b && i+1 < len(b) && b[i+1] == '\\' {
				return i + 2, false
			}
		}
		return len(b), false
	case '(', ')', '*', '+', '-', '.', '/', '#', '%', ' ':
		return min(3, len(b)), false
	}
	return 2, false
}

// sgr reports whether parameters are those of colours: digits and their separators.
func sgr(p []byte) bool {
	for _, c := range p {
		if (c < '0' || c > '9') && c != ';' && c != ':' {
			return false
		}
	}
	return true
}

// runeStart is the largest cut of b at or below n that parts no character; n where there is none near.
func runeStart(b []byte, n int) int {
	for i := n; i > n-utf8.UTFMax && i > 0; i-- {
		if utf8.RuneStart(b[i]) {
			return i
		}
	}
	return n
}

// wholeRunes is how much of b ends with a whole character, or with one that will never be whole.
func wholeRunes(b []byte) int {
	for i := len(b) - 1; i >= 0 && i >= len(b)-utf8.UTFMax; i-- {
		if utf8.RuneStart(b[i]) {
			if utf8.FullRune(b[i:]) {
				return len(b)
			}
			return i
		}
	}
	return len(b)
}
