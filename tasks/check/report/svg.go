package report

import (
	"fmt"
	"math"
	"strings"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/format"
)

// The plots are drawn in units of CSS pixels and scale down with the page.
const (
	mostClasses = 40 // rows and columns of a heat map
	mostBars    = 60 // groups of a bar chart
	mostSeries  = 8  // colours there are
)

// svgTag opens a picture that screen readers announce by its description.
func svgTag(w, h float64, description string) string {
	return fmt.Sprintf(`<svg viewBox="0 0 %.0f %.0f" width="%.0f" height="%.0f" role="img" aria-label="%s">`, w, h, w, h, esc(description))
}

// textWidth estimates the width of a text at 12 pixels, for a wide font:
// too much room is better than a clipped name.
func textWidth(s string) float64 {
	w := 0.0
	for _, r := range s {
		switch {
		case strings.ContainsRune("iljtfrI.,:;'|!()[] -", r):
			w += 4.9
		case r >= 0x1100:
			w += 12.5
		case r == 'm' || r == 'w' || r == 'M' || r == 'W' || r == '%' || r == '@':
			w += 11.8
		case r >= 'A' && r <= 'Z':
			w += 8.8
		default:
			w += 7.7
		}
	}
	return w
}

// fit cuts a text to a width in pixels.
func fit(s string, width float64) string {
	if textWidth(s) <= width {
		return s
	}
	r := []rune(s)
	for len(r) > 1 && textWidth(string(r))+8 > width {
		r = r[:len(r)-1]
	}
	return string(r) + "…"
}

func label(b *strings.Builder, x, y float64, anchor, class, text string) {
	fmt.Fprintf(b, `<text x="%.1f" y="%.1f" text-anchor="%s" class="%s">%s</text>`, x, y, anchor, class, esc(text))
}

// heatmap draws a matrix of counts.
func heatmap(h engine.Heatmap) string {
	n, m := min(len(h.Rows), mostClasses), min(len(h.Cols), mostClasses)
	if n == 0 || m == 0 {
		return ""
	}
	largest := 0.0
	for i := range n {
		for j := range m {
			largest = max(largest, h.Values[i][j])
		}
	}
	cell := min(76, max(16, 300/float64(max(n, m))))
	if max(n, m) <= 12 {
		cell = max(cell, textWidth(short(largest))+4) // few cells: room for every number
	}
	left := 30.0
	for _, name := range h.Rows[:n] {
		left = max(left, min(textWidth(name), 130)+34)
	}
	slanted := false
	for _, name := range h.Cols[:m] {
		slanted = slanted || textWidth(name) > cell-4
	}
	top := 42.0
	if slanted {
		longest := 0.0
		for _, name := range h.Cols[:m] {
			longest = max(longest, min(textWidth(name), 110))
		}
		top = 34 + longest*0.72
	}
	w, height := left+cell*float64(m)+4, top+cell*float64(n)+4
	if slanted {
		w += 70 // the last slanted label
	}
	var b strings.Builder
	b.WriteString(svgTag(max(w, 220), height, h.Title+": "+h.RowName+" down, "+h.ColName+" across"))
	label(&b, left+cell*float64(m)/2, 14, "middle", "t-soft", h.ColName)
	fmt.Fprintf(&b, `<text transform="translate(13 %.1f) rotate(-90)" text-anchor="middle" class="t-soft">%s</text>`, top+cell*float64(n)/2, esc(h.RowName))
	for j, name := range h.Cols[:m] {
		x := left + cell*(float64(j)+.5)
		if slanted {
			fmt.Fprintf(&b, `<text transform="translate(%.1f %.1f) rotate(-45)">%s</text>`, x, top-7, esc(fit(name, 110)))
		} else {
			label(&b, x, top-9, "middle", "", name)
		}
	}
	for i, name := range h.Rows[:n] {
		y := top + cell*float64(i)
		label(&b, left-9, y+cell/2+4, "end", "", fit(name, 130))
		for j := range m {
			shade := h.Values[i][j] / max(largest, 1)
			text := short(h.Values[i][j])
			title := fmt.Sprintf("%s %s, %s %s: %s", h.RowName, h.Rows[i], h.ColName, h.Cols[j], text)
			if h.Shares != nil {
				shade = h.Shares[i][j]
				title += " (" + format.Percent(shade) + " of the row)"
			}
			fmt.Fprintf(&b, `<g><title>%s</title><rect class="cell" x="%.1f" y="%.1f" width="%.1f" height="%.1f" rx="5" fill="var(--head)"/>`,
				esc(title), left+cell*float64(j), y, cell, cell)
			if shade > 0 {
				fmt.Fprintf(&b, `<rect class="cell" x="%.1f" y="%.1f" width="%.1f" height="%.1f" rx="5" fill="var(--accent)" fill-opacity="%.3f"/>`,
					left+cell*float64(j), y, cell, cell, shadeOpacity(shade))
			}
			heatText(&b, left+cell*(float64(j)+.5), y+cell/2, cell, shade, text, h.Shares != nil)
			b.WriteString(`</g>`)
		}
	}
	b.WriteString(`</svg>`)
	if len(h.Rows) > n || len(h.Cols) > m {
		fmt.Fprintf(&b, `<p class="soft">The first %d of %d classes are drawn; the JSON report holds all.</p>`, max(n, m), max(len(h.Rows), len(h.Cols)))
	}
	return b.String()
}

