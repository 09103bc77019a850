// Package text holds sets of texts: the texts or their tokens, with labels,
// metadata, properties, embeddings and what a model answered. It reads them out
// of tables and computes the properties that need no model and no dictionary.
package text

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"aloft/tasks/check/frame"
)

// Task is what labels and predictions are of.
type Task string

// The tasks.
const (
	Classification Task = "text_classification"
	Tokens         Task = "token_classification"
	Other          Task = "other"
)

// Tasks lists the tasks that may be named.
func Tasks() []string { return []string{string(Classification), string(Tokens), string(Other)} }

// Set is one data set of texts. Everything it has is row by row.
type Set struct {
	Name string
	Task Task
	// Texts are the raw texts; of tokenised texts, their tokens joined by
	// blanks.
	Texts []string
	// Missing tells which texts are missing; nil when none is.
	Missing []bool
	// Tokens are the tokens of each text; nil where only raw texts are known.
	Tokens [][]string
	// Label holds the class of each text; nil without labels.
	Label *frame.Column
	// Tags are the labels of tokens in IOB notation, nil for a text without;
	// the whole is nil when the task is not of tokens.
	Tags [][]string
	// Multi are the labels of each text where it may have several (multilabel),
	// nil for a text without; the whole is nil where each has one. Label is nil
	// then. PredictedMulti are those predicted.
	Multi, PredictedMulti [][]string
	// Metadata and Properties are nil when absent.
	Metadata, Properties *Columns
	// Skipped are properties that were wanted and not computed.
	Skipped []Skipped
	// Embeddings are the rows of a matrix, nil when absent.
	Embeddings [][]float32
	// Predicted is the class predicted for each text; nil without.
	Predicted *frame.Column
	// PredictedTags are the tags predicted for tokens.
	PredictedTags [][]string
	// Classes and Proba are the probabilities of classes: Proba[k][i] is that
	// of Classes[k] for text i; nil without. Classes alone are those of the
	// model.
	Classes []string
	Proba   [][]float64
	// Vocabulary splits words as a language model does; nil without.
	Vocabulary *Vocabulary

	names []string // of the places of labels that are given as 0 and 1
}

// Columns are a table of metadata or properties.
type Columns struct {
	Table *frame.Table
	// Categorical names the columns that hold categories.
	Categorical []string
}

// Skipped is a property that was not computed.
type Skipped struct{ Name, Why string }

// Len returns the number of texts.
func (s *Set) Len() int { return len(s.Texts) }

// IsMissing reports whether text i is missing.
func (s *Set) IsMissing(i int) bool { return s.Missing != nil && s.Missing[i] }

// Labelled reports whether text i has a label.
func (s *Set) Labelled(i int) bool {
	if s.Task == Tokens {
		return s.Tags != nil && s.Tags[i] != nil
	}
	if s.Multi != nil {
		return s.Multi[i] != nil
	}
	return s.Label != nil && !s.Label.IsNull(i)
}

// Multilabel reports whether a text may have several labels.
func (s *Set) Multilabel() bool { return s.Multi != nil || s.PredictedMulti != nil }

// likely is the probability from which a label counts as predicted where a text
// may have several.
const likely = 0.5

// PredictedLabels are the labels predicted for text i where it may have several:
// those given, or the classes whose probability is 0.5 or more.
func (s *Set) PredictedLabels(i int) []string {
	if s.PredictedMulti != nil {
		return s.PredictedMulti[i]
	}
	var out []string
	for k, p := range s.Proba {
		if p[i] >= likely {
			out = append(out, s.Classes[k])
		}
	}
	return out
}

// HasLabels reports whether the set has labels at all.
func (s *Set) HasLabels() bool { return s.Label != nil || s.Tags != nil || s.Multi != nil }

// HasPredictions reports whether the set has predictions.
func (s *Set) HasPredictions() bool {
	return s.Predicted != nil || s.PredictedTags != nil || s.PredictedMulti != nil || s.Proba != nil
}

// probaTolerance is how far the sum of a row of probabilities may be from 1.
const probaTolerance = 1e-3

