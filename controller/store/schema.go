package store

import (
	"fmt"
	"strconv"

	"google.golang.org/protobuf/proto"

	statev1 "aloft/proto/sky/state/v1"
)

// Names of indexes of DefaultSchema.
const (
	// ByCluster finds nodes and jobs by cluster id.
	ByCluster = "cluster"
	// ByProject finds clusters by project.
	ByProject = "project"
	// ByPhase finds nodes by phase; the value is the enum's name (NODE_READY).
	ByPhase = "phase"
	// ByInstance finds nodes by the provider's instance id.
	ByInstance = "instance"
	// ByState finds clusters that are StateOpen or StateDone, and jobs by JobStateValue.
	ByState = "state"
	// ByNumber finds jobs by NumberValue: in order of their cluster's queue.
	ByNumber = "cluster-number"
	// BySubmitted finds jobs by TimeValue of their submission.
	BySubmitted = "submitted"
)

// Values of ByState.
const (
	StateOpen = "open"
	StateDone = "done"
)

// IndexEntry says under which value of which index an object is found. Neither may hold a zero byte.
type IndexEntry struct {
	Index string
	Value string
}

// KindSchema says how objects of one kind are found.
type KindSchema struct {
	// New makes an empty message of the kind.
	New func() proto.Message
	// Index derives the index entries of a message; nil = none.
	Index func(proto.Message) []IndexEntry
	// Name derives the unique name that a message claims in a project; false = none (now). nil = never any.
	Name func(proto.Message) (project, name string, ok bool)
}

// Schema says how objects are found.
type Schema struct {
	// Version grows with every change of what Kinds derive: a store written under another version is re-indexed at open.
	Version uint64
	Kinds   map[Kind]KindSchema
}

// DefaultSchema is the schema of the controller's state.
func DefaultSchema() Schema {
	return Schema{Version: 3, Kinds: map[Kind]KindSchema{
		Cluster: {
			New: func() proto.Message { return new(statev1.Cluster) },
			Index: func(m proto.Message) []IndexEntry {
				c, ok := m.(*statev1.Cluster)
				if !ok {
					return nil
				}
				state := StateOpen
				if c.GetEndedMs() != 0 {
					state = StateDone
				}
				return []IndexEntry{{ByProject, c.GetProject()}, {ByState, state}}
			},
			Name: func(m proto.Message) (string, string, bool) {
				c, ok := m.(*statev1.Cluster)
				if !ok {
					return "", "", false
				}
				return c.GetProject(), c.GetName(), c.GetEndedMs() == 0
			},
		},
		Node: {
			New: func() proto.Message { return new(statev1.Node) },
			Index: func(m proto.Message) []IndexEntry {
				n, ok := m.(*statev1.Node)
				if !ok {
					return nil
				}
				es := []IndexEntry{{ByCluster, n.GetClusterId()}, {ByPhase, n.GetPhase().String()}}
				if n.GetInstanceId() != "" {
					es = append(es, IndexEntry{ByInstance, n.GetInstanceId()})
				}
				return es
			},
		},
		Job: {
			New: func() proto.Message { return new(statev1.Job) },
			Index: func(m proto.Message) []IndexEntry {
				j, ok := m.(*statev1.Job)
				if !ok {
					return nil
				}
				state := StateOpen
				if j.GetPhase() >= statev1.JobPhase_JOB_SUCCEEDED {
					state = StateDone
				}
				return []IndexEntry{
					{ByCluster, j.GetClusterId()},
					{ByState, JobStateValue(state, j.GetClusterId())},
					{ByNumber, NumberValue(j.GetClusterId(), j.GetNumber())},
					{BySubmitted, TimeValue(j.GetSubmittedMs())},
				}
			},
		},
	}}
}

// JobStateValue is the value of ByState of a job: those of one state, then those of one cluster, are beside each other.
func JobStateValue(state, clusterID string) string { return state + "/" + clusterID }

// NumberValue is the value of ByNumber: text that sorts as the numbers do within a cluster.
func NumberValue(clusterID string, number uint32) string {
	return fmt.Sprintf("%s/%010d", clusterID, number)
}

// TimeValue is text that sorts as unix milliseconds do; times before 1970 count as 0.
func TimeValue(unixMS int64) string {
	s := strconv.FormatInt(max(unixMS, 0), 10)
	const width = 15
	if len(s) < width {
		s = "000000000000000"[:width-len(s)] + s
	}
	return s
}
