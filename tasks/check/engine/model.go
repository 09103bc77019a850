package engine

import (
	"context"
	"time"

	"aloft/tasks/check/frame"
)

// Model is a live model: one that answers for rows it has not seen. It may be
// asked by several goroutines.
type Model interface {
	// Info describes the model. The first call may start it.
	Info(ctx context.Context) (ModelInfo, error)
	// Predict answers for the rows of a table that has the features' columns,
	// and says how long the model itself took. Probabilities are set when the
	// model has them. Labels are of the kind of the label given, which may be
	// nil.
	Predict(ctx context.Context, rows *frame.Table, label *frame.Column) (*Predictions, time.Duration, error)
	// Staged is Predict as the model would answer with its first trees alone.
	Staged(ctx context.Context, rows *frame.Table, label *frame.Column, trees int) (*Predictions, error)
}

// ModelInfo is what a live model says of itself.
type ModelInfo struct {
	Type     string // class name, such as "GradientBoostingClassifier"
	Task     Task   // Unknown leaves it to the data
	Classes  []any  // in ascending order: texts or numbers; nil when it has none
	HasProba bool
	Params   Object
	Defaults Object // the parameters' default values, when known
	// Trees is the number of boosting steps; 0 for models that do not boost.
	Trees int
	// Importance holds the model's own weights by feature; nil for none.
	Importance map[string]float64
}

// Model returns the live model, or the error for its absence or its failure
// to start.
func (c *Context) Model() (Model, error) {
	switch {
	case c.model == nil && c.mode == Deepchecks:
		return nil, missing(NotSupported, "Check is irrelevant for Datasets without model")
	case c.model == nil:
		return nil, missing(NotSupported, "It asks the model itself: give one by `model: {command: …}` (docs/model-protocol.md)")
	case c.modelErr != nil:
		return nil, c.modelErr
	}
	return c.model, nil
}

// ModelInfo returns what the live model says of itself; it is zero without one.
func (c *Context) ModelInfo() ModelInfo { return c.info }

// Rivals lists the models to compare with each other.
func (c *Context) Rivals() []Rival { return c.rivals }

// meet asks the model who it is and for the predictions that were not given,
// if any check of the suite wants them. Failures are kept for the checks that
// need the model: the others go on.
func (in *Inputs) meet(ctx context.Context, items []Item) (info ModelInfo, predictions [2]error, failure error) {
	if in.Model == nil {
		return ModelInfo{}, predictions, nil
	}
	info, failure = in.Model.Info(ctx)
	if failure != nil {
		return ModelInfo{}, [2]error{failure, failure}, failure
	}
	var label *frame.Column
	if in.Train != nil {
		label = in.Train.Label()
	}
	if in.Task == Unknown {
		in.Task = info.Task
	}
	if in.Classes == nil && in.Task != Regression {
		for _, v := range info.Classes {
			in.Classes = append(in.Classes, ClassValue(v, label))
		}
	}
	wanted := false
	for i := range items {
		wanted = wanted || items[i].Def.Predictions
	}
	if !wanted {
		return info, predictions, nil
	}
	for i, s := range []struct {
		data *frame.Dataset
		pred **Predictions
	}{{in.Train, &in.TrainPredictions}, {in.Test, &in.TestPredictions}} {
		if s.data == nil || *s.pred != nil {
			continue
		}
		rows, err := s.data.Only(s.data.Features())
		if err == nil {
			*s.pred, _, err = in.Model.Predict(ctx, rows, label)
		}
		predictions[i] = err
	}
	return info, predictions, nil
}

// ClassValue turns a class, as a document or a model writes it, into a label
// of the kind of the column, which may be nil.
func ClassValue(c any, label *frame.Column) frame.Value {
	if label != nil {
		if v, err := frame.Convert(c, label.Kind()); err == nil {
			return v
		}
	}
	v, err := frame.Convert(c, frame.Null)
	if err != nil {
		return frame.Value{}
	}
	return v
}
