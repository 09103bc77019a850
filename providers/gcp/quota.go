package gcp

import (
	"context"
	"fmt"
	"strings"

	"cloud.google.com/go/compute/apiv1/computepb"

	"aloft/providers"
)

// gpuMetric is the region's quota of an accelerator; "" = the API does not tell it per region (new GPUs have quotas per
// family elsewhere).
func gpuMetric(accelerator string) string {
	return map[string]string{
		"t4": "NVIDIA_T4_GPUS", "v100": "NVIDIA_V100_GPUS", "p100": "NVIDIA_P100_GPUS", "p4": "NVIDIA_P4_GPUS", "k80": "NVIDIA_K80_GPUS",
		"a100": "NVIDIA_A100_GPUS", "a100-80gb": "NVIDIA_A100_80GB_GPUS", "l4": "NVIDIA_L4_GPUS", "h100": "NVIDIA_H100_GPUS",
	}[strings.ToLower(accelerator)]
}

// cpuMetric is the region's quota of a series' vCPUs.
func cpuMetric(family string) string {
	switch family {
	case "n2", "n2d", "c2", "c2d", "c3", "t2d", "t2a", "m3", "a2":
		return strings.ToUpper(family) + "_CPUS"
	case "n1", "e2", "":
		return "CPUS"
	}
	return "" // counted per series in a place that the API does not show
}

// CheckQuota compares what a project may still have in a region with what a cluster asks for. What GCP does not tell there
// counts as enough: the create call then says it.
func (p *Provider) CheckQuota(ctx context.Context, s providers.NodeSpec, nodes int) error {
	const op = "quota"
	c, err := p.api(ctx, op)
	if err != nil {
		return err
	}
	if s.Region == "" {
		s.Region = regionOf(s.Zone)
	}
	r, err := c.regions.Get(ctx, &computepb.GetRegionRequest{Project: c.project, Region: s.Region})
	if err != nil {
		return p.failure(ctx, op, s.Region, err)
	}
	n := float64(max(nodes, 1))
	if s.Accelerator != "" {
		metric := gpuMetric(s.Accelerator)
		if metric != "" && s.Spot {
			metric = "PREEMPTIBLE_" + metric
		}
		if err := p.within(c, r.GetQuotas(), metric, s.Accelerators*n, s.Region); err != nil {
			return err
		}
		whole, err := c.projects.Get(ctx, &computepb.GetProjectRequest{Project: c.project})
		if err != nil {
			return p.failure(ctx, op, "", err)
		}
		if !s.Spot {
			if err := p.within(c, whole.GetQuotas(), "GPUS_ALL_REGIONS", s.Accelerators*n, ""); err != nil {
				return err
			}
		}
	}
	// Spot machines count as others where no quota of their own was ever set.
	metric := cpuMetric(family(s.InstanceType))
	if s.Spot && limitOf(r.GetQuotas(), "PREEMPTIBLE_CPUS") > 0 {
		metric = "PREEMPTIBLE_CPUS"
	}
	return p.within(c, r.GetQuotas(), metric, s.CPUs*n, s.Region)
}

func limitOf(quotas []*computepb.Quota, metric string) float64 {
	for _, q := range quotas {
		if q.GetMetric() == metric {
			return q.GetLimit()
		}
	}
	return 0
}

// within reports whether a quota has room; one that is not listed has.
func (p *Provider) within(c *clients, quotas []*computepb.Quota, metric string, need float64, region string) error {
	for _, q := range quotas {
		if q.GetMetric() != metric || q.GetUsage()+need <= q.GetLimit() {
			continue
		}
		scope, where := providers.ScopeRegion, "in "+region
		if region == "" {
			scope, where = providers.ScopeAccount, "in all regions together"
		}
		return fail("quota", providers.Quota, scope, metric, strings.ReplaceAll(hintQuota, "{project}", c.project),
			"%s: %s needed, %s of %s in use %s", metric, number(need), number(q.GetUsage()), number(q.GetLimit()), where)
	}
	return nil
}

func number(x float64) string { return fmt.Sprintf("%g", x) }
