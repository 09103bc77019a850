package desired

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"aloft/controller/plan"
	"aloft/controller/state"
	"aloft/controller/store"
	statev1 "aloft/proto/sky/state/v1"
)

// LaunchSpec is what a launch or an exec asks for.
type LaunchSpec struct {
	Project       string
	User          string
	ClusterName   string
	Seed          string            // unique per request: ids are derived from it
	Task          *statev1.TaskSpec // what the job runs; its resources and num_nodes size a new cluster
	HasJob        bool              // false = provision only
	WithSetup     bool
	SealedSecrets []byte
	RequestID     string
	Candidates    []*statev1.Candidate // ranked; needed for a new cluster
	Autostop      *statev1.Autostop    // nil = keep
	Budget        *statev1.Budget      // of the cluster; nil = keep
	RetryUntilUp  bool
	CI            *statev1.CIRun // of the job that asks; nil outside CI
	CommandLine   string
	CACert        []byte
	CAKeySealed   []byte
	Now           time.Time
}

// Result is what a launch or an exec led to.
type Result struct {
	Cluster   *statev1.Cluster
	Job       *statev1.Job // nil = none
	Created   bool
	Restarted bool
	Repaired  int // machines that are made again
}

// Launch makes a cluster or reuses the one of that name, and queues the job on it.
func Launch(tx store.Tx, s LaunchSpec) (Result, error) {
	t := Target{Project: s.Project, Name: s.ClusterName, User: s.User, Now: s.Now}
	c, nodes, err := find(tx, t)
	var missing *Error
	switch {
	case errors.As(err, &missing):
		return create(tx, s)
	case err != nil:
		return Result{}, err
	case c.GetDesired() == statev1.ClusterDesired_CLUSTER_DESIRED_DOWN:
		return Result{}, refuse(statev1.FailureKind_CONFLICT, "terminating", "wait until it is gone: sky status "+c.GetName(),
			"Cluster %q is being terminated.", c.GetName())
	case state.ClusterStatus(c, nodes) == state.ClusterAutostopping:
		return Result{}, refuse(statev1.FailureKind_CONFLICT, "autostopping", "launch again once it has stopped: sky status "+c.GetName(),
			"Cluster %q is stopping itself.", c.GetName())
	case c.GetCandidate() < 0:
		return Result{}, refuse(statev1.FailureKind_CONFLICT, "failed", "sky why "+c.GetName(),
			"The launch of cluster %q failed; what it made is being deleted.", c.GetName())
	}
	if err := taken(c); err != nil {
		return Result{}, err
	}
	if err := fits(c, nodes, s.Task); err != nil {
		return Result{}, err
	}
	ch := begin(tx, c, nodes)
	r := Result{Cluster: c}
	nodes, r.Restarted, r.Repaired = revive(c, nodes, s.Now)
	if s.Autostop != nil {
		c.Autostop = proto.CloneOf(s.Autostop)
		c.Autostop.SetMs = s.Now.UnixMilli()
	} else if c.GetAutostop() != nil {
		c.Autostop.SetMs = s.Now.UnixMilli()
	}
	if s.Budget != nil {
		c.Budget = proto.CloneOf(s.Budget)
	}
	if s.CI != nil {
		c.Ci = s.CI
	}
	c.RetryUntilUp = s.RetryUntilUp
	c.LastCommand, c.TaskName = s.CommandLine, s.Task.GetName()
	if r.Restarted || r.Repaired > 0 {
		c.LaunchedMs = s.Now.UnixMilli()
	}
	if err := addJob(tx, c, s, &r); err != nil {
		return Result{}, err
	}
	return r, ch.commit(s.Now, byUser("launch", s.User), nodes)
}

