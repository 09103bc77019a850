package supervise

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"aloft/agent/supervise/queue"
	agentv1 "aloft/proto/sky/agent/v1"
	statev1 "aloft/proto/sky/state/v1"
)

const (
	// defaultCPUs is what a rank takes of the queue's CPUs unless its task asks for more: two jobs per CPU.
	defaultCPUs = 0.5
	// whyAfter is how long a job must be first in line before it says why it waits.
	whyAfter = 500 * time.Millisecond
)

// demand is what a rank takes while it is here. A node that only runs setup takes nothing.
func demand(a *agentv1.Assignment) queue.Demand {
	if a.GetRank() < 0 {
		return queue.Demand{}
	}
	d := queue.Demand{CPUs: a.GetTask().GetCpusPerRank(), GPUs: a.GetTask().GetGpusPerRank()}
	if d.CPUs <= 0 {
		d.CPUs = defaultCPUs
	}
	return d
}

// enqueue puts j in the queue; the caller holds the lock.
func (s *Supervisor) enqueue(j *job) {
	err := s.queue.Add(j.key, queue.Order{Number: j.a.GetNumber(), Attempt: j.a.GetAttempt()}, demand(j.a))
	if err != nil {
		s.conclude(j, &agentv1.Status{Phase: statev1.RankPhase_RANK_KILLED, Reason: err.Error(),
			Failure: failure(statev1.FailureKind_INFRA, "RESOURCES", "the node cannot run this job: "+err.Error())})
	}
}

// closeQueued gives a verdict to a job that never started; the caller holds the lock.
func (s *Supervisor) closeQueued(j *job) {
	s.conclude(j, &agentv1.Status{Phase: statev1.RankPhase_RANK_KILLED, Reason: j.stop.GetReason(), Failure: j.stop.GetFailure()})
}

// admit starts every job that may start; the caller holds the lock.
func (s *Supervisor) admit() {
	if s.ctx == nil || s.ctx.Err() != nil {
		return
	}
	started, blocked := s.queue.Admit()
	for _, ad := range started {
		j := s.jobs[ad.ID]
		j.grant, j.admitted = ad.Grant, true
		if len(ad.Grant.Devices) > 0 {
			// Which devices a rank holds is nowhere else; plain CPUs follow from the demand.
			s.record(&agentv1.JournalRecord{Record: &agentv1.JournalRecord_Grant{Grant: grantRecord(j)}})
		}
		s.start(j)
	}
	clear(s.why)
	for _, b := range blocked {
		s.why[b.ID] = b.Why
	}
	if len(s.why) > 0 && s.whyTimer == nil {
		s.whyTimer = time.AfterFunc(whyAfter, s.sayWhy)
	}
}

// sayWhy reports why the first jobs of the queue wait. Jobs that are first only for a moment say nothing.
func (s *Supervisor) sayWhy() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.whyTimer = nil
	if s.ctx.Err() != nil {
		return
	}
	for key, why := range s.why {
		j := s.jobs[key]
		if j == nil || j.ended || j.admitted || j.waiting == why {
			continue
		}
		st := phaseStatus(statev1.RankPhase_RANK_ACCEPTED)
		st.Waiting = why
		s.emit(j, st)
	}
}

