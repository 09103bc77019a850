package vision_test

import (
	"context"
	"math/rand/v2"
	"slices"
	"testing"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/images"
	"aloft/tasks/check/vision"
)

// all lists every check.
func all() []*engine.Definition {
	return slices.Concat(vision.Model(), vision.Split(), vision.Integrity(), vision.Extra())
}

func definition(t *testing.T, id string) *engine.Definition {
	t.Helper()
	for _, d := range all() {
		if d.ID == id {
			return d
		}
	}
	t.Fatalf("there is no check %s", id)
	return nil
}

// use says what to run.
type use struct {
	id         string
	params     map[string]any
	conditions []engine.Use
	mode       engine.Mode
}

// once runs one check on train and test, or on train alone if test is nil.
func once(t *testing.T, u use, train, test *images.Set) engine.Outcome {
	t.Helper()
	item, problems := definition(t, u.id).Build(u.params, u.conditions, u.mode)
	if len(problems) > 0 {
		t.Fatalf("%s: %v", u.id, problems)
	}
	r, err := engine.Run(context.Background(), engine.Suite{Items: []engine.Item{item}}, engine.Inputs{TrainImages: train, TestImages: test, Mode: u.mode})
	if err != nil {
		t.Fatal(err)
	}
	if r.Err != nil {
		t.Fatal(r.Err)
	}
	return r.Outcomes[len(r.Outcomes)-1]
}

// ok fails if the check did not run.
func ok(t *testing.T, o engine.Outcome) engine.Outcome {
	t.Helper()
	if o.Err != nil {
		t.Fatalf("%s: %v", o.Def.ID, o.Err)
	}
	return o
}

// scenery makes sets of images of a task.
type scenery struct {
	task    images.Task
	n       int
	seed    uint64
	custom  []images.Property
	perfect bool // predictions are the labels
	thumbs  bool
	blank   bool // no labels and no predictions
}

// build makes the set. Images are small, of three classes; those of class 2 are
// darker.
func (s scenery) build(t testing.TB) *images.Set {
	t.Helper()
	r := rand.New(rand.NewPCG(s.seed, 7))
	b := images.NewBuilder(images.Options{
		Name: "scenery", Task: s.task, Classes: map[int]string{0: "ant", 1: "bee", 2: "wasp"}, Crops: true, Custom: s.custom, NoThumbs: !s.thumbs,
	})
	for i := range s.n {
		class := r.IntN(3)
		img := &images.Image{Height: 24, Width: 24 + r.IntN(8), Channels: 3}
		img.Pix = make([]uint8, img.Height*img.Width*3)
		base := 60 + r.IntN(150)
		if class == 2 {
			base /= 4
		}
		for p := range img.Pix {
			img.Pix[p] = uint8(base + r.IntN(40))
		}
		x := images.Sample{Image: img}
		for range s.custom {
			x.Values = append(x.Values, float64(r.IntN(3)))
		}
		if !s.blank {
			s.answer(r, &x, class, i)
		}
		if err := b.Add(x); err != nil {
			t.Fatal(err)
		}
	}
	set := b.Set()
	if len(set.Faults) > 0 {
		t.Fatal(set.Faults)
	}
	return set
}

// answer adds label and prediction.
func (s scenery) answer(r *rand.Rand, x *images.Sample, class, i int) {
	wrong := !s.perfect && r.IntN(4) == 0
	switch s.task {
	case images.Classification:
		x.Label = &images.Label{Class: class}
		guess := class
		if wrong {
			guess = (class + 1) % 3
		}
		p := []float64{.1, .1, .1}
		p[guess] = .8
		if s.perfect {
			p = []float64{0, 0, 0}
			p[class] = 1
		}
		x.Prediction = &images.Prediction{Proba: p}
	case images.ObjectDetection:
		x.Label, x.Prediction = &images.Label{}, &images.Prediction{}
		if i%10 == 9 {
			return // an image without objects
		}
		for range 1 + r.IntN(3) {
			b := images.Box{Class: class, X: float64(r.IntN(8)), Y: float64(r.IntN(8)), W: float64(6 + r.IntN(8)), H: float64(6 + r.IntN(8)), Score: 1}
			x.Label.Boxes = append(x.Label.Boxes, b)
			if s.perfect {
				x.Prediction.Boxes = append(x.Prediction.Boxes, b)
			} else if !wrong {
				b.X, b.Score = b.X+r.Float64(), r.Float64()
				x.Prediction.Boxes = append(x.Prediction.Boxes, b)
			}
		}
	case images.Segmentation:
		n := x.Image.Height * x.Image.Width
		label := &images.Mask{Height: x.Image.Height, Width: x.Image.Width, Classes: make([]uint16, n)}
		guess := &images.Mask{Height: x.Image.Height, Width: x.Image.Width, Classes: make([]uint16, n)}
		half := n/4 + r.IntN(n/2)
		for p := range label.Classes {
			if p > half {
				label.Classes[p] = uint16(1 + class%2)
			}
			guess.Classes[p] = label.Classes[p]
			if wrong && p%3 == 0 {
				guess.Classes[p] = 0
			}
		}
		x.Label, x.Prediction = &images.Label{Mask: label}, &images.Prediction{Mask: guess}
	}
}
