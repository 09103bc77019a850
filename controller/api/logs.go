package api

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"

	"aloft/controller/logs"
	"aloft/controller/store"
	agentv1 "aloft/proto/sky/agent/v1"
	controlv1 "aloft/proto/sky/control/v1"
	statev1 "aloft/proto/sky/state/v1"
)

const (
	// lateLogs is how long after a job's end, and after the last byte that came since, more is waited for when its agents do
	// not say that all is here. While an agent of the job is connected it may be silent for lateRounds times that.
	lateLogs   = 3 * time.Second
	lateRounds = 20
	// pidWait is how long the first bytes of a rank wait for its pid, so that its prefix is right.
	pidWait = 250 * time.Millisecond
)

// Logs streams a job's log: every rank's setup, run and check in this order, ranks side by side.
func (s *Server) Logs(r *controlv1.LogsRequest, out grpc.ServerStreamingServer[controlv1.LogFrame]) error {
	ctx, cancel := context.WithCancel(out.Context())
	defer cancel()
	job, rev, err := s.readJob(ctx, r.GetJobId())
	if err != nil {
		return err
	}
	jw := &jobWatch{job: job, changed: make(chan struct{}), over: make(chan struct{})}
	if r.GetFollow() {
		go s.followJob(ctx, jw, rev)
	} else {
		close(jw.over)
	}
	// Ranks are known once the job is placed.
	for len(jw.get().GetRanks()) == 0 {
		ch := jw.wait()
		if len(jw.get().GetRanks()) > 0 {
			break
		}
		select {
		case <-ch:
			continue
		case <-jw.over:
		case <-ctx.Done():
			return s.reply("read the log", ctx.Err())
		}
		break
	}
	m := &frameMux{wake: make(chan struct{}, 1)}
	m.room = sync.NewCond(&m.mu)
	var wg sync.WaitGroup
	var firstErr error
	var once sync.Once
	for _, rank := range jw.get().GetRanks() {
		wg.Go(func() {
			if err := s.slotLogs(ctx, r, jw, rank.GetSlot(), m); err != nil {
				once.Do(func() { firstErr = err })
			}
		})
	}
	done := make(chan struct{})
	go func() {
		wg.Wait()
		if r.GetFollow() {
			// The streams may end before the job does: its files are still on their way.
			select {
			case <-jw.over:
			case <-ctx.Done():
			}
		}
		close(done)
	}()
	for {
		frames := m.take()
		for _, f := range frames {
			if err := out.Send(f); err != nil {
				cancel()
				m.close()
				<-done
				return err
			}
			m.reuse(f) // it is encoded
		}
		if len(frames) > 0 {
			continue
		}
		select {
		case <-m.wake:
		case <-ctx.Done():
			m.close()
			<-done
			return s.reply("read the log", ctx.Err())
		case <-done:
			for _, f := range m.take() {
				if err := out.Send(f); err != nil {
					return err
				}
			}
			if firstErr != nil {
				return s.reply("read the log", firstErr)
			}
			return out.Send(&controlv1.LogFrame{End: true})
		}
	}
}

func (s *Server) readJob(ctx context.Context, id string) (*statev1.Job, store.Rev, error) {
	var job *statev1.Job
	var rev store.Rev
	err := s.o.Store.View(ctx, func(tx store.Tx) error {
		rev = tx.Rev()
		j, err := store.GetJob(tx, id)
		if errors.Is(err, store.ErrNotFound) {
			return notFound("no such job: %s", id)
		}
		job = j
		return err
	})
	if err != nil {
		return nil, 0, s.reply("read the job", err)
	}
	return job, rev, nil
}

// jobWatch is the newest sight of a job, shared by the readers of its streams.
type jobWatch struct {
	mu      sync.Mutex
	job     *statev1.Job
	changed chan struct{} // closed and replaced at each change
	over    chan struct{} // closed when no stream grows any more
}

func (w *jobWatch) get() *statev1.Job {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.job
}

func (w *jobWatch) wait() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.changed
}

