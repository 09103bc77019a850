package engine

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"aloft/tasks/check/frame"
)

// Run runs a suite. Faults of the data, and checks that fail, are part of the
// report; the error tells only that the run was cancelled.
func Run(ctx context.Context, suite Suite, in Inputs) (*Report, error) {
	started := time.Now()
	r := &Report{Kind: KindTabular, Name: in.Name, Suite: suite.Name, Mode: in.Mode, Seed: in.Seed, FailOn: FailOnFail, Started: started}
	if in.Train != nil {
		r.Train = shape(in.Train)
	}
	if in.Test != nil {
		s := shape(in.Test)
		r.Test = &s
	}
	if in.TrainImages != nil {
		r.Kind, r.Train = KindVision, imageShape(in.TrainImages)
	}
	if in.TestImages != nil {
		s := imageShape(in.TestImages)
		r.Kind, r.Test = KindVision, &s
	}
	if in.TrainTexts != nil {
		r.Kind, r.Train = KindNLP, textShape(in.TrainTexts)
	}
	if in.TestTexts != nil {
		s := textShape(in.TestTexts)
		r.Kind, r.Test = KindNLP, &s
	}
	c, err := newContext(ctx, &in, suite.Items)
	if err != nil {
		r.Err = asError(err)
		return r, nil
	}
	r.Task, r.Classes = c.task, c.classes
	r.Outcomes = c.runAll(ctx, suite.Items, in.Progress)
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("run checks: %w", err)
	}
	r.Elapsed = time.Since(started)
	return r, nil
}

// job is one run of one check.
type job struct {
	item *Item
	side *Side
}

// runAll runs every check on all processors; those that measure time run by
// themselves at the end. Outcomes are in the order of the items.
func (c *Context) runAll(ctx context.Context, items []Item, progress func(Step)) []Outcome {
	var jobs []job
	for i := range items {
		for _, s := range c.sides(items[i].Def.Scope) {
			jobs = append(jobs, job{&items[i], s})
		}
	}
	out := make([]Outcome, len(jobs))
	var mu sync.Mutex
	done := 0
	tell := func(j job, ended bool) {
		if progress == nil {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		if ended {
			done++
		}
		s := Step{Done: done, Total: len(jobs), Check: j.item.Def.ID, Ended: ended}
		if j.side != nil {
			s.Which = j.side.Which
		}
		progress(s)
	}
	run := func(i int) {
		if ctx.Err() != nil {
			return
		}
		tell(jobs[i], false)
		out[i] = c.runOne(ctx, jobs[i].item, jobs[i].side)
		tell(jobs[i], true)
	}
	next := make(chan int)
	var workers sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), max(len(jobs), 1)) {
		workers.Go(func() {
			for i := range next {
				run(i)
			}
		})
	}
	for i, j := range jobs {
		if !j.item.Def.Alone {
			next <- i
		}
	}
	close(next)
	workers.Wait()
	for i, j := range jobs {
		if j.item.Def.Alone {
			run(i)
		}
	}
	if c.train.Images != nil && c.mode == Deepchecks {
		return byText(out, jobs, items)
	}
	return out
}

// byText orders outcomes as deepchecks does those of images: by the number of
// the check and the side as texts, so 10 before 2 and test before train.
func byText(out []Outcome, jobs []job, items []Item) []Outcome {
	keys, order := make([]string, len(jobs)), make([]int, len(jobs))
	for i, j := range jobs {
		order[i] = i
		for k := range items {
			if j.item == &items[k] {
				keys[i] = fmt.Sprint(k)
			}
		}
		if j.side != nil {
			keys[i] += " - " + string(j.side.Which)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return strings.Compare(keys[a], keys[b]) })
	sorted := make([]Outcome, len(out))
	for i, at := range order {
		sorted[i] = out[at]
	}
	return sorted
}

// sides lists what a check of the scope runs on; nil stands for both.
func (c *Context) sides(scope Scope) []*Side {
	if scope == TrainTest || scope == ModelOnly {
		return []*Side{nil}
	}
	if c.test == nil {
		return []*Side{c.train}
	}
	return []*Side{c.train, c.test}
}

func (c *Context) runOne(ctx context.Context, item *Item, side *Side) Outcome {
	o := Outcome{Suite: item.Suite, Def: item.Def, Args: item.Args, Header: item.Def.Title(), Demanded: item.Demanded}
	o.Sampled = c.sampled(item.Args)
	run := *c // checks must not see each other's state
	run.current, run.notes = side, &notes{}
	if item.Note != "" {
		run.notes.add(item.Note)
	}
	if side != nil {
		o.Which = side.Which
	}
	started := time.Now()
	result, err := c.guarded(ctx, item, &run)
	o.Elapsed, o.Notes = time.Since(started), run.notes.all()
	if err != nil {
		o.Err = asError(err)
		return o
	}
	o.Result = result
	o.Conditions = append(o.Conditions, result.Judged...)
	for i := range item.Conditions {
		o.Conditions = append(o.Conditions, judge(&item.Conditions[i], result))
	}
	return o
}

// guarded runs the check. A crash must not take the other checks along, and
// must never look like a pass: this is the one place that recovers.
func (c *Context) guarded(ctx context.Context, item *Item, run *Context) (result Result, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = Errorf(Internal, "the check crashed: %v", p)
		}
	}()
	if item.Def.Scope == TrainTest && run.test == nil {
		return Result{}, missing(NotSupported, "Check is irrelevant if not supplied with both train and test datasets")
	}
	result, err = item.Check.Run(ctx, run)
	if err == nil && result.Value == nil {
		err = Errorf(Internal, "the check gave no value")
	}
	return result, err
}

// judge applies a condition; one that fails to judge, or crashes, is in error.
func judge(c *Condition, r Result) (j Judged) {
	j = Judged{ID: c.ID, Name: c.Name, Params: c.Params}
	defer func() {
		if p := recover(); p != nil {
			j.Verdict, j.Details = Broken, fmt.Sprintf("Exception in condition: %s: %v", Internal, p)
		}
	}()
	verdict, details, err := c.Judge(r)
	if err != nil {
		e := asError(err)
		j.Verdict, j.Details = Broken, fmt.Sprintf("Exception in condition: %s: %s", e.Class, e.Message)
		return j
	}
	j.Verdict, j.Details = verdict, details
	return j
}

func (c *Context) sampled(args Args) Sampled {
	s := Sampled{TrainTotal: c.train.total()}
	if c.test != nil {
		s.TestTotal = c.test.total()
	}
	s.Train, s.Test = s.TrainTotal, s.TestTotal
	if n, ok := args["n_samples"].(int); ok {
		s.Train, s.Test = min(s.Train, n), min(s.Test, n)
	}
	return s
}

func shape(d *frame.Dataset) Shape {
	roles := d.Roles()
	return Shape{
		Rows: d.Total(), Columns: len(d.Columns()),
		Features: slices.Clone(d.Features()), Categorical: slices.Clone(d.CategoricalFeatures()), Numerical: d.NumericalFeatures(),
		Label: roles.Label, Index: roles.Index, Datetime: roles.Datetime,
	}
}
