package check_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"aloft/tasks/check"
	"aloft/tasks/check/engine"
	"aloft/tasks/check/format"
	"aloft/tasks/check/report"
)

// mostValue is the length at which the value of an example is cut.
const mostValue = 420

// exampleParams are those without which a check cannot run.
func exampleParams(id string) map[string]any {
	switch id {
	case "PerformanceBias":
		return map[string]any{"protected_feature": "city"}
	case "SegmentPerformance":
		return map[string]any{"feature_1": "amount", "feature_2": "items"}
	}
	return nil
}

// exampleSchema is what SchemaValidation shows.
func exampleSchema() map[string]any {
	return map[string]any{"columns": map[string]any{
		"order_id": map[string]any{"unique": true}, "amount": map[string]any{"kind": "float64", "min": 0, "max": 500},
		"returned": map[string]any{"kind": "text", "categories": []any{"yes", "no"}},
	}}
}

// examples runs every check on the small tables in testdata/orders, once to
// tell whether an order comes back and once to tell its amount, and returns
// the first result of each as Markdown.
func examples(t *testing.T, reg *engine.Registry) map[string]string {
	t.Helper()
	best := make(map[string]*engine.Outcome)
	for _, doc := range []map[string]any{
		{"label": "returned", "predictions": map[string]any{"train": "pred_train.csv", "test": "pred_test.csv"}},
		{"label": "amount", "task_type": "regression", "predictions": map[string]any{"train": "pred_amount_train.csv", "test": "pred_amount_test.csv"}},
	} {
		var checks []any
		for _, id := range reg.IDs() {
			checks = append(checks, map[string]any{"check": id, "params": exampleParams(id)})
		}
		doc["train"], doc["test"], doc["index"], doc["datetime"], doc["checks"] = "train.csv", "test.csv", "order_id", "placed", checks
		doc["schema"] = exampleSchema()
		spec, err := check.SpecFromMap(doc)
		if err != nil {
			t.Fatal(err)
		}
		r, err := check.RunSpec(t.Context(), spec, filepath.Join("testdata", "orders"))
		if err != nil {
			t.Fatal(err)
		}
		if r.Err != nil {
			t.Fatal(r.Err)
		}
		for i := range r.Outcomes {
			o := &r.Outcomes[i]
			if had := best[o.Def.ID]; had == nil || had.Err != nil && (o.Err == nil || had.Err.Cause == engine.Irrelevant) {
				best[o.Def.ID] = o
			}
		}
	}
	out := make(map[string]string)
	for id, o := range best {
		out[id] = example(t, o)
	}
	return out
}

func example(t *testing.T, o *engine.Outcome) string {
	t.Helper()
	where := ""
	if o.Which != "" {
		where = ", on the " + string(o.Which) + " table"
	}
	if o.Err != nil {
		return fmt.Sprintf("Example%s: does not run. %s\n", where, strings.TrimSpace(firstLine(o.Err.Message)))
	}
	var b strings.Builder
	fmt.Fprintf(&b, "Example%s:\n\n```\n", where)
	for _, c := range o.Conditions {
		fmt.Fprintf(&b, "%-5s %s\n", c.Verdict, c.Name)
		for _, line := range strings.Split(c.Details, "\n") {
			if line != "" {
				fmt.Fprintf(&b, "      %s\n", format.Truncate(line, mostValue))
			}
		}
	}
	fmt.Fprintf(&b, "value %s\n```\n", exampleValue(t, o))
	return b.String()
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

// exampleValue is the value as the JSON report has it, short: four digits,
// tables without their frame.
func exampleValue(t *testing.T, o *engine.Outcome) string {
	t.Helper()
	var raw bytes.Buffer
	if err := report.JSON(&raw, &engine.Report{Outcomes: []engine.Outcome{*o}}); err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Checks []struct{ Value json.RawMessage }
	}
	if err := json.Unmarshal(raw.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	dec := json.NewDecoder(bytes.NewReader(doc.Checks[0].Value))
	dec.UseNumber()
	var b strings.Builder
	if err := compact(dec, &b); err != nil {
		t.Fatal(err)
	}
	return format.Truncate(b.String(), mostValue)
}

// compact copies the next JSON value in one line, with short numbers and
// without the keys that only describe a table.
func compact(dec *json.Decoder, b *strings.Builder) error {
	tok, err := dec.Token()
	if err != nil {
		return fmt.Errorf("read value: %w", err)
	}
	switch tok := tok.(type) {
	case json.Delim:
		b.WriteString(tok.String())
		first := true
		for dec.More() {
			key := ""
			if tok == '{' {
				k, err := dec.Token()
				if err != nil {
					return fmt.Errorf("read value: %w", err)
				}
				key = fmt.Sprint(k)
			}
			var inner strings.Builder
			if err := compact(dec, &inner); err != nil {
				return err
			}
			if key == "__type__" || key == "n_rows" || key == "index_names" {
				continue
			}
			if !first {
				b.WriteString(", ")
			}
			first = false
			if tok == '{' {
				b.WriteString(strconv.Quote(key) + ": ")
			}
			b.WriteString(inner.String())
		}
		end, err := dec.Token()
		if err != nil {
			return fmt.Errorf("read value: %w", err)
		}
		b.WriteString(fmt.Sprint(end))
	case json.Number:
		f, err := tok.Float64()
		if err != nil {
			return fmt.Errorf("read value: %w", err)
		}
		if _, err := strconv.ParseInt(tok.String(), 10, 64); err == nil {
			b.WriteString(tok.String())
		} else {
			b.WriteString(strconv.FormatFloat(f, 'g', 4, 64))
		}
	case string:
		b.WriteString(strconv.Quote(tok))
	default:
		b.WriteString(strings.Replace(fmt.Sprint(tok), "<nil>", "null", 1))
	}
	return nil
}
