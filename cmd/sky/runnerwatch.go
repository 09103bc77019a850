package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"aloft/controller/forge"
	controlv1 "aloft/proto/sky/control/v1"
	statev1 "aloft/proto/sky/state/v1"
)

// successorsMost bounds how many machines one runner is given after another was lost.
const successorsMost = 3

// see waits until the runners are online, and with --watch until they are gone.
func (w *runnerWork) see(ctx context.Context, made []runnerRecord, reused []forge.Runner) error {
	a := w.a
	if w.o.detach {
		a.sayUnless(w.o.output == "json", "The launches go on.\n  see how they go:  sky ci runner list\n  end one:          sky ci runner stop %s", made[0].Name)
		return w.report(ctx, made, reused, nil)
	}
	wctx, stop := timeLimit(ctx, w.o.timeout)
	defer stop()
	var failed error
	for i := range made {
		r, how, err := w.online(wctx, made[i])
		made[i] = r
		a.endSpin()
		switch {
		case err != nil && ctx.Err() != nil:
			return w.interrupted(ctx, made)
		case err != nil && timeIsUp(wctx):
			a.note("Gave up waiting for runner %s after %s; its launch goes on.\n  see how it goes:  sky ci runner list\n  end it:           sky ci runner stop %s", r.Name, w.o.timeout, r.Name)
			return w.report(ctx, made, reused, &exitError{code: exitWaitTimeout})
		case err != nil:
			a.note("%s Runner %s: %v", a.style(styleRed, "✗"), r.Name, err)
			if failed == nil || codeOf(failed) == exitOK {
				failed = &exitError{code: codeOf(err)}
			}
		default:
			a.sayUnless(w.o.output == "json", "%s Runner %s %s (labels: %s).", a.style(styleGreen, "✓"), r.Name, how, strings.Join(r.Labels, ", "))
		}
	}
	if !w.o.watch {
		return w.report(ctx, made, reused, failed)
	}
	err := w.watch(ctx, made)
	if ctx.Err() != nil {
		return err
	}
	if failed != nil {
		err = failed
	}
	return w.report(ctx, made, reused, err)
}

// report ends a launch with its document.
func (w *runnerWork) report(ctx context.Context, made []runnerRecord, reused []forge.Runner, failed error) error {
	if w.o.output == "json" {
		list := []jsonRunner{}
		for _, r := range made {
			s := w.sight(ctx, r, true)
			list = append(list, s.json())
		}
		if err := w.a.printJSON(map[string]any{"ok": failed == nil, "runners": list, "reused": names(reused)}); err != nil {
			return err
		}
	}
	return failed
}

// interrupted ends runners that a CI job launched and did not live to see; elsewhere they go on.
func (w *runnerWork) interrupted(ctx context.Context, made []runnerRecord) error {
	if !w.a.inCI() {
		w.a.note("\nDetached; the runners go on.\n  see them:  sky ci runner list\n  end one:   sky ci runner stop %s", made[0].Name)
		return &exitError{code: exitInterrupted}
	}
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), interruptTime)
	defer stop()
	var clusters []string
	for _, r := range made {
		clusters = append(clusters, r.Name)
	}
	id, err := w.a.requestID()
	if err != nil {
		return err
	}
	if _, err := again(ctx, w.a, w.c, func() (*controlv1.ClustersResponse, error) {
		return w.c.Down(ctx, &controlv1.ClustersRequest{RequestId: id, Names: clusters, User: w.a.userName()})
	}); err != nil {
		return rpcError("end the machines of what was interrupted", err)
	}
	for _, r := range made {
		if f, err := openRunnerFile(w.a.home, r.Name); err == nil {
			f.Stopped = true
			if err := f.save(); err != nil {
				w.a.note("warning: %v", err)
			}
			if err := w.discard(ctx, f); err != nil {
				w.a.note("Runner %s stays registered until the next `sky ci runner list`: %v", r.Name, err)
			}
			f.release()
		}
	}
	w.a.note("\nInterrupted: the runners end with their machines.")
	return &exitError{code: exitInterrupted}
}

