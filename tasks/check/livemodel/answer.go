package livemodel

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"slices"
	"strconv"
	"time"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/frame"
)

// refusal is an answer in which the model says that it cannot.
type refusal struct{ message string }

// Error returns what the model said.
func (r refusal) Error() string { return r.message }

func isRefusal(err error, to *refusal) bool { return errors.As(err, to) }

// bad makes the error of an answer that is not as it should be.
func bad(format string, args ...any) error {
	return engine.Errorf(engine.ModelValidation, "the live model does not answer as it should: "+format, args...)
}

// hello is the answer to the first request.
type hello struct {
	Version    *int               `json:"v"`
	Error      string             `json:"error"`
	Type       string             `json:"type"`
	Task       string             `json:"task"`
	Classes    []any              `json:"classes"`
	HasProba   bool               `json:"has_proba"`
	Trees      int                `json:"trees"`
	Params     json.RawMessage    `json:"params"`
	Defaults   json.RawMessage    `json:"defaults"`
	Importance map[string]float64 `json:"feature_importance"`
}

// decode reads one JSON object.
func decode(line []byte, to any) error {
	d := json.NewDecoder(bytes.NewReader(line))
	d.UseNumber()
	if err := d.Decode(to); err != nil {
		return bad("it wrote %q where a JSON object was expected: %v", clip(bytes.TrimSpace(line)), err)
	}
	return nil
}

func clip(line []byte) string {
	const most = 80
	if len(line) > most {
		return string(line[:most]) + "…"
	}
	return string(line)
}

func decodeHello(line []byte) (engine.ModelInfo, error) {
	var h hello
	if err := decode(line, &h); err != nil {
		return engine.ModelInfo{}, err
	}
	switch {
	case h.Error != "":
		return engine.ModelInfo{}, engine.Errorf(engine.ModelValidation, "the live model did not start: %s", h.Error)
	case h.Version == nil || *h.Version != version:
		return engine.ModelInfo{}, bad("it must speak version %d of the protocol: \"v\": %d", version, version)
	case h.Task != "" && !slices.Contains(engine.Tasks(), h.Task):
		return engine.ModelInfo{}, bad("\"task\" must be one of %v, not %q", engine.Tasks(), h.Task)
	case h.HasProba && len(h.Classes) == 0:
		return engine.ModelInfo{}, bad("a model with \"has_proba\" must list its \"classes\"")
	case h.Trees < 0:
		return engine.ModelInfo{}, bad("\"trees\" must not be negative, it is %d", h.Trees)
	}
	info := engine.ModelInfo{Type: h.Type, Task: engine.Task(h.Task), HasProba: h.HasProba, Trees: h.Trees, Importance: h.Importance}
	for _, c := range h.Classes {
		v, ok := native(c)
		if !ok || v == nil {
			return engine.ModelInfo{}, bad("a class must be a text, a number or a truth value, not %v", c)
		}
		info.Classes = append(info.Classes, v)
	}
	var err error
	if info.Params, err = object(h.Params); err == nil {
		info.Defaults, err = object(h.Defaults)
	}
	return info, err
}

// object reads a JSON object and keeps the order of its keys.
func object(raw json.RawMessage) (engine.Object, error) {
	if len(raw) == 0 || string(raw) == "null" {
		return nil, nil
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, bad("\"params\" and \"defaults\" must be JSON objects")
	}
	out := engine.Object{}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return nil, bad("%v", err)
		}
		var v any
		if err := d.Decode(&v); err != nil {
			return nil, bad("%v", err)
		}
		name, _ := key.(string)
		plain, ok := native(v)
		if !ok {
			text, err := json.Marshal(v)
			if err != nil {
				return nil, bad("%v", err)
			}
			plain = string(text) // lists and objects are shown as they are
		}
		out = append(out, engine.Field{Key: name, Value: plain})
	}
	return out, nil
}

// native turns a decoded JSON value into nil, bool, int64, float64 or string.
func native(v any) (any, bool) {
	switch v := v.(type) {
	case nil, bool, string:
		return v, true
	case json.Number:
		if i, err := strconv.ParseInt(string(v), 10, 64); err == nil {
			return i, true
		}
		f, err := v.Float64()
		return f, err == nil
	}
	return nil, false
}

// answer gathers the answers to the batches of one table.
type answer struct {
	info   engine.ModelInfo
	label  *frame.Column
	labels []frame.Value
	proba  [][]float64
	took   time.Duration
}

func newAnswer(info engine.ModelInfo, label *frame.Column) *answer {
	return &answer{info: info, label: label, proba: make([][]float64, len(info.Classes))}
}

// batch is the answer to one request.
type batch struct {
	Error  string       `json:"error"`
	Labels []any        `json:"labels"`
	Proba  [][]*float64 `json:"proba"`
	Nanos  *int64       `json:"predict_ns"`
}

// add takes the answer for n rows.
func (a *answer) add(line []byte, n int) error {
	var b batch
	if err := decode(line, &b); err != nil {
		return err
	}
	switch {
	case b.Error != "":
		return refusal{b.Error}
	case b.Labels == nil && b.Proba == nil:
		return bad("it gave neither \"labels\" nor \"proba\"")
	case b.Labels != nil && len(b.Labels) != n:
		return bad("it gave %d labels for %d rows", len(b.Labels), n)
	case a.info.HasProba && len(b.Proba) != n:
		return bad("it gave the probabilities of %d rows for %d", len(b.Proba), n)
	}
	if b.Nanos != nil {
		a.took += time.Duration(*b.Nanos)
	}
	kind := frame.Null
	if a.label != nil {
		kind = a.label.Kind()
	}
	for i, raw := range b.Labels {
		v, ok := native(raw)
		if !ok || v == nil {
			return bad("label %d must be a text, a number or a truth value, not %v", i, raw)
		}
		value, err := frame.Convert(v, kind)
		if err != nil || value.IsNull() {
			return bad("label %d is %v, labels of the table are %s", i, v, kind)
		}
		a.labels = append(a.labels, value)
	}
	for i, row := range b.Proba {
		if err := a.row(i, row); err != nil {
			return err
		}
	}
	return nil
}

// sumSlack is how far the probabilities of a row may be from summing to 1.
const sumSlack = 0.01

func (a *answer) row(i int, row []*float64) error {
	if len(row) != len(a.info.Classes) {
		return bad("row %d of \"proba\" has %d numbers, the model has %d classes", i, len(row), len(a.info.Classes))
	}
	sum := 0.0
	for k, p := range row {
		switch {
		case p == nil:
			return bad("row %d of \"proba\" lacks the probability of class %v", i, a.info.Classes[k])
		case *p < 0 || *p > 1:
			return bad("row %d of \"proba\" gives class %v the probability %v", i, a.info.Classes[k], *p)
		}
		sum += *p
		a.proba[k] = append(a.proba[k], *p)
	}
	if math.Abs(sum-1) > sumSlack {
		return bad("row %d of \"proba\" sums to %v, not to 1", i, sum)
	}
	return nil
}

func (a *answer) predictions() *engine.Predictions {
	p := &engine.Predictions{}
	if a.labels != nil {
		p.Labels = frame.FromValues("y_pred", a.labels)
	}
	if a.info.HasProba {
		for _, c := range a.info.Classes {
			p.Classes = append(p.Classes, engine.ClassValue(c, a.label))
		}
		p.Proba = a.proba
	}
	return p
}
