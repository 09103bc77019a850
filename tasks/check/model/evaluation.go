package model

import (
	"slices"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/frame"
)

// evaluation holds the labels and predictions of one table in the forms that
// scores need.
type evaluation struct {
	task engine.Task
	// classes are the model's classes followed by the labels that only the
	// data have; known counts the former.
	classes []frame.Value
	known   int
	// truth and predicted are indexes into classes.
	truth, predicted []int32
	// proba[k][i] is the probability of class k; nil without probabilities.
	proba [][]float64
	// rowIDs are the rows of the table.
	rowIDs []int32
	// y and p are the numbers of a regression.
	y, p []float64
}

// evaluate prepares the rows of a side whose label is present.
func evaluate(c *engine.Context, s *engine.Side, args engine.Args) (*evaluation, error) {
	if _, err := s.Label(); err != nil {
		return nil, err
	}
	pred, err := s.Predictions()
	if err != nil {
		return nil, err
	}
	return evaluatePredictions(c, s, args, pred)
}

// evaluatePredictions is evaluate with other predictions than the side's; nil
// leaves them out.
func evaluatePredictions(c *engine.Context, s *engine.Side, args engine.Args, pred *engine.Predictions) (*evaluation, error) {
	label, err := s.Label()
	if err != nil {
		return nil, err
	}
	rows, err := s.Labelled(args)
	if err != nil {
		return nil, err
	}
	e := &evaluation{task: c.Task(), rowIDs: rows}
	if c.Task() == engine.Regression {
		return e, e.numbers(label, pred, rows)
	}
	e.classes, e.known = slices.Clone(c.Classes()), len(c.Classes())
	number := make(map[frame.Value]int32, len(e.classes))
	for i, v := range e.classes {
		number[v.Key()] = int32(i)
	}
	e.truth = e.codes(label, rows, number)
	if pred == nil {
		return e, nil
	}
	e.predicted = e.codes(pred.Labels, rows, number)
	if pred.Proba != nil && len(pred.Proba) == e.known {
		e.proba = make([][]float64, e.known)
		for k, all := range pred.Proba {
			e.proba[k] = make([]float64, len(rows))
			for i, r := range rows {
				e.proba[k][i] = all[r]
			}
		}
	}
	return e, nil
}

// numbers fills in the numbers of a regression.
func (e *evaluation) numbers(label *frame.Column, pred *engine.Predictions, rows []int32) error {
	if !label.Kind().Numeric() || pred != nil && !pred.Labels.Kind().Numeric() {
		kind := "absent"
		if pred != nil {
			kind = pred.Labels.Kind().String()
		}
		return engine.Errorf(engine.ModelValidation, "labels and predictions of a regression must be numbers; labels are %s, predictions %s", label.Kind(), kind)
	}
	e.y = make([]float64, len(rows))
	for i, r := range rows {
		e.y[i] = label.Float(int(r))
	}
	if pred == nil {
		return nil
	}
	e.p = make([]float64, len(rows))
	for i, r := range rows {
		e.p[i] = pred.Labels.Float(int(r))
	}
	return nil
}

// codes numbers the labels of the rows, adding classes not seen before.
func (e *evaluation) codes(c *frame.Column, rows []int32, number map[frame.Value]int32) []int32 {
	byBits := make(map[uint64]int32)
	out := make([]int32, len(rows))
	for i, r := range rows {
		if c.IsNull(int(r)) {
			out[i] = -1
			continue
		}
		b := c.Bits(int(r))
		k, ok := byBits[b]
		if !ok {
			v := c.FromBits(b)
			if k, ok = number[v.Key()]; !ok {
				k = int32(len(e.classes))
				number[v.Key()] = k
				e.classes = append(e.classes, v)
			}
			byBits[b] = k
		}
		out[i] = k
	}
	return out
}

// rows counts the rows.
func (e *evaluation) rows() int { return max(len(e.truth), len(e.y)) }

// is marks the rows whose label is class k.
func (e *evaluation) is(k int) []bool {
	out := make([]bool, len(e.truth))
	for i, t := range e.truth {
		out[i] = t == int32(k)
	}
	return out
}
