package gcp

import (
	"context"
	"errors"
	"hash/fnv"
	"slices"

	"cloud.google.com/go/compute/apiv1/computepb"

	"aloft/providers"
)

// settleZone gives a request that names a region alone a zone of it, always the same for the same request: a call that is
// repeated must not make a second machine elsewhere. Machines of one cluster come to one zone; another launch may come to
// another.
func (p *Provider) settleZone(ctx context.Context, c *clients, r *providers.CreateRequest) error {
	const op = "create"
	if r.Spec.Zone != "" {
		return nil
	}
	region, err := c.regions.Get(ctx, &computepb.GetRegionRequest{Project: c.project, Region: r.Spec.Region})
	if err != nil {
		err = p.failure(ctx, op, r.Spec.Region, err)
		var e *providers.Error
		if errors.As(err, &e) && e.Kind == providers.NotFound {
			e.Kind = providers.Invalid // asking again does not make the region
		}
		return err
	}
	var zones []string
	for _, z := range region.GetZones() {
		zones = append(zones, lastPart(z))
	}
	if len(zones) == 0 {
		return fail(op, providers.Invalid, providers.ScopeRegion, "no-zone", "name a zone, as infra: gcp/REGION/ZONE", "the region %s has no zones", r.Spec.Region)
	}
	slices.Sort(zones)
	key := r.Token
	if r.Spec.Nodes > 1 && r.Tags.ClusterID != "" {
		key = r.Tags.ClusterID
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(key)) // never fails
	r.Spec.Zone = zones[int(h.Sum32()%uint32(len(zones)))]
	return nil
}
