package livemodel

import (
	"testing"

	"aloft/tasks/check/engine"
)

// FuzzAnswer feeds the readers of answers with whatever a process may write.
func FuzzAnswer(f *testing.F) {
	for _, s := range []string{
		`{"v":1,"type":"T","classes":["a","b"],"has_proba":true,"params":{"a":[1,{}],"b":null}}`, `{"labels":["a",1],"proba":[[0.5,0.5],[1,null]]}`,
		`{"labels":[1e999]}`, `{"error":"x"}`, `{"proba":[[0,1],[0.1,0.9]],"predict_ns":-5}`, `{}`, `[]`, `null`, `{"v":1,"params":[]}`, `{"v":1,"params":{"a":1e400}}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		info, err := decodeHello(line)
		if err != nil {
			info = engine.ModelInfo{Classes: []any{"a", "b"}, HasProba: true}
		}
		a := newAnswer(info, nil)
		if a.add(line, 2) != nil {
			return
		}
		if p := a.predictions().WithLabels(); p.Labels.Len() != 2 {
			t.Errorf("%d rows", p.Labels.Len())
		}
	})
}
