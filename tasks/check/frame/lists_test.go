package frame_test

import (
	"strings"
	"testing"

	"aloft/tasks/check/frame"
)

// TestLists keeps lists in cells of JSON lines where that is asked for.
func TestLists(t *testing.T) {
	t.Parallel()
	src := "{\"a\": [\"x, ]\\\"\", 1, null], \"b\": 1}\n{\"a\": [], \"b\": 2}\n{\"a\": null, \"b\": 3}\n"
	table, err := frame.Parse([]byte(src), frame.Options{Lists: true})
	if err != nil {
		t.Fatal(err)
	}
	a := table.Column("a")
	if a.Value(0).String() != `["x, ]\"", 1, null]` || a.Value(1).String() != "[]" || !a.IsNull(2) || table.Column("b").Float(2) != 3 {
		t.Errorf("the cells are %q, %q and missing %v", a.Value(0), a.Value(1), a.IsNull(2))
	}
	for src, want := range map[string]string{
		`{"a": [1, [2]]}`: "a list within a list", `{"a": [{}]}`: "flatten the file", `{"a": [1,]}`: "not valid JSON", `{"a": [1`: "not valid JSON", "{\"a\": [\n1]}": "not valid JSON",
	} {
		if _, err := frame.Parse([]byte(src), frame.Options{Lists: true}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s gives %v, want %q", src, err, want)
		}
	}
	if _, err := frame.Parse([]byte(src), frame.Options{}); err == nil || !strings.Contains(err.Error(), "a list inside a cell") {
		t.Errorf("without the option: %v", err)
	}
}
