package reconcile

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"aloft/controller/plan"
	"aloft/controller/state"
	"aloft/controller/store"
	statev1 "aloft/proto/sky/state/v1"
	"aloft/providers"
)

// recentJobs is how many of a cluster's latest jobs the planner sees beside the unfinished ones: their results may
// still be on the way.
const recentJobs = 16

// load reads the snapshot of one cluster.
func (l *Loop) load(tx store.Tx, id string) (*plan.Snapshot, error) {
	c, err := store.GetCluster(tx, id)
	if err != nil {
		return nil, fmt.Errorf("cluster %s: %w", id, err)
	}
	s := &plan.Snapshot{
		Installation: tx.Installation(), Epoch: tx.WriterEpoch(), Cluster: c, Nodes: store.NodesOf(tx, id),
		Intents: map[string]*statev1.Intent{}, Caps: map[string]providers.Capabilities{}, Policy: l.o.Policy,
		Quota: map[string]bool{}, Finish: map[string]bool{}, PowerOff: map[string]bool{}, Blocks: l.blocks.others(c, time.Now()),
	}
	for _, n := range s.Nodes {
		if n.GetAttempt() > 0 {
			in, err := tx.Intent(n.GetId(), n.GetAttempt())
			if err != nil && !errors.Is(err, store.ErrNotFound) {
				return nil, fmt.Errorf("intent of node %s: %w", n.GetId(), err)
			}
			if in != nil {
				s.Intents[n.GetId()] = in
			}
		}
		name := n.GetCandidate().GetProvider()
		if _, ok := s.Caps[name]; ok {
			continue
		}
		if p, err := l.o.Providers.Get(name); err == nil {
			s.Caps[name] = p.Capabilities()
			_, s.Quota[name] = p.(providers.QuotaReader)
			_, s.Finish[name] = p.(providers.Finisher)
			_, s.PowerOff[name] = p.(providers.PowerOffSetter)
		}
	}
	seen := map[string]bool{}
	for _, j := range store.OpenJobsOf(tx, id) {
		seen[j.GetId()] = true
		s.Jobs = append(s.Jobs, j)
	}
	for _, j := range endedLately(tx, id) {
		if !seen[j.GetId()] {
			s.Jobs = append(s.Jobs, j)
		}
	}
	return s, nil
}

// endedLately are a cluster's latest jobs, as far back as results may still be on their way.
func endedLately(tx store.Tx, clusterID string) []*statev1.Job {
	for limit := recentJobs; ; limit *= 4 {
		jobs := store.JobsOf(tx, clusterID, limit)
		if len(jobs) < limit {
			return jobs
		}
		older := jobs[len(jobs)-recentJobs/2:]
		if !slices.ContainsFunc(older, func(j *statev1.Job) bool { return !j.GetResultsComplete() }) {
			return jobs
		}
	}
}

// save writes what changed.
func save(tx store.Tx, d *plan.Draft) error {
	for _, n := range d.Nodes {
		if d.NodesDirty[n.GetId()] {
			if err := tx.Put(store.Node, n.GetId(), n); err != nil {
				return fmt.Errorf("write node: %w", err)
			}
		}
	}
	for _, in := range d.IntentsDirty {
		if err := tx.PutIntent(in); err != nil {
			return fmt.Errorf("write intent: %w", err)
		}
	}
	for _, j := range d.Jobs {
		if d.JobsDirty[j.GetId()] {
			if err := tx.Put(store.Job, j.GetId(), j); err != nil {
				return fmt.Errorf("write job: %w", err)
			}
		}
	}
	c := d.Cluster
	if d.ClusterDirty {
		if err := tx.Put(store.Cluster, c.GetId(), c); err != nil {
			return fmt.Errorf("write cluster: %w", err)
		}
	}
	key := store.Key{Kind: store.Cluster, ID: c.GetId()}
	if c.GetEndedMs() > 0 {
		if err := tx.Unschedule(key); err != nil {
			return fmt.Errorf("drop timer: %w", err)
		}
	} else if err := tx.Schedule(key, d.Wake); err != nil {
		return fmt.Errorf("set timer: %w", err)
	}
	for _, ev := range d.Events {
		tx.Emit(ev)
	}
	return nil
}

// recover finds everything that was under way when the last controller ended and queues it: first intents without an
// answer, then machines that are owed an end, then the rest.
func (l *Loop) recover(ctx context.Context) (store.Rev, error) {
	type todo struct {
		id    string
		class int
	}
	var todos []todo
	var repaired int
	now := time.Now()
	var rev store.Rev
	_, err := l.o.Store.Update(ctx, func(tx store.Tx) error {
		// The revision of what is listed here: whatever is written after it comes by the watch.
		todos, repaired, rev = nil, 0, tx.Rev()
		for _, c := range store.Clusters(tx) {
			l.blocks.keep(c, now)
			if c.GetEndedMs() > 0 {
				continue
			}
			class, err := recoverCluster(tx, c, now)
			if err != nil {
				return err
			}
			todos = append(todos, todo{c.GetId(), class})
			key := store.Key{Kind: store.Cluster, ID: c.GetId()}
			if _, ok := tx.Scheduled(key); !ok {
				repaired++
				if err := tx.Schedule(key, now); err != nil {
					return fmt.Errorf("repair timer: %w", err)
				}
			}
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("recover: %w", err)
	}
	if repaired > 0 {
		l.o.Log.Warn("clusters had no timer", "repaired", repaired)
	}
	slices.SortFunc(todos, func(a, b todo) int { return cmp.Or(cmp.Compare(a.class, b.class), cmp.Compare(a.id, b.id)) })
	for _, t := range todos {
		l.enqueue(t.id, nil)
	}
	return rev, nil
}

// recoverCluster puts right what the death of a controller leaves behind: sessions are gone, and a create call of an
// unanswered intent may have been made until just now.
func recoverCluster(tx store.Tx, c *statev1.Cluster, now time.Time) (class int, err error) {
	class = 2
	for _, n := range store.NodesOf(tx, c.GetId()) {
		if n.GetSession() || n.GetAbsentMs() > 0 {
			// The first of two empty looks is from before, when the clock may have been another one: it counts no more.
			n.Session, n.AbsentMs = false, 0
			if err := tx.Put(store.Node, n.GetId(), n); err != nil {
				return 0, fmt.Errorf("write node: %w", err)
			}
		}
		if n.GetPhase() == statev1.NodePhase_NODE_DELETING || n.GetPhase() == statev1.NodePhase_NODE_LOST {
			class = min(class, 1)
		}
		if state.NodeEnded(n.GetPhase()) || n.GetAttempt() == 0 {
			continue
		}
		in, err := tx.Intent(n.GetId(), n.GetAttempt())
		switch {
		case errors.Is(err, store.ErrNotFound):
			continue
		case err != nil:
			return 0, fmt.Errorf("read intent: %w", err)
		case in.GetPhase() != statev1.IntentPhase_INTENT_ISSUED:
			continue
		}
		class = 0
		in.IssuedMs = now.UnixMilli()
		if err := tx.PutIntent(in); err != nil {
			return 0, fmt.Errorf("write intent: %w", err)
		}
	}
	return class, nil
}
