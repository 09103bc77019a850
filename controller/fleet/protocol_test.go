package fleet_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"aloft/controller/fleet"
	"aloft/controller/state"
	"aloft/controller/store"
	agentv1 "aloft/proto/sky/agent/v1"
	statev1 "aloft/proto/sky/state/v1"
)

// scripted is an agent that says what a test wants it to say.
type scripted struct {
	t      testing.TB
	client agentv1.GatewayClient
	stream agentv1.Gateway_SessionClient
}

// pipe makes a dialer whose other ends come out of the channel.
func pipe() (func(context.Context) (net.Conn, error), <-chan net.Conn) {
	ends := make(chan net.Conn, 16)
	return func(context.Context) (net.Conn, error) {
		a, b := net.Pipe()
		ends <- b
		return a, nil
	}, ends
}

func newScripted(t testing.TB, conn net.Conn, hello *agentv1.Hello) *scripted {
	t.Helper()
	cc, err := grpc.NewClient("passthrough:///controller", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) { return conn, nil }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cc.Close() })
	s := &scripted{t: t, client: agentv1.NewGatewayClient(cc)}
	if s.stream, err = s.client.Session(context.Background()); err != nil {
		t.Fatal(err)
	}
	s.send(&agentv1.AgentFrame{Frame: &agentv1.AgentFrame_Hello{Hello: hello}})
	return s
}

func (s *scripted) send(f *agentv1.AgentFrame) {
	s.t.Helper()
	if err := s.stream.Send(f); err != nil {
		s.t.Fatal(err)
	}
}

// expect receives until a frame is as wanted.
func (s *scripted) expect(what string, want func(*agentv1.ControllerFrame) bool) *agentv1.ControllerFrame {
	s.t.Helper()
	for {
		f, err := s.stream.Recv()
		if err != nil {
			s.t.Fatalf("expecting %s: %v", what, err)
		}
		if want(f) {
			return f
		}
	}
}

func hello() *agentv1.Hello {
	return &agentv1.Hello{Protocol: 1, MinProtocol: 1, AgentId: "a0", NodeId: "n0", SessionNonce: "x"}
}

// connectScripted opens a session of node n0 with an agent of the test's own.
func (r *rig) connectScripted(h *agentv1.Hello) (*scripted, error) {
	r.t.Helper()
	dial, ends := pipe()
	failed := make(chan error, 1)
	go func() { failed <- r.fleet.Connect(context.Background(), r.cluster, r.nodes[0].record(), dial) }()
	s := newScripted(r.t, <-ends, h)
	return s, <-failed
}

func grease(m proto.Message, field protowire.Number) {
	b := protowire.AppendTag(nil, field, protowire.BytesType)
	m.ProtoReflect().SetUnknown(protowire.AppendString(b, "from the future"))
}

func TestHandshakeRefusals(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		change func(*agentv1.Hello)
		want   error
	}{
		{"stale controller", func(h *agentv1.Hello) { h.MaxEpochSeen = 1 << 40 }, fleet.ErrStale},
		{"another node's agent", func(h *agentv1.Hello) { h.NodeId = "n7" }, fleet.ErrStranger},
		{"no id", func(h *agentv1.Hello) { h.AgentId = "" }, nil},
		{"a protocol of the future", func(h *agentv1.Hello) { h.Protocol, h.MinProtocol = 99, 98 }, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, 1)
			h := hello()
			tc.change(h)
			_, err := r.connectScripted(h)
			if err == nil || tc.want != nil && !errors.Is(err, tc.want) {
				t.Errorf("error %v, want %v", err, tc.want)
			}
		})
	}
}

func TestGreaseToTheController(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1)
	h := hello()
	grease(h, 999)
	s, err := r.connectScripted(h)
	if err != nil {
		t.Fatal(err)
	}
	future := new(agentv1.AgentFrame)
	grease(future, 77)
	s.send(future)
	f := s.expect("Unsupported", func(f *agentv1.ControllerFrame) bool { return f.GetUnsupported() != nil })
	if f.GetUnsupported().GetField() != "77" {
		t.Errorf("field %q", f.GetUnsupported().GetField())
	}
	// The session goes on, and a value of an enum that nobody knows does no harm.
	id := r.submit(1, &statev1.TaskSpec{Run: "true"})
	s.expect("the assignment", func(f *agentv1.ControllerFrame) bool { return len(f.GetAssignments().GetItems()) > 0 })
	s.send(status(1, id, statev1.RankPhase_RANK_RUNNING))
	s.send(status(2, id, statev1.RankPhase(61)))
	s.send(status(3, id, statev1.RankPhase_RANK_EXITED))
	s.expect("the ack", func(f *agentv1.ControllerFrame) bool { return f.GetStatusAck().GetSeq() == 3 })
	r.wantPhase(r.job(id), statev1.JobPhase_JOB_SUCCEEDED)
}

func status(seq uint64, job string, p statev1.RankPhase) *agentv1.AgentFrame {
	return &agentv1.AgentFrame{Frame: &agentv1.AgentFrame_Status{Status: &agentv1.Status{
		Seq: seq, JobId: job, Attempt: 1, Phase: p, AtMs: time.Now().UnixMilli()}}}
}

