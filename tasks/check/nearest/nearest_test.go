package nearest_test

import (
	"testing"

	"aloft/tasks/check/nearest"
)

func TestName(t *testing.T) {
	t.Parallel()
	known := []string{"target", "sepal_length", "data_integrity"}
	for in, want := range map[string]string{"Target": "target", "tagret": "target", "data-integrity": "data_integrity", "zzz": ""} {
		if got := nearest.Name(in, known); got != want {
			t.Errorf("Name(%q) = %q, want %q", in, got, want)
		}
	}
	if got := nearest.Hint("tarjet", known); got != ` (did you mean "target"?)` {
		t.Errorf("Hint = %q", got)
	}
}
