package report

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/format"
)

// TextOptions say how a terminal shows the report.
type TextOptions struct {
	// Width is the number of columns; below 60, 60 are used, and 0 means 100.
	Width int
	// Color adds ANSI colours. Callers honour NO_COLOR.
	Color bool
}

// Text writes the report for a terminal: the verdict, then all conditions,
// failed ones first, then what did not run.
func Text(w io.Writer, r *engine.Report, opts TextOptions) error {
	t := &textWriter{color: opts.Color, width: 100}
	if opts.Width > 0 {
		t.width = max(opts.Width, 60)
	}
	t.report(r)
	if _, err := io.WriteString(w, t.b.String()); err != nil {
		return fmt.Errorf("write text report: %w", err)
	}
	return nil
}

type textWriter struct {
	b     strings.Builder
	color bool
	width int
}

// style is an ANSI colour, or none.
type style string

const (
	red    style = "31"
	green  style = "32"
	yellow style = "33"
	purple style = "35"
	bold   style = "1"
	dim    style = "2"
)

func (t *textWriter) paint(s style, text string) string {
	if !t.color {
		return text
	}
	return "\x1b[" + string(s) + "m" + text + "\x1b[0m"
}

// badge is how a verdict is shown everywhere: a sign and a word, so that it
// does not depend on colour.
type badge struct {
	sign, word string
	style      style
	class      string // in HTML
}

func badgeOf(v engine.Verdict) badge {
	switch v {
	case engine.Pass:
		return badge{"✓", "pass", green, "pass"}
	case engine.Warn:
		return badge{"!", "warn", yellow, "warn"}
	case engine.Fail:
		return badge{"✖", "fail", red, "fail"}
	default:
		return badge{"⁈", "error", purple, "error"}
	}
}

func (t *textWriter) report(r *engine.Report) {
	head := t.paint(green, t.paint(bold, "✓ passed"))
	if !r.Passed() {
		head = t.paint(red, t.paint(bold, "✖ failed"))
	}
	t.column(head+"  ", 10, strings.Join(headline(r), " · "), "")
	if r.Err != nil {
		t.wrapped("", "The suite did not run. "+r.Err.Message)
		return
	}
	t.column("", 0, tally(r.Counts()), "")
	t.b.WriteByte('\n')
	rows := conditionRows(r)
	checkWidth := len("CHECK")
	for _, row := range rows {
		checkWidth = max(checkWidth, screenWidth(row.check))
	}
	checkWidth = min(checkWidth, t.width/3)
	if len(rows) > 0 {
		fmt.Fprintf(&t.b, "%s\n", t.paint(dim, fmt.Sprintf("%-8s %-*s %-6s %s", "STATUS", checkWidth, "CHECK", "DATA", "CONDITION")))
	}
	for _, row := range rows {
		b := badgeOf(row.Verdict)
		status := t.paint(b.style, fmt.Sprintf("%-8s", b.sign+" "+b.word))
		name := cut(row.check, checkWidth)
		lead := fmt.Sprintf("%s %s%s %-6s ", status, name, strings.Repeat(" ", checkWidth-screenWidth(name)), row.data)
		indent := 9 + checkWidth + 1 + 7
		t.column(lead, indent, row.Name, "")
		if row.Details != "" && row.Verdict != engine.Pass {
			t.column(strings.Repeat(" ", indent), indent, format.Truncate(row.Details, mostDetails), dim)
		}
	}
	t.faults(r)
	t.notRun(r)
	t.notes(r)
	t.segments(r)
	t.baseline(r.Baseline)
}

// notes lists what checks remarked, each remark once.
func (t *textWriter) notes(r *engine.Report) {
	told := make(map[string]bool)
	for i := range r.Outcomes {
		o := &r.Outcomes[i]
		for _, n := range o.Notes {
			text := o.Header + ": " + n
			if told[text] {
				continue
			}
			if len(told) == 0 {
				fmt.Fprintf(&t.b, "\n%s\n", t.paint(dim, "NOTES"))
			}
			told[text] = true
			t.column("", 0, text, "")
		}
	}
}

func (t *textWriter) notRun(r *engine.Report) {
	first := true
	for i := range r.Outcomes {
		o := &r.Outcomes[i]
		if o.Err == nil {
			continue
		}
		if first {
			fmt.Fprintf(&t.b, "\n%s\n", t.paint(dim, "DID NOT RUN"))
			first = false
		}
		word := t.paint(dim, "skipped ")
		message := o.Err.Message
		if o.NotRun() {
			word = t.paint(red, "✖ error ")
			message = string(o.Err.Class) + ": " + message
		}
		t.column(word+" ", 9, o.Header+dataSuffix(o)+": "+message, "")
	}
}

