package detect

import (
	"cmp"
	"slices"

	"aloft/tasks/check/images"
)

// Confusion counts which class labelled boxes were taken for. The last row is
// of predictions that overlap no label, the last column of labels that no
// prediction overlaps.
type Confusion struct {
	Classes []int
	Counts  [][]int
	place   map[int]int
}

// NewConfusion makes an empty matrix of classes.
func NewConfusion(classes []int) *Confusion {
	c := &Confusion{Classes: classes, Counts: make([][]int, len(classes)+1), place: make(map[int]int)}
	for i := range c.Counts {
		c.Counts[i] = make([]int, len(classes)+1)
	}
	for i, k := range classes {
		c.place[k] = i
	}
	return c
}

// pairing is a label and a prediction that overlap.
type pairing struct {
	label, predicted int
	iou              float64
}

// Add counts one image: predictions of a confidence above least are paired
// with labels by falling IoU above overlap, whatever their classes. As
// deepchecks does it, set by quirks, a paired prediction's class is looked up
// among all predictions by its place among the confident ones, and
// predictions without a label count only in images with a pair.
func (c *Confusion) Add(p Pair, least, overlap float64, quirks bool) {
	var confident []images.Box
	for _, b := range p.Predicted {
		if b.Score > least {
			confident = append(confident, b)
		}
	}
	none := len(c.Classes)
	pairs := pair(p.Label, confident, overlap, quirks)
	labelled, used := make(map[int]int), make(map[int]bool)
	for _, x := range pairs {
		labelled[x.label], used[x.predicted] = x.predicted, true
	}
	for i, l := range p.Label {
		k, ok := labelled[i]
		switch {
		case !ok:
			c.Counts[c.place[l.Class]][none]++
		case quirks:
			c.Counts[c.place[l.Class]][c.place[p.Predicted[k].Class]]++
		default:
			c.Counts[c.place[l.Class]][c.place[confident[k].Class]]++
		}
	}
	if quirks && len(pairs) == 0 {
		return
	}
	for i, b := range confident {
		if !used[i] {
			c.Counts[none][c.place[b.Class]]++
		}
	}
}

// pair matches labels and predictions one to one by falling IoU above overlap.
// With quirks each prediction keeps its largest first, then each label: one
// that loses its label gets no other.
func pair(label, predicted []images.Box, overlap float64, quirks bool) []pairing {
	var all []pairing
	for i, l := range label {
		for k, p := range predicted {
			if v := images.IoU(l, p); v > overlap {
				all = append(all, pairing{i, k, v})
			}
		}
	}
	slices.SortStableFunc(all, func(a, b pairing) int { return cmp.Compare(b.iou, a.iou) })
	if quirks {
		all = first(all, func(p pairing) int { return p.predicted })
		return first(all, func(p pairing) int { return p.label })
	}
	var out []pairing
	labels, predictions := make(map[int]bool), make(map[int]bool)
	for _, p := range all {
		if !labels[p.label] && !predictions[p.predicted] {
			labels[p.label], predictions[p.predicted] = true, true
			out = append(out, p)
		}
	}
	return out
}

// first keeps the first pair of each key.
func first(all []pairing, key func(pairing) int) []pairing {
	seen := make(map[int]bool)
	var out []pairing
	for _, p := range all {
		if !seen[key(p)] {
			seen[key(p)] = true
			out = append(out, p)
		}
	}
	return out
}

// Tally counts the boxes of a class: found, wrongly claimed, missed.
type Tally struct{ TP, FP, FN int }

// Tallies counts by class the predictions of a confidence of at least least:
// each takes the free label of its class with the largest IoU of at least
// overlap. The most confident choose first; as deepchecks does it, set by
// quirks, in the order given.
func Tallies(pairs []Pair, least, overlap float64, quirks bool) map[int]Tally {
	out := make(map[int]Tally)
	add := func(class int, t Tally) {
		old := out[class]
		out[class] = Tally{old.TP + t.TP, old.FP + t.FP, old.FN + t.FN}
	}
	for _, p := range pairs {
		var confident []images.Box
		for _, b := range p.Predicted {
			if b.Score >= least {
				confident = append(confident, b)
			}
		}
		if !quirks {
			slices.SortStableFunc(confident, func(a, b images.Box) int { return cmp.Compare(b.Score, a.Score) })
		}
		taken := make([]bool, len(p.Label))
		for _, b := range confident {
			at, most := -1, overlap
			for k, l := range p.Label {
				if v := images.IoU(b, l); !taken[k] && l.Class == b.Class && v >= most {
					at, most = k, v
				}
			}
			if at < 0 {
				add(b.Class, Tally{FP: 1})
				continue
			}
			taken[at] = true
			add(b.Class, Tally{TP: 1})
		}
		for k, l := range p.Label {
			if !taken[k] {
				add(l.Class, Tally{FN: 1})
			}
		}
	}
	return out
}
