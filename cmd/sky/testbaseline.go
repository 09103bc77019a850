package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	controlv1 "aloft/proto/sky/control/v1"
	"aloft/tasks/check"
	"aloft/tasks/check/baseline"
	"aloft/tasks/check/report"
	"aloft/tasks/check/suitecmd"
)

// maxReport bounds the report that is read as a baseline.
const maxReport = 1 << 30

// baselineFlags are the flags of `sky test` about earlier reports.
type baselineFlags struct {
	run, save, most string
}

func (f *baselineFlags) register(fl *pflag.FlagSet) {
	fl.StringVar(&f.run, "baseline", "", "compare with an earlier `RUN`: a report.json, a name given to --save, or CLUSTER/JOB (exit code 109 when worse)")
	fl.StringVar(&f.save, "save", "", "keep the report as the baseline `NAME`, in $ALOFT_HOME/baselines")
	fl.StringVar(&f.most, "max-regression", "", "`SHARE` of its earlier value by which a number may get worse, as 5% or 0.05 (default 5%)")
}

// fill finds the baseline and puts it into the options.
func (f *baselineFlags) fill(ctx context.Context, a *app, o *suitecmd.Options) error {
	o.MaxRegression = baseline.DefaultTolerance
	if f.most != "" {
		text, percent := strings.CutSuffix(f.most, "%")
		v, err := strconv.ParseFloat(text, 64)
		if err != nil || !(v >= 0) || v > 1e6 {
			return usageError("--max-regression %q: allowed: a share such as 5%% or 0.05", f.most)
		}
		if percent {
			v /= 100
		}
		o.MaxRegression = v
		if f.run == "" {
			return usageError("--max-regression says how much worse than a baseline is allowed: give --baseline too")
		}
	}
	if f.save != "" && !baselineName.MatchString(f.save) {
		return usageError("--save %q: allowed: a name of letters, digits, '.', '-' and '_'", f.save)
	}
	if f.run == "" {
		return nil
	}
	src, err := a.baseline(ctx, f.run)
	if err != nil {
		return err
	}
	o.Baseline, o.BaselineName = src, f.run
	return nil
}

var baselineName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$`)

func (a *app) baselineFile(name string) string {
	return filepath.Join(a.home, "baselines", name+".json")
}

// baseline reads the report that RUN names: a file or folder of that path, else a name given to --save, else a job.
func (a *app) baseline(ctx context.Context, run string) ([]byte, error) {
	file := run
	if st, err := os.Stat(run); err == nil && st.IsDir() {
		file = filepath.Join(run, "report.json")
	}
	for _, path := range []string{file, a.baselineFile(run)} {
		if path != file && !baselineName.MatchString(run) {
			continue
		}
		b, err := readReport(path)
		if err == nil {
			return b, nil
		}
		if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, errNotDir) {
			return nil, usageError("--baseline %s: %v", run, err)
		}
	}
	parts := strings.Split(run, "/")
	if len(parts) > 3 || strings.HasSuffix(run, ".json") || strings.HasPrefix(run, ".") || parts[0] == "" {
		return nil, usageError("--baseline %s: there is no such file", run)
	}
	number := uint64(0)
	if len(parts) > 1 {
		n, err := strconv.ParseUint(parts[1], 10, 32)
		if err != nil || n == 0 {
			return nil, usageError("--baseline %s: there is no such file, and %q is no number of a job", run, parts[1])
		}
		number = n
	}
	if _, err := os.Stat(filepath.Join(a.home, "state.db")); errors.Is(err, fs.ErrNotExist) {
		return nil, &exitError{exitNotFound, fmt.Errorf("--baseline %s: there is no such file, no baseline of that name in %s, and no cluster", run, filepath.Join(a.home, "baselines"))}
	}
	return a.jobReport(ctx, parts, uint32(number))
}

var errNotDir = errors.New("not a directory")

func readReport(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		if strings.HasSuffix(err.Error(), errNotDir.Error()) {
			return nil, errNotDir
		}
		return nil, err
	}
	defer f.Close()
	if st, err := f.Stat(); err != nil || st.Size() > maxReport {
		return nil, fmt.Errorf("it is larger than %d MiB", maxReport>>20)
	}
	return io.ReadAll(io.LimitReader(f, maxReport))
}

// jobReport fetches the report of a job's suite: CLUSTER, CLUSTER/JOB or CLUSTER/JOB/SUITE.
func (a *app) jobReport(ctx context.Context, parts []string, number uint32) ([]byte, error) {
	run := strings.Join(parts, "/")
	c, err := a.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	ans, err := c.GetJob(ctx, &controlv1.GetJobRequest{ClusterName: parts[0], Number: number})
	if err != nil {
		if failure := rpcError("find the job", err); codeOf(failure) == exitNotFound {
			return nil, &exitError{exitNotFound, fmt.Errorf("--baseline %s: there is no such file, and no baseline of that name in %s: %w", run, filepath.Join(a.home, "baselines"), failure)}
		}
		return nil, rpcError("find the job", err)
	}
	j := ans.GetJob().GetJob()
	var names []string
	digest := ""
	for _, s := range j.GetSuites() {
		if s.GetReportJson() == "" || len(parts) > 2 && s.GetName() != parts[2] {
			continue
		}
		names, digest = append(names, s.GetName()), s.GetReportJson()
	}
	switch {
	case len(names) == 0:
		return nil, &exitError{exitNotFound, fmt.Errorf("--baseline %s: job %d of %s kept no report of a suite", run, j.GetNumber(), parts[0])}
	case len(names) > 1:
		return nil, usageError("--baseline %s: job %d has the reports of %s: name one, as %s/%d/%s", run, j.GetNumber(), strings.Join(names, ", "), parts[0], j.GetNumber(), names[0])
	}
	st, err := c.GetBlob(ctx, &controlv1.GetBlobRequest{Sha256: digest})
	if err != nil {
		return nil, rpcError("fetch the report", err)
	}
	var out bytes.Buffer
	for {
		d, err := st.Recv()
		if errors.Is(err, io.EOF) {
			return out.Bytes(), nil
		}
		if err != nil {
			return nil, rpcError("fetch the report", err)
		}
		out.Write(d.GetData())
	}
}

// keep saves the report under the name of --save.
func (f *baselineFlags) keep(a *app, r *check.Report) error {
	if f.save == "" {
		return nil
	}
	kept := r.Untimed()
	kept.Baseline = nil // what it was compared with is another run's matter
	var b bytes.Buffer
	if err := report.JSON(&b, kept); err != nil {
		return err
	}
	path := a.baselineFile(f.save)
	if err := writeWhole(path, b.Bytes()); err != nil {
		return &exitError{exitFailure, fmt.Errorf("save the baseline: %w", err)}
	}
	return nil
}

// writeWhole writes a file so that it is there as a whole or not at all.
func writeWhole(path string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".sky-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	defer tmp.Close()
	if _, err := tmp.Write(content); err != nil {
		return err
	}
	if err := tmp.Close(); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}