func (w *jobWatch) set(j *statev1.Job) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.job = j
	close(w.changed)
	w.changed = make(chan struct{})
}

// followJob keeps jw current and closes over when the job has ended and its evidence is complete (or late).
func (s *Server) followJob(ctx context.Context, jw *jobWatch, rev store.Rev) {
	defer close(jw.over)
	ended := func(j *statev1.Job) bool { return j.GetEndedMs() != 0 }
	if evidenceOver(jw.get()) {
		return
	}
	wctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var late *time.Timer
	defer func() {
		if late != nil {
			late.Stop()
		}
	}()
	check := func(j *statev1.Job) bool {
		if !ended(j) {
			return false
		}
		if j.GetResultsComplete() {
			return true
		}
		if late == nil {
			late = s.afterSilence(wctx, j, cancel)
		}
		return false
	}
	check(jw.get())
	for _, err := range s.o.Store.Watch(wctx, rev, store.Filter{Kind: store.Job, ID: jw.get().GetId()}) {
		if err != nil {
			return
		}
		j, _, err := s.readJob(wctx, jw.get().GetId())
		if err != nil {
			return
		}
		jw.set(j)
		if check(j) {
			return
		}
	}
}

// afterSilence calls end once the log of an ended job no longer grows.
func (s *Server) afterSilence(ctx context.Context, j *statev1.Job, end func()) *time.Timer {
	tick := make(chan struct{}, 1)
	timer := time.AfterFunc(lateLogs, func() { tick <- struct{}{} })
	go func() {
		got, silent := s.logEnds(j), 0
		for {
			select {
			case <-tick:
			case <-ctx.Done():
				return
			}
			if now := s.logEnds(j); now != got {
				got, silent = now, 0
			} else if silent++; silent >= lateRounds || !s.attached(ctx, j) {
				end()
				return
			}
			timer.Reset(lateLogs)
		}
	}()
	return timer
}

// logEnds is how many bytes of a job's log are here.
func (s *Server) logEnds(j *statev1.Job) uint64 {
	var sum uint64
	for _, r := range j.GetRanks() {
		for _, name := range streamNames(j, r.GetSlot(), []string{"setup", "run", "check"}) {
			end, _, err := s.o.Logs.End(&agentv1.StreamKey{JobId: j.GetId(), Attempt: j.GetAttempt(), Slot: r.GetSlot(), Name: name})
			if err == nil {
				sum += end
			}
		}
	}
	return sum
}

// attached reports whether an agent that ran a rank of the job is connected: what it has still comes.
func (s *Server) attached(ctx context.Context, j *statev1.Job) bool {
	found := false
	err := s.o.Store.View(ctx, func(tx store.Tx) error {
		for _, r := range j.GetRanks() {
			n, err := store.GetNode(tx, r.GetNodeId())
			found = found || err == nil && n.GetSession()
		}
		return nil
	})
	return err == nil && found
}

// streamNames are the streams a slot of a job may write, in order.
func streamNames(j *statev1.Job, slot int32, asked []string) []string {
	want := func(n string) bool {
		if len(asked) == 0 {
			return n != "check"
		}
		for _, a := range asked {
			if a == n {
				return true
			}
		}
		return false
	}
	rank := rankOf(j, slot)
	// Of a job that another home began, only what the node told of its end may be known.
	told := func(n string) bool { return slices.Contains(rank.GetStreams(), n) }
	var names []string
	if (j.GetWithSetup() && j.GetTask().GetSetup() != "" || told("setup")) && want("setup") {
		names = append(names, "setup")
	}
	if rank.GetRank() >= 0 && (j.GetTask().GetRun() != "" || told("run")) && want("run") {
		names = append(names, "run")
	}
	if rank.GetRank() == 0 && (len(j.GetTask().GetSuites()) > 0 || told("check")) && want("check") {
		names = append(names, "check")
	}
	return names
}

func rankOf(j *statev1.Job, slot int32) *statev1.Rank {
	for _, r := range j.GetRanks() {
		if r.GetSlot() == slot {
			return r
		}
	}
	return nil
}

