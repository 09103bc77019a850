package check

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/frame"
	"aloft/tasks/check/nearest"
)

// decoder collects the problems of a document while it reads it.
type decoder struct {
	spec     *SuiteSpec
	problems []Problem

	file      string   // the included file being read; "" is the document
	including []string // the files on the way to it
	included  []string // all files included so far
}

// Bounds of a parameter's value, so that aliases cannot make a small document
// endless: how deep it may nest, and how many values it may hold.
const (
	maxDepth  = 32
	maxValues = 100_000
)

// kinds maps the type names that documents may use, pandas' among them.
var kinds = map[string]frame.Kind{
	"int": frame.Int, "int64": frame.Int, "integer": frame.Int,
	"float": frame.Float, "float64": frame.Float, "number": frame.Float,
	"bool": frame.Bool, "boolean": frame.Bool,
	"text": frame.Text, "str": frame.Text, "string": frame.Text, "object": frame.Text, "category": frame.Text,
	"datetime": frame.Time, "date": frame.Time, "datetime64[ns]": frame.Time,
}

func decodeSpec(file string, node *yaml.Node) (*SuiteSpec, error) {
	d := &decoder{spec: &SuiteSpec{Kind: Tabular, MaxRows: DefaultMaxRows, Seed: 42, FailOn: engine.FailOnFail, file: file, lines: make(map[string]int)}}
	d.document(node)
	d.problems = append(d.problems, d.spec.planAll()...)
	if resolve(node).Kind == yaml.MappingNode {
		d.whole(node)
	}
	if err := (*SpecError)(nil); errors.As(d.spec.build(), &err) {
		d.problems = append(d.problems, err.Problems...) // all problems at once
	}
	if len(d.problems) > 0 {
		slices.SortStableFunc(d.problems, func(a, b Problem) int {
			return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line))
		})
		return nil, &SpecError{File: file, Problems: d.problems}
	}
	return d.spec, nil
}

func (d *decoder) fault(node *yaml.Node, path, format string, args ...any) {
	d.problems = append(d.problems, Problem{File: d.file, Line: node.Line, Path: path, Message: fmt.Sprintf(format, args...)})
}

// entry is a key of a mapping with its reader.
type entry struct {
	name string
	read func(path string, n *yaml.Node)
}

// mapping reads a mapping with known keys.
func (d *decoder) mapping(path string, n *yaml.Node, entries []entry) {
	n = resolve(n)
	if n.Kind != yaml.MappingNode {
		d.fault(n, path, "must be a mapping of keys to values, not %s", describe(n))
		return
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.name
	}
	seen := make(map[string]int)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], resolve(n.Content[i+1])
		at := slices.Index(names, key.Value)
		if at < 0 {
			d.fault(key, path, "unknown key %q%s; known are %s", key.Value, nearest.Hint(key.Value, names), strings.Join(names, ", "))
			continue
		}
		if line, dup := seen[key.Value]; dup {
			d.fault(key, path, "the key %q occurs twice, first in line %d", key.Value, line)
			continue
		}
		seen[key.Value] = key.Line
		below := key.Value
		if path != "" {
			below = path + "." + key.Value
		}
		d.spec.lines[below] = key.Line
		if value.Tag == "!!null" {
			continue // the default
		}
		entries[at].read(below, value)
	}
}

// kindOf reads the kind of data, which decides on the other keys.
func kindOf(n *yaml.Node) Kind {
	n = resolve(n)
	for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
		if k := Kind(resolve(n.Content[i+1]).Value); n.Content[i].Value == "kind" && slices.Contains(Kinds(), k) {
			return k
		}
	}
	return Tabular
}

// readKind refuses kinds that there are not.
func (d *decoder) readKind(path string, n *yaml.Node) {
	var kind string
	d.choice(&kind, string(Tabular), string(Vision), string(NLP))(path, n)
}

func (d *decoder) document(n *yaml.Node) {
	s := d.spec
	switch s.Kind = kindOf(n); s.Kind {
	case Vision:
		d.imageDocument(n)
		return
	case NLP:
		d.textDocument(n)
		return
	}
	d.mapping("", n, []entry{
		{"kind", d.readKind},
		{"name", d.text(&s.Name)},
		{"include", d.include},
		{"define", d.define},
		{"suites", d.suites},
		{"suite_params", d.suiteParams},
		{"checks", d.checks},
		{"train", d.files(&s.Train)},
		{"test", d.files(&s.Test)},
		{"csv", d.dialect},
		{"max_rows_in_memory", d.maxRows},
		{"label", d.text(&s.Label)},
		{"task_type", func(p string, n *yaml.Node) {
			var t string
			d.choice(&t, engine.Tasks()...)(p, n)
			s.Task = engine.Task(t)
		}},
		{"features", d.texts(&s.Features)},
		{"categorical", d.texts(&s.Categorical)},
		{"index", d.text(&s.Index)},
		{"datetime", d.text(&s.Datetime)},
		{"datetime_unit", d.choice(&s.DatetimeUnit, "s", "ms", "us", "ns", "m", "h", "D")},
		{"dtypes", d.types},
		{"na_values", d.texts(&s.NA)},
		{"classes", d.classes},
		{"predictions", d.predictions},
		{"model", func(p string, n *yaml.Node) { s.Model = d.model(p, n) }},
		{"models", d.models},
		{"feature_importance", d.importance},
		{"feature_importance_timeout", func(p string, n *yaml.Node) { s.ImportanceOptions.Timeout = d.duration(p, n) }},
		{"feature_importance_force_permutation", d.truth(&s.ImportanceOptions.Permutation)},
		{"seed", d.seed},
		{"fail_on", d.failOn},
		{"schema", d.schema},
		{"segments", d.segments},
		{"segment_by", d.segmentBy},
		{"compat", d.compat},
	})
}

