package report

import (
	"fmt"
	"math"
	"strings"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/format"
)

// histogram draws distributions on one axis over each other: filled steps,
// told apart by colour and by the pattern of their outline.
func histogram(h engine.Histogram) *plot {
	bins := len(h.Edges) - 1
	if bins < 1 {
		return nil
	}
	top := 0.0
	for _, shares := range h.Shares {
		for _, s := range shares {
			if !math.IsNaN(s) && !math.IsInf(s, 0) {
				top = max(top, s)
			}
		}
	}
	if top == 0 {
		top = 1
	}
	marks := len(h.Marks)
	a := newAxes(h.Edges[0], h.Edges[bins], 0, top*1.06)
	rows := placeMarks(a, h)
	a.top += float64(rows) * 16
	p := a.draw(h.Title, h.XName, "Share")
	for k, shares := range h.Shares {
		d, n := "", min(bins, len(shares))
		for i := range n {
			d += fmt.Sprintf("%s%s %sH%s", map[bool]string{true: "M" + px(a.x(h.Edges[0])) + " " + px(a.y(0)) + "L", false: "L"}[i == 0],
				px(a.x(h.Edges[i])), px(a.y(finite(shares[i]))), px(a.x(h.Edges[i+1])))
		}
		if n == 0 {
			continue
		}
		d += "V" + px(a.y(0))
		name := nameAt(h.Series, k)
		p.addf(`<path d="%sZ" class="f%d area"/><path d="%s" class="l%d thin"%s><title>%s</title></path>`, d, k%mostSeries, d, k%mostSeries, strokeDash(k), esc(name))
		p.legend = append(p.legend, legendEntry{name, k, true})
	}
	a.marks(p, h, rows)
	p.desc = fmt.Sprintf("Distributions of %s from %s to %s: %s.", h.XName, short(h.Edges[0]), short(h.Edges[bins]), modes(h))
	for i := range marks {
		p.desc += fmt.Sprintf(" %s at %s.", nameAt(h.MarkNames, i), short(h.Marks[i]))
	}
	return p
}

// modes tells for each series where most of it lies.
func modes(h engine.Histogram) string {
	var out []string
	for k, shares := range h.Shares {
		best := -1
		for i, s := range shares {
			if i < len(h.Edges)-1 && (best < 0 || s > shares[best]) {
				best = i
			}
		}
		if best >= 0 {
			out = append(out, fmt.Sprintf("%s has most, %s, between %s and %s", nameAt(h.Series, k), format.Percent(finite(shares[best])), short(h.Edges[best]), short(h.Edges[best+1])))
		}
	}
	return strings.Join(out, "; ")
}

// markText is what stands at a mark.
func markText(h engine.Histogram, i int) string {
	return fit(nameAt(h.MarkNames, i), 150) + " " + short(h.Marks[i])
}

// markLines is the most lines there are for the names of marks.
const markLines = 6

// placeMarks returns how many lines the names of the marks need, one each.
func placeMarks(_ axes, h engine.Histogram) int { return min(len(h.Marks), markLines) }

// marks draws the values pointed out, each with its name on a line of its own
// above the chart.
func (a axes) marks(p *plot, h engine.Histogram, rows int) {
	for i := range rows {
		x, y := a.x(h.Marks[i]), a.top-6-16*float64(rows-1-i)
		p.addf(`<path class="mark" d="M%s %sV%s"/>`, px(x), px(y+3), px(a.top+a.height))
		text := markText(h, i)
		w := textWidth(text) / 2
		p.text(min(max(x, w+2), p.w-w-2), y, "middle", "", text)
	}
}

func nameAt(names []string, i int) string {
	if i < len(names) {
		return names[i]
	}
	return fmt.Sprintf("series %d", i+1)
}

func finite(v float64) float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return 0
	}
	return v
}
