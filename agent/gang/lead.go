package gang

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"aloft/agent/supervise"
	agentv1 "aloft/proto/sky/agent/v1"
	statev1 "aloft/proto/sky/state/v1"
)

// lead is a job whose rank 0 is here. The gang's lock guards it.
type lead struct {
	g    *Gang
	key  string
	a    *agentv1.Assignment
	stop func(*agentv1.StopCause)

	members   map[int32]*agentv1.MemberReport // by slot
	ready     bool                            // rank 0 itself
	since     time.Time                       // when it became so: silence counts from here
	releasing bool
	released  bool
	port      int32
	// bridgePort is 0 until it is asked for. It is not durable: ranks that run have been told.
	bridgePort int32
	ended      *agentv1.MemberReport // of rank 0
	failure    *statev1.Failure      // of the first part that failed
	first      int32
	changed    chan struct{}
}

func newLead(g *Gang, key string, a *agentv1.Assignment, stop func(*agentv1.StopCause)) *lead {
	return &lead{
		g: g, key: key, a: a, stop: stop, first: -1,
		members: make(map[int32]*agentv1.MemberReport), changed: make(chan struct{}),
	}
}

// isPeer reports whether a node has the part of the job that it claims.
func (l *lead) isPeer(slot int32, node string) bool {
	for _, p := range l.a.GetPeers() {
		if p.GetSlot() == slot {
			return p.GetNodeId() == node && p.GetRank() != 0
		}
	}
	return false
}

// hear takes a member's report. States only grow.
func (l *lead) hear(r *agentv1.MemberReport) {
	if known := l.members[r.GetSlot()]; known != nil && known.GetState() >= r.GetState() {
		l.order(r.GetSlot())
		return
	}
	l.members[r.GetSlot()] = r
	if r.GetState() == agentv1.MemberState_MEMBER_ENDED && r.GetFailure() != nil {
		l.fail(r.GetFailure(), r.GetRank())
	}
	l.consider()
	l.order(r.GetSlot())
	l.signal()
}

// fail decides the job's end by its first failing part and stops the others.
func (l *lead) fail(f *statev1.Failure, rank int32) {
	if l.failure != nil {
		return
	}
	l.failure, l.first = f, rank
	for _, p := range l.a.GetPeers() {
		l.order(p.GetSlot())
	}
	if l.ended == nil {
		stop, c := l.stop, causeOf(f, l.a.GetGraceMs())
		l.g.later(func() { stop(c) })
	}
	l.signal()
}

// consider releases the ranks when all of them are ready.
func (l *lead) consider() {
	if !l.ready || l.released || l.releasing || l.failure != nil || l.ended != nil || len(l.missing()) > 0 {
		return
	}
	l.releasing = true
	l.g.later(func() {
		port := int32(supervise.FreePort())
		err := l.g.o.Release(l.g.ctx, l.key, port)
		l.g.mu.Lock()
		defer l.g.mu.Unlock()
		l.releasing = false
		if err != nil {
			l.g.o.Log.Warn("a gang was not released", "job", l.key, "err", err)
			return
		}
		if !l.released {
			l.released, l.port = true, port
		}
		for _, p := range l.a.GetPeers() {
			l.order(p.GetSlot())
		}
		l.signal()
	})
}

// missing names the nodes that are not ready.
func (l *lead) missing() []string {
	var out []string
	for _, p := range l.a.GetPeers() {
		m := l.members[p.GetSlot()]
		if p.GetRank() == 0 || m.GetState() == agentv1.MemberState_MEMBER_READY ||
			m.GetState() == agentv1.MemberState_MEMBER_ENDED && m.GetSetupOnly() {
			continue
		}
		out = append(out, fmt.Sprint(p.GetSlot()))
	}
	slices.Sort(out)
	return out
}

