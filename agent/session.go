package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"aloft/agent/link"
	agentv1 "aloft/proto/sky/agent/v1"
)

const defaultHeartbeat = 15 * time.Second

// errCluster means that a controller wants this node for another cluster than the one it belongs to.
var errCluster = errors.New("this agent belongs to another cluster")

// Hello implements link.Agent.
func (a *agent) Hello() *agentv1.Hello {
	id := a.sup.Identity()
	set, seq := a.sup.Applied()
	return &agentv1.Hello{
		AgentId: id.GetAgentId(), NodeId: a.o.NodeID, BootId: a.boot, SessionNonce: randomID(),
		MaxEpochSeen: id.GetMaxEpoch(), Facts: a.wireFacts(), Version: a.o.Version, BinarySha256: a.digest,
		GangAddress: a.gang.Address(), GangPublicKey: a.gang.PublicKey(), AppliedSet: set, StatusSeq: seq, HandoverOk: true, Features: []string{"held"},
	}
}

// Welcome implements link.Agent.
func (a *agent) Welcome(ack *agentv1.HelloAck) error {
	var refused error
	ctx, cancel := context.WithTimeout(a.ctx, handshakeDisk)
	defer cancel()
	err := a.sup.SetIdentity(ctx, func(id *agentv1.NodeIdentity) {
		switch {
		case ack.GetEpoch() < id.GetMaxEpoch():
			refused = link.ErrStale
			return
		case id.GetClusterId() != "" && ack.GetClusterId() != id.GetClusterId():
			refused = fmt.Errorf("%s, not %s: %w", id.GetClusterName(), ack.GetClusterName(), errCluster)
			return
		}
		id.MaxEpoch = ack.GetEpoch()
		id.ClusterId, id.ClusterName, id.Installation = ack.GetClusterId(), ack.GetClusterName(), ack.GetInstallation()
		if len(ack.GetGangCert()) > 0 {
			id.GangCert, id.GangCa = ack.GetGangCert(), ack.GetGangCa()
		}
	})
	if err := errors.Join(refused, err); err != nil {
		return err
	}
	a.sup.Ack(ack.GetStatusAcked())
	if len(ack.GetGangCert()) > 0 {
		return a.gang.SetCertificate(ack.GetGangCert(), ack.GetGangCa())
	}
	return nil
}

// handshakeDisk is how long the handshake may wait for the disk.
const handshakeDisk = 30 * time.Second

// Serve implements link.Agent.
func (a *agent) Serve(ctx context.Context, s *link.Session) error {
	if s.Ack.GetTellHeld() {
		// The controller lost its records. What it makes of this ends the session; the next one is as usual.
		a.uploads.again()
		a.mounts.Again()
		held := &agentv1.Held{Jobs: a.sup.Held(), Policy: a.sup.Policy()}
		if err := s.Send(&agentv1.AgentFrame{Frame: &agentv1.AgentFrame_Held{Held: held}}); err != nil {
			return err
		}
	}
	g, ctx := errgroup.WithContext(ctx)
	// One part that fails ends the session: the others wait on the stream.
	stop := context.AfterFunc(ctx, s.Close)
	defer stop()
	a.setSession(s)
	defer a.setSession(nil)
	a.mounts.SetGateway(s.Gateway)
	defer a.mounts.SetGateway(nil)
	g.Go(func() error { return a.receive(ctx, s) })
	g.Go(func() error { return a.sendStatuses(ctx, s) })
	g.Go(func() error { return a.heartbeat(ctx, s) })
	g.Go(func() error { return a.uploads.serve(ctx, s) })
	return g.Wait()
}

func (a *agent) setSession(s *link.Session) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.session = s
}

// evidence implements supervise.Options.Evidence.
func (a *agent) evidence() (reads, left bool, moved time.Time) {
	a.mu.Lock()
	reads = a.session != nil
	a.mu.Unlock()
	logs, read := a.uploads.left()
	files, sent := a.mounts.Left()
	if sent.After(read) {
		read = sent
	}
	return reads, logs || files, read
}

// announce implements supervise.Options.Announce.
func (a *agent) announce(why *agentv1.Autostopping) {
	a.mu.Lock()
	s := a.session
	a.mu.Unlock()
	if s == nil {
		return
	}
	if err := s.Send(&agentv1.AgentFrame{Frame: &agentv1.AgentFrame_Autostopping{Autostopping: why}}); err != nil {
		a.log.Info("cannot announce the end of the node", "err", err)
	}
}

// receive does what the controller says. The stream ends with ctx.
func (a *agent) receive(ctx context.Context, s *link.Session) error {
	var parts *agentv1.AssignmentSet // of a FULL set whose end is not here yet
	for {
		f, err := s.Recv()
		if err != nil {
			return err
		}
		a.memory.busy()
		switch f := f.GetFrame().(type) {
		case *agentv1.ControllerFrame_Assignments:
			set := f.Assignments
			if parts != nil && set.GetFull() && set.GetSetId() == parts.GetSetId() {
				parts.Items = append(parts.Items, set.GetItems()...)
				parts.Forget = append(parts.Forget, set.GetForget()...)
				parts.More = set.GetMore()
				set = parts
			}
			if parts = nil; set.GetFull() && set.GetMore() {
				parts = set
				continue
			}
			if err := a.assign(ctx, s, set); err != nil {
				return err
			}
		case *agentv1.ControllerFrame_StatusAck:
			a.sup.Ack(f.StatusAck.GetSeq())
		case *agentv1.ControllerFrame_Policy:
			a.mounts.Keep(f.Policy.GetKeepEvidence())
			if err := a.sup.SetPolicy(ctx, f.Policy); err != nil {
				return err
			}
		case *agentv1.ControllerFrame_Upgrade:
			a.follows.Go(func() { a.replace(ctx, f.Upgrade) })
		case *agentv1.ControllerFrame_Drain:
			a.log.Info("draining", "reason", f.Drain.GetReason())
		case *agentv1.ControllerFrame_Unsupported:
			a.log.Info("the controller does not know a frame", "field", f.Unsupported.GetField())
		}
	}
}

func (a *agent) assign(ctx context.Context, s *link.Session, set *agentv1.AssignmentSet) error {
	applied, ok, err := a.sup.Apply(ctx, set)
	if err != nil {
		return err
	}
	return s.Send(&agentv1.AgentFrame{Frame: &agentv1.AgentFrame_Accepted{
		Accepted: &agentv1.Accepted{SetId: applied, Mismatch: !ok}}})
}

// sendStatuses sends what is durable and not acknowledged, from the start of each session.
func (a *agent) sendStatuses(ctx context.Context, s *link.Session) error {
	seq := s.Ack.GetStatusAcked()
	for {
		sts, err := a.sup.Statuses(ctx, seq)
		if err != nil {
			return err
		}
		for _, st := range sts {
			if err := s.Send(&agentv1.AgentFrame{Frame: &agentv1.AgentFrame_Status{Status: st}}); err != nil {
				return err
			}
			seq = st.GetSeq()
		}
	}
}

// heartbeat tells the controller that the node is there, at the pace it asked for.
func (a *agent) heartbeat(ctx context.Context, s *link.Session) error {
	every := time.Duration(s.Ack.GetHeartbeatMs()) * time.Millisecond
	if every <= 0 {
		every = defaultHeartbeat
	}
	t := time.NewTicker(every)
	defer t.Stop()
	for n := uint64(1); ; n++ {
		hb := a.pulse()
		hb.N = n
		if err := s.Send(&agentv1.AgentFrame{Frame: &agentv1.AgentFrame_Heartbeat{Heartbeat: hb}}); err != nil {
			return err
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
