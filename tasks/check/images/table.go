package images

import (
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"aloft/tasks/check/frame"
)

// Tables name the tables of a data set: CSV, JSON lines, Parquet or Arrow.
type Tables struct {
	// Table has a row for each image: the column image, and in a
	// classification label and, with predictions, proba_<class number or name>.
	Table string
	// Boxes and Predictions are the tables of an object detection: image,
	// class_id, x, y, w, h, and of predictions score; "" for none.
	Boxes, Predictions string
	// Dir is the folder that paths of images are within.
	Dir string
}

// Columns of tables, and what else they may be called.
const (
	columnImage = "image"
	columnLabel = "label"
	columnProba = "proba_"
)

// FromTables reads a data set whose labels and predictions are in tables.
// Labels that are texts are classes by name, numbered as like says and beyond
// it in the order of their names.
func FromTables(t Tables, task Task, like map[int]string) (*Dataset, error) {
	table, err := readTable(t.Table)
	if err != nil {
		return nil, err
	}
	img, err := table.Lookup(columnImage)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", t.Table, err)
	}
	d := &Dataset{Classes: like}
	at := make(map[string]int, table.Rows())
	for i := range table.Rows() {
		name := img.Value(i).String()
		e := Entry{ID: name}
		switch e.File = within(t.Dir, name); {
		case img.IsNull(i):
			e.ID, e.Fault = fmt.Sprintf("row %d", i+1), "the row names no image"
		case e.File == "":
			e.Fault = "its name leads out of the folder of images"
		}
		if _, twice := at[name]; twice && task == ObjectDetection {
			e.Fault = "the table names it twice"
		}
		at[name] = i
		d.Entries = append(d.Entries, e)
	}
	if task == ObjectDetection {
		return d, d.boxTables(t, at)
	}
	return d, d.classColumns(t.Table, table)
}

func readTable(path string) (*frame.Table, error) {
	table, err := frame.Read([]frame.File{{Path: path}}, frame.Options{Types: map[string]frame.Kind{columnImage: frame.Text}})
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return table, nil
}

// classColumns takes labels and probabilities of a classification.
func (d *Dataset) classColumns(path string, table *frame.Table) error {
	label := table.Column(columnLabel)
	numbers := make(map[string]int)
	for n, name := range d.Classes {
		numbers[name] = n
	}
	var names []string
	if label != nil && !label.Kind().Numeric() {
		for _, v := range label.Levels() {
			names = append(names, v.String())
		}
	}
	var proba []*frame.Column
	for _, c := range table.Columns() {
		if class, ok := strings.CutPrefix(c.Name(), columnProba); ok {
			if _, err := strconv.Atoi(class); err != nil {
				names = append(names, class)
			}
			proba = append(proba, c)
		}
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		if _, known := numbers[name]; known {
			continue
		}
		if d.Classes == nil {
			d.Classes = make(map[int]string)
		}
		n := len(d.Classes)
		for d.Classes[n] != "" {
			n++
		}
		numbers[name], d.Classes[n] = n, name
	}
	order := make([]int, len(proba))
	most := 0
	for k, c := range proba {
		class := strings.TrimPrefix(c.Name(), columnProba)
		n, err := strconv.Atoi(class)
		if err != nil {
			n = numbers[class]
		}
		if n < 0 || n >= MaxClasses || !c.Kind().Numeric() {
			return fmt.Errorf("read %s: the column %s must hold numbers and name a class from 0 to %d", path, c.Name(), MaxClasses-1)
		}
		order[k], most = n, max(most, n+1)
	}
	if most > len(proba) {
		return fmt.Errorf("read %s: there are %d columns %s<class>, but the largest class is %d: every class needs one", path, len(proba), columnProba, most-1)
	}
	for i := range d.Entries {
		e := &d.Entries[i]
		if label != nil && !label.IsNull(i) {
			if label.Kind().Numeric() {
				v := label.Float(i)
				if v != math.Trunc(v) || v < 0 || v >= MaxClasses {
					e.Fault = fmt.Sprintf("its label %s is no class from 0 to %d", label.Value(i), MaxClasses-1)
				}
				e.Label = &Label{Class: int(v)}
			} else {
				e.Label = &Label{Class: numbers[label.Value(i).String()]}
			}
		}
		if len(proba) > 0 {
			e.Prediction = &Prediction{Proba: make([]float64, most)}
			for k, c := range proba {
				e.Prediction.Proba[order[k]] = c.Float(i)
				if c.IsNull(i) {
					e.Fault = fmt.Sprintf("it has no %s", c.Name())
				}
			}
		}
	}
	return nil
}

// boxTables takes the boxes of an object detection.
func (d *Dataset) boxTables(t Tables, at map[string]int) error {
	for _, part := range []struct {
		path   string
		scored bool
	}{{t.Boxes, false}, {t.Predictions, true}} {
		if part.path == "" {
			continue
		}
		for i := range d.Entries {
			if part.scored {
				d.Entries[i].Prediction = &Prediction{Boxes: []Box{}}
			} else {
				d.Entries[i].Label = &Label{Boxes: []Box{}}
			}
		}
		table, err := readTable(part.path)
		if err != nil {
			return err
		}
		names := []string{columnImage, "class_id", "x", "y", "w", "h"}
		if part.scored {
			names = append(names, "score")
		}
		columns := make([]*frame.Column, len(names))
		for k, name := range names {
			if columns[k], err = table.Lookup(name); err != nil {
				return fmt.Errorf("read %s: %w", part.path, err)
			}
			if k > 0 && !columns[k].Kind().Numeric() {
				return fmt.Errorf("read %s: the column %s must hold numbers, it is %s", part.path, name, columns[k].Kind())
			}
		}
		for row := range table.Rows() {
			name := columns[0].Value(row).String()
			k, known := at[name]
			if !known {
				return fmt.Errorf("read %s: row %d is of the image %q, which %s does not name", part.path, row+1, name, filepath.Base(t.Table))
			}
			v := [7]float64{6: 1}
			for c := 1; c < len(columns); c++ {
				if v[c] = columns[c].Float(row); columns[c].IsNull(row) {
					v[c] = math.NaN()
				}
			}
			e := &d.Entries[k]
			if v[1] != math.Trunc(v[1]) || v[1] < 0 || v[1] >= MaxClasses {
				e.Fault = fmt.Sprintf("row %d of %s has no class from 0 to %d", row+1, part.path, MaxClasses-1)
				continue
			}
			b := Box{Class: int(v[1]), X: v[2], Y: v[3], W: v[4], H: v[5], Score: v[6]}
			if part.scored {
				e.Prediction.Boxes = append(e.Prediction.Boxes, b)
			} else {
				e.Label.Boxes = append(e.Label.Boxes, b)
			}
		}
	}
	return nil
}
