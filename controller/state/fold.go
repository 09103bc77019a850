package state

import (
	"fmt"
	"strings"

	statev1 "aloft/proto/sky/state/v1"
)

// Exit codes of a job that its own command did not decide; the CLI's table of exit codes documents them.
const (
	ExitSetup     = 100
	ExitCancelled = 103
	ExitInfra     = 104
	ExitTimeout   = 105
	ExitChecks    = 106
)

// causeWindowMs is how close together two failures must be for the better cause to win over the first one.
const causeWindowMs = 2000

// FoldJob derives a job's summary from its ranks and writes it into job: phase, exit code, failed rank, failure, start
// and end. It is idempotent, a finished job is left alone, and phases only grow. It reports whether the phase changed.
//
// A job ends when every rank has its verdict. The first failure received decides, except that within two seconds an
// ordinary exit is a better cause than a signal, and a lost machine a better one than what its peers died of. Ranks
// stopped by us decide nothing unless the agent says why it stopped them (timeout, infrastructure).
func FoldJob(job *statev1.Job) bool {
	if JobEnded(job.GetPhase()) || len(job.GetRanks()) == 0 {
		return false
	}
	old := job.Phase
	done := true
	for _, r := range job.Ranks {
		done = done && RankEnded(r.GetPhase())
		if s := r.GetStartedMs(); s > 0 && (job.StartedMs == 0 || s < job.StartedMs) {
			job.StartedMs = s
		}
	}
	if !done {
		if p := progress(job); p > job.Phase {
			job.Phase = p
		}
		return job.Phase != old
	}
	for _, r := range job.Ranks {
		job.EndedMs = max(job.EndedMs, r.GetEndedMs())
	}
	verdict(job)
	return true
}

// CloseJob ends a job that no rank can end any more (never placed, or its machines are gone) with failure f.
func CloseJob(job *statev1.Job, f *statev1.Failure) bool {
	if JobEnded(job.GetPhase()) {
		return false
	}
	job.FailedRank = -1
	job.EndedMs = max(job.EndedMs, f.GetAtMs())
	settle(job, f)
	return true
}

// progress is the phase of a job that has ranks without a verdict.
func progress(job *statev1.Job) statev1.JobPhase {
	p := statev1.JobPhase_JOB_PLACED
	for _, r := range job.Ranks {
		q := statev1.JobPhase_JOB_PLACED
		switch r.GetPhase() {
		case statev1.RankPhase_RANK_PREPARING:
			q = statev1.JobPhase_JOB_STAGING
		case statev1.RankPhase_RANK_SETUP, statev1.RankPhase_RANK_READY:
			q = statev1.JobPhase_JOB_SETUP
		case statev1.RankPhase_RANK_RUNNING:
			q = statev1.JobPhase_JOB_RUNNING
		case statev1.RankPhase_RANK_CHECKING:
			q = statev1.JobPhase_JOB_CHECKING
		case statev1.RankPhase_RANK_EXITED:
			// A node that only runs setup says nothing about the run when it is through.
			q = statev1.JobPhase_JOB_RUNNING
			if r.GetRank() < 0 || setupFailed(r) {
				q = statev1.JobPhase_JOB_SETUP
			}
		}
		p = max(p, q)
	}
	return p
}

// verdict writes the outcome of a job whose ranks all have theirs.
func verdict(job *statev1.Job) {
	job.FailedRank = -1
	if cause := cause(job); cause != nil {
		job.FailedRank = cause.GetRank()
		f := failureOf(job, cause)
		settle(job, f)
		if f.Kind == statev1.FailureKind_USER {
			job.ExitCode = exitOf(cause)
		}
		return
	}
	for _, r := range job.Ranks {
		if r.GetPhase() == statev1.RankPhase_RANK_KILLED || r.GetPhase() == statev1.RankPhase_RANK_LOST {
			f := &statev1.Failure{
				Kind: statev1.FailureKind_CANCELLED, Scope: "job", Code: "cancelled", AtMs: job.EndedMs,
				Message: "The job was cancelled.",
			}
			if job.Desired != "cancel" && !strings.HasPrefix(r.GetReason(), "cancel") {
				f.Kind, f.Code = statev1.FailureKind_INFRA, "stopped"
				f.Message = "The job was stopped on its nodes: " + orUnknown(r.GetReason()) + "."
			}
			settle(job, f)
			return
		}
	}
	if f := checksFailure(job); f != nil {
		settle(job, f)
		return
	}
	job.Phase, job.ExitCode, job.Failure = statev1.JobPhase_JOB_SUCCEEDED, 0, nil
}

