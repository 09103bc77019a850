package supervise

import (
	"context"
	"fmt"

	"aloft/agent/supervise/journal"
	agentv1 "aloft/proto/sky/agent/v1"
	statev1 "aloft/proto/sky/state/v1"
)

// outbox holds the statuses that the controller has not acknowledged, in order of their sequence numbers without holes.
type outbox struct {
	made    uint64
	acked   uint64
	items   []item // items[0].status.Seq == acked+1
	changed chan struct{}
}

type item struct {
	status *agentv1.Status
	pos    journal.Pos
}

// emit makes a status of j, to be sent once it is durable. The caller holds the lock.
func (s *Supervisor) emit(j *job, st *agentv1.Status) {
	s.outbox.made++
	st.Seq, st.JobId, st.Attempt = s.outbox.made, j.a.GetJobId(), j.a.GetAttempt()
	st.Slot, st.Rank, st.AtMs = j.a.GetSlot(), j.a.GetRank(), nowMS()
	if st.SetupVerdict == "" {
		st.SetupVerdict = j.setup
	}
	j.phase, j.waiting = st.GetPhase(), st.GetWaiting()
	// The item is in the outbox before the record is made: a compaction inside record writes the outbox down.
	s.outbox.items = append(s.outbox.items, item{status: st})
	pos := s.record(&agentv1.JournalRecord{Record: &agentv1.JournalRecord_Status{Status: st}})
	s.outbox.items[len(s.outbox.items)-1].pos = pos
	j.pos, j.seq = pos, st.GetSeq()
	s.outbox.signal()
}

func (o *outbox) signal() {
	close(o.changed)
	o.changed = make(chan struct{})
}

func (o *outbox) ack(seq uint64) bool {
	seq = min(seq, o.made)
	if seq <= o.acked {
		return false
	}
	n := seq - o.acked
	clear(o.items[:n])
	o.items = o.items[n:]
	o.acked = seq
	if len(o.items) == 0 {
		o.items = nil // gives a long backlog's memory back
	}
	return true
}

// Statuses waits for durable statuses behind seq and returns some of them, in order.
func (s *Supervisor) Statuses(ctx context.Context, seq uint64) ([]*agentv1.Status, error) {
	const most = 256
	for {
		durable, moved := s.journal.Durable()
		s.mu.Lock()
		from := max(seq, s.outbox.acked) - s.outbox.acked
		var out []*agentv1.Status
		for i := int(from); i < len(s.outbox.items) && len(out) < most; i++ {
			if s.outbox.items[i].pos > durable {
				break
			}
			out = append(out, s.outbox.items[i].status)
		}
		changed := s.outbox.changed
		s.mu.Unlock()
		if len(out) > 0 {
			return out, nil
		}
		select {
		case <-moved:
		case <-changed:
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for statuses: %w", ctx.Err())
		}
	}
}

// Ack drops the statuses up to seq: they are durable at the controller.
func (s *Supervisor) Ack(seq uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.outbox.ack(seq) {
		s.record(&agentv1.JournalRecord{Record: &agentv1.JournalRecord_StatusAcked{StatusAcked: s.outbox.acked}})
	}
}

// Backlog is the number of statuses that wait for their acknowledgement.
func (s *Supervisor) Backlog() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.outbox.items)
}

func phaseStatus(p statev1.RankPhase) *agentv1.Status { return &agentv1.Status{Phase: p} }
