package fleet

import (
	"context"
	"errors"
	"slices"
	"sync"

	"aloft/controller/state"
	"aloft/controller/store"
	agentv1 "aloft/proto/sky/agent/v1"
	statev1 "aloft/proto/sky/state/v1"
)

// finishBatch is how many jobs one transaction marks as complete at most.
const finishBatch = 512

// finisher finds out when everything of an ended job is here, writes it down, and lets the agents forget the job.
type finisher struct {
	f *Fleet

	mu      sync.Mutex
	due     map[string]bool // to be looked at
	waiting map[string]bool // ended, something is missing
	agents  map[string]*assigned
	wake    chan struct{}
}

func newFinisher(f *Fleet) *finisher {
	return &finisher{
		f: f, due: make(map[string]bool), waiting: make(map[string]bool), agents: make(map[string]*assigned),
		wake: make(chan struct{}, 1),
	}
}

// consider looks at jobs that have ended.
func (x *finisher) consider(ids ...string) {
	if len(ids) == 0 {
		return
	}
	x.mu.Lock()
	for _, id := range ids {
		x.due[id] = true
	}
	x.mu.Unlock()
	x.kick()
}

// arrived tells that something of a job has arrived; it matters when the job waits for it.
func (x *finisher) arrived(id string) {
	x.mu.Lock()
	waits := x.waiting[id]
	if waits {
		x.due[id] = true
	}
	x.mu.Unlock()
	if waits {
		x.kick()
	}
}

func (x *finisher) kick() {
	select {
	case x.wake <- struct{}{}:
	default:
	}
}

func (x *finisher) subscribe(node string, a *assigned) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.agents[node] = a
}

func (x *finisher) unsubscribe(node string, a *assigned) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.agents[node] == a {
		delete(x.agents, node)
	}
}

func (x *finisher) run(ctx context.Context) {
	for {
		select {
		case <-x.wake:
		case <-ctx.Done():
			return
		}
		for ctx.Err() == nil {
			ids := x.take()
			if len(ids) == 0 {
				break
			}
			if err := x.finish(ctx, ids); err != nil {
				break // logged; the next session's FULL set considers them again
			}
		}
	}
}

// take moves jobs from due to waiting: what arrives while they are looked at makes them due again.
func (x *finisher) take() []string {
	x.mu.Lock()
	defer x.mu.Unlock()
	var ids []string
	for id := range x.due {
		if len(ids) == finishBatch {
			break
		}
		ids = append(ids, id)
		delete(x.due, id)
		x.waiting[id] = true
	}
	return ids
}

func (x *finisher) finish(ctx context.Context, ids []string) error {
	jobs, err := x.read(ctx, ids)
	if err != nil {
		return err
	}
	whole := make(map[string]bool)
	for id, j := range jobs {
		if j == nil || j.GetResultsComplete() || state.JobEnded(j.GetPhase()) && x.complete(j) {
			whole[id] = true
		}
	}
	if len(whole) == 0 {
		return nil
	}
	err = x.f.update(ctx, "record complete results", func(tx store.Tx) error {
		for id := range whole {
			j, err := store.GetJob(tx, id)
			if errors.Is(err, store.ErrNotFound) {
				continue
			}
			if err != nil {
				return err
			}
			if j.GetResultsComplete() || j.GetAttempt() != jobs[id].GetAttempt() {
				continue
			}
			j.ResultsComplete = true
			tx.Emit(jobEvent(j, j.GetPhase(), "all results are here"))
			if err := tx.Put(store.Job, id, j); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	x.forget(jobs, whole)
	return nil
}

func (x *finisher) read(ctx context.Context, ids []string) (map[string]*statev1.Job, error) {
	jobs := make(map[string]*statev1.Job, len(ids))
	err := x.f.o.Store.View(ctx, func(tx store.Tx) error {
		for _, id := range ids {
			j, err := store.GetJob(tx, id)
			if err != nil && !errors.Is(err, store.ErrNotFound) {
				return err
			}
			jobs[id] = j
		}
		return nil
	})
	return jobs, err
}

// complete says whether every log and every file of an ended job is here. What was on lost machines never will be.
func (x *finisher) complete(j *statev1.Job) bool {
	for _, r := range j.GetRanks() {
		for _, name := range r.GetStreams() {
			if slices.Contains(r.GetSilent(), name) {
				continue
			}
			k := &agentv1.StreamKey{JobId: j.GetId(), Attempt: j.GetAttempt(), Slot: r.GetSlot(), Name: name}
			if _, done, err := x.f.o.Logs.End(k); err != nil || !done {
				return false
			}
		}
	}
	for _, f := range j.GetFiles() {
		if !x.f.o.Blobs.Has(f.GetSha256()) {
			return false
		}
	}
	return true
}

// forget lets the agents drop what is safe here.
func (x *finisher) forget(jobs map[string]*statev1.Job, whole map[string]bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	byNode := make(map[string][]string)
	for id := range whole {
		delete(x.waiting, id)
		for _, r := range jobs[id].GetRanks() {
			byNode[r.GetNodeId()] = append(byNode[r.GetNodeId()], id)
		}
	}
	for node, ids := range byNode {
		if a := x.agents[node]; a != nil {
			a.done(ids...)
		}
	}
}
