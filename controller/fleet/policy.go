package fleet

import (
	"encoding/json"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"aloft/controller/state"
	agentv1 "aloft/proto/sky/agent/v1"
	statev1 "aloft/proto/sky/state/v1"
)

// policy tells the agent what to enforce on its node, when that has changed.
func (a *assigned) policy(sn *snapshot) error {
	c, n := sn.cluster, sn.node
	p := &agentv1.NodePolicy{
		Autostop: c.GetAutostop(), Budget: c.GetBudget(), DeadlineMs: n.GetDeadlineMs(), Slot: n.GetSlot(),
		HourlyPrice: n.GetCandidate().GetHourlyPrice(), Nodes: c.GetNumNodes(), KeepEvidence: a.s.f.o.Shared,
	}
	if as := c.GetAutostop(); n.GetPoweroffSettable() && n.GetPoweroffKeeps() == as.GetDown() {
		p.Autostop = nil // a shutdown would do the other thing: first the place is told
	}
	p.BilledMs, p.BillingSinceMs = billed(c)
	for _, m := range sn.nodes {
		if !state.NodeEnded(m.GetPhase()) {
			p.Peers = append(p.Peers, &agentv1.Peer{
				Slot: m.GetSlot(), NodeId: m.GetId(), Address: m.GetAddress(), GangAddress: m.GetGangAddress(),
			})
		}
	}
	slices.SortFunc(p.Peers, func(x, y *agentv1.Peer) int { return int(x.GetSlot() - y.GetSlot()) })
	if proto.Equal(p, a.rules) {
		return nil
	}
	a.rules = proto.CloneOf(p)
	p.SentMs = time.Now().UnixMilli()
	return a.s.send(&agentv1.ControllerFrame{Frame: &agentv1.ControllerFrame_Policy{Policy: p}})
}

// billed is the node time that was paid for in intervals that are over, and since when the cluster is being billed now.
func billed(c *statev1.Cluster) (past, since int64) {
	for _, b := range c.GetBilling() {
		if b.GetEndMs() == 0 {
			if since == 0 || b.GetStartMs() < since {
				since = b.GetStartMs()
			}
			continue
		}
		past += (b.GetEndMs() - b.GetStartMs()) * int64(b.GetNodes())
	}
	return past, since
}

// clusterInfo is SKYPILOT_CLUSTER_INFO.
func clusterInfo(sn *snapshot) string {
	cand := sn.node.GetCandidate()
	b, err := json.Marshal(map[string]string{
		"cluster_name": sn.cluster.GetName(), "cloud": cand.GetProvider(), "region": cand.GetRegion(), "zone": cand.GetZone(),
	})
	if err != nil {
		return "{}" // strings always encode
	}
	return string(b)
}

// upgrade asks an agent of another build to become the one that this controller carries.
func (s *session) upgrade() error {
	if s.f.o.Agent == nil {
		return nil
	}
	facts := s.hello.GetFacts()
	b, err := s.f.o.Agent(facts.GetOs(), facts.GetArch())
	if err != nil {
		s.f.log.Warn("no agent for a node's platform", "node", s.nd.id, "err", err)
		return nil
	}
	if b.SHA256 == s.hello.GetBinarySha256() || !s.hello.GetHandoverOk() {
		return nil
	}
	s.f.log.Info("upgrading an agent", "node", s.nd.id, "from", s.hello.GetVersion(), "to", b.Version)
	return s.send(&agentv1.ControllerFrame{Frame: &agentv1.ControllerFrame_Upgrade{
		Upgrade: &agentv1.Upgrade{Sha256: b.SHA256, Version: b.Version}}})
}
