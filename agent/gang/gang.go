// Package gang holds together the nodes of one job without the controller: two barriers (ready, release) and the rule
// that one rank's failure stops the others. The agent of rank 0 leads; the others' agents call it over mutual TLS under
// the cluster's own CA. Both sides tell one another states, and tell them again after every reconnect, so a lost or a
// repeated message changes nothing. See gang.proto.
//
// The same connections carry how idle each node is to slot 0, which decides when the whole cluster is.
package gang

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"aloft/agent/supervise"
	agentv1 "aloft/proto/sky/agent/v1"
	statev1 "aloft/proto/sky/state/v1"
)

// DefaultGrace is how long another node of a job may be silent before the attempt ends.
const DefaultGrace = 60 * time.Second

// Options adjust a Gang.
type Options struct {
	StateDir string
	// Address is the host:port to listen on; "" = a free port on the address that peers would use.
	Address string
	Grace   time.Duration // 0 = DefaultGrace
	Log     *slog.Logger
	// Release makes durable that a job was released with a rendezvous port, before anybody is told.
	Release func(ctx context.Context, key string, port int32) error
	// Off ends this node by slot 0's order.
	Off func(o *agentv1.NodeOrder)
}

// Gang is one node's end of all the jobs it shares with others. It is safe for concurrent use.
type Gang struct {
	o   Options
	tls *identity

	mu      sync.Mutex
	ctx     context.Context
	address string
	listen  net.Listener
	leads   map[string]*lead               // jobs whose rank 0 is here
	parts   map[string]*part               // jobs whose rank 0 is elsewhere
	links   map[string]*outward            // by the leader's node id
	inward  map[string]*inward             // by the member's node id
	early   map[string]map[int32]*reported // reports about jobs that are not assigned here yet
	policy  *agentv1.NodePolicy
	nodes   map[string]*agentv1.NodeReport // slot 0: how idle the others are
	wg      sync.WaitGroup
}

// reported is what a node said before its word could be checked against an assignment.
type reported struct {
	node   string
	report *agentv1.MemberReport
}

var _ supervise.Gang = (*Gang)(nil)

// New makes a Gang; Listen must follow.
func New(o Options) *Gang {
	if o.Grace <= 0 {
		o.Grace = DefaultGrace
	}
	return &Gang{
		o: o, tls: new(identity), leads: make(map[string]*lead), parts: make(map[string]*part),
		links: make(map[string]*outward), inward: make(map[string]*inward),
		early: make(map[string]map[int32]*reported), nodes: make(map[string]*agentv1.NodeReport),
	}
}

// Listen makes or reads the node's key and opens the port, the same as before when it is free.
func (g *Gang) Listen(id *agentv1.NodeIdentity) error {
	if err := g.tls.load(g.o.StateDir); err != nil {
		return err
	}
	if len(id.GetGangCert()) > 0 {
		if err := g.tls.set(id.GetGangCert(), id.GetGangCa()); err != nil {
			g.o.Log.Warn("the gang's certificate is not usable", "err", err)
		}
	}
	l, address, err := listen(id.GetGangAddress(), g.o.Address)
	if err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.listen, g.address = l, address
	return nil
}

// Address is host:port where other agents reach this one.
func (g *Gang) Address() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.address
}

// PublicKey is what the controller signs, PKIX DER.
func (g *Gang) PublicKey() []byte { return g.tls.public() }

// SetCertificate takes the controller's signature of the key and the cluster's CA, both PEM.
func (g *Gang) SetCertificate(cert, ca []byte) error { return g.tls.set(cert, ca) }

// Run serves and calls other agents until ctx ends.
func (g *Gang) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	g.mu.Lock()
	g.ctx = ctx
	for _, l := range g.links {
		g.startLink(l)
	}
	g.mu.Unlock()
	g.wg.Go(func() { g.watch(ctx) })
	err := g.serve(ctx)
	cancel()
	g.wg.Wait()
	return err
}

