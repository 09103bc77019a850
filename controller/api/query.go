package api

import (
	"context"
	"errors"
	"path"
	"slices"
	"sort"

	"aloft/controller/state"
	"aloft/controller/store"
	controlv1 "aloft/proto/sky/control/v1"
	statev1 "aloft/proto/sky/state/v1"
)

// Clusters answers `sky status`.
func (s *Server) Clusters(ctx context.Context, q *controlv1.ClustersQuery) (*controlv1.ClustersAnswer, error) {
	for _, n := range q.GetNames() {
		if _, err := path.Match(n, ""); err != nil {
			return nil, usage("cluster %q: not a name or glob", n)
		}
	}
	ans := &controlv1.ClustersAnswer{EnabledInfra: s.o.Providers.Enabled(ctx)}
	read := func() error {
		leave, err := s.queue(ctx)
		if err != nil {
			return err
		}
		defer leave()
		ans.Clusters, ans.NotFound = nil, nil
		return s.o.Store.View(ctx, func(tx store.Tx) error {
			ans.Rev = uint64(tx.Rev())
			cs, missing := s.pick(tx, q.GetProject(), q.GetNames(), q.GetHistory())
			ans.NotFound = missing
			for _, c := range cs {
				ans.Clusters = append(ans.Clusters, s.clusterView(tx, c, true))
			}
			return nil
		})
	}
	if err := read(); err != nil {
		return nil, s.reply("read the clusters", err)
	}
	if q.GetRefresh() && s.o.Refresh != nil {
		var ids []string
		for _, v := range ans.GetClusters() {
			if v.GetCluster().GetEndedMs() == 0 {
				ids = append(ids, v.GetCluster().GetId())
			}
		}
		if err := s.o.Refresh(ctx, ids); err != nil {
			return nil, s.reply("ask the providers", err)
		}
		if err := read(); err != nil {
			return nil, s.reply("read the clusters", err)
		}
	}
	return ans, nil
}

