package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	controlv1 "aloft/proto/sky/control/v1"
)

// defaultTail is how many lines `sky logs` shows before it follows, as SkyPilot's does.
const defaultTail = 1000

type logsFlags struct {
	provision, syncDown, status, follow, noFollow, timestamps bool
	tail, output, results, hook, logLimit                     string
	worker                                                    int
	timeout                                                   time.Duration
}

func newLogsCmd(a *app) *cobra.Command {
	fl := &logsFlags{}
	cmd := &cobra.Command{
		Use:   "logs CLUSTER [JOB...]",
		Short: "Show and follow the log of a job",
		Long: `Show the log of a job (the latest when none is named), following it until the
job ends: during the job, after it, and after its cluster is gone. Ends with
the job's own exit code.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return a.logs(cmd, args, fl) },
	}
	f := cmd.Flags()
	f.BoolVar(&fl.provision, "provision", false, "how the cluster came up: every step and every place tried, also of a cluster that is gone; followed while it is on its way up")
	f.BoolVarP(&fl.syncDown, "sync-down", "s", false, "write logs and results under --results instead of showing them")
	f.BoolVar(&fl.status, "status", false, "print the job's status only, and end with its exit code")
	f.BoolVar(&fl.follow, "follow", true, "follow until the job ends")
	f.BoolVar(&fl.noFollow, "no-follow", false, "show what there is and return")
	f.StringVar(&fl.tail, "tail", "", "last `N` lines of setup, run and checks of each rank; 0 or all = everything (default 1000 when following)")
	f.BoolVarP(&fl.timestamps, "timestamps", "t", false, "put the time (UTC) before each line")
	f.StringVar(&fl.results, "results", "", "`DIR` for --sync-down (default "+resultsDir+"/CLUSTER-JOB)")
	f.DurationVar(&fl.timeout, "timeout", 0, "give up waiting after `TIME`, as 90s or 2h (exit code 75)")
	f.StringVar(&fl.logLimit, "log-limit", "", "in CI print at most `SIZE` of a log, and its last 500 lines; 0 = all (default 10MB)")
	f.StringVar(&fl.hook, "hook", "", "not supported")
	f.IntVarP(&fl.worker, "worker", "w", 0, "not supported")
	for _, h := range []string{"hook", "worker"} {
		_ = f.MarkHidden(h)
	}
	f.Lookup("hook").NoOptDefVal = "all"
	outputFlag(cmd, &fl.output)
	return cmd
}

func (a *app) logs(cmd *cobra.Command, args []string, fl *logsFlags) error {
	ctx := cmd.Context()
	if err := checkOutput(fl.output); err != nil {
		return err
	}
	switch {
	case fl.hook != "":
		return usageError("--hook: lifecycle hooks are not part of this version")
	case fl.worker != 0:
		return usageError("--worker: `sky logs --provision %s` shows every node of the cluster", args[0])
	}
	limit, err := parseLimit(fl.logLimit)
	if err != nil {
		return err
	}
	a.logLimit = limit
	var numbers []uint32
	for _, s := range args[1:] {
		n, err := strconv.ParseUint(s, 10, 32)
		if err != nil || n == 0 {
			return usageError("job %q: allowed: the numbers that `sky queue %s` shows", s, args[0])
		}
		numbers = append(numbers, uint32(n))
	}
	if len(numbers) > 1 && !fl.syncDown {
		return usageError("one job at a time, or pass --sync-down")
	}
	a.readBuffer = largeReads
	c, err := a.connectTo(ctx, args...)
	if err != nil {
		return err
	}
	defer c.Close()
	if fl.provision {
		if fl.output == "json" {
			return a.showWhy(ctx, c, args[0], fl.output)
		}
		return a.provision(ctx, c, args[0], fl.follow && !fl.noFollow)
	}
	if len(numbers) == 0 {
		numbers = []uint32{0}
	}
	for _, n := range numbers {
		if err := a.jobLog(ctx, c, args[0], n, fl); err != nil {
			return err
		}
	}
	return nil
}

func (a *app) jobLog(ctx context.Context, c *client, cluster string, number uint32, fl *logsFlags) error {
	ans, err := c.GetJob(ctx, &controlv1.GetJobRequest{ClusterName: cluster, Number: number})
	if err != nil {
		return rpcError("find the job", err)
	}
	v := ans.GetJob()
	j := v.GetJob()
	// What a job that has ended wrote may still be on its way: it is waited for in any case.
	follow := fl.follow && !fl.noFollow || j.GetEndedMs() != 0
	switch {
	case fl.status:
		if fl.output == "json" {
			if err := a.printJSON(jobJSON(v)); err != nil {
				return err
			}
		} else {
			a.say("Job %d %s", j.GetNumber(), a.statusStyle(v.GetStatus()))
		}
		return exitOf(jobExit(j))
	case fl.syncDown:
		return a.syncDown(ctx, c, v, fl)
	}
	tail := int64(0)
	switch fl.tail {
	case "":
		if fl.follow && !fl.noFollow {
			tail = defaultTail
		}
	case "all":
	default:
		tail, err = strconv.ParseInt(fl.tail, 10, 64)
		if err != nil || tail < 0 {
			return usageError("--tail %q: allowed: a number of lines, or all", fl.tail)
		}
	}
	p := a.newLogPrinter(j.GetTask().GetName(), fmt.Sprintf("sky logs %s %d --tail all", cluster, j.GetNumber()), fl.timestamps)
	if fl.output == "json" {
		p.json = a.ndjson
	}
	wctx, cancel := timeLimit(ctx, fl.timeout)
	defer cancel()
	err = a.streamLogs(wctx, c, &controlv1.LogsRequest{JobId: j.GetId(), Follow: follow, Tail: tail, Streams: []string{"setup", "run", "check"}}, p)
	switch {
	case err == nil:
	case timeIsUp(wctx) && ctx.Err() == nil:
		a.note("Gave up waiting after %s; the job goes on. Again: sky logs %s %d", fl.timeout, cluster, j.GetNumber())
		return &exitError{code: exitWaitTimeout}
	case ctx.Err() != nil:
		a.note("\nDetached; the job goes on.\n  return to it:  sky logs %s %d\n  cancel it:     sky cancel %s %d", cluster, j.GetNumber(), cluster, j.GetNumber())
		return &exitError{code: exitInterrupted}
	default:
		return err
	}
	ans, err = again(ctx, a, c, func() (*controlv1.JobAnswer, error) { return c.GetJob(ctx, &controlv1.GetJobRequest{JobId: j.GetId()}) })
	if err != nil {
		return rpcError("read the job", err)
	}
	v = ans.GetJob()
	j = v.GetJob()
	if fl.output == "json" {
		if err := a.ndjson(map[string]any{"type": "job", "job": jobJSON(v), "ok": jobExit(j) == exitOK, "exit_code": jobExit(j)}); err != nil {
			return err
		}
	} else if j.GetEndedMs() != 0 {
		a.note("Job %d finished (status: %s).", j.GetNumber(), a.statusStyle(v.GetStatus()))
		if f := j.GetFailure(); f.GetMessage() != "" {
			a.note("  %s", f.GetMessage())
		}
	} else {
		a.note("Job %d is %s.", j.GetNumber(), a.statusStyle(v.GetStatus()))
	}
	return exitOf(jobExit(j))
}

// exitOf is nil for 0, else an error that only carries the code.
func exitOf(code int) error {
	if code == exitOK {
		return nil
	}
	return &exitError{code: code}
}

// syncDown writes each stream of a job to its own file, and its results beside them.
func (a *app) syncDown(ctx context.Context, c *client, v *controlv1.JobView, fl *logsFlags) error {
	j := v.GetJob()
	dir := fl.results
	if dir == "" {
		dir = filepath.Join(resultsDir, fmt.Sprintf("%s-%d", j.GetClusterName(), j.GetNumber()))
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make the results directory: %w", err)
	}
	// The log of a job that has ended may still be on its way: it is waited for.
	st, err := c.Logs(ctx, &controlv1.LogsRequest{JobId: j.GetId(), Streams: []string{"setup", "run", "check"}, Follow: j.GetEndedMs() != 0})
	if err != nil {
		return rpcError("read the log", err)
	}
	open := map[string]*os.File{}
	defer func() {
		for _, f := range open {
			f.Close()
		}
	}()
	for {
		f, err := st.Recv()
		if err != nil {
			if isEOF(err) {
				break
			}
			return rpcError("read the log", err)
		}
		if len(f.GetData()) == 0 && !f.GetTruncated() {
			continue
		}
		name := f.GetStream() + ".log"
		if f.GetNumRanks() > 1 {
			name = fmt.Sprintf("%s-%d.log", f.GetStream(), f.GetSlot())
		}
		file := open[name]
		if file == nil {
			if file, err = os.Create(filepath.Join(dir, name)); err != nil {
				return fmt.Errorf("write the log: %w", err)
			}
			open[name] = file
		}
		if f.GetTruncated() {
			a.note("%s: %s", filepath.Join(dir, name), truncatedText)
			continue
		}
		if _, err := file.Write(f.GetData()); err != nil {
			return fmt.Errorf("write the log: %w", err)
		}
	}
	if _, err := a.bringBack(ctx, c, j, dir); err != nil {
		return err
	}
	if fl.output == "json" {
		return a.printJSON(map[string]any{"ok": true, "directory": dir, "job": jobJSON(v)})
	}
	a.endSpin()
	a.say("Job %d logs: %s", j.GetNumber(), dir)
	return nil
}
