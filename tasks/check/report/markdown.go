package report

import (
	"fmt"
	"io"
	"strings"

	"aloft/tasks/check/engine"
)

// Markdown writes the report for a pull request or a notebook: the verdict,
// what is wrong in a table, and the rest folded away.
func Markdown(w io.Writer, r *engine.Report) error {
	var b strings.Builder
	verdict := "✅ passed"
	if !r.Passed() {
		verdict = "❌ failed"
	}
	fmt.Fprintf(&b, "## %s: %s\n\n%s\n\n", md(r.Suite), verdict, md(strings.Join(headline(r), " · ")))
	if r.Err != nil {
		fmt.Fprintf(&b, "The suite did not run: **%s** %s\n", r.Err.Class, md(r.Err.Message))
	} else {
		fmt.Fprintf(&b, "%s\n", tally(r.Counts()))
		var bad, good []conditionRow
		for _, row := range conditionRows(r) {
			if row.Verdict == engine.Pass {
				good = append(good, row)
			} else {
				bad = append(bad, row)
			}
		}
		conditionTable(&b, bad)
		notRunList(&b, r)
		if len(good) > 0 {
			fmt.Fprintf(&b, "\n<details><summary>%d conditions passed</summary>\n", len(good))
			conditionTable(&b, good)
			b.WriteString("\n</details>\n")
		}
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("write Markdown report: %w", err)
	}
	return nil
}

func conditionTable(b *strings.Builder, rows []conditionRow) {
	if len(rows) == 0 {
		return
	}
	b.WriteString("\n| Status | Check | Data | Condition | Details |\n|---|---|---|---|---|\n")
	signs := map[engine.Verdict]string{engine.Pass: "✅", engine.Warn: "⚠️", engine.Fail: "❌", engine.Broken: "⁉️"}
	for _, r := range rows {
		fmt.Fprintf(b, "| %s %s | %s | %s | %s | %s |\n", signs[r.Verdict], badgeOf(r.Verdict).word, md(r.check), md(r.data), md(r.Name), md(r.Details))
	}
}

func notRunList(b *strings.Builder, r *engine.Report) {
	first := true
	for i := range r.Outcomes {
		o := &r.Outcomes[i]
		if o.Err == nil {
			continue
		}
		if first {
			b.WriteString("\nDid not run:\n\n")
			first = false
		}
		mark := "skipped"
		if o.NotRun() {
			mark = "❌ " + string(o.Err.Class)
		}
		fmt.Fprintf(b, "- %s%s: %s: %s\n", md(o.Header), md(dataSuffix(o)), mark, md(o.Err.Message))
	}
}

// md escapes text for one line of Markdown, tables included: column names and
// labels come from users' files and must not become markup.
func md(s string) string {
	var b strings.Builder
	for _, r := range strings.Join(strings.Fields(s), " ") {
		switch r {
		case '&':
			b.WriteString("&amp;")
		case '<':
			b.WriteString("&lt;")
		case '>':
			b.WriteString("&gt;")
		case '|', '\\', '`', '*', '_', '[', ']', '~', '#', '!', '@':
			if r == '@' { // names nobody by accident
				b.WriteString("&#64;")
				continue
			}
			b.WriteByte('\\')
			b.WriteRune(r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}
