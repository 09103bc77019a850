package model

import (
	"context"
	"fmt"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/format"
)

func calibration() *engine.Definition {
	return &engine.Definition{
		ID:      "CalibrationScore",
		Header:  "Calibration Metric",
		Summary: "Measures how far the predicted probabilities are from how often their class comes true.",
		Formula: "The Brier score `mean((p − y)²)`, p the probability of the class and y 1 for its rows and 0 for others; of two classes only the second, under the key 0. The curves show, in ten equal bins of p, how often the class came true.",
		Differs: "each class is measured with its own probability. deepchecks numbers the classes that the table happens to have, so that it takes another class's probability, or crashes, where a class is absent or new.",
		Scope:   engine.SingleDataset, Predictions: true,
		Params: engine.SampleParams(largeSample),
		New:    func(a engine.Args, m engine.Mode) (engine.Check, error) { return calibrationCheck{a, m}, nil },
	}
}

type calibrationCheck struct {
	args engine.Args
	mode engine.Mode
}

// Brier is the value of CalibrationScore: a score for each key.
type Brier struct {
	Keys   []string
	Scores []float64
}

// Encode returns the scores by key.
func (b Brier) Encode() any {
	out := make(engine.Object, len(b.Keys))
	for i, k := range b.Keys {
		out[i] = engine.Field{Key: k, Value: b.Scores[i]}
	}
	return out
}

func (calibrationCheck) ID() string { return "CalibrationScore" }

func (k calibrationCheck) Run(_ context.Context, c *engine.Context) (engine.Result, error) {
	if err := c.Classification(); err != nil {
		return engine.Result{}, err
	}
	if _, err := c.Side().Probabilities(); err != nil {
		return engine.Result{}, err
	}
	e, err := evaluate(c, c.Side(), k.args)
	if err != nil {
		return engine.Result{}, err
	}
	if e.proba == nil {
		return engine.Result{}, engine.Errorf(engine.ModelValidation, "the %s predictions do not hold one probability for each class of the model", c.Side().Which)
	}
	var value Brier
	chart := engine.LineChart{Title: "Reliability", XName: "Predicted probability", YName: "Share that came true", XMax: 1, YMax: 1, Diagonal: true}
	for _, t := range k.targets(e) {
		value.Keys, value.Scores = append(value.Keys, t.key), append(value.Scores, e.brier(t.class, t.proba))
		chart.Lines = append(chart.Lines, e.reliability(t.class, t.proba))
	}
	return engine.Result{Value: value, Displays: []engine.Display{chart}}, nil
}

// target is a class to measure with the probabilities of a column.
type target struct {
	key          string
	class, proba int
}

// targets pairs classes and probabilities: those of the model, or in mode
// Deepchecks the classes of the table in their order with the columns in
// theirs.
func (k calibrationCheck) targets(e *evaluation) []target {
	var out []target
	if present := e.present(); k.mode == engine.Deepchecks && (len(present) == 2 || len(present) <= e.known) {
		for i, class := range present {
			out = append(out, target{e.classes[class].String(), class, min(i, e.known-1)})
		}
		if len(out) == 2 {
			out = out[1:]
			out[0].key = "0"
		}
		return out
	}
	if e.known == 2 {
		return []target{{"0", 1, 1}}
	}
	for i, v := range e.classes[:e.known] {
		out = append(out, target{v.String(), i, i})
	}
	return out
}

// brier is the mean squared difference of a column of probabilities from the
// truth about a class.
func (e *evaluation) brier(class, proba int) float64 {
	sum := 0.0
	for i, t := range e.truth {
		d := e.proba[proba][i]
		if int(t) == class {
			d = 1 - d
		}
		sum += d * d
	}
	return sum / float64(len(e.truth))
}

// reliability is the share of a class in ten bins of its probability.
func (e *evaluation) reliability(class, proba int) engine.Line {
	const bins = 10
	var sums, hits, rows [bins]float64
	for i, t := range e.truth {
		p := e.proba[proba][i]
		b := min(max(int(p*bins), 0), bins-1)
		sums[b], rows[b] = sums[b]+p, rows[b]+1
		if int(t) == class {
			hits[b]++
		}
	}
	l := engine.Line{Name: fmt.Sprintf("%s (Brier %s)", e.classes[class], format.Number(e.brier(class, proba))), Mark: -1}
	for b := range bins {
		if rows[b] > 0 {
			l.X, l.Y = append(l.X, sums[b]/rows[b]), append(l.Y, hits[b]/rows[b])
		}
	}
	return l
}
