package images_test

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"aloft/tasks/check/images"
)

func gray(h, w int, v ...uint8) *images.Image {
	pix := make([]uint8, h*w)
	for i := range pix {
		pix[i] = v[i%len(v)]
	}
	return &images.Image{Height: h, Width: w, Channels: 1, Pix: pix}
}

func colour(h, w int, v ...uint8) *images.Image {
	pix := make([]uint8, 3*h*w)
	for i := range pix {
		pix[i] = v[i%len(v)]
	}
	return &images.Image{Height: h, Width: w, Channels: 3, Pix: pix}
}

func floats(img *images.Image) *images.Image {
	out := &images.Image{Height: img.Height, Width: img.Width, Channels: img.Channels, Float: make([]float32, len(img.Pix))}
	for i, v := range img.Pix {
		out.Float[i] = float32(v)
	}
	return out
}

func random(r *rand.Rand, h, w, c int) *images.Image {
	img := &images.Image{Height: h, Width: w, Channels: c, Pix: make([]uint8, h*w*c)}
	for i := range img.Pix {
		img.Pix[i] = uint8(r.IntN(256))
	}
	return img
}

func near(a, b float64) bool {
	return math.IsNaN(a) && math.IsNaN(b) || math.Abs(a-b) <= 1e-9*max(1, math.Abs(b))
}

// TestMeasure holds properties against their definitions.
func TestMeasure(t *testing.T) {
	t.Parallel()
	nan := math.NaN()
	for _, c := range []struct {
		name string
		img  *images.Image
		part images.Rect
		want []float64
	}{
		{"gray", gray(2, 4, 0, 100), images.Rect{X1: 4, Y1: 2}, []float64{.5, 8, 50, 50, nan, nan, nan}},
		{"flat gray", gray(10, 7, 77), images.Rect{X1: 7, Y1: 10}, []float64{10. / 7, 70, 77, 0, nan, nan, nan}},
		{"red", colour(3, 3, 200, 0, 0), images.Rect{X1: 3, Y1: 3}, []float64{1, 9, 42.5, 0, 1, 0, 0}},
		{"black counts as nothing", colour(1, 2, 0, 0, 0, 10, 20, 70), images.Rect{X1: 2, Y1: 1}, []float64{.5, 2, (2.125 + 14.308 + 5.047) / 2, (2.125 + 14.308 + 5.047) / 2, .05, .1, .35}},
		{"a part", gray(4, 4, 0, 10, 20, 30), images.Rect{X0: 1, X1: 3, Y0: 1, Y1: 4}, []float64{1.5, 6, 15, 5, nan, nan, nan}},
		{"an empty part", gray(4, 4, 9), images.Rect{X0: 2, X1: 2, Y1: 4}, []float64{nan, 0, nan, nan, nan, nan, nan}},
	} {
		for what, img := range map[string]*images.Image{"bytes": c.img, "floats": floats(c.img)} {
			got := images.Measure(img, c.part)
			for i, want := range c.want {
				if !near(got[i], want) {
					t.Errorf("%s, %s: %s is %v, not %v", c.name, what, images.Defaults()[i].Name, got[i], want)
				}
			}
		}
	}
}

func label(class int) *images.Label { return &images.Label{Class: class} }

func proba(v ...float64) *images.Prediction { return &images.Prediction{Proba: v} }

