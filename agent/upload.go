package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"time"

	"aloft/agent/link"
	"aloft/agent/shim"
	"aloft/agent/spool"
	"aloft/agent/supervise"
	agentv1 "aloft/proto/sky/agent/v1"
)

const (
	chunkBytes = 256 << 10
	// freeEvery is how much of a stream is acknowledged between two looks for segments to free.
	freeEvery = spool.DefaultSegmentBytes
	// rereadAfter is when a stream that cannot be read is tried again.
	rereadAfter = time.Second
	// Windows that hold until a controller says otherwise.
	defaultWindow      = 1 << 20
	defaultAgentWindow = 8 << 20
)

// uploads sends the spool's streams to whichever controller is there. What is sent is read from disk, so a controller
// that is slow or away costs nothing but disk.
type uploads struct {
	root string
	log  *slog.Logger
	busy func() // called for every chunk

	mu      sync.Mutex
	streams map[spool.Key]*upload
	jobs    map[string][]*upload
	ready   []*upload // each at most once
	wake    chan struct{}
	flying  uint64 // bytes sent and not acknowledged, of all streams
	full    []*upload
	window  uint64
	total   uint64
	live    bool      // a session sends
	moved   time.Time // when something was last acknowledged
}

// left reports whether the rest of a stream that has ended is not at a controller, and when some part of any last got there.
func (u *uploads) left() (bool, time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, up := range u.streams {
		if up.ended && !up.done && !up.gone {
			return true, u.moved
		}
	}
	return false, u.moved
}

// upload is one stream. The fields below are guarded by the lock of uploads.
type upload struct {
	key    spool.Key
	wire   *agentv1.StreamKey
	reader *spool.Reader
	next   uint64 // to be sent next
	acked  uint64 // durable at the controller
	freed  uint64
	limit  uint64 // may be sent now
	ended  bool   // end is known
	end    uint64 // of the stream
	closed bool   // complete was sent in this session
	done   bool   // complete at the controller
	queued bool
	gone   bool
}

func newUploads(root string, log *slog.Logger, busy func()) *uploads {
	return &uploads{
		root: root, log: log, busy: busy, streams: make(map[spool.Key]*upload), jobs: make(map[string][]*upload),
		wake: make(chan struct{}, 1), window: defaultWindow, total: defaultAgentWindow,
	}
}

func spoolKey(k *agentv1.StreamKey) spool.Key {
	return spool.Key{JobID: k.GetJobId(), Attempt: k.GetAttempt(), Slot: k.GetSlot(), Name: k.GetName()}
}

// again makes every stream begin anew: the controller has nothing of what an earlier one had. It is called between sessions.
func (u *uploads) again() {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, up := range u.streams {
		up.done, up.closed, up.acked = false, false, 0
	}
}

// get finds or makes the upload of a stream; the caller holds the lock.
func (u *uploads) get(k *agentv1.StreamKey) *upload {
	key := spoolKey(k)
	up := u.streams[key]
	if up == nil {
		up = &upload{key: key, wire: k, reader: spool.OpenReader(u.root, key), limit: u.window}
		u.streams[key] = up
		u.jobs[key.JobID] = append(u.jobs[key.JobID], up)
	}
	return up
}

// follow sends what p writes until it ends.
func (u *uploads) follow(ctx context.Context, k *agentv1.StreamKey, p *shim.Process) {
	u.mu.Lock()
	up := u.get(k)
	u.push(up)
	u.mu.Unlock()
	for {
		select {
		case <-p.Appended():
			u.mu.Lock()
			u.push(up)
			u.mu.Unlock()
		case <-p.Done():
			v, err := p.Wait(ctx)
			if err == nil {
				u.finish(up, v.LogEnd)
			}
			return
		case <-ctx.Done():
			return
		}
	}
}

// finish says how long a stream is.
func (u *uploads) finish(up *upload, end uint64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	up.reader.Finish(end)
	up.ended, up.end = true, end
	u.push(up)
}

// adopt takes up the streams of jobs that an earlier life of the agent knew.
func (u *uploads) adopt(sup *supervise.Supervisor) {
	for _, ends := range sup.Jobs() {
		for _, e := range ends {
			u.mu.Lock()
			up := u.get(e.GetStream())
			u.mu.Unlock()
			u.finish(up, e.GetEnd())
		}
	}
}

// forget drops the streams of a job's attempt: they are safe at the controller. last says that no other attempt is here.
func (u *uploads) forget(jobID string, attempt int32, last bool) {
	u.mu.Lock()
	var gone []*upload
	u.jobs[jobID] = slices.DeleteFunc(u.jobs[jobID], func(up *upload) bool {
		if up.key.Attempt == attempt {
			gone = append(gone, up)
		}
		return up.key.Attempt == attempt
	})
	if len(u.jobs[jobID]) == 0 {
		delete(u.jobs, jobID)
	}
	for _, up := range gone {
		delete(u.streams, up.key)
		u.flying -= up.next - up.acked
		up.gone, up.next = true, up.acked
	}
	u.mu.Unlock()
	var errs []error
	for _, up := range gone {
		_ = up.reader.Close() // read only
		if !last {
			errs = append(errs, spool.Remove(u.root, up.key))
		}
	}
	if last {
		errs = append(errs, spool.RemoveJob(u.root, jobID))
	}
	if err := errors.Join(errs...); err != nil {
		u.log.Warn("free the spool", "job", jobID, "err", err)
	}
}

