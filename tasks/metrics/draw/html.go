package draw

import (
	"fmt"
	"math"
	"strings"

	"aloft/tasks/metrics"
)

// Curve is a named series to draw.
type Curve struct {
	Name   string
	Note   string // a line below the name
	Points []metrics.Point
}

// Size of a drawing, in pixels.
const (
	svgWidth, svgHeight    = 420, 180
	svgLeft, svgRight      = 62, 12
	svgTop, svgBottom      = 12, 26
	innerWidth, innerHight = svgWidth - svgLeft - svgRight, svgHeight - svgTop - svgBottom
)

var escaper = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "'", "&#39;")

// SVG draws a curve with its axes; its colours come from the page. Where a value is no number the line is broken.
func SVG(c Curve) string {
	lo, hi := math.Inf(1), math.Inf(-1)
	first, last := int64(math.MaxInt64), int64(math.MinInt64)
	for _, p := range c.Points {
		if finite(p.Value) {
			lo, hi = min(lo, p.Value), max(hi, p.Value)
			first, last = min(first, p.Step), max(last, p.Step)
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg viewBox="0 0 %d %d" role="img" aria-label="%s">`, svgWidth, svgHeight, escaper.Replace(c.Name))
	if first > last {
		b.WriteString(`<text x="50%" y="50%" text-anchor="middle">no value that is a number</text></svg>`)
		return b.String()
	}
	for i := range 3 {
		y := svgTop + i*innerHight/2
		fmt.Fprintf(&b, `<line class="grid" x1="%d" y1="%d" x2="%d" y2="%d"/>`, svgLeft, y, svgWidth-svgRight, y)
		if i == 0 || hi > lo {
			fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end">%s</text>`, svgLeft-6, y+4, Number(round4(hi-(hi-lo)*float64(i)/2)))
		}
	}
	fmt.Fprintf(&b, `<text x="%d" y="%d">%d</text><text x="%d" y="%d" text-anchor="end">%d</text>`, svgLeft, svgHeight-8, first, svgWidth-svgRight, svgHeight-8, last)
	var path strings.Builder
	pen := "M"
	for _, p := range c.Points {
		if !finite(p.Value) {
			pen = "M"
			continue
		}
		x, y := 0.5, 0.5
		if last > first {
			x = float64(p.Step-first) / float64(last-first)
		}
		if hi > lo {
			y = (hi/2 - p.Value/2) / (hi/2 - lo/2)
		}
		px, py := svgLeft+x*innerWidth, svgTop+y*innerHight
		fmt.Fprintf(&path, "%s%.1f %.1f", pen, px, py)
		if pen = "L"; len(c.Points) == 1 {
			fmt.Fprintf(&b, `<circle cx="%.1f" cy="%.1f" r="3"/>`, px, py)
		}
	}
	fmt.Fprintf(&b, `<path d="%s"/></svg>`, path.String())
	return b.String()
}

func finite(f float64) bool { return !math.IsNaN(f) && !math.IsInf(f, 0) }

// round4 keeps four digits, for the labels of an axis.
func round4(f float64) float64 {
	if f == 0 || !finite(f) {
		return f
	}
	scale := math.Pow(10, 3-math.Floor(math.Log10(math.Abs(f))))
	if !finite(scale) || scale == 0 {
		return f
	}
	return math.Round(f*scale) / scale
}

const style = `:root{color-scheme:light dark;--ink:#1f2328;--dim:#59636e;--line:#d1d9e0;--curve:#0969da;--back:#fff}
@media(prefers-color-scheme:dark){:root{--ink:#e6edf3;--dim:#9198a1;--line:#3d444d;--curve:#58a6ff;--back:#0d1117}}
body{font:14px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--back);margin:24px}
main{display:grid;grid-template-columns:repeat(auto-fill,minmax(320px,1fr));gap:16px}
figure{margin:0;padding:12px;border:1px solid var(--line);border-radius:8px}figcaption{font-weight:600;overflow-wrap:anywhere}
small{display:block;font-weight:400;color:var(--dim)}svg{width:100%;height:auto}svg text{font-size:11px;fill:var(--dim)}
.grid{stroke:var(--line)}path{fill:none;stroke:var(--curve);stroke-width:1.6;stroke-linejoin:round}circle{fill:var(--curve)}`

// HTML is a page of curves that needs nothing from elsewhere.
func HTML(title string, curves []Curve) string {
	var b strings.Builder
	t := escaper.Replace(title)
	fmt.Fprintf(&b, "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\"><title>%s</title>\n<style>%s</style>\n<h1>%s</h1>\n<main>\n", t, style, t)
	for _, c := range curves {
		fmt.Fprintf(&b, "<figure><figcaption>%s<small>%s</small></figcaption>%s</figure>\n", escaper.Replace(c.Name), escaper.Replace(c.Note), SVG(c))
	}
	b.WriteString("</main></html>\n")
	return b.String()
}
