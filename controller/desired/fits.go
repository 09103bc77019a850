package desired

import (
	"fmt"
	"strings"

	statev1 "aloft/proto/sky/state/v1"
)

// fits refuses a task that asks for more than an existing cluster has.
func fits(c *statev1.Cluster, nodes []*statev1.Node, t *statev1.TaskSpec) error {
	if t == nil {
		return nil
	}
	if t.GetNumNodes() > c.GetNumNodes() {
		return refuse(statev1.FailureKind_CONFIG, "too-many-nodes", "launch it on another cluster: sky launch -c <other> ...",
			"The task asks for %d nodes, cluster %q has %d.", t.GetNumNodes(), c.GetName(), c.GetNumNodes())
	}
	have := candidateOf(c, nodes)
	if have == nil || len(t.GetResources()) == 0 {
		return nil
	}
	var why []string
	for _, r := range t.GetResources() {
		w := lacks(have, r)
		if w == "" {
			return nil
		}
		why = append(why, w)
	}
	return refuse(statev1.FailureKind_CONFIG, "resources-mismatch", "launch it on another cluster: sky launch -c <other> ...",
		"The task asks for more than cluster %q has: %s.", c.GetName(), strings.Join(why, "; "))
}

// candidateOf is what the cluster's machines are, or are about to be.
func candidateOf(c *statev1.Cluster, nodes []*statev1.Node) *statev1.Candidate {
	for _, n := range nodes {
		if !ended(n) {
			return n.GetCandidate()
		}
	}
	if i := int(c.GetCandidate()); i >= 0 && i < len(c.GetCandidates()) {
		return c.GetCandidates()[i]
	}
	return nil
}

// lacks says what of r the machines do not have; "" = r is less demanding than they are.
func lacks(have *statev1.Candidate, r *statev1.Resources) string {
	for _, x := range []struct{ what, want, have string }{
		{"cloud", r.GetCloud(), have.GetProvider()},
		{"region", r.GetRegion(), have.GetRegion()},
		{"zone", r.GetZone(), have.GetZone()},
		{"instance type", r.GetInstanceType(), have.GetInstanceType()},
	} {
		if x.want != "" && x.have != "" && !strings.EqualFold(x.want, x.have) {
			return fmt.Sprintf("%s %s, not %s", x.what, x.want, x.have)
		}
	}
	if r.GetUseSpot() && !have.GetSpot() {
		return "spot machines, not on-demand ones"
	}
	if r.GetAccelerator() == "" {
		return ""
	}
	const tolerance = 0.01
	if !strings.EqualFold(r.GetAccelerator(), have.GetAccelerator()) || r.GetAcceleratorCount() > have.GetAcceleratorCount()+tolerance {
		got := "no accelerator"
		if have.GetAccelerator() != "" {
			got = have.GetAccelerator() + ":" + number(have.GetAcceleratorCount())
		}
		return fmt.Sprintf("%s:%s, not %s", r.GetAccelerator(), number(r.GetAcceleratorCount()), got)
	}
	return ""
}
