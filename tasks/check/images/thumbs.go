package images

import (
	"bytes"
	"image"
	"image/jpeg"
	"image/png"
	"math"
)

// The bounds of thumbnails.
const (
	thumbSide     = 128 // pixels of the longer side
	thumbsOfClass = 3   // first images of each class
	thumbClasses  = 64  // classes that have some
	thumbExtremes = 3   // images of the lowest and of the highest values of each property
	thumbPNG      = 64  // smaller images are kept without loss
)

// thumbs keeps small pictures of the first images of each class, of those
// with the most unusual properties, and of those that the model gets most
// wrong.
type thumbs struct {
	pictures map[int]Thumb
	uses     map[int]int
	classes  map[int]int
	// lowest and highest hold the extremes of each property, worst those of
	// the model's error.
	lowest, highest []extremes
	worst           extremes
}

// extremes are the samples with the smallest keys, ascending.
type extremes []extreme

type extreme struct {
	key float64
	at  int
}

func newThumbs(properties int) *thumbs {
	return &thumbs{
		pictures: make(map[int]Thumb), uses: make(map[int]int), classes: make(map[int]int),
		lowest: make([]extremes, properties), highest: make([]extremes, properties),
	}
}

// offer keeps a thumbnail of an image if there is a reason to.
func (t *thumbs) offer(at int, r *Record, img *Image) {
	if reasons := t.reasons(at, r); reasons > 0 {
		t.uses[at] += reasons
		if picture, ok := newThumb(img); ok {
			t.pictures[at] = picture
		}
	}
}

// reasons counts why a sample should be shown.
func (t *thumbs) reasons(at int, r *Record) int {
	n := 0
	for _, c := range shownClasses(r) {
		if have, known := t.classes[c]; have < thumbsOfClass && (known || len(t.classes) < thumbClasses) {
			t.classes[c]++
			n++
		}
	}
	for i, v := range r.Values {
		if !math.IsNaN(v) {
			n += t.compete(&t.lowest[i], extreme{v, at}, thumbExtremes) + t.compete(&t.highest[i], extreme{-v, at}, thumbExtremes)
		}
	}
	if key, ok := wrongness(r); ok {
		n += t.compete(&t.worst, extreme{-key, at}, 3*thumbExtremes)
	}
	return n
}

// compete inserts a sample among the extremes and drops the last; it returns
// 1 if the sample is among them.
func (t *thumbs) compete(list *extremes, e extreme, most int) int {
	l := *list
	i := len(l)
	for i > 0 && e.key < l[i-1].key {
		i--
	}
	if i >= most {
		return 0
	}
	l = append(l, extreme{})
	copy(l[i+1:], l[i:])
	l[i] = e
	if len(l) > most {
		t.release(l[most].at)
		l = l[:most]
	}
	*list = l
	return 1
}

func (t *thumbs) release(at int) {
	if t.uses[at]--; t.uses[at] <= 0 {
		delete(t.uses, at)
		delete(t.pictures, at)
	}
}

func (t *thumbs) kept() map[int]Thumb { return t.pictures }

// shownClasses are the classes of the label.
func shownClasses(r *Record) []int {
	switch {
	case !r.HasLabel:
		return []int{-1}
	case r.Boxes != nil:
		var out []int
		for _, b := range r.Boxes {
			out = append(out, b.Class)
		}
		return unique(out)
	case r.Areas != nil:
		var out []int
		for _, a := range r.Areas {
			out = append(out, a.Class)
		}
		return out
	}
	return []int{r.Class}
}

func unique(list []int) []int {
	seen := make(map[int]bool)
	out := list[:0]
	for _, v := range list {
		if !seen[v] {
			seen[v] = true
			out = append(out, v)
		}
	}
	return out
}

// wrongness is larger the more a prediction misses the label; false where
// there is none.
func wrongness(r *Record) (float64, bool) {
	switch {
	case !r.HasLabel || !r.HasPrediction:
		return 0, false
	case r.Proba != nil:
		if r.Class >= len(r.Proba) {
			return 1, true
		}
		return 1 - r.Proba[r.Class], true
	case r.Areas != nil:
		pixels, agreed := 0, 0
		for _, a := range r.Areas {
			pixels += a.Pixels
		}
		for _, a := range r.Overlaps {
			agreed += a.Pixels
		}
		return 1 - float64(agreed)/float64(max(pixels, 1)), true
	}
	return 1 - meanOverlap(r), true
}

// meanOverlap is the mean over the label's boxes of their best overlap with a
// predicted box of the class; 1 without boxes on either side.
func meanOverlap(r *Record) float64 {
	if len(r.Boxes) == 0 {
		if len(r.Predicted) == 0 {
			return 1
		}
		return 0
	}
	sum := 0.0
	for _, b := range r.Boxes {
		best := 0.0
		for _, p := range r.Predicted {
			if p.Class == b.Class {
				best = max(best, IoU(b, p))
			}
		}
		sum += best
	}
	return sum / float64(len(r.Boxes))
}

// IoU is the area that two boxes share over the area that they cover.
func IoU(a, b Box) float64 {
	w := min(a.X+a.W, b.X+b.W) - max(a.X, b.X)
	h := min(a.Y+a.H, b.Y+b.H) - max(a.Y, b.Y)
	if w <= 0 || h <= 0 {
		return 0
	}
	shared := w * h
	return shared / (a.W*a.H + b.W*b.H - shared)
}

// newThumb shrinks an image; false if it cannot be encoded.
func newThumb(img *Image) (Thumb, bool) {
	k := max(1, float64(max(img.Height, img.Width))/thumbSide)
	h, w := max(1, int(math.Round(float64(img.Height)/k))), max(1, int(math.Round(float64(img.Width)/k)))
	out := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		y0, y1 := part(y, h, img.Height)
		for x := range w {
			x0, x1 := part(x, w, img.Width)
			var sum [3]float64
			for v := y0; v < y1; v++ {
				for u := x0; u < x1; u++ {
					for c := range 3 {
						sum[c] += img.value((v*img.Width+u)*img.Channels + min(c, img.Channels-1))
					}
				}
			}
			n := float64((y1 - y0) * (x1 - x0))
			o := out.PixOffset(x, y)
			for c := range 3 {
				out.Pix[o+c] = round8(sum[c] / n)
			}
			out.Pix[o+3] = 255
		}
	}
	t := Thumb{Width: w, Height: h, Type: "image/jpeg", Scale: float64(w) / float64(img.Width)}
	var b bytes.Buffer
	var err error
	if max(h, w) < thumbPNG {
		t.Type = "image/png"
		err = png.Encode(&b, out)
	} else {
		err = jpeg.Encode(&b, out, &jpeg.Options{Quality: 80})
	}
	t.Data = b.Bytes()
	return t, err == nil
}

// part is the range of old pixels below the i-th of n new ones.
func part(i, n, old int) (from, to int) {
	from = i * old / n
	return from, max(from+1, (i+1)*old/n)
}
