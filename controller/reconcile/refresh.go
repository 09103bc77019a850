package reconcile

import (
	"context"
	"fmt"
	"time"

	"aloft/controller/plan"
	"aloft/controller/state"
	"aloft/controller/store"
	statev1 "aloft/proto/sky/state/v1"
	"aloft/providers"
)

// Refresh asks the providers how the machines of clusters are and waits until the answers are recorded: one call for
// each provider and region.
func (l *Loop) Refresh(ctx context.Context, clusterIDs []string) error {
	type place struct{ provider, region string }
	nodes := map[place][]*statev1.Node{}
	err := l.o.Store.View(ctx, func(tx store.Tx) error {
		clear(nodes)
		for _, id := range clusterIDs {
			for _, n := range store.NodesOf(tx, id) {
				if n.GetInstanceId() == "" || state.NodeEnded(n.GetPhase()) {
					continue
				}
				p := place{n.GetCandidate().GetProvider(), n.GetCandidate().GetRegion()}
				nodes[p] = append(nodes[p], n)
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("refresh: %w", err)
	}
	for at, ns := range nodes {
		p, err := l.o.Providers.Get(at.provider)
		if err != nil {
			return fmt.Errorf("refresh: %w", err)
		}
		sel := providers.Selector{Region: at.region}
		for _, n := range ns {
			sel.IDs = append(sel.IDs, n.GetInstanceId())
		}
		began, seen := time.Now(), map[string][]providers.Instance{}
		for in, err := range p.Describe(ctx, sel) {
			if err != nil {
				return fmt.Errorf("refresh %s: %w", at.provider, err)
			}
			seen[in.ID] = append(seen[in.ID], in)
		}
		for _, n := range ns {
			l.enqueue(n.GetClusterId(), &plan.Observation{
				NodeID: n.GetId(), Attempt: n.GetAttempt(), Effect: plan.Probe{OnNode: plan.OnNode{NodeID: n.GetId()}}, Unasked: true,
				Seen: &plan.Seen{At: began, Instances: seen[n.GetInstanceId()]},
			})
		}
	}
	for _, id := range clusterIDs {
		select {
		case <-l.recorded(id):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// recorded is closed once what is queued for a cluster now is recorded.
func (l *Loop) recorded(id string) <-chan struct{} {
	l.enqueue(id, nil)
	l.mu.Lock()
	defer l.mu.Unlock()
	done := make(chan struct{})
	c := l.clusters[id]
	if l.closed || c == nil {
		close(done)
		return done
	}
	c.waiters = append(c.waiters, done)
	if !c.queued { // it was taken off the queue between the two locks: once more
		c.queued = true
		if !c.running {
			l.push(id)
		}
	}
	return done
}
