package fake

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"aloft/providers"
)

// share is what the machines of a cluster have in common in a region: made with the first, there until Finish.
type share struct{ cluster, region string }

// Shared lists the clusters of which something is left in a region, as cluster/region, for tests.
func (c *Cloud) Shared() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.advance(time.Now())
	var out []string
	for s := range c.shared {
		out = append(out, s.cluster+"/"+s.region)
	}
	slices.Sort(out)
	return out
}

// Finish removes what a cluster's machines shared in a region; it is refused while one of them is alive.
func (c *Cloud) Finish(ctx context.Context, t providers.Tags, region string) error {
	return c.call(ctx, "finish", t.ClusterID+"/"+region, func(r *rand.Rand, now, _ time.Time) error {
		x := r.Float64()
		if x -= c.cfg.Faults.DeleteFail; x < 0 {
			return c.fail("finish", providers.Transient, providers.ScopeRegion, "internal", 0)
		}
		for _, m := range c.machines {
			if m.inst.Tags.ClusterID == t.ClusterID && m.inst.Region == region && m.state(now).Alive() {
				return &providers.Error{Provider: c.cfg.Name, Op: "finish", Kind: providers.Transient, Scope: providers.ScopeRegion, Code: "in-use",
					Err: errors.New("machine " + m.inst.ID + " uses it")}
			}
		}
		delete(c.shared, share{t.ClusterID, region})
		if x -= c.cfg.Faults.DeleteLost; x < 0 {
			return c.lost("finish")
		}
		return nil
	})
}

// CheckQuota answers as Config.Quota says.
func (c *Cloud) CheckQuota(ctx context.Context, s providers.NodeSpec, _ int) error {
	return c.call(ctx, "quota", s.Region+"/"+s.InstanceType, func(r *rand.Rand, _, _ time.Time) error {
		if r.Float64() < c.cfg.Faults.DescribeFail {
			return c.fail("quota", providers.Transient, providers.ScopeRegion, "unavailable", 0)
		}
		if e, ok := c.cfg.Quota[s.Region]; ok {
			e.Provider, e.Op = c.cfg.Name, "quota"
			return &e
		}
		return nil
	})
}
