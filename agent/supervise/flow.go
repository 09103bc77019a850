package supervise

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"aloft/agent/shim"
	"aloft/agent/supervise/queue"
	agentv1 "aloft/proto/sky/agent/v1"
	statev1 "aloft/proto/sky/state/v1"
)

// Log streams of a rank.
const (
	streamSetup = "setup"
	streamRun   = "run"
	streamCheck = "check"
	// streamMetrics is no log: it holds what the rank measures.
	streamMetrics = "metrics"
)

const verdictOK = "ok"

// flow is one life of a rank, from its admission to its verdict. Every step finds out whether it was done before the
// agent was restarted. It owns its fields; of the job it uses what never changes.
type flow struct {
	s       *Supervisor
	j       *job
	a       *agentv1.Assignment
	sealed  []byte
	dir     string
	part    Part
	grant   queue.Grant
	setup   string // verdict of it
	secrets map[string]string
	workdir string
	meeting Meeting
	last    shim.Verdict // of the last process
	ran     bool         // run was started
	meter   Meter        // nil = not begun, or finished
	metrics string       // file of all points
	series  []*statev1.MetricSummary
	streams []*agentv1.StreamEnd
}

// run takes the rank to its verdict; nil when the agent is ending.
func (f *flow) run(ctx context.Context) *agentv1.Status {
	st, err := f.steps(ctx)
	if err == nil {
		st.Streams, st.SetupVerdict, st.Series = f.streams, f.setup, f.series
		return st
	}
	cause := context.Cause(ctx)
	var stop *stopError
	switch {
	case errors.Is(cause, errDetached):
		return nil
	case errors.As(cause, &stop):
		st = &agentv1.Status{Phase: statev1.RankPhase_RANK_KILLED, Reason: stop.cause.GetReason(), Failure: stop.cause.GetFailure(),
			ExitCode: int32(f.last.ExitCode), Signal: int32(f.last.Signal)}
		f.keepArtifacts(context.WithoutCancel(ctx), st)
	case f.s.detached():
		return nil
	default:
		st = failed(err)
	}
	st.Streams, st.SetupVerdict, st.Series = f.streams, f.setup, f.series
	return st
}

// infraError is a failure of ours with a code of its own.
type infraError struct {
	code string
	err  error
}

func (e *infraError) Error() string { return e.err.Error() }
func (e *infraError) Unwrap() error { return e.err }

func infra(code string, err error) error { return &infraError{code: code, err: err} }

// failed is the verdict of a rank that we could not run.
func failed(err error) *agentv1.Status {
	code := "AGENT"
	var lost *lostError
	if errors.As(err, &lost) {
		return &agentv1.Status{Phase: statev1.RankPhase_RANK_LOST, Reason: lost.reason,
			Failure: failure(statev1.FailureKind_INFRA, "PROCESS_LOST", err.Error())}
	}
	var own *infraError
	if errors.As(err, &own) {
		code = own.code
	}
	return &agentv1.Status{Phase: statev1.RankPhase_RANK_KILLED, Reason: err.Error(),
		Failure: failure(statev1.FailureKind_INFRA, code, err.Error())}
}

func (f *flow) steps(ctx context.Context) (*agentv1.Status, error) {
	if err := f.prepare(ctx); err != nil {
		return nil, err
	}
	if f.a.GetWithSetup() && f.a.GetTask().GetSetup() != "" && f.setup != verdictOK {
		st, err := f.runSetup(ctx)
		if st != nil || err != nil {
			return st, err
		}
	} else if f.a.GetWithSetup() && f.setup == "" {
		f.setup = verdictOK
	}
	if f.a.GetRank() < 0 {
		// Only setup was asked of this node. The others wait for it before they run.
		return &agentv1.Status{Phase: statev1.RankPhase_RANK_EXITED}, nil
	}
	if f.part != nil {
		if err := f.barrier(ctx); err != nil {
			return nil, err
		}
	}
	st, err := f.runRun(ctx)
	if err != nil {
		return nil, err
	}
	f.after(ctx, st)
	return st, nil
}