// shadeOpacity leaves a gap between light shades with dark text and strong
// shades with light text, so that either is readable.
func shadeOpacity(share float64) float64 {
	if share >= .5 {
		return .78 + .22*(share-.5)/.5
	}
	return .06 + .34*share/.5
}

func heatText(b *strings.Builder, x, y, cell, shade float64, text string, shares bool) {
	if textWidth(text) > cell-2 {
		return // the tooltip holds it
	}
	class := ""
	if shade >= .5 {
		class = "on"
	}
	if !shares || cell < 52 {
		label(b, x, y+4, "middle", class, text)
		return
	}
	fmt.Fprintf(b, `<text x="%.1f" y="%.1f" text-anchor="middle" class="%s" style="font-size:15px;font-weight:600">%s</text>`, x, y-1, class, esc(text))
	fmt.Fprintf(b, `<text x="%.1f" y="%.1f" text-anchor="middle" class="%s">%s</text>`, x, y+16, class, esc(fmt.Sprintf("%.0f%%", shade*100)))
}

// dashes tell lines apart without colour.
var dashes = [mostSeries]string{"", "7 4", "2 4", "10 3 2 3", "5 2", "1 3", "12 4", "4 2 1 2"}

// dash gives line i its pattern; past the colours there are, another one
// than that of the line it shares its colour with.
func dash(i int) string { return dashes[(i+i/mostSeries*3)%mostSeries] }

// lineChart draws curves and their legend.
func lineChart(c engine.LineChart) string {
	const left, top, width, height, right, bottom = 46.0, 10.0, 330.0, 280.0, 14.0, 44.0
	var b strings.Builder
	names := make([]string, len(c.Lines))
	for i, l := range c.Lines {
		names[i] = l.Name
	}
	b.WriteString(svgTag(left+width+right, top+height+bottom, c.Title+": "+strings.Join(names, ", ")))
	px := func(x float64) float64 { return left + width*(x-c.XMin)/(c.XMax-c.XMin) }
	py := func(y float64) float64 { return top + height*(1-(y-c.YMin)/(c.YMax-c.YMin)) }
	for i := range 5 {
		f := float64(i) / 4
		x, y := c.XMin+f*(c.XMax-c.XMin), c.YMin+f*(c.YMax-c.YMin)
		fmt.Fprintf(&b, `<path class="axis" d="M%.1f %.1fH%.1f"/><path class="axis" d="M%.1f %.1fV%.1f"/>`, left, py(y), left+width, px(x), top, top+height)
		label(&b, left-8, py(y)+4, "end", "t-soft", short(y))
		label(&b, px(x), top+height+17, "middle", "t-soft", short(x))
	}
	label(&b, left+width/2, top+height+37, "middle", "t-soft", c.XName)
	fmt.Fprintf(&b, `<text transform="translate(12 %.1f) rotate(-90)" text-anchor="middle" class="t-soft">%s</text>`, top+height/2, esc(c.YName))
	if c.Diagonal {
		fmt.Fprintf(&b, `<path class="diag" d="M%.1f %.1fL%.1f %.1f"/>`, px(c.XMin), py(c.YMin), px(c.XMax), py(c.YMax))
	}
	for i, l := range c.Lines {
		var d strings.Builder
		for k := range l.X {
			fmt.Fprintf(&d, "%s%.1f %.1f", map[bool]string{true: "M", false: "L"}[k == 0], px(l.X[k]), py(l.Y[k]))
		}
		fmt.Fprintf(&b, `<path d="%s" fill="none" stroke="var(--s%d)" stroke-width="2.2" stroke-linejoin="round" stroke-dasharray="%s"><title>%s</title></path>`,
			d.String(), i%mostSeries, dash(i), esc(l.Name))
		if l.Mark >= 0 && l.Mark < len(l.X) {
			fmt.Fprintf(&b, `<circle cx="%.1f" cy="%.1f" r="4.5" fill="var(--card)" stroke="var(--s%d)" stroke-width="2"><title>%s: %s</title></circle>`,
				px(l.X[l.Mark]), py(l.Y[l.Mark]), i%mostSeries, esc(l.Name), esc(l.MarkText))
		}
	}
	b.WriteString(`</svg><ul class="legend">`)
	for i, l := range c.Lines {
		fmt.Fprintf(&b, `<li><svg width="26" height="10" aria-hidden="true"><path d="M1 5H25" stroke="var(--s%d)" stroke-width="2.4" stroke-dasharray="%s"/></svg>%s</li>`,
			i%mostSeries, dash(i), esc(l.Name))
	}
	b.WriteString(`</ul>`)
	return b.String()
}

