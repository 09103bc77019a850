package vision_test

import (
	"encoding/csv"
	"image"
	"image/color"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"aloft/tasks/check/images"
)

// goldenData describes a recorded set of images.
type goldenData struct {
	Name     string            `json:"name"`
	Task     images.Task       `json:"task_type"`
	LabelMap map[string]string `json:"label_map"`
	Splits   map[string]struct {
		Table, Boxes, Preds string
	} `json:"splits"`
}

// read reads one side of a recorded set with a reader of this test's own: so
// the checks are compared whatever reads the files elsewhere.
func (d goldenData) read(t *testing.T, dir, side string) *images.Set {
	t.Helper()
	s := &images.Set{Name: d.Name, Task: d.Task, Batch: 32, Classes: map[int]string{}, Thumbs: map[int]images.Thumb{}}
	for k, v := range d.LabelMap {
		s.Classes[whole(t, k)] = v
	}
	for _, name := range []string{"Aspect Ratio", "Area", "Brightness", "RMS Contrast", "Mean Red Relative Intensity", "Mean Green Relative Intensity", "Mean Blue Relative Intensity"} {
		s.Properties = append(s.Properties, images.Property{Name: name, Kind: images.Numerical})
	}
	split := d.Splits[side]
	boxes, preds := map[string][]images.Box{}, map[string][]images.Box{}
	if split.Boxes != "" {
		for _, row := range table(t, filepath.Join(dir, split.Boxes)) {
			boxes[row["image"]] = append(boxes[row["image"]], boxOf(t, row))
		}
		for _, row := range table(t, filepath.Join(dir, split.Preds)) {
			preds[row["image"]] = append(preds[row["image"]], boxOf(t, row))
		}
	}
	sum := &summer{}
	for i, row := range table(t, filepath.Join(dir, split.Table)) {
		picture := readPNG(t, filepath.Join(dir, row["image"]))
		r := images.Record{ID: row["image"], HasLabel: true, HasPrediction: true}
		r.Height, r.Width = picture.h, picture.w
		r.Values = picture.properties(0, 0, picture.w, picture.h)
		if d.Task == images.Classification {
			r.Class = whole(t, row["label"])
			for k := 0; ; k++ {
				text, ok := row["proba_"+strconv.Itoa(k)]
				if !ok {
					break
				}
				r.Proba = append(r.Proba, number(t, text))
			}
		} else {
			r.Boxes, r.Predicted = boxes[row["image"]], preds[row["image"]]
			for _, b := range r.Boxes {
				r.Crops = append(r.Crops, picture.properties(int(b.X), int(b.Y), int(b.X+b.W), int(b.Y+b.H)))
			}
		}
		sum.add(picture, r.Boxes)
		if i < 3 {
			s.Thumbs[i] = images.Thumb{Width: 1, Height: 1, Scale: 1, Type: "image/png"}
		}
		s.Records = append(s.Records, r)
	}
	s.Total = len(s.Records)
	s.Heat, s.BoxHeat = sum.means(d.Task)
	return s
}

func boxOf(t *testing.T, row map[string]string) images.Box {
	b := images.Box{Class: whole(t, row["class_id"]), X: number(t, row["x"]), Y: number(t, row["y"]), W: number(t, row["w"]), H: number(t, row["h"]), Score: 1}
	if s, ok := row["score"]; ok {
		b.Score = number(t, s)
	}
	return b
}

func number(t *testing.T, s string) float64 {
	t.Helper()
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func whole(t *testing.T, s string) int { return int(number(t, s)) }

func table(t *testing.T, path string) []map[string]string {
	t.Helper()
	src, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(strings.NewReader(string(src))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var out []map[string]string
	for _, row := range rows[1:] {
		m := map[string]string{}
		for k, v := range row {
			m[rows[0][k]] = v
		}
		out = append(out, m)
	}
	return out
}

// picture is a decoded image: red, green and blue, or gray in all three.
type picture struct {
	h, w  int
	gray  bool
	pixel [][3]float64
}

func readPNG(t *testing.T, path string) picture {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	m, err := png.Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	p := picture{h: m.Bounds().Dy(), w: m.Bounds().Dx()}
	_, p.gray = m.(*image.Gray)
	for y := range p.h {
		for x := range p.w {
			c := color.NRGBAModel.Convert(m.At(x, y)).(color.NRGBA)
			p.pixel = append(p.pixel, [3]float64{float64(c.R), float64(c.G), float64(c.B)})
		}
	}
	return p
}

func (p picture) luma(x, y int) float64 {
	c := p.pixel[y*p.w+x]
	if p.gray {
		return c[0]
	}
	return 0.2125*c[0] + 0.7154*c[1] + 0.0721*c[2]
}

// properties are those of a part of the image.
func (p picture) properties(x0, y0, x1, y1 int) []float64 {
	h, w := y1-y0, x1-x0
	n := float64(h * w)
	mean, square := 0.0, 0.0
	share := [3]float64{}
	for y := y0; y < y1; y++ {
		for x := x0; x < x1; x++ {
			mean += p.luma(x, y) / n
			c := p.pixel[y*p.w+x]
			if sum := c[0] + c[1] + c[2]; sum > 0 {
				for k := range share {
					share[k] += c[k] / sum / n
				}
			}
		}
	}
	for y := y0; y < y1; y++ {
		for x := x0; x < x1; x++ {
			d := p.luma(x, y) - mean
			square += d * d / n
		}
	}
	out := []float64{float64(h) / float64(w), n, mean, math.Sqrt(square), math.NaN(), math.NaN(), math.NaN()}
	if !p.gray {
		copy(out[4:], share[:])
	}
	return out
}

// summer adds up images of one size.
type summer struct {
	h, w, n     int
	gray, boxes []float64
}

func (s *summer) add(p picture, boxes []images.Box) {
	if s.n == 0 {
		s.h, s.w = p.h, p.w
		s.gray, s.boxes = make([]float64, p.h*p.w), make([]float64, p.h*p.w)
	}
	s.n++
	covered := make([]bool, p.h*p.w)
	for _, b := range boxes {
		for y := int(b.Y); y < min(int(b.Y+b.H), p.h); y++ {
			for x := int(b.X); x < min(int(b.X+b.W), p.w); x++ {
				covered[y*p.w+x] = true
			}
		}
	}
	for i := range s.gray {
		if s.gray[i] += p.pixel[i][0]; !p.gray { // as OpenCV turns colours gray
			c := p.pixel[i]
			s.gray[i] += float64((int(c[0])*9798+int(c[1])*19235+int(c[2])*3735+16384)>>15) - c[0]
		}
		if covered[i] {
			s.boxes[i] += 100
		}
	}
}

func (s *summer) means(task images.Task) (heat, boxes *images.Mean) {
	for i := range s.gray {
		s.gray[i] /= float64(s.n)
		s.boxes[i] /= float64(s.n)
	}
	heat = &images.Mean{Height: s.h, Width: s.w, Values: s.gray, Count: s.n}
	if task == images.ObjectDetection {
		boxes = &images.Mean{Height: s.h, Width: s.w, Values: s.boxes, Count: s.n}
	}
	return heat, boxes
}
