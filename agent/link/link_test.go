package link_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protowire"

	"aloft/agent/link"
	agentv1 "aloft/proto/sky/agent/v1"
)

// fakeAgent serves sessions by waiting for their end.
type fakeAgent struct {
	mu     sync.Mutex
	epoch  uint64
	events chan string
	frames chan *agentv1.ControllerFrame
}

func newFakeAgent() *fakeAgent {
	return &fakeAgent{events: make(chan string, 100), frames: make(chan *agentv1.ControllerFrame, 100)}
}

func (a *fakeAgent) Hello() *agentv1.Hello { return &agentv1.Hello{AgentId: "a"} }

func (a *fakeAgent) Welcome(ack *agentv1.HelloAck) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if ack.GetEpoch() < a.epoch {
		a.events <- fmt.Sprintf("refused %d", ack.GetEpoch())
		return link.ErrStale
	}
	a.epoch = ack.GetEpoch()
	return nil
}

func (a *fakeAgent) Serve(ctx context.Context, s *link.Session) error {
	a.events <- fmt.Sprintf("open %d", s.Ack.GetEpoch())
	defer func() { a.events <- fmt.Sprintf("closed %d", s.Ack.GetEpoch()) }()
	for {
		f, err := s.Recv()
		if err != nil {
			return err
		}
		a.frames <- f
	}
}

// controller serves one stream with a script.
type controller struct {
	agentv1.UnimplementedGatewayServer
	session func(agentv1.Gateway_SessionServer) error
}

func (c *controller) Session(s agentv1.Gateway_SessionServer) error { return c.session(s) }

// once accepts one stream.
type once struct {
	net.Conn
	c    chan net.Conn
	done chan struct{}
	end  sync.Once
}

func (o *once) Accept() (net.Conn, error) {
	select {
	case c := <-o.c:
		return c, nil
	case <-o.done:
		return nil, net.ErrClosed
	}
}
func (o *once) Close() error   { o.end.Do(func() { close(o.done) }); return nil }
func (o *once) Addr() net.Addr { return o.Conn.LocalAddr() }

// dial connects a controller to the socket; cut ends the stream.
func dial(t *testing.T, socket string, session func(agentv1.Gateway_SessionServer) error) (cut func()) {
	t.Helper()
	conn, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	l := &once{Conn: conn, c: make(chan net.Conn, 1), done: make(chan struct{})}
	l.c <- conn
	srv := grpc.NewServer()
	agentv1.RegisterGatewayServer(srv, &controller{session: session})
	go func() { _ = srv.Serve(l) }()
	t.Cleanup(srv.Stop)
	return srv.Stop
}

// greet answers the hello and waits.
func greet(epoch uint64, then func(agentv1.Gateway_SessionServer) error) func(agentv1.Gateway_SessionServer) error {
	return func(s agentv1.Gateway_SessionServer) error {
		if f, err := s.Recv(); err != nil || f.GetHello().GetProtocol() != link.Protocol {
			return errors.New("no hello")
		}
		ack := &agentv1.ControllerFrame{Frame: &agentv1.ControllerFrame_HelloAck{HelloAck: &agentv1.HelloAck{Epoch: epoch}}}
		if err := s.Send(ack); err != nil {
			return err
		}
		if then != nil {
			return then(s)
		}
		<-s.Context().Done()
		return s.Context().Err()
	}
}

func serve(t *testing.T, dir, socket string) (*fakeAgent, string) {
	t.Helper()
	l, err := link.Listen(dir, socket)
	if err != nil {
		t.Fatal(err)
	}
	path, err := link.SocketPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	a := newFakeAgent()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- link.Serve(ctx, l, a, slog.New(slog.DiscardHandler)) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return a, path
}

func (a *fakeAgent) expect(t *testing.T, want string) {
	t.Helper()
	select {
	case got := <-a.events:
		if got != want {
			t.Fatalf("%s, want %s", got, want)
		}
	case <-time.After(20 * time.Second):
		t.Fatalf("no %s", want)
	}
}

func TestReconnectAndTakeOver(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a, socket := serve(t, dir, filepath.Join(dir, "s"))
	cut := dial(t, socket, greet(1, nil))
	a.expect(t, "open 1")
	cut()
	a.expect(t, "closed 1")
	dial(t, socket, greet(1, nil))
	a.expect(t, "open 1")
	// A newer controller takes over although the former stream is still there.
	dial(t, socket, greet(2, nil))
	a.expect(t, "closed 1")
	a.expect(t, "open 2")
	// An older one is refused, and the session goes on.
	dial(t, socket, greet(1, nil))
	a.expect(t, "refused 1")
	select {
	case e := <-a.events:
		t.Fatalf("%s, want nothing", e)
	default:
	}
}

func TestGrease(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a, socket := serve(t, dir, filepath.Join(dir, "s"))
	heard := make(chan *agentv1.AgentFrame, 1)
	dial(t, socket, greet(1, func(s agentv1.Gateway_SessionServer) error {
		future := new(agentv1.ControllerFrame)
		b := protowire.AppendTag(nil, 88, protowire.BytesType)
		future.ProtoReflect().SetUnknown(protowire.AppendString(b, "x"))
		known := &agentv1.ControllerFrame{Frame: &agentv1.ControllerFrame_StatusAck{StatusAck: &agentv1.StatusAck{Seq: 7}}}
		if err := errors.Join(s.Send(future), s.Send(known)); err != nil {
			return err
		}
		f, err := s.Recv()
		if err != nil {
			return err
		}
		heard <- f
		<-s.Context().Done()
		return nil
	}))
	a.expect(t, "open 1")
	if f := <-a.frames; f.GetStatusAck().GetSeq() != 7 {
		t.Errorf("frame %v", f)
	}
	if f := <-heard; f.GetUnsupported().GetField() != "88" {
		t.Errorf("answer %v", f)
	}
}

func TestSocket(t *testing.T) {
	t.Parallel()
	long := filepath.Join(t.TempDir(), strings.Repeat("a-long-name/", 10))
	if err := os.MkdirAll(long, 0o700); err != nil {
		t.Fatal(err)
	}
	a, socket := serve(t, long, filepath.Join(long, "agent.sock"))
	if len(socket) > 100 || !strings.HasPrefix(socket, "/tmp/aloft-agent-") {
		t.Errorf("socket %q", socket)
	}
	t.Cleanup(func() { _ = os.Remove(socket) })
	info, err := os.Stat(socket)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	dial(t, socket, greet(1, nil))
	a.expect(t, "open 1")
	if _, err := link.SocketPath(t.TempDir()); err == nil {
		t.Error("a directory without an agent has a socket")
	}
}
