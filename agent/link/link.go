package link

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"

	agentv1 "aloft/proto/sky/agent/v1"
)

// Protocol is the version of the agent protocol spoken here; MinProtocol the oldest that is still understood.
const (
	Protocol    = 1
	MinProtocol = 1
)

// Limits of a session.
const (
	handshakeTime = 30 * time.Second // for HelloAck
	handshakes    = 8                // under way at one time
	maxMessage    = 32 << 20
)

// ErrStale means that a controller has a lower epoch than one seen before: it runs on an old copy of the state.
var ErrStale = errors.New("controller has a lower epoch than one seen before")

// Agent is what a session needs of the agent.
type Agent interface {
	// Hello is the first frame of a session.
	Hello() *agentv1.Hello
	// Welcome takes the answer. An error refuses the controller; ErrStale when its epoch is too low. What the answer
	// changes is durable when Welcome returns.
	Welcome(ack *agentv1.HelloAck) error
	// Serve runs the session until ctx ends or the stream breaks. Only one session is served at a time.
	Serve(ctx context.Context, s *Session) error
}

// Session is an open session after the handshake.
type Session struct {
	// Gateway is the controller. Its calls end with the session.
	Gateway agentv1.GatewayClient
	// Ack is the controller's answer to the hello.
	Ack *agentv1.HelloAck

	stream agentv1.Gateway_SessionClient
	cancel context.CancelFunc
	mu     sync.Mutex
}

// Close ends the session: its stream breaks.
func (s *Session) Close() { s.cancel() }

// Send sends a frame; it is safe for concurrent use.
func (s *Session) Send(f *agentv1.AgentFrame) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.stream.Send(f); err != nil {
		return fmt.Errorf("send frame: %w", err)
	}
	return nil
}

// Recv receives the next frame that this version knows. Others are answered with Unsupported and skipped.
func (s *Session) Recv() (*agentv1.ControllerFrame, error) {
	for {
		f, err := s.stream.Recv()
		if err != nil {
			return nil, fmt.Errorf("receive frame: %w", err)
		}
		if f.GetFrame() != nil {
			return f, nil
		}
		unknown := &agentv1.Unsupported{Field: FirstField(f.ProtoReflect().GetUnknown())}
		if err := s.Send(&agentv1.AgentFrame{Frame: &agentv1.AgentFrame_Unsupported{Unsupported: unknown}}); err != nil {
			return nil, err
		}
	}
}

// server serves the streams of one listener.
type server struct {
	agent Agent
	log   *slog.Logger

	mu     sync.Mutex
	epoch  uint64             // of the session served now
	cancel context.CancelFunc // of it
	ended  chan struct{}      // closed when it has ended
}

// Serve accepts streams on l until ctx ends. It closes l.
func Serve(ctx context.Context, l net.Listener, a Agent, log *slog.Logger) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	s := &server{agent: a, log: log, cancel: func() {}, ended: make(chan struct{})}
	close(s.ended)
	slots := make(chan struct{}, handshakes)
	var wg sync.WaitGroup
	defer wg.Wait()
	for {
		c, err := l.Accept()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			cancel()
			return fmt.Errorf("accept stream: %w", err)
		}
		wg.Go(func() {
			defer func() { _ = c.Close() }()
			slots <- struct{}{}
			free := sync.OnceFunc(func() { <-slots })
			defer free()
			if err := s.session(ctx, c, free); err != nil && ctx.Err() == nil {
				log.Info("session ended", "err", err)
			}
		})
	}
}

// session does the handshake on c and, when it succeeds, serves the session in place of the former one.
func (s *server) session(ctx context.Context, c net.Conn, shaken func()) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cc, err := client(c)
	if err != nil {
		return err
	}
	defer func() { _ = cc.Close() }()
	sess, err := s.handshake(ctx, agentv1.NewGatewayClient(cc), cancel)
	if err != nil {
		return err
	}
	s.mu.Lock()
	if sess.Ack.GetEpoch() < s.epoch {
		s.mu.Unlock()
		return ErrStale
	}
	s.cancel() // the former session; its stream may be dead without our knowing
	former, ended := s.ended, make(chan struct{})
	s.epoch, s.cancel, s.ended = sess.Ack.GetEpoch(), cancel, ended
	s.mu.Unlock()
	shaken()
	defer close(ended)
	<-former
	if ctx.Err() != nil {
		return fmt.Errorf("replaced by a newer session: %w", ctx.Err())
	}
	s.log.Info("session open", "epoch", sess.Ack.GetEpoch())
	return s.agent.Serve(ctx, sess)
}

func (s *server) handshake(ctx context.Context, gw agentv1.GatewayClient, cancel context.CancelFunc) (*Session, error) {
	timer := time.AfterFunc(handshakeTime, cancel)
	defer timer.Stop()
	stream, err := gw.Session(ctx)
	if err != nil {
		return nil, fmt.Errorf("open session: %w", err)
	}
	sess := &Session{Gateway: gw, stream: stream, cancel: cancel}
	hello := s.agent.Hello()
	hello.Protocol, hello.MinProtocol = Protocol, MinProtocol
	if err := sess.Send(&agentv1.AgentFrame{Frame: &agentv1.AgentFrame_Hello{Hello: hello}}); err != nil {
		return nil, err
	}
	f, err := sess.Recv()
	if err != nil {
		return nil, fmt.Errorf("handshake: %w", err)
	}
	sess.Ack = f.GetHelloAck()
	if sess.Ack == nil {
		return nil, errors.New("handshake: the controller's first frame is no HelloAck")
	}
	if err := s.agent.Welcome(sess.Ack); err != nil {
		return nil, fmt.Errorf("refuse controller: %w", err)
	}
	return sess, nil
}

// client is a gRPC client over one stream. When the stream breaks it stays broken: the controller dials again.
func client(c net.Conn) (*grpc.ClientConn, error) {
	conns := make(chan net.Conn, 1)
	conns <- c
	cc, err := grpc.NewClient("passthrough:///controller",
		grpc.WithTransportCredentials(insecure.NewCredentials()), // the stream is private
		grpc.WithIdleTimeout(0),
		grpc.WithDisableServiceConfig(), grpc.WithNoProxy(),
		grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) {
			select {
			case c := <-conns:
				return c, nil
			default:
				return nil, errors.New("the stream from the controller is closed")
			}
		}),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 20 * time.Second, Timeout: 20 * time.Second}),
		grpc.WithReadBufferSize(16<<10), grpc.WithWriteBufferSize(32<<10),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage), grpc.MaxCallSendMsgSize(maxMessage)))
	if err != nil {
		return nil, fmt.Errorf("make client: %w", err)
	}
	return cc, nil
}
