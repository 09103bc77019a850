// Package render writes the report of a run for people: Markdown of suites, metrics and plots, what failed first. It is
// pure. Whatever comes from files of a job is escaped.
package render

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"

	"aloft/tasks/check/report"
)

// Rows that a table shows.
const (
	mostFailures = 50
	mostShown    = 20
	mostText     = 300 // characters of a cell
)

// Suite is what is read of a report.json.
type Suite struct {
	Format   int    `json:"format"`
	Name     string `json:"suite"`
	Dataset  string `json:"dataset"`
	Passed   bool   `json:"passed"`
	Error    *fault `json:"suite_error"`
	Baseline *struct {
		Name     string     `json:"name"`
		Worse    int        `json:"worse"`
		Measures []movement `json:"measures"`
	} `json:"baseline"`
	Checks []outcome `json:"checks"`
}

type fault struct {
	Class   string `json:"class"`
	Message string `json:"message"`
}

type outcome struct {
	ID         string      `json:"check"`
	Name       string      `json:"name"`
	Header     string      `json:"header"`
	Dataset    string      `json:"dataset"`
	Segment    string      `json:"segment"`
	Status     string      `json:"status"`
	Error      *fault      `json:"error"`
	Conditions []condition `json:"conditions"`
}

type condition struct {
	Name     string `json:"name"`
	Category string `json:"category"`
	Details  string `json:"details"`
}

type movement struct {
	Check     string          `json:"check"`
	Measure   string          `json:"measure"`
	Before    json.RawMessage `json:"before"`
	After     json.RawMessage `json:"after"`
	Direction string          `json:"direction"`
}

// ParseSuite reads a report.json.
func ParseSuite(src []byte) (Suite, error) {
	var s Suite
	if err := json.Unmarshal(src, &s); err != nil {
		return Suite{}, fmt.Errorf("read the report of a suite: %w", err)
	}
	switch {
	case s.Format == 0 || s.Checks == nil:
		return Suite{}, errors.New("this is no report.json of `sky test`")
	case s.Format > 1:
		return Suite{}, fmt.Errorf("its form %d is newer than this program", s.Format)
	}
	return s, nil
}

// Plot is a picture.
type Plot struct {
	Name string
	URL  string // "" = it is with the files of the run
	// Missing says that there is no such file.
	Missing bool
	Size    string
}

// Report is all that is shown.
type Report struct {
	Title   string // "" = the names of the suites
	Suites  []Suite
	Metrics []Metric
	// Base are the metrics compared with; nil = none were given. BaseName says where they are from.
	Base     []Metric
	BaseName string
	Plots    []Plot
	// Failed says that the run failed, whatever its suites say. Facts are shown in a table below the verdict.
	Failed bool
	Facts  []Fact
	// Reproduce is the command that does the same again.
	Reproduce string
	RunURL    string
	Commit    string
	Run       int64
	Attempt   int64
}

// Fact is one thing to know of a run: where it ran, how long, at what cost.
type Fact struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Passed says that nothing failed.
func (r *Report) Passed() bool {
	if r.Failed {
		return false
	}
	for _, s := range r.Suites {
		if !s.Passed || s.Error != nil || s.Baseline != nil && s.Baseline.Worse > 0 {
			return false
		}
	}
	return true
}

// row is one condition, or a check that did not run.
type row struct {
	sign, check, condition, details string
}

type rows struct{ failed, warned, passed, skipped []row }

func (r *Report) rows() rows {
	var out rows
	for _, s := range r.Suites {
		if s.Error != nil {
			out.failed = append(out.failed, row{"❌", s.Name, "did not run", s.Error.Class + ": " + s.Error.Message})
		}
		for _, c := range s.Checks {
			name := c.Header
			if name == "" {
				name = c.Name
			}
			if len(r.Suites) > 1 {
				name = s.Name + ": " + name
			}
			for _, extra := range []string{c.Dataset, c.Segment} {
				if extra != "" {
					name += " (" + extra + ")"
				}
			}
			if c.Status == "error" && c.Error != nil {
				out.skipped = append(out.skipped, row{"·", name, "did not run", c.Error.Class + ": " + c.Error.Message})
			}
			for _, k := range c.Conditions {
				switch k.Category {
				case "PASS":
					out.passed = append(out.passed, row{"✅", name, k.Name, k.Details})
				case "WARN":
					out.warned = append(out.warned, row{"⚠️", name, k.Name, k.Details})
				case "FAIL":
					out.failed = append(out.failed, row{"❌", name, k.Name, k.Details})
				default:
					out.failed = append(out.failed, row{"⁉️", name, k.Name, k.Details})
				}
			}
		}
		if s.Baseline != nil {
			for _, m := range s.Baseline.Measures {
				if m.Direction == "worse" {
					out.failed = append(out.failed, row{"❌", m.Check, m.Measure + " is worse than in " + s.Baseline.Name, string(m.Before) + " → " + string(m.After)})
				}
			}
		}
	}
	return out
}

