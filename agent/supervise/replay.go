package supervise

import (
	"cmp"
	"iter"
	"slices"

	"aloft/agent/supervise/queue"
	agentv1 "aloft/proto/sky/agent/v1"
	statev1 "aloft/proto/sky/state/v1"
)

// replay applies one record of the journal. Records of jobs that are not known any more mean nothing.
func (s *Supervisor) replay(r *agentv1.JournalRecord) error {
	switch rec := r.GetRecord().(type) {
	case *agentv1.JournalRecord_Identity:
		s.identity = rec.Identity
	case *agentv1.JournalRecord_Assigned:
		a := rec.Assigned.GetAssignment()
		key := Key(a.GetJobId(), a.GetAttempt())
		j := s.jobs[key]
		if j == nil {
			j = &job{key: key}
			s.know(a.GetJobId(), j)
		}
		if !j.ended {
			j.a, j.sealed = a, rec.Assigned.GetSealed()
		}
	case *agentv1.JournalRecord_Applied:
		s.applied = rec.Applied.GetSetId()
	case *agentv1.JournalRecord_Status:
		s.replayStatus(rec.Status)
	case *agentv1.JournalRecord_StatusAcked:
		s.outbox.ack(rec.StatusAcked)
	case *agentv1.JournalRecord_StatusMade:
		s.outbox.made, s.outbox.acked, s.outbox.items = rec.StatusMade, rec.StatusMade, nil
	case *agentv1.JournalRecord_Forgotten:
		if j := s.jobs[rec.Forgotten]; j != nil {
			s.unknow(j)
		}
	case *agentv1.JournalRecord_Policy:
		s.policy = rec.Policy
	case *agentv1.JournalRecord_Grant:
		if j := s.jobs[rec.Grant.GetKey()]; j != nil {
			j.admitted, j.grant = rec.Grant.GetMilliCpus() >= 0, grantOf(rec.Grant)
			j.started = cmp.Or(j.started, rec.Grant.GetStartedMs())
		}
	case *agentv1.JournalRecord_Release:
		if j := s.jobs[rec.Release.GetKey()]; j != nil {
			j.released, j.port = true, rec.Release.GetMasterPort()
		}
	case *agentv1.JournalRecord_Stop:
		if j := s.jobs[rec.Stop.GetKey()]; j != nil {
			j.stop = rec.Stop.GetCause()
		}
	case *agentv1.JournalRecord_Ended:
		if j := s.jobs[rec.Ended.GetKey()]; j != nil {
			j.ended, j.streams, j.report, j.last = true, rec.Ended.GetStreams(), rec.Ended.GetReport(), rec.Ended.GetStatus()
		}
	}
	return nil
}

func (s *Supervisor) replayStatus(st *agentv1.Status) {
	if st.GetSeq() == s.outbox.made+1 {
		s.outbox.made = st.GetSeq()
		s.outbox.items = append(s.outbox.items, item{status: st})
	}
	j := s.jobs[Key(st.GetJobId(), st.GetAttempt())]
	if j == nil {
		return
	}
	j.phase, j.setup, j.seq = st.GetPhase(), st.GetSetupVerdict(), max(j.seq, st.GetSeq())
	if j.started == 0 && (j.phase == statev1.RankPhase_RANK_SETUP || j.phase == statev1.RankPhase_RANK_RUNNING) {
		j.started = st.GetAtMs()
	}
	if ended(j.phase) {
		j.ended, j.streams, j.report, j.last = true, st.GetStreams(), reportOf(j.a, st), s.kept(st)
		j.a, j.sealed = stub(j.a), nil
	}
}

// resume takes up the jobs that have no verdict. The caller holds the lock.
func (s *Supervisor) resume() {
	// A start of the agent restarts the idle timer: the node may have been stopped and started in between.
	s.busyMS = nowMS()
	all := make([]*job, 0, len(s.jobs))
	for _, j := range s.jobs {
		all = append(all, j)
	}
	slices.SortFunc(all, byNumber)
	for _, j := range all {
		if j.ended {
			s.enterGang(j)
			s.tellGang(j)
			s.done = append(s.done, j.a)
			continue
		}
		if j.fresh {
			continue // whoever made it durable begins it
		}
		s.open++
		if !s.begun(j) {
			s.take(j)
			continue
		}
		// Its processes are there: it holds what it was granted, whatever else waits.
		s.enterGang(j)
		if !j.admitted {
			j.grant = queue.Grant{MilliCPUs: int64(demand(j.a).CPUs * 1000)}
		}
		s.queue.Hold(j.key, j.grant)
		s.start(j)
	}
	s.admit()
	kick(s.doneKick)
	s.kickPolicy()
}

// begun reports whether a process of j was ever started.
func (s *Supervisor) begun(j *job) bool {
	return s.o.Processes.Known(processID(j.a, streamSetup)) || s.o.Processes.Known(processID(j.a, streamRun)) ||
		s.o.Processes.Known(processID(j.a, streamCheck))
}

