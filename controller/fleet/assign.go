package fleet

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"aloft/controller/state"
	"aloft/controller/store"
	agentv1 "aloft/proto/sky/agent/v1"
	statev1 "aloft/proto/sky/state/v1"
)

// frameBytes is about how much of an assignment set goes into one frame.
const frameBytes = 512 << 10

// errResync means that the chain of deltas is broken: a FULL set mends it.
var errResync = errors.New("assignments must be sent anew")

// assigned is what one agent has been told to do. Its goroutine is session.assign; the lock guards what others touch.
type assigned struct {
	s     *session
	epoch uint64
	n     uint64 // of sets, in this session
	last  string // id of the last set sent
	rev   store.Rev
	sent  map[string]mark // by job id
	rules *agentv1.NodePolicy

	mu     sync.Mutex
	jobs   map[string]bool // changed since the last set
	forget []string
	node   bool // the node's own record, or the cluster's, has changed
	resync bool
	wake   chan struct{}
}

// mark is what was sent of a job, as far as it can change.
type mark struct {
	attempt int32
	stop    bool
	peers   string // where the other nodes of a gang are reached
}

func (a *assigned) mark(sn *snapshot, j *statev1.Job) mark {
	m := mark{attempt: j.GetAttempt(), stop: a.stops(sn, j)}
	if len(j.GetRanks()) < 2 {
		return m
	}
	for _, r := range j.GetRanks() {
		m.peers += sn.gangAddress(r.GetNodeId()) + " "
	}
	return m
}

func (sn *snapshot) gangAddress(node string) string {
	for _, n := range sn.nodes {
		if n.GetId() == node {
			return n.GetGangAddress()
		}
	}
	return ""
}

func newAssigned(s *session) *assigned {
	return &assigned{
		s: s, epoch: s.f.o.Epoch, sent: make(map[string]mark), jobs: make(map[string]bool), wake: make(chan struct{}, 1),
	}
}