func (d *decoder) failOn(path string, n *yaml.Node) {
	t := string(d.spec.FailOn)
	d.choice(&t, string(engine.FailOnFail), string(engine.FailOnWarn), string(engine.FailNever))(path, n)
	d.spec.FailOn = FailOn(t)
}

func (d *decoder) compat(path string, n *yaml.Node) {
	t := ""
	d.choice(&t, string(engine.Deepchecks))(path, n)
	d.spec.Compat = engine.Mode(t)
}

// whole checks what no single key can tell.
func (d *decoder) whole(n *yaml.Node) {
	s := d.spec
	at := func(key string) *yaml.Node { return &yaml.Node{Line: cmp.Or(s.lines[key], n.Line)} }
	_, hasSuites := s.lines["suites"]
	_, hasChecks := s.lines["checks"]
	_, hasSchema := s.lines["schema"]
	if !hasSuites && !hasChecks && !hasSchema || len(d.problems) == 0 && len(s.Suites)+len(s.Checks) == 0 && !hasSchema {
		d.fault(n, "", "nothing to run: add \"suites\" (%s), \"checks\" or \"schema\"", strings.Join(s.Kind.SuiteNames(), ", "))
	}
	faulty := func(key string) bool {
		return slices.ContainsFunc(d.problems, func(p Problem) bool { return p.Path == key })
	}
	switch s.Kind {
	case Vision:
		d.wholeImages(n, faulty)
		return
	case NLP:
		d.wholeTexts(n, faulty)
		return
	}
	if len(s.Train) == 0 && !faulty("train") {
		if len(s.Test) > 0 {
			d.fault(at("test"), "test", "a single table goes under \"train\"")
		} else {
			d.fault(n, "", "no table: add \"train\" with a file")
		}
	}
	if len(s.TestPredictions) > 0 && len(s.Test) == 0 {
		d.fault(at("predictions.test"), "predictions.test", "there are predictions for a test table, but no \"test\"")
	}
	for _, suite := range sortedSuites(s.SuiteParams) {
		if !slices.Contains(s.builtins(), suite) && !faulty("suites") && len(d.problems) == 0 {
			d.fault(at("suite_params."+suite), "suite_params."+suite, "there are parameters for the suite %q, which is not among \"suites\"", suite)
		}
	}
	for _, suite := range s.builtins() {
		switch {
		case suite == TrainTestValidation && len(s.Test) == 0:
			d.fault(at("suites"), "suites", "%s compares two tables: add \"test\"", suite)
		case suite == ProductionSuite && len(s.Test) == 0 && s.SuiteParams[suite]["is_comparative"] != false:
			d.fault(at("suites"), "suites", "%s compares two tables: add \"test\", or set is_comparative to false in \"suite_params\"", suite)
		case (suite == ModelEvaluation || suite == ProductionSuite) && s.Columns == nil && s.Model == nil && (len(s.TrainPredictions) == 0 || len(s.Test) > 0 && len(s.TestPredictions) == 0):
			d.fault(at("suites"), "suites", "%s needs predictions: add \"predictions\" with a file for each table, with their columns, or a live \"model\"", suite)
		case (suite == ModelEvaluation || suite == ProductionSuite) && s.Label == "":
			d.fault(at("suites"), "suites", "%s compares predictions with labels: add \"label\"", suite)
		}
	}
}

func sortedSuites(m map[string]map[string]any) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// suiteParams reads a mapping of suites to their parameters.
func (d *decoder) suiteParams(path string, n *yaml.Node) {
	entries := make([]entry, 0, len(d.spec.Kind.SuiteNames()))
	d.spec.SuiteParams = make(map[string]map[string]any)
	for _, name := range d.spec.Kind.SuiteNames() {
		entries = append(entries, entry{name, func(p string, n *yaml.Node) { d.spec.SuiteParams[name] = d.params(p, n) }})
	}
	d.mapping(path, n, entries)
}

// params reads parameters; their names and types are the check's to judge.
func (d *decoder) params(path string, n *yaml.Node) map[string]any {
	if n.Kind != yaml.MappingNode {
		d.fault(n, path, "must be a mapping of parameters to values, not %s", describe(n))
		return nil
	}
	out := make(map[string]any)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i].Value
		d.spec.lines[path+"."+key] = n.Content[i].Line
		v, err := plain(n.Content[i+1])
		if err != nil {
			d.fault(n.Content[i], path+"."+key, "%v", err)
			continue
		}
		out[key] = v
	}
	return out
}