// Enter implements supervise.Gang. Entering again brings new addresses.
func (g *Gang) Enter(a *agentv1.Assignment, released int32, stop func(*agentv1.StopCause)) supervise.Part {
	key := supervise.Key(a.GetJobId(), a.GetAttempt())
	g.mu.Lock()
	defer g.mu.Unlock()
	if a.GetRank() == 0 {
		l := g.leads[key]
		if l == nil {
			l = newLead(g, key, a, stop)
			g.leads[key] = l
			if released >= 0 {
				l.released, l.port = true, released
			}
		}
		l.a = a
		for slot, r := range g.early[key] {
			if l.isPeer(slot, r.node) {
				l.hear(r.report)
			}
		}
		delete(g.early, key)
		return l
	}
	p := g.parts[key]
	if p == nil {
		p = newPart(g, key, a, stop)
		g.parts[key] = p
	}
	p.a = a
	if leader := peerOfRank(a, 0); leader != nil {
		p.link = g.link(leader.GetNodeId(), leader.GetGangAddress())
		p.link.say(key, &agentv1.MemberFrame{Frame: &agentv1.MemberFrame_Report{Report: p.report}})
	}
	return p
}

// Cluster implements supervise.Gang.
func (g *Gang) Cluster(p *agentv1.NodePolicy) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.policy = p
	if p.GetSlot() == 0 || !p.GetAutostop().GetEnabled() {
		return
	}
	for _, peer := range p.GetPeers() {
		if peer.GetSlot() == 0 && peer.GetNodeId() != "" {
			g.link(peer.GetNodeId(), peer.GetGangAddress())
		}
	}
}

// Report implements supervise.Gang.
func (g *Gang) Report(own *agentv1.NodeReport) *agentv1.NodeReport {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.policy.GetSlot() != 0 {
		for _, peer := range g.policy.GetPeers() {
			if l := g.links[peer.GetNodeId()]; peer.GetSlot() == 0 && l != nil {
				l.say("", &agentv1.MemberFrame{Frame: &agentv1.MemberFrame_Node{Node: own}})
			}
		}
		return nil
	}
	all := proto.CloneOf(own)
	for _, peer := range g.policy.GetPeers() {
		if peer.GetSlot() == 0 {
			continue
		}
		r := g.nodes[peer.GetNodeId()]
		if r == nil {
			all.Busy = true // never heard of: nobody can say that it is idle
			continue
		}
		all.Busy = all.Busy || r.GetBusy()
		all.IdleSinceMs = max(all.IdleSinceMs, r.GetIdleSinceMs())
	}
	return all
}

// Off implements supervise.Gang.
func (g *Gang) Off(o *agentv1.NodeOrder) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.policy.GetSlot() != 0 {
		return
	}
	for _, in := range g.inward {
		in.out.put("", &agentv1.LeaderFrame{Frame: &agentv1.LeaderFrame_Node{Node: o}})
	}
}

// watch ends the attempts whose other nodes have been silent for too long.
func (g *Gang) watch(ctx context.Context) {
	every := min(max(g.o.Grace/10, 10*time.Millisecond), time.Second)
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
		for _, call := range g.silent(time.Now()) {
			call()
		}
	}
}

// silent finds what ends because of silence. The calls are made without the lock.
func (g *Gang) silent(now time.Time) []func() {
	g.mu.Lock()
	defer g.mu.Unlock()
	var calls []func()
	for _, p := range g.parts {
		if c := p.silence(now); c != nil {
			stop := p.stop
			calls = append(calls, func() { stop(c) })
		}
	}
	for _, l := range g.leads {
		if c := l.silence(now); c != nil {
			stop := l.stop
			calls = append(calls, func() { stop(c) })
		}
	}
	return calls
}

// later calls fn without the lock; the caller may hold it.
func (g *Gang) later(fn func()) { g.wg.Go(fn) }

func peerOfRank(a *agentv1.Assignment, rank int32) *agentv1.Peer {
	for _, p := range a.GetPeers() {
		if p.GetRank() == rank {
			return p
		}
	}
	return nil
}

// causeOf is why the others stop when a part failed with f. What was the user's doing on one rank is not the failure of
// the others; what ended the job as a whole is.
func causeOf(f *statev1.Failure, grace int64) *agentv1.StopCause {
	c := &agentv1.StopCause{Reason: f.GetMessage(), GraceMs: grace, AtMs: time.Now().UnixMilli()}
	if f.GetKind() == statev1.FailureKind_TIMEOUT || f.GetKind() == statev1.FailureKind_INFRA {
		c.Failure = f
	}
	return c
}

func silentFailure(who string, d time.Duration) *statev1.Failure {
	return &statev1.Failure{
		Kind: statev1.FailureKind_INFRA, Scope: "node", Code: "GANG_SILENT", AtMs: time.Now().UnixMilli(),
		Message: fmt.Sprintf("%s has been silent for %s", who, d.Round(time.Millisecond)),
	}
}

var errStopped = errors.New("another rank ended the job")
