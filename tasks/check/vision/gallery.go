package vision

import (
	"slices"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/images"
)

// gallery collects images to show of a sample: those that have a thumbnail.
type gallery struct {
	sample sample
	title  string
	most   int
	// classes limits the boxes drawn; nil draws all.
	classes []int
	shown   []engine.Shown
	// guesses draws predicted boxes too.
	guesses bool
}

// full reports whether no more images are wanted.
func (g *gallery) full() bool { return len(g.shown) >= g.most }

// add shows the i-th image of the sample, unless there are enough or it has no
// thumbnail. It reports whether the image is shown.
func (g *gallery) add(i int, caption string) bool {
	at := g.sample.at[i]
	thumb, ok := g.sample.set.Thumbs[at]
	if !ok || g.full() {
		return false
	}
	r := &g.sample.set.Records[at]
	s := engine.Shown{Thumb: thumb, ID: name(r, at), Caption: caption, Boxes: g.boxes(r.Boxes), Names: make(map[int]string)}
	if g.guesses {
		s.Predicted = g.boxes(r.Predicted)
	}
	for _, b := range slices.Concat(s.Boxes, s.Predicted) {
		s.Names[b.Class] = g.sample.set.ClassName(b.Class)
	}
	g.shown = append(g.shown, s)
	return true
}

func (g *gallery) boxes(all []images.Box) []images.Box {
	if g.classes == nil {
		return all
	}
	var out []images.Box
	for _, b := range all {
		if slices.Contains(g.classes, b.Class) {
			out = append(out, b)
		}
	}
	return out
}

// show adds the gallery to displays, if it shows anything.
func (g *gallery) show(out []engine.Display) []engine.Display {
	if len(g.shown) == 0 {
		return out
	}
	return append(out, engine.Gallery{Title: g.title, Samples: g.shown})
}
