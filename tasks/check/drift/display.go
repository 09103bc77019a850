package drift

import (
	"cmp"
	"math"
	"slices"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/format"
	"aloft/tasks/check/stats"
)

// histogramBins is how many bars a histogram of numbers has.
const histogramBins = 30

// ShowNumbers draws the distributions of two sorted samples, the farthest
// hundredth at both ends left out.
func ShowNumbers(title, name string, train, test []float64) engine.Display {
	const tail = 0.01
	if len(train) == 0 || len(test) == 0 {
		return engine.Note{Text: title + ": one side has no values"}
	}
	low := min(stats.SortedQuantile(train, tail), stats.SortedQuantile(test, tail))
	high := max(stats.SortedQuantile(train, 1-tail), stats.SortedQuantile(test, 1-tail))
	if math.IsInf(low, 0) || math.IsInf(high, 0) || math.IsNaN(high-low) {
		return engine.Note{Text: title + ": the values are infinite"}
	}
	if high == low {
		low, high = low-0.5, high+0.5
	}
	h := engine.Histogram{Title: title, XName: name, Series: []string{"Train", "Test"}}
	for i := range histogramBins + 1 {
		h.Edges = append(h.Edges, low+(high-low)*float64(i)/histogramBins)
	}
	for _, sorted := range [][]float64{train, test} {
		shares := make([]float64, histogramBins)
		from, _ := slices.BinarySearch(sorted, low)
		for i := range shares {
			to, _ := slices.BinarySearch(sorted, h.Edges[i+1])
			if i == histogramBins-1 { // the last bin holds its upper edge
				for to < len(sorted) && sorted[to] <= high {
					to++
				}
			}
			shares[i] = float64(to-from) / float64(len(sorted))
			from = to
		}
		h.Shares = append(h.Shares, shares)
		h.Marks, h.MarkNames = append(h.Marks, mean(sorted)), append(h.MarkNames, [...]string{"mean of train", "mean of test"}[len(h.Marks)])
	}
	return h
}

func mean(v []float64) float64 {
	sum := 0.0
	for _, x := range v {
		sum += x
	}
	return sum / float64(len(v))
}

// ShowCategories draws the shares of the categories, at most most of them (0
// for all), chosen by the order named.
func ShowCategories(title string, c Counts, most int, by stats.CategorySort) engine.Display {
	n1, n2 := c.Rows()
	chart := engine.BarChart{Title: title, Unit: "share of rows", Series: []string{"Train", "Test"}}
	share := func(n, total int) float64 {
		if total == 0 {
			return math.NaN()
		}
		return float64(n) / float64(total)
	}
	order := make([]int, len(c.Names))
	for i := range order {
		order[i] = i
	}
	size := func(i int) float64 {
		switch by {
		case stats.ByTrain:
			return float64(c.Train[i])
		case stats.ByTest:
			return float64(c.Test[i])
		}
		return math.Abs(share(c.Train[i], n1) - share(c.Test[i], n2))
	}
	slices.SortFunc(order, func(i, j int) int { return cmp.Or(cmp.Compare(size(j), size(i)), cmp.Compare(c.Names[i], c.Names[j])) })
	if most <= 0 || most > len(order) {
		most = len(order)
	}
	for _, i := range order[:most] {
		chart.Groups = append(chart.Groups, engine.BarGroup{Label: format.Truncate(c.Names[i], 40), Values: []float64{share(c.Train[i], n1), share(c.Test[i], n2)}})
	}
	if most < len(order) {
		a, b := 0, 0
		for _, i := range order[most:] {
			a, b = a+c.Train[i], b+c.Test[i]
		}
		chart.Groups = append(chart.Groups, engine.BarGroup{Label: "other categories", Values: []float64{share(a, n1), share(b, n2)}})
	}
	return chart
}

// ShowScore draws a score against the limit it is judged by.
func ShowScore(title string, s Score, limit float64) engine.Display {
	return engine.Gauge{Title: title, Value: s.Value, Max: max(1, s.Value), Limit: limit, Method: s.Method}
}
