// Package suitecmd is the command that runs a suite document: what `sky test`
// does on a laptop and the agent does beside the data.
package suitecmd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"aloft/tasks/check"
	"aloft/tasks/check/baseline"
	"aloft/tasks/check/engine"
	"aloft/tasks/check/nearest"
	"aloft/tasks/check/report"
)

// Formats lists the forms of Options.Format.
func Formats() []string { return []string{"text", "json", "deepchecks-json", "junit", "markdown"} }

// Options say what to run and where results go.
type Options struct {
	// File is the suite document; paths in it are relative to its folder.
	File string
	// Document is used instead of a file, as SpecFromMap reads it; paths in
	// it are relative to the working directory.
	Document map[string]any
	// Format is the form of what is printed: one of Formats, "" is text.
	Format string
	// HTML is a file for the HTML report, "" for none.
	HTML string
	// Out is a folder for report.json, report.deepchecks.json, report.html,
	// report.md and junit.xml, made if needed; "" for none.
	Out string
	// Compat and FailOn replace the document's, unless "".
	Compat, FailOn string
	// Timings keeps dates and durations in the reports; without them the same
	// data and seed give the same bytes. The text form always has them.
	Timings bool
	// Baseline, when set, is an earlier report in JSON to compare with, and
	// BaselineName what it is called.
	Baseline     []byte
	BaselineName string
	// MaxRegression is the share of its earlier value by which a measure may
	// get worse.
	MaxRegression float64
	// Text is the look of the text form.
	Text report.TextOptions
	// Stdout receives the report in Format.
	Stdout io.Writer
	// Progress is a terminal that shows which check runs; nil for none.
	Progress *Progress
}

// InputError is a fault of the request: a document, a file, an option.
type InputError struct{ Err error }

// Error returns the fault.
func (e *InputError) Error() string { return e.Err.Error() }

// Unwrap returns the fault.
func (e *InputError) Unwrap() error { return e.Err }

// Run runs the suite and delivers its report. It returns the report, whose
// Passed tells the verdict. An *InputError is a fault of the request; other
// errors are failures to deliver.
func Run(ctx context.Context, o Options) (*check.Report, error) {
	if o.Format == "" {
		o.Format = "text"
	}
	if !slices.Contains(Formats(), o.Format) {
		return nil, &InputError{fmt.Errorf("unknown output format %q%s; known are %s", o.Format, nearest.Hint(o.Format, Formats()), strings.Join(Formats(), ", "))}
	}
	spec, dir, err := o.spec()
	if err != nil {
		return nil, &InputError{err}
	}
	if o.Progress != nil {
		spec.Progress = o.Progress.Step
	}
	r, err := check.RunSpec(ctx, spec, dir)
	if o.Progress != nil {
		o.Progress.Clear()
	}
	if err != nil {
		if errors.Is(err, ctx.Err()) && ctx.Err() != nil {
			return nil, fmt.Errorf("run suite: %w", err)
		}
		return nil, &InputError{err}
	}
	if o.Baseline != nil {
		if r.Baseline, err = baseline.Compare(o.Baseline, r, o.BaselineName, o.MaxRegression); err != nil {
			return nil, &InputError{err}
		}
	}
	lasting := r
	if !o.Timings {
		lasting = r.Untimed()
	}
	if err := o.write(lasting); err != nil {
		return r, err
	}
	if o.Format == "text" {
		return r, report.Text(o.Stdout, r, o.Text)
	}
	return r, o.print(lasting)
}

func (o *Options) spec() (*check.SuiteSpec, string, error) {
	var spec *check.SuiteSpec
	var dir string
	if o.Document != nil {
		s, err := check.SpecFromMap(o.Document)
		if err != nil {
			return nil, "", fmt.Errorf("read options: %w", err)
		}
		spec = s
	} else {
		src, err := os.ReadFile(o.File)
		if err != nil {
			return nil, "", fmt.Errorf("read suite document: %w", err)
		}
		s, err := check.ParseSuite(o.File, src)
		if err != nil {
			return nil, "", err
		}
		spec, dir = s, filepath.Dir(o.File)
	}
	if o.FailOn != "" {
		known := []string{string(engine.FailOnFail), string(engine.FailOnWarn), string(engine.FailNever)}
		if !slices.Contains(known, o.FailOn) {
			return nil, "", fmt.Errorf("unknown --fail-on %q%s; known are %s", o.FailOn, nearest.Hint(o.FailOn, known), strings.Join(known, ", "))
		}
		spec.FailOn = check.FailOn(o.FailOn)
	}
	if o.Compat != "" {
		if o.Compat != string(engine.Deepchecks) {
			return nil, "", fmt.Errorf("unknown --compat %q%s; known is %s", o.Compat, nearest.Hint(o.Compat, []string{string(engine.Deepchecks)}), engine.Deepchecks)
		}
		if err := spec.SetCompat(engine.Deepchecks); err != nil {
			return nil, "", err
		}
	}
	return spec, dir, nil
}

func (o *Options) print(r *check.Report) error {
	switch o.Format {
	case "json":
		return report.JSON(o.Stdout, r)
	case "deepchecks-json":
		return report.Deepchecks(o.Stdout, r)
	case "junit":
		return report.JUnit(o.Stdout, r)
	default:
		return report.Markdown(o.Stdout, r)
	}
}

func (o *Options) write(r *check.Report) error { return Deliver(r, o.Out, o.HTML) }

// Deliver writes a report into the folder out, in all its forms, and as HTML
// into the file page, unless they are "". Each file appears complete or not at
// all.
func Deliver(r *check.Report, out, page string) error {
	if out != "" {
		if err := os.MkdirAll(out, 0o755); err != nil {
			return fmt.Errorf("make report folder: %w", err)
		}
		for _, f := range []struct {
			name  string
			write func(io.Writer, *engine.Report) error
		}{{"report.html", report.HTML}, {"report.md", report.Markdown}, {"junit.xml", report.JUnit}, {"report.deepchecks.json", report.Deepchecks}, {"report.json", report.JSON}} {
			if err := writeFile(filepath.Join(out, f.name), r, f.write); err != nil {
				return err
			}
		}
	}
	if page != "" {
		return writeFile(page, r, report.HTML)
	}
	return nil
}

func writeFile(path string, r *engine.Report, write func(io.Writer, *engine.Report) error) (err error) {
	var content bytes.Buffer
	if err := write(&content, r); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(tmp.Name()))
		}
	}()
	_, err = tmp.Write(content.Bytes())
	if err == nil {
		err = tmp.Sync()
	}
	if err == nil {
		err = tmp.Chmod(0o644)
	}
	if cerr := tmp.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write report %s: %w", path, err)
	}
	return nil
}