// Markdown writes the report: the verdict, what failed, metrics, and the rest folded away.
func Markdown(r *Report) string {
	var b strings.Builder
	all := r.rows()
	sign := "✅"
	if !r.Passed() {
		sign = "❌"
	}
	title := r.Title
	if title == "" {
		var names []string
		for _, s := range r.Suites {
			names = append(names, s.Name)
		}
		if title = strings.Join(names, ", "); title == "" {
			title = "Report"
		}
	}
	fmt.Fprintf(&b, "## %s %s\n\n%s\n", sign, line(title), line(r.verdict(all)))
	table(&b, all.failed, mostFailures)
	r.metrics(&b)
	r.charts(&b)
	r.facts(&b)
	folded(&b, "Warnings", all.warned)
	folded(&b, "Conditions passed", all.passed)
	folded(&b, "Checks that did not run", all.skipped)
	r.plots(&b)
	if r.Reproduce != "" {
		b.WriteString("\nAgain on your machine:\n\n" + fenced("sh", r.Reproduce))
	}
	if foot := r.foot(); foot != "" {
		b.WriteString("\n" + foot + "\n")
	}
	return b.String()
}

// Verdict is the one line to read.
func (r *Report) Verdict() string { return r.verdict(r.rows()) }

// verdict is the one line to read: counts, and the metric that moved most.
func (r *Report) verdict(all rows) string {
	var parts []string
	add := func(n int, what string) {
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, what))
		}
	}
	add(len(all.failed), "failed")
	add(len(all.warned), "warned")
	add(len(all.passed), "passed")
	add(len(all.skipped), "did not run")
	best, most := "", 0.0
	base := named(r.Base)
	for _, m := range r.Metrics {
		if was, ok := base[m.Name]; ok && direction(m.Name) != 0 && m.Value != was {
			if share := math.Abs(m.Value-was) / max(math.Abs(was), 1e-12); share > most {
				best, most = fmt.Sprintf("%s %s against %s", m.Name, signed(m.Value-was), r.baseName()), share
			}
		}
	}
	if best != "" {
		parts = append(parts, best)
	}
	if len(parts) == 0 && len(r.Metrics) > 0 {
		add(len(r.Metrics), "metrics")
	}
	if len(parts) == 0 {
		return "nothing was checked"
	}
	return strings.Join(parts, " · ")
}

func (r *Report) facts(b *strings.Builder) {
	if len(r.Facts) == 0 {
		return
	}
	b.WriteString("\n| Run | |\n|---|---|\n")
	for _, f := range r.Facts {
		fmt.Fprintf(b, "| %s | %s |\n", line(f.Name), line(f.Value))
	}
}

func (r *Report) baseName() string {
	if r.BaseName == "" {
		return "the base"
	}
	return r.BaseName
}

// named gives metrics by name; of several of one name the first.
func named(list []Metric) map[string]float64 {
	out := make(map[string]float64, len(list))
	for _, m := range list {
		if _, ok := out[m.Name]; !ok {
			out[m.Name] = m.Value
		}
	}
	return out
}

func signed(f float64) string {
	if f > 0 {
		return "+" + number(f)
	}
	return number(f)
}

