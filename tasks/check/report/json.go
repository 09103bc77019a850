// Package report renders the outcome of a suite: canonical JSON, a terminal
// table, JUnit XML, Markdown and a self-contained HTML page. It computes
// nothing; what it shows is in the engine's report.
package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strconv"
	"time"

	"aloft/tasks/check/engine"
)

// JSON writes the report in its canonical form, which docs/suites.md
// describes: one object, keys in a fixed order, NaN and infinities as the
// texts "NaN", "Infinity" and "-Infinity".
func JSON(w io.Writer, r *engine.Report) error {
	compact, err := marshal(document(r))
	if err != nil {
		return fmt.Errorf("write JSON report: %w", err)
	}
	var out bytes.Buffer
	if err := json.Indent(&out, compact, "", " "); err != nil {
		return fmt.Errorf("write JSON report: %w", err)
	}
	out.WriteByte('\n')
	if _, err := w.Write(out.Bytes()); err != nil {
		return fmt.Errorf("write JSON report: %w", err)
	}
	return nil
}

// formatVersion is the version of the form of the JSON report.
const formatVersion = 1

func document(r *engine.Report) engine.Object {
	n := r.Counts()
	rows := engine.Object{{Key: "train", Value: r.Train.Rows}}
	if r.Test != nil {
		rows = append(rows, engine.Field{Key: "test", Value: r.Test.Rows})
	}
	doc := engine.Object{
		{Key: "format", Value: formatVersion},
		{Key: "kind", Value: r.Kind},
		{Key: "dataset", Value: r.Name},
		{Key: "suite", Value: r.Suite},
		{Key: "compat", Value: orNull(string(r.Mode))},
		{Key: "random_state", Value: int64(r.Seed)},
		{Key: "rows", Value: rows},
		{Key: "columns", Value: r.Train.Columns},
		{Key: "fail_on", Value: string(r.FailOn)},
		{Key: "passed", Value: r.Passed()},
		{Key: "counts", Value: engine.Object{
			{Key: "pass", Value: n.Pass}, {Key: "warn", Value: n.Warn}, {Key: "fail", Value: n.Fail}, {Key: "error", Value: n.Error},
			{Key: "not_run", Value: n.NotRun}, {Key: "skipped", Value: n.Skipped}, {Key: "no_conditions", Value: n.Plain},
		}},
		{Key: "suite_error", Value: errorObject(r.Err)},
		{Key: "context", Value: contextObject(r)},
		{Key: "run", Value: engine.Object{{Key: "wall_seconds", Value: seconds(r.Elapsed)}}},
	}
	if !r.Train.Whole() || !r.Test.Whole() {
		unused := engine.Object{{Key: "train", Value: faultsObject(&r.Train)}}
		if r.Test != nil {
			unused = append(unused, engine.Field{Key: "test", Value: faultsObject(r.Test)})
		}
		doc = append(doc, engine.Field{Key: "faults", Value: unused})
	}
	if r.Train.Ranks > 1 {
		doc = append(doc, engine.Field{Key: "ranks", Value: r.Train.Ranks})
	}
	checks := make([]any, 0, len(r.Outcomes))
	for i := range r.Outcomes {
		checks = append(checks, outcome(&r.Outcomes[i]))
	}
	if len(r.Segments) > 0 {
		doc = append(doc, engine.Field{Key: "segments", Value: segmentsObject(r)})
	}
	if r.Baseline != nil {
		doc = append(doc, engine.Field{Key: "baseline", Value: baselineObject(r.Baseline)})
	}
	return append(doc, engine.Field{Key: "checks", Value: checks})
}

func contextObject(r *engine.Report) engine.Object {
	classes := make([]any, len(r.Classes))
	for i, c := range r.Classes {
		classes[i] = c.Native()
	}
	out := engine.Object{
		{Key: "task_type", Value: orNull(string(r.Task))},
		{Key: "label", Value: orNull(r.Train.Label)},
		{Key: "index", Value: orNull(r.Train.Index)},
		{Key: "datetime", Value: orNull(r.Train.Datetime)},
		{Key: "features", Value: list(r.Train.Features)},
		{Key: "cat_features", Value: list(r.Train.Categorical)},
		{Key: "numerical_features", Value: list(r.Train.Numerical)},
		{Key: "model_classes", Value: classes},
	}
	if r.Test != nil {
		out = append(out, engine.Field{Key: "test_cat_features", Value: list(r.Test.Categorical)})
	}
	return out
}

