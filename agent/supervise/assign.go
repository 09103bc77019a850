package supervise

import (
	"context"
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"aloft/agent/supervise/journal"
	agentv1 "aloft/proto/sky/agent/v1"
	statev1 "aloft/proto/sky/state/v1"
)

// Apply makes a set of assignments the desired state. What it answers is durable: the id of the set that is applied now,
// and whether that is this one. It is not when a DELTA does not extend what is here, and when the set is of a controller
// whose epoch was superseded.
//
// A job that a FULL set does not name any more is stopped when it has no verdict, and forgotten otherwise, once its
// statuses are acknowledged.
func (s *Supervisor) Apply(ctx context.Context, set *agentv1.AssignmentSet) (applied string, ok bool, err error) {
	s.mu.Lock()
	if set.GetEpoch() < s.identity.GetMaxEpoch() || !set.GetFull() && set.GetAppliesTo() != s.applied {
		defer s.mu.Unlock()
		return s.applied, false, nil
	}
	var fresh []*job
	for _, a := range set.GetItems() {
		j, isNew, err := s.accept(a)
		if err != nil {
			s.mu.Unlock()
			return "", false, err
		}
		if isNew {
			fresh = append(fresh, j)
		}
	}
	if set.GetFull() {
		s.withdraw(set)
	}
	s.applied = set.GetSetId()
	pos := s.record(&agentv1.JournalRecord{Record: &agentv1.JournalRecord_Applied{
		Applied: &agentv1.AppliedRecord{SetId: s.applied}}})
	s.mu.Unlock()
	// Nothing of a job may begin before the job is durable: its processes would be nobody's after a crash.
	if err := s.journal.Wait(ctx, pos); err != nil {
		return "", false, fmt.Errorf("make assignments durable: %w", err)
	}
	s.begin(fresh)
	s.Forget(set.GetForget()...)
	return set.GetSetId(), true, nil
}

// accept takes up one assignment; the caller holds the lock.
func (s *Supervisor) accept(a *agentv1.Assignment) (*job, bool, error) {
	key := Key(a.GetJobId(), a.GetAttempt())
	j := s.jobs[key]
	if j != nil && j.ended {
		return j, false, nil
	}
	sealed, err := s.o.Vault.Seal(a.GetSecrets())
	if err != nil {
		return nil, false, fmt.Errorf("keep the secrets of job %d: %w", a.GetNumber(), err)
	}
	clean := proto.CloneOf(a)
	clean.Secrets = nil
	isNew := j == nil
	if isNew {
		j = &job{key: key, phase: statev1.RankPhase_RANK_ASSIGNED, fresh: true}
		s.know(a.GetJobId(), j)
	}
	if isNew || !proto.Equal(clean, j.a) {
		j.a, j.sealed = clean, sealed
		s.record(&agentv1.JournalRecord{Record: &agentv1.JournalRecord_Assigned{
			Assigned: &agentv1.AssignedRecord{Assignment: clean, Sealed: sealed}}})
		if !isNew && !j.fresh {
			s.enterGang(j) // its peers may have new addresses
		}
	}
	if a.GetStop() {
		s.stopJob(j, &agentv1.StopCause{Reason: a.GetStopReason(), GraceMs: a.GetGraceMs(), AtMs: nowMS()})
	}
	return j, isNew, nil
}

// begin queues jobs that have become durable.
func (s *Supervisor) begin(fresh []*job) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, j := range fresh {
		j.fresh = false
		if s.ctx != nil && !j.ended {
			s.open++
			s.take(j)
		}
	}
	s.admit()
	s.kickPolicy()
}

// take brings a job without a verdict, none of whose processes was ever started, into the queue; the caller holds the lock.
func (s *Supervisor) take(j *job) {
	if j.phase < statev1.RankPhase_RANK_ACCEPTED {
		s.emit(j, phaseStatus(statev1.RankPhase_RANK_ACCEPTED))
	}
	s.enterGang(j)
	if j.stop != nil {
		s.closeQueued(j)
		return
	}
	s.o.Files.Prefetch(j.a)
	s.enqueue(j)
}

