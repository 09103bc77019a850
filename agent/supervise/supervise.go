// Package supervise runs what the controller assigned to this node and keeps the evidence. Assignments are desired
// state, durable before they are acknowledged; from then on nothing here needs the controller: the queue, the gang's
// barriers, budgets and autostop are decided on the cluster. Every change of phase is a Status with a sequence number,
// written to the journal before it is sent and kept until it is acknowledged.
//
// The life of a rank is one goroutine (flow.go) that runs the steps in order. Each step finds out whether it was done
// already, so after a restart of the agent the same goroutine starts again from the top and catches up.
package supervise

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"google.golang.org/protobuf/proto"

	"aloft/agent/shim"
	"aloft/agent/supervise/journal"
	"aloft/agent/supervise/queue"
	agentv1 "aloft/proto/sky/agent/v1"
	statev1 "aloft/proto/sky/state/v1"
	"aloft/tasks/check/python"
)

// Process is a child kept by a shim; *shim.Process is one.
type Process interface {
	ID() string
	PID() int
	StartedMS() int64
	Stop(ctx context.Context, sig syscall.Signal, grace time.Duration) error
	Wait(ctx context.Context) (shim.Verdict, error)
}

// Processes starts and finds children.
type Processes interface {
	// Start runs a spec, or finds the process that was started for the same id before.
	Start(ctx context.Context, s shim.Spec) (Process, error)
	// Known reports whether a process with this id was started, running or ended.
	Known(id string) bool
	// Forget drops the verdict of an ended process.
	Forget(id string) error
}

// Files lays out what a rank works on and brings back what it leaves.
type Files interface {
	// Prefetch begins to fetch what an assignment needs, so that the job can start without the controller.
	Prefetch(a *agentv1.Assignment)
	// Prepare lays everything out and returns the directory the rank works in. Doing it twice changes nothing.
	Prepare(ctx context.Context, a *agentv1.Assignment, dir string, secrets map[string]string) (workdir string, err error)
	// Collect keeps the job's artifacts and reports for sending and says which they are.
	Collect(ctx context.Context, c Collection) ([]*statev1.StoredFile, error)
	// Forget drops what is kept for a job.
	Forget(a *agentv1.Assignment, dir string)
}

// Collection is what Files.Collect looks through.
type Collection struct {
	Assignment *agentv1.Assignment
	Workdir    string
	Reports    string // directory of the suites' reports; "" = none
	Metrics    string // file of metrics; "" = none
}

// Measured is a rank whose metrics are collected.
type Measured struct {
	Stream  *agentv1.StreamKey
	Rank    int32
	Dir     string // of the job's attempt
	Lines   string // file of $ALOFT_METRICS
	Workdir string
	Events  string // directory of TensorBoard's event files; "" = the working directory
}

// Meter collects the metrics of one rank in the background.
type Meter interface {
	// Finish collects the rest: the stream is complete then and that long. The file has all points.
	Finish() (end uint64, file string, series []*statev1.MetricSummary)
}

// Meeting is where the ranks of a job meet: ports of rank 0's node, and a secret that no one else knows.
type Meeting struct {
	Port       int32 // rendezvous, MASTER_PORT
	BridgePort int32 // where rank 0's suites take what the others have read
	Secret     []byte
}

// Part is this node's part in a job that several nodes share.
type Part interface {
	// Ready waits until every rank is ready and rank 0's agent has released them.
	Ready(ctx context.Context) (Meeting, error)
	// Others waits, on rank 0's node, until the other parts have ended; an error says that one of them failed.
	Others(ctx context.Context) error
	// Ended tells the other nodes how this part ended.
	Ended(r *agentv1.MemberReport)
	// Leave ends the part: nobody will ask about it again.
	Leave()
}

// Gang connects the nodes of a job.
type Gang interface {
	// Enter takes up a part. stop is called when the job must end here because of what happened elsewhere.
	Enter(a *agentv1.Assignment, released int32, stop func(*agentv1.StopCause)) Part
	// Cluster tells the gang who belongs to the cluster, for what slot 0 decides for all.
	Cluster(p *agentv1.NodePolicy)
	// Report tells slot 0 how idle this node is. On slot 0 it returns how idle all of them are.
	Report(r *agentv1.NodeReport) *agentv1.NodeReport
	// Off tells every node that is reachable to end.
	Off(o *agentv1.NodeOrder)
}

