package report

import (
	"fmt"
	"math"
	"strings"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/format"
)

// barChart draws groups of horizontal bars, so that long labels fit.
func barChart(c engine.BarChart) *plot {
	groups := c.Groups[:min(len(c.Groups), mostBars)]
	if len(groups) == 0 {
		return nil
	}
	series := min(len(c.Series), mostSeries)
	lo, hi := domain(groups)
	labels := make([]string, len(groups))
	for i, g := range groups {
		labels[i] = g.Label
	}
	const gap, top, room = 10.0, 6.0, 58.0 // room: the number after the longest bar
	bar := 15.0
	if series > 4 {
		bar = 13
	}
	left := max(24, widest(labels, 150)+12)
	width := 414 - left - room
	height := top + float64(len(groups))*(bar*float64(series)+gap) + 4
	p := &plot{w: 414, h: height + 18, title: c.Title}
	at := func(v float64) float64 { return left + width*unit(v, lo, hi) }
	last := math.Inf(-1)
	marks := ticks(lo, hi, 4)
	for i, text := range tickTexts(marks) {
		t := marks[i]
		p.addf(`<path class="axis" d="M%s %sV%s"/>`, px(at(t)), px(top), px(height))
		if w := textWidth(text) / 2; at(t)-w > last+6 {
			p.text(at(t), height+14, "middle", "t-soft", text)
			last = at(t) + w
		}
	}
	if c.Unit != "" {
		p.text(left+width/2, height+31, "middle", "t-soft", fit(c.Unit, 2*min(left+width/2, room+width/2)))
		p.h += 17
	}
	for i, g := range groups {
		y := top + float64(i)*(bar*float64(series)+gap) + gap/2
		p.text(left-8, y+bar*float64(series)/2+4, "end", "", fit(g.Label, 150))
		for k := range min(series, len(g.Values)) {
			p.bar(at, g, c.Series[k], k, y+bar*float64(k), bar)
		}
	}
	if series > 1 {
		for k, name := range c.Series[:series] {
			p.legend = append(p.legend, legendEntry{name, k, false})
		}
	}
	p.desc = describeBars(c, groups, series)
	if len(c.Groups) > len(groups) {
		p.notes = append(p.notes, fmt.Sprintf("The first %d of %d are drawn.", len(groups), len(c.Groups)))
	}
	if len(c.Series) > series {
		p.notes = append(p.notes, fmt.Sprintf("The first %d of %d series are drawn.", series, len(c.Series)))
	}
	return p
}

// bar draws one value of a group with its number.
func (p *plot) bar(at func(float64) float64, g engine.BarGroup, series string, k int, y, height float64) {
	v := g.Values[k]
	if math.IsNaN(v) {
		p.text(at(0)+5, y+height-4, "start", "t-soft", "no value")
		return
	}
	from, to := min(at(0), at(v)), max(at(0), at(v))
	p.addf(`<rect x="%s" y="%s" width="%s" height="%s" rx="2.5" class="f%d"><title>%s</title></rect>`,
		px(from), px(y+1), px(max(to-from, 1)), px(height-2), k%mostSeries, esc(fmt.Sprintf("%s, %s: %s", format.Truncate(g.Label, 100), series, short(v))))
	p.text(to+5, y+height-4, "start", "", short(v))
}

func describeBars(c engine.BarChart, groups []engine.BarGroup, series int) string {
	var parts []string
	for _, g := range groups[:min(len(groups), 8)] {
		var values []string
		for k := range min(series, len(g.Values)) {
			if series > 1 {
				values = append(values, c.Series[k]+" "+short(g.Values[k]))
			} else {
				values = append(values, short(g.Values[k]))
			}
		}
		parts = append(parts, format.Truncate(g.Label, 60)+": "+strings.Join(values, ", "))
	}
	return strings.Join(parts, "; ")
}

// domain is the range of an axis that shows all values and zero; scores from
// 0 to 1 get that whole range when they fill a part of it worth seeing.
func domain(groups []engine.BarGroup) (lo, hi float64) {
	for _, g := range groups {
		for _, v := range g.Values {
			if ok(v) {
				lo, hi = min(lo, v), max(hi, v)
			}
		}
	}
	if lo == 0 && hi <= 1 && hi > .35 {
		return 0, 1
	}
	if lo == 0 && hi == 0 {
		return 0, 1
	}
	return lo, hi
}
