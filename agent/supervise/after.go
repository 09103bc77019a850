package supervise

import (
	"context"
	"errors"

	agentv1 "aloft/proto/sky/agent/v1"
	statev1 "aloft/proto/sky/state/v1"
)

// after does what follows the run on rank 0: it waits for the other ranks, runs the suites when all succeeded, and keeps
// artifacts, reports and metrics. Whatever goes wrong here is said in the status; the run's own verdict stands.
func (f *flow) after(ctx context.Context, st *agentv1.Status) {
	if f.a.GetRank() != 0 {
		return
	}
	good := st.GetExitCode() == 0 && st.GetSignal() == 0
	if good && f.part != nil {
		// Another rank's failure is that rank's to report; this one ended well.
		good = f.part.Others(ctx) == nil
	}
	if good && len(f.a.GetTask().GetSuites()) > 0 {
		f.check(ctx, st)
	}
	st.Suites = append(st.Suites, readOwnSuites(f.own(reportsDir), f.a.GetTask().GetSuites())...)
	f.keepArtifacts(context.WithoutCancel(ctx), st)
}

// check runs the suites, one after the other, in one process with a log stream of its own.
func (f *flow) check(ctx context.Context, st *agentv1.Status) {
	f.emit(statev1.RankPhase_RANK_CHECKING, "")
	if _, err := f.process(ctx, streamCheck, f.checkSpec, nil); err != nil {
		if ctx.Err() != nil {
			st.Phase, st.Reason, st.Failure = statev1.RankPhase_RANK_KILLED, stopReason(ctx), stopFailure(ctx)
			return
		}
		st.Failure = failure(statev1.FailureKind_INFRA, "CHECKS", err.Error())
		return
	}
	st.Suites = readSuites(f.own(reportsDir), f.a.GetTask().GetSuites())
}

// keepArtifacts hands artifacts, reports and metrics over for sending. It is done for failed jobs too.
func (f *flow) keepArtifacts(ctx context.Context, st *agentv1.Status) {
	if f.a.GetRank() != 0 || !f.ran && len(st.GetSuites()) == 0 {
		return
	}
	c := Collection{Assignment: f.a, Workdir: f.workdir, Metrics: f.metrics}
	if len(st.GetSuites()) > 0 {
		c.Reports = f.own(reportsDir)
	}
	files, err := f.s.o.Files.Collect(ctx, c)
	st.Files = files
	nameReports(f.a.GetTask().GetSuites(), st.GetSuites(), files)
	st.Metrics = lastOf(f.series)
	if err == nil {
		return
	}
	f.s.o.Log.Warn("artifacts", "job", f.a.GetJobId(), "err", err)
	st.Reason = orElse(st.GetReason(), "artifacts: "+err.Error())
	if onlyMissing(err) {
		return
	}
	if st.GetExitCode() == 0 && st.GetSignal() == 0 && st.GetFailure() == nil && st.GetPhase() == statev1.RankPhase_RANK_EXITED {
		// The run ended well but what it was run for is not there.
		st.Failure = failure(statev1.FailureKind_USER, "ARTIFACTS", err.Error())
	}
}

// onlyMissing reports whether every error joined in err is about a pattern that matches nothing.
func onlyMissing(err error) bool {
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range many.Unwrap() {
			if !onlyMissing(e) {
				return false
			}
		}
		return true
	}
	return errors.Is(err, ErrNoArtifact)
}

func stopReason(ctx context.Context) string {
	var stop *stopError
	if errors.As(context.Cause(ctx), &stop) {
		return stop.cause.GetReason()
	}
	return "stopped"
}

func stopFailure(ctx context.Context) *statev1.Failure {
	var stop *stopError
	if errors.As(context.Cause(ctx), &stop) {
		return stop.cause.GetFailure()
	}
	return nil
}
