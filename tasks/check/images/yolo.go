package images

import (
	"bufio"
	"fmt"
	"math"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
)

// YOLO reads an object detection: a folder of images, one of label files with
// the same names and the ending .txt (class, then centre, width and height in
// shares of the image), and, unless "", one of predictions, whose lines end
// with the confidence. An image without a label file has no objects.
func YOLO(dir, labels, predictions string) (*Dataset, error) {
	files, err := Files(dir)
	if err != nil {
		return nil, fmt.Errorf("read images of %s: %w", dir, err)
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("read images of %s: there is no image in it (%s)", dir, strings.Join(Extensions(), ", "))
	}
	for _, folder := range []string{labels, predictions} {
		if folder == "" {
			continue
		}
		if info, err := os.Stat(folder); err != nil || !info.IsDir() {
			return nil, fmt.Errorf("read YOLO labels: %s is no folder", folder)
		}
	}
	d := &Dataset{}
	for _, f := range files {
		e := Entry{ID: f, File: filepath.Join(dir, filepath.FromSlash(f)), Relative: true}
		text := strings.TrimSuffix(f, path.Ext(f)) + ".txt"
		boxes, err := yoloFile(filepath.Join(labels, filepath.FromSlash(text)), false)
		if err != nil {
			e.Fault = fmt.Sprintf("its label: %v", err)
		}
		e.Label = &Label{Boxes: boxes}
		if predictions != "" {
			if boxes, err = yoloFile(filepath.Join(predictions, filepath.FromSlash(text)), true); err != nil {
				e.Fault = fmt.Sprintf("its prediction: %v", err)
			}
			e.Prediction = &Prediction{Boxes: boxes}
		}
		d.Entries = append(d.Entries, e)
	}
	return d, nil
}

// yoloFile reads the boxes of one image; a file that is not there has none.
func yoloFile(path string, scored bool) ([]Box, error) {
	f, err := os.Open(path)
	if os.IsNotExist(err) {
		return []Box{}, nil
	}
	if err != nil {
		return nil, cause(err)
	}
	defer f.Close()
	out := []Box{}
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		if strings.TrimSpace(lines.Text()) == "" {
			continue
		}
		b, err := yoloLine(lines.Text(), scored)
		if err != nil {
			return nil, fmt.Errorf("%s line %d: %w", path, n, err)
		}
		out = append(out, b)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return out, nil
}

func yoloLine(line string, scored bool) (Box, error) {
	fields := strings.Fields(line)
	want, form := 5, "class x y width height"
	if scored {
		want, form = 6, "class x y width height confidence"
	}
	if len(fields) != want {
		return Box{}, fmt.Errorf("%d fields where %d are expected: %s", len(fields), want, form)
	}
	class, err := strconv.Atoi(fields[0])
	if err != nil || class < 0 || class >= MaxClasses {
		return Box{}, fmt.Errorf("the class must be a number from 0 to %d, not %q", MaxClasses-1, fields[0])
	}
	v := [5]float64{4: 1}
	for i, text := range fields[1:] {
		v[i], err = strconv.ParseFloat(text, 64)
		if err != nil || math.IsNaN(v[i]) || v[i] < 0 || v[i] > 1.000001 {
			return Box{}, fmt.Errorf("%q is no share from 0 to 1 (%s)", text, form)
		}
	}
	return Box{Class: class, X: v[0], Y: v[1], W: v[2], H: v[3], Score: v[4]}, nil
}
