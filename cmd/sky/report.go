package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"aloft/controller/forge/render"
)

// renderOptions are the flags of `sky report render`.
type renderOptions struct {
	metrics, plots                        []string
	base, baseName, title, reproduce, out string
	run, baseRun, baseBranch              string

	source, sarif, quality, openMetrics string
	thresholds, failOn                  string
	annotate                            bool
}

func newReportCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "report", Short: "Make a report of suites, metrics and plots", Args: knownCommand, RunE: showHelp}
	var o renderOptions
	var output string
	r := &cobra.Command{
		Use:   "render [FILE|DIR...]",
		Short: "Write Markdown of suites, metrics and plots: what failed first",
		Long: `Write Markdown of what a run left: report.json files of ` + "`sky test`" + `, metrics.jsonl,
metrics.json or metrics.txt, and plots. What failed comes first, then metrics with
their change against --base, --base-run or --base-branch, and their curves; the rest
is folded away. Of a directory (as sky_results/CLUSTER-JOB) its report.json, metrics
and PNG and SVG files are taken, and the reports below checks/. Several directories
are the legs of a matrix: suites, metrics and plots are then named after their
directory. It needs no token.`,
		Example: `  sky report render out/report.json --metrics metrics.json --base main/metrics.json --out report.md
  sky report render out`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkOutput(output); err != nil {
				return err
			}
			return a.renderReport(cmd.Context(), args, &o, output)
		},
	}
	fl := r.Flags()
	fl.StringArrayVar(&o.metrics, "metrics", nil, "`FILE` of metrics: JSON, lines of JSON (.jsonl), or lines NAME: VALUE; can be repeated")
	fl.StringVar(&o.base, "base", "", "`FILE` of metrics to compare with, as of the base branch; one that is not there is said to be missing")
	fl.StringVar(&o.baseName, "base-name", "", "`NAME` of what --base is of (default the file's path)")
	fl.StringVar(&o.run, "run", "", "also show the metrics of `RUN` from the store: CLUSTER, CLUSTER/JOB or the id of a job")
	fl.StringVar(&o.baseRun, "base-run", "", "`RUN` to compare metrics with")
	fl.StringVar(&o.baseBranch, "base-branch", "", "compare metrics with the last run that succeeded on a commit of `BRANCH`")
	fl.StringVar(&o.thresholds, "thresholds", "", "`FILE` of bounds that metrics must keep, as {accuracy: {min: 0.9, min_change: -1%}}; see docs/ci.md")
	fl.StringVar(&o.failOn, "fail-on", "", "end with 106 `WHEN` the report has an error or a warning: error, warning or never (default never; error with --thresholds)")
	fl.StringArrayVar(&o.plots, "plot", nil, "`FILE` or https URL of a picture; can be repeated")
	fl.StringVar(&o.title, "title", "", "`TITLE` (default the names of the suites)")
	fl.StringVar(&o.reproduce, "reproduce", "", "`COMMAND` that does the same again")
	fl.StringVar(&o.out, "out", "", "write into `FILE` instead of standard output")
	fl.StringVar(&o.source, "source", "suite.yaml", "`FILE` in the repository that findings are shown at")
	fl.StringVar(&o.sarif, "sarif", "", "also write what did not pass as SARIF 2.1.0 into `FILE`, for code scanning")
	fl.StringVar(&o.quality, "codequality", "", "also write it as GitLab's code quality report into `FILE`")
	fl.StringVar(&o.openMetrics, "openmetrics", "", "also write the metrics as OpenMetrics text into `FILE`, for GitLab's metrics report")
	fl.BoolVar(&o.annotate, "annotate", false, "also print the worst findings as annotations of GitHub Actions")
	outputFlag(r, &output)
	cmd.AddCommand(r)
	return cmd
}

