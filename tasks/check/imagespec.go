package check

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/images"
)

// ImageSpec is what a suite document says of images.
type ImageSpec struct {
	Task        images.Task
	Train, Test *ImageSource
	// Classes names classes by number; nil takes the names that the data have.
	Classes map[int]string
	// MaxSamples bounds the images read of each data set, 0 for none.
	MaxSamples int
	// Streamed sets come from a program rather than from files: Train and Test
	// are nil, and the sets are given to RunImages.
	Streamed bool
}

// ImageSource is one data set of images on disk.
type ImageSource struct {
	// Form is how labels are written: one of ImageForms.
	Form string
	// Images is the folder of images.
	Images string
	// Labels and Predictions are files or folders, by the form; "" for none.
	Labels, Predictions string
	// Table is the table of the form "table".
	Table string
}

// The forms of data sets of images.
const (
	formFolder = "folder" // a folder for each class
	formTable  = "table"  // a table with the columns image, label, proba_<class>
	formCOCO   = "coco"
	formYOLO   = "yolo"
	formMasks  = "masks"
)

// ImageForms lists the forms of data sets of images.
func ImageForms() []string { return []string{formFolder, formTable, formCOCO, formYOLO, formMasks} }

// imageDocument reads the keys of a document on images.
func (d *decoder) imageDocument(n *yaml.Node) {
	s := d.spec
	d.mapping("", n, []entry{
		{"kind", d.readKind},
		{"name", d.text(&s.Name)},
		{"include", d.include},
		{"define", d.define},
		{"suites", d.suites},
		{"suite_params", d.suiteParams},
		{"checks", d.checks},
		{"train", func(p string, n *yaml.Node) { s.Images.Train = d.imageSource(p, n) }},
		{"test", func(p string, n *yaml.Node) { s.Images.Test = d.imageSource(p, n) }},
		{"task_type", func(p string, n *yaml.Node) {
			var t string
			d.choice(&t, images.Tasks()...)(p, n)
			s.Images.Task = images.Task(t)
		}},
		{"label_map", d.labelMap},
		{"max_samples", d.atLeastOne(&s.Images.MaxSamples)},
		{"seed", d.seed},
		{"fail_on", d.failOn},
		{"compat", d.compat},
	})
}

// atLeastOne reads a number of images.
func (d *decoder) atLeastOne(to *int) func(string, *yaml.Node) {
	return func(path string, n *yaml.Node) {
		v, err := strconv.Atoi(n.Value)
		if n.Kind != yaml.ScalarNode || err != nil || v < 1 {
			d.fault(n, path, "must be a number of images, at least 1, not %s", describe(n))
			return
		}
		*to = v
	}
}

// labelMap reads the names of classes, by number or in their order.
func (d *decoder) labelMap(path string, n *yaml.Node) {
	out := make(map[int]string)
	switch n.Kind {
	case yaml.SequenceNode:
		for i, e := range n.Content {
			d.className(out, i)(fmt.Sprintf("%s[%d]", path, i), resolve(e))
		}
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := n.Content[i]
			class, err := strconv.Atoi(key.Value)
			if err != nil || class < 0 || class >= images.MaxClasses {
				d.fault(key, path, "%q is no number of a class from 0 to %d", key.Value, images.MaxClasses-1)
				continue
			}
			d.className(out, class)(path+"."+key.Value, resolve(n.Content[i+1]))
		}
	default:
		d.fault(n, path, "must be a mapping of numbers of classes to names, or a list of names, not %s", describe(n))
		return
	}
	d.spec.Images.Classes = out
}

// className reads the name of one class.
func (d *decoder) className(to map[int]string, class int) func(string, *yaml.Node) {
	return func(path string, n *yaml.Node) {
		if n.Kind != yaml.ScalarNode || n.Value == "" {
			d.fault(n, path, "must be the name of a class, not %s", describe(n))
			return
		}
		to[class] = n.Value
	}
}

// imageSource reads where a data set is: a folder of classes, a table, or a
// mapping that says more.
func (d *decoder) imageSource(path string, n *yaml.Node) *ImageSource {
	s := &ImageSource{}
	if n.Kind == yaml.ScalarNode && n.Value != "" {
		s.Form, s.Images = formFolder, n.Value
		if ext := filepath.Ext(n.Value); slices.Contains([]string{".csv", ".jsonl", ".parquet", ".arrow"}, ext) {
			s.Form, s.Table, s.Images = formTable, n.Value, filepath.Dir(n.Value)
		}
		return s
	}
	before := len(d.problems)
	d.mapping(path, n, []entry{
		{"format", d.choice(&s.Form, ImageForms()...)},
		{"images", d.text(&s.Images)},
		{"table", d.text(&s.Table)},
		{"labels", d.text(&s.Labels)},
		{"predictions", d.text(&s.Predictions)},
	})
	if len(d.problems) > before {
		return s
	}
	if s.Form == "" {
		s.Form = guessForm(s)
	}
	need := func(key, value string) {
		if value == "" {
			d.fault(n, path, "the format %s needs %q", s.Form, key)
		}
	}
	refuse := func(key, value string) {
		if value != "" {
			d.fault(n, path, "the format %s has no %q", s.Form, key)
		}
	}
	switch s.Form {
	case formFolder:
		need("images", s.Images)
		refuse("labels", s.Labels)
		refuse("predictions", s.Predictions)
		refuse("table", s.Table)
	case formTable:
		need("table", s.Table)
		s.Images = cmp.Or(s.Images, filepath.Dir(s.Table))
	default:
		need("images", s.Images)
		need("labels", s.Labels)
		refuse("table", s.Table)
	}
	return s
}