// TestFaults names what is wrong with samples.
func TestFaults(t *testing.T) {
	t.Parallel()
	normal := floats(gray(2, 2, 1, 2))
	for i := range normal.Float {
		normal.Float[i] = float32(i) / 7
	}
	negative := floats(gray(2, 2, 100))
	negative.Float[2] = -3
	odd := floats(gray(2, 2, 100))
	odd.Float[1] = float32(math.NaN())
	mask := func(h, w int) *images.Mask { return &images.Mask{Height: h, Width: w, Classes: make([]uint16, h*w)} }
	box := func(x, y, w, h float64) []images.Box { return []images.Box{{X: x, Y: y, W: w, H: h, Score: .5}} }
	for _, c := range []struct {
		task   images.Task
		sample images.Sample
		want   string // "" for none
	}{
		{images.Classification, images.Sample{Image: gray(2, 2, 5), Label: label(1), Prediction: proba(.2, .8)}, ""},
		{images.Classification, images.Sample{}, "neither image nor label"},
		{images.Classification, images.Sample{Image: gray(2, 2, 0)}, ""},
		{images.Classification, images.Sample{Image: &images.Image{Height: 3, Width: 4, Channels: 5, Pix: make([]uint8, 60)}}, "channels first"},
		{images.Classification, images.Sample{Image: &images.Image{Height: 2, Width: 2, Channels: 1, Pix: make([]uint8, 3)}}, "has 3 values"},
		{images.Classification, images.Sample{Image: &images.Image{}}, "empty"},
		{images.Classification, images.Sample{Image: &images.Image{Height: 1 << 40, Width: 1 << 40, Channels: 1}}, "larger than"},
		{images.Classification, images.Sample{Image: normal}, "looks normalised"},
		{images.Classification, images.Sample{Image: negative}, "between 0 and 255"},
		{images.Classification, images.Sample{Image: odd}, "no finite numbers"},
		{images.Classification, images.Sample{Label: label(-1)}, "not -1"},
		{images.Classification, images.Sample{Prediction: proba()}, "probability of each class"},
		{images.Classification, images.Sample{Prediction: proba(3.2, -1)}, "softmax"},
		{images.Classification, images.Sample{Prediction: proba(.2, .2)}, "add up to 0.4"},
		{images.ObjectDetection, images.Sample{Label: &images.Label{Boxes: box(1, 2, -3, 4)}}, "box 1 of the label: its width and height"},
		{images.ObjectDetection, images.Sample{Label: &images.Label{Boxes: box(-1, 2, 3, 4)}}, "corner must not be negative"},
		{images.ObjectDetection, images.Sample{Label: &images.Label{Boxes: box(1, math.Inf(1), 3, 4)}}, "no finite numbers"},
		{images.ObjectDetection, images.Sample{Prediction: &images.Prediction{Boxes: []images.Box{{W: 1, H: 1, Score: 7}}}}, "confidence"},
		{images.ObjectDetection, images.Sample{Image: gray(4, 4, 9), Label: &images.Label{Boxes: []images.Box{}}}, ""},
		{images.Segmentation, images.Sample{Image: gray(4, 4, 9), Label: &images.Label{Mask: mask(4, 4)}, Prediction: &images.Prediction{Mask: mask(4, 4)}}, ""},
		{images.Segmentation, images.Sample{Image: gray(4, 4, 9), Label: &images.Label{Mask: mask(3, 4)}}, "the mask of the label is 3 x 4, the image 4 x 4"},
		{images.Segmentation, images.Sample{Image: gray(4, 4, 9), Label: &images.Label{}}, "has no mask"},
		{images.Segmentation, images.Sample{Label: &images.Label{Mask: mask(3, 4)}, Prediction: &images.Prediction{Mask: mask(4, 3)}}, "that of the label"},
	} {
		b := images.NewBuilder(images.Options{Task: c.task})
		if err := b.Add(c.sample); err != nil {
			t.Fatal(err)
		}
		s := b.Set()
		got := ""
		if len(s.Faults) > 0 {
			got = s.Faults[0].Message
		}
		if (c.want == "") != (got == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s %+v: fault %q, wanted %q", c.task, c.sample, got, c.want)
		}
		if len(s.Faults)+len(s.Records) != 1 {
			t.Errorf("%d faults and %d records of one sample", len(s.Faults), len(s.Records))
		}
	}
}

// TestPredictionsForAll refuses data of which only some have predictions.
func TestPredictionsForAll(t *testing.T) {
	t.Parallel()
	b := images.NewBuilder(images.Options{Task: images.Classification})
	if err := b.Add(images.Sample{Label: label(0), Prediction: proba(1, 0)}, images.Sample{Label: label(0)}, images.Sample{Label: label(0), Prediction: proba(1, 0, 0)}); err != nil {
		t.Fatal(err)
	}
	s := b.Set()
	if len(s.Records) != 1 || len(s.Faults) != 2 || !strings.Contains(s.Faults[0].Message, "no prediction") || !strings.Contains(s.Faults[1].Message, "3 classes") {
		t.Errorf("%+v", s)
	}
}