// Options are what a Supervisor needs. Everything but Evidence, SSHSessions and Grace is required.
type Options struct {
	StateDir  string
	Home      string
	Self      string // path of the agent's binary, for the suite runner
	User      string
	Log       *slog.Logger
	CPUs      float64
	GPUs      []int // device indexes
	SpoolDir  string
	Processes Processes
	Files     Files
	Gang      Gang
	Vault     *Vault
	// PowerOff ends the node. It is called again until it succeeds.
	PowerOff func(ctx context.Context, down bool) error
	// Renew lets the machine itself run until end, left from now; nil = it has no lease of its own. It is called again
	// until it succeeds.
	Renew func(end time.Time, left time.Duration) error
	// LeaseLeft is how long the machine itself lets the agent go on; nil or false = it does not tell.
	LeaseLeft func() (time.Duration, bool)
	// Announce tells the controller, when there is one, that the node is about to end.
	Announce func(a *agentv1.Autostopping)
	// Evidence reports whether a controller reads, whether logs or files of ended jobs have not reached it yet, and when some
	// last did; nil = nobody reads.
	Evidence func() (reads, left bool, moved time.Time)
	// SSHSessions counts login sessions; nil = none are known.
	SSHSessions func() int
	// Opened is told of every log stream that begins (or goes on after a restart).
	Opened func(k *agentv1.StreamKey, p Process)
	// Measure collects what a rank measures, from before its first command until finish is called; nil = nothing does. The
	// answer of finish is the stream's end, the file with all points, and the series.
	Measure func(ctx context.Context, m Measured) (Meter, error)
	// Forgotten is told that the evidence of a job's attempt is safe; last when no other attempt of it is here.
	Forgotten func(jobID string, attempt int32, last bool)
}

// Supervisor is the agent's part that decides. It is safe for concurrent use.
type Supervisor struct {
	o       Options
	bridge  func() (string, error) // where aloft_checks is, unpacked at the first call
	journal *journal.Journal

	mu       sync.Mutex
	ctx      context.Context // of Run; nil before
	identity *agentv1.NodeIdentity
	policy   *agentv1.NodePolicy
	applied  string
	jobs     map[string]*job   // by key
	attempts map[string][]*job // by job id
	queue    *queue.Queue
	open     int // jobs without a verdict
	running  map[string]*job
	outbox   outbox
	busyMS   int64                 // last moment at which a job was there
	worked   int64                 // when a job last ended in this life of the agent; 0 = none did
	off      *agentv1.Autostopping // why the node ends; nil = it does not
	offAt    time.Time
	told     time.Time         // when the policy was heard, on this process's own clock; zero = not in this life
	lease    time.Time         // the node's deadline on this process's own clock; zero = not heard in this life
	renewed  time.Time         // lease that the machine was told of
	why      map[string]string // first blocked jobs of the queue's classes, and why
	whyTimer *time.Timer
	poke     chan struct{}         // the policy's timer must be computed again
	done     []*agentv1.Assignment // ended jobs whose processes can be forgotten once that is durable
	doneKick chan struct{}
	flows    sync.WaitGroup
}

// job is one assignment and what became of it.
type job struct {
	key      string
	a        *agentv1.Assignment // without secrets; after the verdict without the task
	sealed   []byte
	phase    statev1.RankPhase
	setup    string // verdict
	waiting  string
	fresh    bool // not durable yet: nothing of it may begin
	admitted bool
	grant    queue.Grant
	started  int64 // first command of the user, unix ms
	port     int32 // released with this rendezvous port
	released bool
	stop     *agentv1.StopCause
	ended    bool
	streams  []*agentv1.StreamEnd
	last     *agentv1.Status       // the verdict; nil where evidence is not kept
	report   *agentv1.MemberReport // with the verdict
	part     Part
	cancel   context.CancelCauseFunc // of the flow
	pos      journal.Pos             // of the last status
	seq      uint64                  // of it
}

// Key names a job's attempt on this node.
func Key(jobID string, attempt int32) string { return fmt.Sprintf("%s/%d", jobID, attempt) }

// ErrNoArtifact means that an artifact's pattern matches nothing. The job's verdict does not suffer from it.
var ErrNoArtifact = errors.New("nothing matches")

// errDetached ends flows when the agent ends; their processes go on.
var errDetached = errors.New("the agent is ending")

// stopError ends a flow together with its processes.
type stopError struct{ cause *agentv1.StopCause }

func (e *stopError) Error() string { return "stopped: " + e.cause.GetReason() }

