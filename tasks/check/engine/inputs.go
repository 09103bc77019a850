package engine

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"aloft/tasks/check/frame"
	"aloft/tasks/check/images"
	"aloft/tasks/check/text"
)

// Task is the kind of prediction a model makes.
type Task string

// The tasks. Unknown is the task of data without labels or predictions.
const (
	Unknown    Task = ""
	Binary     Task = "binary"
	Multiclass Task = "multiclass"
	Regression Task = "regression"
)

// Tasks lists the tasks that may be named.
func Tasks() []string { return []string{string(Binary), string(Multiclass), string(Regression)} }

// Predictions are what a model answered for the rows of one table, in order.
type Predictions struct {
	// Labels are the predicted labels or numbers; nil when only
	// probabilities were given.
	Labels *frame.Column
	// Classes and Proba hold the probability of each class: Proba[k][i] is
	// that of Classes[k] for row i. Both are nil without probabilities.
	Classes []frame.Value
	Proba   [][]float64
	// Total is the number of rows of the files when only some are in memory;
	// 0 means that all are.
	Total int
}

// Rows returns the number of rows predicted.
func (p *Predictions) Rows() int {
	if p.Labels != nil {
		return p.Labels.Len()
	}
	if len(p.Proba) > 0 {
		return len(p.Proba[0])
	}
	return 0
}

// WithLabels returns predictions whose labels are set: each row's most
// probable class, the first of equals, where there were none.
func (p *Predictions) WithLabels() *Predictions {
	if p.Labels != nil {
		return p
	}
	out := *p
	out.Labels = mostProbable(p)
	return &out
}

// Rival is one of several models to compare: its predictions, or a live model
// that makes them.
type Rival struct {
	Name        string
	Train, Test *Predictions
	Model       Model
}

// Inputs are what a suite runs on.
type Inputs struct {
	// Name is what the data are called in reports.
	Name        string
	Train, Test *frame.Dataset
	// TrainImages and TestImages are set instead where the data are images;
	// their predictions are within them.
	TrainImages, TestImages *images.Set
	// TrainTexts and TestTexts are set instead where the data are texts; their
	// predictions are within them.
	TrainTexts, TestTexts *text.Set
	// TrainPredictions and TestPredictions may be nil.
	TrainPredictions, TestPredictions *Predictions
	// Task fixes the task; Unknown infers it.
	Task Task
	// Classes are the model's classes in ascending order; nil infers them.
	Classes []frame.Value
	// Model is a live model; nil without one.
	Model Model
	// Importance weighs the features; nil asks the model, if there is one, as
	// ImportanceOptions say.
	Importance        *Importance
	ImportanceOptions ImportanceOptions
	// Rivals are models to compare with each other.
	Rivals []Rival
	// Seed is the seed of every sampling.
	Seed uint32
	Mode Mode
	// Progress, when set, is told of checks as they begin and end, by any
	// goroutine, one call at a time.
	Progress func(Step)
}

// Step tells how far a run is.
type Step struct {
	Done, Total int
	Check       string // the ID of the check
	Which       Which
	Ended       bool // it has ended; else it has begun
}

