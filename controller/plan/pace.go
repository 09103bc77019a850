package plan

import (
	"time"

	"aloft/controller/state"
	statev1 "aloft/proto/sky/state/v1"
)

// pace sets the earliest next look at a machine that is waited for.
func (d *Draft) pace(n *statev1.Node) {
	poll := d.Caps[n.GetCandidate().GetProvider()].PollInterval
	if poll == 0 {
		poll = 2 * time.Second
	}
	if n.GetPhase() == statev1.NodePhase_NODE_STOPPED {
		poll = d.Policy.StoppedPause
		if s := d.settle(n.GetCandidate().GetProvider()); d.Now.Sub(time.UnixMilli(n.GetPhaseMs())) < s {
			poll = min(poll, s)
		}
	}
	if n.GetPhase() == statev1.NodePhase_NODE_BOOTING {
		poll = min(poll, early(d.Now.Sub(time.UnixMilli(n.GetPhaseMs())), d.Cluster.GetNumNodes()))
	}
	d.look(n, poll)
}

// early is the pace of looks at a machine that boots: often at first, for some places take seconds, and the less often
// the more machines are looked at.
func early(waited time.Duration, nodes int32) time.Duration {
	p := 250 * time.Millisecond
	switch {
	case waited > 30*time.Second:
		return time.Minute // the place's own pace is shorter
	case waited > 10*time.Second:
		p = time.Second
	case waited > 3*time.Second:
		p = 500 * time.Millisecond
	}
	return p * time.Duration(1+max(nodes, 1)/32)
}

// look sets the earliest next look.
func (d *Draft) look(n *statev1.Node, after time.Duration) {
	d.Looks[n.GetId()] = d.Now.Add(after + state.Jitter(after/8+time.Microsecond, d.Policy.Seed, n.GetId(), d.Now.String()))
}

// retry counts a failed step and says when the next try may be.
func (d *Draft) retry(n *statev1.Node, p *Problem) {
	n.Tries++
	d.retryAt(n, p)
}

func (d *Draft) retryAt(n *statev1.Node, p *Problem) {
	pause := d.backoff(n)
	if p != nil && p.RetryAfter > pause {
		pause = p.RetryAfter + state.Jitter(time.Second, d.Policy.Seed, n.GetId(), "after")
	}
	n.RetryMs = d.Now.Add(pause).UnixMilli()
	d.look(n, pause)
	d.nodeDirty(n)
	if p != nil {
		d.Cluster.LastEvent = p.Message
		d.ClusterDirty = true
	}
}
