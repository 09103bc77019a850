// Package desired holds the verbs of the API. Each writes what is wanted into the records, in the caller's
// transaction, and never acts: the reconciler does. Verbs are deterministic, so a transaction may run them again.
package desired

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"aloft/controller/state"
	"aloft/controller/store"
	statev1 "aloft/proto/sky/state/v1"
)

// Error is a refusal of a verb; its failure says why and what to do.
type Error struct{ Failure *statev1.Failure }

// Error is the failure's sentence.
func (e *Error) Error() string { return e.Failure.GetMessage() }

// refuse makes an Error.
func refuse(kind statev1.FailureKind, code, hint, format string, args ...any) error {
	return &Error{Failure: &statev1.Failure{
		Kind: kind, Scope: "cluster", Code: code, Message: fmt.Sprintf(format, args...), Hint: hint,
	}}
}

// Target names a cluster. User is who asks.
type Target struct {
	Project string
	Name    string
	User    string
	Now     time.Time
}

// find reads the living cluster of a target and its nodes.
func find(tx store.Tx, t Target) (*statev1.Cluster, []*statev1.Node, error) {
	c, err := store.FindCluster(tx, t.Project, t.Name)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil, refuse(statev1.FailureKind_NOT_FOUND, "no-cluster", "sky status", "There is no cluster %q.", t.Name)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("find cluster %s: %w", t.Name, err)
	}
	return c, store.NodesOf(tx, c.GetId()), nil
}

// taken refuses work for a cluster that another controller has: here nothing would be done about it.
func taken(c *statev1.Cluster) error {
	if c.GetTakenMs() == 0 {
		return nil
	}
	return refuse(statev1.FailureKind_CONFLICT, "taken", "it is to be used from there; sky down "+c.GetName()+" ends its machines from here, too",
		"Another home has taken cluster %q over.", c.GetName())
}

// open are the unfinished jobs of a cluster.
func open(tx store.Tx, clusterID string) []*statev1.Job {
	return store.OpenJobsOf(tx, clusterID)
}

// change notes what users see of a cluster before a verb, so that one event can tell of the change.
type change struct {
	tx     store.Tx
	c      *statev1.Cluster
	nodes  []*statev1.Node
	before string
}

func begin(tx store.Tx, c *statev1.Cluster, nodes []*statev1.Node) *change {
	return &change{tx: tx, c: c, nodes: nodes, before: state.ClusterStatus(c, nodes)}
}

// commit writes the cluster and the nodes given, and the event.
func (ch *change) commit(now time.Time, reason string, nodes []*statev1.Node) error {
	ch.c.Generation++
	ch.c.LastEvent = reason
	if err := ch.tx.Put(store.Cluster, ch.c.GetId(), ch.c); err != nil {
		return fmt.Errorf("write cluster %s: %w", ch.c.GetName(), err)
	}
	for _, n := range nodes {
		if err := ch.tx.Put(store.Node, n.GetId(), n); err != nil {
			return fmt.Errorf("write node %s: %w", n.GetName(), err)
		}
	}
	if err := ch.tx.Schedule(store.Key{Kind: store.Cluster, ID: ch.c.GetId()}, now); err != nil {
		return fmt.Errorf("schedule cluster %s: %w", ch.c.GetName(), err)
	}
	seen := nodes
	if seen == nil {
		seen = ch.nodes // the verb left the nodes alone
	}
	ch.tx.Emit(&statev1.Event{
		Kind: string(store.Cluster), Id: ch.c.GetId(), ClusterId: ch.c.GetId(), Name: ch.c.GetName(), Actor: "api", AtMs: now.UnixMilli(),
		OldPhase: ch.before, NewPhase: state.ClusterStatus(ch.c, seen), Reason: reason,
	})
	return nil
}

// ended reports whether a node is no machine of its cluster any more, nor meant to be.
func ended(n *statev1.Node) bool {
	return state.NodeEnded(n.GetPhase()) || n.GetDesired() == statev1.NodeDesired_NODE_DESIRED_GONE
}

// byUser says who asked.
func byUser(what, user string) string {
	if user == "" {
		return what
	}
	return what + " by " + user
}

// names joins job numbers for messages.
func names(ns []uint32) string {
	ss := make([]string, len(ns))
	for i, n := range ns {
		ss[i] = fmt.Sprint(n)
	}
	return strings.Join(ss, ", ")
}
