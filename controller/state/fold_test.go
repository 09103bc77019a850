package state_test

import (
	"testing"

	"aloft/controller/state"
	statev1 "aloft/proto/sky/state/v1"
)

const (
	exited = statev1.RankPhase_RANK_EXITED
	killed = statev1.RankPhase_RANK_KILLED
	lost   = statev1.RankPhase_RANK_LOST
)

// rank makes a rank record; received orders its verdict, at is when it ended.
func rank(n int32, p statev1.RankPhase, code, signal int32, received uint64, at int64) *statev1.Rank {
	return &statev1.Rank{
		Rank: n, Slot: max(n, 0), Phase: p, ExitCode: code, Signal: signal, Received: received, EndedMs: at, StartedMs: 100,
	}
}

func with(r *statev1.Rank, edit func(*statev1.Rank)) *statev1.Rank { edit(r); return r }

func TestFoldJob(t *testing.T) {
	t.Parallel()
	setup := func(v string) func(*statev1.Rank) { return func(r *statev1.Rank) { r.SetupVerdict = v } }
	why := func(k statev1.FailureKind) func(*statev1.Rank) {
		return func(r *statev1.Rank) { r.Failure = &statev1.Failure{Kind: k} }
	}
	for _, x := range []struct {
		name   string
		job    *statev1.Job
		ranks  []*statev1.Rank
		phase  statev1.JobPhase
		code   int32
		failed int32
		kind   statev1.FailureKind
	}{
		{name: "assigned", ranks: []*statev1.Rank{rank(0, statev1.RankPhase_RANK_ASSIGNED, 0, 0, 0, 0)}, phase: statev1.JobPhase_JOB_PLACED},
		{name: "preparing", ranks: []*statev1.Rank{rank(0, statev1.RankPhase_RANK_PREPARING, 0, 0, 0, 0)}, phase: statev1.JobPhase_JOB_STAGING},
		{name: "one ready, one in setup", ranks: []*statev1.Rank{
			rank(0, statev1.RankPhase_RANK_READY, 0, 0, 0, 0), rank(1, statev1.RankPhase_RANK_SETUP, 0, 0, 0, 0),
		}, phase: statev1.JobPhase_JOB_SETUP},
		{name: "setup-only node done while the other still sets up", ranks: []*statev1.Rank{
			rank(-1, exited, 0, 0, 1, 200), rank(0, statev1.RankPhase_RANK_SETUP, 0, 0, 0, 0),
		}, phase: statev1.JobPhase_JOB_SETUP},
		{name: "one exited, one running", ranks: []*statev1.Rank{
			rank(0, exited, 0, 0, 1, 200), rank(1, statev1.RankPhase_RANK_RUNNING, 0, 0, 0, 0),
		}, phase: statev1.JobPhase_JOB_RUNNING},
		{name: "failed rank waits for its peers", ranks: []*statev1.Rank{
			rank(0, exited, 3, 0, 1, 200), rank(1, statev1.RankPhase_RANK_RUNNING, 0, 0, 0, 0),
		}, phase: statev1.JobPhase_JOB_RUNNING},
		{name: "checking", ranks: []*statev1.Rank{rank(0, statev1.RankPhase_RANK_CHECKING, 0, 0, 0, 0)}, phase: statev1.JobPhase_JOB_CHECKING},
		{name: "success", ranks: []*statev1.Rank{rank(0, exited, 0, 0, 1, 200), rank(1, exited, 0, 0, 2, 300)}, phase: statev1.JobPhase_JOB_SUCCEEDED, failed: -1},
		{name: "user exit, peer stopped", ranks: []*statev1.Rank{
			rank(0, killed, 0, 15, 1, 200), rank(1, exited, 7, 0, 2, 210),
		}, phase: statev1.JobPhase_JOB_FAILED_USER, code: 7, failed: 1, kind: statev1.FailureKind_USER},
		{name: "exit preferred to an earlier signal", ranks: []*statev1.Rank{
			rank(0, exited, 0, 6, 1, 200), rank(1, exited, 2, 0, 2, 900),
		}, phase: statev1.JobPhase_JOB_FAILED_USER, code: 2, failed: 1, kind: statev1.FailureKind_USER},
		{name: "signal decides when the exit comes much later", ranks: []*statev1.Rank{
			rank(0, exited, 0, 9, 1, 200), rank(1, exited, 2, 0, 2, 9000),
		}, phase: statev1.JobPhase_JOB_FAILED_USER, code: 137, failed: 0, kind: statev1.FailureKind_USER},
		{name: "first of two exits", ranks: []*statev1.Rank{
			rank(0, exited, 4, 0, 9, 220), rank(1, exited, 5, 0, 8, 230),
		}, phase: statev1.JobPhase_JOB_FAILED_USER, code: 5, failed: 1, kind: statev1.FailureKind_USER},
		{name: "setup fails", ranks: []*statev1.Rank{
			with(rank(0, exited, 3, 0, 1, 200), setup("exit 3")), rank(1, killed, 0, 15, 2, 210),
		}, phase: statev1.JobPhase_JOB_FAILED_SETUP, code: 100, failed: 0, kind: statev1.FailureKind_SETUP},
		{name: "setup-only node fails", ranks: []*statev1.Rank{
			rank(0, killed, 0, 15, 2, 210), with(rank(-1, exited, 1, 0, 1, 200), setup("signal 9")),
		}, phase: statev1.JobPhase_JOB_FAILED_SETUP, code: 100, failed: -1, kind: statev1.FailureKind_SETUP},
		{name: "lost machine explains its peers' exits", ranks: []*statev1.Rank{
			rank(0, exited, 1, 0, 1, 1000), rank(1, lost, 0, 0, 9, 900),
		}, phase: statev1.JobPhase_JOB_FAILED_INFRA, code: 104, failed: 1, kind: statev1.FailureKind_INFRA},
		{name: "machine lost long after the exit", ranks: []*statev1.Rank{
			rank(0, exited, 1, 0, 1, 1000), rank(1, lost, 0, 0, 9, 99000),
		}, phase: statev1.JobPhase_JOB_FAILED_USER, code: 1, failed: 0, kind: statev1.FailureKind_USER},
		{name: "agent ended it as infrastructure", ranks: []*statev1.Rank{
			with(rank(0, killed, 0, 15, 1, 200), why(statev1.FailureKind_INFRA)),
		}, phase: statev1.JobPhase_JOB_FAILED_INFRA, code: 104, failed: 0, kind: statev1.FailureKind_INFRA},
		{name: "budget", ranks: []*statev1.Rank{
			with(rank(0, killed, 0, 15, 1, 200), why(statev1.FailureKind_TIMEOUT)), rank(1, killed, 0, 15, 2, 200),
		}, phase: statev1.JobPhase_JOB_TIMED_OUT, code: 105, failed: 0, kind: statev1.FailureKind_TIMEOUT},
		{name: "cancel", job: &statev1.Job{Desired: "cancel", CancelMs: 150}, ranks: []*statev1.Rank{
			rank(0, killed, 0, 15, 1, 200), rank(1, exited, 143, 0, 2, 200),
		}, phase: statev1.JobPhase_JOB_CANCELLED, code: 103, failed: -1, kind: statev1.FailureKind_CANCELLED},
		{name: "cancel of a lost machine", job: &statev1.Job{Desired: "cancel", CancelMs: 150}, ranks: []*statev1.Rank{
			rank(0, killed, 0, 15, 1, 200), rank(1, lost, 0, 0, 2, 200),
		}, phase: statev1.JobPhase_JOB_CANCELLED, code: 103, failed: -1, kind: statev1.FailureKind_CANCELLED},
		{name: "cancel, one done, the other lost", job: &statev1.Job{Desired: "cancel", CancelMs: 150}, ranks: []*statev1.Rank{
			rank(0, exited, 0, 0, 1, 200), rank(1, lost, 0, 0, 2, 200),
		}, phase: statev1.JobPhase_JOB_CANCELLED, code: 103, failed: -1, kind: statev1.FailureKind_CANCELLED},
		{name: "cancel comes too late", job: &statev1.Job{Desired: "cancel", CancelMs: 500}, ranks: []*statev1.Rank{
			rank(0, exited, 0, 0, 1, 200),
		}, phase: statev1.JobPhase_JOB_SUCCEEDED, failed: -1},
		{name: "failed before the cancel", job: &statev1.Job{Desired: "cancel", CancelMs: 500}, ranks: []*statev1.Rank{
			rank(0, exited, 9, 0, 1, 200), rank(1, killed, 0, 15, 2, 600),
		}, phase: statev1.JobPhase_JOB_FAILED_USER, code: 9, failed: 0, kind: statev1.FailureKind_USER},
		{name: "suite fails", job: &statev1.Job{Suites: []*statev1.SuiteResult{{Name: "a", Verdict: "fail"}}}, ranks: []*statev1.Rank{
			rank(0, exited, 0, 0, 1, 200),
		}, phase: statev1.JobPhase_JOB_FAILED_CHECKS, code: 106, failed: -1, kind: statev1.FailureKind_CHECKS},
		{name: "suite fails, never minded", job: &statev1.Job{
			Task:   &statev1.TaskSpec{Suites: []*statev1.Suite{{Name: "a", FailOn: "never"}}},
			Suites: []*statev1.SuiteResult{{Name: "a", Verdict: "fail"}},
		}, ranks: []*statev1.Rank{rank(0, exited, 0, 0, 1, 200)}, phase: statev1.JobPhase_JOB_SUCCEEDED, failed: -1},
		{name: "suite warns, minded", job: &statev1.Job{
			Task:   &statev1.TaskSpec{Suites: []*statev1.Suite{{Name: "a", FailOn: "warn"}}},
			Suites: []*statev1.SuiteResult{{Name: "a", Verdict: "warn"}},
		}, ranks: []*statev1.Rank{rank(0, exited, 0, 0, 1, 200)}, phase: statev1.JobPhase_JOB_FAILED_CHECKS, code: 106, failed: -1, kind: statev1.FailureKind_CHECKS},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			j := x.job
			if j == nil {
				j = &statev1.Job{}
			}
			j.Phase, j.Ranks, j.ClusterName, j.Number = statev1.JobPhase_JOB_PLACED, x.ranks, "c", 1
			state.FoldJob(j)
			if j.Phase != x.phase || j.ExitCode != x.code || j.FailedRank != x.failed || j.GetFailure().GetKind() != x.kind {
				t.Fatalf("got %v code %d rank %d failure %v", j.Phase, j.ExitCode, j.FailedRank, j.Failure)
			}
			if state.JobEnded(j.Phase) && x.kind != 0 && j.Failure.Message == "" && x.kind != statev1.FailureKind_CHECKS {
				t.Fatal("failure without a sentence")
			}
			if state.FoldJob(j) {
				t.Fatal("folding again changed the phase")
			}
		})
	}
}

func TestCloseJob(t *testing.T) {
	t.Parallel()
	j := &statev1.Job{Phase: statev1.JobPhase_JOB_QUEUED}
	if !state.CloseJob(j, &statev1.Failure{Kind: statev1.FailureKind_CAPACITY, AtMs: 7}) {
		t.Fatal("not closed")
	}
	if j.Phase != statev1.JobPhase_JOB_FAILED_INFRA || j.ExitCode != state.ExitInfra || j.EndedMs != 7 {
		t.Fatalf("got %v", j)
	}
	if state.CloseJob(j, &statev1.Failure{Kind: statev1.FailureKind_CANCELLED}) {
		t.Fatal("closed twice")
	}
}
