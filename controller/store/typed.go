package store

import (
	"cmp"
	"fmt"
	"iter"
	"slices"

	"google.golang.org/protobuf/proto"

	statev1 "aloft/proto/sky/state/v1"
)

// Message is a pointer to a generated message T.
type Message[T any] interface {
	*T
	proto.Message
}

// Get reads an object: Get[statev1.Cluster](tx, Cluster, id). The error is ErrNotFound with kind and id.
func Get[T any, M Message[T]](tx Tx, k Kind, id string) (M, error) {
	m := M(new(T))
	if _, err := tx.Get(k, id, m); err != nil {
		return nil, err
	}
	return m, nil
}

// List collects the objects of a kind, by id, or with index != "" those whose index has the value.
func List[T any, M Message[T]](tx Tx, k Kind, index, value string) []M {
	return collect[T, M](tx.List(k, index, value, func() proto.Message { return M(new(T)) }))
}

// Scan collects the objects that q selects.
func Scan[T any, M Message[T]](tx Tx, q Query) []M {
	return collect[T, M](tx.Scan(q, func() proto.Message { return M(new(T)) }))
}

func collect[T any, M Message[T]](seq iter.Seq2[string, proto.Message]) []M {
	var out []M
	for _, m := range seq {
		if v, ok := m.(M); ok {
			out = append(out, v)
		}
	}
	return out
}

// GetCluster reads a cluster; ErrNotFound.
func GetCluster(tx Tx, id string) (*statev1.Cluster, error) {
	return Get[statev1.Cluster](tx, Cluster, id)
}

// GetNode reads a node; ErrNotFound.
func GetNode(tx Tx, id string) (*statev1.Node, error) { return Get[statev1.Node](tx, Node, id) }

// GetJob reads a job; ErrNotFound.
func GetJob(tx Tx, id string) (*statev1.Job, error) { return Get[statev1.Job](tx, Job, id) }

// FindCluster reads the living cluster of that name in the project; ErrNotFound.
func FindCluster(tx Tx, project, name string) (*statev1.Cluster, error) {
	id, err := tx.Lookup(Cluster, project, name)
	if err != nil {
		return nil, err
	}
	return GetCluster(tx, id)
}

// Clusters are all clusters, by id, the ended ones too.
func Clusters(tx Tx) []*statev1.Cluster { return List[statev1.Cluster](tx, Cluster, "", "") }

// OpenClusters are the clusters that have not ended, by id.
func OpenClusters(tx Tx) []*statev1.Cluster {
	return List[statev1.Cluster](tx, Cluster, ByState, StateOpen)
}

// NodesOf are the nodes of a cluster, by id.
func NodesOf(tx Tx, clusterID string) []*statev1.Node {
	return List[statev1.Node](tx, Node, ByCluster, clusterID)
}

// JobsOf are the jobs of a cluster, the highest number first, at most limit (0 = all).
func JobsOf(tx Tx, clusterID string, limit int) []*statev1.Job {
	return Scan[statev1.Job](tx, Query{Kind: Job, Index: ByNumber, Value: clusterID + "/", Prefix: true, Reverse: true, Limit: limit})
}

// OpenJobs are the jobs that have not ended, by id.
func OpenJobs(tx Tx) []*statev1.Job {
	jobs := Scan[statev1.Job](tx, Query{Kind: Job, Index: ByState, Value: JobStateValue(StateOpen, ""), Prefix: true})
	slices.SortFunc(jobs, func(a, b *statev1.Job) int { return cmp.Compare(a.GetId(), b.GetId()) })
	return jobs
}

// OpenJobsOf are the jobs of a cluster that have not ended, by id.
func OpenJobsOf(tx Tx, clusterID string) []*statev1.Job {
	return List[statev1.Job](tx, Job, ByState, JobStateValue(StateOpen, clusterID))
}

// LatestJobs are the jobs submitted last, the newest first, at most limit (0 = all).
func LatestJobs(tx Tx, limit int) []*statev1.Job {
	return Scan[statev1.Job](tx, Query{Kind: Job, Index: BySubmitted, Prefix: true, Reverse: true, Limit: limit})
}

// JobByNumber reads a job by its number in its cluster; ErrNotFound.
func JobByNumber(tx Tx, clusterID string, number uint32) (*statev1.Job, error) {
	jobs := List[statev1.Job](tx, Job, ByNumber, NumberValue(clusterID, number))
	if len(jobs) == 0 {
		return nil, fmt.Errorf("job %d of cluster %s: %w", number, clusterID, ErrNotFound)
	}
	return jobs[0], nil
}
