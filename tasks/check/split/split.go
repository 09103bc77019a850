// Package split holds the checks that compare the train table with the test
// table: sizes, labels that only one of them has.
package split

import "aloft/tasks/check/engine"

// Checks lists the definitions of the family in the order of the
// train_test_validation suite.
func Checks() []*engine.Definition {
	return []*engine.Definition{
		sizes(), newLabels(), newCategories(), stringMismatch(), dateDuplicates(), dateOverlap(), indexLeakage(), samplesMix(),
		featureLabelCorrelationChange(), featureDrift(), labelDrift(), multivariateDrift(),
	}
}
