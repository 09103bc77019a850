package vision_test

import (
	"encoding/csv"
	"image"
	"image/png"
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

// read builds one side of a recorded set.
func (d goldenData) read(t *testing.T, dir, side string) *images.Set {
	t.Helper()
	classes := map[int]string{}
	for k, v := range d.LabelMap {
		classes[whole(t, k)] = v
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
	album := openAlbum(t, dir, side)
	b := images.NewBuilder(images.Options{Name: side, Task: d.Task, Classes: classes, Crops: true})
	for i, row := range table(t, filepath.Join(dir, split.Table)) {
		s := images.Sample{ID: row["image"], Image: album(i, row["image"]), Label: &images.Label{}, Prediction: &images.Prediction{}}
		if d.Task == images.Classification {
			s.Label.Class = whole(t, row["label"])
			for k := 0; ; k++ {
				text, ok := row["proba_"+strconv.Itoa(k)]
				if !ok {
					break
				}
				s.Prediction.Proba = append(s.Prediction.Proba, number(t, text))
			}
		} else {
			s.Label.Boxes, s.Prediction.Boxes = boxes[row["image"]], preds[row["image"]]
		}
		if err := b.Add(s); err != nil {
			t.Fatal(err)
		}
	}
	set := b.Set()
	if len(set.Faults) > 0 {
		t.Fatal(set.Faults)
	}
	return set
}

// openAlbum returns a reader of a side's images: from a file each, or from one
// sheet of all. It gives none where there are neither.
func openAlbum(t *testing.T, dir, side string) func(i int, name string) *images.Image {
	t.Helper()
	const cell, across = 32, 20
	f, err := os.Open(filepath.Join(dir, side+".png"))
	if err != nil {
		return func(_ int, name string) *images.Image {
			path := filepath.Join(dir, name)
			if _, err := os.Stat(path); err != nil {
				return nil
			}
			img, err := images.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			return img
		}
	}
	defer f.Close()
	m, err := png.Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	sheet, ok := m.(*image.Gray)
	if !ok {
		t.Fatalf("the sheet of images is a %T", m)
	}
	return func(i int, _ string) *images.Image {
		out := &images.Image{Height: cell, Width: cell, Channels: 1}
		for y := range cell {
			from := sheet.PixOffset(i%across*cell, i/across*cell+y)
			out.Pix = append(out.Pix, sheet.Pix[from:from+cell]...)
		}
		return out
	}
}

func boxOf(t *testing.T, row map[string]string) images.Box {
	t.Helper()
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

func whole(t *testing.T, s string) int {
	t.Helper()
	return int(number(t, s))
}

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
