// Package model holds the checks that compare a model's stored predictions
// with the labels: scores on train and test, ROC curves, confusion.
package model

import "aloft/tasks/check/engine"

// Checks lists the definitions of the family in the order of the
// model_evaluation suite.
func Checks() []*engine.Definition {
	return []*engine.Definition{performance(), rocReport(), confusionMatrix(), predictionDrift()}
}

// largeSample is how many rows the checks of this family look at by default.
const largeSample = 1_000_000
