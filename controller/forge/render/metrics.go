package render

import (
	"fmt"
	"math"
	"strings"

	"aloft/tasks/metrics"
	"aloft/tasks/metrics/draw"
)

// Bounds of what is drawn.
const (
	mostCharts  = 6
	chartPoints = 60
	fewPoints   = 3 // a curve of fewer is no curve
)

// Metric is one number, or a series of them of which the last counts.
type Metric struct {
	Name   string
	Value  float64
	Series []float64 // nil = a single number
	// Steps are those of Series; nil = 1, 2, 3 and so on.
	Steps []int64
}

// ParseMetrics reads a file of metrics: JSON, whose objects are folded to names with dots, or lines NAME: VALUE,
// NAME = VALUE and NAME VALUE. Whatever is no number is left out.
func ParseMetrics(src []byte) ([]Metric, error) {
	list, err := metrics.ParseFile(src)
	if err != nil {
		return nil, err
	}
	var out []Metric
	for _, v := range list {
		out = append(out, Metric{Name: v.Name, Value: v.Value, Series: v.Series})
	}
	return out, nil
}

// ParseSeries reads lines of JSON as a job appends them to $ALOFT_METRICS. Lines that are no metrics are left out and
// counted.
func ParseSeries(src []byte) (out []Metric, bad int) {
	at := map[string]int{}
	l := metrics.NewLines()
	for line := range strings.SplitSeq(string(src), "\n") {
		samples, err := l.Parse([]byte(line))
		if err != nil {
			bad++
			continue
		}
		for _, s := range samples {
			i, ok := at[s.Name]
			if !ok {
				if len(out) == metrics.MostInFile {
					continue
				}
				i = len(out)
				at[s.Name] = i
				out = append(out, Metric{Name: s.Name})
			}
			step := s.Step
			if !s.HasStep {
				step = int64(len(out[i].Series)) + 1
			}
			out[i].Value = s.Value
			out[i].Series, out[i].Steps = append(out[i].Series, s.Value), append(out[i].Steps, step)
		}
	}
	return out, bad
}

// direction says which way a metric gets better, by its name: 1 = up, -1 = down, 0 = not known.
func direction(name string) int { return metrics.Direction(name) }

// number writes a value with as many digits as are worth reading.
func number(f float64) string { return draw.Number(f) }

// spark draws a series in a line of at most width characters.
func spark(series []float64, width int) string { return draw.Spark(series, width) }

// charts draws curves as Mermaid's charts, which GitHub and GitLab show without any upload.
func (r *Report) charts(b *strings.Builder) {
	n := 0
	var body strings.Builder
	for _, m := range r.Metrics {
		if chart := mermaid(m); chart != "" && n < mostCharts {
			body.WriteString("\n" + chart)
			n++
		}
	}
	if n > 0 {
		fmt.Fprintf(b, "\n<details><summary>Curves: %d</summary>\n%s\n</details>\n", n, body.String())
	}
}

func mermaid(m Metric) string {
	var points []metrics.Point
	for i, v := range m.Series {
		step := int64(i) + 1
		if i < len(m.Steps) {
			step = m.Steps[i]
		}
		if !math.IsNaN(v) && !math.IsInf(v, 0) {
			points = append(points, metrics.Point{Step: step, Value: v})
		}
	}
	if len(points) < fewPoints {
		return ""
	}
	// The chart puts its values at even distances, so they are picked at even steps.
	first, last := points[0].Step, points[len(points)-1].Step
	if last <= first {
		return ""
	}
	values := make([]string, 0, chartPoints)
	lo, hi := math.Inf(1), math.Inf(-1)
	width := min(chartPoints, len(points))
	for i, at := range evenly(points, width) {
		if i >= width {
			break
		}
		values = append(values, fmt.Sprintf("%.6g", at))
		lo, hi = min(lo, at), max(hi, at)
	}
	if hi == lo {
		lo, hi = lo-1, hi+1
	}
	title := strings.Map(func(c rune) rune {
		if strings.ContainsRune("\"`<>[]{}()#;&\n\r", c) {
			return '_'
		}
		return c
	}, m.Name)
	return fmt.Sprintf("```mermaid\nxychart-beta\n    title \"%s\"\n    x-axis \"step\" %d --> %d\n    y-axis %.6g --> %.6g\n    line [%s]\n```\n",
		title, first, last, lo, hi, strings.Join(values, ", "))
}

// evenly reads a curve at n even steps: the last value at or before each.
func evenly(points []metrics.Point, n int) []float64 {
	first, last := points[0].Step, points[len(points)-1].Step
	out := make([]float64, n)
	k := 0
	for i := range out {
		at := first + int64(float64(last-first)*float64(i)/float64(n-1))
		for k+1 < len(points) && points[k+1].Step <= at {
			k++
		}
		out[i] = points[k].Value
	}
	return out
}
