package report

import (
	"fmt"
	"io"
	"strings"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/format"
)

// The bounds of the Markdown report: GitHub refuses comments of more than
// 65,536 characters.
const (
	mostMarkdown = 60_000
	mostCell     = 300 // characters of a cell
	markdownRows = 10  // rows and columns of a table shown
	markdownCols = 8
)

// Markdown writes the report for a pull request or a notebook: the verdict,
// what is wrong in a table, and the rest folded away. It is short enough for
// a comment; a note tells what was left out.
func Markdown(w io.Writer, r *engine.Report) error {
	m := &markdown{}
	verdict := "✅ passed"
	if !r.Passed() {
		verdict = "❌ failed"
	}
	m.section(fmt.Sprintf("## %s: %s\n\n%s\n", md(r.Suite), verdict, md(strings.Join(headline(r), " · "))))
	if r.Err != nil {
		m.section(fmt.Sprintf("\nThe suite did not run: **%s** %s\n", r.Err.Class, md(format.Truncate(r.Err.Message, mostDetails))))
	} else {
		m.report(r)
	}
	if m.left > 0 {
		fmt.Fprintf(&m.b, "\n%d parts were left out to keep this short; the HTML and JSON reports hold all.\n", m.left)
	}
	if _, err := io.WriteString(w, m.b.String()); err != nil {
		return fmt.Errorf("write Markdown report: %w", err)
	}
	return nil
}

// markdown grows by whole sections, as long as there is room.
type markdown struct {
	b    strings.Builder
	size int // characters
	left int
}

func (m *markdown) section(text string) {
	if text == "" {
		return
	}
	n := len([]rune(text))
	if m.size+n > mostMarkdown {
		m.left++
		return
	}
	m.size += n
	m.b.WriteString(text)
}

func (m *markdown) report(r *engine.Report) {
	m.section("\n" + tally(r.Counts()) + "\n")
	var bad, good []conditionRow
	for _, row := range conditionRows(r) {
		if row.Verdict == engine.Pass {
			good = append(good, row)
		} else {
			bad = append(bad, row)
		}
	}
	m.section(conditionTable(bad))
	m.section(faultsMarkdown(r))
	m.section(notRunList(r))
	m.section(segmentsMarkdown(r))
	m.section(baselineMarkdown(r.Baseline))
	for _, o := range r.Ordered() {
		if o.Err == nil && (o.Priority(r.Mode) <= 3 || len(o.Notes) > 0) {
			m.section(folded(o.Header+dataSuffix(o), outcomeDetails(o)))
		}
	}
	if len(good) > 0 {
		m.section(folded(fmt.Sprintf("%d conditions passed", len(good)), conditionTable(good)))
	}
}

// folded hides a text under its title.
func folded(title, text string) string {
	if text == "" {
		return ""
	}
	return "\n<details><summary>" + md(title) + "</summary>\n" + text + "\n</details>\n"
}

// outcomeDetails are the notes and tables of an outcome.
func outcomeDetails(o *engine.Outcome) string {
	var b strings.Builder
	for _, n := range o.Notes {
		fmt.Fprintf(&b, "\n%s\n", md(format.Truncate(n, mostDetails)))
	}
	for _, d := range o.Result.Displays {
		switch d := d.(type) {
		case engine.Note:
			fmt.Fprintf(&b, "\n%s\n", md(format.Truncate(d.Text, mostDetails)))
		case engine.TableView:
			markdownTable(&b, d)
		case engine.Gallery:
			markdownGallery(&b, d)
		}
	}
	return b.String()
}

// markdownGallery lists the images by name: pictures are in the HTML report.
func markdownGallery(b *strings.Builder, g engine.Gallery) {
	if len(g.Samples) == 0 {
		return
	}
	fmt.Fprintf(b, "\n**%s**\n\n", md(format.Truncate(g.Title, mostCell)))
	for _, s := range g.Samples[:min(len(g.Samples), markdownRows)] {
		fmt.Fprintf(b, "- %s", md(format.Truncate(s.ID, mostCell)))
		if s.Caption != "" {
			fmt.Fprintf(b, ": %s", md(format.Truncate(s.Caption, mostCell)))
		}
		b.WriteByte('\n')
	}
	if more := len(g.Samples) - markdownRows; more > 0 {
		fmt.Fprintf(b, "- and %d more\n", more)
	}
}

