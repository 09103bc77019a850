package main

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// table is rows of cells under headers; styles are applied after widths are known.
type table struct {
	header []string
	rows   [][]string
	flex   []int                                  // columns whose cells may be cut so that rows fit a terminal
	drop   []int                                  // columns that are left out, in this order, when that is not enough
	style  func(row, col int, cell string) string // nil = plain
}

// flexMin is what a column that gives way keeps.
const flexMin = 12

// fit makes rows no wider than a terminal, if it can: it cuts cells of the columns that may give way, widest first, and
// leaves out the columns that may be missing, one by one.
func (t *table) fit(width int) *table {
	for drops := 0; ; drops++ {
		w := t.widths()
		gone := map[int]bool{}
		for _, c := range t.drop[:drops] {
			gone[c] = true
		}
		if t.squeeze(w, gone, width) {
			return t.cutTo(w, gone)
		}
		if drops == len(t.drop) {
			return t
		}
	}
}

// squeeze takes width away from columns that may give way until the rest fits.
func (t *table) squeeze(w []int, gone map[int]bool, width int) bool {
	total := -2
	for i, n := range w {
		if !gone[i] {
			total += n + 2
		}
	}
	for ; total > width; total-- {
		widest := -1
		for _, c := range t.flex {
			if !gone[c] && w[c] > max(flexMin, utf8.RuneCountInString(t.header[c])) && (widest < 0 || w[c] > w[widest]) {
				widest = c
			}
		}
		if widest < 0 {
			return false
		}
		w[widest]--
	}
	return true
}

// cutTo is the table with cells cut to w and without the columns that are gone.
func (t *table) cutTo(w []int, gone map[int]bool) *table {
	var keep []int
	out := &table{}
	for c, h := range t.header {
		if !gone[c] {
			keep = append(keep, c)
			out.header = append(out.header, h)
		}
	}
	for _, r := range t.rows {
		var row []string
		for _, c := range keep {
			row = append(row, cut(r[c], w[c]))
		}
		out.rows = append(out.rows, row)
	}
	if t.style != nil {
		out.style = func(row, col int, cell string) string { return t.style(row, keep[col], cell) }
	}
	return out
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

// widths of the columns in runes.
func (t *table) widths() []int {
	w := make([]int, len(t.header))
	for i, h := range t.header {
		w[i] = utf8.RuneCountInString(h)
	}
	for _, r := range t.rows {
		for i, c := range r {
			if n := utf8.RuneCountInString(c); i < len(w) && n > w[i] {
				w[i] = n
			}
		}
	}
	return w
}

// plain renders the table with two blanks between columns, as SkyPilot's listings have them.
func (a *app) plain(t *table) string {
	if a.ttyOut {
		t = t.fit(a.width)
	}
	w := t.widths()
	var b strings.Builder
	for i, h := range t.header {
		b.WriteString(a.style(styleBold, h))
		pad(&b, h, w[i]+2, i == len(t.header)-1)
	}
	b.WriteByte('\n')
	for ri, r := range t.rows {
		for i, c := range r {
			s := c
			if t.style != nil {
				s = t.style(ri, i, c)
			}
			b.WriteString(s)
			pad(&b, c, w[i]+2, i == len(r)-1)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// ruled renders the table between rules, as SkyPilot's "Considered resources" has it.
func (a *app) ruled(t *table) string {
	w := t.widths()
	total := 1
	for _, n := range w {
		total += n + 3
	}
	rule := strings.Repeat("-", total)
	var b strings.Builder
	b.WriteString(rule + "\n")
	line := func(cells []string, row int) {
		b.WriteByte(' ')
		for i, c := range cells {
			s := c
			if row >= 0 && t.style != nil {
				s = t.style(row, i, c)
			}
			b.WriteString(s)
			pad(&b, c, w[i]+3, i == len(cells)-1)
		}
		b.WriteByte('\n')
	}
	line(t.header, -1)
	b.WriteString(rule + "\n")
	for i, r := range t.rows {
		line(r, i)
	}
	b.WriteString(rule + "\n")
	return b.String()
}

func pad(b *strings.Builder, cell string, width int, last bool) {
	if last {
		return
	}
	if n := width - utf8.RuneCountInString(cell); n > 0 {
		b.WriteString(strings.Repeat(" ", n))
	}
}

// money is a price in USD with as many digits as it needs.
func money(v float64) string {
	return fmt.Sprintf("%.2f", v)
}

// number prints a float without needless zeros.
func number(v float64) string {
	s := fmt.Sprintf("%.2f", v)
	s = strings.TrimRight(s, "0")
	return strings.TrimSuffix(s, ".")
}
