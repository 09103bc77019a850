package images

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// maxEntries bounds the images of a data set.
const maxEntries = 20_000_000

// Files lists the image files below a folder by their paths within it, in the
// order of their names.
func Files(dir string) ([]string, error) {
	var out []string
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case strings.HasPrefix(d.Name(), ".") && p != dir:
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		case d.IsDir() || !IsImage(d.Name()):
			return nil
		case len(out) == maxEntries:
			return fmt.Errorf("it has more than %d images", maxEntries)
		}
		rel, err := filepath.Rel(dir, p)
		if err != nil {
			return err
		}
		out = append(out, filepath.ToSlash(rel))
		return nil
	})
	if err != nil {
		return nil, cause(err)
	}
	return out, nil
}

// Folder reads a folder of a classification: each folder in it is a class,
// numbered in the order of the names, as torchvision's ImageFolder does. A
// folder without folders is a set of images without labels. Like names the
// classes of another folder, whose numbers are kept.
func Folder(dir string, like map[int]string) (*Dataset, error) {
	info, err := os.Stat(dir)
	switch {
	case err != nil:
		return nil, fmt.Errorf("read images of %s: %w", dir, cause(err))
	case !info.IsDir():
		return nil, fmt.Errorf("read images of %s: it is no folder", dir)
	}
	files, err := Files(dir)
	if err != nil {
		return nil, fmt.Errorf("read images of %s: %w", dir, err)
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("read images of %s: there is no image in it (%s)", dir, strings.Join(Extensions(), ", "))
	}
	numbers, d := make(map[string]int), &Dataset{Classes: make(map[int]string)}
	for class, name := range like {
		numbers[name], d.Classes[class] = class, name
	}
	var names []string
	for _, f := range files {
		if class, _, below := strings.Cut(f, "/"); below && !slices.Contains(names, class) {
			names = append(names, class)
		}
	}
	for _, name := range names {
		if _, known := numbers[name]; !known {
			n := len(numbers)
			for d.Classes[n] != "" {
				n++
			}
			numbers[name], d.Classes[n] = n, name
		}
	}
	for _, f := range files {
		e := Entry{ID: f, File: filepath.Join(dir, filepath.FromSlash(f))}
		class, _, below := strings.Cut(f, "/")
		switch {
		case below:
			e.Label = &Label{Class: numbers[class]}
		case len(names) > 0:
			e.Fault = "it lies beside the folders of the classes, so it has no class"
		}
		d.Entries = append(d.Entries, e)
	}
	if len(names) == 0 {
		d.Classes = nil
	}
	return d, nil
}

// Masks reads a segmentation: a folder of images, and one of masks with the
// same names (any image type or .npy); predictions may be a third, or "".
func Masks(dir, masks, predictions string) (*Dataset, error) {
	files, err := Files(dir)
	if err != nil {
		return nil, fmt.Errorf("read images of %s: %w", dir, err)
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("read images of %s: there is no image in it (%s)", dir, strings.Join(Extensions(), ", "))
	}
	d := &Dataset{}
	for _, f := range files {
		e := Entry{ID: f, File: filepath.Join(dir, filepath.FromSlash(f))}
		if masks != "" {
			if e.MaskFile = partner(masks, f); e.MaskFile == "" {
				e.Fault = fmt.Sprintf("there is no mask of it in %s", masks)
			}
		}
		if predictions != "" {
			if e.PredictionFile = partner(predictions, f); e.PredictionFile == "" {
				e.Fault = fmt.Sprintf("there is no predicted mask of it in %s", predictions)
			}
		}
		d.Entries = append(d.Entries, e)
	}
	return d, nil
}

// partner finds the file of the same name, but for its ending, in another
// folder; "" if there is none.
func partner(dir, file string) string {
	stem := strings.TrimSuffix(file, path.Ext(file))
	for _, ext := range []string{".png", ".npy", path.Ext(file), ".webp", ".gif"} {
		name := filepath.Join(dir, filepath.FromSlash(stem+ext))
		if _, err := os.Stat(name); err == nil {
			return name
		}
	}
	return ""
}

// errNoRegular tells that something is no file.
var errNoRegular = errors.New("it is no regular file")
