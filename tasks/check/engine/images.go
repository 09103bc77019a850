package engine

import (
	"cmp"
	"context"

	"aloft/tasks/check/images"
)

// imageContext is the context of a run over images.
func imageContext(in *Inputs) (*Context, error) {
	switch {
	case in.Train != nil || in.Test != nil:
		return nil, Errorf(ValueError, "tables and images cannot be checked together")
	case in.TrainImages == nil:
		return nil, Errorf(DatasetValidation, "Can't initialize context with only test. if you have single dataset, initialize it as train")
	case in.TestImages != nil && in.TestImages.Task != in.TrainImages.Task:
		return nil, Errorf(ValueError, "Cannot compare datasets with different task types: %s and %s", in.TrainImages.Task, in.TestImages.Task)
	}
	c := &Context{mode: in.Mode, task: Task(in.TrainImages.Task), memo: newMemo(), notes: &notes{}}
	c.train = &Side{Which: Train, Images: in.TrainImages}
	if in.TestImages != nil {
		c.test = &Side{Which: Test, Images: in.TestImages, Offset: c.train.total()}
	}
	return c, nil
}

// ImageTask returns the task of images; "" where the data are tables.
func (c *Context) ImageTask() images.Task {
	if c.train.Images == nil {
		return ""
	}
	return c.train.Images.Task
}

// NotForTask is the error of a check that the images' task has no use for.
func (c *Context) NotForTask(message string) error { return irrelevant(NotSupported, message) }

// MissingInput is the error of a check whose input was not given.
func (c *Context) MissingInput(message string) error { return missing(NotSupported, message) }

// total is the number of rows, images or texts of a side.
func (s *Side) total() int {
	if s.Images != nil {
		return cmp.Or(s.Images.Total, len(s.Images.Records))
	}
	if s.Texts != nil {
		return s.Texts.Len()
	}
	return s.Data.Total()
}

// imageShape describes a set of images.
func imageShape(s *images.Set) Shape {
	sh := Shape{Rows: cmp.Or(s.Total, len(s.Records)), Columns: len(s.Properties), Faults: s.Faults, Partial: s.Partial, Ranks: s.Ranks}
	for _, p := range s.Properties {
		sh.Features = append(sh.Features, p.Name)
		if p.Kind == images.Numerical {
			sh.Numerical = append(sh.Numerical, p.Name)
		} else {
			sh.Categorical = append(sh.Categorical, p.Name)
		}
	}
	return sh
}

// OnTables returns a context over tables made out of images or texts, for checks
// that use one of tables. It has the mode, the notes and, of one table, the
// side of c.
func (c *Context) OnTables(ctx context.Context, in Inputs) (*Context, error) {
	in.Mode = c.mode
	out, err := newContext(ctx, &in, nil)
	if err != nil {
		return nil, err
	}
	out.notes, out.current = c.notes, out.train
	if c.current != nil && in.Test == nil {
		out.train.Which = c.current.Which
	}
	return out, nil
}
