// Package integrity holds the checks that look at one table for itself:
// columns without content, several spellings of "missing", rows that repeat
// or contradict each other.
package integrity

import (
	"slices"

	"aloft/tasks/check/engine"
)

// Checks lists the definitions of the family in the order of the
// data_integrity suite.
func Checks() []*engine.Definition {
	return []*engine.Definition{
		isSingleValue(), specialCharacters(), mixedNulls(), mixedDataTypes(), stringMismatch(), dataDuplicates(), stringLengthOutOfBounds(), conflictingLabels(), outlierSampleDetection(),
		featureLabelCorrelation(), featureFeatureCorrelation(), identifierLabelCorrelation(),
	}
}

// Extra lists the definitions of the family that are in no suite.
func Extra() []*engine.Definition {
	return []*engine.Definition{percentOfNulls(), columnsInfo(), classImbalance()}
}

// largeSample is how many rows the checks of this family look at by default.
const largeSample = 10_000_000

func params(groups ...[]engine.Param) []engine.Param { return slices.Concat(groups...) }

func nToShow() []engine.Param {
	return []engine.Param{{Name: "n_to_show", Type: engine.IntParam, Default: 5, Min: 0, Max: 1000, Doc: "groups of rows to show"}}
}
