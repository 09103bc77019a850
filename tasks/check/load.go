package check

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/frame"
)

// probaPrefix begins the names of probability columns in prediction files.
const probaPrefix = "proba_"

// RunSpec loads the files that the document names, relative to baseDir, and
// runs its checks. Unreadable or malformed files are an error, all of them
// together; what the data themselves are like is in the report.
func RunSpec(ctx context.Context, spec *SuiteSpec, baseDir string) (*Report, error) {
	started := time.Now()
	in, err := spec.load(baseDir)
	if err != nil {
		return nil, err
	}
	in.Progress = spec.Progress
	suite := engine.Suite{Name: strings.Join(spec.Suites, ", "), Items: spec.placed(baseDir)}
	if suite.Name == "" {
		suite.Name = "checks"
	}
	report, err := engine.Run(ctx, suite, *in)
	if err != nil {
		return nil, err
	}
	report.FailOn, report.Started, report.Elapsed = spec.FailOn, started, time.Since(started)
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
		in.Name = filepath.Base(s.Train)
		if s.Test != "" {
			in.Name += " and " + filepath.Base(s.Test)
		}
	}
	train := l.table("train", s.Train, s.Types)
	test := l.table("test", s.Test, s.Types)
	train, test = l.sameLabelKind(train, test)
	in.Train = l.dataset("train", train, nil)
	in.Test = l.dataset("test", test, in.Train)
	var label *frame.Column
	if in.Train != nil {
		label = in.Train.Label()
	}
	in.TrainPredictions = l.predictions("predictions.train", s.TrainPredictions, label)
	in.TestPredictions = l.predictions("predictions.test", s.TestPredictions, label)
	if len(l.faults) > 0 {
		return nil, &SpecError{File: s.file, Problems: l.faults}
	}
	for _, c := range s.Classes {
		in.Classes = append(in.Classes, classValue(c, label))
	}
	return in, nil
}

func (l *loader) fault(key string, err error) {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range joined.Unwrap() {
			l.fault(key, e)
		}
		return
	}
	l.faults = append(l.faults, Problem{Line: l.spec.line(key), Path: key, Message: err.Error()})
}

func (l *loader) path(file string) string {
	if filepath.IsAbs(file) {
		return file
	}
	return filepath.Join(l.dir, file)
}

func (l *loader) table(key, file string, types map[string]frame.Kind) *frame.Table {
	if file == "" {
		return nil
	}
	t, err := frame.ReadCSV(l.path(file), frame.Options{Name: file, NA: l.spec.NA, Types: types})
	if err != nil {
		l.fault(key, err)
		return nil
	}
	return t
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

// predictions reads a prediction file: y_pred, proba_<class>, or both.
func (l *loader) predictions(key, file string, label *frame.Column) *engine.Predictions {
	t := l.table(key, file, nil)
	if t == nil {
		return nil
	}
	if y := t.Column("y_pred"); y != nil && label != nil && label.Kind() == frame.Text && y.Kind() != frame.Text {
		if t = l.table(key, file, map[string]frame.Kind{"y_pred": frame.Text}); t == nil {
			return nil
		}
	}
	p := &engine.Predictions{Labels: t.Column("y_pred")}
	type class struct {
		value  frame.Value
		column *frame.Column
	}
	var classes []class
	for _, c := range t.Columns() {
		name, isProba := strings.CutPrefix(c.Name(), probaPrefix)
		switch {
		case c.Name() == "y_pred":
			if c.HasNulls() {
				l.fault(key, fmt.Errorf("%s: the column \"y_pred\" has missing cells", file))
			}
		case !isProba:
			l.fault(key, fmt.Errorf("%s: unexpected column %q; known are y_pred and proba_<class>", file, c.Name()))
		case !c.Kind().Numeric() || c.HasNulls():
			l.fault(key, fmt.Errorf("%s: the column %q must hold a probability in every row", file, c.Name()))
		default:
			v, err := classFromText(name, label)
			if err != nil {
				l.fault(key, fmt.Errorf("%s: column %q: %w", file, c.Name(), err))
			}
			classes = append(classes, class{v, c})
		}
	}
	if p.Labels == nil && len(classes) == 0 {
		l.fault(key, fmt.Errorf("%s holds no predictions: a column y_pred, or columns proba_<class>, are needed", file))
	}
	slices.SortStableFunc(classes, func(a, b class) int { return frame.Compare(a.value, b.value) })
	for _, c := range classes {
		p.Classes = append(p.Classes, c.value)
		values := make([]float64, c.column.Len())
		for i := range values {
			values[i] = c.column.Float(i)
		}
		p.Proba = append(p.Proba, values)
	}
	return p
}

// errClass reports a probability column of a class that no label can have.
var errClass = errors.New("the class is not of the label's type")

// classFromText reads the class in a column's name as a label is read.
func classFromText(s string, label *frame.Column) (frame.Value, error) {
	if label == nil || label.Kind() == frame.Text {
		return frame.TextValue(s), nil
	}
	if label.Kind() == frame.Bool {
		switch strings.ToLower(s) {
		case "true", "1":
			return frame.BoolValue(true), nil
		case "false", "0":
			return frame.BoolValue(false), nil
		}
	}
	if i, err := strconv.ParseInt(s, 10, 64); err == nil {
		return frame.IntValue(i), nil
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return frame.Value{}, fmt.Errorf("%w: labels are %s", errClass, label.Kind())
	}
	return frame.FloatValue(f), nil
}

// classValue turns a class of the document into a label.
func classValue(c any, label *frame.Column) frame.Value {
	if label != nil && label.Kind() == frame.Text {
		if s, ok := c.(string); ok {
			return frame.TextValue(s)
		}
		return frame.TextValue(fmt.Sprint(c))
	}
	switch c := c.(type) {
	case int:
		return frame.IntValue(int64(c))
	case float64:
		return frame.FloatValue(c)
	case bool:
		return frame.BoolValue(c)
	default:
		return frame.TextValue(fmt.Sprint(c))
	}
}
