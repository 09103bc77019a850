package reconcile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"aloft/controller/plan"
	statev1 "aloft/proto/sky/state/v1"
	"aloft/providers"
)

// effect is one call with all it needs, taken from the records as they were committed.
type effect struct {
	loop         *Loop
	action       plan.Action
	cluster      *statev1.Cluster
	node         *statev1.Node
	intent       *statev1.Intent
	installation string
}

// start makes the call of a in a goroutine of its own; what it finds out comes back through the queue.
func (l *Loop) start(ctx context.Context, id string, c *cluster, d *plan.Draft, a plan.Action) {
	e := &effect{
		loop: l, action: a, cluster: d.Cluster, node: findNode(d.Nodes, a.Node()), intent: d.Intents[a.Node()],
		installation: d.Installation,
	}
	limit := l.o.CallLimit
	switch a.(type) {
	case plan.Ship, plan.Connect:
		limit = l.o.ShipLimit
	case plan.AskQuota:
		limit = min(limit, quotaLimit)
	}
	cctx, cancel := context.WithTimeout(ctx, limit)
	switch a.(type) {
	case plan.Ship, plan.Connect, plan.AskQuota:
		c.cancel[a.Node()] = cancel
	}
	attempt := e.node.GetAttempt()
	name := effectName(a)
	l.o.Crash("before-" + name) // here and not in the goroutine, so that the order of points is that of the plan
	l.effects.Go(func() {
		defer cancel()
		select {
		case l.slots <- struct{}{}:
			defer func() { <-l.slots }()
		case <-ctx.Done():
			return
		}
		o := e.run(cctx)
		o.NodeID, o.Attempt, o.Effect = a.Node(), attempt, a
		l.o.Crash("after-" + name)
		if ctx.Err() != nil {
			return // the records say that the call was under way; the next controller takes it from there
		}
		if o.Problem != nil {
			l.o.Log.Warn(name, "cluster", e.cluster.GetName(), "node", e.node.GetName(), "err_kind", o.Problem.Kind.String(), "err", o.Problem.Message)
		}
		l.enqueue(id, &o)
	})
}

// run makes the call.
func (e *effect) run(ctx context.Context) plan.Observation {
	var o plan.Observation
	name := e.node.GetCandidate().GetProvider()
	p, err := e.loop.o.Providers.Get(name)
	if err != nil {
		o.Problem = problem(err)
		return o
	}
	switch a := e.action.(type) {
	case plan.AskQuota:
		if q, ok := p.(providers.QuotaReader); ok {
			spec := providers.CandidateSpec(e.node.GetCandidate())
			spec.Nodes = int(e.cluster.GetNumNodes())
			o.Problem = problem(q.CheckQuota(ctx, spec, spec.Nodes))
		}
	case plan.Remove:
		if f, ok := p.(providers.Finisher); ok {
			o.Problem = problem(f.Finish(ctx, e.clusterTags(), e.node.GetCandidate().GetRegion()))
		}
	case plan.Create:
		e.create(ctx, p, &o)
	case plan.Probe:
		o.Seen = e.look(ctx, p, a.ByToken)
	case plan.Ship:
		o.Problem = problem(e.ship(ctx, p, true))
	case plan.Connect:
		e.connect(ctx, p, a.Reship, &o)
	case plan.Stop:
		if st, ok := p.(providers.Stopper); ok {
			o.Problem = problem(st.Stop(ctx, e.ref()))
		} else {
			o.Problem = &plan.Problem{Kind: providers.Unsupported, Scope: providers.ScopeProvider, Message: name + " cannot stop machines."}
		}
		o.Seen = e.look(ctx, p, false)
	case plan.Start:
		if x, ok := p.(providers.DeadlineExtender); ok && !a.Deadline.IsZero() {
			// First: a machine that starts past its deadline would end at once.
			if o.Problem = problem(x.ExtendDeadline(ctx, e.ref(), a.Deadline)); o.Problem != nil {
				o.Seen = e.look(ctx, p, false)
				return o
			}
		}
		if st, ok := p.(providers.Stopper); ok {
			o.Problem = problem(st.Start(ctx, e.ref()))
		} else {
			o.Problem = &plan.Problem{Kind: providers.Unsupported, Scope: providers.ScopeProvider, Message: name + " cannot start machines."}
		}
		if o.Problem != nil {
			o.Seen = e.look(ctx, p, false)
		}
	case plan.Delete:
		e.remove(ctx, p, &o)
	case plan.PowerOff:
		if x, ok := p.(providers.PowerOffSetter); ok {
			o.Problem = problem(x.SetPowerOff(ctx, e.ref(), a.Keep))
		}
	case plan.Extend:
		if x, ok := p.(providers.DeadlineExtender); ok {
			o.Problem = problem(x.ExtendDeadline(ctx, e.ref(), a.Deadline))
		}
	}
	return o
}