// assign tells the agent what the store wants of it, first all of it, then what changes, until ctx ends.
func (s *session) assign(ctx context.Context) error {
	a := s.set
	if err := a.full(ctx); err != nil {
		return err
	}
	if err := s.upgrade(); err != nil {
		return err
	}
	s.f.finisher.subscribe(s.nd.id, a)
	defer s.f.finisher.unsubscribe(s.nd.id, a)
	failed := make(chan error, 1)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() { failed <- a.watch(ctx) }()
	for {
		select {
		case <-a.wake:
			err := a.delta(ctx)
			if errors.Is(err, errResync) {
				err = a.full(ctx)
			}
			if err != nil {
				return err
			}
		case err := <-failed:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// watch collects what changes in the cluster.
func (a *assigned) watch(ctx context.Context) error {
	for ev, err := range a.s.f.o.Store.Watch(ctx, a.rev, store.Filter{ClusterID: a.s.nd.clusterID}) {
		if err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return fmt.Errorf("watch the cluster: %w", err)
		}
		a.mu.Lock()
		if ev.GetKind() == string(store.Job) {
			a.jobs[ev.GetId()] = true
		} else {
			a.node = true
		}
		a.mu.Unlock()
		a.kick()
	}
	return ctx.Err()
}

func (a *assigned) kick() {
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// done tells that the evidence of jobs is safe here.
func (a *assigned) done(ids ...string) {
	a.mu.Lock()
	a.forget = append(a.forget, ids...)
	a.mu.Unlock()
	a.kick()
}

// accepted hears that a set is durable at the agent, or does not fit there.
func (a *assigned) accepted(ack *agentv1.Accepted) {
	if !ack.GetMismatch() {
		return
	}
	a.mu.Lock()
	a.resync = true
	a.mu.Unlock()
	a.kick()
}

// snapshot is what is read of the store at one time.
type snapshot struct {
	cluster *statev1.Cluster
	node    *statev1.Node
	nodes   []*statev1.Node
	jobs    []*statev1.Job
	rev     store.Rev
}

func (a *assigned) read(ctx context.Context, jobs func(store.Tx) ([]*statev1.Job, error)) (*snapshot, error) {
	sn := new(snapshot)
	err := a.s.f.o.Store.View(ctx, func(tx store.Tx) (err error) {
		if sn.cluster, err = store.GetCluster(tx, a.s.nd.clusterID); err != nil {
			return err
		}
		if sn.node, err = store.GetNode(tx, a.s.nd.id); err != nil {
			return err
		}
		sn.nodes, sn.rev = store.NodesOf(tx, a.s.nd.clusterID), tx.Rev()
		sn.jobs, err = jobs(tx)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read what a node shall do: %w", err)
	}
	return sn, nil
}

// full sends everything.
func (a *assigned) full(ctx context.Context) error {
	a.mu.Lock()
	a.jobs, a.forget, a.node, a.resync = make(map[string]bool), nil, false, false
	a.mu.Unlock()
	sn, err := a.read(ctx, func(tx store.Tx) ([]*statev1.Job, error) {
		return store.JobsOf(tx, a.s.nd.clusterID, 0), nil
	})
	if err != nil {
		return err
	}
	a.rev = sn.rev
	clear(a.sent)
	slices.Reverse(sn.jobs) // by number
	var items []*agentv1.Assignment
	var unfinished []string
	for _, j := range sn.jobs {
		it, err := a.item(sn, j)
		if err != nil {
			return err
		}
		if it == nil {
			continue
		}
		a.sent[j.GetId()] = a.mark(sn, j)
		items = append(items, it)
		if state.JobEnded(j.GetPhase()) {
			unfinished = append(unfinished, j.GetId())
		}
	}
	a.s.f.finisher.consider(unfinished...)
	if err := a.policy(sn); err != nil {
		return err
	}
	return a.send(items, nil, true)
}

// delta sends what has changed.
func (a *assigned) delta(ctx context.Context) error {
	a.mu.Lock()
	ids, forget, node := a.jobs, a.forget, a.node
	if a.resync {
		a.mu.Unlock()
		return errResync
	}
	a.jobs, a.forget, a.node = make(map[string]bool), nil, false
	a.mu.Unlock()
	sn, err := a.read(ctx, func(tx store.Tx) ([]*statev1.Job, error) {
		var jobs []*statev1.Job
		if node {
			// The node may be on its way out: then everything that is here stops.
			for id := range a.sent {
				ids[id] = true
			}
		}
		for id := range ids {
			j, err := store.GetJob(tx, id)
			if errors.Is(err, store.ErrNotFound) {
				continue
			}
			if err != nil {
				return nil, err
			}
			jobs = append(jobs, j)
		}
		return jobs, nil
	})
	if err != nil {
		return err
	}
	if node {
		if err := a.policy(sn); err != nil {
			return err
		}
	}
	slices.SortFunc(sn.jobs, func(x, y *statev1.Job) int { return int(x.GetNumber()) - int(y.GetNumber()) })
	var items []*agentv1.Assignment
	for _, j := range sn.jobs {
		m := a.mark(sn, j)
		if a.sent[j.GetId()] == m {
			continue
		}
		it, err := a.item(sn, j)
		if err != nil {
			return err
		}
		if it == nil {
			continue
		}
		a.sent[j.GetId()] = m
		items = append(items, it)
	}
	for _, id := range forget {
		delete(a.sent, id)
	}
	if len(items) == 0 && len(forget) == 0 {
		return nil
	}
	return a.send(items, forget, false)
}

// send sends a set, in several frames when it is big.
func (a *assigned) send(items []*agentv1.Assignment, forget []string, full bool) error {
	for first := true; first || len(items) > 0; first = false {
		n, size := 0, 0
		for n < len(items) && (n == 0 || size < frameBytes) {
			size += proto.Size(items[n])
			n++
		}
		set := &agentv1.AssignmentSet{Full: full, AppliesTo: a.last, Items: items[:n], Epoch: a.epoch, Forget: forget}
		items, forget = items[n:], nil
		set.More = full && len(items) > 0
		if full && !first {
			set.SetId = a.last
		} else {
			a.n++
			a.last = strconv.FormatUint(a.epoch, 10) + "-" + a.s.hello.GetSessionNonce() + "-" + strconv.FormatUint(a.n, 10)
			set.SetId = a.last
		}
		if err := a.s.send(&agentv1.ControllerFrame{Frame: &agentv1.ControllerFrame_Assignments{Assignments: set}}); err != nil {
			return err
		}
	}
	return nil
}

// leaveGrace is what a job has between TERM and KILL when its machine is taken away: who takes a cluster down waits for it.
const leaveGrace = 10 * time.Second

// stops says whether the job shall end on this node.
func (a *assigned) stops(sn *snapshot, j *statev1.Job) bool {
	return j.GetDesired() == "cancel" || sn.node.GetDesired() == statev1.NodeDesired_NODE_DESIRED_GONE ||
		sn.node.GetDesired() == statev1.NodeDesired_NODE_DESIRED_STOPPED
}

// item is this node's part of a job; nil when it has none, or none any more.
func (a *assigned) item(sn *snapshot, j *statev1.Job) (*agentv1.Assignment, error) {
	var own *statev1.Rank
	for _, r := range j.GetRanks() {
		if r.GetNodeId() == a.s.nd.id {
			own = r
		}
	}
	if own == nil || j.GetPhase() < statev1.JobPhase_JOB_PLACED || state.JobEnded(j.GetPhase()) && j.GetResultsComplete() {
		return nil, nil
	}
	it := &agentv1.Assignment{
		JobId: j.GetId(), Number: j.GetNumber(), Attempt: j.GetAttempt(), Slot: own.GetSlot(), Rank: own.GetRank(),
		WithSetup: j.GetWithSetup(), TaskId: j.GetTaskId(), User: j.GetUser(), SubmittedMs: j.GetSubmittedMs(), RequestId: j.GetRequestId(),
		Stop: a.stops(sn, j), ClusterInfo: clusterInfo(sn),
	}
	for _, r := range j.GetRanks() {
		if r.GetRank() >= 0 {
			it.NumRanks++
		}
		it.Peers = append(it.Peers, &agentv1.Peer{Slot: r.GetSlot(), Rank: r.GetRank(), NodeId: r.GetNodeId(),
			Address: r.GetAddress(), GangAddress: sn.gangAddress(r.GetNodeId())})
	}
	if it.GetStop() {
		it.StopReason = stopReason(sn, j)
		if sn.node.GetDesired() != statev1.NodeDesired_NODE_DESIRED_UP {
			it.GraceMs = leaveGrace.Milliseconds()
		}
	}
	if state.JobEnded(j.GetPhase()) || state.RankEnded(own.GetPhase()) {
		// Only its evidence is still wanted. Should the agent not know the job any more, it must not run it again.
		it.Stop = true
		it.StopReason = orElse(it.GetStopReason(), "the job has ended")
		return it, nil
	}
	it.Task = j.GetTask()
	var err error
	it.Secrets, err = a.secrets(j)
	return it, err
}

func (a *assigned) secrets(j *statev1.Job) (map[string]string, error) {
	if len(j.GetSealedSecrets()) == 0 {
		return nil, nil
	}
	plain, err := a.s.f.o.Seal.Open(j.GetSealedSecrets())
	if err != nil {
		return nil, fmt.Errorf("unseal the secrets of job %d: %w", j.GetNumber(), err)
	}
	m := new(statev1.SecretMap)
	if err := proto.Unmarshal(plain, m); err != nil {
		return nil, fmt.Errorf("read the secrets of job %d: %w", j.GetNumber(), err)
	}
	return m.GetValues(), nil
}

func stopReason(sn *snapshot, j *statev1.Job) string {
	switch {
	case j.GetDesired() == "cancel":
		return "cancel"
	case sn.node.GetDesired() == statev1.NodeDesired_NODE_DESIRED_STOPPED:
		return "cancel: the cluster is being stopped"
	}
	return "cancel: the cluster is going down"
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}