// snapshot is the state as records, for a compaction. The caller holds the lock until it was read to its end.
func (s *Supervisor) snapshot() iter.Seq[*agentv1.JournalRecord] {
	return func(yield func(*agentv1.JournalRecord) bool) {
		ok := yield(&agentv1.JournalRecord{Record: &agentv1.JournalRecord_Identity{Identity: s.identity}}) &&
			yield(&agentv1.JournalRecord{Record: &agentv1.JournalRecord_Applied{Applied: &agentv1.AppliedRecord{SetId: s.applied}}}) &&
			yield(&agentv1.JournalRecord{Record: &agentv1.JournalRecord_StatusMade{StatusMade: s.outbox.acked}}) &&
			(s.policy == nil || yield(&agentv1.JournalRecord{Record: &agentv1.JournalRecord_Policy{Policy: s.policy}}))
		for _, j := range s.jobs {
			ok = ok && s.snapshotJob(j, yield)
		}
		for _, it := range s.outbox.items {
			ok = ok && yield(&agentv1.JournalRecord{Record: &agentv1.JournalRecord_Status{Status: it.status}})
		}
	}
}

func (s *Supervisor) snapshotJob(j *job, yield func(*agentv1.JournalRecord) bool) bool {
	if !yield(&agentv1.JournalRecord{Record: &agentv1.JournalRecord_Assigned{
		Assigned: &agentv1.AssignedRecord{Assignment: j.a, Sealed: j.sealed}}}) {
		return false
	}
	if j.ended {
		return yield(&agentv1.JournalRecord{Record: &agentv1.JournalRecord_Ended{
			Ended: &agentv1.EndedRecord{Key: j.key, Status: j.last, Streams: j.streams}}})
	}
	// A status that was acknowledged already is not repeated to the controller: only the outbox's count as new.
	last := &agentv1.Status{JobId: j.a.GetJobId(), Attempt: j.a.GetAttempt(), Phase: j.phase, SetupVerdict: j.setup}
	if !yield(&agentv1.JournalRecord{Record: &agentv1.JournalRecord_Status{Status: last}}) {
		return false
	}
	if j.admitted || j.started > 0 {
		g := grantRecord(j)
		if !j.admitted {
			g.MilliCpus = -1
		}
		if !yield(&agentv1.JournalRecord{Record: &agentv1.JournalRecord_Grant{Grant: g}}) {
			return false
		}
	}
	if j.released && !yield(&agentv1.JournalRecord{Record: &agentv1.JournalRecord_Release{
		Release: &agentv1.ReleaseRecord{Key: j.key, MasterPort: j.port}}}) {
		return false
	}
	return j.stop == nil || yield(&agentv1.JournalRecord{Record: &agentv1.JournalRecord_Stop{
		Stop: &agentv1.StopRecord{Key: j.key, Cause: j.stop}}})
}

func grantRecord(j *job) *agentv1.GrantRecord {
	g := &agentv1.GrantRecord{Key: j.key, MilliCpus: j.grant.MilliCPUs, Share: j.grant.Share, StartedMs: j.started}
	for _, d := range j.grant.Devices {
		g.Devices = append(g.Devices, int32(d))
	}
	return g
}

func grantOf(r *agentv1.GrantRecord) queue.Grant {
	g := queue.Grant{MilliCPUs: max(0, r.GetMilliCpus()), Share: r.GetShare()}
	for _, d := range r.GetDevices() {
		g.Devices = append(g.Devices, int(d))
	}
	return g
}

// stub is what is kept of an assignment once its verdict is known.
func stub(a *agentv1.Assignment) *agentv1.Assignment {
	return &agentv1.Assignment{
		JobId: a.GetJobId(), Number: a.GetNumber(), Attempt: a.GetAttempt(), Slot: a.GetSlot(), Rank: a.GetRank(),
		NumRanks: a.GetNumRanks(), Peers: a.GetPeers(), Stop: a.GetStop(), RequestId: a.GetRequestId(), TaskId: a.GetTaskId(),
		User: a.GetUser(), SubmittedMs: a.GetSubmittedMs(), Task: &statev1.TaskSpec{Name: a.GetTask().GetName(), NumNodes: a.GetTask().GetNumNodes()},
	}
}

// kept is a verdict for whoever comes after this controller, where there may be somebody; the caller holds the lock.
func (s *Supervisor) kept(st *agentv1.Status) *agentv1.Status {
	if !s.policy.GetKeepEvidence() {
		return nil
	}
	return st
}

func byNumber(a, b *job) int {
	return cmp.Or(cmp.Compare(a.a.GetNumber(), b.a.GetNumber()), cmp.Compare(a.a.GetAttempt(), b.a.GetAttempt()))
}

func ended(p statev1.RankPhase) bool { return p >= statev1.RankPhase_RANK_EXITED }