// barrier waits until every rank is ready. A rank that runs already, found after a restart, was released before: it only
// takes up its place among the others again.
func (f *flow) barrier(ctx context.Context) error {
	if f.s.o.Processes.Known(processID(f.a, streamRun)) {
		f.s.flows.Go(func() { _, _ = f.part.Ready(ctx) }) // it fails only when ctx ends
		return nil
	}
	f.emit(statev1.RankPhase_RANK_READY, "waits for the other ranks")
	m, err := f.part.Ready(ctx)
	f.meeting = m
	return err
}

// emit reports a phase unless it was reported before.
func (f *flow) emit(p statev1.RankPhase, waiting string) {
	f.report(&agentv1.Status{Phase: p, Waiting: waiting})
}

func (f *flow) report(st *agentv1.Status) {
	s := f.s
	s.mu.Lock()
	defer s.mu.Unlock()
	f.j.setup = f.setup
	if f.j.ended || st.GetPhase() <= f.j.phase {
		return
	}
	if f.j.started == 0 && (st.GetPhase() == statev1.RankPhase_RANK_SETUP || st.GetPhase() == statev1.RankPhase_RANK_RUNNING) {
		f.j.started = nowMS()
		s.kickPolicy()
	}
	s.emit(f.j, st)
}

// prepare lays out files. A job that brings none is not reported as preparing.
func (f *flow) prepare(ctx context.Context) error {
	t := f.a.GetTask()
	if t.GetWorkdir() != nil || t.GetGit() != nil || len(t.GetMounts()) > 0 {
		f.emit(statev1.RankPhase_RANK_PREPARING, "")
	}
	secrets, err := f.s.o.Vault.Open(f.sealed)
	if err != nil {
		if f.s.begun(f.j) {
			// What runs has its secrets already; only what would still be started lacks them.
			f.s.o.Log.Warn("secrets of a running job cannot be read", "job", f.a.GetJobId(), "err", err)
		} else {
			return infra("SECRETS_LOST", err)
		}
	}
	f.secrets = secrets
	if err := os.MkdirAll(f.dir, 0o700); err != nil {
		return infra("DISK", fmt.Errorf("make the job's directory: %w", err))
	}
	f.workdir, err = f.s.o.Files.Prepare(ctx, f.a, f.dir, secrets)
	if err != nil {
		return infra("FILES", fmt.Errorf("lay out files: %w", err))
	}
	return nil
}

// runSetup runs the setup commands. The status is the verdict when they failed.
func (f *flow) runSetup(ctx context.Context) (*agentv1.Status, error) {
	v, err := f.process(ctx, streamSetup, f.setupSpec, func(p Process) {
		f.report(&agentv1.Status{Phase: statev1.RankPhase_RANK_SETUP, Pid: int64(p.PID())})
	})
	if err != nil {
		return nil, err
	}
	if v.ExitCode == 0 && v.Signal == 0 {
		f.setup = verdictOK
		return nil, nil
	}
	st := &agentv1.Status{Phase: statev1.RankPhase_RANK_EXITED, ExitCode: int32(v.ExitCode), Signal: int32(v.Signal)}
	f.setup = fmt.Sprintf("exit %d", v.ExitCode)
	if v.Signal != 0 {
		f.setup = fmt.Sprintf("signal %d", v.Signal)
	}
	where := fmt.Sprintf("setup failed on node %d with %s", f.a.GetSlot(), f.setup)
	st.Reason = orElse(v.StartError, where)
	st.Failure = failure(statev1.FailureKind_SETUP, "SETUP", st.Reason)
	return st, nil
}

