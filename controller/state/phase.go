// Package state holds the truth tables of the controller: which phases may follow which, what users see of them, how
// a job's outcome folds out of its ranks, and how ids and tokens are made. Everything here is a pure function of its
// arguments: no clock, no store, no randomness of its own.
package state

import (
	"strings"

	statev1 "aloft/proto/sky/state/v1"
)

// nodeNext is the life of a node as data: the phases that may follow each phase. Numbers grow along a life, with the
// one exception STOPPED -> BOOTING (`sky start`). A LOST node stays LOST: its intent says whether a delete is still owed.
var nodeNext = map[statev1.NodePhase][]statev1.NodePhase{
	statev1.NodePhase_NODE_PHASE_UNSPECIFIED: {statev1.NodePhase_NODE_PLANNED},
	statev1.NodePhase_NODE_PLANNED:           {statev1.NodePhase_NODE_CREATING, statev1.NodePhase_NODE_GONE},
	statev1.NodePhase_NODE_CREATING: {
		statev1.NodePhase_NODE_BOOTING, statev1.NodePhase_NODE_SHIPPING, statev1.NodePhase_NODE_DELETING,
		statev1.NodePhase_NODE_GONE, statev1.NodePhase_NODE_FAILED,
	},
	statev1.NodePhase_NODE_BOOTING: {
		statev1.NodePhase_NODE_SHIPPING, statev1.NodePhase_NODE_STOPPING, statev1.NodePhase_NODE_STOPPED,
		statev1.NodePhase_NODE_DRAINING, statev1.NodePhase_NODE_DELETING, statev1.NodePhase_NODE_LOST,
	},
	statev1.NodePhase_NODE_SHIPPING: {
		statev1.NodePhase_NODE_READY, statev1.NodePhase_NODE_STOPPING, statev1.NodePhase_NODE_STOPPED,
		statev1.NodePhase_NODE_DRAINING, statev1.NodePhase_NODE_DELETING, statev1.NodePhase_NODE_LOST,
	},
	statev1.NodePhase_NODE_READY: {
		statev1.NodePhase_NODE_STOPPING, statev1.NodePhase_NODE_STOPPED, statev1.NodePhase_NODE_DRAINING,
		statev1.NodePhase_NODE_DELETING, statev1.NodePhase_NODE_LOST,
	},
	statev1.NodePhase_NODE_STOPPING: {
		statev1.NodePhase_NODE_STOPPED, statev1.NodePhase_NODE_DELETING, statev1.NodePhase_NODE_LOST,
	},
	statev1.NodePhase_NODE_STOPPED: {
		statev1.NodePhase_NODE_BOOTING, statev1.NodePhase_NODE_DELETING, statev1.NodePhase_NODE_LOST,
	},
	statev1.NodePhase_NODE_DRAINING: {statev1.NodePhase_NODE_DELETING, statev1.NodePhase_NODE_LOST},
	statev1.NodePhase_NODE_DELETING: {statev1.NodePhase_NODE_GONE},
	statev1.NodePhase_NODE_GONE:     nil,
	statev1.NodePhase_NODE_FAILED:   nil,
	statev1.NodePhase_NODE_LOST:     nil,
}

// CanGo reports whether a node in phase from may enter phase to.
func CanGo(from, to statev1.NodePhase) bool {
	for _, p := range nodeNext[from] {
		if p == to {
			return true
		}
	}
	return false
}

// NextPhases are the phases that may follow p.
func NextPhases(p statev1.NodePhase) []statev1.NodePhase {
	return append([]statev1.NodePhase(nil), nodeNext[p]...)
}

// NodeEnded reports whether a node in phase p will never be a machine of its cluster again.
// A LOST one may still owe a delete: see its intent.
func NodeEnded(p statev1.NodePhase) bool {
	return p == statev1.NodePhase_NODE_GONE || p == statev1.NodePhase_NODE_FAILED || p == statev1.NodePhase_NODE_LOST
}

// NodeBilled reports whether a machine in phase p costs its hourly price.
func NodeBilled(p statev1.NodePhase) bool {
	switch p {
	case statev1.NodePhase_NODE_BOOTING, statev1.NodePhase_NODE_SHIPPING, statev1.NodePhase_NODE_READY,
		statev1.NodePhase_NODE_STOPPING, statev1.NodePhase_NODE_DRAINING, statev1.NodePhase_NODE_DELETING:
		return true
	}
	return false
}

// JobEnded reports whether a job in phase p has its final outcome.
func JobEnded(p statev1.JobPhase) bool { return p >= statev1.JobPhase_JOB_SUCCEEDED }

// RankEnded reports whether a rank in phase p has its verdict.
func RankEnded(p statev1.RankPhase) bool { return p >= statev1.RankPhase_RANK_EXITED }

// PhaseName is the word used in events and docs: the enum's name without its prefix.
func PhaseName(p interface{ String() string }) string {
	s := p.String()
	for _, prefix := range []string{"NODE_", "JOB_", "RANK_", "CLUSTER_DESIRED_", "INTENT_"} {
		if rest, ok := strings.CutPrefix(s, prefix); ok {
			return rest
		}
	}
	return s
}
