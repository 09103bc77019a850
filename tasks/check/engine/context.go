package engine

import (
	"context"
	"sync"

	"aloft/tasks/check/frame"
	"aloft/tasks/check/images"
	"aloft/tasks/check/stats"
	"aloft/tasks/check/text"
)

// Which names a side: "train" or "test".
type Which string

// The sides.
const (
	Train Which = "train"
	Test  Which = "test"
)

// Side is one of the two tables with its predictions.
type Side struct {
	Which Which
	Data  *frame.Dataset
	// Images are set instead of Data where the data are images.
	Images *images.Set
	// Texts are set instead where the data are texts.
	Texts *text.Set
	// Offset is added to row numbers in results: test rows follow train rows.
	Offset int

	pred    *Predictions
	predErr error // why a live model did not predict

	mu     sync.Mutex
	orders map[int][]int32 // by seed
	all    []int32         // every row, as it comes
}

// Context is what a check sees of the inputs. It is valid during one Run.
type Context struct {
	mode    Mode
	task    Task
	classes []frame.Value
	train   *Side
	test    *Side
	current *Side
	given   *Importance
	memo    *memo
	notes   *notes

	model             Model
	info              ModelInfo
	modelErr          error // why the model cannot be asked
	importanceOptions ImportanceOptions
	rivals            []Rival
}

func newContext(ctx context.Context, in *Inputs, items []Item) (*Context, error) {
	if in.TrainImages != nil || in.TestImages != nil {
		return imageContext(in)
	}
	if in.TrainTexts != nil || in.TestTexts != nil {
		return textContext(in)
	}
	info, predErrs, modelErr := in.meet(ctx, items)
	if err := in.validate(); err != nil {
		return nil, err
	}
	task, classes, err := in.resolve()
	if err != nil {
		return nil, err
	}
	c := &Context{
		mode: in.Mode, task: task, classes: classes, memo: newMemo(), notes: &notes{},
		model: in.Model, info: info, modelErr: modelErr, given: in.Importance, importanceOptions: in.ImportanceOptions, rivals: in.Rivals,
	}
	c.train = &Side{Which: Train, Data: in.Train, pred: in.TrainPredictions, predErr: predErrs[0]}
	if in.Test != nil {
		c.test = &Side{Which: Test, Data: in.Test, Offset: in.Train.Total(), pred: in.TestPredictions, predErr: predErrs[1]}
	}
	return c, nil
}

// Mode returns the mode of the run.
func (c *Context) Mode() Mode { return c.mode }

// Task returns the task; Unknown without labels and predictions.
func (c *Context) Task() Task { return c.task }

// Classes lists the model's classes in ascending order; nil for regression.
func (c *Context) Classes() []frame.Value { return c.classes }

// Side returns the side that a single-dataset check runs on.
func (c *Context) Side() *Side { return c.current }

// Train returns the train side; it is always there.
func (c *Context) Train() *Side { return c.train }

// Test returns the test side, nil without a test table. Checks of scope
// TrainTest are not run without one.
func (c *Context) Test() *Side { return c.test }

// Classification refuses regression tasks.
func (c *Context) Classification() error {
	if c.task == Regression && c.train.Data.Label() != nil {
		return irrelevant(ModelValidation, "Check is irrelevant for regression tasks")
	}
	return nil
}

// RegressionTask refuses classification tasks.
func (c *Context) RegressionTask() error {
	if c.task != Regression && c.task != Unknown && c.train.Data.Label() != nil {
		return irrelevant(ModelValidation, "Check is irrelevant for classification tasks")
	}
	return nil
}

// Note adds a remark to the report of the check that runs: what it did
// without, what it took instead.
func (c *Context) Note(text string) { c.notes.add(text) }

// Label returns the side's label column, or the error for its absence.
func (s *Side) Label() (*frame.Column, error) {
	if l := s.Data.Label(); l != nil {
		return l, nil
	}
	return nil, missing(NotSupported, "Dataset does not contain a label column")
}

// Features returns the side's features, or the error for their absence.
func (s *Side) Features() ([]string, error) {
	if f := s.Data.Features(); len(f) > 0 {
		return f, nil
	}
	return nil, missing(NotSupported, "Dataset does not contain any feature columns")
}