// Open replays the journal. Nothing starts before Run.
func Open(o Options) (*Supervisor, error) {
	s := &Supervisor{
		bridge: sync.OnceValues(func() (string, error) { return python.Install(filepath.Join(o.StateDir, "python")) }),
		o:      o, identity: new(agentv1.NodeIdentity), jobs: make(map[string]*job),
		attempts: make(map[string][]*job), running: make(map[string]*job),
		queue: queue.New(o.CPUs, o.GPUs), poke: make(chan struct{}, 1), doneKick: make(chan struct{}, 1),
		why: make(map[string]string),
	}
	s.outbox.changed = make(chan struct{})
	var err error
	s.journal, err = journal.Open(o.StateDir, o.Log, s.replay)
	if err != nil {
		return nil, err
	}
	return s, nil
}

// Run takes up everything that has no verdict yet and works until ctx ends. Processes survive it.
func (s *Supervisor) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(errDetached)
	s.mu.Lock()
	s.ctx = ctx
	s.resume()
	s.mu.Unlock()
	var wg sync.WaitGroup
	wg.Go(func() { s.enforce(ctx) })
	wg.Go(func() { s.forgetProcesses(ctx) })
	<-ctx.Done()
	cancel(errDetached)
	wg.Wait()
	s.mu.Lock()
	if s.whyTimer != nil {
		s.whyTimer.Stop()
	}
	s.mu.Unlock()
	s.flows.Wait()
	return s.journal.Close()
}

// record appends to the journal; the caller holds the lock. It compacts when most of the file is out of date.
func (s *Supervisor) record(rs ...*agentv1.JournalRecord) journal.Pos {
	pos := s.journal.Append(rs...)
	if s.journal.Bulky() {
		s.journal.Compact(s.snapshot())
		pos = s.journal.Pos()
	}
	return pos
}

// Identity is who this agent is, for the hello.
func (s *Supervisor) Identity() *agentv1.NodeIdentity {
	s.mu.Lock()
	defer s.mu.Unlock()
	return proto.CloneOf(s.identity)
}

// SetIdentity changes who this agent is; it is durable when it returns.
func (s *Supervisor) SetIdentity(ctx context.Context, change func(*agentv1.NodeIdentity)) error {
	s.mu.Lock()
	id := proto.CloneOf(s.identity)
	change(id)
	if proto.Equal(id, s.identity) {
		s.mu.Unlock()
		return nil
	}
	s.identity = id
	pos := s.record(&agentv1.JournalRecord{Record: &agentv1.JournalRecord_Identity{Identity: id}})
	s.mu.Unlock()
	return s.journal.Wait(ctx, pos)
}

// Applied is the last assignment set that is durable here, and Seq the highest sequence number made.
func (s *Supervisor) Applied() (set string, seq uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.applied, s.outbox.made
}

// Jobs yields the assignments whose evidence is still kept here with their streams' ends; ended ones know theirs.
func (s *Supervisor) Jobs() iter.Seq2[*agentv1.Assignment, []*agentv1.StreamEnd] {
	s.mu.Lock()
	type pair struct {
		a    *agentv1.Assignment
		ends []*agentv1.StreamEnd
	}
	all := make([]pair, 0, len(s.jobs))
	for _, j := range s.jobs {
		all = append(all, pair{j.a, j.streams})
	}
	s.mu.Unlock()
	return func(yield func(*agentv1.Assignment, []*agentv1.StreamEnd) bool) {
		for _, p := range all {
			if !yield(p.a, p.ends) {
				return
			}
		}
	}
}

// Held is what is here of every job whose evidence is not safe elsewhere, by number.
func (s *Supervisor) Held() []*agentv1.HeldJob {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*job, 0, len(s.jobs))
	for _, j := range s.jobs {
		all = append(all, j)
	}
	slices.SortFunc(all, byNumber)
	out := make([]*agentv1.HeldJob, 0, len(all))
	for _, j := range all {
		h := &agentv1.HeldJob{Assignment: proto.CloneOf(j.a), Phase: j.phase, StartedMs: j.started, Ended: j.ended}
		if j.ended {
			h.Status = j.last
			h.ExitCode, h.Signal, h.Failure = j.report.GetExitCode(), j.report.GetSignal(), j.report.GetFailure()
		}
		out = append(out, h)
	}
	return out
}

// Policy is what the last controller told of the node; nil = none did.
func (s *Supervisor) Policy() *agentv1.NodePolicy {
	s.mu.Lock()
	defer s.mu.Unlock()
	return proto.CloneOf(s.policy)
}

// Idle is how long no job has been here, 0 while one is.
func (s *Supervisor) Idle(now time.Time) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open > 0 || s.busyMS == 0 {
		return 0
	}
	return max(0, now.Sub(time.UnixMilli(s.busyMS)))
}

func (s *Supervisor) kickPolicy() { kick(s.poke) }

func kick(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func nowMS() int64 { return time.Now().UnixMilli() }
