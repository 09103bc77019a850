package check

import (
	"fmt"
	"math"
	"strconv"

	"go.yaml.in/yaml/v3"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/frame"
	"aloft/tasks/check/livemodel"
)

// ModelSpec names the predictions of one of several models to compare, and
// the command of a live one.
type ModelSpec struct {
	Name        string
	Train, Test string // prediction files, "" when absent
	Live        *livemodel.Spec
}

// model reads `model: python serve.py`, or a mapping with a command.
func (d *decoder) model(path string, n *yaml.Node) *livemodel.Spec {
	m := &livemodel.Spec{Timeout: livemodel.DefaultTimeout, Batch: livemodel.DefaultBatch}
	if n.Kind == yaml.ScalarNode {
		d.text(&m.Command)(path, n)
		return m
	}
	d.mapping(path, n, d.modelEntries(m))
	if m.Command == "" && len(d.problems) == 0 {
		d.fault(n, path, "a live model needs a \"command\"")
	}
	return m
}

func (d *decoder) modelEntries(m *livemodel.Spec) []entry {
	return []entry{
		{"command", d.text(&m.Command)},
		{"timeout", func(p string, n *yaml.Node) { m.Timeout = d.duration(p, n) }},
		{"env", func(p string, n *yaml.Node) { m.Env = d.env(p, n) }},
		{"batch", func(p string, n *yaml.Node) {
			if n.Decode(&m.Batch) != nil || m.Batch < 1 {
				d.fault(n, p, "must be a number of rows, at least 1, not %s", describe(n))
			}
		}},
	}
}

func (d *decoder) env(path string, n *yaml.Node) map[string]string {
	if n.Kind != yaml.MappingNode {
		d.fault(n, path, "must be a mapping of names to texts, not %s", describe(n))
		return nil
	}
	out := make(map[string]string)
	for i := 0; i+1 < len(n.Content); i += 2 {
		v := resolve(n.Content[i+1])
		if v.Kind != yaml.ScalarNode {
			d.fault(v, path+"."+n.Content[i].Value, "must be a text, not %s", describe(v))
			continue
		}
		out[n.Content[i].Value] = v.Value
	}
	return out
}

// models reads a mapping of names to prediction files or commands.
func (d *decoder) models(path string, n *yaml.Node) {
	if n.Kind != yaml.MappingNode {
		d.fault(n, path, "must be a mapping of models' names to their predictions, not %s", describe(n))
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		m := ModelSpec{Name: n.Content[i].Value}
		live := &livemodel.Spec{Timeout: livemodel.DefaultTimeout, Batch: livemodel.DefaultBatch}
		at, value := path+"."+m.Name, resolve(n.Content[i+1])
		d.mapping(at, value, append(d.modelEntries(live), entry{"train", d.text(&m.Train)}, entry{"test", d.text(&m.Test)}))
		switch {
		case live.Command != "":
			m.Live = live
		case m.Train == "" && m.Test == "" && len(d.problems) == 0:
			d.fault(value, at, "needs prediction files under \"train\" and \"test\", or a \"command\"")
		}
		d.spec.Models = append(d.spec.Models, m)
	}
}

// importance reads a file's name, or a mapping of features to weights.
func (d *decoder) importance(path string, n *yaml.Node) {
	if n.Kind == yaml.ScalarNode {
		d.text(&d.spec.ImportanceFile)(path, n)
		return
	}
	if n.Kind != yaml.MappingNode {
		d.fault(n, path, "must be a CSV file with the columns feature and importance, or a mapping of features to numbers, not %s", describe(n))
		return
	}
	d.spec.Importance = make(map[string]float64)
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, value := n.Content[i].Value, resolve(n.Content[i+1])
		var w float64
		if value.Kind != yaml.ScalarNode || value.Decode(&w) != nil || math.IsNaN(w) || math.IsInf(w, 0) || w < 0 {
			d.fault(value, path+"."+name, "must be a number, at least 0, not %s", describe(value))
			continue
		}
		d.spec.Importance[name] = w
	}
}

func (d *decoder) truth(to *bool) func(string, *yaml.Node) {
	return func(path string, n *yaml.Node) {
		if n.Decode(to) != nil {
			d.fault(n, path, "must be true or false, not %s", describe(n))
		}
	}
}

// importance reads the file of importances, or takes those of the document.
func (l *loader) importance() *engine.Importance {
	s := l.spec
	if s.Importance != nil {
		return &engine.Importance{Method: engine.GivenImportance, Weights: s.Importance}
	}
	const key = "feature_importance"
	t := l.table(key, oneFile(s.ImportanceFile), map[string]frame.Kind{"feature": frame.Text})
	if t == nil {
		return nil
	}
	names, err := t.Lookup("feature")
	if err != nil {
		l.fault(key, err)
		return nil
	}
	weights, err := t.Lookup("importance")
	if err != nil {
		l.fault(key, err)
		return nil
	}
	out := &engine.Importance{Method: engine.GivenImportance, Weights: make(map[string]float64)}
	for i := range names.Len() {
		name := names.Value(i).String()
		if _, twice := out.Weights[name]; twice {
			l.fault(key, fmt.Errorf("%s: the feature %q occurs twice", s.ImportanceFile, name))
		}
		w := weights.Float(i)
		if math.IsNaN(w) || math.IsInf(w, 0) || w < 0 {
			l.fault(key, fmt.Errorf("%s: row %s: the importance of %q must be a number, at least 0", s.ImportanceFile, strconv.Itoa(i+1), name))
		}
		out.Weights[name] = w
	}
	return out
}

// oneFile is a list of a file, or of none.
func oneFile(name string) []string {
	if name == "" {
		return nil
	}
	return []string{name}
}

// connect makes the live models of the document; what it returns ends them.
func (s *SuiteSpec) connect(in *engine.Inputs, dir string) (disconnect func()) {
	var open []*livemodel.Process
	if s.Model != nil {
		p := livemodel.New(*s.Model, dir)
		in.Model, open = p, append(open, p)
	}
	for i, m := range s.Models {
		if m.Live != nil {
			p := livemodel.New(*m.Live, dir)
			in.Rivals[i].Model, open = p, append(open, p)
		}
	}
	return func() {
		for _, p := range open {
			p.Close()
		}
	}
}