// slotLogs reads the streams of one slot one after another.
func (s *Server) slotLogs(ctx context.Context, r *controlv1.LogsRequest, jw *jobWatch, slot int32, m *frameMux) error {
	job := jw.get()
	numRanks := int32(0)
	for _, x := range job.GetRanks() {
		if x.GetRank() >= 0 {
			numRanks++
		}
	}
	for _, name := range streamNames(job, slot, r.GetStreams()) {
		key := &agentv1.StreamKey{JobId: job.GetId(), Attempt: job.GetAttempt(), Slot: slot, Name: name}
		from, resumed := resumeAt(r, slot, name)
		if !resumed && r.GetTail() > 0 {
			off, err := s.o.Logs.TailOffset(key, int(r.GetTail()))
			if err != nil {
				return fmt.Errorf("find the last lines: %w", err)
			}
			from = off
		}
		first := true
		next := from
		yield := func(rec logs.Record) bool {
			if first {
				first = false
				waitPID(ctx, jw, slot, name)
			}
			rank := rankOf(jw.get(), slot)
			next = rec.Offset + uint64(len(rec.Data)) + rec.Gap
			return m.add(&controlv1.LogFrame{Slot: slot, Rank: rank.GetRank(), Stream: name, Offset: rec.Offset, AtMs: rec.AtMS, Fd: rec.FD,
				Gap: rec.Gap, Pid: pidOf(rank, name), Address: rank.GetAddress(), NumRanks: numRanks}, rec.Data)
		}
		if r.GetFollow() {
			fctx, cancel := context.WithCancel(ctx)
			stop := make(chan struct{})
			go func() {
				select {
				case <-jw.over:
					cancel()
				case <-stop:
				}
			}()
			err := s.o.Logs.Read(fctx, key, from, true, yield)
			close(stop)
			cancel()
			if err != nil && ctx.Err() != nil {
				return ctx.Err()
			}
			if err != nil && !errors.Is(err, context.Canceled) {
				return err
			}
			if err == nil {
				continue
			}
		}
		// What is left once nothing grows any more.
		if err := s.o.Logs.Read(ctx, key, next, false, yield); err != nil {
			return err
		}
		if end, complete, err := s.o.Logs.End(key); err == nil && end > 0 && !complete && evidenceOver(jw.get()) {
			rank := rankOf(jw.get(), slot)
			m.add(&controlv1.LogFrame{Slot: slot, Rank: rank.GetRank(), Stream: name, Offset: end, Pid: pidOf(rank, name), Address: rank.GetAddress(),
				NumRanks: numRanks, Truncated: true}, nil)
		}
	}
	return nil
}

// evidenceOver says of a job that nothing more of it will come.
func evidenceOver(j *statev1.Job) bool { return j.GetEndedMs() != 0 && j.GetResultsComplete() }

// resumeAt is where a caller that was cut off goes on.
func resumeAt(r *controlv1.LogsRequest, slot int32, stream string) (uint64, bool) {
	for _, p := range r.GetResume() {
		if p.GetSlot() == slot && p.GetStream() == stream {
			return p.GetOffset(), true
		}
	}
	return 0, false
}

// pidOf is the pid of the process that writes a stream of a rank; checks go by the rank's own.
func pidOf(r *statev1.Rank, stream string) int64 {
	if stream == "setup" {
		return r.GetSetupPid()
	}
	return r.GetPid()
}

// waitPID gives the status that names a rank's pid the moment it needs to arrive beside its first bytes.
func waitPID(ctx context.Context, jw *jobWatch, slot int32, stream string) {
	limit := time.NewTimer(pidWait)
	defer limit.Stop()
	for {
		ch := jw.wait()
		if pidOf(rankOf(jw.get(), slot), stream) != 0 {
			return
		}
		select {
		case <-ch:
		case <-jw.over:
			return
		case <-limit.C:
			return
		case <-ctx.Done():
			return
		}
	}
}
