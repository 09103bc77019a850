package plan

import (
	"time"

	statev1 "aloft/proto/sky/state/v1"
)

// Action is one thing to do for a cluster. The set is closed. Record actions only change records: Draft.Apply carries
// them out. Effects call somebody: Draft.Apply writes what must be durable before the call, the reconciler makes it.
type Action interface {
	// Node is the node concerned, "" for the whole cluster.
	Node() string
	// Effect reports whether the action calls somebody.
	Effect() bool
	action()
}

// Create asks the provider for the node's machine; also the retry of a call without answer (rule R2).
type Create struct{ OnNode }

// AskQuota asks the provider, before the first machine of a candidate, whether the account may have them all.
type AskQuota struct{ OnNode }

// Remove has the provider remove what the cluster's machines shared in the region of the node: all of them are gone.
type Remove struct{ OnNode }

// Probe asks the provider how the node's machine is. ByToken looks for a machine of an intent that is not bound yet.
type Probe struct {
	OnNode
	ByToken bool
}

// Ship puts the agent on the machine, starts it and opens the session.
type Ship struct{ OnNode }

// Connect opens the session again: it asks the provider first, and installs the agent again when Reship.
type Connect struct {
	OnNode
	Reship bool
}

// Stop asks for the machine to be stopped, and looks.
type Stop struct{ OnNode }

// Start asks for a stopped machine to be started, with a new deadline unless that is zero.
type Start struct {
	OnNode
	Deadline time.Time
}

// Delete asks for the end of the machine, and looks.
type Delete struct{ OnNode }

// Extend moves the instant at which the place ends the machine by itself: the cluster is wanted longer.
type Extend struct {
	OnNode
	Deadline time.Time
}

// PowerOff tells the place what a shutdown from within does to the machine: keep its disk, or end it for good.
type PowerOff struct {
	OnNode
	Keep bool
}

// Renew is Extend where the place has no deadline that can be moved: the machine's own agent is told by its policy.
type Renew struct {
	NodeRecord
	Deadline time.Time
}

// Drain takes no new work for a node that is to be deleted.
type Drain struct{ NodeRecord }

// Release gives up a node that never became a machine.
type Release struct{ NodeRecord }

// Place gives a queued job its ranks.
type Place struct {
	ClusterRecord
	JobID string
	Ranks []*statev1.Rank
}

// Lose gives the ranks of a job on machines that are no more their verdict.
type Lose struct {
	ClusterRecord
	JobID string
	Slots []int32
}

// CloseJob ends a job that can never be placed.
type CloseJob struct {
	ClusterRecord
	JobID   string
	Failure *statev1.Failure
}

// NextCandidate gives up the present candidate: all its machines are deleted, its scope is blocked, the next one is
// tried. With none left, retry_until_up starts over after a pause.
type NextCandidate struct {
	ClusterRecord
	Failure *statev1.Failure
}

// Prefer plans the machines of a launch elsewhere before anything was asked for.
type Prefer struct {
	ClusterRecord
	Candidate int32
}

// Refill asks again, after a pause, for machines of a cluster that stood once: retry_until_up, where it stands.
type Refill struct {
	ClusterRecord
	Slots   []int32
	Failure *statev1.Failure
}

// Fail gives up the launch.
type Fail struct {
	ClusterRecord
	Failure *statev1.Failure
}

// Up records that every machine is ready.
type Up struct{ ClusterRecord }

// Finish carries on what a node began on its own (autostop): the whole cluster stops or goes down.
type Finish struct {
	ClusterRecord
	Desired statev1.ClusterDesired
	Reason  string
}

// End records that nothing of the cluster is left.
type End struct{ ClusterRecord }

// Schedule says when to look again if nothing happens before.
type Schedule struct {
	ClusterRecord
	At time.Time
}

// OnNode is the part that effects on a node share.
type OnNode struct{ NodeID string }

// Node is the node concerned.
func (a OnNode) Node() string { return a.NodeID }

// Effect is true: somebody is called.
func (OnNode) Effect() bool { return true }
func (OnNode) action()      {}

// NodeRecord is the part that changes of a node's record share.
type NodeRecord struct{ NodeID string }

// Node is the node concerned.
func (a NodeRecord) Node() string { return a.NodeID }

// Effect is false: only records change.
func (NodeRecord) Effect() bool { return false }
func (NodeRecord) action()      {}

// ClusterRecord is the part that changes of the cluster's and its jobs' records share.
type ClusterRecord struct{}

// Node is empty: the whole cluster is concerned.
func (ClusterRecord) Node() string { return "" }

// Effect is false: only records change.
func (ClusterRecord) Effect() bool { return false }
func (ClusterRecord) action()      {}
