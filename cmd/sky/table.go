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
	style  func(row, col int, cell string) string // nil = plain
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