func (e *effect) ref() providers.InstanceRef {
	return providers.InstanceRef{ID: e.node.GetInstanceId(), Region: e.node.GetCandidate().GetRegion(), Zone: e.node.GetCandidate().GetZone()}
}

// create asks for the machine. Where nothing remembers tokens, a repeated call looks for the machine first.
func (e *effect) create(ctx context.Context, p providers.Provider, o *plan.Observation) {
	caps := p.Capabilities()
	if caps.Idempotency == providers.IdempotencyNone && e.node.GetTries() > 1 {
		seen := e.look(ctx, p, true)
		if seen.Problem != nil {
			o.Problem = seen.Problem
			return
		}
		for _, in := range seen.Instances {
			if in.State.Alive() {
				o.Created = &in
				return
			}
		}
	}
	r := providers.CreateRequest{
		Token: e.intent.GetToken(), Name: e.node.GetName(), Spec: providers.CandidateSpec(e.node.GetCandidate()), Tags: e.tags(),
	}
	r.Spec.Nodes, r.Keys = int(e.cluster.GetNumNodes()), e.keys()
	if e.node.GetDeadlineMs() > 0 {
		r.Lease, r.Issued = time.UnixMilli(e.node.GetDeadlineMs()), time.UnixMilli(e.intent.GetFirstMs())
		r.Deadline = r.Lease
	}
	if e.node.GetHardEndMs() > 0 {
		r.Deadline = time.UnixMilli(e.node.GetHardEndMs())
	}
	in, err := p.Create(ctx, r)
	if err != nil {
		o.Problem = problem(err)
		return
	}
	o.Created = &in
}

func (e *effect) tags() providers.Tags {
	return providers.Tags{
		Installation: e.installation, ClusterID: e.cluster.GetId(), ClusterName: e.cluster.GetName(), NodeID: e.node.GetId(),
		Attempt: e.node.GetAttempt(), Epoch: e.intent.GetEpoch(), Owner: e.cluster.GetUser(), CI: ciTags(e.cluster.GetCi()),
	}
}

func ciTags(c *statev1.CIRun) providers.CIRun {
	return providers.CIRun{System: c.GetSystem(), Repository: c.GetRepository(), Run: c.GetRun(), Job: c.GetJob(), Group: c.GetGroup(), Key: c.GetKey()}
}

// clusterTags are those of what the cluster's machines share.
func (e *effect) clusterTags() providers.Tags {
	return providers.Tags{Installation: e.installation, ClusterID: e.cluster.GetId(), ClusterName: e.cluster.GetName(), Owner: e.cluster.GetUser()}
}

// quotaLimit is how long the question after a quota may take: the create call will tell anyway.
const quotaLimit = 20 * time.Second

// keys are those of the machine; none when there is no source of keys.
func (e *effect) keys() providers.Keys {
	if e.loop.o.Keys == nil {
		return providers.Keys{}
	}
	return e.loop.o.Keys(e.cluster, e.node)
}

// remove ends the machine and looks. Where nothing remembers tokens, a late call may have made another one under the
// same token: that ends, too.
func (e *effect) remove(ctx context.Context, p providers.Provider, o *plan.Observation) {
	o.Problem = problem(p.Delete(ctx, e.ref()))
	o.Seen = e.look(ctx, p, false)
	if p.Capabilities().Idempotency == providers.IdempotencyToken || o.Seen.Problem != nil {
		return
	}
	more := e.look(ctx, p, true)
	if more.Problem != nil {
		o.Seen.Problem = more.Problem
		return
	}
	o.Seen.ByToken = true
	for _, in := range more.Instances {
		if in.ID == e.node.GetInstanceId() {
			continue
		}
		o.Seen.Instances = append(o.Seen.Instances, in)
		if in.State.Alive() {
			if err := p.Delete(ctx, in.InstanceRef); err != nil && o.Problem == nil {
				o.Problem = problem(err)
			}
		}
	}
}

// look asks how the machine is.
func (e *effect) look(ctx context.Context, p providers.Provider, byToken bool) *plan.Seen {
	sel := providers.Selector{Region: e.node.GetCandidate().GetRegion()}
	if byToken {
		sel.Token = e.intent.GetToken()
	} else {
		sel.IDs = []string{e.node.GetInstanceId()}
	}
	seen := &plan.Seen{At: time.Now()}
	for in, err := range p.Describe(ctx, sel) {
		if err != nil {
			seen.Problem = problem(err)
			return seen
		}
		seen.Instances = append(seen.Instances, in)
	}
	return seen
}