// start begins the flow of an admitted job; the caller holds the lock.
func (s *Supervisor) start(j *job) {
	ctx, cancel := context.WithCancelCause(s.ctx)
	j.cancel = cancel
	s.running[j.key] = j
	if j.stop != nil {
		cancel(&stopError{cause: j.stop})
	}
	f := &flow{s: s, j: j, a: j.a, sealed: j.sealed, dir: s.jobDir(j.a), part: j.part, grant: j.grant, setup: j.setup}
	s.flows.Go(func() {
		defer cancel(nil)
		st := f.run(ctx)
		if st == nil {
			return // the agent is ending; the processes go on
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.conclude(j, st)
		s.admit()
	})
}

// conclude gives j its verdict; the caller holds the lock.
func (s *Supervisor) conclude(j *job, st *agentv1.Status) {
	if j.ended {
		return
	}
	j.ended, j.streams, j.report, j.last = true, st.GetStreams(), reportOf(j.a, st), s.kept(st)
	j.cancel = nil
	j.a, j.sealed = stub(j.a), nil
	delete(s.running, j.key)
	s.queue.Remove(j.key)
	s.open--
	s.busyMS = nowMS()
	s.worked = s.busyMS
	s.emit(j, st)
	s.done = append(s.done, j.a)
	kick(s.doneKick)
	if s.open == 0 {
		s.kickPolicy()
	}
	s.tellGang(j)
}

// jobDir is where everything of a job's attempt lies.
func (s *Supervisor) jobDir(a *agentv1.Assignment) string {
	return filepath.Join(s.o.StateDir, "jobs", fmt.Sprintf("%d-%d", a.GetNumber(), a.GetAttempt()))
}

// enterGang takes up the node's part in a job of several nodes; the caller holds the lock.
func (s *Supervisor) enterGang(j *job) {
	if len(j.a.GetPeers()) < 2 {
		return
	}
	key, port := j.key, int32(-1)
	if j.released {
		port = j.port
	}
	j.part = s.o.Gang.Enter(j.a, port, func(c *agentv1.StopCause) { s.Stop(key, c) })
}

// tellGang tells the other nodes how j ended here; the caller holds the lock.
func (s *Supervisor) tellGang(j *job) {
	if j.part != nil && j.report != nil {
		j.part.Ended(j.report)
	}
}

// reportOf says to the other nodes of a job how this part ended.
func reportOf(a *agentv1.Assignment, st *agentv1.Status) *agentv1.MemberReport {
	r := &agentv1.MemberReport{
		JobId: a.GetJobId(), Attempt: a.GetAttempt(), Slot: a.GetSlot(), Rank: a.GetRank(),
		State: agentv1.MemberState_MEMBER_ENDED, ExitCode: st.GetExitCode(), Signal: st.GetSignal(), Failure: st.GetFailure(),
		SetupOnly: a.GetRank() < 0 && st.GetSetupVerdict() == verdictOK,
	}
	if r.Failure != nil {
		return r
	}
	who := fmt.Sprintf("rank %d", a.GetRank())
	switch {
	case st.GetPhase() == statev1.RankPhase_RANK_KILLED:
		r.Failure = failure(statev1.FailureKind_CANCELLED, "STOPPED", st.GetReason())
	case st.GetPhase() == statev1.RankPhase_RANK_LOST:
		r.Failure = failure(statev1.FailureKind_INFRA, "LOST", who+" was lost: "+st.GetReason())
	case st.GetSignal() != 0:
		r.Failure = failure(statev1.FailureKind_USER, "SIGNAL", fmt.Sprintf("%s was ended by signal %d", who, st.GetSignal()))
	case st.GetExitCode() != 0:
		r.Failure = failure(statev1.FailureKind_USER, "EXIT", fmt.Sprintf("%s failed with exit code %d", who, st.GetExitCode()))
	}
	return r
}

func failure(kind statev1.FailureKind, code, message string) *statev1.Failure {
	return &statev1.Failure{Kind: kind, Scope: "job", Code: code, Message: message, AtMs: nowMS()}
}

// released writes down that a gang may run before anybody is told, so that a restarted rank 0 says the same again.
func (s *Supervisor) released(ctx context.Context, key string, port int32) error {
	s.mu.Lock()
	j := s.jobs[key]
	if j == nil || j.ended {
		s.mu.Unlock()
		return errors.New("the job has ended")
	}
	if j.released {
		s.mu.Unlock()
		return nil
	}
	j.released, j.port = true, port
	pos := s.record(&agentv1.JournalRecord{Record: &agentv1.JournalRecord_Release{
		Release: &agentv1.ReleaseRecord{Key: key, MasterPort: port}}})
	s.mu.Unlock()
	return s.durable(ctx, pos)
}

// Released is what the gang calls before it releases the ranks of a job whose rank 0 is here.
func (s *Supervisor) Released(ctx context.Context, key string, port int32) error {
	return s.released(ctx, key, port)
}

// forgetProcesses frees the verdicts that shims keep, once the jobs' own verdicts are durable here.
func (s *Supervisor) forgetProcesses(ctx context.Context) {
	for {
		select {
		case <-s.doneKick:
		case <-ctx.Done():
			return
		}
		s.mu.Lock()
		done, pos := s.done, s.journal.Pos()
		s.done = nil
		s.mu.Unlock()
		if s.journal.Wait(ctx, pos) != nil {
			return // the next life forgets them
		}
		for _, a := range done {
			s.forgetAll(a)
		}
	}
}

func (s *Supervisor) forgetAll(a *agentv1.Assignment) {
	for _, name := range []string{streamSetup, streamRun, streamCheck} {
		id := processID(a, name)
		if !s.o.Processes.Known(id) {
			continue
		}
		if err := s.o.Processes.Forget(id); err != nil {
			s.o.Log.Warn("forget a process", "id", id, "err", err)
		}
	}
}