func markdownTable(b *strings.Builder, t engine.TableView) {
	columns, rows := t.Grid.Columns, t.Grid.Rows
	columns, rows = columns[:min(len(columns), markdownCols)], rows[:min(len(rows), markdownRows)]
	if len(columns) == 0 || len(rows) == 0 {
		return
	}
	fmt.Fprintf(b, "\n**%s**\n\n|", md(format.Truncate(t.Title, mostCell)))
	for _, c := range columns {
		fmt.Fprintf(b, " %s |", md(format.Truncate(c, mostCell)))
	}
	b.WriteString("\n|")
	for _, number := range numeric(engine.Grid{Columns: columns, Rows: rows}) {
		b.WriteString(map[bool]string{true: "---:|", false: "---|"}[number])
	}
	b.WriteByte('\n')
	for _, row := range rows {
		b.WriteByte('|')
		for i := range columns {
			text := ""
			if i < len(row) {
				text = cellText(row[i])
			}
			fmt.Fprintf(b, " %s |", md(text))
		}
		b.WriteByte('\n')
	}
	if len(t.Grid.Rows) > len(rows) || len(t.Grid.Columns) > len(columns) {
		fmt.Fprintf(b, "\nThe first %d of %d rows, %d of %d columns.\n", len(rows), len(t.Grid.Rows), len(columns), len(t.Grid.Columns))
	}
}

func conditionTable(rows []conditionRow) string {
	if len(rows) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString("\n| Status | Check | Data | Condition | Details |\n|---|---|---|---|---|\n")
	signs := map[engine.Verdict]string{engine.Pass: "✅", engine.Warn: "⚠️", engine.Fail: "❌", engine.Broken: "⁉️"}
	for _, r := range rows {
		fmt.Fprintf(&b, "| %s %s | %s | %s | %s | %s |\n", signs[r.Verdict], badgeOf(r.Verdict).word, md(r.check), md(r.data),
			md(format.Truncate(r.Name, mostCell)), md(format.Truncate(r.Details, mostCell)))
	}
	return b.String()
}

// notRunList lists the checks that did not run, those that were merely skipped
// folded away.
func notRunList(r *engine.Report) string {
	var blamed, skipped strings.Builder
	n := 0
	for i := range r.Outcomes {
		o := &r.Outcomes[i]
		if o.Err == nil {
			continue
		}
		name, reason := md(o.Header)+md(dataSuffix(o)), md(format.Truncate(o.Err.Message, mostCell))
		if o.NotRun() {
			fmt.Fprintf(&blamed, "- %s: ❌ %s: %s\n", name, o.Err.Class, reason)
		} else {
			n++
			fmt.Fprintf(&skipped, "- %s: %s\n", name, reason)
		}
	}
	out := ""
	if blamed.Len() > 0 {
		out = "\nDid not run:\n\n" + blamed.String()
	}
	if n > 0 {
		out += folded(fmt.Sprintf("%d checks skipped", n), "\n"+skipped.String())
	}
	return out
}

// Escape makes a text of a user's files fit for one line of Markdown, tables
// included: it is shown as it is, and does nothing.
func Escape(s string) string { return md(s) }

// md escapes text for one line of Markdown, tables included: column names and
// labels come from users' files and must not become markup, nor name people
// and issues, nor link, nor be read as mathematics.
func md(s string) string {
	var b strings.Builder
	s = strings.Join(strings.Fields(s), " ")
	s = strings.NewReplacer("://", ":\x00//", "www.", "www\x00.", "WWW.", "WWW\x00.").Replace(strings.ReplaceAll(s, "\x00", "␀"))
	for _, r := range s {
		switch r {
		case '\x00': // parts what would else become a link
			b.WriteString("<!-- -->")
		case '&':
			b.WriteString("&amp;")
		case '<':
			b.WriteString("&lt;")
		case '>':
			b.WriteString("&gt;")
		case '$':
			b.WriteString("&#36;")
		case '@', '#':
			b.WriteRune(r)
			b.WriteString("<!-- -->")
		case '|', '\\', '`', '*', '_', '[', ']', '~', '!':
			b.WriteByte('\\')
			b.WriteRune(r)
		default:
			b.WriteRune(visible(r))
		}
	}
	return b.String()
}

// visible replaces what would act on a screen instead of being seen: control
// characters and those that turn the direction of text.
func visible(r rune) rune {
	switch {
	case r < 0x20:
		return 0x2400 + r
	case r == 0x7f || r >= 0x80 && r < 0xa0 || r == 0x2028 || r == 0x2029 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069:
		return '�'
	}
	return r
}