// connect opens the session of a machine again if the machine still runs.
func (e *effect) connect(ctx context.Context, p providers.Provider, reship bool, o *plan.Observation) {
	seen := e.look(ctx, p, false)
	if seen.Problem != nil {
		o.Problem = seen.Problem
		return
	}
	o.Seen = seen
	for _, in := range seen.Instances {
		if in.State == providers.InstanceRunning {
			o.Problem = problem(e.ship(ctx, p, reship))
			return
		}
	}
	o.Problem = &plan.Problem{Kind: providers.Transient, Scope: providers.ScopeZone, Code: "not-running", Message: "The machine of " + e.node.GetName() + " is not running."}
}

// ship installs the agent (unless it is there) and opens the session.
func (e *effect) ship(ctx context.Context, p providers.Provider, install bool) error {
	sp, ok := p.(providers.Sheller)
	if !ok {
		return &providers.Error{Provider: p.Name(), Op: "shell", Kind: providers.Unsupported, Scope: providers.ScopeProvider, Err: errors.New("no way to run commands there")}
	}
	in := providers.Instance{
		InstanceRef: e.ref(), Token: e.intent.GetToken(), State: providers.InstanceRunning, Address: e.node.GetAddress(),
		PublicAddress: e.node.GetPublicAddress(), Tags: e.tags(),
	}
	keys := e.keys()
	if install {
		sh, err := sp.Shell(ctx, in, keys)
		if err != nil {
			return fmt.Errorf("open shell on %s: %w", e.node.GetName(), err)
		}
		err = e.loop.o.Shipper.Ship(ctx, e.cluster, e.node, sh)
		if cerr := sh.Close(); err == nil && cerr != nil {
			err = cerr
		}
		if err != nil {
			return fmt.Errorf("install agent on %s: %w", e.node.GetName(), err)
		}
	}
	dial := func(ctx context.Context) (net.Conn, error) {
		sh, err := sp.Shell(ctx, in, keys)
		if err != nil {
			return nil, fmt.Errorf("open shell on %s: %w", e.node.GetName(), err)
		}
		if e.loop.o.Dial == nil {
			return nil, errors.Join(errors.New("no way to the agent's socket is configured"), sh.Close())
		}
		conn, err := e.loop.o.Dial(ctx, e.cluster, e.node, sh)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("reach the agent of %s: %w", e.node.GetName(), err), sh.Close())
		}
		return &shellConn{Conn: conn, sh: sh}, nil
	}
	if err := e.loop.o.Connector.Connect(ctx, e.cluster, e.node, dial); err != nil {
		return fmt.Errorf("open session with %s: %w", e.node.GetName(), err)
	}
	return nil
}

// shellConn is a stream that keeps its shell open as long as it lives.
type shellConn struct {
	net.Conn
	sh io.Closer
}

// Close closes the stream, then its shell.
func (c *shellConn) Close() error { return errors.Join(c.Conn.Close(), c.sh.Close()) }

// problem classifies an error by its *providers.Error; nil gives nil.
func problem(err error) *plan.Problem {
	if err == nil {
		return nil
	}
	p := &plan.Problem{Kind: providers.KindUnknown, Scope: providers.ScopeZone, Code: "unknown", Message: err.Error()}
	var e *providers.Error
	switch {
	case errors.As(err, &e):
		p.Kind, p.Scope, p.Code, p.Hint, p.RetryAfter = e.Kind, e.Scope, e.Code, e.Hint, e.RetryAfter
	case errors.Is(err, context.DeadlineExceeded):
		p.Kind, p.Code = providers.Transient, "timeout"
	case errors.Is(err, context.Canceled):
		p.Kind, p.Code = providers.Transient, "canceled"
	}
	p.Message, p.Hint, p.Code = text(p.Message), text(p.Hint), text(p.Code)
	return p
}

// textLimit is how much of a failure's words is kept.
const textLimit = 2000

// text is what may be recorded of words that come from elsewhere: what a machine printed can be anything.
func text(s string) string {
	s = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || unicode.IsControl(r) && r != '\n' && r != '\t' {
			return '?'
		}
		return r
	}, s)
	if len(s) > textLimit {
		s = strings.ToValidUTF8(s[:textLimit], "") + " ..."
	}
	return s
}
