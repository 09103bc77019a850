package check

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/frame"
	"aloft/tasks/check/images"
)

// RunSpec loads the files that the document names, relative to baseDir, and
// runs its checks. Unreadable or malformed files are an error, all of them
// together; what the data themselves are like is in the report.
func RunSpec(ctx context.Context, spec *SuiteSpec, baseDir string) (*Report, error) {
	started := time.Now()
	items, err := spec.placed(baseDir)
	if err != nil {
		return nil, err
	}
	var in *engine.Inputs
	switch spec.Kind {
	case Vision:
		in, err = spec.loadImages(ctx, baseDir)
	case NLP:
		in, err = spec.loadTexts(baseDir)
	default:
		in, err = spec.load(baseDir)
	}
	if err != nil {
		return nil, err
	}
	return spec.run(ctx, baseDir, started, items, in)
}

// RunImages runs the checks of a document of kind Vision on sets that a
// program has read. Test may be nil.
func RunImages(ctx context.Context, spec *SuiteSpec, baseDir string, train, test *images.Set) (*Report, error) {
	started := time.Now()
	items, err := spec.placed(baseDir)
	if err != nil {
		return nil, err
	}
	in := &engine.Inputs{Name: spec.Name, Seed: spec.Seed, Mode: spec.Compat, TrainImages: train, TestImages: test}
	if in.Name == "" && train != nil {
		in.Name = train.Name
	}
	return spec.run(ctx, baseDir, started, items, in)
}

// run runs checks on inputs that are in memory.
func (s *SuiteSpec) run(ctx context.Context, baseDir string, started time.Time, items []engine.Item, in *engine.Inputs) (*Report, error) {
	in.Progress = s.Progress
	defer s.connect(in, baseDir)()
	suite := engine.Suite{Name: strings.Join(s.Suites, ", "), Items: items}
	if suite.Name == "" {
		suite.Name = "checks"
	}
	report, err := engine.Run(ctx, suite, *in)
	if err != nil {
		return nil, err
	}
	if err := s.runSegments(ctx, report, items, in); err != nil {
		return nil, err
	}
	report.FailOn, report.Started, report.Elapsed = s.FailOn, started, time.Since(started)
	return report, nil
}

// loader reads the files of a document and collects what is wrong.
type loader struct {
	spec   *SuiteSpec
	dir    string
	faults []Problem
}

func (s *SuiteSpec) load(dir string) (*engine.Inputs, error) {
	l := &loader{spec: s, dir: dir}
	in := &engine.Inputs{Name: s.Name, Task: s.Task, Seed: s.Seed, Mode: s.Compat}
	if in.Name == "" {
		in.Name = baseName(s.Train)
		if len(s.Test) > 0 {
			in.Name += " and " + baseName(s.Test)
		}
	}
	train := l.table("train", s.Train, s.Types)
	test := l.table("test", s.Test, s.Types)
	train, test = l.sameLabelKind(train, test)
	train, trainAnswers := l.takeOut("train", train)
	test, testAnswers := l.takeOut("test", test)
	in.Train = l.dataset("train", train, nil)
	in.Test = l.dataset("test", test, in.Train)
	var label *frame.Column
	if in.Train != nil {
		label = in.Train.Label()
	}
	in.TrainPredictions = l.predictions("predictions.train", s.TrainPredictions, trainAnswers, label)
	in.TestPredictions = l.predictions("predictions.test", s.TestPredictions, testAnswers, label)
	in.Importance, in.ImportanceOptions = l.importance(), s.ImportanceOptions
	for i, m := range s.Models {
		key := fmt.Sprintf("models.%s.", m.Name)
		in.Rivals = append(in.Rivals, engine.Rival{
			Name: m.Name, Train: l.predictions(key+"train", oneFile(s.Models[i].Train), nil, label), Test: l.predictions(key+"test", oneFile(s.Models[i].Test), nil, label),
		})
	}
	if len(l.faults) > 0 {
		return nil, &SpecError{File: s.file, Problems: l.faults}
	}
	for _, c := range s.Classes {
		in.Classes = append(in.Classes, classValue(c, label))
	}
	return in, nil
}

func (l *loader) fault(key string, err error) {
	if err == nil {
		return
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range joined.Unwrap() {
			l.fault(key, e)
		}
		return
	}
	l.faults = append(l.faults, Problem{Line: l.spec.line(key), Path: key, Message: err.Error()})
}

// table reads the files of one table. Of a table with more rows than are kept
// in memory, only those come that the checks look at.
func (l *loader) table(key string, patterns []string, types map[string]frame.Kind) *frame.Table {
	if len(patterns) == 0 {
		return nil
	}
	files, err := frame.Expand(l.dir, patterns)
	if err != nil {
		l.fault(key, err)
		return nil
	}
	opts := frame.Options{NA: l.spec.NA, Types: types, CSV: l.spec.CSV, MaxRows: l.spec.MaxRows}
	opts.Select = func(total int) *frame.Selection { return engine.Selection(l.spec.items, total) }
	t, err := frame.Read(files, opts)
	if err != nil {
		l.fault(key, err)
		return nil
	}
	return t
}

// baseName names files in the title of a report.
func baseName(files []string) string {
	name := filepath.Base(files[0])
	if more := len(files) - 1; more > 0 {
		name += fmt.Sprintf(" and %d more", more)
	}
	return name
}

// sameLabelKind reads a label again as text where only one of the tables
// holds texts: digits in one and words in the other are still one set of
// labels.
func (l *loader) sameLabelKind(train, test *frame.Table) (*frame.Table, *frame.Table) {
	if train == nil || test == nil {
		return train, test
	}
	a, b := train.Column(l.spec.Label), test.Column(l.spec.Label)
	if a == nil || b == nil || (a.Kind() == frame.Text) == (b.Kind() == frame.Text) {
		return train, test
	}
	types := map[string]frame.Kind{l.spec.Label: frame.Text}
	for k, v := range l.spec.Types {
		types[k] = v
	}
	types[l.spec.Label] = frame.Text
	return l.table("train", l.spec.Train, types), l.table("test", l.spec.Test, types)
}

// dataset gives a table its roles. The test table takes the categorical
// features of the train table: inferring them twice could disagree.
func (l *loader) dataset(key string, t *frame.Table, like *frame.Dataset) *frame.Dataset {
	if t == nil {
		return nil
	}
	s := l.spec
	roles := frame.Roles{
		Label: s.Label, Index: s.Index, Datetime: s.Datetime, DatetimeUnit: s.DatetimeUnit,
		Features: s.Features, Categorical: s.Categorical,
	}
	if like != nil && s.Categorical == nil && s.Compat != engine.Deepchecks {
		roles.Categorical = slices.DeleteFunc(slices.Clone(like.CategoricalFeatures()), func(name string) bool { return t.Column(name) == nil })
		if roles.Categorical == nil {
			roles.Categorical = []string{}
		}
	}
	d, err := frame.NewDataset(t, roles)
	if err != nil {
		l.fault(key, err)
		return nil
	}
	return d
}
