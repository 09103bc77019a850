package fleet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"

	"aloft/controller/state"
	"aloft/controller/store"
	agentv1 "aloft/proto/sky/agent/v1"
	statev1 "aloft/proto/sky/state/v1"
)

const (
	maxMessage = 32 << 20
	// statusBatch is how many statuses one transaction applies at most.
	statusBatch = 512
)

// session is one stream to one agent and the gRPC server on it.
type session struct {
	agentv1.UnimplementedGatewayServer
	f    *Fleet
	nd   *node
	lis  *oneShot
	once sync.Once
	err  error // why it ended, first cause

	adopting bool // the agent is to tell what it holds, and no more
	recorded bool // the store says that it is open; set before anything else can end it
	hello    *agentv1.Hello
	stream   agentv1.Gateway_SessionServer
	sendMu   sync.Mutex
	begun    chan struct{} // closed when the handshake is done
	frames   chan *agentv1.Status
	lease    *time.Timer
	seen     time.Time // last heartbeat written down
	set      *assigned
}

func newSession(f *Fleet, nd *node) *session {
	s := &session{f: f, nd: nd, begun: make(chan struct{}), frames: make(chan *agentv1.Status, 4*statusBatch)}
	s.set = newAssigned(s)
	return s
}

// serve serves the agent at the other end of conn until the stream ends.
func (s *session) serve(ctx context.Context, conn net.Conn) error {
	s.lis = newOneShot(conn)
	srv := grpc.NewServer(
		grpc.WaitForHandlers(true), grpc.ConnectionTimeout(handshakeTime), grpc.MaxRecvMsgSize(maxMessage), grpc.MaxSendMsgSize(maxMessage),
		grpc.InitialWindowSize(1<<20), grpc.InitialConnWindowSize(4<<20),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: 20 * time.Second, Timeout: 20 * time.Second}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}))
	agentv1.RegisterGatewayServer(srv, s)
	// Closing the stream ends everything, also a peer that does not even read.
	end := func(why error) {
		s.fail(why)
		_ = conn.Close()
		_ = s.lis.Close()
	}
	stop := context.AfterFunc(ctx, func() { end(ErrClosed) })
	defer stop()
	timer := time.AfterFunc(handshakeTime, func() {
		select {
		case <-s.begun:
		default:
			end(errors.New("the agent did not say hello in time"))
		}
	})
	defer timer.Stop()
	s.lease = time.AfterFunc(s.f.o.Lease+handshakeTime, func() {
		end(errors.New("the agent has been silent for longer than its lease"))
	})
	defer s.lease.Stop()
	err := srv.Serve(s.lis)
	srv.Stop() // waits for the calls that are under way
	if err == nil || errors.Is(err, net.ErrClosed) {
		err = errors.New("the stream to the agent ended")
	}
	s.fail(err)
	return s.err
}

// fail notes why the session ends; the first cause counts.
func (s *session) fail(err error) { s.once.Do(func() { s.err = err }) }

func (s *session) send(f *agentv1.ControllerFrame) error {
	s.sendMu.Lock()
	defer s.sendMu.Unlock()
	if err := s.stream.Send(f); err != nil {
		return fmt.Errorf("send frame: %w", err)
	}
	return nil
}

// Session implements agentv1.GatewayServer.
func (s *session) Session(stream agentv1.Gateway_SessionServer) error {
	select {
	case <-s.begun:
		return status.Error(codes.FailedPrecondition, "this stream has a session")
	default:
	}
	f, err := stream.Recv()
	if err != nil {
		return err
	}
	s.stream, s.hello = stream, f.GetHello()
	if err := s.handshake(stream.Context()); err != nil {
		s.fail(err)
		defer func() { _ = s.lis.conn.Close() }() // after the refusal was sent or the attempt was made
		return status.Error(codes.FailedPrecondition, err.Error())
	}
	if s.adopting {
		s.fail(s.adopt())
		_ = s.lis.conn.Close()
		return s.err
	}
	g, ctx := errgroup.WithContext(stream.Context())
	// One part that fails ends the session: the others wait on the stream.
	stop := context.AfterFunc(ctx, func() { _ = s.lis.conn.Close() })
	defer stop()
	g.Go(func() error { return s.receive() })
	g.Go(func() error { return s.apply(ctx) })
	g.Go(func() error { return s.assign(ctx) })
	err = g.Wait()
	if err != nil && !errors.Is(err, context.Canceled) {
		s.fail(err)
	}
	_ = s.lis.conn.Close() // one stream, one session
	return err
}

