package fleet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"aloft/controller/logs"
	"aloft/controller/store"
	agentv1 "aloft/proto/sky/agent/v1"
	statev1 "aloft/proto/sky/state/v1"
)

// completions is how many streams of one agent are being made durable at the same time. Each waits for the disk, and the
// disk takes many waits at once.
const completions = 32

// streamNames are the streams that a rank may have: its logs, and what it measures.
var streamNames = []string{"setup", "run", "check", "metrics"}

// cursors says from where the logs of jobs that are under way on the node are wanted.
func (s *session) cursors(ctx context.Context) ([]*agentv1.Cursor, error) {
	var keys []*agentv1.StreamKey
	err := s.f.o.Store.View(ctx, func(tx store.Tx) error {
		keys = keys[:0]
		for _, j := range store.JobsOf(tx, s.nd.clusterID, 0) {
			for _, r := range j.GetRanks() {
				if r.GetNodeId() != s.nd.id || r.GetPhase() < statev1.RankPhase_RANK_PREPARING || j.GetResultsComplete() {
					continue
				}
				for _, name := range streamNames {
					keys = append(keys, &agentv1.StreamKey{JobId: j.GetId(), Attempt: j.GetAttempt(), Slot: r.GetSlot(), Name: name})
				}
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("find the log cursors: %w", err)
	}
	var out []*agentv1.Cursor
	for _, k := range keys {
		end, _, err := s.f.o.Logs.End(k)
		if err != nil {
			return nil, fmt.Errorf("find the log cursors: %w", err)
		}
		if end > 0 {
			out = append(out, &agentv1.Cursor{Stream: k, Offset: end})
		}
	}
	return out, nil
}

// UploadLog implements agentv1.GatewayServer.
func (s *session) UploadLog(stream agentv1.Gateway_UploadLogServer) error {
	if err := s.open(); err != nil {
		return err
	}
	ctx := stream.Context()
	var sendMu sync.Mutex
	send := func(a *agentv1.LogAck) error {
		sendMu.Lock()
		defer sendMu.Unlock()
		return stream.Send(a)
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	slots := make(chan struct{}, completions)
	for {
		c, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		ack := s.appendLog(ctx, c)
		if !c.GetComplete() || ack.GetRewind() {
			if err := send(ack); err != nil {
				return err
			}
			continue
		}
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			s.completeLog(c, ack)
			_ = send(ack) // the receiver sees why the stream broke
		})
	}
}

// appendLog keeps a chunk. What cannot be kept is asked for again.
func (s *session) appendLog(ctx context.Context, c *agentv1.LogChunk) *agentv1.LogAck {
	ack := &agentv1.LogAck{Stream: c.GetStream(), Credit: s.f.o.LogWindow}
	to, err := s.f.o.Logs.Append(ctx, c.GetStream(), c.GetOffset(), c.GetRecords())
	ack.DurableTo = to
	var hole *logs.HoleError
	switch {
	case err == nil:
	case errors.As(err, &hole):
		ack.DurableTo, ack.Rewind = hole.Want, true
	case errors.Is(err, logs.ErrComplete):
		// It said before that nothing would follow; what follows is dropped, or it would be sent for ever.
		ack.Complete = true
	default:
		s.f.log.Error("keep a log", "job", c.GetStream().GetJobId(), "err", err)
		ack.Rewind = true
	}
	return ack
}

func (s *session) completeLog(c *agentv1.LogChunk, ack *agentv1.LogAck) {
	err := s.f.o.Logs.Complete(c.GetStream(), ack.GetDurableTo())
	if err != nil && !errors.Is(err, logs.ErrComplete) {
		s.f.log.Error("complete a log", "job", c.GetStream().GetJobId(), "err", err)
		ack.Rewind = true
		return
	}
	ack.Complete = true
	s.f.finisher.arrived(c.GetStream().GetJobId())
}

// open refuses calls before the handshake.
func (s *session) open() error {
	select {
	case <-s.begun:
		return nil
	default:
		return status.Error(codes.FailedPrecondition, "no session on this stream")
	}
}