func (d *decoder) types(path string, n *yaml.Node) {
	if n.Kind != yaml.MappingNode {
		d.fault(n, path, "must be a mapping of columns to types, not %s", describe(n))
		return
	}
	d.spec.Types = make(map[string]frame.Kind)
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, value := n.Content[i].Value, resolve(n.Content[i+1])
		kind, ok := kinds[value.Value]
		if !ok {
			known := []string{"int64", "float64", "bool", "text", "datetime"}
			d.fault(value, path+"."+name, "unknown type %q%s; known are %s", value.Value, nearest.Hint(value.Value, known), strings.Join(known, ", "))
			continue
		}
		d.spec.Types[name] = kind
	}
}

func (d *decoder) classes(path string, n *yaml.Node) {
	v, err := plain(n)
	list, ok := v.([]any)
	if err != nil || !ok || len(list) == 0 {
		d.fault(n, path, "must be a list of the model's classes in ascending order, not %s", describe(n))
		return
	}
	for _, c := range list {
		switch c.(type) {
		case string, int, float64, bool:
		default:
			d.fault(n, path, "a class must be a text or a number, not %v", c)
			return
		}
	}
	d.spec.Classes = list
}

func (d *decoder) seed(path string, n *yaml.Node) {
	var v int64
	if n.Decode(&v) != nil || v < 0 || v > math.MaxUint32 {
		d.fault(n, path, "must be a whole number from 0 to %d, not %s", uint32(math.MaxUint32), describe(n))
		return
	}
	d.spec.Seed = uint32(v)
}

func (d *decoder) text(to *string) func(string, *yaml.Node) {
	return func(path string, n *yaml.Node) {
		if n.Kind != yaml.ScalarNode || n.Value == "" {
			d.fault(n, path, "must be a text, not %s", describe(n))
			return
		}
		*to = n.Value
	}
}

// texts reads one text or a list of texts.
func (d *decoder) texts(to *[]string) func(string, *yaml.Node) {
	return func(path string, n *yaml.Node) {
		if n.Kind == yaml.ScalarNode {
			*to = []string{n.Value}
			return
		}
		if n.Kind != yaml.SequenceNode {
			d.fault(n, path, "must be a list of texts, not %s", describe(n))
			return
		}
		*to = make([]string, 0, len(n.Content))
		for _, e := range n.Content {
			e = resolve(e)
			if e.Kind != yaml.ScalarNode || e.Tag == "!!null" {
				d.fault(e, path, "must be a list of texts, not of %s", describe(e))
				return
			}
			*to = append(*to, e.Value)
		}
	}
}

func (d *decoder) choice(to *string, allowed ...string) func(string, *yaml.Node) {
	return func(path string, n *yaml.Node) {
		if n.Kind != yaml.ScalarNode || !slices.Contains(allowed, n.Value) {
			hint := ""
			if n.Kind == yaml.ScalarNode {
				hint = nearest.Hint(n.Value, allowed)
			}
			d.fault(n, path, "must be %s, not %s%s", strings.Join(allowed, " or "), describe(n), hint)
			return
		}
		*to = n.Value
	}
}

// plain turns a node into nil, bool, int, float64, string, []any or Object.
func plain(n *yaml.Node) (any, error) {
	left := maxValues
	return plainWithin(n, maxDepth, &left)
}

func plainWithin(n *yaml.Node, depth int, left *int) (any, error) {
	n = resolve(n)
	if *left--; depth < 0 || *left < 0 {
		return nil, fmt.Errorf("holds more than %d values or is nested deeper than %d levels", maxValues, maxDepth)
	}
	switch n.Kind {
	case yaml.SequenceNode:
		out := make([]any, 0, len(n.Content))
		for _, e := range n.Content {
			v, err := plainWithin(e, depth-1, left)
			if err != nil {
				return nil, err
			}
			out = append(out, v)
		}
		return out, nil
	case yaml.MappingNode:
		out := make(engine.Object, 0, len(n.Content)/2)
		for i := 0; i+1 < len(n.Content); i += 2 {
			v, err := plainWithin(n.Content[i+1], depth-1, left)
			if err != nil {
				return nil, err
			}
			out = append(out, engine.Field{Key: n.Content[i].Value, Value: v})
		}
		return out, nil
	default:
		var v any
		if err := n.Decode(&v); err != nil {
			return nil, fmt.Errorf("unreadable value %q", n.Value)
		}
		switch v.(type) {
		case nil, bool, int, float64, string:
			return v, nil
		}
		return n.Value, nil // dates and the like are texts here
	}
}

// resolve follows an alias.
func resolve(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode && n.Alias != nil {
		n = n.Alias
	}
	return n
}

// describe names what a node is, for messages.
func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	if n.Tag == "!!null" {
		return "nothing"
	}
	return fmt.Sprintf("%q", n.Value)
}