// barChart draws groups of horizontal bars, so that long labels fit.
func barChart(c engine.BarChart) string {
	groups := c.Groups[:min(len(c.Groups), mostBars)]
	lo, hi := domain(groups)
	const bar, gap, top, width = 15.0, 11.0, 6.0, 180.0
	left := 20.0
	for _, g := range groups {
		left = max(left, min(textWidth(g.Label), 130)+12)
	}
	series := float64(len(c.Series))
	height := top + float64(len(groups))*(bar*series+gap) + 20
	var b strings.Builder
	b.WriteString(svgTag(left+width+64, height, c.Title+" of "+strings.Join(c.Series, " and ")))
	px := func(v float64) float64 { return left + width*(v-lo)/(hi-lo) }
	for _, tick := range []float64{lo, (lo + hi) / 2, hi} {
		fmt.Fprintf(&b, `<path class="axis" d="M%.1f %.1fV%.1f"/>`, px(tick), top, height-18)
		label(&b, px(tick), height-4, "middle", "t-soft", short(tick))
	}
	for i, g := range groups {
		y := top + float64(i)*(bar*series+gap) + gap/2
		label(&b, left-8, y+bar*series/2+4, "end", "", fit(g.Label, 130))
		for k, v := range g.Values {
			at := y + bar*float64(k)
			title := esc(fmt.Sprintf("%s, %s: %s", g.Label, c.Series[k], short(v)))
			if math.IsNaN(v) {
				label(&b, px(0)+5, at+bar-4, "start", "t-soft", "no value")
				continue
			}
			from, to := min(px(0), px(v)), max(px(0), px(v))
			fmt.Fprintf(&b, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" rx="2.5" fill="var(--s%d)"><title>%s</title></rect>`,
				from, at+1, max(to-from, 1), bar-2, k%mostSeries, title)
			label(&b, to+6, at+bar-4, "start", "", short(v))
		}
	}
	b.WriteString(`</svg><ul class="legend">`)
	for k, name := range c.Series {
		fmt.Fprintf(&b, `<li><svg width="12" height="12" aria-hidden="true"><rect width="12" height="12" rx="3" fill="var(--s%d)"/></svg>%s</li>`, k%mostSeries, esc(name))
	}
	b.WriteString(`</ul>`)
	if len(c.Groups) > len(groups) {
		fmt.Fprintf(&b, `<p class="soft">The first %d of %d are drawn.</p>`, len(groups), len(c.Groups))
	}
	return b.String()
}

// domain is the range of an axis that shows all values and zero; scores from
// 0 to 1 get that whole range.
func domain(groups []engine.BarGroup) (lo, hi float64) {
	for _, g := range groups {
		for _, v := range g.Values {
			if !math.IsNaN(v) && !math.IsInf(v, 0) {
				lo, hi = min(lo, v), max(hi, v)
			}
		}
	}
	if lo == 0 && hi <= 1 {
		return 0, 1
	}
	return lo, hi
}