// create makes a new cluster with its slots.
func create(tx store.Tx, s LaunchSpec) (Result, error) {
	if len(s.Candidates) == 0 {
		return Result{}, refuse(statev1.FailureKind_CONFIG, "no-candidate", "sky check", "No machine on offer satisfies the task's resources.")
	}
	now := s.Now.UnixMilli()
	c := &statev1.Cluster{
		Id: state.DeriveID(s.Now, s.Seed, "cluster"), Name: s.ClusterName, Project: s.Project, User: s.User,
		Desired:  statev1.ClusterDesired_CLUSTER_DESIRED_UP,
		NumNodes: max(s.Task.GetNumNodes(), 1), Resources: s.Task.GetResources(), Candidates: s.Candidates,
		Budget: s.Budget, RetryUntilUp: s.RetryUntilUp, CreatedMs: now, LaunchedMs: now,
		LastCommand: s.CommandLine, TaskName: s.Task.GetName(), Ci: s.CI, CaCert: s.CACert, CaKeySealed: s.CAKeySealed,
	}
	if s.Autostop != nil {
		c.Autostop = proto.CloneOf(s.Autostop)
		c.Autostop.SetMs = now
	}
	nodes := make([]*statev1.Node, c.GetNumNodes())
	for slot := range c.GetNumNodes() {
		nodes[slot] = plan.NewNode(c, slot, s.Candidates[0], s.Now, int(slot))
	}
	r := Result{Cluster: c, Created: true}
	if err := addJob(tx, c, s, &r); err != nil {
		return Result{}, err
	}
	ch := begin(tx, c, nil)
	ch.before = ""
	if err := ch.commit(s.Now, byUser("launch", s.User), nodes); err != nil {
		if errors.Is(err, store.ErrNameTaken) {
			return Result{}, refuse(statev1.FailureKind_CONFLICT, "name-taken", "choose another name with -c", "The name %q is taken.", s.ClusterName)
		}
		return Result{}, err
	}
	for _, n := range nodes {
		tx.Emit(&statev1.Event{
			Kind: string(store.Node), Id: n.GetId(), ClusterId: c.GetId(), Name: n.GetName(), NewPhase: state.PhaseName(n.GetPhase()),
			Actor: "api", Reason: "launch", AtMs: now,
		})
	}
	return r, nil
}

// revive wants every machine of a cluster up again: stopped ones are started, missing ones made anew.
func revive(c *statev1.Cluster, nodes []*statev1.Node, now time.Time) (all []*statev1.Node, restarted bool, repaired int) {
	have := map[int32]bool{}
	for _, n := range nodes {
		if ended(n) {
			continue
		}
		have[n.GetSlot()] = true
		if n.GetDesired() != statev1.NodeDesired_NODE_DESIRED_UP {
			n.Desired, n.RetryMs, n.Failure = statev1.NodeDesired_NODE_DESIRED_UP, 0, nil
			if n.GetInstanceId() != "" {
				n.Tries = 0 // before that, tries counts the create calls of its intent, and must not forget one
			}
			restarted = true
		}
	}
	all = nodes
	if c.GetDesired() != statev1.ClusterDesired_CLUSTER_DESIRED_UP {
		c.Desired = statev1.ClusterDesired_CLUSTER_DESIRED_UP
		restarted = true
	}
	for slot := range c.GetNumNodes() {
		if have[slot] {
			continue
		}
		all = append(all, plan.NewNode(c, slot, standing(c, nodes), now, len(all)))
		repaired++
	}
	if restarted || repaired > 0 {
		c.AutostoppingMs, c.Failure, c.BlockedUntilMs = 0, nil, 0
	}
	return all, restarted, repaired
}

// standing is where a cluster is: a machine that replaces a lost one is made beside the others, not where the cheapest is now.
func standing(c *statev1.Cluster, nodes []*statev1.Node) *statev1.Candidate {
	var last *statev1.Node
	for _, n := range nodes {
		if !ended(n) {
			return n.GetCandidate()
		}
		if last == nil || n.GetCreatedMs() > last.GetCreatedMs() {
			last = n
		}
	}
	if i := c.GetCandidate(); i >= 0 && int(i) < len(c.GetCandidates()) {
		return c.GetCandidates()[i]
	}
	return last.GetCandidate()
}

