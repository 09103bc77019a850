package report

import (
	"fmt"
	"math"

	"aloft/tasks/check/engine"
)

// gauge draws a score on a scale from nought to its largest value, with the
// limit that conditions put.
func gauge(g engine.Gauge) *plot {
	const left, width, top, thick = 14.0, 372.0, 40.0, 14.0
	full := g.Max
	if !ok(full) || full <= 0 {
		full = max(1, finite(g.Value))
	}
	p := &plot{w: left + width + 14, h: top + thick + 26, title: g.Title}
	at := func(v float64) float64 { return left + width*unit(v, 0, full) }
	class, limited := "f0", ok(g.Limit)
	if limited {
		class = "f-good"
		if g.Value >= g.Limit {
			class = "f-bad"
		}
	}
	p.addf(`<rect x="%s" y="%s" width="%s" height="%s" rx="7" class="track"/>`, px(left), px(top), px(width), px(thick))
	if ok(g.Value) {
		p.addf(`<rect x="%s" y="%s" width="%s" height="%s" rx="7" class="%s"/>`, px(left), px(top), px(max(at(g.Value)-left, thick)), px(thick), class)
	}
	value := "score " + short(g.Value)
	p.addf(`<text x="%s" y="24" class="t-big">%s</text>`, px(left), esc(value))
	p.text(left+width, 24, "end", "t-soft", fit(g.Method, 200))
	p.desc = fmt.Sprintf("Score %s on a scale from 0 to %s", short(g.Value), short(full))
	if g.Method != "" {
		p.desc += " (" + g.Method + ")"
	}
	free := [][2]float64{}
	if limited {
		x, text := at(g.Limit), "limit "+short(g.Limit)
		w := textWidth(text) / 2
		center := min(max(x, left+w), left+width-w)
		p.addf(`<path d="M%s %sV%s" class="limit"/>`, px(x), px(top-5), px(top+thick+6))
		p.text(center, top+thick+20, "middle", "", text)
		free = append(free, [2]float64{center - w - 6, center + w + 6})
		p.desc += fmt.Sprintf(", limit %s: %s", short(g.Limit), map[bool]string{true: "reached", false: "below"}[g.Value >= g.Limit])
	}
	for _, end := range []struct {
		v      float64
		x      float64
		anchor string
	}{{0, left, "start"}, {full, left + width, "end"}} {
		w := textWidth(short(end.v))
		from := math.Min(end.x, end.x-map[string]float64{"start": 0, "end": w}[end.anchor])
		clear := true
		for _, f := range free {
			clear = clear && (from+w < f[0] || from > f[1])
		}
		if clear {
			p.text(end.x, top+thick+20, end.anchor, "t-soft", short(end.v))
		}
	}
	return p
}
