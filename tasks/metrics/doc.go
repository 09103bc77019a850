// Package metrics reads what a run measures: lines of JSON that it appends, files such as metrics.json and metrics.txt,
// and the event files of TensorBoard; and it boils series of numbers down to a summary and to a curve of a few points.
// It is pure: files are read by who calls it.
package metrics

import (
	"math"
	"slices"
	"strings"
)

// Limits of what is taken.
const (
	// MostName is the longest name of a series, in bytes; the rest is cut off.
	MostName = 200
	// MostLine is the longest line of JSON, in bytes; a longer one counts as bad.
	MostLine = 1 << 20
	// MostSeries is how many series one rank may have; points of more are counted and dropped.
	MostSeries = 2000
	// MostRecord is the largest record of an event file that is looked into, in bytes; a larger one (pictures, histograms)
	// is passed over.
	MostRecord = 8 << 20
	mostDepth  = 20
)

// Point is one number of a series.
type Point struct {
	Step  int64
	AtMS  int64 // Unix time in milliseconds
	Value float64
}

// Sample is a point as it was read, before it is known where it belongs.
type Sample struct {
	Name    string
	Step    int64
	HasStep bool
	AtMS    int64 // 0 = not said
	Value   float64
}

// Summary is what is known of a series without its points. Min and Max are of finite values and NaN without one.
type Summary struct {
	Points, NotFinite                     uint64
	First, Last, Min, Max                 float64
	FirstStep, LastStep, MinStep, MaxStep int64
	FirstMS, LastMS                       int64
}

// Add takes one more point.
func (s *Summary) Add(p Point) {
	if s.Points == 0 {
		s.First, s.FirstStep, s.FirstMS = p.Value, p.Step, p.AtMS
		s.Min, s.Max = math.NaN(), math.NaN()
	}
	s.Points++
	s.Last, s.LastStep, s.LastMS = p.Value, p.Step, p.AtMS
	if !finite(p.Value) {
		s.NotFinite++
		return
	}
	if math.IsNaN(s.Min) || p.Value < s.Min {
		s.Min, s.MinStep = p.Value, p.Step
	}
	if math.IsNaN(s.Max) || p.Value > s.Max {
		s.Max, s.MaxStep = p.Value, p.Step
	}
}

// Best is the best value of a series and its step, as far as its name says which way is better.
func (s *Summary) Best(name string) (value float64, step int64, ok bool) {
	switch d := Direction(name); {
	case d < 0 && !math.IsNaN(s.Min):
		return s.Min, s.MinStep, true
	case d > 0 && !math.IsNaN(s.Max):
		return s.Max, s.MaxStep, true
	}
	return 0, 0, false
}

func finite(f float64) bool { return !math.IsNaN(f) && !math.IsInf(f, 0) }

// Direction says which way a metric gets better, by the words of its name: 1 = up, -1 = down, 0 = not known.
func Direction(name string) int {
	words := strings.FieldsFunc(strings.ToLower(name), func(r rune) bool { return strings.ContainsRune("._-/ ()@", r) })
	has := func(list ...string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return slices.Contains(list, w) })
	}
	switch {
	case has("loss", "error", "err", "rmse", "mse", "mae", "mape", "logloss", "perplexity", "ppl", "latency", "wer", "cer", "fpr", "fnr", "rmsle", "brier"):
		return -1
	case has("accuracy", "acc", "f1", "auc", "precision", "recall", "r2", "score", "map", "iou", "bleu", "rouge", "throughput", "dice", "mcc", "ap"):
		return 1
	}
	return 0
}

// cleanName makes a name that can stand on a line: no control characters, no broken UTF-8, not too long.
func cleanName(s string) string {
	if len(s) > MostName {
		s = s[:MostName]
	}
	s = strings.ToValidUTF8(s, "_")
	for i := range len(s) {
		if c := s[i]; c < 0x20 || c == 0x7f {
			return strings.Map(func(r rune) rune {
				if r < 0x20 || r == 0x7f {
					return '_'
				}
				return r
			}, s)
		}
	}
	return s
}
