package report

import (
	"fmt"
	"math"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/images"
)

// mostShades is the longer side of a drawn shade picture in cells: larger ones
// are drawn by the means of blocks.
const mostShades = 64

// shade draws one number per pixel as shades of one colour.
func shade(s engine.Shade) *plot {
	m := blocks(s.Mean)
	if m.Height == 0 || m.Width == 0 || len(m.Values) < m.Height*m.Width {
		return nil
	}
	largest, at := s.Max, 0
	strongest := 0.0
	for i, v := range m.Values {
		if ok(v) && v > strongest {
			strongest, at = v, i
		}
	}
	if largest <= 0 {
		largest = strongest
	}
	cell := min(340/float64(max(m.Width, m.Height)), 24)
	l := heatLayout{rows: m.Height, cols: m.Width, cell: cell, left: 6, top: 6}
	p := &plot{w: max(l.left+cell*float64(m.Width)+6, 220), h: l.top + cell*float64(m.Height) + 6, title: s.Title}
	p.heatShades(l, func(i, j int) float64 {
		v := m.Values[i*m.Width+j]
		if !ok(v) || largest <= 0 {
			return 0
		}
		return min(max(v/largest, 0), 1)
	}, evenOpacity)
	p.heatKey(largest, false, false, evenOpacity)
	if s.Unit != "" {
		p.notes = append(p.notes, "Shades are "+s.Unit+".")
	}
	p.desc = fmt.Sprintf("%d by %d pixels; the largest value, %s, lies %s.", s.Mean.Width, s.Mean.Height, short(strongest), where(m, at))
	return p
}

// evenOpacity has no gap: no text stands on these shades.
func evenOpacity(share float64) float64 { return share }

// where names a place of a picture in words.
func where(m images.Mean, at int) string {
	row, col := at/m.Width, at%m.Width
	third := func(v, n int, names [3]string) string { return names[min(3*v/max(n, 1), 2)] }
	return third(row, m.Height, [3]string{"at the top", "in the middle", "at the bottom"}) + " " + third(col, m.Width, [3]string{"left", "centre", "right"})
}

// blocks halves a picture, block by block, until it is small enough to draw.
func blocks(m images.Mean) images.Mean {
	k := int(math.Ceil(float64(max(m.Width, m.Height)) / mostShades))
	if k <= 1 {
		return m
	}
	out := images.Mean{Height: (m.Height + k - 1) / k, Width: (m.Width + k - 1) / k, Count: m.Count}
	out.Values = make([]float64, out.Height*out.Width)
	for i := range out.Height {
		for j := range out.Width {
			sum, n := 0.0, 0
			for y := i * k; y < min((i+1)*k, m.Height); y++ {
				for x := j * k; x < min((j+1)*k, m.Width); x++ {
					if v := m.Values[y*m.Width+x]; ok(v) {
						sum, n = sum+v, n+1
					}
				}
			}
			if n > 0 {
				out.Values[i*out.Width+j] = sum / float64(n)
			}
		}
	}
	return out
}
