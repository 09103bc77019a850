// Package check validates data and models: it reads a suite document, loads
// the tables it names, runs the checks and judges the results. The engine,
// the tables, the families of checks and the reports are packages below it.
package check

import (
	"slices"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/integrity"
	"aloft/tasks/check/model"
	"aloft/tasks/check/split"
)

// Report is the outcome of a suite document.
type Report = engine.Report

// FailOn says from which verdict on a report fails.
type FailOn = engine.FailOn

// The suites that may be named.
const (
	DataIntegrity       = "data_integrity"
	TrainTestValidation = "train_test_validation"
	ModelEvaluation     = "model_evaluation"
	FullSuite           = "full_suite"
)

// Registry returns the checks that may be named.
func Registry() (*engine.Registry, error) {
	return engine.NewRegistry(integrity.Checks(), split.Checks(), model.Checks())
}

// SuiteNames lists the suites that may be named.
func SuiteNames() []string {
	return []string{DataIntegrity, TrainTestValidation, ModelEvaluation, FullSuite}
}

// SuiteChecks lists the definitions of a suite in their order; nil for an
// unknown name.
func SuiteChecks(name string) []*engine.Definition {
	switch name {
	case DataIntegrity:
		return integrity.Checks()
	case TrainTestValidation:
		return split.Checks()
	case ModelEvaluation:
		return model.Checks()
	case FullSuite:
		return slices.Concat(model.Checks(), split.Checks(), integrity.Checks())
	}
	return nil
}
