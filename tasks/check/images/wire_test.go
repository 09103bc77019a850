package images_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"

	"aloft/tasks/check/images"
)

func everySet(t testing.TB) []*images.Set {
	t.Helper()
	r := rand.New(rand.NewPCG(5, 6))
	var out []*images.Set
	for _, task := range []images.Task{images.Classification, images.ObjectDetection, images.Segmentation} {
		b := images.NewBuilder(images.Options{Name: "n", Task: task, Classes: map[int]string{0: "a", 7: "z"}, Crops: true, Custom: []images.Property{{Name: "own", Kind: images.Categorical}}})
		for i := range 12 {
			s := images.Sample{ID: fmt.Sprint(i), Image: random(r, 9, 11, 1+2*(i%2)), Values: []float64{float64(i)}, Label: label(i % 3), Prediction: proba(.5, .25, .25)}
			if i == 5 {
				s.Label = label(-1)
				s.Label.Boxes = []images.Box{{X: -3}}
			}
			switch task {
			case images.ObjectDetection:
				if i != 5 {
					s.Label = &images.Label{Boxes: []images.Box{{Class: i % 2, X: 1, Y: 2, W: 3, H: 4}}[:i%2]}
				}
				s.Prediction = &images.Prediction{Boxes: []images.Box{{Class: 1, X: 1, Y: 2, W: 3, H: 4, Score: .5}}}
			case images.Segmentation:
				m := &images.Mask{Height: 9, Width: 11, Classes: make([]uint16, 99)}
				m.Classes[i] = 2
				if i != 5 {
					s.Label = &images.Label{Mask: m}
				}
				s.Prediction = &images.Prediction{Mask: m}
			}
			if err := b.Add(s); err != nil {
				t.Fatal(err)
			}
		}
		b.Interrupt("the loader raised")
		out = append(out, b.Set())
	}
	return append(out, &images.Set{})
}

// TestWire writes sets and reads them again.
func TestWire(t *testing.T) {
	t.Parallel()
	for i, want := range everySet(t) {
		var b bytes.Buffer
		if err := want.Write(&b); err != nil {
			t.Fatal(err)
		}
		data := b.Bytes()
		got, err := images.ReadSet(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		var again bytes.Buffer
		if err := got.Write(&again); err != nil || !bytes.Equal(again.Bytes(), data) {
			t.Errorf("set %d changes on its way", i)
		}
		if i < 3 && (len(got.Records) != 11 || len(got.Faults) != 1 || !reflect.DeepEqual(got.Heat, want.Heat) || !reflect.DeepEqual(got.Thumbs, want.Thumbs) || got.Partial != want.Partial) {
			t.Errorf("set %d: %+v", i, got)
		}
		for cut := 0; cut < len(data)-1; cut += 1 + len(data)/300 {
			if _, err := images.ReadSet(bytes.NewReader(data[:cut])); err == nil {
				t.Errorf("set %d, cut at %d of %d, is read", i, cut, len(data))
			}
		}
	}
}

func FuzzSet(f *testing.F) {
	for _, s := range everySet(f) {
		var b bytes.Buffer
		if err := s.Write(&b); err != nil {
			f.Fatal(err)
		}
		f.Add(b.Bytes())
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := images.ReadSet(bytes.NewReader(data))
		if err != nil {
			return
		}
		if _, err := images.Merge(s, s); err != nil {
			t.Skip()
		}
	})
}
