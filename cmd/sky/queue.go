package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	controlv1 "aloft/proto/sky/control/v1"
)

// jsonJob is a job under -o json; docs/json.md describes it.
type jsonJob struct {
	ID          uint32             `json:"job_id"`
	UID         string             `json:"id"`
	Cluster     string             `json:"cluster"`
	Name        string             `json:"name"`
	User        string             `json:"user"`
	Status      string             `json:"status"`
	Phase       string             `json:"phase"`
	ExitCode    int32              `json:"exit_code"`
	SubmittedMS int64              `json:"submitted_ms"`
	StartedMS   int64              `json:"started_ms"`
	EndedMS     int64              `json:"ended_ms"`
	Resources   string             `json:"resources"`
	TaskID      string             `json:"task_id"`
	GitCommit   string             `json:"git_commit"`
	Reason      string             `json:"reason,omitempty"`
	Failure     *jsonWhy           `json:"failure,omitempty"`
	Ranks       []jsonRank         `json:"ranks"`
	Suites      []jsonSuite        `json:"suites"`
	Files       []jsonFile         `json:"files"`
	Metrics     map[string]float64 `json:"metrics"`
}

type jsonRank struct {
	Rank     int32  `json:"rank"`
	Slot     int32  `json:"slot"`
	Phase    string `json:"phase"`
	ExitCode int32  `json:"exit_code"`
	Signal   int32  `json:"signal"`
	PID      int64  `json:"pid"`
	Reason   string `json:"reason,omitempty"`
}

type jsonSuite struct {
	Name    string `json:"name"`
	Verdict string `json:"verdict"`
	Passed  int32  `json:"passed"`
	Warned  int32  `json:"warned"`
	Failed  int32  `json:"failed"`
	Errored int32  `json:"errored"`
	NotRun  int32  `json:"not_run"`
}

type jsonFile struct {
	Name   string `json:"name"`
	Kind   string `json:"kind"`
	SHA256 string `json:"sha256"`
	Bytes  uint64 `json:"bytes"`
	Path   string `json:"path,omitempty"`
}

func jobJSON(v *controlv1.JobView) jsonJob {
	j := v.GetJob()
	out := jsonJob{ID: j.GetNumber(), UID: j.GetId(), Cluster: j.GetClusterName(), Name: j.GetTask().GetName(), User: j.GetUser(), Status: v.GetStatus(),
		Phase: phaseWord(j.GetPhase().String(), "JOB_"), ExitCode: j.GetExitCode(), SubmittedMS: j.GetSubmittedMs(), StartedMS: j.GetStartedMs(),
		EndedMS: j.GetEndedMs(), Resources: j.GetResourcesText(), TaskID: j.GetTaskId(), GitCommit: j.GetTask().GetGitCommit(),
		Reason: j.GetStateReason(), Failure: whyJSON(j.GetFailure()), Metrics: j.GetMetrics(),
		Ranks: []jsonRank{}, Suites: []jsonSuite{}, Files: []jsonFile{}}
	if out.Metrics == nil {
		out.Metrics = map[string]float64{}
	}
	for _, r := range j.GetRanks() {
		out.Ranks = append(out.Ranks, jsonRank{Rank: r.GetRank(), Slot: r.GetSlot(), Phase: phaseWord(r.GetPhase().String(), "RANK_"),
			ExitCode: r.GetExitCode(), Signal: r.GetSignal(), PID: r.GetPid(), Reason: r.GetReason()})
	}
	for _, s := range j.GetSuites() {
		out.Suites = append(out.Suites, jsonSuite{Name: s.GetName(), Verdict: s.GetVerdict(), Passed: s.GetPassed(), Warned: s.GetWarned(),
			Failed: s.GetFailed(), Errored: s.GetErrored(), NotRun: s.GetNotRun()})
	}
	for _, f := range j.GetFiles() {
		out.Files = append(out.Files, jsonFile{Name: f.GetName(), Kind: f.GetKind(), SHA256: f.GetSha256(), Bytes: f.GetBytes()})
	}
	return out
}

