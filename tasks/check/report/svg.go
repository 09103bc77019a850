package report

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"aloft/tasks/check/format"
)

// The bounds of what plots draw; a note tells when something is left out.
const (
	mostClasses = 120 // rows and columns of a heat map
	mostBars    = 40  // groups of a bar chart
	mostSeries  = 8   // colours there are
	mostLines   = 24  // curves on common axes
)

// plot is a picture in the making, in units of CSS pixels; it scales down with
// the page. What it shows is also said in its title and description.
type plot struct {
	b           strings.Builder
	w, h        float64
	title, desc string
	// notes stand below the picture: what was left out.
	notes []string
	// legend names the series by their colours and patterns.
	legend []legendEntry
}

// legendEntry is a line or a block of colour with its name.
type legendEntry struct {
	name   string
	series int
	line   bool
}

func (p *plot) addf(form string, args ...any) { fmt.Fprintf(&p.b, form, args...) }

// text places a text; class is t-soft, t-on, t-small or several of them.
func (p *plot) text(x, y float64, anchor, class, text string) {
	p.addf(`<text x="%s" y="%s"`, px(x), px(y))
	if anchor != "start" {
		p.addf(` text-anchor="%s"`, anchor)
	}
	if class != "" {
		p.addf(` class="%s"`, class)
	}
	p.addf(`>%s</text>`, esc(text))
}

// turned places a text turned by an angle in degrees.
func (p *plot) turned(x, y, angle float64, anchor, class, text string) {
	p.addf(`<text transform="translate(%s %s) rotate(%s)"`, px(x), px(y), px(angle))
	if anchor != "start" {
		p.addf(` text-anchor="%s"`, anchor)
	}
	if class != "" {
		p.addf(` class="%s"`, class)
	}
	p.addf(`>%s</text>`, esc(text))
}

// svg closes the picture. The id makes its parts unique on the page.
func (p *plot) svg(id string) string {
	return fmt.Sprintf(`<svg viewBox="0 0 %s %s" width="%s" height="%s" role="img" aria-labelledby="%s-t %s-d"><title id="%s-t">%s</title><desc id="%s-d">%s</desc>%s</svg>`,
		px(p.w), px(p.h), px(p.w), px(p.h), id, id, id, esc(p.title), id, esc(format.Truncate(p.desc, 600)), p.b.String())
}

// px writes a coordinate with one digit after the point, where it has one.
func px(v float64) string {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return "0"
	}
	s := fmt.Sprintf("%.1f", v)
	return strings.TrimSuffix(s, ".0")
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

// fit cuts a text to a width in pixels, in the middle: names often differ in
// their ends alone.
func fit(s string, width float64) string {
	s = strings.Join(strings.Fields(s), " ")
	if textWidth(s) <= width {
		return s
	}
	r := []rune(s)
	head, tail := r[:min(len(r)-1, 100)], r[max(1, len(r)-60):]
	if len(r) <= 160 {
		head, tail = r[:(len(r)+1)*3/5], r[(len(r)+1)*3/5:]
	}
	for len(head)+len(tail) > 1 && textWidth(string(head))+textWidth(string(tail))+10 > width {
		if len(tail) > 0 && 3*len(tail) > 2*len(head) {
			tail = tail[1:]
		} else {
			head = head[:len(head)-1]
		}
	}
	return strings.TrimRight(string(head), " ") + "…" + strings.TrimLeft(string(tail), " ")
}

// widest is the width of the widest text, at most the bound.
func widest(names []string, bound float64) float64 {
	w := 0.0
	for _, n := range names {
		w = max(w, min(textWidth(n), bound))
	}
	return w
}

// axes is the frame of a chart with numbers on both axes.
type axes struct {
	left, top, width, height float64
	xMin, xMax, yMin, yMax   float64
}

// newAxes makes a frame whose ranges are finite and not empty.
func newAxes(xMin, xMax, yMin, yMax float64) axes {
	a := axes{left: 54, top: 14, width: 340, height: 236}
	a.xMin, a.xMax = span(xMin, xMax)
	a.yMin, a.yMax = span(yMin, yMax)
	room := widest(tickTexts(ticks(a.yMin, a.yMax, 5)), 80)
	a.left = max(a.left, 32+room)
	a.width = 394 - a.left
	return a
}

func span(lo, hi float64) (float64, float64) {
	if math.IsNaN(lo) || math.IsInf(lo, 0) {
		lo = 0
	}
	if math.IsNaN(hi) || math.IsInf(hi, 0) {
		hi = lo + 1
	}
	if lo > hi {
		lo, hi = hi, lo
	}
	if hi-lo <= math.Abs(hi)*1e-12 || hi == lo {
		pad := max(math.Abs(lo)*.01, .5)
		return lo - pad, hi + pad
	}
	return lo, hi
}

func (a axes) x(v float64) float64 { return a.left + a.width*unit(v, a.xMin, a.xMax) }
func (a axes) y(v float64) float64 { return a.top + a.height*(1-unit(v, a.yMin, a.yMax)) }

// unit places v between lo and hi as 0 to 1; values outside lie on the edge.
func unit(v, lo, hi float64) float64 {
	f := (v - lo) / (hi - lo)
	if math.IsNaN(f) {
		return 0
	}
	return min(max(f, 0), 1)
}

