package report

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/format"
)

// heatLevels is the number of shades of a large heat map.
const heatLevels = 16

// heatLayout is where the cells and the names of a heat map stand.
type heatLayout struct {
	rows, cols      int
	cell            float64
	left, top       float64
	slanted, steep  bool
	small           bool // names in small type
	rowMost, colTop float64
}

// heatmap draws a matrix of numbers as shades. Small ones show every number,
// large ones shades alone; negative numbers have a colour of their own.
func heatmap(h engine.Heatmap) *plot {
	n, m := min(len(h.Rows), mostClasses), min(len(h.Cols), mostClasses)
	if n == 0 || m == 0 {
		return nil
	}
	largest, negative := 0.0, false
	for i := range n {
		for j := range m {
			if v := h.Values[i][j]; ok(v) {
				largest, negative = max(largest, math.Abs(v)), negative || v < 0
			}
		}
	}
	l := layHeat(h, n, m)
	p := &plot{w: l.left + l.cell*float64(m) + 6, h: l.top + l.cell*float64(n) + 6, title: h.Title}
	if l.slanted {
		p.w += l.colTop // the last slanted name
	}
	p.w = max(p.w, 220)
	p.heatNames(h, l)
	shade := func(i, j int) float64 {
		v := finite(h.Values[i][j])
		if h.Shares != nil {
			v = finite(h.Shares[i][j])
		} else if largest > 0 {
			v /= largest
		}
		return min(max(v, -1), 1)
	}
	if n*m > 900 {
		p.heatShades(l, shade, shadeOpacity)
	} else {
		p.heatCells(h, l, shade)
	}
	if l.cell < 26 { // numbers do not fit: a key of the shades
		p.heatKey(largest, negative, h.Shares != nil, shadeOpacity)
	}
	p.desc = describeHeat(h, n, m)
	if len(h.Rows) > n || len(h.Cols) > m {
		p.notes = append(p.notes, fmt.Sprintf("The first %d of %d are drawn; the JSON report holds all.", max(n, m), max(len(h.Rows), len(h.Cols))))
	}
	return p
}

func layHeat(h engine.Heatmap, n, m int) heatLayout {
	l := heatLayout{rows: n, cols: m, cell: min(76, max(11, 330/float64(max(n, m))))}
	numbers := 0.0
	if max(n, m) <= 12 { // few cells: room for every number
		for i := range n {
			for j := range m {
				numbers = max(numbers, textWidth(short(h.Values[i][j]))+6)
			}
		}
		l.cell = max(l.cell, min(numbers, 64))
	}
	l.small = l.cell < 15
	l.steep = l.cell < 23
	size := 1.0
	if l.small {
		size = .75
	}
	for _, name := range h.Cols[:m] {
		l.slanted = l.slanted || textWidth(name) > l.cell-6
	}
	l.slanted = l.slanted && !l.steep
	l.rowMost = min(widest(h.Rows[:n], 150), 150) * size
	l.left = 28 + l.rowMost + 8
	switch {
	case l.steep:
		l.colTop = widest(h.Cols[:m], 130) * size
		l.top = 30 + l.colTop
	case l.slanted:
		l.colTop = widest(h.Cols[:m], 110) * .72
		l.top = 36 + l.colTop
	default:
		l.top = 44
	}
	// Beside each other where the numbers allow it.
	if room := (widePlot - 7 - l.left - l.colTop) / float64(m); !l.steep && l.cell > room && room >= max(40, numbers) {
		l.cell = room
	}
	return l
}

// heatNames writes the names of rows, columns and both axes.
func (p *plot) heatNames(h engine.Heatmap, l heatLayout) {
	width, height := l.cell*float64(l.cols), l.cell*float64(l.rows)
	p.text(l.left+width/2, 14, "middle", "t-soft", fit(h.ColName, max(width, 150)))
	p.turned(13, l.top+height/2, -90, "middle", "t-soft", fit(h.RowName, max(height, 60)))
	class, drop, size := "", 4.0, 1.0
	if l.small {
		class, drop, size = "t-small", 3, .75
	}
	for j, name := range h.Cols[:l.cols] {
		x := l.left + l.cell*(float64(j)+.5)
		switch {
		case l.steep:
			p.turned(x+drop, l.top-6, -90, "start", class, fit(name, 130))
		case l.slanted:
			p.turned(x, l.top-7, -45, "start", class, fit(name, 110))
		default:
			p.text(x, l.top-9, "middle", class, name)
		}
	}
	for i, name := range h.Rows[:l.rows] {
		p.text(l.left-7, l.top+l.cell*(float64(i)+.5)+drop, "end", class, fit(name, l.rowMost/size+1))
	}
}

// heatCells draws each cell with its number and a tooltip.
func (p *plot) heatCells(h engine.Heatmap, l heatLayout, shade func(i, j int) float64) {
	for i := range l.rows {
		for j := range l.cols {
			s, text := shade(i, j), short(h.Values[i][j])
			title := fmt.Sprintf("%s, %s: %s", format.Truncate(h.Rows[i], 80), format.Truncate(h.Cols[j], 80), text)
			if h.Shares != nil {
				title += " (" + format.Percent(s) + " of the row)"
			}
			x, y := l.left+l.cell*float64(j), l.top+l.cell*float64(i)
			class := "hot"
			if s < 0 {
				class = "cold"
			}
			p.addf(`<g><title>%s</title><rect class="cell" x="%s" y="%s" width="%s" height="%s" rx="%s"/>`, esc(title), px(x), px(y), px(l.cell), px(l.cell), px(min(5, l.cell/6)))
			if s != 0 {
				p.addf(`<rect class="cell %s" x="%s" y="%s" width="%s" height="%s" rx="%s" fill-opacity="%.3g"/>`, class, px(x), px(y), px(l.cell), px(l.cell), px(min(5, l.cell/6)), shadeOpacity(math.Abs(s)))
			}
			p.heatText(x+l.cell/2, y+l.cell/2, l.cell, s, text, h.Shares != nil)
			p.addf(`</g>`)
		}
	}
}

