package detect

import (
	"cmp"
	"math"
	"slices"

	"aloft/tasks/check/images"
	"aloft/tasks/check/stats"
)

// Pair is the label and the prediction of one image.
type Pair struct{ Label, Predicted []images.Box }

// Range is a range of areas in pixels. Boxes outside are neither right nor
// wrong.
type Range struct {
	Name      string
	Low, High float64
	// OpenLow and OpenHigh leave the bounds themselves out.
	OpenLow, OpenHigh bool
}

func (r Range) holds(area float64) bool {
	if area < r.Low || r.OpenLow && area == r.Low {
		return false
	}
	return area < r.High || !r.OpenHigh && area == r.High
}

// All is the range of every area.
func All() Range { return Range{Name: "All", High: math.Inf(1)} }

// Thresholds are the IoU from which a box counts as found: 0.50, 0.55, … 0.95.
func Thresholds() []float64 {
	out := make([]float64, 10)
	const step, first = 0.05, 0.5
	for i := range out {
		out[i] = first + float64(i)*step
	}
	return out
}

// Curves are the scores of one class under one range and limit, by threshold.
type Curves struct {
	// Positives counts the labelled boxes in the range.
	Positives int
	// AP is the mean of the precision at 101 recalls, Recall the last recall;
	// both NaN without positives.
	AP, Recall []float64
}

// MeanAP is the mean over the thresholds.
func (c Curves) MeanAP() float64 { return average(c.AP) }

// MeanRecall is the mean over the thresholds.
func (c Curves) MeanRecall() float64 { return average(c.Recall) }

func average(values []float64) float64 {
	sum := 0.0
	for _, v := range values {
		sum += v
	}
	return sum / float64(len(values))
}

// Evaluator scores boxes of images as COCO does.
type Evaluator struct {
	// Classes are those of labels or predictions, ascending.
	Classes    []int
	thresholds []float64
	images     map[int][]classImage
}

// classImage is what one image has of a class: predictions in descending order
// of their scores.
type classImage struct {
	label, predicted []images.Box
	iou              [][]float64 // by prediction and label
}

// NewEvaluator prepares images.
func NewEvaluator(pairs []Pair, thresholds []float64) *Evaluator {
	e := &Evaluator{thresholds: thresholds, images: make(map[int][]classImage)}
	for _, p := range pairs {
		byClass := make(map[int]*classImage)
		of := func(class int) *classImage {
			c := byClass[class]
			if c == nil {
				c = &classImage{}
				byClass[class] = c
			}
			return c
		}
		for _, b := range p.Label {
			c := of(b.Class)
			c.label = append(c.label, b)
		}
		for _, b := range p.Predicted {
			c := of(b.Class)
			c.predicted = append(c.predicted, b)
		}
		for class, c := range byClass {
			slices.SortStableFunc(c.predicted, func(a, b images.Box) int { return cmp.Compare(b.Score, a.Score) })
			c.iou = make([][]float64, len(c.predicted))
			for i, p := range c.predicted {
				c.iou[i] = make([]float64, len(c.label))
				for k, l := range c.label {
					c.iou[i][k] = images.IoU(p, l)
				}
			}
			e.images[class] = append(e.images[class], *c)
		}
	}
	for class := range e.images {
		e.Classes = append(e.Classes, class)
	}
	slices.Sort(e.Classes)
	return e
}

// found is a prediction that counts: right or wrong.
type found struct {
	score float64
	right bool
}

// Score scores one class by the boxes in a range and at most limit predictions
// of each image, the most confident.
func (e *Evaluator) Score(class int, area Range, limit int) Curves {
	c := Curves{AP: make([]float64, len(e.thresholds)), Recall: make([]float64, len(e.thresholds))}
	list := e.images[class]
	for i := range list {
		for _, b := range list[i].label {
			if area.holds(b.W * b.H) {
				c.Positives++
			}
		}
	}
	var all []found
	for t, threshold := range e.thresholds {
		if c.Positives == 0 {
			c.AP[t], c.Recall[t] = math.NaN(), math.NaN()
			continue
		}
		all = all[:0]
		for i := range list {
			all = list[i].match(all, threshold, area, limit)
		}
		slices.SortStableFunc(all, func(a, b found) int { return cmp.Compare(b.score, a.score) })
		c.AP[t], c.Recall[t] = curve(all, c.Positives)
	}
	return c
}

// match pairs predictions with labels: each, the most confident first, takes
// the free label with the largest IoU, one in the range before others.
func (c *classImage) match(all []found, threshold float64, area Range, limit int) []found {
	order := make([]int, 0, len(c.label)) // those in the range first
	for _, in := range []bool{true, false} {
		for k, l := range c.label {
			if area.holds(l.W*l.H) == in {
				order = append(order, k)
			}
		}
	}
	taken := make([]bool, len(c.label))
	for i, p := range c.predicted[:min(len(c.predicted), limit)] {
		at, most := -1, threshold
		for _, k := range order {
			if taken[k] {
				continue
			}
			in := area.holds(c.label[k].W * c.label[k].H)
			if at >= 0 && !in && area.holds(c.label[at].W*c.label[at].H) {
				break
			}
			if c.iou[i][k] >= most {
				at, most = k, c.iou[i][k]
			}
		}
		if at < 0 {
			if area.holds(p.W * p.H) {
				all = append(all, found{p.Score, false})
			}
			continue
		}
		taken[at] = true
		if area.holds(c.label[at].W * c.label[at].H) {
			all = append(all, found{p.Score, true})
		}
	}
	return all
}

// points is how many recalls the average precision looks at: 0, 0.01, … 1.
const points = 101

// curve returns average precision and last recall of predictions in descending
// order of their scores.
func curve(all []found, positives int) (ap, recall float64) {
	if len(all) == 0 {
		return 0, 0
	}
	recalls, precisions := make([]float64, len(all)), make([]float64, len(all))
	right := 0
	for i, f := range all {
		if f.right {
			right++
		}
		recalls[i] = float64(right) / float64(positives)
		precisions[i] = float64(right) / float64(i+1)
	}
	for i := len(all) - 1; i > 0; i-- {
		precisions[i-1] = max(precisions[i-1], precisions[i])
	}
	sum := 0.0
	const step = 0.01
	for i := range points {
		r := float64(i) * step
		if i == points-1 {
			r = 1
		}
		if at, _ := slices.BinarySearch(recalls, r); at < len(all) {
			sum += precisions[at]
		}
	}
	return sum / points, recalls[len(all)-1]
}

// ScoreAll scores several classes, ranges and limits on all processors: the
// result is by range, limit and class.
func (e *Evaluator) ScoreAll(classes []int, areas []Range, limits []int) ([][][]Curves, error) {
	out := make([][][]Curves, len(areas))
	for a := range out {
		out[a] = make([][]Curves, len(limits))
		for l := range out[a] {
			out[a][l] = make([]Curves, len(classes))
		}
	}
	n := len(areas) * len(limits) * len(classes)
	err := stats.Parallel(n, func(i int) {
		k, rest := i%len(classes), i/len(classes)
		l, a := rest%len(limits), rest/len(limits)
		out[a][l][k] = e.Score(classes[k], areas[a], limits[l])
	})
	return out, err
}
