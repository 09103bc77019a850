package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime/debug"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"aloft/tasks/check"
	"aloft/tasks/check/engine"
	"aloft/tasks/check/report"
	"aloft/tasks/check/suitecmd"
)

// testFlags are the flags of `sky test`.
type testFlags struct {
	suitecmd.Options
	baseline                                  baselineFlags
	schema                                    schemaFlags
	train, test, label, task, index, datetime string
	predTrain, predTest                       string
	suites, features, categorical, na         []string
	list                                      bool
	explain                                   string
	py                                        pythonFlags
	images, testImages                        string
	texts                                     textFlags
}

// newTestCmd makes `sky test`, which runs validation suites in this process, without a cluster.
func newTestCmd(a *app) *cobra.Command {
	f := &testFlags{}
	cmd := &cobra.Command{
		Use:   "test [SUITE.yaml]",
		Short: "Validate data and a model's predictions, without a cluster",
		Long: "Run the suites that a document names, or that flags describe, on tables (CSV, Parquet, Arrow, JSON lines) and print a report.\n" +
			"With --python a script that uses aloft_checks, or deepchecks, runs with this program as its engine.\n" +
			"It needs no cluster and no network. Exit code 0: passed. 106: a condition failed. 109: worse than the baseline.",
		Example: "  sky test suite.yaml --html report.html\n" +
			"  sky test --train a.csv --test b.csv --label y --suite data_integrity --suite train_test_validation\n" +
			"  sky test --images photos/train --test-images photos/new --html report.html\n" +
			"  sky test --text train.csv --test-text test.csv --text-column text --label label --html report.html\n" +
			"  sky test --python test.py --out reports -- --epochs 3\n" +
			"  sky test --explain FeatureDrift",
		Args: func(cmd *cobra.Command, args []string) error {
			if f.py.script != "" {
				return nil // they are the script's
			}
			return cobra.MaximumNArgs(1)(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.py.script != "" {
				return f.runPython(cmd, a, args)
			}
			return f.run(cmd, a, args)
		},
	}
	fl := cmd.Flags()
	fl.StringVarP(&f.Format, "output", "o", "text", "output `FORMAT`: text, json, deepchecks-json, junit or markdown")
	fl.StringVar(&f.HTML, "html", "", "write the HTML report into `FILE`")
	fl.StringVar(&f.Out, "out", "", "write report.json, report.deepchecks.json, report.html, report.md and junit.xml into `DIR`")
	fl.StringVar(&f.Compat, "compat", "", "`WHICH` behaviour: deepchecks reproduces its known defects")
	fl.StringVar(&f.FailOn, "fail-on", "", "fail `WHEN`: fail, warn or never")
	fl.BoolVar(&f.list, "list", false, "list the suites and checks instead, one line each; -o json for programs")
	fl.StringVar(&f.explain, "explain", "", "explain a `CHECK` or a suite instead: formula, parameters, conditions; -o json for programs")
	fl.BoolVar(&f.Timings, "timings", false, "keep dates and durations in reports; without them equal data and seeds give equal bytes")
	fl.StringVar(&f.py.script, "python", "", "run a Python `SCRIPT` that uses aloft_checks or deepchecks; arguments after -- are the script's")
	fl.StringVar(&f.py.python, "interpreter", "", "Python to run it with, a `PATH` or name (default python3)")
	f.baseline.register(fl)
	f.schema.register(fl)
	fl.StringVar(&f.images, "images", "", "`DIR` of images, a folder for each class (instead of a document)")
	fl.StringVar(&f.testImages, "test-images", "", "`DIR` of images to compare with")
	f.texts.register(fl)
	fl.StringVar(&f.train, "train", "", "train table, a `FILE` or a pattern (instead of a document)")
	fl.StringVar(&f.test, "test", "", "test table, a `FILE` or a pattern")
	fl.StringVar(&f.label, "label", "", "label `COLUMN`")
	fl.StringVar(&f.task, "task-type", "", "`TYPE` of task: binary, multiclass or regression; of texts text_classification, token_classification or other (default inferred)")
	fl.StringVar(&f.index, "index", "", "index `COLUMN`")
	fl.StringVar(&f.datetime, "datetime", "", "date and time `COLUMN`")
	fl.StringVar(&f.predTrain, "pred-train", "", "`FILE` of predictions for the train table: y_pred and proba_<class>")
	fl.StringVar(&f.predTest, "pred-test", "", "`FILE` of predictions for the test table")
	fl.StringArrayVar(&f.suites, "suite", nil, "`SUITE` to run, repeatable: data_integrity, train_test_validation, model_evaluation, full_suite")
	fl.StringArrayVar(&f.features, "feature", nil, "feature `COLUMN`, repeatable (default all without another role)")
	fl.StringArrayVar(&f.categorical, "categorical", nil, "categorical feature `COLUMN`, repeatable (default inferred)")
	fl.StringArrayVar(&f.na, "na", nil, "`TEXT` that means a missing value besides the empty field; repeatable")
	return cmd
}

func (f *testFlags) run(cmd *cobra.Command, a *app, args []string) error {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(suitecmd.GCPercent)
	}
	f.Stdout = cmd.OutOrStdout()
	f.Text = textOptions(f.Stdout)
	f.Progress = progress(cmd.ErrOrStderr())
	doc := f.document()
	switch {
	case (f.list || f.explain != "") && len(args)+len(doc) > 0:
		return &exitError{exitUsage, errors.New("--list and --explain take no suite document and no files")}
	case f.list || f.explain != "":
		if err := suitecmd.Describe(f.Stdout, f.explain, f.Format, f.Text.Width); err != nil {
			return &exitError{exitUsage, err}
		}
		return nil
	case len(args) == 1 && len(doc) > 0:
		return &exitError{exitUsage, errors.New("give a suite document, or flags that describe one, not both")}
	case f.images+f.testImages != "" && f.train+f.test != "":
		return &exitError{exitUsage, errors.New("--images are folders of images, --train and --test are tables: give one kind")}
	case f.texts.files() != "" && f.train+f.test+f.images+f.testImages != "":
		return &exitError{exitUsage, errors.New("--text is a file of texts, --train and --test are tables, --images folders of images: give one kind")}
	case f.texts.files() == "" && f.texts.given():
		return &exitError{exitUsage, errors.New("--text-column and the flags like it are about texts: name their file by --text")}
	case f.schema.infer && len(args) == 1, f.schema.out != "" && !f.schema.infer:
		return &exitError{exitUsage, errors.New("a schema is inferred from the table that --train names: sky test --infer-schema --train TABLE [--out-schema FILE]")}
	case len(args) == 1:
		f.File = args[0]
	case len(doc) == 0:
		return &exitError{exitUsage, errors.New("give a suite document, or --train with --suite; see `sky test --help`")}
	default:
		if f.schema.infer {
			return f.schema.write(f.Stdout, doc)
		}
		if len(f.suites) == 0 && f.schema.file == "" {
			doc["suites"] = []string{check.DataIntegrity}
			if f.testImages != "" || f.texts.test != "" {
				doc["suites"] = []string{check.DataIntegrity, check.TrainTestValidation}
			}
		}
		f.Document = doc
	}
	if err := f.baseline.fill(cmd.Context(), a, &f.Options); err != nil {
		return err
	}
	r, err := suitecmd.Run(cmd.Context(), f.Options)
	switch bad := (*suitecmd.InputError)(nil); {
	case errors.As(err, &bad):
		var pe *fs.PathError
		if errors.As(err, &pe) && errors.Is(err, fs.ErrNotExist) {
			return usageError("there is no file %q", pe.Path)
		}
		return &exitError{exitUsage, fmt.Errorf("test: %w", err)}
	case err != nil:
		return &exitError{exitFailure, fmt.Errorf("test: %w", err)}
	}
	if err := f.baseline.keep(a, r); err != nil {
		return err
	}
	switch {
	case !r.Passed():
		return &exitError{code: exitChecks}
	case r.FailOn != engine.FailNever && r.Baseline != nil && r.Baseline.Worse() > 0:
		return &exitError{code: exitRegression}
	}
	return nil
}

