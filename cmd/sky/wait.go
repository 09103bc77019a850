package main

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	controlv1 "aloft/proto/sky/control/v1"
)

type waitFlags struct {
	timeout                     time.Duration
	output, results, outputFile string
}

func newWaitCmd(a *app) *cobra.Command {
	fl := &waitFlags{}
	cmd := &cobra.Command{
		Use:   "wait RUN | CLUSTER [JOB]",
		Short: "Wait for the end of a job",
		Long: `Wait until a job has ended, bring its results here, and end with its own exit code.
Its log is not shown: see sky logs. When --timeout runs out first the exit code
is 75 and the job goes on; another wait, in a later CI job that has the same
ALOFT_HOME, takes up from there. A RUN is CLUSTER (its latest job), CLUSTER/JOB, or the
id of a job.`,
		Example: `  sky launch -d -c train task.yaml
  sky wait train --timeout 5h30m`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error { return a.wait(cmd.Context(), args, fl) },
	}
	f := cmd.Flags()
	f.DurationVar(&fl.timeout, "timeout", 0, "give up waiting after `TIME`, as 90s or 5h30m (exit code 75); the job goes on")
	f.StringVar(&fl.results, "results", "", "`DIR` for results (default "+resultsDir+"/CLUSTER-JOB)")
	f.StringVar(&fl.outputFile, "output-file", "", "append the outcome to `FILE` as lines SKY_NAME=VALUE, for later steps")
	outputFlag(cmd, &fl.output)
	return cmd
}

func (a *app) wait(ctx context.Context, args []string, fl *waitFlags) error {
	if err := checkOutput(fl.output); err != nil {
		return err
	}
	if fl.timeout < 0 {
		return usageError("--timeout %s: allowed: a time above 0, as 90s or 5h30m; 0 = wait for ever", fl.timeout)
	}
	a.outputFile = fl.outputFile
	wctx, cancel := timeLimit(ctx, fl.timeout) // the way to the controller counts
	defer cancel()
	c, err := a.connectTo(ctx, args...)
	if err != nil {
		return err
	}
	defer c.Close()
	ans, err := findRun(ctx, c, args)
	if err != nil {
		return err
	}
	j := ans.GetJob().GetJob()
	ended, err := a.awaitEnd(wctx, c, ans)
	a.endSpin()
	switch {
	case ended:
		return a.conclude(ctx, c, j.GetId(), fl.output == "json", fl.results)
	case ctx.Err() != nil:
		a.note("\nDetached; the job goes on.\n  wait again:  sky wait %s %d\n  cancel it:   sky cancel %s %d", j.GetClusterName(), j.GetNumber(), j.GetClusterName(), j.GetNumber())
		return &exitError{code: exitInterrupted}
	case timeIsUp(wctx):
		if fl.output == "json" {
			last, err := c.GetJob(ctx, &controlv1.GetJobRequest{JobId: j.GetId()})
			if err != nil {
				return rpcError("read the job", err)
			}
			if err := a.ndjson(map[string]any{"type": "job", "job": jobJSON(last.GetJob()), "ok": false, "exit_code": exitWaitTimeout}); err != nil {
				return err
			}
		}
		a.note("Gave up waiting after %s; the job goes on. Again: sky wait %s %d", fl.timeout, j.GetClusterName(), j.GetNumber())
		return &exitError{code: exitWaitTimeout}
	}
	return err
}

// timeLimit is ctx for at most d; 0 = for ever. The limit is not handed on to the controller: a call that the controller
// ends when its own clock says so, a moment earlier, would look like one that is done.
func timeLimit(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	if d <= 0 {
		return ctx, func() {}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	t := time.AfterFunc(d, func() { cancel(context.DeadlineExceeded) })
	return ctx, func() {
		t.Stop()
		cancel(context.Canceled)
	}
}

// timeIsUp reports whether the limit of a context of timeLimit has ended it.
func timeIsUp(ctx context.Context) bool {
	return errors.Is(context.Cause(ctx), context.DeadlineExceeded)
}

// awaitEnd returns true once the job of ans has ended. It outlives controllers, and events that are no longer kept.
func (a *app) awaitEnd(ctx context.Context, c *client, ans *controlv1.JobAnswer) (bool, error) {
	id := ans.GetJob().GetJob().GetId()
	for {
		v := ans.GetJob()
		if v.GetJob().GetEndedMs() != 0 {
			return true, nil
		}
		a.spin("Job %d of %s is %s", v.GetJob().GetNumber(), v.GetJob().GetClusterName(), v.GetStatus())
		ended, err := a.watchEnd(ctx, c, id, ans.GetRev())
		switch {
		case ended:
			return true, nil
		case ctx.Err() != nil:
			return false, ctx.Err()
		case lost(ctx, err):
			if err := a.reconnect(ctx, c); err != nil {
				return false, err
			}
		case !errors.Is(err, io.EOF) && status.Code(err) != codes.OutOfRange: // else: look again
			return false, rpcError("watch the job", err)
		}
		ans, err = again(ctx, a, c, func() (*controlv1.JobAnswer, error) { return c.GetJob(ctx, &controlv1.GetJobRequest{JobId: id}) })
		if err != nil {
			return false, rpcError("read the job", err)
		}
	}
}

// watchEnd is one watch of a job, under one controller: true when it saw the job's end.
func (a *app) watchEnd(ctx context.Context, c *client, id string, from uint64) (bool, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	events, err := c.Watch(ctx, &controlv1.WatchRequest{FromRev: from, JobId: id})
	if err != nil {
		return false, err
	}
	for {
		ev, err := events.Recv()
		if err != nil {
			return false, err
		}
		v := ev.GetJob()
		if v.GetJob().GetId() != id {
			continue
		}
		if v.GetJob().GetEndedMs() != 0 {
			return true, nil
		}
		a.spin("Job %d of %s is %s", v.GetJob().GetNumber(), v.GetJob().GetClusterName(), v.GetStatus())
	}
}
