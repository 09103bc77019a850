package check

import (
	"slices"

	"aloft/tasks/check/custom"
	"aloft/tasks/check/engine"
	"aloft/tasks/check/frame"
	"aloft/tasks/check/schema"
)

// placed are the items, told where the files are and what the schema says.
func (s *SuiteSpec) placed(dir string) ([]engine.Item, error) {
	columns, err := s.loadSchema(dir)
	if err != nil {
		return nil, err
	}
	place := custom.Place{
		Dir: dir, NA: s.NA, Seed: s.Seed,
		Train: custom.Source{Files: expanded(dir, s.Train), Predictions: expanded(dir, s.TrainPredictions)},
		Test:  custom.Source{Files: expanded(dir, s.Test), Predictions: expanded(dir, s.TestPredictions)},
	}
	place.TrainImages, place.TestImages = s.Images.Train.source(), s.Images.Test.source()
	items := slices.Clone(s.items)
	for i := range items {
		switch c := items[i].Check.(type) {
		case *custom.Check:
			items[i].Check = c.At(place)
		case *schema.Check:
			items[i].Check = c.With(columns)
		}
	}
	return items, nil
}

// expanded names the files that patterns stand for, relative to dir. They
// were read before.
func expanded(dir string, patterns []string) []string {
	files, err := frame.Expand(dir, patterns)
	if err != nil {
		return patterns
	}
	var names []string
	for _, f := range files {
		names = append(names, f.Name)
	}
	return names
}

// source names the files of images for commands.
func (s *ImageSource) source() custom.ImageSource {
	if s == nil {
		return custom.ImageSource{}
	}
	return custom.ImageSource{Form: s.Form, Images: s.Images, Table: s.Table, Labels: s.Labels, Predictions: s.Predictions}
}

func isCommand(c engine.Check) bool {
	_, ok := c.(*custom.Check)
	return ok
}