// handshake checks who is there, writes the session down and answers.
func (s *session) handshake(ctx context.Context) error {
	h := s.hello
	switch {
	case h == nil:
		return errors.New("the agent's first frame is no hello")
	case h.GetMinProtocol() > Protocol || h.GetProtocol() < MinProtocol:
		return fmt.Errorf("the agent speaks protocol %d to %d, this controller %d to %d",
			h.GetMinProtocol(), h.GetProtocol(), MinProtocol, Protocol)
	case h.GetAgentId() == "":
		return errors.New("the agent has no id")
	case h.GetMaxEpochSeen() > s.f.o.Epoch:
		return errors.Join(ErrStale, s.taken(ctx))
	case h.GetNodeId() != "" && h.GetNodeId() != s.nd.id:
		return fmt.Errorf("%s, not %s: %w", h.GetNodeId(), s.nd.id, ErrStranger)
	}
	c, n, acked, err := s.load(ctx)
	if err != nil {
		return err
	}
	ack := &agentv1.HelloAck{
		Epoch: s.f.o.Epoch, HeartbeatMs: s.f.o.Heartbeat.Milliseconds(), LeaseMs: s.f.o.Lease.Milliseconds(),
		LogWindow: s.f.o.LogWindow, AgentWindow: s.f.o.AgentWindow, StatusAcked: acked,
		ClusterId: c.GetId(), ClusterName: c.GetName(), Installation: s.f.o.Installation,
	}
	if len(h.GetGangPublicKey()) > 0 {
		if ack.GangCert, ack.GangCa, err = s.f.certify(ctx, c, n, h.GetGangPublicKey()); err != nil {
			return err
		}
	}
	s.adopting = n.GetAdopting() && slices.Contains(h.GetFeatures(), canTell)
	ack.TellHeld = s.adopting
	if ack.Cursors, err = s.cursors(ctx); err != nil {
		return err
	}
	if err := s.record(ctx); err != nil {
		return err
	}
	s.recorded = true
	s.f.mu.Lock()
	s.f.open++
	s.f.mu.Unlock()
	if err := s.send(&agentv1.ControllerFrame{Frame: &agentv1.ControllerFrame_HelloAck{HelloAck: ack}}); err != nil {
		return err
	}
	close(s.begun)
	s.lease.Reset(s.f.o.Lease)
	s.nd.set(func() { s.nd.up, s.nd.err = true, nil })
	s.f.log.Info("agent session open", "node", s.nd.id, "agent", h.GetAgentId(), "version", h.GetVersion())
	return nil
}

// taken writes down that a newer controller has the cluster, so that this one keeps its hands off what it cannot judge any
// more. Whoever follows a job here is told: nothing more of it will come.
func (s *session) taken(ctx context.Context) error {
	return s.f.update(ctx, "give a cluster up", func(tx store.Tx) error {
		c, err := store.GetCluster(tx, s.nd.clusterID)
		if err != nil || c.GetTakenMs() > 0 {
			return err
		}
		c.TakenMs = time.Now().UnixMilli()
		c.LastEvent = "another controller has taken it over"
		for _, j := range store.OpenJobsOf(tx, c.GetId()) {
			old := j.GetPhase()
			if !state.CloseJob(j, &statev1.Failure{Kind: statev1.FailureKind_INFRA, Scope: "cluster", Code: "taken", AtMs: c.GetTakenMs(),
				Message: "Another home has taken the cluster over; the job goes on, and is to be followed from there."}) {
				continue
			}
			j.ResultsComplete = true
			tx.Emit(jobEvent(j, old, j.GetFailure().GetMessage()))
			if err := tx.Put(store.Job, j.GetId(), j); err != nil {
				return err
			}
		}
		for _, b := range c.GetBilling() {
			if b.GetEndMs() == 0 {
				b.EndMs = c.GetTakenMs() // it is that one's from now on
			}
		}
		tx.Emit(&statev1.Event{Kind: string(store.Cluster), Id: c.GetId(), ClusterId: c.GetId(), Name: c.GetName(), Actor: "fleet",
			Reason: c.GetLastEvent(), AtMs: c.GetTakenMs()})
		return tx.Put(store.Cluster, c.GetId(), c)
	})
}