func newQueueCmd(a *app) *cobra.Command {
	var skip, allUsers bool
	var output string
	cmd := &cobra.Command{
		Use:   "queue [CLUSTER...]",
		Short: "Show the job queue of clusters",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkOutput(output); err != nil {
				return err
			}
			c, err := a.connectTo(cmd.Context(), args...)
			if err != nil {
				return err
			}
			defer c.Close()
			ans, err := c.Jobs(cmd.Context(), &controlv1.JobsQuery{Clusters: args, SkipFinished: skip})
			if err != nil {
				return rpcError("read the job queues", err)
			}
			notFound := clusterNotFound(ans.GetNotFound())
			if output == "json" {
				type queue struct {
					Cluster string    `json:"cluster"`
					Status  string    `json:"status"`
					Jobs    []jsonJob `json:"jobs"`
				}
				list := []queue{}
				for _, q := range ans.GetClusters() {
					x := queue{Cluster: q.GetClusterName(), Status: q.GetClusterStatus(), Jobs: []jsonJob{}}
					for _, j := range q.GetJobs() {
						x.Jobs = append(x.Jobs, jobJSON(j))
					}
					list = append(list, x)
				}
				if err := a.printJSON(map[string]any{"queues": list, "not_found": append([]string{}, ans.GetNotFound()...)}); err != nil {
					return err
				}
				if notFound != nil {
					return &exitError{code: exitNotFound}
				}
				return nil
			}
			if len(ans.GetClusters()) == 0 && notFound == nil {
				a.say("No existing clusters.")
			}
			for i, q := range ans.GetClusters() {
				if i > 0 {
					a.say("")
				}
				a.showQueue(q)
			}
			return notFound
		},
	}
	cmd.Flags().BoolVarP(&skip, "skip-finished", "s", false, "only jobs that have not finished")
	cmd.Flags().BoolVarP(&allUsers, "all-users", "u", false, "jobs of all users (they are always shown)")
	outputFlag(cmd, &output)
	return cmd
}

func (a *app) showQueue(q *controlv1.ClusterJobs) {
	now := time.Now()
	a.say("%s", a.style(styleBold, "Job queue of cluster "+q.GetClusterName()))
	if q.GetClusterStatus() != "UP" {
		a.say("(the cluster is %s)", q.GetClusterStatus())
	}
	if len(q.GetJobs()) == 0 {
		a.say("No jobs.")
		return
	}
	t := &table{header: []string{"ID", "NAME", "USER", "SUBMITTED", "STARTED", "DURATION", "RESOURCES", "STATUS", "EXIT", "GIT COMMIT"}, flex: []int{1, 6}, drop: []int{9, 2, 6, 4}}
	for _, v := range q.GetJobs() {
		j := v.GetJob()
		exit, name, git := "-", j.GetTask().GetName(), j.GetTask().GetGitCommit()
		if j.GetEndedMs() != 0 {
			exit = fmt.Sprint(j.GetExitCode())
		}
		if name == "" {
			name = "-"
		}
		if git == "" {
			git = "-"
		} else if len(git) > 10 {
			git = git[:10]
		}
		t.add(fmt.Sprint(j.GetNumber()), cut(name, 30), j.GetUser(), ago(j.GetSubmittedMs(), now), ago(j.GetStartedMs(), now),
			between(j.GetStartedMs(), j.GetEndedMs(), now), j.GetResourcesText(), v.GetStatus(), exit, git)
	}
	t.style = func(_, col int, cell string) string {
		if col == 7 {
			return a.statusStyle(cell)
		}
		return cell
	}
	a.say("%s", strings.TrimRight(a.plain(t), "\n"))
	for _, v := range q.GetJobs() {
		j := v.GetJob()
		if j.GetEndedMs() == 0 && j.GetStateReason() != "" {
			a.say("%s", waits(j))
		}
	}
}