func (a *app) renderReport(ctx context.Context, args []string, o *renderOptions, output string) error {
	if o.failOn != "" {
		if err := oneOf("--fail-on", o.failOn, "error", "warning", "never"); err != nil {
			return err
		}
	}
	bounds, err := readThresholds(o.thresholds)
	if err != nil {
		return err
	}
	rep, err := a.gatherReport(args, o)
	if err != nil {
		return err
	}
	if err := a.storedMetrics(ctx, o, rep); err != nil {
		return err
	}
	r := *rep
	if bounds != nil {
		r.Judge(bounds)
	}
	text := render.Markdown(&r)
	if o.out != "" {
		if err := os.WriteFile(o.out, []byte(text), 0o644); err != nil {
			return &exitError{code: exitFailure, err: fmt.Errorf("write the report: %w", err)}
		}
	}
	at, ci := render.Source(o.source), a.ciContext()
	for _, f := range []struct {
		path  string
		write func(io.Writer) error
	}{
		{o.sarif, func(w io.Writer) error { return render.SARIF(w, &r, at, ci.Key(), version) }},
		{o.quality, func(w io.Writer) error { return render.CodeQuality(w, &r, at) }},
		{o.openMetrics, func(w io.Writer) error { return render.OpenMetrics(w, r.Metrics) }},
	} {
		if err := writeInto(f.path, f.write); err != nil {
			return &exitError{code: exitFailure, err: fmt.Errorf("write the report: %w", err)}
		}
	}
	if o.annotate {
		if err := render.Annotations(a.out, &r, at); err != nil {
			return &exitError{code: exitFailure, err: err}
		}
	}
	switch {
	case output == "json":
		doc := map[string]any{"ok": true, "passed": r.Passed(), "suites": len(r.Suites), "metrics": len(r.Metrics), "plots": len(r.Plots)}
		if o.out == "" {
			doc["markdown"] = text
		}
		if err := a.printJSON(doc); err != nil {
			return err
		}
	case o.out == "" && !o.annotate:
		a.say("%s", strings.TrimSuffix(text, "\n"))
	}
	return o.gate(&r)
}

// gate is the error of a report that does not pass, where one is asked for.
func (o *renderOptions) gate(r *render.Report) error {
	when := o.failOn
	if when == "" && o.thresholds != "" {
		when = "error"
	}
	switch {
	case when == "" || when == "never":
		return nil
	case !r.Passed():
		return &exitError{code: exitChecks, err: errors.New("the report has failures")}
	case when == "warning" && r.Warned():
		return &exitError{code: exitChecks, err: errors.New("the report has warnings")}
	}
	return nil
}

// readThresholds reads the bounds of metrics; nil = no file was given.
func readThresholds(file string) ([]render.Threshold, error) {
	if file == "" {
		return nil, nil
	}
	b, err := readBounded(file, maxCommentFile)
	if err != nil {
		return nil, usageError("--thresholds: %v", err)
	}
	ts, err := render.ParseThresholds(b)
	if err != nil {
		return nil, usageError("%s: %v", file, err)
	}
	return ts, nil
}

