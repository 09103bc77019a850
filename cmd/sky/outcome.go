package main

import (
	"fmt"
	"path"
	"path/filepath"
	"sort"
	"strings"
	"time"
	"unicode/utf8"

	controlv1 "aloft/proto/sky/control/v1"
	statev1 "aloft/proto/sky/state/v1"
)

// passShown is how many conditions that pass are listed; the report has them all.
const passShown = 20

// showOutcome is the last screen of a job: its end, the check results, what came back and what to run next.
func (a *app) showOutcome(cl *controlv1.ClusterView, v *controlv1.JobView, paths map[string]string, under string) {
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
	if j.GetStartedMs() != 0 {
		line += ", took " + took
	}
	a.say("%s).", line)
	if f := j.GetFailure(); f.GetMessage() != "" {
		a.say("  %s", f.GetMessage())
		if h := hintText(f.GetHint()); h != "" && !strings.Contains(h, "sky logs") { // the log is above
			a.say("  %s", h)
		}
	}
	a.showSuites(j, paths)
	a.showFiles(j, paths, under)
	name := j.GetClusterName()
	a.say("\n%s", a.style(styleBold, "Useful commands"))
	a.say("  read the log again    sky logs %s %d", name, j.GetNumber())
	if j.GetPhase() != statev1.JobPhase_JOB_SUCCEEDED {
		a.say("  see how it went       sky why %s/%d", name, j.GetNumber())
	}
	switch cl.GetStatus() {
	case "UP":
		a.say("  run something else    sky exec %s -- COMMAND", name)
		a.say("  tear it all down      sky down %s", name)
	case "AUTOSTOPPING", "TERMINATED", "":
	default:
		a.say("  tear it all down      sky down %s", name)
	}
}

// showSuites is the table of check results, failures first, one row per condition.
func (a *app) showSuites(j *statev1.Job, paths map[string]string) {
	if len(j.GetSuites()) == 0 {
		return
	}
	for _, s := range j.GetSuites() {
		a.say("\n%s %s", a.style(styleBold, "Validation "+s.GetName()+":"), suiteCounts(s))
		rows := append([]*statev1.ConditionRow(nil), s.GetRows()...)
		sort.SliceStable(rows, func(x, y int) bool { return severity(rows[x]) < severity(rows[y]) })
		t := &table{header: []string{"STATUS", "CHECK", "DATASET", "CONDITION", "MORE"}, flex: []int{1, 3, 4}}
		if a.ttyOut && a.width < 130 {
			t.header, t.flex = t.header[:4], []int{1, 3} // the condition matters more; what did not pass is told below in full
		}
		var told []string
		left, skipped := 0, 0
		for _, r := range rows {
			switch r.GetCategory() {
			case "":
				continue
			case "SKIP":
				skipped++
				continue
			}
			if len(t.rows) >= passShown && r.GetCategory() == "PASS" {
				left++
				continue
			}
			if d := r.GetDetails(); d != "" && r.GetCategory() != "PASS" {
				indent := len(r.GetCategory()) + 2
				text := indented(r.GetCheck()+": "+r.GetCondition(), a.width, indent) + "\n" + strings.Repeat(" ", indent) + indented(d, a.width, indent)
				told = append(told, a.statusStyle(r.GetCategory())+"  "+text)
			}
			row := []string{r.GetCategory(), r.GetCheck(), dash(r.GetDataset()), r.GetCondition(), strings.ReplaceAll(r.GetDetails(), "\n", " ")}
			t.add(row[:len(t.header)]...)
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
		if left > 0 {
			a.say("and %d more that passed: the report has them all", left)
		}
		if skipped > 0 {
			a.say("%d skipped for want of what they look at: the report says which and why", skipped)
		}
		if a.ttyOut {
			for _, s := range told {
				a.say("\n%s", s)
			}
		}
	}
	var reports []string
	for name, p := range paths {
		if path.Ext(name) == ".html" {
			reports = append(reports, p)
		}
	}
	sort.Strings(reports)
	for _, p := range reports {
		a.say("\n%s %s", a.style(styleBold, "Report:"), p)
	}
}

// indented breaks text between words so that it fits a screen of width columns behind an indent, which its first line has
// already.
func indented(text string, width, indent int) string {
	var b strings.Builder
	at := indent
	for i, word := range strings.Fields(text) {
		n := utf8.RuneCountInString(word)
		switch {
		case i == 0:
		case at+1+n > width && width > 2*indent:
			b.WriteString("\n" + strings.Repeat(" ", indent))
			at = indent
		default:
			b.WriteByte(' ')
			at++
		}
		b.WriteString(word)
		at += n
	}
	return b.String()
}

// suiteCounts says how the conditions of a suite ended; what did not happen is left out.
func suiteCounts(s *statev1.SuiteResult) string {
	parts := []string{fmt.Sprintf("%d passed", s.GetPassed())}
	for _, c := range []struct {
		n    int32
		word string
	}{{s.GetWarned(), "warned"}, {s.GetFailed(), "failed"}, {s.GetErrored(), "broken"}, {s.GetNotRun(), "not run"}} {
		if c.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", c.n, c.word))
		}
	}
	return strings.Join(parts, ", ")
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

func (a *app) showFiles(j *statev1.Job, paths map[string]string, under string) {
	a.showMetricsOf(j)
	var inside, elsewhere []string
	for _, f := range j.GetFiles() {
		p := paths[f.GetName()]
		if f.GetKind() != "artifact" || p == "" {
			continue
		}
		if rel, err := filepath.Rel(under, p); err == nil && filepath.IsLocal(rel) {
			inside = append(inside, rel)
		} else {
			elsewhere = append(elsewhere, p)
		}
	}
	const shown = 8
	if n := len(inside); n > shown {
		inside = append(inside[:shown], fmt.Sprintf("and %d more", n-shown))
	}
	if len(inside) > 0 {
		a.say("%s  %s in %s", a.style(styleBold, "Files:"), strings.Join(inside, ", "), under)
	}
	for _, p := range elsewhere {
		a.say("%s  %s", a.style(styleBold, "File:"), p)
	}
}