// addJob queues the job of s on c.
func addJob(tx store.Tx, c *statev1.Cluster, s LaunchSpec, r *Result) error {
	if !s.HasJob {
		return nil
	}
	c.LastJob++
	j := &statev1.Job{
		Id: state.DeriveID(s.Now, s.Seed, "job"), ClusterId: c.GetId(), ClusterName: c.GetName(), Number: c.GetLastJob(),
		Task: s.Task, SealedSecrets: s.SealedSecrets, Phase: statev1.JobPhase_JOB_QUEUED, SubmittedMs: s.Now.UnixMilli(),
		FailedRank: -1, User: s.User, WithSetup: s.WithSetup, RequestId: s.RequestID,
		TaskId: state.TaskID(s.Now, c.GetName(), c.GetLastJob()), ResourcesText: resourcesText(c, s.Task), StateReason: "waiting for the cluster",
	}
	if err := tx.Put(store.Job, j.GetId(), j); err != nil {
		return fmt.Errorf("write job: %w", err)
	}
	tx.Emit(&statev1.Event{
		Kind: string(store.Job), Id: j.GetId(), ClusterId: c.GetId(), Name: fmt.Sprint(j.GetNumber()), NewPhase: state.PhaseName(j.GetPhase()),
		Actor: "api", Reason: byUser("submitted", s.User), AtMs: s.Now.UnixMilli(),
	})
	r.Job = j
	return nil
}

// Exec queues a job on a cluster that is up.
func Exec(tx store.Tx, s LaunchSpec) (Result, error) {
	c, nodes, err := find(tx, Target{Project: s.Project, Name: s.ClusterName, User: s.User, Now: s.Now})
	if err != nil {
		return Result{}, err
	}
	if err := taken(c); err != nil {
		return Result{}, err
	}
	switch st := state.ClusterStatus(c, nodes); st {
	case state.ClusterUp:
	case state.ClusterStopped:
		return Result{}, refuse(statev1.FailureKind_CONFLICT, "stopped", "sky start "+c.GetName(), "Cluster %q is stopped.", c.GetName())
	default:
		return Result{}, refuse(statev1.FailureKind_CONFLICT, "not-up", "sky status "+c.GetName(), "Cluster %q is not up: %s.", c.GetName(), st)
	}
	if err := fits(c, nodes, s.Task); err != nil {
		return Result{}, err
	}
	ch := begin(tx, c, nodes)
	c.LastCommand, c.TaskName = s.CommandLine, s.Task.GetName()
	if c.GetAutostop() != nil {
		c.Autostop.SetMs = s.Now.UnixMilli()
	}
	r := Result{Cluster: c}
	s.HasJob, s.WithSetup = true, false
	if err := addJob(tx, c, s, &r); err != nil {
		return Result{}, err
	}
	return r, ch.commit(s.Now, byUser("exec", s.User), nil)
}

// resourcesText is what a job takes of every node, for the queue: 2x[V100:1] or 1x[CPU:0.5].
func resourcesText(c *statev1.Cluster, t *statev1.TaskSpec) string {
	var acc string
	if i := c.GetCandidate(); i >= 0 && int(i) < len(c.GetCandidates()) {
		acc = c.GetCandidates()[i].GetAccelerator()
	}
	n := max(t.GetNumNodes(), 1)
	if t.GetGpusPerRank() > 0 && acc != "" {
		return fmt.Sprintf("%dx[%s:%s]", n, acc, number(t.GetGpusPerRank()))
	}
	cpus := t.GetCpusPerRank()
	if cpus == 0 {
		cpus = 0.5
	}
	return fmt.Sprintf("%dx[CPU:%s]", n, number(cpus))
}

func number(f float64) string {
	s := fmt.Sprintf("%.4f", f)
	return strings.TrimRight(strings.TrimRight(s, "0"), ".")
}
