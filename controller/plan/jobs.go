package plan

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"aloft/controller/state"
	statev1 "aloft/proto/sky/state/v1"
)

// jobs places queued jobs in the order of their numbers, and closes those that can never be placed.
func (s *Snapshot) jobs(t tally) []Action {
	var out []Action
	var load map[int32]int
	for _, j := range s.byNumber() {
		if j.GetPhase() != statev1.JobPhase_JOB_QUEUED || j.GetDesired() == "cancel" {
			continue
		}
		want := max(j.GetTask().GetNumNodes(), 1)
		switch {
		case s.wasUp() && t.coming < want:
			out = append(out, CloseJob{JobID: j.GetId(), Failure: s.degraded(t, want)})
		case t.ready < t.coming || t.coming < want || s.Cluster.GetAutostoppingMs() > 0:
			continue
		default:
			if load == nil {
				load = s.load()
			}
			out = append(out, Place{JobID: j.GetId(), Ranks: s.place(j, want, load)})
		}
	}
	return out
}

func (s *Snapshot) byNumber() []*statev1.Job {
	jobs := slices.Clone(s.Jobs)
	slices.SortFunc(jobs, func(a, b *statev1.Job) int { return cmp.Compare(a.GetNumber(), b.GetNumber()) })
	return jobs
}

// load counts the unfinished ranks of every slot.
func (s *Snapshot) load() map[int32]int {
	load := map[int32]int{}
	for _, j := range s.Jobs {
		if state.JobEnded(j.GetPhase()) {
			continue
		}
		for _, r := range j.GetRanks() {
			if r.GetRank() >= 0 && !state.RankEnded(r.GetPhase()) {
				load[r.GetSlot()]++
			}
		}
	}
	return load
}

// place chooses the want least loaded slots; ranks follow slots, so rank 0 is the lowest of them. Setup runs on every
// node of the cluster, so the others get a rank of -1.
func (s *Snapshot) place(j *statev1.Job, want int32, load map[int32]int) []*statev1.Rank {
	var nodes []*statev1.Node
	for slot := range s.Cluster.GetNumNodes() {
		if n := s.current(slot); n != nil && n.GetPhase() == statev1.NodePhase_NODE_READY {
			nodes = append(nodes, n)
		}
	}
	byLoad := slices.Clone(nodes)
	slices.SortStableFunc(byLoad, func(a, b *statev1.Node) int { return cmp.Compare(load[a.GetSlot()], load[b.GetSlot()]) })
	chosen := map[int32]bool{}
	for _, n := range byLoad[:min(int(want), len(byLoad))] {
		chosen[n.GetSlot()] = true
		load[n.GetSlot()]++
	}
	everywhere := j.GetWithSetup() && j.GetTask().GetSetup() != ""
	var ranks []*statev1.Rank
	var next int32
	for _, n := range nodes {
		r := &statev1.Rank{
			Slot: n.GetSlot(), Rank: -1, NodeId: n.GetId(), Address: n.GetAddress(),
			Phase: statev1.RankPhase_RANK_ASSIGNED,
		}
		if chosen[n.GetSlot()] {
			r.Rank = next
			next++
		} else if !everywhere {
			continue
		}
		ranks = append(ranks, r)
	}
	return ranks
}

// degraded says why a job that needs want machines will not get them.
func (s *Snapshot) degraded(t tally, want int32) *statev1.Failure {
	f := &statev1.Failure{
		Kind: statev1.FailureKind_INFRA, Scope: "node", Code: "degraded",
		Message: fmt.Sprintf("The job needs %d machines, the cluster has %d left.", want, t.coming),
		Hint:    "sky start " + s.Cluster.GetName() + " replaces missing machines and starts stopped ones",
	}
	if own := s.slotFailure(t.missingSlots); own.GetCode() != "gone" {
		f.Kind, f.Scope, f.Code = own.GetKind(), own.GetScope(), own.GetCode()
		f.Message += " " + own.GetMessage()
	}
	return f
}

// lose finds ranks without a verdict on machines that are no more.
func (s *Snapshot) lose() []Action {
	var out []Action
	for _, j := range s.byNumber() {
		if state.JobEnded(j.GetPhase()) {
			continue
		}
		var slots []int32
		for _, r := range j.GetRanks() {
			if state.RankEnded(r.GetPhase()) {
				continue
			}
			n := s.node(r.GetNodeId())
			if n == nil || state.NodeEnded(n.GetPhase()) || n.GetPhase() == statev1.NodePhase_NODE_STOPPED {
				slots = append(slots, r.GetSlot())
			}
		}
		if len(slots) > 0 {
			out = append(out, Lose{JobID: j.GetId(), Slots: slots})
		}
	}
	return out
}

// jobsUntil is how long n must be left alive for its jobs: until they end, their results have arrived, or the grace is
// over; zero = not at all.
func (s *Snapshot) jobsUntil(n *statev1.Node, now time.Time) time.Time {
	var until time.Time
	for _, j := range s.Jobs {
		on := slices.ContainsFunc(j.GetRanks(), func(r *statev1.Rank) bool { return r.GetNodeId() == n.GetId() })
		if !on {
			continue
		}
		end := time.UnixMilli(max(j.GetCancelMs(), n.GetPhaseMs(), s.Cluster.GetLaunchedMs())).Add(s.Policy.DrainGrace)
		if state.JobEnded(j.GetPhase()) {
			if j.GetResultsComplete() {
				continue
			}
			end = time.UnixMilli(j.GetEndedMs()).Add(s.Policy.ResultGrace)
		} else if j.GetCancelMs() > 0 {
			end = time.UnixMilli(j.GetCancelMs()).Add(s.Policy.DrainGrace)
		}
		if end.After(now) && end.After(until) {
			until = end
		}
	}
	return until
}
