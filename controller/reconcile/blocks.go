package reconcile

import (
	"slices"
	"sync"
	"time"

	"aloft/controller/plan"
	statev1 "aloft/proto/sky/state/v1"
)

// blocks are what the launches of all clusters were refused lately, as their records have it: a launch need not find out
// again what another one has just found out. It is read from the records when the controller starts.
type blocks struct {
	policy plan.Policy

	mu sync.Mutex
	by map[string][]*statev1.Block // by cluster
}

// keep takes over what a cluster's record says. The blocks must not be changed any more.
func (b *blocks) keep(c *statev1.Cluster, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var fresh []*statev1.Block
	for _, x := range c.GetBlocks() {
		if b.policy.Shared(x) && plan.Holds(x, 0, now) {
			fresh = append(fresh, x)
		}
	}
	if len(fresh) == 0 {
		delete(b.by, c.GetId())
		return
	}
	b.by[c.GetId()] = fresh
}

// others are the blocks that a cluster which is being launched should know of: those of all others that still hold, in a
// stable order.
func (b *blocks) others(c *statev1.Cluster, now time.Time) []*statev1.Block {
	if c.GetUpMs() > 0 || c.GetDesired() != statev1.ClusterDesired_CLUSTER_DESIRED_UP {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	var ids []string
	for id, xs := range b.by {
		if xs = slices.DeleteFunc(xs, func(x *statev1.Block) bool { return !plan.Holds(x, 0, now) }); len(xs) == 0 {
			delete(b.by, id)
		} else if b.by[id] = xs; id != c.GetId() {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	var out []*statev1.Block
	for _, id := range ids {
		out = append(out, b.by[id]...)
	}
	return out
}
