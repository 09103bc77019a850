// Package nlp holds the checks of texts: of classification of texts and of
// their tokens. Properties and metadata are checked by the checks of tables,
// on tables made out of them.
package nlp

import "aloft/tasks/check/engine"

// Integrity lists the checks of the suite data_integrity.
func Integrity() []*engine.Definition {
	return []*engine.Definition{
		propertyOutliers(), unknownTokens(), underAnnotated(properties()), underAnnotated(metadata()), propertyCorrelation(),
		conflictingLabels(), textDuplicates(), specialCharacters(), frequentSubstrings(),
	}
}

// Split lists the checks of the suite train_test_validation.
func Split() []*engine.Definition {
	return []*engine.Definition{propertyDrift(), labelDrift(), embeddingsDrift(), samplesMix()}
}

// Model lists the checks of the suite model_evaluation.
func Model() []*engine.Definition {
	return []*engine.Definition{predictionDrift(), performance(), segments(properties()), segments(metadata())}
}

// Extra lists the checks of no suite.
func Extra() []*engine.Definition {
	return []*engine.Definition{confusionMatrix(), singlePerformance()}
}
