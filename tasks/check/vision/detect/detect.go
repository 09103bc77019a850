// Package detect scores predictions of boxes and of masks: matching by IoU,
// average precision and recall as COCO defines them, confusion, Dice.
package detect

import (
	"math"

	"aloft/tasks/check/images"
)

// MeanIoU is the mean over predicted boxes of the largest IoU with a labelled
// box of the same class. It is 0 where the label has boxes and the prediction
// none, or the reverse, and NaN where neither has.
func MeanIoU(label, predicted []images.Box) float64 {
	if len(predicted) == 0 {
		if len(label) == 0 {
			return math.NaN()
		}
		return 0
	}
	sum := 0.0
	for _, p := range predicted {
		most := 0.0
		for _, l := range label {
			if l.Class == p.Class {
				most = max(most, images.IoU(l, p))
			}
		}
		sum += most
	}
	return sum / float64(len(predicted))
}

// smooth keeps Dice and IoU of masks from dividing by zero.
const smooth = 1e-3

// Overlap is how a class of a label and of a prediction agree in one image, in
// pixels.
type Overlap struct {
	Class                  int
	Label, Predicted, Both int
}

// Overlaps lists the classes of a label mask.
func Overlaps(label, predicted, both []images.Area) []Overlap {
	find := func(list []images.Area, class int) int {
		for _, a := range list {
			if a.Class == class {
				return a.Pixels
			}
		}
		return 0
	}
	out := make([]Overlap, len(label))
	for i, a := range label {
		out[i] = Overlap{a.Class, a.Pixels, find(predicted, a.Class), find(both, a.Class)}
	}
	return out
}

// Dice is (2·both + 0.001) / (label + predicted + 0.001).
func (o Overlap) Dice() float64 {
	return (2*float64(o.Both) + smooth) / (float64(o.Label+o.Predicted) + smooth)
}

// IoU is (both + 0.001) / (label + predicted − both + 0.001).
func (o Overlap) IoU() float64 {
	return (float64(o.Both) + smooth) / (float64(o.Label+o.Predicted-o.Both) + smooth)
}

// MeanDice is the mean Dice of the classes of a label mask; NaN of none.
func MeanDice(label, predicted, both []images.Area) float64 {
	list := Overlaps(label, predicted, both)
	if len(list) == 0 {
		return math.NaN()
	}
	sum := 0.0
	for _, o := range list {
		sum += o.Dice()
	}
	return sum / float64(len(list))
}
