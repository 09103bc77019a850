// Package custom runs checks that users write as commands: the check's input
// is one JSON object on standard input, its result one on standard output.
// docs/custom-checks.md is the contract.
package custom

import (
	"context"
	"fmt"
	"time"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/report"
)

// DefaultTimeout is how long a command may take.
const DefaultTimeout = 60 * time.Second

// formatVersion is the version of both JSON objects.
const formatVersion = 1

// Spec is a check of the user's own.
type Spec struct {
	Name    string
	Command string // for the shell
	// Scope is engine.SingleDataset, once for each table, or engine.TrainTest.
	Scope   engine.Scope
	Timeout time.Duration
	// Params are passed to the command as they are.
	Params engine.Object
}

// Source names the files of one table as the document does.
type Source struct {
	Files       []string
	Predictions []string // nil for none
}

// Place is where commands run and what they may open there.
type Place struct {
	Dir         string // the working directory; paths are relative to it
	Train, Test Source
	// TrainImages and TestImages are set instead where the data are images.
	TrainImages, TestImages ImageSource
	NA                      []string // spellings of a missing value besides the empty field
	Seed                    uint32
}

// Check is a custom check.
type Check struct {
	spec  Spec
	place Place
}

// New makes a check that has no place yet.
func New(s Spec) *Check { return &Check{spec: s} }

// At returns the check for a place.
func (k *Check) At(p Place) *Check { return &Check{spec: k.spec, place: p} }

// ID is the name that the user gave.
func (k *Check) ID() string { return k.spec.Name }

// Run runs the command and reads its result. A command that fails in any way
// is a check that did not run, with the last lines that it wrote to standard
// error.
func (k *Check) Run(ctx context.Context, c *engine.Context) (engine.Result, error) {
	object := engine.Object(nil)
	if c.Train().Texts != nil {
		return engine.Result{}, engine.Errorf(engine.NotSupported, "%s is a command, which cannot check texts: it is told of tables and images only", k.spec.Name)
	}
	if c.Train().Images != nil {
		o, remove, err := k.imageInput(c)
		if err != nil {
			return engine.Result{}, err
		}
		defer remove()
		object = o
	} else {
		object = k.input(c)
	}
	input, err := report.Marshal(object)
	if err != nil {
		return engine.Result{}, engine.Errorf(engine.ValueError, "the input of %s: %v", k.spec.Name, err)
	}
	out, err := command{text: k.spec.Command, dir: k.place.Dir, timeout: k.spec.Timeout}.run(ctx, append(input, '\n'))
	if err != nil {
		return engine.Result{}, err
	}
	return decode(out)
}

// input is the object that the command reads.
func (k *Check) input(c *engine.Context) engine.Object {
	var dataset any
	if s := c.Side(); s != nil {
		dataset = string(s.Which)
	}
	roles := c.Train().Data.Roles()
	classes := make([]any, len(c.Classes()))
	for i, v := range c.Classes() {
		classes[i] = v.Native()
	}
	tables := engine.Object{{Key: "train", Value: table(c.Train(), k.place.Train)}, {Key: "test", Value: nil}}
	if t := c.Test(); t != nil {
		tables[1].Value = table(t, k.place.Test)
	}
	params := k.spec.Params
	if params == nil {
		params = engine.Object{}
	}
	return engine.Object{
		{Key: "format", Value: formatVersion},
		{Key: "check", Value: k.spec.Name},
		{Key: "dataset", Value: dataset},
		{Key: "params", Value: params},
		{Key: "seed", Value: int64(k.place.Seed)},
		{Key: "task_type", Value: orNull(string(c.Task()))},
		{Key: "model_classes", Value: classes},
		{Key: "label", Value: orNull(roles.Label)},
		{Key: "index", Value: orNull(roles.Index)},
		{Key: "datetime", Value: orNull(roles.Datetime)},
		{Key: "features", Value: texts(c.Train().Data.Features())},
		{Key: "cat_features", Value: texts(c.Train().Data.CategoricalFeatures())},
		{Key: "na_values", Value: texts(append([]string{""}, k.place.NA...))},
		{Key: "tables", Value: tables},
	}
}

func table(s *engine.Side, from Source) engine.Object {
	return engine.Object{
		{Key: "files", Value: texts(from.Files)},
		{Key: "predictions", Value: filesOrNull(from.Predictions)},
		{Key: "rows", Value: s.Data.Total()},
		{Key: "columns", Value: texts(s.Data.Names())},
	}
}

func filesOrNull(files []string) any {
	if files == nil {
		return nil
	}
	return texts(files)
}

func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func texts(list []string) []any {
	out := make([]any, len(list))
	for i, s := range list {
		out[i] = s
	}
	return out
}

// Value is what a command gave as its result's value.
type Value struct{ v any }

// Encode returns the value as it was given.
func (v Value) Encode() any { return v.v }

// failed makes the error of a command that did not answer as it should.
func failed(class engine.Class, stderr, format string, args ...any) *engine.Error {
	message := fmt.Sprintf(format, args...)
	if stderr != "" {
		message += "; the last lines of its standard error:\n" + stderr
	}
	return engine.Errorf(class, "%s", message)
}
