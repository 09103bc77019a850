package desired

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"aloft/controller/state"
	"aloft/controller/store"
	statev1 "aloft/proto/sky/state/v1"
)

// Stop wants a cluster stopped, its disks kept. Unfinished jobs are cancelled. The note is for people.
func Stop(tx store.Tx, t Target) (note string, err error) {
	c, nodes, err := find(tx, t)
	if err != nil {
		return "", err
	}
	switch {
	case c.GetDesired() == statev1.ClusterDesired_CLUSTER_DESIRED_DOWN:
		return "", refuse(statev1.FailureKind_CONFLICT, "terminating", "sky status "+c.GetName(), "Cluster %q is being terminated.", c.GetName())
	case c.GetDesired() == statev1.ClusterDesired_CLUSTER_DESIRED_STOPPED:
		if state.ClusterStatus(c, nodes) == state.ClusterStopped {
			return "already stopped", nil
		}
		return "already stopping", nil
	}
	if err := taken(c); err != nil {
		return "", err
	}
	ch := begin(tx, c, nodes)
	c.Desired, c.AutostoppingMs = statev1.ClusterDesired_CLUSTER_DESIRED_STOPPED, 0
	for _, n := range nodes {
		if !ended(n) {
			n.Desired = statev1.NodeDesired_NODE_DESIRED_STOPPED
		}
	}
	if err := cancelAll(tx, c, t.Now, "the cluster is stopped"); err != nil {
		return "", err
	}
	return "stopping", ch.commit(t.Now, byUser("stop", t.User), nodes)
}

// StartSpec is what a start may change.
type StartSpec struct {
	Autostop     *statev1.Autostop // nil = keep
	RetryUntilUp bool
}

// Start wants a stopped cluster up again, and missing machines of a cluster replaced.
func Start(tx store.Tx, t Target, s StartSpec) (note string, err error) {
	c, nodes, err := find(tx, t)
	if err != nil {
		return "", err
	}
	switch {
	case c.GetDesired() == statev1.ClusterDesired_CLUSTER_DESIRED_DOWN, c.GetCandidate() < 0:
		return "", refuse(statev1.FailureKind_CONFLICT, "terminating", "sky status "+c.GetName(), "Cluster %q is being terminated.", c.GetName())
	}
	if err := taken(c); err != nil {
		return "", err
	}
	ch := begin(tx, c, nodes)
	nodes, restarted, repaired := revive(c, nodes, t.Now)
	if s.Autostop != nil {
		c.Autostop = proto.CloneOf(s.Autostop)
	}
	if c.GetAutostop() != nil {
		c.Autostop.SetMs = t.Now.UnixMilli()
	}
	switch {
	case restarted:
		note = "starting"
	case repaired > 0:
		note = fmt.Sprintf("replacing %d machines", repaired)
	case s.Autostop == nil:
		return "already up", nil
	default:
		note = "already up"
	}
	c.RetryUntilUp = s.RetryUntilUp
	if restarted || repaired > 0 {
		c.LaunchedMs = t.Now.UnixMilli()
	}
	return note, ch.commit(t.Now, byUser("start", t.User), nodes)
}

// Down wants a cluster gone, whatever it is doing. Unfinished jobs are cancelled. With purge, machines whose deletion
// the provider refuses are forgotten.
func Down(tx store.Tx, t Target, purge bool) (note string, err error) {
	c, nodes, err := find(tx, t)
	if err != nil {
		return "", err
	}
	if c.GetDesired() == statev1.ClusterDesired_CLUSTER_DESIRED_DOWN && (c.GetPurge() || !purge) {
		return "already terminating", nil
	}
	ch := begin(tx, c, nodes)
	c.Desired, c.AutostoppingMs = statev1.ClusterDesired_CLUSTER_DESIRED_DOWN, 0
	c.Purge = c.GetPurge() || purge
	for _, n := range nodes {
		if !state.NodeEnded(n.GetPhase()) {
			n.Desired = statev1.NodeDesired_NODE_DESIRED_GONE
		}
	}
	if err := cancelAll(tx, c, t.Now, "the cluster is taken down"); err != nil {
		return "", err
	}
	return "terminating", ch.commit(t.Now, byUser("down", t.User), nodes)
}