// settle writes phase, exit code and failure of a job that failed with f.
func settle(job *statev1.Job, f *statev1.Failure) {
	job.Failure = f
	switch f.GetKind() {
	case statev1.FailureKind_USER:
		job.Phase, job.ExitCode = statev1.JobPhase_JOB_FAILED_USER, 1
	case statev1.FailureKind_SETUP:
		job.Phase, job.ExitCode = statev1.JobPhase_JOB_FAILED_SETUP, ExitSetup
	case statev1.FailureKind_CANCELLED:
		job.Phase, job.ExitCode = statev1.JobPhase_JOB_CANCELLED, ExitCancelled
	case statev1.FailureKind_TIMEOUT:
		job.Phase, job.ExitCode = statev1.JobPhase_JOB_TIMED_OUT, ExitTimeout
	case statev1.FailureKind_CHECKS:
		job.Phase, job.ExitCode = statev1.JobPhase_JOB_FAILED_CHECKS, ExitChecks
	default:
		job.Phase, job.ExitCode = statev1.JobPhase_JOB_FAILED_INFRA, ExitInfra
	}
}

// cause finds the rank that decided a failure; nil when none failed on its own.
func cause(job *statev1.Job) *statev1.Rank {
	var first *statev1.Rank
	for _, r := range job.Ranks {
		if !failed(job, r) {
			continue
		}
		if first == nil || r.GetReceived() < first.GetReceived() {
			first = r
		}
	}
	if first == nil {
		return nil
	}
	best := first
	for _, r := range job.Ranks {
		if !failed(job, r) || r == best {
			continue
		}
		near := r.GetEndedMs() <= first.GetEndedMs()+causeWindowMs
		if near && (better(r) > better(best) || better(r) == better(best) && r.GetReceived() < best.GetReceived()) {
			best = r
		}
	}
	return best
}

// failed reports whether r failed of itself, or was stopped by its agent for a reason that is the job's outcome.
func failed(job *statev1.Job, r *statev1.Rank) bool {
	cancelled := job.GetDesired() == "cancel" && job.GetCancelMs() > 0 && r.GetEndedMs() >= job.GetCancelMs()
	switch r.GetPhase() {
	case statev1.RankPhase_RANK_LOST:
		return job.GetDesired() != "cancel"
	case statev1.RankPhase_RANK_KILLED:
		switch r.GetFailure().GetKind() {
		case statev1.FailureKind_TIMEOUT, statev1.FailureKind_INFRA, statev1.FailureKind_SETUP:
			return !cancelled
		}
		return false
	case statev1.RankPhase_RANK_EXITED:
		bad := r.GetExitCode() != 0 || r.GetSignal() != 0 || setupFailed(r) || r.GetFailure() != nil
		return bad && !cancelled && r.GetFailure().GetKind() != statev1.FailureKind_CHECKS
	}
	return false
}

// better ranks causes: a lost machine explains what its peers died of, an ordinary exit says more than a signal.
func better(r *statev1.Rank) int {
	switch {
	case r.GetPhase() == statev1.RankPhase_RANK_LOST:
		return 4
	case r.GetFailure().GetKind() == statev1.FailureKind_TIMEOUT:
		return 3
	case r.GetPhase() == statev1.RankPhase_RANK_EXITED && r.GetSignal() == 0:
		return 2
	case r.GetPhase() == statev1.RankPhase_RANK_EXITED:
		return 1
	}
	return 0
}

