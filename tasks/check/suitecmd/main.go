package suitecmd

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"aloft/tasks/check/report"
)

// GCPercent is the setting of the garbage collector (debug.SetGCPercent) for a
// process that runs suites: most of its heap are tables, which are read once
// and stay, and garbage must not double them. GOGC in the environment has
// precedence.
const GCPercent = 50

// The exit codes of Main.
const (
	Passed   = 0
	Rejected = 1 // the report fails
	BadInput = 2 // the request could not be served
)

const usage = `usage: check SUITE.yaml [flags]

Runs the checks that a suite document names and prints a report.
Exit: 0 the report passes, 1 it fails, 2 it could not be made.

flags:
`

// Main is the command line: one suite document and flags, in any order.
func Main(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o := Options{Stdout: stdout, Text: report.TextOptions{Color: isTerminal(stdout) && os.Getenv("NO_COLOR") == ""}}
	fs := flag.NewFlagSet("check", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.Usage = func() {
		fmt.Fprint(stderr, usage)
		fs.PrintDefaults()
	}
	fs.StringVar(&o.Format, "o", "text", "print `text`, json, deepchecks-json, junit or markdown")
	fs.StringVar(&o.Out, "out", "", "write report.json, report.deepchecks.json, report.html, report.md and junit.xml into this `folder`")
	fs.StringVar(&o.HTML, "html", "", "write the HTML report into this `file`")
	fs.StringVar(&o.Compat, "compat", "", "`deepchecks` reproduces its known defects")
	fs.StringVar(&o.FailOn, "fail-on", "", "fail on `fail`, warn or never")
	list := fs.Bool("list", false, "list the checks and suites")
	explain := fs.String("explain", "", "explain a `check` or a suite")
	fs.BoolVar(&o.Timings, "timings", false, "keep dates and durations in the reports")
	files, err := parseMixed(fs, args)
	if errors.Is(err, flag.ErrHelp) {
		return Passed
	}
	if err != nil {
		return BadInput // the flag package has told why
	}
	if *list || *explain != "" {
		if len(files) > 0 {
			fmt.Fprintln(stderr, "check: --list and --explain take no suite document")
			return BadInput
		}
		if err := Describe(stdout, *explain, o.Format, o.Text.Width); err != nil {
			fmt.Fprintln(stderr, "check:", err)
			return BadInput
		}
		return Passed
	}
	if len(files) != 1 {
		fmt.Fprintf(stderr, "check: one suite document is needed, not %d\n", len(files))
		return BadInput
	}
	o.File = files[0]
	if isTerminal(stderr) && os.Getenv("TERM") != "dumb" {
		o.Progress = NewProgress(stderr, 80)
	}
	r, err := Run(ctx, o)
	if err != nil {
		fmt.Fprintln(stderr, "check:", err)
		return BadInput
	}
	if !r.Passed() {
		return Rejected
	}
	return Passed
}

// parseMixed parses flags that may follow arguments.
func parseMixed(fs *flag.FlagSet, args []string) ([]string, error) {
	var rest []string
	for {
		if err := fs.Parse(args); err != nil {
			return nil, err
		}
		if fs.NArg() == 0 {
			return rest, nil
		}
		rest = append(rest, fs.Arg(0))
		args = fs.Args()[1:]
	}
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