// Statuses may come twice, after a reconnect from further back, or about what nobody knows: each counts once, phases only
// grow, and what has ended stays as it ended.
func TestStatusesInAnyOrder(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1)
	s, err := r.connectScripted(hello())
	if err != nil {
		t.Fatal(err)
	}
	number, seq := uint32(0), uint64(0)
	phases := []statev1.RankPhase{
		statev1.RankPhase_RANK_ACCEPTED, statev1.RankPhase_RANK_PREPARING, statev1.RankPhase_RANK_SETUP, statev1.RankPhase_RANK_READY,
		statev1.RankPhase_RANK_RUNNING, statev1.RankPhase_RANK_CHECKING, statev1.RankPhase_RANK_EXITED, statev1.RankPhase_RANK_KILLED,
		statev1.RankPhase_RANK_LOST,
	}
	rapid.Check(t, func(rt *rapid.T) {
		number++
		id := r.submit(number, &statev1.TaskSpec{Run: "true"})
		first := seq + 1
		var sent []*agentv1.AgentFrame
		last := statev1.JobPhase_JOB_PHASE_UNSPECIFIED
		var end *statev1.Job
		for range rapid.IntRange(1, 12).Draw(rt, "frames") {
			var f *agentv1.AgentFrame
			if len(sent) > 0 && rapid.Bool().Draw(rt, "again") {
				f = sent[rapid.IntRange(0, len(sent)-1).Draw(rt, "which")]
			} else {
				seq++
				job := rapid.SampledFrom([]string{id, id, id, "unknown"}).Draw(rt, "job")
				f = status(seq, job, rapid.SampledFrom(phases).Draw(rt, "phase"))
				f.GetStatus().ExitCode = int32(rapid.IntRange(0, 2).Draw(rt, "exit"))
				f.GetStatus().Attempt = int32(rapid.SampledFrom([]int{1, 1, 1, 2}).Draw(rt, "attempt"))
				sent = append(sent, f)
			}
			s.send(f)
			s.expect("an ack", func(c *agentv1.ControllerFrame) bool { return c.GetStatusAck().GetSeq() >= f.GetStatus().GetSeq() })
			j := r.job(id)
			switch {
			case j.GetPhase() < last:
				rt.Fatalf("from %s back to %s", last, j.GetPhase())
			case end != nil && !proto.Equal(withoutResults(end), withoutResults(j)):
				rt.Fatalf("ended as %v, now %v", end, j)
			case state.JobEnded(j.GetPhase()) && end == nil:
				end = j
			}
			last = j.GetPhase()
		}
		_ = first
	})
	var acked uint64
	r.view(func(tx store.Tx) error { acked = tx.Cursor("a0", "status"); return nil })
	if acked != seq {
		t.Errorf("acknowledged up to %d of %d", acked, seq)
	}
}

func withoutResults(j *statev1.Job) *statev1.Job {
	j = proto.CloneOf(j)
	j.ResultsComplete = false
	return j
}

// Log chunks in any order leave a stream that is a prefix of what was written, and a hole is asked for again.
func TestLogChunksInAnyOrder(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1)
	s, err := r.connectScripted(hello())
	if err != nil {
		t.Fatal(err)
	}
	up, err := s.client.UploadLog(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Repeat("0123456789", 30)
	n := 0
	rapid.Check(t, func(rt *rapid.T) {
		n++
		k := &agentv1.StreamKey{JobId: fmt.Sprintf("job%d", n), Attempt: 1, Name: "run"}
		have := uint64(0)
		send := func(from, to int) *agentv1.LogAck {
			c := &agentv1.LogChunk{Stream: k, Offset: uint64(from), Records: []*agentv1.LogRecord{{Fd: 1, Data: []byte(text[from:to])}}}
			c.Complete = to == len(text)
			if err := up.Send(c); err != nil {
				rt.Fatal(err)
			}
			a, err := up.Recv()
			if err != nil {
				rt.Fatal(err)
			}
			return a
		}
		for range rapid.IntRange(1, 10).Draw(rt, "chunks") {
			from := rapid.IntRange(0, len(text)-1).Draw(rt, "from")
			to := rapid.IntRange(from+1, len(text)).Draw(rt, "to")
			a := send(from, to)
			if a.GetRewind() != (uint64(from) > have) {
				rt.Fatalf("chunk at %d, have %d: %v", from, have, a)
			}
			if !a.GetRewind() {
				have = max(have, uint64(to))
			}
			if a.GetDurableTo() != have {
				rt.Fatalf("durable to %d, want %d", a.GetDurableTo(), have)
			}
		}
		if a := send(int(min(have, uint64(len(text)-1))), len(text)); !a.GetComplete() || a.GetDurableTo() != uint64(len(text)) {
			rt.Fatalf("last ack %v", a)
		}
		if got := r.log(k.GetJobId(), 0, "run"); got != text {
			rt.Fatalf("log %q", got)
		}
	})
}
