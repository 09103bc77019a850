// Package vision holds the checks of images: of classification, object
// detection and semantic segmentation. They read sets of records, never
// pixels.
package vision

import "aloft/tasks/check/engine"

// Integrity lists the checks of the suite data_integrity.
func Integrity() []*engine.Definition {
	return []*engine.Definition{imageOutliers(), labelOutliers(), propertyCorrelation()}
}

// Split lists the checks of the suite train_test_validation.
func Split() []*engine.Definition {
	return []*engine.Definition{newLabels(), heatmapComparison(), labelDrift(), imagePropertyDrift(), imageDatasetDrift(), correlationChange()}
}

// Model lists the checks of the suite model_evaluation.
func Model() []*engine.Definition {
	return []*engine.Definition{
		classPerformance(), averagePrecision(), averageRecall(), predictionDrift(), simpleComparison(), confusionMatrix(), weakSegments(),
	}
}

// Extra lists the checks of no suite.
func Extra() []*engine.Definition { return []*engine.Definition{singlePerformance()} }
