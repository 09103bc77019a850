package gang

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"aloft/agent/supervise"
	agentv1 "aloft/proto/sky/agent/v1"
)

// part is a job whose rank 0 is on another node. The gang's lock guards it.
type part struct {
	g    *Gang
	key  string
	a    *agentv1.Assignment
	stop func(*agentv1.StopCause)
	link *outward

	report  *agentv1.MemberReport // what rank 0's agent is told
	state   agentv1.OrderState    // what it answered
	meeting supervise.Meeting
	since   time.Time // when this part became ready: silence counts from here
	stopped bool
	changed chan struct{}
}

func newPart(g *Gang, key string, a *agentv1.Assignment, stop func(*agentv1.StopCause)) *part {
	return &part{
		g: g, key: key, a: a, stop: stop, changed: make(chan struct{}),
		report: &agentv1.MemberReport{
			JobId: a.GetJobId(), Attempt: a.GetAttempt(), Slot: a.GetSlot(), Rank: a.GetRank(),
			State: agentv1.MemberState_MEMBER_QUEUED,
		},
	}
}

// obey takes rank 0's order. States only grow.
func (p *part) obey(o *agentv1.LeaderOrder) {
	if o.GetState() <= p.state {
		return
	}
	p.state = o.GetState()
	switch p.state {
	case agentv1.OrderState_ORDER_RELEASE:
		p.meeting = supervise.Meeting{Port: o.GetMasterPort(), BridgePort: o.GetBridgePort(), Secret: o.GetJobSecret()}
	case agentv1.OrderState_ORDER_STOP:
		if !p.stopped && p.report.GetState() != agentv1.MemberState_MEMBER_ENDED {
			p.stopped = true
			stop, c := p.stop, causeOf(o.GetFailure(), o.GetGraceMs())
			p.g.later(func() { stop(c) })
		}
	}
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *part) say(r *agentv1.MemberReport) {
	p.report = r
	if p.link != nil {
		p.link.say(p.key, &agentv1.MemberFrame{Frame: &agentv1.MemberFrame_Report{Report: r}})
	}
}

// Ready implements supervise.Part.
func (p *part) Ready(ctx context.Context) (supervise.Meeting, error) {
	p.g.mu.Lock()
	if p.since.IsZero() {
		p.since = time.Now()
	}
	if p.report.GetState() < agentv1.MemberState_MEMBER_READY {
		r := proto.CloneOf(p.report)
		r.State = agentv1.MemberState_MEMBER_READY
		p.say(r)
	}
	p.g.mu.Unlock()
	for {
		p.g.mu.Lock()
		state, meeting, changed := p.state, p.meeting, p.changed
		p.g.mu.Unlock()
		if state == agentv1.OrderState_ORDER_RELEASE {
			return meeting, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return supervise.Meeting{}, fmt.Errorf("wait for rank 0: %w", context.Cause(ctx))
		}
	}
}

// Others implements supervise.Part; only rank 0 waits for the others.
func (p *part) Others(context.Context) error { return nil }

// Ended implements supervise.Part.
func (p *part) Ended(r *agentv1.MemberReport) {
	p.g.mu.Lock()
	defer p.g.mu.Unlock()
	p.say(r)
}

// Leave implements supervise.Part.
func (p *part) Leave() {
	p.g.mu.Lock()
	defer p.g.mu.Unlock()
	delete(p.g.parts, p.key)
	if p.link != nil {
		p.link.unsay(p.key)
	}
}

// silence finds out that rank 0's node has been silent for longer than the grace while this part needs it.
func (p *part) silence(now time.Time) *agentv1.StopCause {
	if p.since.IsZero() || p.stopped || p.report.GetState() == agentv1.MemberState_MEMBER_ENDED || p.link == nil || p.link.up {
		return nil
	}
	since := p.since
	if p.link.changed.After(since) {
		since = p.link.changed
	}
	d := now.Sub(since)
	if d <= p.g.o.Grace {
		return nil
	}
	p.stopped = true
	return causeOf(silentFailure("the node of rank 0", d), p.a.GetGraceMs())
}