func outcome(o *engine.Outcome) engine.Object {
	status, header := "ok", any(o.Header)
	var value, reduced any
	if o.Err != nil {
		status, header = "error", nil
	} else {
		value = o.Result.Value.Encode()
		if o.Result.Reduced != nil {
			reduced = o.Result.Reduced
		}
	}
	conditions, params := make([]any, 0, len(o.Conditions)), make([]any, 0, len(o.Conditions))
	for _, c := range o.Conditions {
		conditions = append(conditions, engine.Object{
			{Key: "name", Value: c.Name}, {Key: "category", Value: string(c.Verdict)}, {Key: "details", Value: c.Details},
		})
		params = append(params, engine.Object{{Key: "id", Value: c.ID}, {Key: "name", Value: c.Name}, {Key: "params", Value: c.Params}})
	}
	s := o.Sampled
	out := engine.Object{
		{Key: "check", Value: o.Def.ID},
		{Key: "name", Value: o.Def.Name()},
		{Key: "suite", Value: orNull(o.Suite)},
		{Key: "dataset", Value: orNull(string(o.Which))},
		{Key: "header", Value: header},
		{Key: "params", Value: o.Args.Object(o.Def.Params)},
		{Key: "status", Value: status},
		{Key: "value", Value: value},
		{Key: "reduced", Value: reduced},
		{Key: "conditions", Value: conditions},
		{Key: "condition_params", Value: params},
		{Key: "error", Value: errorObject(o.Err)},
		{Key: "notes", Value: list(o.Notes)},
		{Key: "sampled", Value: engine.Object{{Key: "train", Value: s.Train < s.TrainTotal}, {Key: "test", Value: s.Test < s.TestTotal}}},
		{Key: "seconds", Value: seconds(o.Elapsed)},
	}
	if o.Segment != "" {
		out = append(out, engine.Field{Key: "segment", Value: o.Segment})
	}
	return out
}

func errorObject(e *engine.Error) any {
	if e == nil {
		return nil
	}
	return engine.Object{
		{Key: "class", Value: string(e.Class)}, {Key: "kind", Value: string(e.Cause)}, {Key: "message", Value: e.Message}, {Key: "html", Value: e.Message},
	}
}

func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func list(items []string) []any {
	out := make([]any, len(items))
	for i, s := range items {
		out[i] = s
	}
	return out
}

// seconds keeps four digits of a duration in seconds; null in a report without
// times.
func seconds(d time.Duration) any {
	if d == 0 {
		return nil
	}
	return math.Round(d.Seconds()*1e4) / 1e4
}

func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	if err := encode(&b, v); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// encode writes a value of the kinds that engine.Object lists.
func encode(b *bytes.Buffer, v any) error {
	switch v := v.(type) {
	case engine.Object:
		return encodeObject(b, v)
	case []any:
		b.WriteByte('[')
		for i, e := range v {
			if i > 0 {
				b.WriteByte(',')
			}
			if err := encode(b, e); err != nil {
				return err
			}
		}
		b.WriteByte(']')
		return nil
	case engine.Grid:
		return encodeObject(b, gridObject(v))
	case engine.Series:
		return encodeObject(b, engine.Object{
			{Key: "__type__", Value: "Series"}, {Key: "name", Value: nil}, {Key: "n", Value: len(v.Values)},
			{Key: "index", Value: list(v.Index)}, {Key: "data", Value: v.Values},
		})
	case float64:
		encodeFloat(b, v)
		return nil
	case nil, bool, int, int64, string:
		var text bytes.Buffer
		enc := json.NewEncoder(&text)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(v); err != nil {
			return fmt.Errorf("encode %T: %w", v, err)
		}
		b.Write(bytes.TrimSuffix(text.Bytes(), []byte("\n")))
		return nil
	}
	return fmt.Errorf("a result holds a %T, which has no JSON form", v)
}

func encodeObject(b *bytes.Buffer, o engine.Object) error {
	b.WriteByte('{')
	for i, f := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		if err := encode(b, f.Key); err != nil {
			return err
		}
		b.WriteByte(':')
		if err := encode(b, f.Value); err != nil {
			return err
		}
	}
	b.WriteByte('}')
	return nil
}

func encodeFloat(b *bytes.Buffer, f float64) {
	switch {
	case math.IsNaN(f):
		b.WriteString(`"NaN"`)
	case math.IsInf(f, 1):
		b.WriteString(`"Infinity"`)
	case math.IsInf(f, -1):
		b.WriteString(`"-Infinity"`)
	default:
		s := strconv.FormatFloat(f, 'g', -1, 64)
		if f == math.Trunc(f) && math.Abs(f) < 1e15 {
			s = strconv.FormatFloat(f, 'f', 1, 64) // a float stays one when read back
		}
		b.WriteString(s)
	}
}

func gridObject(g engine.Grid) engine.Object {
	index := g.Index
	if index == nil {
		for i := range g.Rows {
			index = append(index, i)
		}
	}
	rows := make([]any, len(g.Rows))
	for i, r := range g.Rows {
		rows[i] = r
	}
	if index == nil {
		index = []any{}
	}
	names := []any{orNull(g.IndexName)}
	if g.IndexNames != nil {
		names = list(g.IndexNames)
	}
	return engine.Object{
		{Key: "__type__", Value: "DataFrame"}, {Key: "columns", Value: list(g.Columns)}, {Key: "n_rows", Value: len(g.Rows)},
		{Key: "index_names", Value: names}, {Key: "index", Value: index}, {Key: "data", Value: rows},
	}
}