// failureOf says in one sentence how r failed.
func failureOf(job *statev1.Job, r *statev1.Rank) *statev1.Failure {
	f := &statev1.Failure{Scope: "job", AtMs: r.GetEndedMs()}
	if own := r.GetFailure(); own != nil && own.GetKind() != statev1.FailureKind_FAILURE_KIND_UNSPECIFIED {
		f.Kind, f.Code, f.Message, f.Hint, f.Evidence = own.GetKind(), own.GetCode(), own.GetMessage(), own.GetHint(), own.GetEvidence()
		if own.GetScope() != "" {
			f.Scope = own.GetScope()
		}
		if own.GetAtMs() > 0 {
			f.AtMs = own.GetAtMs()
		}
	}
	where := fmt.Sprintf("rank %d", r.GetRank())
	if r.GetRank() < 0 {
		where = fmt.Sprintf("node %d", r.GetSlot())
	}
	var msg string
	switch {
	case setupFailed(r):
		f.Kind, f.Code = statev1.FailureKind_SETUP, orElse(f.Code, "setup")
		msg = fmt.Sprintf("Setup failed on node %d with %s.", r.GetSlot(), r.GetSetupVerdict())
	case r.GetPhase() == statev1.RankPhase_RANK_LOST:
		f.Kind, f.Code = statev1.FailureKind_INFRA, orElse(f.Code, "lost")
		f.Scope = "node"
		msg = fmt.Sprintf("The machine of %s was lost: %s.", where, strings.TrimSuffix(orUnknown(r.GetReason()), "."))
	case f.Kind == statev1.FailureKind_FAILURE_KIND_UNSPECIFIED && r.GetSignal() != 0:
		f.Kind, f.Code = statev1.FailureKind_USER, fmt.Sprintf("signal %d", r.GetSignal())
		msg = fmt.Sprintf("The command of %s was killed by signal %d.", where, r.GetSignal())
	case f.Kind == statev1.FailureKind_FAILURE_KIND_UNSPECIFIED:
		f.Kind, f.Code = statev1.FailureKind_USER, fmt.Sprintf("exit %d", r.GetExitCode())
		msg = fmt.Sprintf("The command of %s exited with code %d.", where, r.GetExitCode())
	default:
		msg = fmt.Sprintf("%s ended: %s.", where, orUnknown(r.GetReason()))
	}
	f.Message = orElse(f.Message, msg)
	if f.Hint == "" && job.GetClusterName() != "" {
		f.Hint = fmt.Sprintf("sky logs %s %d", job.GetClusterName(), job.GetNumber())
	}
	return f
}

// checksFailure is the failure of a job whose run succeeded and whose suites did not; nil when they are content.
func checksFailure(job *statev1.Job) *statev1.Failure {
	for _, r := range job.Ranks {
		if f := r.GetFailure(); f.GetKind() == statev1.FailureKind_CHECKS {
			return f
		}
	}
	limit := map[string]string{}
	for _, s := range job.GetTask().GetSuites() {
		limit[s.GetName()] = s.GetFailOn()
	}
	for _, s := range job.GetSuites() {
		bad := s.GetVerdict() == "fail" || s.GetVerdict() == "error"
		switch limit[s.GetName()] {
		case "never":
			bad = false
		case "warn":
			bad = bad || s.GetVerdict() == "warn"
		}
		if bad {
			return &statev1.Failure{
				Kind: statev1.FailureKind_CHECKS, Scope: "job", Code: s.GetVerdict(), AtMs: job.EndedMs,
				Message: fmt.Sprintf("Suite %q: %d conditions failed, %d checks errored, %d passed.",
					s.GetName(), s.GetFailed(), s.GetErrored(), s.GetPassed()),
			}
		}
	}
	return nil
}

func setupFailed(r *statev1.Rank) bool {
	return r.GetSetupVerdict() != "" && r.GetSetupVerdict() != "ok"
}

func exitOf(r *statev1.Rank) int32 {
	if r.GetSignal() != 0 {
		return 128 + r.GetSignal()
	}
	if r.GetExitCode() == 0 {
		return 1
	}
	return r.GetExitCode()
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

func orUnknown(s string) string { return orElse(s, "no reason known") }