// order tells the node of a slot what holds for it, when it is connected.
func (l *lead) order(slot int32) {
	i := slices.IndexFunc(l.a.GetPeers(), func(p *agentv1.Peer) bool { return p.GetSlot() == slot })
	if i < 0 || l.a.GetPeers()[i].GetRank() == 0 {
		return
	}
	in := l.g.inward[l.a.GetPeers()[i].GetNodeId()]
	if in == nil {
		return
	}
	o := &agentv1.LeaderOrder{JobId: l.a.GetJobId(), Attempt: l.a.GetAttempt(), GraceMs: l.a.GetGraceMs()}
	switch m := l.members[slot]; {
	case m == nil:
		return // it has not said anything yet; it will, and is answered then
	case m.GetState() == agentv1.MemberState_MEMBER_ENDED:
		o.State = agentv1.OrderState_ORDER_CLOSED
	case l.failure != nil:
		o.State, o.Failure, o.FirstRank = agentv1.OrderState_ORDER_STOP, l.failure, l.first
	case l.ended != nil:
		o.State, o.Failure = agentv1.OrderState_ORDER_STOP, &statev1.Failure{
			Kind: statev1.FailureKind_INFRA, Scope: "job", Code: "OVER", Message: "the job is over"}
	case l.released:
		o.State, o.MasterPort = agentv1.OrderState_ORDER_RELEASE, l.port
		o.BridgePort, o.JobSecret = l.bridge(), l.secret()
	default:
		o.State, o.Waiting = agentv1.OrderState_ORDER_WAIT, strings.Join(l.missing(), ",")
	}
	in.out.put(l.key, &agentv1.LeaderFrame{Frame: &agentv1.LeaderFrame_Order{Order: o}})
}

func (l *lead) signal() {
	close(l.changed)
	l.changed = make(chan struct{})
}

// wait calls cond under the lock until it says done.
func (l *lead) wait(ctx context.Context, cond func() (done bool, err error)) error {
	for {
		l.g.mu.Lock()
		done, err := cond()
		changed := l.changed
		l.g.mu.Unlock()
		if done || err != nil {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("wait for the other ranks: %w", context.Cause(ctx))
		}
	}
}

// Ready implements supervise.Part.
func (l *lead) Ready(ctx context.Context) (supervise.Meeting, error) {
	l.g.mu.Lock()
	if !l.ready {
		l.ready, l.since = true, time.Now()
	}
	l.consider()
	l.g.mu.Unlock()
	var m supervise.Meeting
	err := l.wait(ctx, func() (bool, error) {
		m = supervise.Meeting{Port: l.port, BridgePort: l.bridge(), Secret: l.secret()}
		return l.released, nil
	})
	return m, err
}

// bridge is the port on which rank 0 takes what other ranks' suites have read: one that is free when first asked for.
func (l *lead) bridge() int32 {
	if l.bridgePort == 0 {
		l.bridgePort = int32(supervise.FreePort())
	}
	return l.bridgePort
}

// secret is known to the ranks of this attempt alone, and the same after a restart of the agent.
func (l *lead) secret() []byte { return l.g.tls.derive("job " + l.key) }

// Others implements supervise.Part.
func (l *lead) Others(ctx context.Context) error {
	return l.wait(ctx, func() (bool, error) {
		if l.failure != nil {
			return true, fmt.Errorf("%s: %w", l.failure.GetMessage(), errStopped)
		}
		for _, p := range l.a.GetPeers() {
			if p.GetRank() != 0 && l.members[p.GetSlot()].GetState() != agentv1.MemberState_MEMBER_ENDED {
				return false, nil
			}
		}
		return true, nil
	})
}

// Ended implements supervise.Part.
func (l *lead) Ended(r *agentv1.MemberReport) {
	l.g.mu.Lock()
	defer l.g.mu.Unlock()
	l.ended = r
	if r.GetFailure() != nil {
		l.fail(r.GetFailure(), 0)
	}
	for _, p := range l.a.GetPeers() {
		l.order(p.GetSlot())
	}
	l.signal()
}

// Leave implements supervise.Part.
func (l *lead) Leave() {
	l.g.mu.Lock()
	defer l.g.mu.Unlock()
	delete(l.g.leads, l.key)
}

// silence finds a member that has been silent for longer than the grace while rank 0 waits for it or runs with it.
func (l *lead) silence(now time.Time) *agentv1.StopCause {
	if !l.ready || l.ended != nil || l.failure != nil {
		return nil
	}
	for _, p := range l.a.GetPeers() {
		if p.GetRank() == 0 || l.members[p.GetSlot()].GetState() == agentv1.MemberState_MEMBER_ENDED {
			continue
		}
		in := l.g.inward[p.GetNodeId()]
		if in != nil && in.up {
			continue
		}
		since := l.since
		if in != nil && in.changed.After(since) {
			since = in.changed
		}
		if d := now.Sub(since); d > l.g.o.Grace {
			f := silentFailure(fmt.Sprintf("the node of slot %d", p.GetSlot()), d)
			l.failure, l.first = f, p.GetRank()
			for _, q := range l.a.GetPeers() {
				l.order(q.GetSlot())
			}
			l.signal()
			return causeOf(f, l.a.GetGraceMs())
		}
	}
	return nil
}