func samples(r *rand.Rand, n int) []images.Sample {
	out := make([]images.Sample, n)
	for i := range out {
		c := 1 + 2*r.IntN(2)
		out[i] = images.Sample{ID: fmt.Sprint("i", i), Image: random(r, 20, 30, c), Label: label(r.IntN(4)), Prediction: proba(.25, .25, .25, .25)}
	}
	return out
}

// TestShards joins what ranks read of the parts to what one would have read.
func TestShards(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	all := samples(r, 90)
	build := func(list []images.Sample) *images.Set {
		b := images.NewBuilder(images.Options{Task: images.Classification, Classes: map[int]string{0: "a"}})
		for _, s := range list {
			if err := b.Add(s); err != nil {
				t.Fatal(err)
			}
		}
		return b.Set()
	}
	want := build(all)
	for _, cuts := range [][]int{{0, 90}, {0, 30, 90}, {0, 1, 2, 50, 50, 90}} {
		var parts []*images.Set
		for i := 1; i < len(cuts); i++ {
			parts = append(parts, build(all[cuts[i-1]:cuts[i]]))
		}
		got, err := images.Merge(parts...)
		if err != nil {
			t.Fatal(err)
		}
		if len(got.Records) != len(want.Records) || got.Total != want.Total {
			t.Fatalf("%d of %d records", len(got.Records), len(want.Records))
		}
		for i := range want.Records {
			if g, w := fmt.Sprint(got.Records[i]), fmt.Sprint(want.Records[i]); g != w {
				t.Errorf("record %d is %s, not %s", i, g, w)
			}
		}
		for i, v := range want.Heat.Values {
			if got.Heat.Values[i] != v {
				t.Fatalf("the mean at %d is %v, not %v", i, got.Heat.Values[i], v)
			}
		}
		for at := range got.Thumbs {
			if _, ok := want.Thumbs[at]; !ok {
				t.Errorf("a thumbnail of %d that one pass has not", at)
			}
		}
		if len(got.Thumbs) != len(want.Thumbs) {
			t.Errorf("%d thumbnails, not %d", len(got.Thumbs), len(want.Thumbs))
		}
	}
	other := build(nil)
	other.Task = images.Segmentation
	if _, err := images.Merge(want, other); err == nil || !strings.Contains(err.Error(), "rank 1 has the task") {
		t.Errorf("sets of two tasks: %v", err)
	}
}

// TestEnough takes no more than it was told to.
func TestEnough(t *testing.T) {
	t.Parallel()
	b := images.NewBuilder(images.Options{Task: images.Classification, MaxSamples: 7})
	all := samples(rand.New(rand.NewPCG(3, 4)), 20)
	if err := b.Add(all[:5]...); err != nil {
		t.Fatal(err)
	}
	if err := b.Add(all[5:]...); !errors.Is(err, images.ErrEnough) {
		t.Errorf("after enough: %v", err)
	}
	if n := len(b.Set().Records); n != 7 {
		t.Errorf("%d records", n)
	}
}

func BenchmarkMeasure(b *testing.B) {
	img := random(rand.New(rand.NewPCG(1, 1)), 224, 224, 3)
	b.SetBytes(int64(len(img.Pix)))
	for b.Loop() {
		images.Measure(img, images.Rect{X1: 224, Y1: 224})
	}
}

func BenchmarkBuilder(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 1))
	batch := make([]images.Sample, 64)
	for i := range batch {
		batch[i] = images.Sample{Image: random(r, 224, 224, 3), Label: label(i % 10)}
	}
	b.SetBytes(64 * 224 * 224 * 3)
	builder := images.NewBuilder(images.Options{Task: images.Classification})
	for b.Loop() {
		if err := builder.Add(batch...); err != nil {
			b.Fatal(err)
		}
	}
}