// draw begins a plot with grid lines at round numbers and the axes' names.
func (a axes) draw(title, xName, yName string) *plot {
	p := &plot{w: a.left + a.width + 20, h: a.top + a.height + 46, title: title}
	at := ticks(a.yMin, a.yMax, 5)
	for i, text := range tickTexts(at) {
		p.addf(`<path class="axis" d="M%s %sH%s"/>`, px(a.left), px(a.y(at[i])), px(a.left+a.width))
		p.text(a.left-7, a.y(at[i])+4, "end", "t-soft", text)
	}
	last := math.Inf(-1)
	at = ticks(a.xMin, a.xMax, 5)
	for i, text := range tickTexts(at) {
		t := at[i]
		p.addf(`<path class="axis" d="M%s %sV%s"/>`, px(a.x(t)), px(a.top), px(a.top+a.height))
		w := textWidth(text) / 2
		if a.x(t)-w < last+4 || a.x(t)+w > p.w { // no room beside the one before, or at the edge
			continue
		}
		p.text(a.x(t), a.top+a.height+17, "middle", "t-soft", text)
		last = a.x(t) + w
	}
	p.text(a.left+a.width/2, a.top+a.height+38, "middle", "t-soft", fit(xName, a.width))
	p.turned(13, a.top+a.height/2, -90, "middle", "t-soft", fit(yName, a.height))
	return p
}

// ticks are at most about n round numbers between lo and hi.
func ticks(lo, hi float64, n int) []float64 {
	raw := (hi - lo) / float64(n)
	if !(raw > 0) || math.IsInf(raw, 0) {
		return nil
	}
	step := math.Pow(10, math.Floor(math.Log10(raw)))
	for _, f := range []float64{1, 2, 5, 10} {
		if step*f >= raw*.999 {
			step *= f
			break
		}
	}
	var out []float64
	for i := math.Ceil(lo/step - 1e-9); i*step <= hi+step*1e-9 && len(out) < 20; i++ {
		out = append(out, i*step)
	}
	return out
}

// tickTexts writes the numbers of an axis, all with the same digits and unit.
func tickTexts(at []float64) []string {
	out := make([]string, len(at))
	if len(at) < 2 {
		for i, t := range at {
			out[i] = short(t)
		}
		return out
	}
	step, most := at[1]-at[0], max(math.Abs(at[0]), math.Abs(at[len(at)-1]))
	scale, suffix := 1.0, ""
	for _, s := range []struct {
		scale  float64
		suffix string
	}{{1e3, "k"}, {1e6, "M"}, {1e9, "G"}} {
		if most >= 10*s.scale && step >= s.scale/100 {
			scale, suffix = s.scale, s.suffix
		}
	}
	digits := max(0, int(math.Ceil(-math.Log10(step/scale)-1e-9)))
	for i, t := range at {
		switch {
		case digits > 5 || most >= 1e13:
			out[i] = fmt.Sprintf("%.4g", t)
		case t == 0 || math.Abs(t) < step/2:
			out[i] = "0"
		default:
			out[i] = strconv.FormatFloat(t/scale, 'f', digits, 64) + suffix
		}
	}
	return out
}

// dashes tell lines apart without colour.
var dashes = [mostSeries]string{"", "7 4", "2 4", "10 3 2 3", "5 2", "1 3", "12 4", "4 2 1 2"}

// dash gives line i its pattern; past the colours there are, another one
// than that of the line it shares its colour with.
func dash(i int) string { return dashes[(i+i/mostSeries*3)%mostSeries] }

// strokeDash is the attribute of a dashed line, if it is one.
func strokeDash(i int) string {
	if d := dash(i); d != "" {
		return ` stroke-dasharray="` + d + `"`
	}
	return ""
}

// legendHTML lists the series below a plot.
func (p *plot) legendHTML() string {
	if len(p.legend) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString(`<ul class="legend">`)
	for _, e := range p.legend {
		if e.line {
			fmt.Fprintf(&b, `<li><svg width="26" height="10" aria-hidden="true"><path d="M1 5H25" class="l%d"%s/></svg>%s</li>`, e.series%mostSeries, strokeDash(e.series), esc(format.Truncate(e.name, 80)))
		} else {
			fmt.Fprintf(&b, `<li><svg width="12" height="12" aria-hidden="true"><rect width="12" height="12" rx="3" class="f%d"/></svg>%s</li>`, e.series%mostSeries, esc(format.Truncate(e.name, 80)))
		}
	}
	b.WriteString(`</ul>`)
	return b.String()
}

// short renders a number on an axis or beside a bar.
func short(v float64) string {
	switch abs := math.Abs(v); {
	case math.IsNaN(v):
		return "–"
	case math.IsInf(v, 1):
		return "∞"
	case math.IsInf(v, -1):
		return "−∞"
	case abs >= 1e6 || abs != 0 && abs < 1e-3:
		return fmt.Sprintf("%.3g", v)
	case abs >= 100:
		return format.Number(math.Round(v))
	default:
		return strings.TrimSuffix(strings.TrimRight(fmt.Sprintf("%.3f", v), "0"), ".")
	}
}