// Index returns the side's index column, or the error for its absence.
func (s *Side) Index() (*frame.Column, error) {
	if i := s.Data.Index(); i != nil {
		return i, nil
	}
	return nil, missing(DatasetValidation, "Dataset does not contain an index")
}

// Datetime returns the side's datetime column, or the error for its absence.
func (s *Side) Datetime() (*frame.Column, error) {
	if d := s.Data.Datetime(); d != nil {
		return d, nil
	}
	return nil, missing(DatasetValidation, "Dataset does not contain a datetime")
}

// Identifiers returns the side's datetime and index columns, or the error for
// the absence of both.
func (s *Side) Identifiers() ([]string, error) {
	var out []string
	for _, c := range []*frame.Column{s.Data.Datetime(), s.Data.Index()} {
		if c != nil {
			out = append(out, c.Name())
		}
	}
	if out == nil {
		return nil, missing(DatasetValidation, "Dataset does not contain an index or a datetime")
	}
	return out, nil
}

// Predictions returns the side's predictions, or the error for their absence.
// Labels are always set: without predicted labels each row's most probable
// class is taken, the first of equals.
func (s *Side) Predictions() (*Predictions, error) {
	if s.predErr != nil {
		return nil, s.predErr
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pred == nil {
		return nil, missing(NotSupported, "Check is irrelevant for Datasets without model")
	}
	s.pred = s.pred.WithLabels()
	return s.pred, nil
}

// Probabilities is Predictions for checks that need probabilities.
func (s *Side) Probabilities() (*Predictions, error) {
	p, err := s.Predictions()
	if err != nil {
		return nil, err
	}
	if p.Proba == nil {
		return nil, missing(NotSupported, "Predicted probabilities not supplied. The check requires probabilities, "+
			"one column proba_<class> for each class in the predictions, and not only predicted classes.")
	}
	return p, nil
}

// Sample returns the rows, in order, of a sample of at most n_samples rows
// seeded with random_state. It shuffles even when it drops nothing.
func (s *Side) Sample(args Args) []int32 {
	n, seed := args.Int("n_samples"), args.Int("random_state")
	order := s.order(seed)
	if args.IsNull("n_samples") {
		return order
	}
	return order[:min(n, len(order))]
}

// Unordered is Sample for checks that give the same result in any order of the
// rows: where nothing is dropped the rows come as they are.
func (s *Side) Unordered(args Args) []int32 {
	if n := s.Data.Total(); !args.IsNull("n_samples") && args.Int("n_samples") < n {
		return s.Sample(args)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil {
		s.all = make([]int32, s.Data.Rows())
		for i := range s.all {
			s.all[i] = int32(i)
		}
	}
	return s.all
}

// Row returns the number under which results tell a row: its place in the
// files, counted on through train and test.
func (s *Side) Row(r int32) int { return s.Offset + s.Data.Row(int(r)) }

// order is the permutation of the rows that a seed gives.
func (s *Side) order(seed int) []int32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	order, ok := s.orders[seed]
	if !ok {
		if kept := s.Data.Selection(); kept != nil {
			order, ok = kept.Order(seed)
		}
	}
	if !ok {
		order = stats.Permutation(s.Data.Rows(), uint32(seed))
		if s.orders == nil {
			s.orders = make(map[int][]int32)
		}
		s.orders[seed] = order
	}
	return order
}

// Labelled returns the rows of Sample whose label is present.
func (s *Side) Labelled(args Args) ([]int32, error) {
	label, err := s.Label()
	if err != nil {
		return nil, err
	}
	rows := s.Sample(args)
	if !label.HasNulls() {
		return rows, nil
	}
	kept := make([]int32, 0, len(rows))
	for _, r := range rows {
		if !label.IsNull(int(r)) {
			kept = append(kept, r)
		}
	}
	if len(kept) == 0 {
		return nil, Errorf(DatasetValidation, "Can't calculate scores: every label of the %s dataset is null", s.Which)
	}
	return kept, nil
}

func mostProbable(p *Predictions) *frame.Column {
	best := make([]int, p.Rows())
	for i := range best {
		for k := range p.Proba {
			if p.Proba[k][i] > p.Proba[best[i]][i] {
				best[i] = k
			}
		}
	}
	return frame.Pick("y_pred", p.Classes, best)
}