// guessForm tells the form by what is given.
func guessForm(s *ImageSource) string {
	switch {
	case s.Table != "":
		return formTable
	case strings.HasSuffix(s.Labels, ".json"):
		return formCOCO
	case s.Labels != "":
		return formYOLO
	}
	return formFolder
}

// wholeImages checks what no single key can tell.
func (d *decoder) wholeImages(n *yaml.Node, faulty func(string) bool) {
	s := d.spec
	at := func(key string) *yaml.Node { return &yaml.Node{Line: cmp.Or(s.lines[key], n.Line)} }
	i := &s.Images
	if i.Train == nil && i.Test == nil {
		i.Streamed = true
	}
	if i.Train == nil && i.Test != nil && !faulty("train") {
		d.fault(at("test"), "test", "a single data set goes under \"train\"")
	}
	if i.Task == "" && !faulty("task_type") {
		i.Task = images.Classification
		if i.Train != nil && (i.Train.Form == formCOCO || i.Train.Form == formYOLO) {
			i.Task = images.ObjectDetection
		}
		if i.Train != nil && i.Train.Form == formMasks {
			i.Task = images.Segmentation
		}
	}
	for _, part := range []struct {
		key string
		src *ImageSource
	}{{"train", i.Train}, {"test", i.Test}} {
		if part.src == nil || part.src.Form == "" || len(d.problems) > 0 {
			continue
		}
		fits := map[string][]images.Task{
			formFolder: {images.Classification, images.Other}, formTable: {images.Classification, images.ObjectDetection, images.Other},
			formCOCO: {images.ObjectDetection}, formYOLO: {images.ObjectDetection}, formMasks: {images.Segmentation},
		}[part.src.Form]
		if !slices.Contains(fits, i.Task) {
			d.fault(at(part.key), part.key, "the format %s holds no labels of the task %s", part.src.Form, i.Task)
		}
	}
	for _, suite := range s.builtins() {
		if suite == TrainTestValidation && i.Test == nil && !i.Streamed {
			d.fault(at("suites"), "suites", "%s compares two data sets: add \"test\"", suite)
		}
		if suite == ModelEvaluation && i.Train != nil && i.Train.Predictions == "" && i.Train.Form != formTable {
			d.fault(at("suites"), "suites", "%s needs predictions: add \"predictions\" to \"train\"", suite)
		}
	}
}

// loadImages reads the data sets that the document names. What is wrong with
// single images is in the sets.
func (s *SuiteSpec) loadImages(ctx context.Context, dir string) (*engine.Inputs, error) {
	in := &engine.Inputs{Name: s.Name, Seed: s.Seed, Mode: s.Compat}
	if s.Images.Streamed {
		return nil, &SpecError{File: s.file, Problems: []Problem{{Message: "no data: add \"train\" with a folder of images, a table, or a mapping with images and labels"}}}
	}
	if in.Name == "" {
		in.Name = s.Images.Train.base()
		if s.Images.Test != nil {
			in.Name += " and " + s.Images.Test.base()
		}
	}
	train, err := s.imageSet(ctx, dir, "train", s.Images.Train, s.Images.Classes)
	if err != nil {
		return nil, err
	}
	in.TrainImages = train
	if s.Images.Test != nil {
		if in.TestImages, err = s.imageSet(ctx, dir, "test", s.Images.Test, train.Classes); err != nil {
			return nil, err
		}
	}
	return in, nil
}

// ImageOptions are what is to be kept of each data set for the document's
// checks.
func (s *SuiteSpec) ImageOptions() images.Options {
	return images.Options{
		Name: s.Name, Task: s.Images.Task, Classes: s.Images.Classes, MaxSamples: s.Images.MaxSamples, Crops: s.Images.Task == images.ObjectDetection,
	}
}

func (s *SuiteSpec) imageSet(ctx context.Context, dir, key string, src *ImageSource, like map[int]string) (*images.Set, error) {
	at := func(name string) string {
		if name == "" || filepath.IsAbs(name) {
			return name
		}
		return filepath.Join(dir, name)
	}
	var d *images.Dataset
	var err error
	switch src.Form {
	case formFolder:
		d, err = images.Folder(at(src.Images), like)
	case formTable:
		d, err = images.FromTables(images.Tables{Table: at(src.Table), Boxes: at(src.Labels), Predictions: at(src.Predictions), Dir: at(src.Images)}, s.Images.Task, like)
	case formCOCO:
		d, err = images.COCO(at(src.Images), at(src.Labels), at(src.Predictions))
	case formYOLO:
		d, err = images.YOLO(at(src.Images), at(src.Labels), at(src.Predictions))
	case formMasks:
		d, err = images.Masks(at(src.Images), at(src.Labels), at(src.Predictions))
	}
	if err != nil {
		return nil, &SpecError{File: s.file, Problems: []Problem{{Line: s.line(key), Path: key, Message: err.Error()}}}
	}
	o := s.ImageOptions()
	o.Name = src.base()
	if len(d.Classes) > 0 && s.Images.Classes == nil {
		o.Classes = d.Classes
	}
	return images.Read(ctx, d, o)
}

// base names a data set in reports.
func (s *ImageSource) base() string {
	return filepath.Base(cmp.Or(s.Table, s.Images))
}
