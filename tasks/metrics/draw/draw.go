// Package draw draws series of numbers as text: a line of bars, and a plot of braille dots. It is pure.
package draw

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"aloft/tasks/metrics"
)

// Number writes a value with as many digits as are worth reading.
func Number(f float64) string {
	if f == math.Trunc(f) && math.Abs(f) < 1e15 {
		return strconv.FormatFloat(f, 'f', -1, 64)
	}
	return strconv.FormatFloat(f, 'g', 5, 64)
}

// Spark draws values in a line of at most width characters. What is no number is a blank.
func Spark(values []float64, width int) string {
	bars := []rune("▁▂▃▄▅▆▇█")
	n := min(len(values), width)
	points := make([]float64, n)
	lo, hi := math.Inf(1), math.Inf(-1)
	for i := range points {
		points[i] = values[i*(len(values)-1)/max(n-1, 1)]
		if p := points[i]; !math.IsNaN(p) && !math.IsInf(p, 0) {
			lo, hi = min(lo, p), max(hi, p)
		}
	}
	var b strings.Builder
	for _, p := range points {
		if math.IsNaN(p) || math.IsInf(p, 0) {
			b.WriteByte(' ')
			continue
		}
		k := 0
		if hi > lo {
			k = int((p/2 - lo/2) / (hi/2 - lo/2) * float64(len(bars)-1))
		}
		b.WriteRune(bars[min(max(k, 0), len(bars)-1)])
	}
	return b.String()
}

// Plot draws a curve of braille dots, width characters wide and height lines high without its axes. With ascii it uses
// stars instead. It ends in a line break.
func Plot(points []metrics.Point, width, height int, ascii bool) string {
	var ok []metrics.Point
	lo, hi := math.Inf(1), math.Inf(-1)
	for _, p := range points {
		if !math.IsNaN(p.Value) && !math.IsInf(p.Value, 0) {
			ok = append(ok, p)
			lo, hi = min(lo, p.Value), max(hi, p.Value)
		}
	}
	if len(ok) == 0 {
		return "no value that is a number\n"
	}
	top, bottom := Number(hi), Number(lo)
	margin := max(utf8.RuneCountInString(top), utf8.RuneCountInString(bottom)) + 1
	width, height = max(width-margin-1, 8), max(height, 2)
	dx, dy := 2, 4
	if ascii {
		dx, dy = 1, 1
	}
	grid := make([][]bool, height*dy)
	for i := range grid {
		grid[i] = make([]bool, width*dx)
	}
	first, last := ok[0].Step, ok[0].Step
	for _, p := range ok {
		first, last = min(first, p.Step), max(last, p.Step)
	}
	at := func(p metrics.Point) (int, int) {
		x, y := 0, (height*dy-1)/2
		if last > first {
			x = int(float64(p.Step-first) / float64(last-first) * float64(width*dx-1))
		}
		if hi > lo {
			y = int(math.Round((hi/2 - p.Value/2) / (hi/2 - lo/2) * float64(height*dy-1)))
		}
		return x, y
	}
	px, py := at(ok[0])
	for _, p := range ok {
		x, y := at(p)
		n := max(abs(x-px), abs(y-py), 1)
		for i := 0; i <= n; i++ {
			grid[py+(y-py)*i/n][px+(x-px)*i/n] = true
		}
		px, py = x, y
	}
	var b strings.Builder
	for row := range height {
		label := ""
		switch row {
		case 0:
			label = top
		case height - 1:
			label = bottom
		}
		fmt.Fprintf(&b, "%*s", margin, label)
		b.WriteString("│")
		b.WriteString(strings.TrimRight(dots(grid, row, width, ascii), " ⠀"))
		b.WriteByte('\n')
	}
	b.WriteString(strings.Repeat(" ", margin) + "└" + strings.Repeat("─", width) + "\n")
	left, right := strconv.FormatInt(first, 10), strconv.FormatInt(last, 10)
	fmt.Fprintf(&b, "%s %s%*s\n", strings.Repeat(" ", margin), left, max(width-len(left), 1), right)
	if ascii {
		return strings.NewReplacer("│", "|", "└", "+", "─", "-").Replace(b.String())
	}
	return b.String()
}

func dots(grid [][]bool, row, width int, ascii bool) string {
	var b strings.Builder
	bits := [4][2]rune{{0x01, 0x08}, {0x02, 0x10}, {0x04, 0x20}, {0x40, 0x80}}
	for x := range width {
		if ascii {
			if grid[row][x] {
				b.WriteByte('*')
			} else {
				b.WriteByte(' ')
			}
			continue
		}
		r := rune(0x2800)
		for dy := range 4 {
			for dx := range 2 {
				if grid[row*4+dy][x*2+dx] {
					r |= bits[dy][dx]
				}
			}
		}
		b.WriteRune(r)
	}
	return b.String()
}

func abs(n int) int {
	if n < 0 {
		return -n
	}
	return n
}