// push puts a stream in line; the caller holds the lock.
func (u *uploads) push(up *upload) {
	if up.queued || up.done || up.gone || !u.live {
		return
	}
	up.queued = true
	u.ready = append(u.ready, up)
	select {
	case u.wake <- struct{}{}:
	default:
	}
}

// begin makes every stream start from what the controller has.
func (u *uploads) begin(ack *agentv1.HelloAck) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.window, u.total = defaultWindow, defaultAgentWindow
	if ack.GetLogWindow() > 0 {
		u.window = ack.GetLogWindow()
	}
	if ack.GetAgentWindow() > 0 {
		u.total = ack.GetAgentWindow()
	}
	for _, c := range ack.GetCursors() {
		if up := u.streams[spoolKey(c.GetStream())]; up != nil {
			up.acked = c.GetOffset()
		}
	}
	u.live, u.flying, u.ready, u.full = true, 0, nil, nil
	for _, up := range u.streams {
		up.next, up.limit, up.queued, up.closed = up.acked, up.acked+u.window, false, false
		u.push(up)
	}
}

func (u *uploads) end() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.live, u.ready, u.full = false, nil, nil
	for _, up := range u.streams {
		up.queued = false
	}
}

// serve sends over one session until it ends.
func (u *uploads) serve(ctx context.Context, s *link.Session) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := s.Gateway.UploadLog(ctx)
	if err != nil {
		return fmt.Errorf("open log upload: %w", err)
	}
	u.begin(s.Ack)
	defer u.end()
	acks := make(chan error, 1)
	go func() {
		for {
			a, err := stream.Recv()
			if err != nil {
				acks <- fmt.Errorf("receive log ack: %w", err)
				cancel()
				return
			}
			u.ack(a)
		}
	}()
	for {
		up := u.pop()
		if up == nil {
			select {
			case <-u.wake:
				continue
			case <-ctx.Done():
				return errors.Join(ctx.Err(), <-acks)
			}
		}
		c, err := u.chunk(up)
		if err != nil {
			u.log.Error("read the spool", "stream", up.key.String(), "err", err)
			time.AfterFunc(rereadAfter, func() {
				u.mu.Lock()
				defer u.mu.Unlock()
				u.push(up)
			})
			continue
		}
		if c == nil {
			continue
		}
		u.busy()
		if err := stream.Send(c); err != nil {
			cancel()
			return errors.Join(fmt.Errorf("send log: %w", err), <-acks)
		}
	}
}

func (u *uploads) pop() *upload {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.ready) == 0 {
		return nil
	}
	up := u.ready[0]
	u.ready[0] = nil
	u.ready = u.ready[1:]
	up.queued = false
	return up
}

// chunk reads the next part of a stream; nil when there is nothing to send now.
func (u *uploads) chunk(up *upload) (*agentv1.LogChunk, error) {
	u.mu.Lock()
	next, ended, end, room := up.next, up.ended, up.end, uint64(0)
	switch {
	case up.done || up.gone || up.closed:
		u.mu.Unlock()
		return nil, nil
	case up.limit > next:
		room = up.limit - next
	}
	if u.flying >= u.total {
		u.full = append(u.full, up) // pushed again when something is acknowledged
		u.mu.Unlock()
		return nil, nil
	}
	u.mu.Unlock()
	var recs []spool.Record
	var err error
	after := next
	if room > 0 {
		recs, after, err = up.reader.ReadFrom(next, int(min(room, chunkBytes)))
	}
	eof := errors.Is(err, io.EOF)
	if err != nil && !eof {
		return nil, err
	}
	if ended && len(recs) > 0 {
		eof = after >= end // the end goes with the last bytes, which for most jobs are the first ones too
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if up.gone || up.next != next {
		u.push(up) // an acknowledgement moved it meanwhile
		return nil, nil
	}
	c := &agentv1.LogChunk{Stream: up.wire, Offset: next, Complete: eof, Records: make([]*agentv1.LogRecord, 0, len(recs))}
	for _, r := range recs {
		c.Records = append(c.Records, &agentv1.LogRecord{AtMs: r.AtMS, Fd: r.FD, Data: r.Data, Gap: r.Gap})
	}
	if len(recs) == 0 && !eof {
		return nil, nil
	}
	up.next, up.closed = after, eof
	u.flying += after - next
	if !eof {
		u.push(up)
	}
	return c, nil
}

// ack takes the controller's word for what is durable.
func (u *uploads) ack(a *agentv1.LogAck) {
	u.mu.Lock()
	defer u.mu.Unlock()
	up := u.streams[spoolKey(a.GetStream())]
	if up == nil {
		return
	}
	u.flying -= up.next - up.acked
	if a.GetDurableTo() > up.next || a.GetRewind() {
		up.next, up.closed = a.GetDurableTo(), false
	}
	up.acked = min(a.GetDurableTo(), up.next)
	u.moved = time.Now()
	u.flying += up.next - up.acked
	up.limit = up.acked + max(a.GetCredit(), 1)
	if a.GetComplete() {
		up.done = true
		_ = up.reader.Close() // read only; it opens again should it be needed
	}
	if up.done && up.freed < up.acked || up.acked >= up.freed+freeEvery {
		up.freed = up.acked
		if err := up.reader.Ack(up.acked); err != nil {
			u.log.Warn("free the spool", "stream", up.key.String(), "err", err)
		}
	}
	u.push(up)
	for _, w := range u.full {
		u.push(w)
	}
	u.full = nil
}
