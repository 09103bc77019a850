package check_test

import (
	"bytes"
	"context"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"aloft/tasks/check"
	"aloft/tasks/check/report"
)

// TestTableLargerThanMemory reads tables of which only the rows in samples are
// kept: every byte of the report must be that of the tables read as a whole.
func TestTableLargerThanMemory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeBig(t, dir, "train", 3000, 1)
	writeBig(t, dir, "test", 1500, 2)
	registry, err := check.Tabular.Registry()
	if err != nil {
		t.Fatal(err)
	}
	for _, compat := range []string{"", "deepchecks"} {
		for _, def := range registry.All() {
			if def.Alone || def.ID == "SchemaValidation" {
				continue // times differ; a schema would be needed
			}
			t.Run(def.ID+compat, func(t *testing.T) {
				t.Parallel()
				params := map[string]any{}
				for _, p := range def.Params {
					switch {
					case p.Name == "n_samples":
						params["n_samples"] = 700
					case p.Required:
						params[p.Name] = "c5"
					}
				}
				doc := map[string]any{
					"train": "train.csv", "test": []any{"test.csv"}, "label": "y", "index": "c10", "datetime": "c11", "datetime_unit": "s",
					"checks":      []any{map[string]any{"check": def.ID, "params": params}},
					"predictions": map[string]any{"train": "pred_train.csv", "test": "pred_test.csv"},
				}
				if compat != "" {
					doc["compat"] = compat
				}
				whole := runToJSON(t, doc, dir)
				doc["max_rows_in_memory"] = 1000
				if part := runToJSON(t, doc, dir); part != whole {
					t.Errorf("reports differ: %s", firstDifference(whole, part))
				}
			})
		}
	}
}

func runToJSON(t *testing.T, doc map[string]any, dir string) string {
	t.Helper()
	spec, err := check.SpecFromMap(doc)
	if err != nil {
		t.Fatal(err)
	}
	r, err := check.RunSpec(context.Background(), spec, dir)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := report.JSON(&out, r); err != nil {
		t.Fatal(err)
	}
	if err := report.HTML(&out, r); err != nil {
		t.Fatal(err)
	}
	return regexp.MustCompile(`"(seconds|wall_seconds|started|elapsed|finished)":[^,}]*|\d+ \w+ \d{4}, \d\d:\d\d|\d+(\.\d+)?\s?(ms|s|µs)\b|\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?`).ReplaceAllString(out.String(), "")
}

func firstDifference(a, b string) string {
	i := 0
	for i < min(len(a), len(b)) && a[i] == b[i] {
		i++
	}
	from := max(i-200, 0)
	return fmt.Sprintf("at %d:\n%s\nand\n%s", i, strings.ToValidUTF8(a[from:min(i+200, len(a))], ""), strings.ToValidUTF8(b[from:min(i+200, len(b))], ""))
}
