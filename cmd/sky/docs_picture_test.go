package main

import (
	"fmt"
	"html"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestDocsPicture keeps docs/img/quickstart.svg what docs/img/quickstart.ansi, a captured run, shows.
func TestDocsPicture(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile(filepath.Join("..", "..", "docs", "img", "quickstart.ansi"))
	if err != nil {
		t.Fatal(err)
	}
	golden(t, filepath.Join("img", "quickstart.svg"), drawTerminal(string(b), "A first run of Aloft in a terminal"))
}

// cell is one character on the screen with its style, as CSS classes.
type cell struct {
	r     rune
	class string
}

// screen replays what a program wrote to a terminal: text, line ends, colours, and lines that are written over.
func screen(text string) [][]cell {
	lines := [][]cell{nil}
	col, class := 0, ""
	rs := []rune(text)
	for i := 0; i < len(rs); i++ {
		last := len(lines) - 1
		switch r := rs[i]; {
		case r == '\n':
			lines = append(lines, nil)
		case r == '\r':
			col = 0
		case r == '\x1b' && i+1 < len(rs) && rs[i+1] == '[':
			j := i + 2
			for j < len(rs) && (rs[j] < '@' || rs[j] > '~') {
				j++
			}
			if j == len(rs) {
				return lines
			}
			switch arg := string(rs[i+2 : j]); rs[j] {
			case 'K':
				lines[last] = lines[last][:min(col, len(lines[last]))]
			case 'm':
				class = sgrClass(arg)
			}
			i = j
		case r >= ' ':
			for len(lines[last]) <= col {
				lines[last] = append(lines[last], cell{r: ' '})
			}
			lines[last][col] = cell{r, class}
			col++
		}
	}
	for len(lines) > 0 && len(lines[len(lines)-1]) == 0 {
		lines = lines[:len(lines)-1]
	}
	return lines
}

func sgrClass(arg string) string {
	return map[string]string{styleBold: "b", styleDim: "d", styleRed: "r", styleGreen: "g", styleAmber: "a", styleCyan: "c"}[arg]
}

// drawTerminal makes an SVG of a screen that follows the reader's light or dark scheme.
func drawTerminal(text, title string) string {
	const (
		charWidth, lineHeight, margin = 7.83, 18, 18
		columns                       = 100
	)
	lines := screen(text)
	width, height := int(columns*charWidth)+2*margin, len(lines)*lineHeight+2*margin
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-label="%s">`+"\n", width, height, width, height, title)
	b.WriteString(`<style>
rect{fill:#fff;stroke:#d0d7de}
text{font:13px ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;fill:#1f2328;white-space:pre}
.b{font-weight:700}.d{fill:#656d76}.r{fill:#cf222e}.g{fill:#1a7f37}.a{fill:#9a6700}.c{fill:#1b7c83}
@media(prefers-color-scheme:dark){
rect{fill:#0d1117;stroke:#30363d}text{fill:#e6edf3}
.d{fill:#8b949e}.r{fill:#ff7b72}.g{fill:#3fb950}.a{fill:#d29922}.c{fill:#56d4dd}
}
</style>
`)
	fmt.Fprintf(&b, `<rect x=".5" y=".5" width="%d" height="%d" rx="8"/>`+"\n", width-1, height-1)
	for i, l := range lines {
		y := margin + i*lineHeight + 13
		for from := 0; from < len(l); {
			to := from
			for to < len(l) && l[to].class == l[from].class {
				to++
			}
			var s strings.Builder
			for _, c := range l[from:to] {
				s.WriteRune(c.r)
			}
			run := strings.TrimRight(s.String(), " ")
			lead := len(run) - len(strings.TrimLeft(run, " "))
			if run = run[lead:]; run != "" {
				class := ""
				if c := l[from].class; c != "" {
					class = ` class="` + c + `"`
				}
				n := len([]rune(run))
				// textLength keeps columns where they are, whatever the font.
				fmt.Fprintf(&b, `<text x="%.1f" y="%d" textLength="%.1f"%s>%s</text>`+"\n", margin+float64(from+lead)*charWidth, y,
					float64(n)*charWidth, class, html.EscapeString(run))
			}
			from = to
		}
	}
	b.WriteString("</svg>\n")
	return b.String()
}
