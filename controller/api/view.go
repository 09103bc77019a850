package api

import (
	"fmt"
	"sort"
	"strings"

	"aloft/controller/state"
	"aloft/controller/store"
	controlv1 "aloft/proto/sky/control/v1"
	statev1 "aloft/proto/sky/state/v1"
)

// clusterView is a cluster as users see it.
func (s *Server) clusterView(tx store.Tx, c *statev1.Cluster, countJobs bool) *controlv1.ClusterView {
	nodes := store.NodesOf(tx, c.GetId())
	live := nodes[:0:0]
	for _, n := range nodes {
		if !state.NodeEnded(n.GetPhase()) {
			live = append(live, n)
		}
	}
	sort.Slice(live, func(i, j int) bool { return live[i].GetSlot() < live[j].GetSlot() })
	now := s.now().UnixMilli()
	v := &controlv1.ClusterView{Cluster: c, Nodes: live, Status: state.ClusterStatus(c, nodes),
		Cost: state.Cost(c, now), HourlyPrice: state.HourlyPrice(c), CostUnknown: state.CostUnknown(c)}
	cand := candidateOf(c, live)
	v.InfraText = infraText(cand)
	v.ResourcesText = resourcesText(c.GetNumNodes(), cand)
	v.AutostopText = autostopText(c.GetAutostop())
	if countJobs && c.GetLastJob() > 0 && c.GetEndedMs() == 0 {
		for _, j := range store.OpenJobsOf(tx, c.GetId()) {
			switch p := j.GetPhase(); {
			case p >= statev1.JobPhase_JOB_STAGING:
				v.JobsRunning++
			default:
				v.JobsPending++
			}
		}
	}
	// The CA's key never leaves the store.
	c.CaKeySealed = nil
	return v
}

// candidateOf is where a cluster is, or is being brought up.
func candidateOf(c *statev1.Cluster, live []*statev1.Node) *statev1.Candidate {
	for _, n := range live {
		if n.GetCandidate() != nil {
			return n.GetCandidate()
		}
	}
	if i := c.GetCandidate(); i >= 0 && int(i) < len(c.GetCandidates()) {
		return c.GetCandidates()[i]
	}
	return nil
}

func infraText(c *statev1.Candidate) string {
	if c == nil {
		return "-"
	}
	name := c.GetProvider()
	if len(name) <= 3 {
		name = strings.ToUpper(name)
	}
	place := c.GetZone()
	if place == "" {
		place = c.GetRegion()
	}
	if place == "" || place == c.GetProvider() {
		return name
	}
	return name + " (" + place + ")"
}

func resourcesText(nodes int32, c *statev1.Candidate) string {
	if c == nil {
		return fmt.Sprintf("%dx(-)", nodes)
	}
	var parts []string
	if c.GetAccelerator() != "" {
		parts = append(parts, fmt.Sprintf("gpus=%s:%s", c.GetAccelerator(), num(c.GetAcceleratorCount())))
	}
	if c.GetCpus() > 0 {
		parts = append(parts, "cpus="+num(c.GetCpus()))
	}
	if c.GetMemoryGb() > 0 {
		parts = append(parts, "mem="+num(c.GetMemoryGb()))
	}
	if t := c.GetInstanceType(); t != "" && t != "local" {
		if c.GetSpot() {
			t = "[spot] " + t
		}
		parts = append(parts, t)
	}
	return fmt.Sprintf("%dx(%s)", nodes, strings.Join(parts, ", "))
}

func autostopText(a *statev1.Autostop) string {
	if !a.GetEnabled() {
		return "-"
	}
	s := fmt.Sprintf("%dm", a.GetIdleMinutes())
	if a.GetDown() {
		s += " (down)"
	}
	return s
}

func num(v float64) string {
	s := strings.TrimRight(fmt.Sprintf("%.2f", v), "0")
	return strings.TrimSuffix(s, ".")
}

// jobView is a job as users see it, without what is sealed.
func jobView(j *statev1.Job) *controlv1.JobView {
	j.SealedSecrets = nil
	return &controlv1.JobView{Job: j, Status: state.JobStatus(j)}
}