func (s *session) load(ctx context.Context) (c *statev1.Cluster, n *statev1.Node, acked uint64, err error) {
	err = s.f.o.Store.View(ctx, func(tx store.Tx) error {
		if n, err = store.GetNode(tx, s.nd.id); err != nil {
			return err
		}
		if c, err = store.GetCluster(tx, n.GetClusterId()); err != nil {
			return err
		}
		acked = tx.Cursor(s.hello.GetAgentId(), statusCursor)
		return nil
	})
	if err != nil {
		return nil, nil, 0, fmt.Errorf("find the node: %w", err)
	}
	return c, n, acked, nil
}

// record writes down that the session is open and what the agent said about the node.
func (s *session) record(ctx context.Context) error {
	h := s.hello
	return s.f.update(ctx, "record a session", func(tx store.Tx) error {
		n, err := store.GetNode(tx, s.nd.id)
		if err != nil {
			return err
		}
		n.Session, n.LastSeenMs = true, time.Now().UnixMilli()
		n.AgentId, n.AgentVersion, n.GangAddress = h.GetAgentId(), h.GetVersion(), h.GetGangAddress()
		n.Cpus, n.Gpus = h.GetFacts().GetCpus(), float64(len(h.GetFacts().GetGpus()))
		tx.Emit(nodeEvent(n, "agent connected"))
		return tx.Put(store.Node, n.GetId(), n)
	})
}

// receive takes the agent's frames. Statuses go to apply, in order.
func (s *session) receive() error {
	defer close(s.frames)
	for {
		f, err := s.stream.Recv()
		if err != nil {
			return fmt.Errorf("the agent's stream ended: %w", err)
		}
		s.lease.Reset(s.f.o.Lease)
		unknown := f.ProtoReflect().GetUnknown()
		switch f := f.GetFrame().(type) {
		case *agentv1.AgentFrame_Status:
			select {
			case s.frames <- f.Status:
			case <-s.stream.Context().Done():
				return s.stream.Context().Err()
			}
		case *agentv1.AgentFrame_Heartbeat:
			s.beat()
		case *agentv1.AgentFrame_Accepted:
			s.set.accepted(f.Accepted)
		case *agentv1.AgentFrame_Autostopping:
			if err := s.autostopping(f.Autostopping); err != nil {
				return err
			}
		case *agentv1.AgentFrame_Unsupported:
			s.f.log.Info("an agent does not know a frame", "node", s.nd.id, "field", f.Unsupported.GetField())
		case nil:
			err := s.send(&agentv1.ControllerFrame{Frame: &agentv1.ControllerFrame_Unsupported{
				Unsupported: &agentv1.Unsupported{Field: firstField(unknown)}}})
			if err != nil {
				return err
			}
		}
	}
}

// firstField names the first field in bytes that a message could not place: its number, which is all one can know.
func firstField(unknown []byte) string {
	num, _, n := protowire.ConsumeField(unknown)
	if n < 0 {
		return ""
	}
	return strconv.Itoa(int(num))
}

// beat writes down now and then that the agent is there; each time would cost a commit.
func (s *session) beat() {
	const coarse = 5 * time.Minute
	if now := time.Now(); now.Sub(s.seen) > coarse {
		s.seen = now
		s.f.wg.Go(func() {
			_ = s.f.update(s.f.ctx, "record a heartbeat", func(tx store.Tx) error {
				n, err := store.GetNode(tx, s.nd.id)
				if err != nil {
					return err
				}
				n.LastSeenMs = now.UnixMilli()
				return tx.Put(store.Node, n.GetId(), n)
			})
		})
	}
}

// autostopping writes down that the agents are ending their cluster.
func (s *session) autostopping(a *agentv1.Autostopping) error {
	why := fmt.Sprintf("idle for %s", (time.Duration(a.GetIdleMs()) * time.Millisecond).Round(time.Second))
	if a.GetBudget() {
		why = cmp.Or(a.GetReason(), "budget or deadline used up")
	}
	return s.f.update(s.stream.Context(), "record an autostop", func(tx store.Tx) error {
		c, err := store.GetCluster(tx, s.nd.clusterID)
		if err != nil {
			return err
		}
		if c.GetAutostoppingMs() > 0 {
			return nil
		}
		c.AutostoppingMs, c.LastEvent = time.Now().UnixMilli(), "autostopping: "+why
		tx.Emit(&statev1.Event{Kind: string(store.Cluster), Id: c.GetId(), ClusterId: c.GetId(), NewPhase: "AUTOSTOPPING",
			Actor: "fleet", Reason: why, AtMs: c.GetAutostoppingMs(), Name: c.GetName()})
		return tx.Put(store.Cluster, c.GetId(), c)
	})
}
