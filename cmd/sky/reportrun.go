package main

import (
	"context"
	"os/exec"
	"slices"
	"strings"

	"aloft/controller/forge/render"
	controlv1 "aloft/proto/sky/control/v1"
	statev1 "aloft/proto/sky/state/v1"
)

// baseCommits is how many commits of a branch are looked at for a run.
const baseCommits = 500

// storedMetrics adds to a report what the store knows: the series of --run, and those of the run compared with. A base
// that is not there is said, not an error.
func (a *app) storedMetrics(ctx context.Context, o *renderOptions, r *render.Report) error {
	if o.run == "" && o.baseRun == "" && o.baseBranch == "" {
		return nil
	}
	if n := len(nonEmpty(o.base, o.baseRun, o.baseBranch)); n > 1 {
		return usageError("--base, --base-run and --base-branch: allowed: one of them")
	}
	c, err := a.connect(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	name := ""
	if o.run != "" {
		ans, err := findRun(ctx, c, []string{o.run})
		if err != nil {
			return err
		}
		j := ans.GetJob().GetJob()
		if name = j.GetTask().GetName(); r.Title == "" {
			r.Title = name
		}
		r.Facts = append(r.Facts, runFacts(ans.GetCluster(), ans.GetJob())...)
		r.Failed = r.Failed || j.GetEndedMs() != 0 && jobExit(j) != exitOK
		list, err := seriesOf(ctx, c, j.GetId())
		if err != nil {
			return err
		}
		r.Metrics = append(r.Metrics, list...)
	}
	switch {
	case o.baseRun != "":
		ans, err := findRun(ctx, c, []string{o.baseRun})
		if err != nil {
			if failureOf(err).GetKind() != statev1.FailureKind_NOT_FOUND {
				return err
			}
			a.noBase(r, o.baseRun)
			return nil
		}
		return a.setBase(ctx, c, r, orElse(r.BaseName, o.baseRun), ans.GetJob().GetJob())
	case o.baseBranch != "":
		j, err := a.lastOn(ctx, c, o.baseBranch, name)
		if err != nil {
			return err
		}
		if j == nil {
			a.noBase(r, o.baseBranch)
			return nil
		}
		return a.setBase(ctx, c, r, orElse(r.BaseName, o.baseBranch+"@"+digestText(j.GetTask().GetGitCommit())), j)
	}
	return nil
}

func nonEmpty(list ...string) []string {
	return slices.DeleteFunc(list, func(s string) bool { return s == "" })
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

func (a *app) noBase(r *render.Report, what string) {
	a.note("warning: there is no run of %s to compare with", what)
	r.BaseName, r.Base = what+" (missing)", []render.Metric{}
}

func (a *app) setBase(ctx context.Context, c *client, r *render.Report, name string, j *statev1.Job) error {
	list, err := seriesOf(ctx, c, j.GetId())
	r.BaseName, r.Base = name, append([]render.Metric{}, list...)
	return err
}

// seriesOf reads the series of a job for a report.
func seriesOf(ctx context.Context, c *client, jobID string) ([]render.Metric, error) {
	m, err := c.Metrics(ctx, &controlv1.MetricsRequest{JobId: jobID, Points: 200, FirstRank: true})
	if err != nil {
		return nil, rpcError("read the metrics", err)
	}
	var out []render.Metric
	for _, s := range m.GetSeries() {
		out = append(out, render.Metric{Name: s.GetSummary().GetName(), Value: s.GetSummary().GetLast(), Series: s.GetValue(), Steps: s.GetStep()})
	}
	return out, nil
}

// lastOn is the last job that succeeded on the newest commit of a branch that has one, of the same task when its name is
// known; nil = there is none.
func (a *app) lastOn(ctx context.Context, c *client, branch, task string) (*statev1.Job, error) {
	var commits []string
	for _, ref := range []string{"refs/remotes/origin/" + branch, "refs/heads/" + branch, branch} {
		out, err := exec.CommandContext(ctx, "git", "rev-list", "-n", "500", "--end-of-options", ref).Output()
		if err == nil {
			commits = strings.Fields(string(out))
			break
		}
	}
	if len(commits) == 0 {
		a.note("warning: git knows no branch %s here; fetch it first", branch)
		return nil, nil
	}
	ans, err := c.Jobs(ctx, &controlv1.JobsQuery{History: true, GitCommits: commits[:min(len(commits), baseCommits)]})
	if err != nil {
		return nil, rpcError("find runs of the base branch", err)
	}
	var best *statev1.Job
	place := func(j *statev1.Job) int { return slices.Index(commits, j.GetTask().GetGitCommit()) }
	for _, q := range ans.GetClusters() {
		for _, v := range q.GetJobs() {
			j := v.GetJob()
			if j.GetPhase() != statev1.JobPhase_JOB_SUCCEEDED || task != "" && j.GetTask().GetName() != task {
				continue
			}
			if best == nil || place(j) < place(best) || place(j) == place(best) && j.GetEndedMs() > best.GetEndedMs() {
				best = j
			}
		}
	}
	return best, nil
}