// column writes text behind lead, folded at the width with the indent.
func (t *textWriter) column(lead string, indent int, text string, s style) {
	for _, paragraph := range strings.Split(text, "\n") {
		paragraph = strings.Map(func(r rune) rune {
			if r == '\t' || r == '\r' {
				return ' '
			}
			return visible(r)
		}, paragraph)
		for _, line := range Fold(paragraph, t.width-indent) {
			if s != "" {
				line = t.paint(s, line)
			}
			t.b.WriteString(strings.TrimRight(lead+line, " ") + "\n")
			lead = strings.Repeat(" ", indent)
		}
	}
}

func (t *textWriter) wrapped(lead, text string) { t.column(lead, len(lead), text, "") }

// conditionRow is one judged condition of the summary.
type conditionRow struct {
	engine.Judged
	check, data string
	outcome     *engine.Outcome
}

// conditionRows lists all conditions, the worst first, else in suite order.
func conditionRows(r *engine.Report) []conditionRow {
	var rows []conditionRow
	for rank := 1; rank <= 4; rank++ {
		for i := range r.Outcomes {
			o := &r.Outcomes[i]
			for _, c := range o.Conditions {
				if c.Verdict.Rank() == rank {
					rows = append(rows, conditionRow{c, o.Header, string(o.Which), o})
				}
			}
		}
	}
	return rows
}

// headline lists what the report is about.
func headline(r *engine.Report) []string {
	parts := []string{r.Name, r.Suite, format.Number(float64(r.Train.Rows)) + " train " + of(r)}
	if r.Test != nil {
		parts = append(parts, format.Number(float64(r.Test.Rows))+" test "+of(r))
	}
	if r.Task != engine.Unknown {
		parts = append(parts, string(r.Task))
	}
	if r.Train.Ranks > 1 {
		parts = append(parts, fmt.Sprintf("read by %d ranks", r.Train.Ranks))
	}
	if r.Mode != engine.Mended {
		parts = append(parts, "compat "+string(r.Mode))
	}
	if r.Elapsed > 0 {
		parts = append(parts, r.Elapsed.Round(time.Millisecond).String())
	}
	return parts
}

// tally words the counts, leaving out what did not occur.
func tally(n engine.Counts) string {
	parts := []string{fmt.Sprintf("%d passed", n.Pass)}
	for _, p := range []struct {
		n    int
		word string
	}{{n.Fail, "failed"}, {n.Warn, "warned"}, {n.Error, "could not be judged"}, {n.NotRun, "not run"}, {n.Skipped, "skipped"}, {n.Plain, "without conditions"}} {
		if p.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", p.n, p.word))
		}
	}
	return strings.Join(parts, ", ")
}

func dataSuffix(o *engine.Outcome) string {
	if o.Which == "" {
		return ""
	}
	return " (" + string(o.Which) + ")"
}

// runeWidth is how many columns a terminal gives a character: two for the
// wide ones of East Asia and pictures, none for marks that join others.
func runeWidth(r rune) int {
	switch {
	case unicode.Is(unicode.Mn, r) || unicode.Is(unicode.Me, r) || r == 0x200d || r >= 0xfe00 && r <= 0xfe0f:
		return 0
	case r >= 0x1100 && r <= 0x115f, r >= 0x2e80 && r <= 0xa4cf, r >= 0xac00 && r <= 0xd7a3, r >= 0xf900 && r <= 0xfaff,
		r >= 0xfe30 && r <= 0xfe6f, r >= 0xff00 && r <= 0xff60, r >= 0xffe0 && r <= 0xffe6, r >= 0x1f300 && r <= 0x1faff, r >= 0x20000 && r <= 0x3fffd:
		return 2
	}
	return 1
}

// screenWidth is the width of a text on a terminal.
func screenWidth(s string) int {
	w := 0
	for _, r := range s {
		w += runeWidth(r)
	}
	return w
}

// split parts a text at a width.
func split(s string, width int) (head, rest string) {
	w := 0
	for i, r := range s {
		if w += runeWidth(r); w > width {
			return s[:i], s[i:]
		}
	}
	return s, ""
}

func cut(s string, n int) string {
	if screenWidth(s) <= n {
		return s
	}
	head, _ := split(s, n-1)
	return head + "…"
}

// Fold breaks text into lines of at most width columns, at blanks where there
// are any.
func Fold(text string, width int) []string {
	width = max(width, 20)
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		for screenWidth(word) > width {
			if line != "" {
				lines, line = append(lines, line), ""
			}
			var head string
			head, word = split(word, width)
			lines = append(lines, head)
		}
		switch {
		case line == "":
			line = word
		case screenWidth(line)+1+screenWidth(word) <= width:
			line += " " + word
		default:
			lines, line = append(lines, line), word
		}
	}
	return append(lines, line)
}