// online waits until the forge calls a runner online, or until it has done its job already; how says which. A forge that
// does not answer is asked again: its troubles end no machine.
func (w *runnerWork) online(ctx context.Context, r runnerRecord) (_ runnerRecord, how string, err error) {
	told := false
	for pause := runnerLook; ; pause = min(pause*3/2, runnerLookMost) {
		w.a.spin("Waiting for runner %s to be online", r.Name)
		got, err := w.find(ctx, r)
		switch {
		case ctx.Err() != nil:
			return r, "", ctx.Err()
		case err != nil && !told:
			told = true
			w.a.note("warning: %s cannot be asked about runner %s, and is asked again: %v", w.client.Host(), r.Name, err)
		case err == nil && got != nil && got.Online:
			r = w.note(r, func(r *runnerRecord) { r.ID, r.Seen = got.ID, true })
			return r, "is online", nil
		}
		j, err := w.job(ctx, r)
		if ctx.Err() != nil {
			return r, "", ctx.Err()
		}
		if err != nil {
			return r, "", err
		}
		if j.GetJob().GetEndedMs() > 0 {
			if jobExit(j.GetJob()) != exitOK {
				return r, "", w.ended(ctx, r, j.GetJob(), "before it was online")
			}
			w.leave(ctx, r)
			return r, "was online, and is gone", nil
		}
		if !w.sleep(ctx, pause) {
			return r, "", ctx.Err()
		}
	}
}

// sleep waits; false = the context ended first.
func (w *runnerWork) sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// note changes a record, on disk where nobody else has it in hands.
func (w *runnerWork) note(r runnerRecord, change func(*runnerRecord)) runnerRecord {
	before := fmt.Sprint(r)
	change(&r)
	if fmt.Sprint(r) == before {
		return r
	}
	if f, err := openRunnerFile(w.a.home, r.Name); err == nil {
		change(&f.runnerRecord)
		if err := f.save(); err != nil {
			w.a.note("warning: %v", err)
		}
		f.release()
	}
	return r
}

// ended tells how the program of a runner ended, and removes its registration.
func (w *runnerWork) ended(ctx context.Context, r runnerRecord, j *statev1.Job, when string) error {
	why := j.GetFailure().GetMessage()
	if why == "" {
		why = fmt.Sprintf("its program ended with exit code %d", j.GetExitCode())
	}
	if w.o.output == "text" && j.GetPhase() == statev1.JobPhase_JOB_FAILED_USER {
		p := w.a.newLogPrinter("runner", "sky logs "+r.Name+" --tail all", false)
		if err := w.a.streamLogs(ctx, w.c, &controlv1.LogsRequest{JobId: j.GetId(), Tail: 20, Streams: []string{"run"}}, p); err != nil {
			w.a.note("warning: its log cannot be read: %v", err)
		}
	}
	w.leave(ctx, r)
	code := exitInfra
	if c := jobExit(j); c == exitBudget || c == exitCancelled || c == exitConfig {
		code = c
	}
	return &exitError{code: code, err: fmt.Errorf("it ended %s: %s\n  more: sky logs %s", when, strings.TrimSpace(why), r.Name)}
}

// leave removes the registration of a runner that has ended. What cannot be removed now is swept later.
func (w *runnerWork) leave(ctx context.Context, r runnerRecord) {
	f, err := openRunnerFile(w.a.home, r.Name)
	if err != nil {
		return // another command does it, or it is done
	}
	defer f.release()
	f.Stopped = true
	if err := f.save(); err != nil {
		w.a.note("warning: %v", err)
	}
	// A refusal says that the forge still believes in a job: in time it will not.
	_ = w.discard(ctx, f)
}

// watched is one runner that is watched, with the machines it had before.
type watched struct {
	r          runnerRecord
	successors int
	rerun      string // the run to be run again, once it has ended
	lost       runnerRecord
	waits      bool // it is to have a successor that the forge could not be asked for
	over       bool
}

// watch follows runners to their ends. One whose machine was lost gets a successor with a registration of its own, and the
// run that it had is run again as soon as the forge has seen that it failed.
func (w *runnerWork) watch(ctx context.Context, made []runnerRecord) error {
	var list []*watched
	for _, r := range made {
		list = append(list, &watched{r: r})
	}
	var failed error
	for pause := runnerLook; ; pause = min(pause*3/2, runnerLookMost) {
		open := 0
		for _, x := range list {
			if err := w.watchOne(ctx, x); err != nil && ctx.Err() == nil {
				w.a.note("%s Runner %s: %v", w.a.style(styleRed, "✗"), x.r.Name, err)
				if x.over = true; failed == nil {
					failed = &exitError{code: codeOf(err)}
				}
			}
			if !x.over || x.rerun != "" {
				open++
			}
		}
		if open == 0 {
			return failed
		}
		w.a.spin("Watching %s", plural(open, "runner"))
		if !w.sleep(ctx, pause) {
			w.a.endSpin()
			var left []runnerRecord
			for _, x := range list {
				if !x.over {
					left = append(left, x.r)
				}
			}
			if len(left) == 0 {
				return failed
			}
			return w.interrupted(ctx, left)
		}
	}
}

