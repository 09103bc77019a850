package main

import (
	"context"
	"fmt"
	"math"
	"sort"
	"strings"
	"time"

	"github.com/spf13/cobra"

	controlv1 "aloft/proto/sky/control/v1"
	statev1 "aloft/proto/sky/state/v1"
	"aloft/tasks/metrics"
	"aloft/tasks/metrics/draw"
)

// difference is one line of `sky diff`.
type difference struct {
	Kind   string `json:"kind"` // task | metric | check | run
	Name   string `json:"name"`
	Before string `json:"before"`
	After  string `json:"after"`
	Change string `json:"change,omitempty"`
	// Verdict is better, worse or empty, as far as it is known which way is better.
	Verdict string `json:"verdict,omitempty"`
}

func newDiffCmd(a *app) *cobra.Command {
	var output string
	var exitCode bool
	cmd := &cobra.Command{
		Use:   "diff RUN RUN",
		Short: "Compare two jobs: their tasks, what they measured, and what they cost",
		Long: `Compare two jobs: how their tasks differ, what they measured and whether that is
better, how their validation suites ended, how long they took and what they cost.
A RUN is CLUSTER (its latest job), CLUSTER/JOB, or the id of a job. Values of
secrets are never shown.`,
		Example: `  sky diff train/1 train/2
  sky diff main-model pr-model --exit-code`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkOutput(output); err != nil {
				return err
			}
			return a.diff(cmd.Context(), args, output, exitCode)
		},
	}
	cmd.Flags().BoolVar(&exitCode, "exit-code", false, "end with 1 when task, metrics or checks differ, with 0 when they do not")
	outputFlag(cmd, &output)
	return cmd
}