// SetAutostop changes what a cluster does when idle; nil or a disabled one cancels it.
func SetAutostop(tx store.Tx, t Target, a *statev1.Autostop) (note string, err error) {
	c, nodes, err := find(tx, t)
	if err != nil {
		return "", err
	}
	switch st := state.ClusterStatus(c, nodes); {
	case c.GetDesired() == statev1.ClusterDesired_CLUSTER_DESIRED_DOWN:
		return "", refuse(statev1.FailureKind_CONFLICT, "terminating", "sky status "+c.GetName(), "Cluster %q is being terminated.", c.GetName())
	case st == state.ClusterStopped:
		return "", refuse(statev1.FailureKind_CONFLICT, "stopped", "sky start "+c.GetName(), "Cluster %q is stopped.", c.GetName())
	}
	ch := begin(tx, c, nodes)
	c.Autostop = proto.CloneOf(a)
	note = "autostop cancelled"
	if a.GetEnabled() {
		c.Autostop.SetMs = t.Now.UnixMilli()
		note = "autostop set"
		if a.GetDown() {
			note = "autodown set"
		}
	}
	return note, ch.commit(t.Now, byUser(note, t.User), nil)
}

// CancelSpec says which jobs of a cluster to cancel: all unfinished ones, those numbered, or the latest unfinished one.
type CancelSpec struct {
	Target
	Numbers []uint32
	All     bool
}

// Cancel wants jobs stopped. It returns the numbers of those now being cancelled; finished ones are left alone.
func Cancel(tx store.Tx, s CancelSpec) ([]uint32, error) {
	c, _, err := find(tx, s.Target)
	if err != nil {
		return nil, err
	}
	var jobs []*statev1.Job
	switch {
	case s.All:
		jobs = open(tx, c.GetId())
	case len(s.Numbers) == 0:
		for _, j := range open(tx, c.GetId()) {
			if len(jobs) == 0 || j.GetNumber() > jobs[0].GetNumber() {
				jobs = []*statev1.Job{j}
			}
		}
	default:
		var unknown []uint32
		for _, n := range s.Numbers {
			j, err := store.JobByNumber(tx, c.GetId(), n)
			switch {
			case errors.Is(err, store.ErrNotFound):
				unknown = append(unknown, n)
			case err != nil:
				return nil, fmt.Errorf("find job %d: %w", n, err)
			default:
				jobs = append(jobs, j)
			}
		}
		if len(unknown) > 0 {
			return nil, refuse(statev1.FailureKind_NOT_FOUND, "no-job", "sky queue "+c.GetName(), "Cluster %q has no job %s.", c.GetName(), names(unknown))
		}
	}
	var out []uint32
	for _, j := range jobs {
		did, err := cancel(tx, j, s.Now, byUser("cancelled", s.User))
		if err != nil {
			return nil, err
		}
		if did {
			out = append(out, j.GetNumber())
		}
	}
	slices.Sort(out)
	return out, nil
}

func cancelAll(tx store.Tx, c *statev1.Cluster, now time.Time, why string) error {
	for _, j := range open(tx, c.GetId()) {
		if _, err := cancel(tx, j, now, why); err != nil {
			return err
		}
	}
	return nil
}

// cancel wants one job stopped; one that no node has yet ends at once.
func cancel(tx store.Tx, j *statev1.Job, now time.Time, why string) (bool, error) {
	if state.JobEnded(j.GetPhase()) || j.GetDesired() == "cancel" {
		return false, nil
	}
	old := j.GetPhase()
	j.Desired, j.CancelMs = "cancel", now.UnixMilli()
	if len(j.GetRanks()) == 0 {
		state.CloseJob(j, &statev1.Failure{
			Kind: statev1.FailureKind_CANCELLED, Scope: "job", Code: "cancelled", Message: "The job was cancelled before it started: " + why + ".",
			AtMs: now.UnixMilli(),
		})
		j.ResultsComplete = true
	}
	if err := tx.Put(store.Job, j.GetId(), j); err != nil {
		return false, fmt.Errorf("write job %d: %w", j.GetNumber(), err)
	}
	tx.Emit(&statev1.Event{
		Kind: string(store.Job), Id: j.GetId(), ClusterId: j.GetClusterId(), Name: fmt.Sprint(j.GetNumber()),
		OldPhase: state.PhaseName(old), NewPhase: state.PhaseName(j.GetPhase()), Actor: "api", Reason: why, AtMs: now.UnixMilli(),
	})
	return true, nil
}