// watchOne looks once at one runner.
func (w *runnerWork) watchOne(ctx context.Context, x *watched) error {
	w.runAgain(ctx, x)
	if x.over {
		return nil
	}
	j, err := w.job(ctx, x.r)
	if err != nil || ctx.Err() != nil {
		return err
	}
	if j != nil && j.GetJob().GetEndedMs() == 0 {
		got, err := w.find(ctx, x.r)
		if err != nil || got == nil || !got.Busy && x.r.Seen == got.Online {
			return nil
		}
		run := x.r.Run
		if got.Busy {
			if found, err := w.host.RunnerRun(ctx, *got); err == nil && found != "" {
				run = found
			}
		}
		x.r = w.note(x.r, func(r *runnerRecord) { r.ID, r.Seen, r.Run = got.ID, r.Seen || got.Online, run })
		return nil
	}
	end := j.GetJob()
	f := end.GetFailure()
	lost := end.GetPhase() == statev1.JobPhase_JOB_FAILED_INFRA && f.GetKind() != statev1.FailureKind_AUTH && f.GetKind() != statev1.FailureKind_CONFIG
	switch {
	case end == nil || jobExit(end) == exitOK:
		x.over = true
		w.leave(ctx, x.r)
		w.a.sayUnless(w.o.output == "json", "Runner %s is gone.", x.r.Name)
		return nil
	case !lost || w.o.noRetry || x.successors == successorsMost || !x.waits && w.stopped(x.r):
		x.over = true
		return w.ended(ctx, x.r, end, "while it was watched")
	}
	if got, err := w.find(ctx, x.r); err == nil && got != nil {
		if run, err := w.host.RunnerRun(ctx, *got); err == nil && run != "" {
			x.r.Run = run
		}
	}
	old := x.r
	if !x.waits {
		w.a.note("The machine of runner %s was lost: %s", old.Name, f.GetMessage())
		w.leave(ctx, old)
	}
	r := w.wanted(0, 1)
	x.successors++
	if r.Name != "" {
		base, _, _ := strings.Cut(old.Name, ".again")
		r.Name = fmt.Sprintf("%s.again%d", base, x.successors)
	}
	next, err := w.launch(ctx, r)
	if away(err) { // its troubles are waited for: there is no machine, and no cost
		x.successors--
		x.waits = true
		return nil
	}
	if err != nil {
		return err
	}
	x.waits = false
	if x.r = next; old.Run != "" {
		x.rerun, x.lost = old.Run, old
	}
	return nil
}

// stopped reports whether somebody wants a runner gone.
func (w *runnerWork) stopped(r runnerRecord) bool {
	list, err := runnerRecords(w.a.home)
	if err != nil {
		return false
	}
	for _, x := range list {
		if x.Name == r.Name {
			return x.Stopped
		}
	}
	return true // the record is gone: it was stopped
}

// runAgain runs the run of a lost runner again, once the forge holds it for ended: before that it refuses.
func (w *runnerWork) runAgain(ctx context.Context, x *watched) {
	if x.rerun == "" {
		return
	}
	rerunner, ok := w.client.(forge.Rerunner)
	if !ok {
		x.rerun = ""
		return
	}
	if e, ok := w.client.(interface {
		RunEnded(ctx context.Context, id string) (bool, error)
	}); ok {
		if done, err := e.RunEnded(ctx, x.rerun); err != nil || !done {
			return
		}
	} else if got, err := w.find(ctx, x.lost); err != nil || got != nil && got.Busy {
		return
	}
	if err := rerunner.Rerun(ctx, x.rerun, true); err != nil {
		w.a.note("warning: run %s, which lost its machine, cannot be run again: %v", x.rerun, err)
	} else {
		w.a.note("Run %s, which lost its machine, is run again.", x.rerun)
	}
	x.rerun = ""
}