func (a *app) diff(ctx context.Context, args []string, output string, exitCode bool) error {
	c, err := a.connect(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	var runs [2]*controlv1.JobAnswer
	var measured [2]*controlv1.MetricsAnswer
	for i, run := range args {
		if runs[i], err = findRun(ctx, c, []string{run}); err != nil {
			return err
		}
		if measured[i], err = c.Metrics(ctx, &controlv1.MetricsRequest{JobId: runs[i].GetJob().GetJob().GetId(), FirstRank: true}); err != nil {
			return rpcError("read the metrics", err)
		}
	}
	all := diffTasks(runs[0].GetJob().GetJob(), runs[1].GetJob().GetJob())
	all = append(all, diffMetrics(measured[0], measured[1])...)
	all = append(all, diffChecks(runs[0].GetJob().GetJob(), runs[1].GetJob().GetJob())...)
	differs := len(all) > 0
	all = append(all, diffRuns(runs[0], runs[1])...)
	if output == "json" {
		doc := map[string]any{"before": jobJSON(runs[0].GetJob()), "after": jobJSON(runs[1].GetJob()), "equal": !differs,
			"differences": append([]difference{}, all...)}
		if err := a.printJSON(doc); err != nil {
			return err
		}
	} else {
		a.showDiff(runs, all)
		if !differs {
			a.say("Task, metrics and checks are equal.")
		}
	}
	if exitCode && differs {
		return &exitError{code: exitFailure}
	}
	return nil
}

func (a *app) showDiff(runs [2]*controlv1.JobAnswer, all []difference) {
	name := func(r *controlv1.JobAnswer) string {
		j := r.GetJob().GetJob()
		return fmt.Sprintf("%s/%d", j.GetClusterName(), j.GetNumber())
	}
	titles := map[string]string{"task": "TASK", "metric": "METRIC", "check": "CHECK", "run": "RUN"}
	for _, kind := range []string{"task", "metric", "check", "run"} {
		t := &table{header: []string{titles[kind], name(runs[0]), name(runs[1]), "CHANGE"}, flex: []int{0, 1, 2}}
		var verdicts []string
		for _, d := range all {
			if d.Kind != kind {
				continue
			}
			change := d.Change
			if d.Verdict != "" {
				change = strings.TrimSpace(change + " " + d.Verdict)
			}
			t.add(d.Name, dash(d.Before), dash(d.After), change)
			verdicts = append(verdicts, d.Verdict)
		}
		if len(t.rows) == 0 {
			continue
		}
		t.style = func(row, col int, cell string) string {
			switch {
			case col == 3 && verdicts[row] == "better":
				return a.style(styleGreen, cell)
			case col == 3 && verdicts[row] == "worse":
				return a.style(styleRed, cell)
			}
			return cell
		}
		a.say("%s\n", strings.TrimRight(a.plain(t), "\n"))
	}
}

// diffTasks compares what two jobs were asked to do. Of secrets only the names are known here.
func diffTasks(before, after *statev1.Job) []difference {
	b, n := taskFacts(before), taskFacts(after)
	names := map[string]bool{}
	for k := range b {
		names[k] = true
	}
	for k := range n {
		names[k] = true
	}
	var out []difference
	for _, k := range sortedKeys(names) {
		if b[k] != n[k] {
			out = append(out, difference{Kind: "task", Name: k, Before: b[k], After: n[k]})
		}
	}
	return out
}

func taskFacts(j *statev1.Job) map[string]string {
	t := j.GetTask()
	out := map[string]string{"name": t.GetName(), "resources": j.GetResourcesText(), "git commit": t.GetGitCommit(), "setup": oneLine(t.GetSetup()),
		"run": oneLine(t.GetRun()), "workdir": digestText(t.GetWorkdir().GetManifest())}
	for k, v := range t.GetEnvs() {
		out["env "+k] = v
	}
	for _, m := range t.GetMounts() {
		out["file "+m.GetDestination()] = digestText(m.GetManifest())
	}
	for k, v := range out {
		if v == "" {
			delete(out, k)
		}
	}
	return out
}

func digestText(digest string) string { return digest[:min(len(digest), 12)] }

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// diffMetrics compares last values. Series that are equal are left out.
func diffMetrics(before, after *controlv1.MetricsAnswer) []difference {
	was := map[string]float64{}
	for _, s := range before.GetSeries() {
		was[s.GetSummary().GetName()] = s.GetSummary().GetLast()
	}
	var out []difference
	for _, s := range after.GetSeries() {
		name, now := s.GetSummary().GetName(), s.GetSummary().GetLast()
		b, ok := was[name]
		delete(was, name)
		switch {
		case !ok:
			out = append(out, difference{Kind: "metric", Name: name, After: draw.Number(now), Change: "new"})
		case b != now && !(math.IsNaN(b) && math.IsNaN(now)):
			out = append(out, metricDifference(name, b, now))
		}
	}
	for _, name := range sortedKeys(was) {
		out = append(out, difference{Kind: "metric", Name: name, Before: draw.Number(was[name]), Change: "gone"})
	}
	sort.SliceStable(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out
}

func metricDifference(name string, was, now float64) difference {
	d := difference{Kind: "metric", Name: name, Before: draw.Number(was), After: draw.Number(now)}
	delta := now - was
	if math.IsNaN(delta) || math.IsInf(delta, 0) {
		return d
	}
	d.Change = fmt.Sprintf("%+.4g", delta)
	if was != 0 {
		d.Change += fmt.Sprintf(" (%+.1f%%)", delta/math.Abs(was)*100)
	}
	switch way := metrics.Direction(name); {
	case way == 0:
	case delta > 0 == (way > 0):
		d.Verdict = "better"
	default:
		d.Verdict = "worse"
	}
	return d
}

// diffChecks compares how the conditions of the suites ended.
func diffChecks(before, after *statev1.Job) []difference {
	rows := func(j *statev1.Job) map[string]string {
		out := map[string]string{}
		for _, s := range j.GetSuites() {
			out[s.GetName()] = s.GetVerdict()
			for _, r := range s.GetRows() {
				if r.GetCategory() != "" {
					out[strings.TrimRight(s.GetName()+": "+r.GetCheck()+": "+r.GetCondition()+" "+r.GetDataset(), " ")] = r.GetCategory()
				}
			}
		}
		return out
	}
	rank := map[string]int{"PASS": 3, "pass": 3, "WARN": 2, "warn": 2, "FAIL": 1, "fail": 1, "ERROR": 0, "error": 0}
	b, n := rows(before), rows(after)
	names := map[string]bool{}
	for k := range b {
		names[k] = true
	}
	for k := range n {
		names[k] = true
	}
	var out []difference
	for _, k := range sortedKeys(names) {
		was, now := b[k], n[k]
		if was == now {
			continue
		}
		d := difference{Kind: "check", Name: k, Before: was, After: now}
		r1, ok1 := rank[was]
		r2, ok2 := rank[now]
		if ok1 && ok2 && r1 < r2 {
			d.Verdict = "better"
		} else if ok1 && ok2 && r1 > r2 {
			d.Verdict = "worse"
		}
		out = append(out, d)
	}
	return out
}

// diffRuns compares how the runs went: they are told, but they do not make two runs different.
func diffRuns(before, after *controlv1.JobAnswer) []difference {
	now := time.Now()
	var out []difference
	add := func(name, b, n string) {
		if b != n {
			out = append(out, difference{Kind: "run", Name: name, Before: b, After: n})
		}
	}
	b, n := before.GetJob().GetJob(), after.GetJob().GetJob()
	add("status", before.GetJob().GetStatus(), after.GetJob().GetStatus())
	add("infra", before.GetCluster().GetInfraText(), after.GetCluster().GetInfraText())
	add("duration", between(b.GetStartedMs(), b.GetEndedMs(), now), between(n.GetStartedMs(), n.GetEndedMs(), now))
	cost := func(v *controlv1.JobAnswer) string {
		j, c := v.GetJob().GetJob(), v.GetCluster()
		if c.GetCostUnknown() || j.GetStartedMs() == 0 {
			return ""
		}
		end := j.GetEndedMs()
		if end == 0 {
			end = now.UnixMilli()
		}
		return fmt.Sprintf("$%.4f", float64(end-j.GetStartedMs())/3.6e6*c.GetHourlyPrice())
	}
	add("cost", cost(before), cost(after))
	return out
}
