package fleet

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"aloft/controller/state"
	"aloft/controller/store"
	agentv1 "aloft/proto/sky/agent/v1"
	statev1 "aloft/proto/sky/state/v1"
)

// statusCursor is the cursor that counts an agent's statuses: all up to it are durable here.
const statusCursor = "status"

// apply writes statuses down, many in one transaction, and acknowledges them once they are durable.
func (s *session) apply(ctx context.Context) error {
	for {
		first, ok := <-s.frames
		if !ok {
			return nil
		}
		batch := []*agentv1.Status{first}
	gather:
		for len(batch) < statusBatch {
			select {
			case st, ok := <-s.frames:
				if !ok {
					break gather
				}
				batch = append(batch, st)
			default:
				break gather
			}
		}
		ended, err := s.applyBatch(ctx, batch)
		if err != nil {
			return err
		}
		ack := &agentv1.StatusAck{Seq: batch[len(batch)-1].GetSeq()}
		if err := s.send(&agentv1.ControllerFrame{Frame: &agentv1.ControllerFrame_StatusAck{StatusAck: ack}}); err != nil {
			return err
		}
		s.f.finisher.consider(ended...)
	}
}

// numbered is a status with its place in the order of arrival.
type numbered struct {
	*agentv1.Status
	received uint64
}

// applyBatch writes a batch down and returns the jobs that have ended.
func (s *session) applyBatch(ctx context.Context, batch []*agentv1.Status) (ended []string, err error) {
	in := make([]numbered, len(batch))
	for i, st := range batch {
		in[i] = numbered{st, s.f.received.Add(1)}
	}
	agent := s.hello.GetAgentId()
	err = s.f.update(ctx, "record statuses", func(tx store.Tx) error {
		ended = ended[:0]
		acked := tx.Cursor(agent, statusCursor)
		jobs := make(map[string]*change)
		for _, st := range in {
			if st.GetSeq() <= acked {
				continue // known
			}
			acked = st.GetSeq()
			c := jobs[st.GetJobId()]
			if c == nil {
				j, err := store.GetJob(tx, st.GetJobId())
				if errors.Is(err, store.ErrNotFound) {
					continue // forgotten here; nobody wants to know
				}
				if err != nil {
					return err
				}
				c = &change{job: j, phase: j.GetPhase(), reason: j.GetStateReason()}
				jobs[st.GetJobId()] = c
			}
			c.apply(s.nd.id, st)
		}
		for id, c := range jobs {
			if !c.dirty {
				continue
			}
			if ev := c.event(); ev != nil {
				tx.Emit(ev)
			}
			if err := tx.Put(store.Job, id, c.job); err != nil {
				return err
			}
			if state.JobEnded(c.job.GetPhase()) {
				ended = append(ended, id)
			}
		}
		return tx.SetCursor(agent, statusCursor, acked)
	})
	return ended, err
}

// change is what a batch does to one job.
type change struct {
	job    *statev1.Job
	phase  statev1.JobPhase
	reason string
	dirty  bool
	said   string // what the event says
}

// apply takes one status into the job. One of another attempt, or of a phase that the rank is past, changes nothing.
func (c *change) apply(node string, st numbered) {
	j := c.job
	if st.GetAttempt() != j.GetAttempt() {
		return
	}
	var r *statev1.Rank
	for _, x := range j.GetRanks() {
		if x.GetSlot() == st.GetSlot() && x.GetNodeId() == node {
			r = x
		}
	}
	if r == nil || state.RankEnded(r.GetPhase()) || st.GetPhase() < r.GetPhase() {
		return
	}
	c.dirty = true
	grew := st.GetPhase() > r.GetPhase()
	r.Phase = st.GetPhase()
	if st.GetSetupVerdict() != "" {
		r.SetupVerdict = st.GetSetupVerdict()
	}
	if st.GetReason() != "" {
		r.Reason = st.GetReason()
	}
	switch {
	case st.GetPid() <= 0:
	case st.GetPhase() == statev1.RankPhase_RANK_SETUP:
		r.SetupPid = st.GetPid()
	default:
		r.Pid = st.GetPid()
	}
	if r.Phase == statev1.RankPhase_RANK_RUNNING && r.StartedMs == 0 {
		r.StartedMs = st.GetAtMs()
	}
	j.StateReason = st.GetWaiting()
	if state.RankEnded(r.Phase) {
		c.end(r, st)
	}
	if grew {
		state.FoldJob(j)
		c.said = fmt.Sprintf("rank %d %s", r.GetRank(), strings.ToLower(state.PhaseName(r.GetPhase())))
	}
}

// mostSeries is how many series of metrics a job's record has a summary of.
const mostSeries = 256

// end takes a rank's verdict with all that came with it.
func (c *change) end(r *statev1.Rank, st numbered) {
	j := c.job
	r.ExitCode, r.Signal, r.EndedMs, r.Received = st.GetExitCode(), st.GetSignal(), st.GetAtMs(), st.received
	if st.GetFailure() != nil {
		r.Failure = proto.CloneOf(st.GetFailure())
	}
	for _, e := range st.GetStreams() {
		r.Streams = append(r.Streams, e.GetStream().GetName())
		if e.GetComplete() && e.GetEnd() == 0 {
			r.Silent = append(r.Silent, e.GetStream().GetName())
		}
	}
	j.Suites = append(j.Suites, st.GetSuites()...)
	for _, f := range st.GetFiles() {
		if safeName(f.GetName()) {
			j.Files = append(j.Files, f)
		}
	}
	for _, m := range st.GetSeries() {
		if len(j.Series) < mostSeries {
			j.Series = append(j.Series, m)
		}
	}
	for k, v := range st.GetMetrics() {
		if j.Metrics == nil {
			j.Metrics = make(map[string]float64)
		}
		j.Metrics[k] = v
	}
}

// event tells of a job whose phase or whose reason to wait has changed; nil when neither has.
func (c *change) event() *statev1.Event {
	j := c.job
	if j.GetPhase() == c.phase && j.GetStateReason() == c.reason && c.said == "" {
		return nil
	}
	said := c.said
	if j.GetStateReason() != "" {
		said = j.GetStateReason()
	}
	if f := j.GetFailure(); state.JobEnded(j.GetPhase()) && f != nil {
		said = f.GetMessage()
	}
	return jobEvent(j, c.phase, said)
}

func jobEvent(j *statev1.Job, old statev1.JobPhase, reason string) *statev1.Event {
	return &statev1.Event{
		Kind: string(store.Job), Id: j.GetId(), ClusterId: j.GetClusterId(), OldPhase: state.PhaseName(old),
		NewPhase: state.PhaseName(j.GetPhase()), Actor: "fleet", Reason: reason, AtMs: time.Now().UnixMilli(),
		Name: fmt.Sprint(j.GetNumber()),
	}
}

// safeName refuses names that would leave the directory they are unpacked to.
func safeName(name string) bool {
	if name == "" || strings.HasPrefix(name, "/") || strings.ContainsAny(name, "\x00\\") {
		return false
	}
	for _, p := range strings.Split(name, "/") {
		if p == "" || p == "." || p == ".." {
			return false
		}
	}
	return true
}