// validate applies the rules that inputs as a whole must keep.
func (in *Inputs) validate() error {
	switch {
	case in.Train == nil && in.Test == nil:
		return Errorf(ValueError, "At least one dataset (or model) must be passed to the method!")
	case in.Train == nil:
		return Errorf(DatasetValidation, "Can't initialize context with only test. if you have single dataset, initialize it as train")
	}
	if in.Test != nil {
		if err := sameRoles(in.Train, in.Test, in.Mode); err != nil {
			return err
		}
	}
	if in.Importance != nil {
		checked, err := checkImportance(in.Importance, in.Train.Features())
		if err != nil {
			return err
		}
		in.Importance = checked
	}
	if in.Classes != nil {
		if len(in.Classes) == 0 {
			return Errorf(ValueError, "Received empty model_classes")
		}
		if !slices.IsSortedFunc(in.Classes, frame.Compare) {
			return Errorf(ValueError, "Received unsorted model_classes. Expected %s", valueList(sortedValues(in.Classes)))
		}
	}
	for _, s := range []struct {
		name string
		data *frame.Dataset
		pred *Predictions
	}{{"train", in.Train, in.TrainPredictions}, {"test", in.Test, in.TestPredictions}} {
		if s.pred == nil {
			continue
		}
		if s.data == nil {
			return Errorf(ValueError, "predictions for %s were given without a %s table", s.name, s.name)
		}
		if got, want := cmp.Or(s.pred.Total, s.pred.Rows()), s.data.Total(); got != want {
			return Errorf(ModelValidation, "the %s predictions have %d rows, the %s table has %d", s.name, got, s.name, want)
		}
		if s.pred.Proba != nil && in.Classes != nil && len(s.pred.Proba) != len(in.Classes) {
			return Errorf(ModelValidation, "the %s predictions hold the probabilities of %d classes, the model has %d: %s",
				s.name, len(s.pred.Proba), len(in.Classes), valueList(in.Classes))
		}
	}
	for _, r := range in.Rivals {
		for _, s := range []struct {
			data *frame.Dataset
			pred *Predictions
		}{{in.Train, r.Train}, {in.Test, r.Test}} {
			if s.pred != nil && s.data == nil {
				return Errorf(ValueError, "there are predictions of the model %s for a table that was not given", r.Name)
			}
			if s.pred != nil && s.pred.Rows() != s.data.Rows() {
				return Errorf(ModelValidation, "the predictions of the model %s have %d rows, the table has %d", r.Name, s.pred.Rows(), s.data.Rows())
			}
		}
	}
	return in.sameClasses()
}

// sameClasses refuses probabilities of other classes than the model's, or of
// different classes on both sides.
func (in *Inputs) sameClasses() error {
	classes, from := in.Classes, "the model"
	for _, s := range []struct {
		name string
		pred *Predictions
	}{{"train", in.TrainPredictions}, {"test", in.TestPredictions}} {
		if s.pred == nil || s.pred.Classes == nil {
			continue
		}
		if classes == nil {
			classes, from = s.pred.Classes, "the "+s.name+" predictions"
			continue
		}
		same := slices.EqualFunc(classes, s.pred.Classes, func(a, b frame.Value) bool { return a.Key() == b.Key() })
		if !same {
			return Errorf(ModelValidation, "the %s predictions hold the probabilities of %s, %s has the classes %s",
				s.name, valueList(s.pred.Classes), from, valueList(classes))
		}
	}
	return nil
}

func sameRoles(train, test *frame.Dataset, mode Mode) error {
	a, b := train.Roles(), test.Roles()
	switch {
	case a.Label != b.Label:
		return Errorf(DatasetValidation, "train and test datasets should share the same label")
	case !sameSet(train.Features(), test.Features()):
		return Errorf(DatasetValidation, "train and test datasets should share the same features%s", difference(train.Features(), test.Features()))
	case !sameSet(train.CategoricalFeatures(), test.CategoricalFeatures()):
		if mode == Deepchecks {
			return Errorf(DatasetValidation, "train and test datasets should share the same categorical features. "+
				"Possible reason is that some columns wereinferred incorrectly as categorical features. "+
				"To fix this, manually edit the categorical features using Dataset(cat_features=<list_of_features>")
		}
		return Errorf(DatasetValidation, "train and test datasets should share the same categorical features%s",
			difference(train.CategoricalFeatures(), test.CategoricalFeatures()))
	case a.Index != b.Index:
		return Errorf(DatasetValidation, "train and test datasets should share the same index name")
	case a.Datetime != b.Datetime:
		return Errorf(DatasetValidation, "train and test datasets should share the same datetime name")
	}
	return nil
}