// kind is the kind of data where flags tell it.
func (f *testFlags) kind() string {
	switch {
	case f.images != "" || f.testImages != "":
		return string(check.Vision)
	case f.texts.files() != "":
		return string(check.NLP)
	}
	return ""
}

// document turns the flags into a suite document; nothing given makes an empty one.
func (f *testFlags) document() map[string]any {
	doc := map[string]any{}
	for key, v := range map[string]string{
		"kind": f.kind(), "train": cmp.Or(f.train, f.images, f.texts.train), "test": cmp.Or(f.test, f.testImages, f.texts.test), "label": f.label, "task_type": f.task, "index": f.index, "datetime": f.datetime,
	} {
		if v != "" {
			doc[key] = v
		}
	}
	for key, v := range map[string][]string{"suites": f.suites, "features": f.features, "categorical": f.categorical, "na_values": f.na} {
		if len(v) > 0 {
			doc[key] = v
		}
	}
	f.schema.add(doc)
	f.texts.add(doc)
	if predictions := sides(f.predTrain, f.predTest); len(predictions) > 0 {
		doc["predictions"] = predictions
	}
	return doc
}

// progress is the line that tells which check runs; nil without a terminal.
func progress(w any) *suitecmd.Progress {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) || os.Getenv("TERM") == "dumb" {
		return nil
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil || width == 0 { // some terminals do not tell
		width = 80
	}
	return suitecmd.NewProgress(f, width)
}

// textOptions fits the text form to the terminal, if there is one.
func textOptions(w any) report.TextOptions {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return report.TextOptions{}
	}
	o := report.TextOptions{Color: os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"}
	if width, _, err := term.GetSize(int(f.Fd())); err == nil {
		o.Width = width
	}
	return o
}
