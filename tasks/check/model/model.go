// Package model holds the checks that judge a model: its stored predictions
// against the labels, its errors and weak spots, and, where one runs, the
// live model itself.
package model

import "aloft/tasks/check/engine"

// Checks lists the definitions of the family in the order of the
// model_evaluation suite.
func Checks() []*engine.Definition {
	return []*engine.Definition{
		performance(), rocReport(), confusionMatrix(), predictionDrift(), simpleComparison(), weakSegments(),
		calibration(), errorDistribution(), unusedFeatures(), boostingOverfit(), inferenceTime(),
	}
}

// Extra lists the definitions of the family that stand in no suite.
func Extra() []*engine.Definition {
	return []*engine.Definition{
		modelInfo(), multiModel(), singlePerformance(), segmentPerformance(), performanceBias(), systematicError(),
	}
}

// largeSample is how many rows the checks of this family look at by default.
const largeSample = 1_000_000
