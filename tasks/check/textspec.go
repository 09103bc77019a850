package check

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/frame"
	"aloft/tasks/check/text"
)

// TextSpec is what a suite document says of texts, besides what it says of
// tables: each row of Train and Test is a text.
type TextSpec struct {
	Task text.Task
	// Text and Tokens are the column of texts or of lists of tokens; both "" take
	// a column of that name.
	Text, Tokens string
	// Metadata are columns of metadata, nil for all that mean nothing else, and
	// MetadataFiles files of them by side.
	Metadata      []string
	MetadataFiles map[string][]string
	// Properties are columns that hold properties, and PropertyFiles files of
	// them by side.
	Properties    []string
	PropertyFiles map[string][]string
	// Compute says which properties the engine computes; None that it computes
	// none.
	Compute text.Selection
	None    bool
	// CategoricalMetadata and CategoricalProperties are columns; nil infers
	// them.
	CategoricalMetadata, CategoricalProperties []string
	// Embeddings is a pattern of columns, and EmbeddingFiles files by side:
	// numpy's npy, or tables of numbers.
	Embeddings     string
	EmbeddingFiles map[string][]string
	// Vocabulary is the file vocab.txt of a WordPiece tokeniser.
	Vocabulary string
}

// textDocument reads the keys of a document on texts.
func (d *decoder) textDocument(n *yaml.Node) {
	s := d.spec
	x := &s.Texts
	s.MaxRows = 0 // texts are all kept
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
		{"na_values", d.texts(&s.NA)},
		{"text", d.text(&x.Text)},
		{"tokens", d.text(&x.Tokens)},
		{"label", d.text(&s.Label)},
		{"task_type", func(p string, n *yaml.Node) {
			var t string
			d.choice(&t, text.Tasks()...)(p, n)
			x.Task = text.Task(t)
		}},
		{"metadata", func(p string, n *yaml.Node) {
			if n.Kind != yaml.MappingNode {
				d.texts(&x.Metadata)(p, n)
				return
			}
			x.MetadataFiles = d.bySide(p, n)
		}},
		{"categorical_metadata", d.texts(&x.CategoricalMetadata)},
		{"properties", d.properties},
		{"categorical_properties", d.texts(&x.CategoricalProperties)},
		{"embeddings", func(p string, n *yaml.Node) {
			if n.Kind == yaml.MappingNode {
				x.EmbeddingFiles = d.bySide(p, n)
				return
			}
			if d.text(&x.Embeddings)(p, n); x.Embeddings != "" && strings.Count(x.Embeddings, "*") != 1 {
				d.fault(n, p, "must be a pattern of columns with one *, such as emb_*, or a mapping with the files \"train\" and \"test\", not %s", describe(n))
			}
		}},
		{"predictions", d.predictions},
		{"classes", d.classes},
		{"vocabulary", d.text(&x.Vocabulary)},
		{"seed", d.seed},
		{"fail_on", d.failOn},
		{"compat", d.compat},
	})
}

// bySide reads a mapping of train and test to files.
func (d *decoder) bySide(path string, n *yaml.Node) map[string][]string {
	var train, test []string
	d.mapping(path, n, []entry{{"train", d.files(&train)}, {"test", d.files(&test)}})
	return map[string][]string{"train": train, "test": test}
}

// properties reads where properties are, and which are computed.
func (d *decoder) properties(path string, n *yaml.Node) {
	x := &d.spec.Texts
	var test, train []string
	compute := func(p string, n *yaml.Node) {
		switch {
		case n.Kind == yaml.SequenceNode:
			d.texts(&x.Compute.Include)(p, n)
		case n.Kind == yaml.ScalarNode && n.Value == "all":
			x.Compute.All = true
		case n.Kind == yaml.ScalarNode && n.Value == "default":
		case n.Kind == yaml.ScalarNode && (n.Value == "none" || n.Value == "false"):
			x.None = true
		default:
			d.fault(n, p, "must be default, all, none or a list of properties, not %s", describe(n))
		}
	}
	if n.Kind != yaml.MappingNode {
		compute(path, n)
	} else {
		d.mapping(path, n, []entry{
			{"compute", compute},
			{"exclude", d.texts(&x.Compute.Exclude)},
			{"columns", d.texts(&x.Properties)},
			{"train", d.files(&train)},
			{"test", d.files(&test)},
		})
		x.PropertyFiles = map[string][]string{"train": train, "test": test}
	}
	if x.None {
		return
	}
	if err := (&text.Set{Name: "", Texts: nil}).Compute(x.Compute); err != nil { // names alone are looked at
		d.fault(n, path, "%v", err)
	}
}

