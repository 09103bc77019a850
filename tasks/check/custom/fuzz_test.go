package custom

import (
	"errors"
	"testing"

	"aloft/tasks/check/engine"
)

// Whatever a command writes is a result or a named error.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"value": {"a": [1, 2.5, null]}, "reduced": {"x": 1}, "displays": [{"type": "note", "text": "n"}]}`))
	f.Add([]byte(`{"displays": [{"type": "lines", "lines": [{"name": "l", "x": [1], "y": [1]}]}], "conditions": []}`))
	f.Add([]byte(`{"displays": [{"type": "bars", "series": ["s"], "groups": [{"label": "l", "values": [null]}]}], "value": 1}`))
	f.Add([]byte(`{"error": {"class": "A", "message": "m"}}`))
	f.Fuzz(func(t *testing.T, src []byte) {
		r, err := decode(src)
		if e := (*engine.Error)(nil); err != nil && !errors.As(err, &e) {
			t.Errorf("error %v", err)
		}
		if err == nil && r.Value == nil {
			t.Error("no value")
		}
	})
}
