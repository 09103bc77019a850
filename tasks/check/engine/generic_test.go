package engine_test

import (
	"fmt"
	"strings"
	"testing"

	"aloft/tasks/check/engine"
)

// found is a value that holds every kind of thing.
type found struct{}

func (found) Encode() any {
	return engine.Object{
		{Key: "a", Value: 1},
		{Key: "b.c", Value: 0.5},
		{Key: "list", Value: []any{1, 2, 30}},
		{Key: "series", Value: engine.Series{Index: []string{"x", "y"}, Values: []any{1.5, 2.5}}},
		{Key: "text", Value: "yes"},
		{Key: "table", Value: engine.Grid{
			Columns: []string{"Dataset", "Metric", "Value"},
			Rows:    [][]any{{"Train", "F1", 0.9}, {"Test", "F1", 0.7}, {"Test", "Recall", 0.6}},
		}},
	}
}

func TestFind(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		path, want string // the leaves, or the error
	}{
		{"a", "a=1"},
		{"[b.c]", "[b.c]=0.5"},
		{"list", "list.0=1 list.1=2 list.2=30"},
		{"list.-1", "list.2=30"},
		{"list.*", "list.0=1 list.1=2 list.2=30"},
		{"series.y", "series.y=2.5"},
		{"table.1.Value", "table.1.Value=0.7"},
		{"table.Value", "table.0.Value=0.9 table.1.Value=0.7 table.2.Value=0.6"},
		{"table[Dataset=Test,Metric=F1].Value", "table.1.Value=0.7"},
		{"table[Dataset=Test][Value]", "table.1.Value=0.7 table.2.Value=0.6"},
		{"b", `the value has no "b" (did you mean "a"?); it has a, b.c, list, series, text, table`},
		{"table", `"table" holds further values: go on with one of 0, 1, 2, or *`},
		{"table[Datset=Test].Value", `no column "Datset" (did you mean "Dataset"?)`},
		{"table[Dataset=None].Value", "has no row with"},
		{"list[a=b]", "is no table"},
		{"a.b", `"a" is 1: the path ends there`},
		{"a[", "not closed"},
		{"a.", "empty part"},
		{"", "the path is empty"},
	} {
		leaves, err := engine.Find(found{}.Encode(), tt.path)
		var got []string
		for _, l := range leaves {
			got = append(got, l.Path+"="+strings.Trim(strings.Join(strings.Fields(sprint(l.Value)), ""), " "))
		}
		text := strings.Join(got, " ")
		if err != nil {
			text = err.Error()
		}
		if text != tt.want && (err == nil || !strings.Contains(text, tt.want)) {
			t.Errorf("%q: got %s, want %s", tt.path, text, tt.want)
		}
	}
}

func FuzzFind(f *testing.F) {
	f.Add("a")
	f.Add("table[Dataset=Test,Metric=F1].Value")
	f.Add("[b.c].*")
	f.Fuzz(func(t *testing.T, path string) {
		leaves, err := engine.Find(found{}.Encode(), path)
		if err == nil {
			for _, l := range leaves {
				if again, err := engine.Find(found{}.Encode(), l.Path); err != nil || len(again) != 1 {
					t.Errorf("the path %q of a leaf of %q: %v, %v", l.Path, path, again, err)
				}
			}
		}
	})
}

func sprint(v any) string { return fmt.Sprint(v) }