// wholeTexts checks what no single key can tell.
func (d *decoder) wholeTexts(n *yaml.Node, faulty func(string) bool) {
	s := d.spec
	at := func(key string) *yaml.Node { return &yaml.Node{Line: cmp.Or(s.lines[key], n.Line)} }
	if len(s.Train) == 0 && !faulty("train") {
		if len(s.Test) > 0 {
			d.fault(at("test"), "test", "a single data set goes under \"train\"")
		} else {
			d.fault(n, "", "no texts: add \"train\" with a file")
		}
	}
	if s.Texts.Text != "" && s.Texts.Tokens != "" {
		d.fault(at("tokens"), "tokens", "name the column of texts or that of tokens, not both")
	}
	for key, files := range map[string]map[string][]string{"metadata": s.Texts.MetadataFiles, "properties": s.Texts.PropertyFiles, "embeddings": s.Texts.EmbeddingFiles, "predictions": {"test": s.TestPredictions}} {
		if len(files["test"]) > 0 && len(s.Test) == 0 {
			d.fault(at(key+".test"), key+".test", "there are %s for test texts, but no \"test\"", key)
		}
	}
	for _, suite := range s.builtins() {
		switch {
		case suite == TrainTestValidation && len(s.Test) == 0:
			d.fault(at("suites"), "suites", "%s compares two data sets: add \"test\"", suite)
		case suite == ModelEvaluation && s.Label == "":
			d.fault(at("suites"), "suites", "%s compares predictions with labels: add \"label\"", suite)
		}
	}
}

// loadTexts reads the data sets that the document names.
func (s *SuiteSpec) loadTexts(dir string) (*engine.Inputs, error) {
	l := &loader{spec: s, dir: dir}
	in := &engine.Inputs{Name: s.Name, Seed: s.Seed, Mode: s.Compat}
	if in.Name == "" {
		in.Name = baseName(s.Train)
		if len(s.Test) > 0 {
			in.Name += " and " + baseName(s.Test)
		}
	}
	in.TrainTexts = l.textSet("train", s.Train, s.TrainPredictions, "")
	like := s.Texts.Task
	if in.TrainTexts != nil {
		like = in.TrainTexts.Task // both sides are of one task
	}
	in.TestTexts = l.textSet("test", s.Test, s.TestPredictions, like)
	if len(l.faults) == 0 {
		l.fault("train", text.Agree(in.TrainTexts, in.TestTexts, s.Texts.CategoricalMetadata, s.Texts.CategoricalProperties))
	}
	if s.Texts.Vocabulary != "" {
		path := s.Texts.Vocabulary
		if !filepath.IsAbs(path) {
			path = filepath.Join(dir, path)
		}
		v, err := text.ReadVocabulary(path)
		l.fault("vocabulary", err)
		for _, set := range []*text.Set{in.TrainTexts, in.TestTexts} {
			if set != nil {
				set.Vocabulary = v
			}
		}
	}
	if len(l.faults) > 0 {
		return nil, &SpecError{File: s.file, Problems: l.faults}
	}
	return in, nil
}

// ReadTexts reads the data sets of a document of kind NLP, with the properties
// that it wants computed. Test is nil without one.
func ReadTexts(spec *SuiteSpec, baseDir string) (train, test *text.Set, err error) {
	in, err := spec.loadTexts(baseDir)
	if err != nil {
		return nil, nil, err
	}
	return in.TrainTexts, in.TestTexts, nil
}

