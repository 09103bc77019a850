package report

import (
	"fmt"
	"math"
	"strings"

	"aloft/tasks/check/engine"
)

// scatterLevels is the number of colours by which points are told apart.
const scatterLevels = 5

// mostPoints is how many points a scatter plot draws, one for each spot.
const mostPoints = 3000

// scatter draws points. Those on one spot are drawn once, the most coloured on
// top.
func scatter(s engine.Scatter) *plot {
	n := min(len(s.X), len(s.Y))
	xMin, xMax, yMin, yMax := math.Inf(1), math.Inf(-1), math.Inf(1), math.Inf(-1)
	for i := range n {
		if ok(s.X[i]) && ok(s.Y[i]) {
			xMin, xMax, yMin, yMax = min(xMin, s.X[i]), max(xMax, s.X[i]), min(yMin, s.Y[i]), max(yMax, s.Y[i])
		}
	}
	if xMin > xMax {
		return nil
	}
	xMin, xMax = padded(xMin, xMax)
	yMin, yMax = padded(yMin, yMax)
	a := newAxes(xMin, xMax, yMin, yMax)
	p := a.draw(s.Title, s.XName, s.YName)
	colored := len(s.Color) >= n
	paths := make([]strings.Builder, scatterLevels)
	seen := make(map[[3]int]bool)
	drawn, shown := 0, 0
	for i := range n {
		if !ok(s.X[i]) || !ok(s.Y[i]) {
			continue
		}
		shown++
		level := 0
		if colored {
			level = min(int(finite(unit(s.Color[i], 0, 1))*scatterLevels), scatterLevels-1)
		}
		x, y := a.x(s.X[i]), a.y(s.Y[i])
		spot := [3]int{int(x / 2), int(y / 2), level}
		if seen[spot] || drawn >= mostPoints {
			continue
		}
		seen[spot] = true
		drawn++
		fmt.Fprintf(&paths[level], "M%s %sh0", px(x), px(y))
	}
	for level := range paths {
		if paths[level].Len() > 0 {
			class := "p0"
			if colored {
				class = fmt.Sprintf("c%d", level)
			}
			p.addf(`<path d="%s" class="points %s"/>`, paths[level].String(), class)
		}
	}
	p.desc = fmt.Sprintf("%d points; %s from %s to %s, %s from %s to %s.", shown, s.XName, short(xMin), short(xMax), s.YName, short(yMin), short(yMax))
	if colored {
		p.scale(a, s.ColorName)
	}
	if len(seen) >= mostPoints && shown > drawn {
		p.notes = append(p.notes, fmt.Sprintf("%d of %d points are drawn.", drawn, shown))
	}
	return p
}

// scale adds the key of the colours below the chart.
func (p *plot) scale(a axes, name string) {
	y, w := p.h+4, 22.0
	name = fit(name, 200)
	x := a.left + textWidth(name) + 10
	p.text(a.left, y+10, "start", "t-soft", name)
	p.text(x+8, y+10, "end", "t-soft", "0")
	for l := range scatterLevels {
		p.addf(`<path d="M%s %sh%s" class="swatch c%d"/>`, px(x+14+w*float64(l)), px(y+6), px(w), l)
	}
	p.text(x+18+w*scatterLevels, y+10, "start", "t-soft", "1")
	p.h += 20
}

func padded(lo, hi float64) (float64, float64) {
	lo, hi = span(lo, hi)
	pad := (hi - lo) * .03
	return lo - pad, hi + pad
}

func ok(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }
