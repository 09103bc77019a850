package check

import (
	"slices"

	"aloft/tasks/check/custom"
	"aloft/tasks/check/engine"
	"aloft/tasks/check/frame"
)

// placed are the items, their commands told where the files are.
func (s *SuiteSpec) placed(dir string) []engine.Item {
	place := custom.Place{
		Dir: dir, NA: s.NA, Seed: s.Seed,
		Train: custom.Source{Files: expanded(dir, s.Train), Predictions: expanded(dir, s.TrainPredictions)},
		Test:  custom.Source{Files: expanded(dir, s.Test), Predictions: expanded(dir, s.TestPredictions)},
	}
	items := slices.Clone(s.items)
	for i := range items {
		if c, ok := items[i].Check.(*custom.Check); ok {
			items[i].Check = c.At(place)
		}
	}
	return items
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
