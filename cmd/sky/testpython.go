package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"aloft/tasks/check/python"
)

// pythonFlags are the flags of `sky test` that concern a Python script.
type pythonFlags struct {
	script string
	python string
}

// runPython runs a script with aloft_checks at hand, also under the name of deepchecks, and this program as its engine. The
// exit code is the script's; where that is 0, the suites that the script ran decide.
func (f *testFlags) runPython(cmd *cobra.Command, a *app, args []string) error {
	if info, err := os.Stat(f.py.script); err != nil || info.IsDir() {
		return usageError("there is no file %q; name a Python script: sky test --python test.py", f.py.script)
	}
	interpreter, err := f.interpreter()
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return &exitError{exitFailure, fmt.Errorf("find this program: %w", err)}
	}
	dir, err := python.Install(filepath.Join(a.home, "python"))
	if err != nil {
		return &exitError{exitFailure, err}
	}
	reports := f.Out
	if reports == "" {
		if reports, err = os.MkdirTemp("", "sky-test-"); err != nil {
			return &exitError{exitFailure, fmt.Errorf("make a folder for reports: %w", err)}
		}
		defer os.RemoveAll(reports)
	} else if err := os.MkdirAll(reports, 0o755); err != nil {
		return &exitError{exitFailure, fmt.Errorf("make the folder of reports: %w", err)}
	}
	before, err := reportFiles(reports)
	if err != nil {
		return &exitError{exitFailure, err}
	}
	path := []string{filepath.Join(dir, python.PathChecks), filepath.Join(dir, python.PathDeepchecks)}
	if own, ok := a.getenv("PYTHONPATH"); ok && own != "" {
		path = append(path, own)
	}
	if reports, err = filepath.Abs(reports); err != nil {
		return &exitError{exitFailure, fmt.Errorf("find the folder of reports: %w", err)}
	}
	// A Ctrl-C goes to the script as well, which is in the same group; SIGTERM is handed on.
	ctx, stop := signal.NotifyContext(context.WithoutCancel(cmd.Context()), syscall.SIGTERM)
	defer stop()
	c := exec.CommandContext(ctx, interpreter, append([]string{f.py.script}, args...)...)
	c.Cancel = func() error { return c.Process.Signal(syscall.SIGTERM) }
	c.Stdin, c.Stdout, c.Stderr = os.Stdin, cmd.OutOrStdout(), cmd.ErrOrStderr()
	c.Env = append(os.Environ(), "PYTHONPATH="+strings.Join(path, string(os.PathListSeparator)), "ALOFT_SKY="+self, "ALOFT_ENGINE=", "ALOFT_REPORTS="+reports, "ALOFT_SHOW_REPORTS=1")
	err = c.Run()
	var ended *exec.ExitError
	switch {
	case errors.As(err, &ended):
		code := ended.ExitCode()
		if status, ok := ended.Sys().(syscall.WaitStatus); ok && status.Signaled() {
			code = 128 + int(status.Signal())
		}
		return &exitError{code: code, err: fmt.Errorf("%s ended with exit code %d", f.py.script, code)}
	case err != nil:
		return &exitError{exitFailure, fmt.Errorf("run %s: %w", interpreter, err)}
	}
	return f.judgePython(reports, before)
}

// interpreter finds Python.
func (f *testFlags) interpreter() (string, error) {
	names := []string{"python3", "python"}
	if f.py.python != "" {
		names = []string{f.py.python}
	}
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", usageError("there is no %s; install Python 3.8 or later, or name it: --interpreter PATH", strings.Join(names, " or "))
}

// reportFiles lists the reports in a folder.
func reportFiles(dir string) ([]string, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*", "report.json"))
	if err != nil {
		return nil, fmt.Errorf("list reports: %w", err)
	}
	return files, nil
}

// judgePython reads the reports that the script has made and lets them decide.
func (f *testFlags) judgePython(dir string, before []string) error {
	files, err := reportFiles(dir)
	if err != nil {
		return &exitError{exitFailure, err}
	}
	n := 0
	for _, file := range files {
		if slices.Contains(before, file) {
			continue
		}
		n++
		var r struct {
			Passed bool `json:"passed"`
			Counts struct {
				Fail, Warn, Error int
			} `json:"counts"`
		}
		data, err := os.ReadFile(file)
		if err == nil {
			err = json.Unmarshal(data, &r)
		}
		if err != nil {
			return &exitError{exitFailure, fmt.Errorf("read report: %w", err)}
		}
		bad := !r.Passed
		switch f.FailOn {
		case "never":
			bad = false
		case "warn":
			bad = bad || r.Counts.Warn > 0
		}
		if bad {
			return &exitError{code: exitChecks}
		}
	}
	if n == 0 {
		fmt.Fprintf(os.Stderr, "%s ran no suite: nothing was judged\n", f.py.script)
	}
	return nil
}
