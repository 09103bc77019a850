package bridge

import (
	"encoding/json"
	"math"

	"aloft/tasks/check"
	"aloft/tasks/check/engine"
	"aloft/tasks/check/report"
)

// properties answers with the properties of the train texts that the document
// wants computed, and those that cannot be.
func (s *server) properties() error {
	path := s.own.tables[engine.Train]
	if path == "" || check.Kind(s.req.Kind) != check.NLP {
		return engine.Errorf(engine.ValueError, "properties are those of train texts, and there are none")
	}
	s.req.Document["train"] = []any{path}
	spec, err := check.SpecFromMap(s.req.Document)
	if err != nil {
		return err
	}
	train, _, err := check.ReadTexts(spec, s.req.Dir)
	if err != nil {
		return err
	}
	computed, skipped := engine.Object{}, engine.Object{}
	if train.Properties != nil {
		for _, c := range train.Properties.Table.Columns() {
			values := make([]any, c.Len())
			for i := range values {
				if v := c.Float(i); !math.IsNaN(v) {
					values[i] = v
				}
			}
			computed = append(computed, engine.Field{Key: c.Name(), Value: values})
		}
	}
	for _, p := range train.Skipped {
		skipped = append(skipped, engine.Field{Key: p.Name, Value: p.Why})
	}
	out, err := report.Marshal(engine.Object{{Key: "properties", Value: computed}, {Key: "not_computed", Value: skipped}})
	if err != nil {
		return err
	}
	return s.send(frameResult, json.RawMessage(out))
}
