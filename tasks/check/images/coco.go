package images

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// maxJSON bounds the bytes of a label file.
const maxJSON = 2 << 30

type cocoFile struct {
	Images []struct {
		ID       int64  `json:"id"`
		FileName string `json:"file_name"`
	} `json:"images"`
	Annotations []struct {
		ImageID  int64     `json:"image_id"`
		Category int64     `json:"category_id"`
		Box      []float64 `json:"bbox"`
	} `json:"annotations"`
	Categories []struct {
		ID   int64  `json:"id"`
		Name string `json:"name"`
	} `json:"categories"`
}

type cocoResult struct {
	ImageID  int64     `json:"image_id"`
	Category int64     `json:"category_id"`
	Box      []float64 `json:"bbox"`
	Score    *float64  `json:"score"`
}

// COCO reads an object detection from a COCO file of instances, and, unless
// "", one of results ([{image_id, category_id, bbox, score}]). Files of images
// are within dir. Classes keep COCO's numbers.
func COCO(dir, instances, results string) (*Dataset, error) {
	var c cocoFile
	if err := readJSON(instances, &c); err != nil {
		return nil, fmt.Errorf("read COCO file %s: %w", instances, err)
	}
	if len(c.Images) == 0 {
		return nil, fmt.Errorf("read COCO file %s: it lists no images", instances)
	}
	d := &Dataset{Classes: make(map[int]string)}
	for _, k := range c.Categories {
		if k.ID < 0 || k.ID >= MaxClasses {
			return nil, fmt.Errorf("read COCO file %s: the category %q has the number %d; numbers go from 0 to %d", instances, k.Name, k.ID, MaxClasses-1)
		}
		d.Classes[int(k.ID)] = k.Name
	}
	at := make(map[int64]int, len(c.Images))
	for _, img := range c.Images {
		if _, twice := at[img.ID]; twice {
			return nil, fmt.Errorf("read COCO file %s: the image %d is listed twice", instances, img.ID)
		}
		e := Entry{ID: img.FileName, Label: &Label{Boxes: []Box{}}}
		if e.File = within(dir, img.FileName); e.File == "" {
			e.Fault = "its name leads out of the folder of images"
		}
		if results != "" {
			e.Prediction = &Prediction{Boxes: []Box{}}
		}
		at[img.ID] = len(d.Entries)
		d.Entries = append(d.Entries, e)
	}
	for i, a := range c.Annotations {
		k, known := at[a.ImageID]
		switch {
		case !known:
			return nil, fmt.Errorf("read COCO file %s: annotation %d is of image %d, which is not listed", instances, i+1, a.ImageID)
		case len(a.Box) != 4 || a.Category < 0 || a.Category >= MaxClasses:
			d.Entries[k].Fault = fmt.Sprintf("annotation %d has no bbox of four numbers, or the category %d", i+1, a.Category)
		default:
			d.Entries[k].Label.Boxes = append(d.Entries[k].Label.Boxes, Box{int(a.Category), a.Box[0], a.Box[1], a.Box[2], a.Box[3], 1})
		}
	}
	if results == "" {
		return d, nil
	}
	var list []cocoResult
	if err := readJSON(results, &list); err != nil {
		return nil, fmt.Errorf("read COCO results %s: %w", results, err)
	}
	for i, r := range list {
		k, known := at[r.ImageID]
		switch {
		case !known:
			return nil, fmt.Errorf("read COCO results %s: result %d is of image %d, which %s does not list", results, i+1, r.ImageID, instances)
		case len(r.Box) != 4 || r.Score == nil || r.Category < 0 || r.Category >= MaxClasses:
			d.Entries[k].Fault = fmt.Sprintf("result %d has no bbox of four numbers, no score, or the category %d", i+1, r.Category)
		default:
			d.Entries[k].Prediction.Boxes = append(d.Entries[k].Prediction.Boxes, Box{int(r.Category), r.Box[0], r.Box[1], r.Box[2], r.Box[3], *r.Score})
		}
	}
	return d, nil
}

// within joins a name from a label file to a folder; "" for one that leads
// out of it.
func within(dir, name string) string {
	if !filepath.IsLocal(filepath.FromSlash(name)) {
		return ""
	}
	return filepath.Join(dir, filepath.FromSlash(name))
}

func readJSON(path string, into any) error {
	f, err := os.Open(path)
	if err != nil {
		return cause(err)
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return cause(err)
	case !info.Mode().IsRegular():
		return errNoRegular
	case info.Size() > maxJSON:
		return fmt.Errorf("it is larger than %d MiB", maxJSON>>20)
	}
	dec := json.NewDecoder(f)
	if err := dec.Decode(into); err != nil {
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return errors.New("the JSON is cut off")
		}
		return fmt.Errorf("at byte %d: %w", dec.InputOffset(), err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("at byte %d: something follows the JSON value", dec.InputOffset())
	}
	return nil
}
