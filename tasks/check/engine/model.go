package engine

import (
	"context"

	"aloft/tasks/check/frame"
)

// Model is a live model: one that answers for rows it has not seen.
type Model interface {
	// Info describes the model.
	Info() ModelInfo
	// Predict answers for the rows of a table that has the features' columns.
	// Probabilities are set when the model has them.
	Predict(ctx context.Context, rows *frame.Table) (*Predictions, error)
	// Staged answers as the model would with its first trees alone.
	Staged(ctx context.Context, rows *frame.Table, trees int) (*Predictions, error)
	// Importance weighs the features: the model's own numbers, or permutation
	// importance on the context's test side, or train side without one.
	Importance(ctx context.Context, c *Context) (*Importance, error)
}

// ModelInfo is what a live model says of itself.
type ModelInfo struct {
	Type     string // class name, such as "GradientBoostingClassifier"
	Params   Object
	Defaults Object // the parameters' default values, when known
	// Trees is the number of boosting steps; 0 for models that do not boost.
	Trees int
}

// Importance weighs features. Weights are not negative and sum to 1, or are all
// zero.
type Importance struct {
	// Method says where they come from: "given", "internal_built_in" or
	// "permutation_importance".
	Method  string
	Weights map[string]float64 // by feature
}

// Of lists the weights of features in their order; nil for nil.
func (i *Importance) Of(features []string) []float64 {
	if i == nil {
		return nil
	}
	out := make([]float64, len(features))
	for k, f := range features {
		out[k] = i.Weights[f]
	}
	return out
}
