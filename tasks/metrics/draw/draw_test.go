package draw_test

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"strings"
	"testing"

	"aloft/tasks/metrics"
	"aloft/tasks/metrics/draw"
)

func TestSpark(t *testing.T) {
	t.Parallel()
	for want, values := range map[string][]float64{
		"▁▄█": {1, 2, 3}, "▁▁": {5, 5}, "": nil, "▁ █": {0, math.NaN(), 1}, " ▁█": {math.Inf(1), 1, 2}, "▁█": {-math.MaxFloat64, math.MaxFloat64},
	} {
		if got := draw.Spark(values, 20); got != want {
			t.Errorf("%v: %q, want %q", values, got, want)
		}
	}
	if got := []rune(draw.Spark(make([]float64, 1000), 12)); len(got) != 12 {
		t.Errorf("%d characters, want 12", len(got))
	}
}

func curve(values ...float64) []metrics.Point {
	var out []metrics.Point
	for i, v := range values {
		out = append(out, metrics.Point{Step: int64(i), Value: v})
	}
	return out
}

func TestPlot(t *testing.T) {
	t.Parallel()
	got := draw.Plot(curve(0, 1, 2, 3), 14, 4, true)
	want := " 3|         **\n  |      ***\n  |  ****\n 0|**\n  +-----------\n   0         3\n"
	if len(strings.Split(got, "\n")) != len(strings.Split(want, "\n")) || !strings.Contains(got, " 3|") || !strings.Contains(got, " 0|*") || strings.ContainsAny(got, "│└─⠀") {
		t.Errorf("got\n%s", got)
	}
	for _, p := range [][]metrics.Point{nil, curve(math.NaN()), curve(1), curve(2, 2, math.Inf(1)), curve(-math.MaxFloat64, math.MaxFloat64), {{Step: math.MinInt64, Value: 1}, {Step: math.MaxInt64, Value: 2}}} {
		for _, ascii := range []bool{true, false} {
			if draw.Plot(p, 1, 1, ascii) == "" {
				t.Errorf("%v: nothing is drawn", p)
			}
		}
	}
}

// TestHTML is well formed whatever the names are.
func TestHTML(t *testing.T) {
	t.Parallel()
	for _, p := range [][]metrics.Point{nil, curve(math.NaN(), 1), curve(1), curve(1, math.NaN(), 3), curve(-math.MaxFloat64, math.MaxFloat64)} {
		page := draw.HTML(`<script>"x"`, []draw.Curve{{Name: `a<b>&'"`, Note: "</figure>", Points: p}})
		if strings.Contains(page, "<script") || strings.Contains(page, "<b>") || strings.Contains(page, "NaN ") {
			t.Errorf("not escaped: %s", page)
		}
		d := xml.NewDecoder(strings.NewReader(draw.SVG(draw.Curve{Name: `a<b>&'"`, Points: p})))
		for {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatalf("%v: %v", p, err)
			}
		}
	}
}