// shadeOpacity leaves a gap between light shades with dark text and strong
// shades with light text, so that either is readable.
func shadeOpacity(share float64) float64 {
	if share >= .5 {
		return .84 + .16*(share-.5)/.5
	}
	return .06 + .3*share/.5
}

func (p *plot) heatText(x, y, cell, shade float64, text string, shares bool) {
	if textWidth(text) > cell-3 || cell < 18 {
		return // the tooltip holds it
	}
	class := ""
	if math.Abs(shade) >= .5 {
		class = "t-on"
	}
	if !shares || cell < 52 {
		p.text(x, y+4, "middle", class, text)
		return
	}
	p.text(x, y-2, "middle", strings.TrimSpace("t-mid "+class), text)
	p.text(x, y+15, "middle", class, fmt.Sprintf("%.0f%%", shade*100))
}

// heatShades draws the cells of a large matrix as one path for each shade,
// neighbours of the same shade as one block: small enough for any page.
func (p *plot) heatShades(l heatLayout, shade func(i, j int) float64, opacity func(float64) float64) {
	level := func(i, j int) int { return int(math.Round(shade(i, j) * heatLevels)) }
	paths := make([]strings.Builder, 2*heatLevels+1)
	for i := range l.rows {
		for j := 0; j < l.cols; {
			end, k := j+1, level(i, j)
			for end < l.cols && level(i, end) == k {
				end++
			}
			if k != 0 {
				fmt.Fprintf(&paths[k+heatLevels], "M%s %sh%sv%sh-%sz", px(l.left+l.cell*float64(j)), px(l.top+l.cell*float64(i)),
					px(l.cell*float64(end-j)), px(l.cell), px(l.cell*float64(end-j)))
			}
			j = end
		}
	}
	p.addf(`<rect class="ground" x="%s" y="%s" width="%s" height="%s"/>`, px(l.left), px(l.top), px(l.cell*float64(l.cols)), px(l.cell*float64(l.rows)))
	for k := range paths {
		if paths[k].Len() == 0 {
			continue
		}
		class, s := "hot", float64(k-heatLevels)/heatLevels
		if s < 0 {
			class = "cold"
		}
		p.addf(`<path class="%s" fill-opacity="%.3g" d="%s"/>`, class, opacity(math.Abs(s)), paths[k].String())
	}
}

// heatKey explains the shades below the matrix.
func (p *plot) heatKey(largest float64, negative, shares bool, opacity func(float64) float64) {
	const w, steps = 26.0, 6
	if shares {
		largest, negative = 1, false
	}
	lo, from := short(0), 0
	if negative {
		lo, from = short(-largest), -steps
	}
	x, y := 28.0, p.h+6
	p.text(x, y+11, "start", "t-soft", lo)
	x += textWidth(lo) + 8
	for k := from; k <= steps; k++ {
		s := float64(k) / steps
		class := "hot"
		if s < 0 {
			class = "cold"
		}
		p.addf(`<rect class="ground" x="%s" y="%s" width="%s" height="13"/>`, px(x), px(y), px(w/2))
		if k != 0 {
			p.addf(`<rect class="%s" x="%s" y="%s" width="%s" height="13" fill-opacity="%.3g"/>`, class, px(x), px(y), px(w/2), opacity(math.Abs(s)))
		}
		x += w / 2
	}
	p.text(x+8, y+11, "start", "t-soft", short(largest))
	p.w = max(p.w, x+12+textWidth(short(largest)))
	p.h += 24
}

// describeHeat names the strongest cells off the diagonal.
func describeHeat(h engine.Heatmap, n, m int) string {
	type spot struct{ i, j int }
	var spots []spot
	symmetric := n == m && slices.Equal(h.Rows, h.Cols)
	mirrored := symmetric
	for i := range n {
		for j := 0; mirrored && j < i; j++ {
			mirrored = h.Values[i][j] == h.Values[j][i]
		}
	}
	for i := range n {
		for j := range m {
			if v := h.Values[i][j]; ok(v) && v != 0 && !(symmetric && i == j) && !(mirrored && j < i) {
				spots = append(spots, spot{i, j})
			}
		}
	}
	slices.SortStableFunc(spots, func(a, b spot) int { return cmp.Compare(math.Abs(h.Values[b.i][b.j]), math.Abs(h.Values[a.i][a.j])) })
	parts := make([]string, 0, 5)
	for _, s := range spots[:min(len(spots), 5)] {
		parts = append(parts, fmt.Sprintf("%s and %s %s", format.Truncate(h.Rows[s.i], 50), format.Truncate(h.Cols[s.j], 50), short(h.Values[s.i][s.j])))
	}
	text := fmt.Sprintf("%d rows (%s) and %d columns (%s).", n, h.RowName, m, h.ColName)
	if len(parts) > 0 {
		text += " Largest off the diagonal: " + strings.Join(parts, "; ") + "."
	}
	return text
}
