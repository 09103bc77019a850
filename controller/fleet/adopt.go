package fleet

import (
	"errors"
	"fmt"
	"time"

	"aloft/controller/state"
	"aloft/controller/store"
	agentv1 "aloft/proto/sky/agent/v1"
	statev1 "aloft/proto/sky/state/v1"
)

// errRebuilt ends the first session with an adopted machine: the next one begins with the records that it gave.
var errRebuilt = errors.New("the records of the node's jobs were rebuilt: the session begins anew")

// canTell is the feature of agents that tell what they hold.
const canTell = "held"

// adopt waits for what the agent of an adopted machine holds and makes the records of it that the store lost. Until it did,
// nothing is assigned: an empty assignment would stop the jobs that run there.
func (s *session) adopt() error {
	for {
		f, err := s.stream.Recv()
		if err != nil {
			return fmt.Errorf("the agent's stream ended: %w", err)
		}
		s.lease.Reset(s.f.o.Lease)
		held, ok := f.GetFrame().(*agentv1.AgentFrame_Held)
		if !ok {
			continue // it comes again in the next session
		}
		if err := s.rebuild(held.Held); err != nil {
			return err
		}
		return errRebuilt
	}
}

func (s *session) rebuild(held *agentv1.Held) error {
	err := s.f.update(s.stream.Context(), "rebuild the records of jobs", func(tx store.Tx) error {
		n, err := store.GetNode(tx, s.nd.id)
		if err != nil {
			return err
		}
		c, err := store.GetCluster(tx, s.nd.clusterID)
		if err != nil {
			return err
		}
		for _, h := range held.GetJobs() {
			j, err := store.GetJob(tx, h.GetAssignment().GetJobId())
			if errors.Is(err, store.ErrNotFound) {
				j, err = jobOf(c, h.GetAssignment()), nil
			}
			if err != nil {
				return err
			}
			if j.GetClusterId() != c.GetId() {
				continue
			}
			place(j, n, h)
			c.LastJob = max(c.GetLastJob(), j.GetNumber())
			tx.Emit(&statev1.Event{Kind: string(store.Job), Id: j.GetId(), ClusterId: c.GetId(), NewPhase: state.PhaseName(j.GetPhase()),
				Actor: "fleet", Reason: "rebuilt from what its node holds", Name: fmt.Sprint(j.GetNumber())})
			if err := tx.Put(store.Job, j.GetId(), j); err != nil {
				return err
			}
		}
		if c.GetAdopted() {
			obey(c, n, held.GetPolicy())
		}
		n.Adopting = false
		tx.Emit(nodeEvent(n, "records rebuilt"))
		if err := tx.Put(store.Node, n.GetId(), n); err != nil {
			return err
		}
		return tx.Put(store.Cluster, c.GetId(), c)
	})
	if err == nil {
		s.f.log.Info("adopted what a node holds", "node", s.nd.id, "jobs", len(held.GetJobs()))
	}
	return err
}

// jobOf is the record of a job as far as an assignment tells: what its secrets were, only the nodes know.
func jobOf(c *statev1.Cluster, a *agentv1.Assignment) *statev1.Job {
	task := a.GetTask()
	if task == nil {
		task = &statev1.TaskSpec{}
	}
	if task.GetNumNodes() == 0 {
		task.NumNodes = max(1, a.GetNumRanks())
	}
	j := &statev1.Job{
		Id: a.GetJobId(), ClusterId: c.GetId(), ClusterName: c.GetName(), Number: a.GetNumber(), Task: task, Attempt: a.GetAttempt(),
		Phase: statev1.JobPhase_JOB_PLACED, SubmittedMs: a.GetSubmittedMs(), FailedRank: -1, User: a.GetUser(), TaskId: a.GetTaskId(),
		WithSetup: a.GetWithSetup(), RequestId: a.GetRequestId(),
	}
	if a.GetStop() {
		j.Desired = "cancel"
	}
	for _, p := range a.GetPeers() {
		j.Ranks = append(j.Ranks, &statev1.Rank{Slot: p.GetSlot(), Rank: p.GetRank(), NodeId: p.GetNodeId(), Address: p.GetAddress(),
			Phase: statev1.RankPhase_RANK_ASSIGNED})
	}
	return j
}

// place writes into j how its part on n stands.
func place(j *statev1.Job, n *statev1.Node, h *agentv1.HeldJob) {
	a := h.GetAssignment()
	var mine *statev1.Rank
	for _, r := range j.GetRanks() {
		if r.GetSlot() == a.GetSlot() {
			mine = r
		}
	}
	if mine == nil {
		mine = &statev1.Rank{Slot: a.GetSlot(), Rank: a.GetRank()}
		j.Ranks = append(j.Ranks, mine)
	}
	if h.GetPhase() < mine.GetPhase() {
		return
	}
	if st := h.GetStatus(); st != nil && !state.RankEnded(mine.GetPhase()) {
		// It is known as if it had come from the node just now; its logs and files do.
		mine.NodeId, mine.StartedMs = n.GetId(), h.GetStartedMs()
		c := &change{job: j}
		c.apply(n.GetId(), numbered{Status: st})
		return
	}
	mine.NodeId, mine.Phase, mine.StartedMs = n.GetId(), h.GetPhase(), h.GetStartedMs()
	if h.GetEnded() {
		mine.ExitCode, mine.Signal, mine.Failure = h.GetExitCode(), h.GetSignal(), h.GetFailure()
		mine.EndedMs = time.Now().UnixMilli() // at the latest: whoever waits for the job must see that it has ended
	}
	state.FoldJob(j)
}

// obey makes an adopted cluster be what its node was last told that it is: when it ends by itself, and what it costs. What has
// been changed here since is kept.
func obey(c *statev1.Cluster, n *statev1.Node, p *agentv1.NodePolicy) {
	if p == nil {
		return
	}
	if c.GetAutostop() == nil {
		c.Autostop = p.GetAutostop()
	}
	if c.GetBudget() == nil {
		c.Budget = p.GetBudget()
	}
	cand := n.GetCandidate()
	if p.GetHourlyPrice() == 0 || !cand.GetPriceUnknown() {
		return
	}
	cand.HourlyPrice, cand.PriceUnknown = p.GetHourlyPrice(), false
	since := p.GetBillingSinceMs()
	for _, b := range c.GetBilling() {
		if b.GetEndMs() > 0 || !b.GetPriceUnknown() {
			continue
		}
		// Its machines are told of one after the other; those that are not yet go on in an interval of their own.
		b.HourlyPrice, b.PriceUnknown = p.GetHourlyPrice(), false
		if since > 0 && since < b.GetStartMs() {
			b.StartMs = since
		}
	}
}