// runRun runs the job's commands.
func (f *flow) runRun(ctx context.Context) (*agentv1.Status, error) {
	if f.a.GetTask().GetRun() == "" {
		return &agentv1.Status{Phase: statev1.RankPhase_RANK_EXITED}, nil
	}
	f.measure(ctx)
	v, err := f.process(ctx, streamRun, f.runSpec, func(p Process) {
		f.ran = true
		f.report(&agentv1.Status{Phase: statev1.RankPhase_RANK_RUNNING, Pid: int64(p.PID())})
	})
	if !f.s.detached() {
		f.measured()
	}
	if err != nil {
		return nil, err
	}
	return &agentv1.Status{
		Phase: statev1.RankPhase_RANK_EXITED, ExitCode: int32(v.ExitCode), Signal: int32(v.Signal), Reason: v.StartError,
	}, nil
}

// process starts a process, or finds the one that was started before, and waits for its verdict. When the job is made to
// stop, the whole tree ends by TERM, grace and KILL first.
func (f *flow) process(ctx context.Context, name string, spec func(id string) (shim.Spec, error), began func(Process)) (shim.Verdict, error) {
	id := processID(f.a, name)
	sp := shim.Spec{ID: id}
	if !f.s.o.Processes.Known(id) {
		if ctx.Err() != nil {
			return shim.Verdict{}, fmt.Errorf("%s: %w", name, context.Cause(ctx))
		}
		var err error
		if sp, err = spec(id); err != nil {
			return shim.Verdict{}, infra("COMMAND", err)
		}
	}
	// The start itself is not interrupted: a child that nobody knows of would be worse.
	p, err := f.s.o.Processes.Start(context.WithoutCancel(ctx), sp)
	if err != nil {
		return shim.Verdict{}, infra("SHIM", fmt.Errorf("start %s: %w", name, err))
	}
	key := streamKey(f.a, name)
	f.s.o.Opened(key, p)
	if began != nil {
		began(p)
	}
	v, err := p.Wait(ctx)
	var stop *stopError
	stopping := err != nil && errors.As(context.Cause(ctx), &stop)
	if stopping {
		v, err = f.kill(p, stop.cause)
	}
	if err != nil {
		return v, infra("SHIM", fmt.Errorf("wait for %s: %w", name, err))
	}
	f.last = v
	f.streams = append(f.streams, &agentv1.StreamEnd{Stream: key, End: v.LogEnd, Complete: true})
	if stopping && v.EndedMS >= stop.cause.GetAtMs() {
		return v, fmt.Errorf("%s: %w", name, stop)
	}
	if v.Lost {
		return v, &lostError{reason: v.LostReason}
	}
	return v, nil
}

// kill ends a process tree and waits for the verdict.
func (f *flow) kill(p Process, cause *agentv1.StopCause) (shim.Verdict, error) {
	grace := time.Duration(cause.GetGraceMs()) * time.Millisecond
	ctx := f.s.context()
	if err := p.Stop(ctx, 0, grace); err != nil {
		f.s.o.Log.Warn("cannot stop a process", "id", p.ID(), "err", err)
	}
	return p.Wait(ctx)
}

// lostError means that nobody saw the end of a process.
type lostError struct{ reason string }

func (e *lostError) Error() string { return "the process was lost: " + e.reason }

func (s *Supervisor) context() context.Context {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ctx
}

func (s *Supervisor) detached() bool {
	return errors.Is(context.Cause(s.context()), errDetached) || s.context().Err() != nil
}

func processID(a *agentv1.Assignment, name string) string {
	return fmt.Sprintf("%s/%d/%d/%s", a.GetJobId(), a.GetAttempt(), a.GetSlot(), name)
}

func streamKey(a *agentv1.Assignment, name string) *agentv1.StreamKey {
	return &agentv1.StreamKey{JobId: a.GetJobId(), Attempt: a.GetAttempt(), Slot: a.GetSlot(), Name: name}
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// own is a file or directory of the job beside its workdir.
func (f *flow) own(name string) string { return filepath.Join(f.dir, name) }