// textSet reads one data set.
func (l *loader) textSet(key string, files, predictions []string, task text.Task) *text.Set {
	x := &l.spec.Texts
	layout := text.Layout{
		Task: cmp.Or(x.Task, task), Text: x.Text, Tokens: x.Tokens, Label: l.spec.Label, Properties: x.Properties, Embeddings: x.Embeddings, Metadata: x.Metadata,
	}
	for _, c := range l.spec.Classes {
		layout.Classes = append(layout.Classes, fmt.Sprint(c))
	}
	types := make(map[string]frame.Kind)
	for _, name := range []string{x.Text, x.Tokens, l.spec.Label} {
		if name != "" {
			types[name] = frame.Text
		}
	}
	if c := l.spec.Columns; c != nil {
		layout.Predicted, layout.Proba, layout.ProbaColumns = c.Column, c.Proba, c.Classes
		if c.Column != "" {
			types[c.Column] = frame.Text
		}
	}
	t := l.textTable(key, files, types)
	if t == nil {
		return nil
	}
	for _, guess := range []struct {
		name string
		to   *string
	}{{"text", &layout.Text}, {"tokens", &layout.Tokens}} {
		if layout.Text == "" && layout.Tokens == "" && t.Column(guess.name) != nil {
			*guess.to = guess.name
		}
	}
	if predictions == nil && l.spec.Columns == nil { // as files of predictions have them
		if t.Column(predictedColumn) != nil {
			layout.Predicted = predictedColumn
		}
		if slices.ContainsFunc(t.Names(), func(n string) bool { return strings.HasPrefix(n, probaPrefix) && n != probaPrefix }) {
			layout.Proba = probaPrefix + "*"
		}
	}
	set, err := text.FromTable(t, layout)
	if err != nil {
		l.fault(key, err)
		return nil
	}
	if p := l.textTable("predictions."+key, predictions, nil); p != nil {
		l.fault("predictions."+key, set.SetPredictions(p))
	}
	if m := l.textTable("metadata."+key, x.MetadataFiles[key], nil); m != nil {
		set.Metadata = &text.Columns{Table: m}
	}
	if p := l.textTable("properties."+key, x.PropertyFiles[key], nil); p != nil {
		set.Properties = &text.Columns{Table: p}
	}
	l.embeddings(set, "embeddings."+key, x.EmbeddingFiles[key])
	l.modelClasses(set)
	if len(l.faults) > 0 {
		return set
	}
	if err := set.Validate(); err != nil {
		l.fault(key, err)
		return set
	}
	if !x.None {
		l.fault("properties", set.Compute(x.Compute))
	}
	return set
}

// textTable reads a table in which cells may hold lists.
func (l *loader) textTable(key string, patterns []string, types map[string]frame.Kind) *frame.Table {
	if len(patterns) == 0 {
		return nil
	}
	files, err := frame.Expand(l.dir, patterns)
	if err != nil {
		l.fault(key, err)
		return nil
	}
	t, err := frame.Read(files, frame.Options{NA: l.spec.NA, Types: types, CSV: l.spec.CSV, Lists: true})
	if err != nil {
		l.fault(key, err)
		return nil
	}
	return t
}

// embeddings reads a matrix of numpy, or a table of numbers.
func (l *loader) embeddings(set *text.Set, key string, patterns []string) {
	if len(patterns) == 0 {
		return
	}
	if len(patterns) == 1 && filepath.Ext(patterns[0]) == ".npy" {
		path := patterns[0]
		if !filepath.IsAbs(path) {
			path = filepath.Join(l.dir, path)
		}
		rows, err := text.ReadMatrix(path)
		set.Embeddings = rows
		l.fault(key, err)
		return
	}
	if t := l.textTable(key, patterns, nil); t != nil {
		l.fault(key, set.SetEmbeddings(t))
	}
}

// modelClasses takes the classes that the document names.
func (l *loader) modelClasses(set *text.Set) {
	if l.spec.Classes == nil {
		return
	}
	names := make([]string, len(l.spec.Classes))
	for i, c := range l.spec.Classes {
		names[i] = fmt.Sprint(c)
	}
	switch {
	case !slices.IsSorted(names):
		l.fault("classes", errors.New("the classes must be in ascending order, as texts"))
	case set.Proba != nil && !slices.Equal(names, set.Classes):
		l.fault("classes", fmt.Errorf("the probabilities are of the classes %s", strings.Join(set.Classes, ", ")))
	}
	set.Classes = names
}