func (r *Report) metrics(b *strings.Builder) {
	if len(r.Metrics) == 0 {
		return
	}
	base, now := named(r.Base), named(r.Metrics)
	head := "\n| Metric | Value |\n|---|---:|\n"
	if r.Base != nil {
		head = "\n| Metric | " + line(r.baseName()) + " | Now | Change |\n|---|---:|---:|---|\n"
	}
	write := func(list []Metric) {
		b.WriteString(head)
		for _, m := range list {
			b.WriteString("| " + line(m.Name) + " |")
			was, ok := base[m.Name]
			switch {
			case r.Base != nil && !ok:
				b.WriteString(" – |")
			case r.Base != nil:
				b.WriteString(" " + number(was) + " |")
			}
			b.WriteString(" " + number(m.Value))
			if len(m.Series) > 1 {
				b.WriteString(" " + spark(m.Series, 20))
			}
			b.WriteString(" |")
			switch {
			case r.Base != nil && !ok:
				b.WriteString(" new |")
			case r.Base != nil:
				b.WriteString(" " + change(m.Name, was, m.Value) + " |")
			}
			b.WriteByte('\n')
		}
	}
	write(r.Metrics[:min(len(r.Metrics), mostShown)])
	if rest := r.Metrics[min(len(r.Metrics), mostShown):]; len(rest) > 0 {
		fmt.Fprintf(b, "\n<details><summary>%d more metrics</summary>\n", len(rest))
		write(rest)
		b.WriteString("\n</details>\n")
	}
	if r.Base == nil {
		return
	}
	var gone []string
	for _, m := range r.Base {
		if _, ok := now[m.Name]; !ok {
			gone = append(gone, line(m.Name))
		}
	}
	if len(gone) > mostShown {
		gone = append(gone[:mostShown], fmt.Sprintf("%d more", len(gone)-mostShown))
	}
	if len(gone) > 0 {
		b.WriteString("\nNot measured any more: " + strings.Join(gone, ", ") + ".\n")
	}
}

// change tells how a metric moved, and whether that is good if its name says so.
func change(name string, was, now float64) string {
	switch delta := now - was; {
	case was == now:
		return "="
	case math.IsNaN(delta) || math.IsInf(delta, 0):
		return "–"
	}
	s := signed(now - was)
	if was != 0 {
		s += " (" + signed(math.Round((now-was)/math.Abs(was)*1000)/10) + "%)"
	}
	switch d := direction(name); {
	case d == 0:
		return s
	case (now > was) == (d > 0):
		return "🟢 " + s
	}
	return "🔴 " + s
}

func table(b *strings.Builder, list []row, most int) {
	if len(list) == 0 {
		return
	}
	b.WriteString("\n| | Check | Condition | Details |\n|---|---|---|---|\n")
	for _, x := range list[:min(len(list), most)] {
		fmt.Fprintf(b, "| %s | %s | %s | %s |\n", x.sign, line(x.check), line(x.condition), line(x.details))
	}
	if n := len(list) - most; n > 0 {
		fmt.Fprintf(b, "\n%d more, see the full report.\n", n)
	}
}

func folded(b *strings.Builder, what string, list []row) {
	if len(list) == 0 {
		return
	}
	fmt.Fprintf(b, "\n<details><summary>%s: %d</summary>\n", what, len(list))
	table(b, list, 10*mostShown)
	b.WriteString("\n</details>\n")
}

func (r *Report) plots(b *strings.Builder) {
	for _, p := range r.Plots {
		switch {
		case p.Missing:
			fmt.Fprintf(b, "\n⚠️ The plot %s is missing.\n", line(p.Name))
		case p.URL != "":
			fmt.Fprintf(b, "\n![%s](<%s>)\n", line(p.Name), strings.NewReplacer("<", "%3C", ">", "%3E", "\\", "%5C", "\n", "", "\r", "").Replace(p.URL))
		default:
			fmt.Fprintf(b, "\nThe plot %s (%s) is among the files of the run.\n", line(p.Name), p.Size)
		}
	}
}

func (r *Report) foot() string {
	var parts []string
	if r.RunURL != "" {
		parts = append(parts, "[run](<"+strings.NewReplacer("<", "", ">", "", "\\", "", "\n", "", "\r", "").Replace(r.RunURL)+">)")
	}
	if r.Run > 0 {
		parts = append(parts, fmt.Sprintf("run %d, attempt %d", r.Run, max(r.Attempt, 1)))
	}
	if r.Commit != "" {
		parts = append(parts, "commit "+line(r.Commit[:min(len(r.Commit), 12)]))
	}
	if len(parts) == 0 {
		return ""
	}
	return "<sub>" + strings.Join(parts, " · ") + "</sub>"
}

// fenced is a block of code that its text cannot end.
func fenced(language, text string) string {
	n := 3
	for run, i := 0, 0; i < len(text); i++ {
		if text[i] == '`' {
			run++
			n = max(n, run+1)
		} else {
			run = 0
		}
	}
	fence := strings.Repeat("`", n)
	return fence + language + "\n" + strings.TrimRight(strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(text), "\n") + "\n" + fence + "\n"
}

// line escapes a text for one line.
func line(s string) string {
	if rs := []rune(s); len(rs) > mostText {
		s = string(rs[:mostText-1]) + "…"
	}
	return report.Escape(s)
}