// withdraw ends what a FULL set does not name; the caller holds the lock.
func (s *Supervisor) withdraw(set *agentv1.AssignmentSet) {
	named := make(map[string]bool, len(set.GetItems()))
	for _, a := range set.GetItems() {
		named[Key(a.GetJobId(), a.GetAttempt())] = true
	}
	for key, j := range s.jobs {
		switch {
		case named[key]:
		case !j.ended:
			s.stopJob(j, &agentv1.StopCause{Reason: "withdrawn by the controller", AtMs: nowMS()})
		case j.seq <= s.outbox.acked && !s.policy.GetKeepEvidence():
			s.drop(j)
		}
	}
}

// Forget drops the evidence of jobs that have their verdict: it is safe at the controller. A node whose clusters are handed
// from home to home keeps it.
func (s *Supervisor) Forget(jobIDs ...string) {
	if len(jobIDs) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.policy.GetKeepEvidence() {
		return
	}
	for _, id := range jobIDs {
		for _, j := range slices.Clone(s.attempts[id]) {
			if j.ended {
				s.drop(j)
			}
		}
	}
}

// know adds a job to what is known; the caller holds the lock.
func (s *Supervisor) know(jobID string, j *job) {
	s.jobs[j.key] = j
	s.attempts[jobID] = append(s.attempts[jobID], j)
}

// unknow is the opposite of know.
func (s *Supervisor) unknow(j *job) {
	id := j.a.GetJobId()
	delete(s.jobs, j.key)
	s.attempts[id] = slices.DeleteFunc(s.attempts[id], func(k *job) bool { return k == j })
	if len(s.attempts[id]) == 0 {
		delete(s.attempts, id)
	}
}

// drop forgets a job; the caller holds the lock.
func (s *Supervisor) drop(j *job) {
	s.unknow(j)
	s.record(&agentv1.JournalRecord{Record: &agentv1.JournalRecord_Forgotten{Forgotten: j.key}})
	if j.part != nil {
		j.part.Leave()
	}
	a, last := j.a, len(s.attempts[j.a.GetJobId()]) == 0
	s.flows.Go(func() {
		s.o.Files.Forget(a, s.jobDir(a))
		s.forgetAll(a)
		s.o.Forgotten(a.GetJobId(), a.GetAttempt(), last)
	})
}

// stopJob makes j end before its time, once; the caller holds the lock.
func (s *Supervisor) stopJob(j *job, cause *agentv1.StopCause) {
	if j.ended || j.stop != nil {
		return
	}
	j.stop = cause
	s.record(&agentv1.JournalRecord{Record: &agentv1.JournalRecord_Stop{
		Stop: &agentv1.StopRecord{Key: j.key, Cause: cause}}})
	switch {
	case j.cancel != nil:
		j.cancel(&stopError{cause: cause})
	case s.queue.Has(j.key):
		s.closeQueued(j)
		s.admit()
	}
}

// Stop makes a job end because of what happened elsewhere.
func (s *Supervisor) Stop(key string, cause *agentv1.StopCause) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if j := s.jobs[key]; j != nil {
		s.stopJob(j, cause)
	}
}

// SetPolicy changes what is enforced on the node.
func (s *Supervisor) SetPolicy(ctx context.Context, p *agentv1.NodePolicy) error {
	s.mu.Lock()
	if proto.Equal(p, s.policy) {
		s.mu.Unlock()
		return nil
	}
	s.policy = p
	s.told, s.lease = time.Time{}, time.Time{}
	if p.GetSentMs() > 0 {
		s.told = time.Now()
		if p.GetDeadlineMs() > 0 {
			s.lease = s.onOwnClock(p.GetDeadlineMs())
		}
	}
	pos := s.record(&agentv1.JournalRecord{Record: &agentv1.JournalRecord_Policy{Policy: p}})
	s.mu.Unlock()
	s.o.Gang.Cluster(p)
	s.kickPolicy()
	return s.journal.Wait(ctx, pos)
}

// durable waits until everything recorded so far is durable.
func (s *Supervisor) durable(ctx context.Context, pos journal.Pos) error {
	if err := s.journal.Wait(ctx, pos); err != nil {
		return fmt.Errorf("make it durable: %w", err)
	}
	return nil
}