// difference names the columns that only one side has.
func difference(train, test []string) string {
	var parts []string
	for _, s := range []struct {
		name string
		a, b []string
	}{{"train", train, test}, {"test", test, train}} {
		var only []string
		for _, c := range s.a {
			if !slices.Contains(s.b, c) {
				only = append(only, c)
			}
		}
		if len(only) > 0 {
			parts = append(parts, "only "+s.name+" has "+strings.Join(only, ", "))
		}
	}
	return ": " + strings.Join(parts, "; ")
}

func sameSet(a, b []string) bool {
	x, y := slices.Clone(a), slices.Clone(b)
	slices.Sort(x)
	slices.Sort(y)
	return slices.Equal(x, y)
}

// resolve fills in the classes and the task where they were left open.
func (in *Inputs) resolve() (Task, []frame.Value, error) {
	classes := in.Classes
	if classes == nil {
		for _, p := range []*Predictions{in.TrainPredictions, in.TestPredictions} {
			if p != nil && p.Classes != nil {
				classes = p.Classes
				break
			}
		}
	}
	task := in.Task
	if task == Unknown {
		inferred, err := in.infer(classes)
		if err != nil {
			return Unknown, nil, err
		}
		task = inferred
	}
	if task == Binary && len(classes) > 2 {
		return Unknown, nil, Errorf(DatasetValidation, "Received task_type binary, while the model has %d classes: %s", len(classes), valueList(classes))
	}
	if task == Regression {
		if l := in.Train.Label(); l != nil && !l.Kind().Numeric() {
			return Unknown, nil, Errorf(ValueError, "the label %q of a regression must be a number, it is %s", l.Name(), l.Kind())
		}
		return task, nil, nil
	}
	if classes == nil && task != Unknown {
		classes = in.observed()
		if task == Binary && len(classes) > 2 {
			return Unknown, nil, Errorf(DatasetValidation, "Received task_type binary, while labels and predictions hold %d classes: %s", len(classes), valueList(classes))
		}
	}
	return task, classes, nil
}

func (in *Inputs) infer(classes []frame.Value) (Task, error) {
	if classes != nil {
		return byClasses(len(classes))
	}
	labels := in.labelColumns()
	if len(labels) == 0 {
		return Unknown, nil
	}
	if !frame.CategoricalTogether(labels, frame.LabelRatio) {
		for _, l := range labels {
			if !l.Kind().Numeric() {
				// Too many texts to be categories by the rule, and no numbers.
				return byClasses(len(in.observed()))
			}
		}
		return Regression, nil
	}
	return byClasses(len(in.observed()))
}

func byClasses(n int) (Task, error) {
	switch n {
	case 0:
		return Unknown, nil
	case 1:
		return Unknown, Errorf(DatasetValidation, "Found only one class in label column, can't run the check")
	case 2:
		return Binary, nil
	default:
		return Multiclass, nil
	}
}

// labelColumns lists the columns that hold true or predicted labels.
func (in *Inputs) labelColumns() []*frame.Column {
	var out []*frame.Column
	for _, d := range []*frame.Dataset{in.Train, in.Test} {
		if d != nil && d.Label() != nil {
			out = append(out, d.Label())
		}
	}
	for _, p := range []*Predictions{in.TrainPredictions, in.TestPredictions} {
		if p != nil && p.Labels != nil {
			out = append(out, p.Labels)
		}
	}
	return out
}

// observed lists the distinct true and predicted labels in ascending order.
func (in *Inputs) observed() []frame.Value {
	seen := make(map[frame.Value]bool)
	var out []frame.Value
	for _, c := range in.labelColumns() {
		for _, v := range c.Levels() {
			if !seen[v.Key()] {
				seen[v.Key()] = true
				out = append(out, v)
			}
		}
	}
	return sortedValues(out)
}

func sortedValues(values []frame.Value) []frame.Value {
	out := slices.Clone(values)
	slices.SortFunc(out, frame.Compare)
	return out
}

func valueList(values []frame.Value) string {
	parts := make([]string, len(values))
	for i, v := range values {
		parts[i] = v.Repr()
	}
	return fmt.Sprintf("[%s]", strings.Join(parts, ", "))
}
