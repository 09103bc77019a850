package report

import (
	"fmt"
	"math"
	"strings"

	"aloft/tasks/check/engine"
)

// lineChart draws curves on common axes.
func lineChart(c engine.LineChart) *plot {
	a := newAxes(c.XMin, c.XMax, c.YMin, c.YMax)
	p := a.draw(c.Title, c.XName, c.YName)
	if c.Diagonal {
		p.addf(`<path class="diag" d="M%s %sL%s %s"/>`, px(a.left), px(a.top+a.height), px(a.left+a.width), px(a.top))
	}
	lines := c.Lines[:min(len(c.Lines), mostLines)]
	var said []string
	for i, l := range lines {
		p.addf(`<path d="%s" class="l%d"%s><title>%s</title></path>`, a.curve(l.X, l.Y), i%mostSeries, strokeDash(i), esc(l.Name))
		text := l.Name
		if n := min(len(l.X), len(l.Y)); l.Mark >= 0 && l.Mark < n {
			p.addf(`<circle cx="%s" cy="%s" r="4.5" class="l%d spot"><title>%s: %s</title></circle>`, px(a.x(l.X[l.Mark])), px(a.y(l.Y[l.Mark])), i%mostSeries, esc(l.Name), esc(l.MarkText))
			text += " (" + l.MarkText + ")"
		}
		said = append(said, text)
		p.legend = append(p.legend, legendEntry{l.Name, i, true})
	}
	p.desc = fmt.Sprintf("%s against %s. %s", c.YName, c.XName, strings.Join(said, "; "))
	if len(c.Lines) > len(lines) {
		p.notes = append(p.notes, fmt.Sprintf("The first %d of %d curves are drawn.", len(lines), len(c.Lines)))
	}
	return p
}

// curve is the path of a line; points that cannot be seen are left out, and
// those without a number interrupt it.
func (a axes) curve(xs, ys []float64) string {
	var d strings.Builder
	var run []point
	flush := func() {
		for i, q := range thin(run, .35) {
			d.WriteString(map[bool]string{true: "M", false: "L"}[i == 0] + px(q.x) + " " + px(q.y))
		}
		run = run[:0]
	}
	for k := range min(len(xs), len(ys)) {
		if math.IsNaN(xs[k]) || math.IsNaN(ys[k]) {
			flush()
			continue
		}
		run = append(run, point{a.x(xs[k]), a.y(ys[k])})
	}
	flush()
	return d.String()
}

// point is a place in a picture.
type point struct{ x, y float64 }

// thin drops the points of a curve whose absence moves it by less than the
// tolerance: first those next to the one before, then by Douglas and Peucker.
func thin(ps []point, tolerance float64) []point {
	if len(ps) < 3 {
		return ps
	}
	near := []point{ps[0]}
	for _, q := range ps[1 : len(ps)-1] {
		last := near[len(near)-1]
		if math.Abs(q.x-last.x) >= tolerance || math.Abs(q.y-last.y) >= tolerance {
			near = append(near, q)
		}
	}
	near = append(near, ps[len(ps)-1])
	keep := make([]bool, len(near))
	keep[0], keep[len(near)-1] = true, true
	stack := [][2]int{{0, len(near) - 1}}
	for len(stack) > 0 {
		from, to := stack[len(stack)-1][0], stack[len(stack)-1][1]
		stack = stack[:len(stack)-1]
		far, at := tolerance, -1
		for i := from + 1; i < to; i++ {
			if d := distance(near[i], near[from], near[to]); d > far {
				far, at = d, i
			}
		}
		if at >= 0 {
			keep[at] = true
			stack = append(stack, [2]int{from, at}, [2]int{at, to})
		}
	}
	var out []point
	for i, q := range near {
		if keep[i] {
			out = append(out, q)
		}
	}
	return out
}

// distance is that of q from the stretch between a and b.
func distance(q, a, b point) float64 {
	dx, dy := b.x-a.x, b.y-a.y
	length := dx*dx + dy*dy
	if length == 0 {
		return math.Hypot(q.x-a.x, q.y-a.y)
	}
	f := min(max(((q.x-a.x)*dx+(q.y-a.y)*dy)/length, 0), 1)
	return math.Hypot(q.x-a.x-f*dx, q.y-a.y-f*dy)
}
