// Package check validates data and models: it reads a suite document, loads
// the tables it names, runs the checks and judges the results. The engine,
// the tables, the families of checks and the reports are packages below it.
package check

import (
	"slices"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/integrity"
	"aloft/tasks/check/model"
	"aloft/tasks/check/nlp"
	"aloft/tasks/check/schema"
	"aloft/tasks/check/split"
	"aloft/tasks/check/vision"
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
	ProductionSuite     = "production_suite"
)

// Kind is a kind of data. Each has checks and suites of its own, some of them
// with the same names.
type Kind string

// The kinds.
const (
	Tabular Kind = engine.KindTabular
	Vision  Kind = engine.KindVision
	NLP     Kind = engine.KindNLP
)

// Kinds lists the kinds of data.
func Kinds() []Kind { return []Kind{Tabular, Vision, NLP} }

// Registry returns the checks that may be named.
func (k Kind) Registry() (*engine.Registry, error) {
	switch k {
	case Vision:
		return engine.NewRegistry(vision.Integrity(), vision.Split(), vision.Model(), vision.Extra())
	case NLP:
		return engine.NewRegistry(nlp.Integrity(), nlp.Split(), nlp.Model(), nlp.Extra())
	}
	return engine.NewRegistry(integrity.Checks(), integrity.Extra(), split.Checks(), model.Checks(), model.Extra(), schema.Checks())
}

// SuiteNames lists the suites that may be named.
func (k Kind) SuiteNames() []string {
	if k != Tabular {
		return []string{DataIntegrity, TrainTestValidation, ModelEvaluation, FullSuite}
	}
	return []string{DataIntegrity, TrainTestValidation, ModelEvaluation, FullSuite, ProductionSuite}
}

// SuiteChecks lists the definitions of a suite in their order, with its
// parameters at their defaults; nil for an unknown name.
func (k Kind) SuiteChecks(name string) []*engine.Definition {
	var out []*engine.Definition
	for _, use := range k.suiteUses(name, nil) {
		out = append(out, use.def)
	}
	return out
}

// use is a check as a suite uses it.
type use struct {
	def        *engine.Definition
	params     map[string]any
	conditions []engine.Use // nil: the defaults
}

func plainUses(groups ...[]*engine.Definition) []use {
	var out []use
	for _, d := range slices.Concat(groups...) {
		out = append(out, use{def: d})
	}
	return out
}

// suiteUses lists the checks of a suite under its own parameters, which are
// complete or nil for the defaults.
func (k Kind) suiteUses(name string, args engine.Args) []use {
	switch k {
	case Vision:
		return sampleUses(name, vision.Integrity, vision.Split, vision.Model)
	case NLP:
		return sampleUses(name, nlp.Integrity, nlp.Split, nlp.Model)
	}
	switch name {
	case DataIntegrity:
		return plainUses(integrity.Checks())
	case TrainTestValidation:
		return plainUses(split.Checks())
	case ModelEvaluation:
		return plainUses(model.Checks())
	case FullSuite:
		return plainUses(model.Checks(), split.Checks(), integrity.Checks())
	case ProductionSuite:
		return productionUses(args)
	}
	return nil
}

// sampleUses lists the checks of a suite of images or texts.
func sampleUses(name string, integrity, split, model func() []*engine.Definition) []use {
	switch name {
	case DataIntegrity:
		return plainUses(integrity())
	case TrainTestValidation:
		return plainUses(split())
	case ModelEvaluation:
		return plainUses(model())
	case FullSuite:
		return plainUses(model(), split(), integrity())
	}
	return nil
}