// queue waits for a turn to read much: a thousand callers at once shall not each have their lists in memory.
func (s *Server) queue(ctx context.Context) (leave func(), err error) {
	select {
	case s.readers <- struct{}{}:
		return func() { <-s.readers }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// pick finds clusters by names and globs (none = all), the newest launch first. History includes ended ones; of ended
// clusters that share a name all are given.
func (s *Server) pick(tx store.Tx, project string, names []string, history bool) ([]*statev1.Cluster, []string) {
	var missing []string
	if len(names) > 0 && !history && !anyGlob(names) {
		var out []*statev1.Cluster
		seen := map[string]bool{}
		for _, n := range names {
			c, err := store.FindCluster(tx, project, n)
			if err != nil {
				missing = append(missing, n)
				continue
			}
			if !seen[c.GetId()] {
				seen[c.GetId()] = true
				out = append(out, c)
			}
		}
		return out, missing
	}
	var all []*statev1.Cluster
	if history {
		all = store.List[statev1.Cluster](tx, store.Cluster, store.ByProject, project)
	} else {
		all = store.OpenClusters(tx) // few among the many that there were
	}
	var out []*statev1.Cluster
	hit := make([]bool, len(names))
	for _, c := range all {
		if c.GetProject() != project {
			continue
		}
		ok := len(names) == 0
		for i, n := range names {
			if m, _ := path.Match(n, c.GetName()); m {
				ok, hit[i] = true, true
			}
		}
		if ok {
			out = append(out, c)
		}
	}
	for i, n := range names {
		if !hit[i] {
			missing = append(missing, n)
		}
	}
	sort.SliceStable(out, func(i, j int) bool { return out[i].GetLaunchedMs() > out[j].GetLaunchedMs() })
	return out, missing
}

func anyGlob(names []string) bool {
	for _, n := range names {
		for _, r := range n {
			if r == '*' || r == '?' || r == '[' {
				return true
			}
		}
	}
	return false
}

// Jobs answers `sky queue`.
func (s *Server) Jobs(ctx context.Context, q *controlv1.JobsQuery) (*controlv1.JobsAnswer, error) {
	ans := &controlv1.JobsAnswer{}
	leave, err := s.queue(ctx)
	if err != nil {
		return nil, s.reply("read the job queues", err)
	}
	defer leave()
	err = s.o.Store.View(ctx, func(tx store.Tx) error {
		cs, missing := s.pick(tx, q.GetProject(), q.GetClusters(), q.GetHistory() && len(q.GetClusters()) == 0)
		// A queue stays readable after its cluster is gone: the newest of that name.
		for _, name := range missing {
			if c := s.lastOf(tx, q.GetProject(), name); c != nil {
				cs = append(cs, c)
				continue
			}
			ans.NotFound = append(ans.NotFound, name)
		}
		for _, c := range cs {
			cj := &controlv1.ClusterJobs{ClusterName: c.GetName(), ClusterStatus: state.ClusterStatus(c, store.NodesOf(tx, c.GetId()))}
			for _, j := range store.JobsOf(tx, c.GetId(), 0) {
				if q.GetSkipFinished() && j.GetPhase() >= statev1.JobPhase_JOB_SUCCEEDED {
					continue
				}
				if want := q.GetGitCommits(); len(want) > 0 && !slices.Contains(want, j.GetTask().GetGitCommit()) {
					continue
				}
				cj.Jobs = append(cj.Jobs, jobView(j))
			}
			ans.Clusters = append(ans.Clusters, cj)
		}
		return nil
	})
	if err != nil {
		return nil, s.reply("read the job queues", err)
	}
	return ans, nil
}

// lastOf is the ended cluster of that name that was launched last; nil when there never was one.
func (s *Server) lastOf(tx store.Tx, project, name string) *statev1.Cluster {
	var last *statev1.Cluster
	for _, c := range store.List[statev1.Cluster](tx, store.Cluster, store.ByProject, project) {
		if c.GetName() == name && (last == nil || c.GetLaunchedMs() > last.GetLaunchedMs()) {
			last = c
		}
	}
	return last
}

// GetJob finds one job, also of a cluster that is gone.
func (s *Server) GetJob(ctx context.Context, q *controlv1.GetJobRequest) (*controlv1.JobAnswer, error) {
	ans := &controlv1.JobAnswer{}
	err := s.o.Store.View(ctx, func(tx store.Tx) error {
		ans.Rev = uint64(tx.Rev())
		j, c, err := s.findJob(tx, q)
		if err != nil {
			return err
		}
		ans.Job = jobView(j)
		ans.Cluster = s.clusterView(tx, c, false)
		return nil
	})
	if err != nil {
		return nil, s.reply("read the job", err)
	}
	return ans, nil
}

func (s *Server) findJob(tx store.Tx, q *controlv1.GetJobRequest) (*statev1.Job, *statev1.Cluster, error) {
	if id := q.GetJobId(); id != "" {
		j, err := store.GetJob(tx, id)
		if errors.Is(err, store.ErrNotFound) {
			return nil, nil, notFound("no such job: %s", id)
		}
		if err != nil {
			return nil, nil, err
		}
		c, err := store.GetCluster(tx, j.GetClusterId())
		return j, c, err
	}
	c, err := store.FindCluster(tx, q.GetProject(), q.GetClusterName())
	if errors.Is(err, store.ErrNotFound) {
		if c = s.lastOf(tx, q.GetProject(), q.GetClusterName()); c == nil {
			return nil, nil, notFound("no such cluster: %s", q.GetClusterName())
		}
	} else if err != nil {
		return nil, nil, err
	}
	if q.GetNumber() == 0 {
		jobs := store.JobsOf(tx, c.GetId(), 1)
		if len(jobs) == 0 {
			return nil, nil, noJob(c.GetName(), 0)
		}
		return jobs[0], c, nil
	}
	j, err := store.JobByNumber(tx, c.GetId(), q.GetNumber())
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil, noJob(c.GetName(), q.GetNumber())
	}
	return j, c, err
}

func noJob(cluster string, number uint32) error {
	f := &statev1.Failure{Kind: statev1.FailureKind_NOT_FOUND, Code: "NO_JOB", Hint: "run `sky queue " + cluster + "` to see its jobs"}
	if number == 0 {
		f.Message = "cluster " + cluster + " has no jobs"
	} else {
		f.Message = "cluster " + cluster + " has no job " + num(float64(number))
	}
	return refuse(f)
}
