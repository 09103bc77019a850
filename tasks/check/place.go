package check

import (
	"slices"

	"aloft/tasks/check/custom"
	"aloft/tasks/check/engine"
)

// placed are the items, their commands told where the files are.
func (s *SuiteSpec) placed(dir string) []engine.Item {
	place := custom.Place{
		Dir: dir, NA: s.NA, Seed: s.Seed,
		Train: custom.Source{Files: files(s.Train), Predictions: s.TrainPredictions},
		Test:  custom.Source{Files: files(s.Test), Predictions: s.TestPredictions},
	}
	items := slices.Clone(s.items)
	for i := range items {
		if c, ok := items[i].Check.(*custom.Check); ok {
			items[i].Check = c.At(place)
		}
	}
	return items
}

func files(file string) []string {
	if file == "" {
		return nil
	}
	return []string{file}
}