// writeInto writes a file; none when there is no path.
func writeInto(path string, write func(io.Writer) error) error {
	if path == "" {
		return nil
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(write(f), f.Close())
}

// gatherReport reads what a run left.
func (a *app) gatherReport(args []string, o *renderOptions) (*render.Report, error) {
	ci := a.ciContext()
	r := &render.Report{Title: o.title, Reproduce: o.reproduce, RunURL: ci.RunURL, Commit: ci.SHA, Run: ci.Run, Attempt: ci.Attempt, BaseName: o.baseName}
	if !strings.HasPrefix(r.RunURL, "https://") && !strings.HasPrefix(r.RunURL, "http://") {
		r.RunURL = "" // some systems take it from a setting that may be anything
	}
	metrics, plots := o.metrics, o.plots
	var suites []string
	dirs := 0
	for _, arg := range args {
		if st, err := os.Stat(arg); err == nil && st.IsDir() {
			dirs++
		}
	}
	legs := map[string]string{} // file: the leg it is of, when there are several
	for _, arg := range args {
		st, err := os.Stat(arg)
		switch {
		case err != nil:
			return nil, usageError("read a report: %v", err)
		case !st.IsDir():
			suites = append(suites, arg)
		default:
			s, m, p := insideOf(arg)
			run, err := readRun(arg)
			if err != nil {
				return nil, usageError("read a report: %v", err)
			}
			if run != nil {
				r.Failed = r.Failed || run.Failed
				for _, f := range run.Facts {
					if dirs > 1 {
						f.Name = filepath.Base(filepath.Clean(arg)) + ": " + f.Name
					}
					r.Facts = append(r.Facts, f)
				}
				if r.Title == "" && dirs == 1 {
					r.Title = run.Name
				}
			}
			if run == nil && len(s)+len(m)+len(p) == 0 {
				return nil, usageError("%s holds no report.json, no metrics.jsonl, metrics.json or metrics.txt, and no picture", arg)
			}
			if leg := filepath.Base(filepath.Clean(arg)); dirs > 1 {
				for _, f := range slices.Concat(s, m, p) {
					legs[f] = leg
				}
			}
			suites, metrics, plots = append(suites, s...), append(metrics, m...), append(plots, p...)
		}
	}
	if len(suites)+len(metrics)+len(plots)+len(r.Facts) == 0 && o.run == "" {
		return nil, usageError("there is nothing to report: give a report.json, --metrics, --plot or --run")
	}
	for _, f := range suites {
		b, err := readReport(f)
		if err != nil {
			return nil, usageError("read a report: %v", err)
		}
		s, err := render.ParseSuite(b)
		if err != nil {
			return nil, usageError("%s: %v", f, err)
		}
		if leg := legs[f]; leg != "" {
			s.Name = leg + ": " + s.Name
		}
		r.Suites = append(r.Suites, s)
	}
	for _, f := range metrics {
		m, err := readMetrics(f)
		if err != nil {
			return nil, usageError("%s: %v", f, err)
		}
		if leg := legs[f]; leg != "" {
			for i := range m {
				m[i].Name = leg + "/" + m[i].Name
			}
		}
		r.Metrics = append(r.Metrics, m...)
	}
	if o.base != "" {
		if r.BaseName == "" {
			r.BaseName = o.base
		}
		base, err := readMetrics(o.base)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			a.note("warning: there is no %s to compare with", o.base)
			r.BaseName += " (missing)"
		case err != nil:
			return nil, usageError("%s: %v", o.base, err)
		}
		r.Base = append([]render.Metric{}, base...)
	}
	for _, p := range plots {
		pl := a.plot(p)
		if leg := legs[p]; leg != "" {
			pl.Name = leg + "/" + pl.Name
		}
		r.Plots = append(r.Plots, pl)
	}
	return r, nil
}

// insideOf finds what a directory holds of a run, by name.
func insideOf(dir string) (suites, metrics, plots []string) {
	for _, name := range []string{"report.json", "metrics.jsonl", "metrics.json", "metrics.txt"} {
		path := filepath.Join(dir, name)
		if st, err := os.Stat(path); err != nil || !st.Mode().IsRegular() {
			continue
		}
		if name == "report.json" {
			suites = append(suites, path)
		} else if len(metrics) == 0 {
			metrics = append(metrics, path)
		}
	}
	// Where `sky launch` puts the reports of a task's suites.
	if of, err := filepath.Glob(filepath.Join(globQuote(dir), "checks", "*", "report.json")); err == nil {
		suites = append(suites, of...)
	}
	list, err := os.ReadDir(dir)
	if err != nil {
		return suites, metrics, nil
	}
	for _, f := range list {
		switch ext := strings.ToLower(filepath.Ext(f.Name())); ext {
		case ".png", ".svg", ".jpg", ".jpeg", ".gif":
			plots = append(plots, filepath.Join(dir, f.Name()))
		}
	}
	return suites, metrics, plots
}

// globQuote makes a path match itself alone.
func globQuote(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}

func readMetrics(file string) ([]render.Metric, error) {
	b, err := readBounded(file, maxCommentFile)
	if err != nil {
		return nil, err
	}
	if strings.HasSuffix(file, ".jsonl") {
		list, bad := render.ParseSeries(b)
		if bad > 0 && len(list) == 0 {
			return nil, errors.New("it holds no line of metrics")
		}
		return list, nil
	}
	return render.ParseMetrics(b)
}

// plot looks at a picture. A missing one is shown as missing, not silently left out.
func (a *app) plot(p string) render.Plot {
	if strings.HasPrefix(p, "https://") {
		name := p[strings.LastIndex(p, "/")+1:]
		name, _, _ = strings.Cut(name, "?")
		return render.Plot{Name: name, URL: p}
	}
	st, err := os.Stat(p)
	if err != nil || !st.Mode().IsRegular() {
		a.note("warning: there is no plot %s", p)
		return render.Plot{Name: filepath.Base(p), Missing: true}
	}
	return render.Plot{Name: filepath.Base(p), Size: bytesText(st.Size())}
}
