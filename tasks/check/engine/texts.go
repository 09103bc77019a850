package engine

import (
	"slices"

	"aloft/tasks/check/frame"
	"aloft/tasks/check/stats"
	"aloft/tasks/check/text"
)

// textContext is the context of a run over texts.
func textContext(in *Inputs) (*Context, error) {
	train, test := in.TrainTexts, in.TestTexts
	switch {
	case in.Train != nil || in.Test != nil:
		return nil, Errorf(ValueError, "tables and texts cannot be checked together")
	case train == nil:
		return nil, Errorf(DatasetValidation, "Can't initialize context with only test. if you have single dataset, initialize it as train")
	case test != nil && test.Task != train.Task:
		return nil, Errorf(DatasetValidation, "Cannot compare datasets with different task types: %s and %s", train.Task, test.Task)
	}
	c := &Context{mode: in.Mode, task: Task(train.Task), memo: newMemo(), notes: &notes{}}
	for _, s := range []*text.Set{train, test} {
		if s == nil {
			continue
		}
		if err := s.Validate(); err != nil {
			return nil, Errorf(ValueError, "%v", err)
		}
		if c.classes == nil {
			for _, name := range s.Classes {
				c.classes = append(c.classes, frame.TextValue(name))
			}
		}
	}
	if test != nil && train.Classes != nil && test.Classes != nil && !slices.Equal(train.Classes, test.Classes) {
		return nil, Errorf(ModelValidation, "the train and test predictions hold probabilities of different classes")
	}
	c.train = &Side{Which: Train, Texts: train}
	if test != nil {
		c.test = &Side{Which: Test, Texts: test}
	}
	return c, nil
}

// TextTask returns the task of texts; "" where the data are no texts.
func (c *Context) TextTask() text.Task {
	if c.train.Texts == nil {
		return ""
	}
	return c.train.Texts.Task
}

// TextRows returns the texts that a check looks at, in ascending order: all, or
// a sample of n_samples drawn by random_state.
func (s *Side) TextRows(args Args) []int32 {
	n := s.Texts.Len()
	if want, ok := args["n_samples"].(int); ok && want < n {
		rows := slices.Clone(stats.Permutation(n, uint32(args.Int("random_state")))[:want])
		slices.Sort(rows)
		return rows
	}
	rows := make([]int32, n)
	for i := range rows {
		rows[i] = int32(i)
	}
	return rows
}

// textShape describes a set of texts.
func textShape(s *text.Set) Shape {
	sh := Shape{Rows: s.Len()}
	if s.Label != nil {
		sh.Label = s.Label.Name()
	}
	for _, part := range []*text.Columns{s.Properties, s.Metadata} {
		if part == nil {
			continue
		}
		for _, c := range part.Table.Columns() {
			sh.Features = append(sh.Features, c.Name())
			if slices.Contains(part.Categorical, c.Name()) {
				sh.Categorical = append(sh.Categorical, c.Name())
			} else if c.Kind().Numeric() {
				sh.Numerical = append(sh.Numerical, c.Name())
			}
		}
	}
	sh.Columns = len(sh.Features)
	return sh
}
