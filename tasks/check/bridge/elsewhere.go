package bridge

import (
	"cmp"
	"maps"
	"slices"

	"aloft/tasks/check/engine"
)

// ranElsewhere is the result of a check that ran beside the data loader.
type ranElsewhere struct {
	Check      string          `json:"check"`
	Which      engine.Which    `json:"which"`
	Header     string          `json:"header"`
	Summary    string          `json:"summary"`
	Value      any             `json:"value"`
	Notes      []string        `json:"notes"`
	Conditions []conditionElse `json:"conditions"`
	Error      *failure        `json:"error"`
}

type conditionElse struct {
	Name    string         `json:"name"`
	Verdict engine.Verdict `json:"verdict"`
	Details string         `json:"details"`
}

// plain is a value as JSON has it.
type plain struct{ value any }

// Encode returns the value in the engine's terms.
func (p plain) Encode() any { return encode(p.value) }

func encode(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(engine.Object, 0, len(v))
		for _, key := range slices.Sorted(maps.Keys(v)) {
			out = append(out, engine.Field{Key: key, Value: encode(v[key])})
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = encode(v[i])
		}
		return out
	}
	return v
}

func (r *ranElsewhere) outcome() engine.Outcome {
	def := &engine.Definition{ID: r.Check, Header: r.Header, Summary: cmp.Or(r.Summary, "A check of the user's own, in Python."), Scope: engine.TrainTest}
	if r.Which != "" {
		def.Scope = engine.SingleDataset
	}
	o := engine.Outcome{Def: def, Which: r.Which, Header: def.Title(), Demanded: true, Notes: r.Notes}
	if r.Error != nil {
		o.Err = engine.Errorf(cmp.Or(r.Error.Class, engine.ProcessError), "%s", r.Error.Message)
		return o
	}
	o.Result = engine.Result{Value: plain{r.Value}}
	for _, n := range r.Notes {
		o.Result.Displays = append(o.Result.Displays, engine.Note{Text: n})
	}
	o.Notes = nil
	for _, c := range r.Conditions {
		verdict := c.Verdict
		switch verdict {
		case engine.Pass, engine.Fail, engine.Warn:
		default:
			verdict = engine.Broken
		}
		o.Conditions = append(o.Conditions, engine.Judged{ID: c.Name, Name: c.Name, Verdict: verdict, Details: c.Details})
	}
	return o
}
