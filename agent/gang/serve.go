package gang

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"aloft/agent/supervise"
	agentv1 "aloft/proto/sky/agent/v1"
)

// mostEarly bounds what is remembered of jobs that are not assigned here yet.
const mostEarly = 4096

// inward is another node's call. The gang's lock guards it.
type inward struct {
	out     *mailbox[*agentv1.LeaderFrame]
	up      bool
	changed time.Time
}

// listen opens the port: the former one when it is free, so that addresses in assignments stay right.
func listen(former, wish string) (net.Listener, string, error) {
	if former != "" {
		if _, port, err := net.SplitHostPort(former); err == nil {
			host := ""
			if h, _, err := net.SplitHostPort(wish); err == nil {
				host = h
			}
			if l, err := net.Listen("tcp", net.JoinHostPort(host, port)); err == nil {
				return l, net.JoinHostPort(reachable(host), port), nil // the machine's address may be another one now
			}
		}
	}
	if wish == "" {
		wish = ":0"
	}
	l, err := net.Listen("tcp", wish)
	if errors.Is(err, syscall.EADDRNOTAVAIL) {
		// The machine has another address than when the wish was written down.
		wish = ":0"
		l, err = net.Listen("tcp", wish)
	}
	if err != nil {
		return nil, "", fmt.Errorf("listen for other agents: %w", err)
	}
	host, _, err := net.SplitHostPort(wish)
	if err != nil {
		return nil, "", errors.Join(fmt.Errorf("listen for other agents: %w", err), l.Close())
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		return nil, "", errors.Join(fmt.Errorf("listen for other agents: %w", err), l.Close())
	}
	return l, net.JoinHostPort(reachable(host), port), nil
}

// reachable is the host that peers use for one that is listened on.
func reachable(host string) string {
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		return ownAddress()
	}
	return host
}

// ownAddress is the address this machine speaks from; nothing is sent to find out.
func ownAddress() string {
	c, err := net.Dial("udp", "192.0.2.1:9")
	if err != nil {
		return "127.0.0.1"
	}
	defer func() { _ = c.Close() }()
	host, _, err := net.SplitHostPort(c.LocalAddr().String())
	if err != nil {
		return "127.0.0.1"
	}
	return host
}

func (g *Gang) serve(ctx context.Context) error {
	s := grpc.NewServer(
		grpc.Creds(credentials.NewTLS(g.tls.server())),
		grpc.ReadBufferSize(4<<10), grpc.WriteBufferSize(4<<10), grpc.MaxRecvMsgSize(1<<20),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: pingEvery, Timeout: pingEvery}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: pingEvery / 2, PermitWithoutStream: true}))
	agentv1.RegisterGangServer(s, &service{g: g})
	stop := context.AfterFunc(ctx, s.Stop)
	defer stop()
	g.mu.Lock()
	l := g.listen
	g.mu.Unlock()
	if err := s.Serve(l); err != nil && ctx.Err() == nil {
		return fmt.Errorf("serve other agents: %w", err)
	}
	return nil
}

type service struct {
	agentv1.UnimplementedGangServer
	g *Gang
}

// Join serves one other agent.
func (s *service) Join(stream agentv1.Gang_JoinServer) error {
	node, err := caller(stream.Context())
	if err != nil {
		return err
	}
	if err := stream.SendHeader(metadata.MD{}); err != nil {
		return fmt.Errorf("accept: %w", err)
	}
	g := s.g
	in := &inward{out: newMailbox[*agentv1.LeaderFrame](), up: true, changed: time.Now()}
	g.mu.Lock()
	g.inward[node] = in // a former call's stream is dead or will be
	g.mu.Unlock()
	defer func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		in.up, in.changed = false, time.Now()
	}()
	ctx, cancel := context.WithCancel(stream.Context())
	defer cancel()
	go func() {
		defer cancel()
		for {
			f, ok := in.out.take(ctx)
			if !ok || stream.Send(f) != nil {
				return
			}
		}
	}()
	for {
		f, err := stream.Recv()
		if err != nil {
			return err
		}
		switch f := f.GetFrame().(type) {
		case *agentv1.MemberFrame_Report:
			g.reported(node, f.Report, in)
		case *agentv1.MemberFrame_Node:
			g.mu.Lock()
			g.nodes[node] = f.Node
			g.mu.Unlock()
		case nil:
			in.out.put("?", &agentv1.LeaderFrame{Frame: &agentv1.LeaderFrame_Unsupported{
				Unsupported: &agentv1.GangUnsupported{}}})
		}
	}
}

// reported takes a member's report, also about a job that is not assigned here yet.
func (g *Gang) reported(node string, r *agentv1.MemberReport, in *inward) {
	g.mu.Lock()
	defer g.mu.Unlock()
	key := supervise.Key(r.GetJobId(), r.GetAttempt())
	if l := g.leads[key]; l != nil {
		if l.isPeer(r.GetSlot(), node) {
			l.hear(r)
		}
		return
	}
	if g.early[key] == nil {
		if len(g.early) >= mostEarly {
			return // it says so again when it calls again
		}
		g.early[key] = make(map[int32]*reported)
	}
	g.early[key][r.GetSlot()] = &reported{node: node, report: r}
	in.out.put(key, &agentv1.LeaderFrame{Frame: &agentv1.LeaderFrame_Order{Order: &agentv1.LeaderOrder{
		JobId: r.GetJobId(), Attempt: r.GetAttempt(), State: agentv1.OrderState_ORDER_WAIT, Waiting: "rank 0's node has no such job yet"}}})
}

// caller is the node that calls, by its certificate.
func caller(ctx context.Context) (string, error) {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return "", status.Error(codes.Unauthenticated, "no peer")
	}
	info, ok := p.AuthInfo.(credentials.TLSInfo)
	if !ok || len(info.State.VerifiedChains) == 0 || len(info.State.VerifiedChains[0][0].DNSNames) != 1 {
		return "", status.Error(codes.Unauthenticated, "no certificate of this cluster")
	}
	return info.State.VerifiedChains[0][0].DNSNames[0], nil
}