// Validate checks that the parts of the set fit together. The error lists all
// that do not.
func (s *Set) Validate() error {
	var faults []string
	fault := func(f string, args ...any) { faults = append(faults, fmt.Sprintf(f, args...)) }
	n := s.Len()
	if n == 0 {
		fault("there are no texts")
	}
	length := func(what string, got int) {
		if got != n {
			fault("there are %d %s for %d texts: they must be as many", got, what, n)
		}
	}
	if s.Label != nil {
		length("labels", s.Label.Len())
	}
	if s.Tags != nil {
		length("lists of token labels", len(s.Tags))
	}
	if s.Predicted != nil {
		length("predictions", s.Predicted.Len())
	}
	if s.PredictedTags != nil {
		length("lists of predicted token labels", len(s.PredictedTags))
	}
	if s.Multi != nil {
		length("lists of labels", len(s.Multi))
	}
	if s.PredictedMulti != nil {
		length("lists of predicted labels", len(s.PredictedMulti))
	}
	if s.Embeddings != nil {
		length("rows of embeddings", len(s.Embeddings))
	}
	if s.Metadata != nil {
		length("rows of metadata", s.Metadata.Table.Rows())
	}
	if s.Properties != nil {
		length("rows of properties", s.Properties.Table.Rows())
	}
	if len(faults) == 0 {
		faults = append(faults, s.tokenFaults()...)
		faults = append(faults, s.probaFaults()...)
	}
	if s.Embeddings != nil {
		for i, row := range s.Embeddings {
			if len(row) != len(s.Embeddings[0]) {
				fault("embedding %d has %d numbers, the first has %d", i, len(row), len(s.Embeddings[0]))
				break
			}
		}
	}
	if len(faults) > 0 {
		return fmt.Errorf("%s: %s", s.Name, strings.Join(faults, "; "))
	}
	return nil
}

// tokenFaults checks the labels of tokens.
func (s *Set) tokenFaults() []string {
	if s.Task != Tokens {
		return nil
	}
	var out []string
	if s.Tokens == nil {
		out = append(out, "the task token_classification needs tokens: give a list of tokens for each text")
	}
	if s.Proba != nil {
		out = append(out, "the task token_classification takes predicted labels, no probabilities")
	}
	for _, part := range []struct {
		what string
		tags [][]string
	}{{"labels", s.Tags}, {"predictions", s.PredictedTags}} {
		for i, tags := range part.tags {
			if tags != nil && s.Tokens != nil && len(tags) != len(s.Tokens[i]) {
				out = append(out, fmt.Sprintf("text %d has %d tokens and %d %s: there must be one for each token", i, len(s.Tokens[i]), len(tags), part.what))
				break
			}
		}
	}
	return out
}

// probaFaults checks probabilities.
func (s *Set) probaFaults() []string {
	if s.Proba == nil {
		return nil
	}
	var out []string
	if len(s.Proba) != len(s.Classes) {
		return []string{fmt.Sprintf("there are probabilities of %d classes and the names of %d", len(s.Proba), len(s.Classes))}
	}
	if !slices.IsSorted(s.Classes) {
		out = append(out, "the classes of the probabilities must be in ascending order, they are "+strings.Join(s.Classes, ", "))
	}
	for k, p := range s.Proba {
		if len(p) != s.Len() {
			return append(out, fmt.Sprintf("there are %d probabilities of the class %s for %d texts", len(p), s.Classes[k], s.Len()))
		}
	}
	for i := range s.Len() {
		sum := 0.0
		for k := range s.Proba {
			p := s.Proba[k][i]
			if !(p >= 0 && p <= 1+probaTolerance) {
				return append(out, fmt.Sprintf("the probability of the class %s for text %d is %v: it must be from 0 to 1", s.Classes[k], i, p))
			}
			sum += p
		}
		if math.Abs(sum-1) > probaTolerance && !s.Multilabel() {
			return append(out, fmt.Sprintf("the probabilities of text %d sum up to %v, not to 1: give normalised ones", i, sum))
		}
	}
	return out
}
