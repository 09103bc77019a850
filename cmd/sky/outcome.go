package main

import (
	"fmt"
	"path"
	"sort"
	"strings"
	"time"

	controlv1 "aloft/proto/sky/control/v1"
	statev1 "aloft/proto/sky/state/v1"
)

// showOutcome is the last screen of a job: its end, the check results, what came back and what to run next.
func (a *app) showOutcome(v *controlv1.JobView, paths map[string]string) {
	j := v.GetJob()
	took := between(j.GetStartedMs(), j.GetEndedMs(), time.Now())
	mark := a.style(styleGreen, "✓")
	if j.GetPhase() != statev1.JobPhase_JOB_SUCCEEDED {
		mark = a.style(styleRed, "✗")
	}
	line := fmt.Sprintf("%s Job %d finished (status: %s", mark, j.GetNumber(), a.statusStyle(v.GetStatus()))
	if j.GetPhase() == statev1.JobPhase_JOB_FAILED_USER {
		line += fmt.Sprintf(", exit code %d", j.GetExitCode())
	}
	a.say("%s, took %s).", line, took)
	if f := j.GetFailure(); f.GetMessage() != "" {
		a.say("  %s", f.GetMessage())
		if f.GetHint() != "" {
			a.say("  %s", f.GetHint())
		}
	}
	a.showSuites(j, paths)
	a.showFiles(j, paths)
	a.say("\n%s", a.style(styleBold, "Useful commands"))
	a.say("  logs again:        sky logs %s %d", j.GetClusterName(), j.GetNumber())
	a.say("  another command:   sky exec %s -- COMMAND", j.GetClusterName())
	a.say("  tear it down:      sky down %s", j.GetClusterName())
}

// showSuites is the table of check results, failures first, one row per condition.
func (a *app) showSuites(j *statev1.Job, paths map[string]string) {
	if len(j.GetSuites()) == 0 {
		return
	}
	for _, s := range j.GetSuites() {
		a.say("\n%s %s: %d passed, %d warned, %d failed, %d errors, %d not run", a.style(styleBold, "Validation"), s.GetName(),
			s.GetPassed(), s.GetWarned(), s.GetFailed(), s.GetErrored(), s.GetNotRun())
		rows := append([]*statev1.ConditionRow(nil), s.GetRows()...)
		sort.SliceStable(rows, func(x, y int) bool { return severity(rows[x]) < severity(rows[y]) })
		t := &table{header: []string{"STATUS", "CHECK", "DATASET", "CONDITION", "MORE"}}
		room := a.width - 62
		for _, r := range rows {
			if r.GetCategory() == "" {
				continue
			}
			t.add(r.GetCategory(), cut(r.GetCheck(), 24), dash(r.GetDataset()), cut(r.GetCondition(), 60), cut(r.GetDetails(), max(room, 30)))
		}
		if len(t.rows) == 0 {
			continue
		}
		t.style = func(_, col int, cell string) string {
			if col == 0 {
				return a.statusStyle(cell)
			}
			return cell
		}
		a.say("%s", strings.TrimRight(a.plain(t), "\n"))
	}
	for name, p := range paths {
		if path.Ext(name) == ".html" {
			a.say("%s %s", a.style(styleBold, "Report:"), p)
		}
	}
}

func severity(r *statev1.ConditionRow) int {
	switch r.GetCategory() {
	case "ERROR":
		return 0
	case "FAIL":
		return 1
	case "WARN":
		return 2
	case "PASS":
		return 3
	}
	return 4
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func (a *app) showFiles(j *statev1.Job, paths map[string]string) {
	if len(j.GetMetrics()) > 0 {
		names := make([]string, 0, len(j.GetMetrics()))
		for n := range j.GetMetrics() {
			names = append(names, n)
		}
		sort.Strings(names)
		parts := make([]string, len(names))
		for i, n := range names {
			parts[i] = fmt.Sprintf("%s=%g", n, j.GetMetrics()[n])
		}
		a.say("%s %s", a.style(styleBold, "Metrics:"), strings.Join(parts, " "))
	}
	var arts []string
	for _, f := range j.GetFiles() {
		if f.GetKind() == "artifact" && paths[f.GetName()] != "" {
			arts = append(arts, paths[f.GetName()])
		}
	}
	if len(arts) > 0 {
		a.say("%s %s", a.style(styleBold, "Files:"), strings.Join(arts, "  "))
	}
}
