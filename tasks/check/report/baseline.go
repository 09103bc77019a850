package report

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/format"
)

// mostMoves bounds the rows that a report shows of a comparison; JSON holds
// all.
const mostMoves = 60

// moveRow is one line of the comparison with the baseline.
type moveRow struct {
	kind                                 engine.Movement
	check, data, what, before, now, note string
}

// moves lists what is not as it was, the worst first; shown by every form.
func moves(c *engine.Comparison) []moveRow {
	var rows []moveRow
	for _, kind := range []engine.Movement{engine.Worse, engine.Moved, engine.Better} {
		for _, t := range c.Turns {
			if t.Kind == kind {
				rows = append(rows, moveRow{kind, t.Check, data(t.Which, t.Segment), orText(t.Condition, "the check"), strings.ToLower(t.Before), strings.ToLower(t.After), t.Details})
			}
		}
		for _, m := range c.Changes {
			if m.Kind == kind {
				rows = append(rows, moveRow{kind, m.Check, data(m.Which, m.Segment), m.Measure, digits(m.Before), digits(m.After), shareText(m)})
			}
		}
	}
	return rows
}

func data(which, segment string) string {
	if which == "" || segment == "" {
		return which + segment
	}
	return which + ", " + segment
}

func orText(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

func digits(f float64) string { return strconv.FormatFloat(f, 'g', 4, 64) }

// shareText says by how much a measure changed.
func shareText(m engine.Change) string {
	if math.IsInf(m.Share, 0) {
		return "was 0"
	}
	sign := "+"
	if m.Share < 0 {
		sign = "" // the number has its own
	}
	return sign + format.Percent(m.Share)
}

// standing sums the comparison up in one sentence.
func standing(c *engine.Comparison) string {
	n := c.Worse()
	verb := "Nothing is worse than in"
	if n == 1 {
		verb = "1 thing is worse than in"
	} else if n > 1 {
		verb = fmt.Sprintf("%d things are worse than in", n)
	}
	return fmt.Sprintf("%s %s (measures may lose %s); %d measures are as they were.", verb, c.Name, format.Percent(c.Tolerance), c.Steady)
}

func sign(m engine.Movement) (badge, string) {
	switch m {
	case engine.Worse:
		return badge{"▼", "worse", red, "fail"}, "🔻"
	case engine.Better:
		return badge{"▲", "better", green, "pass"}, "🔺"
	}
	return badge{"↔", "changed", dim, "mute"}, "🔸"
}

func (t *textWriter) baseline(c *engine.Comparison) {
	if c == nil {
		return
	}
	fmt.Fprintf(&t.b, "\n%s\n", t.paint(dim, "AGAINST THE BASELINE"))
	t.wrapped("", standing(c))
	rows := moves(c)
	for i, r := range rows {
		if i == mostMoves {
			t.wrapped("", fmt.Sprintf("… and %d more", len(rows)-mostMoves))
			break
		}
		b, _ := sign(r.kind)
		where := r.check
		if r.data != "" {
			where += " (" + r.data + ")"
		}
		t.column(t.paint(b.style, fmt.Sprintf("%-9s", b.sign+" "+b.word))+" ", 10, fmt.Sprintf("%s: %s: %s → %s", where, r.what, r.before, r.now)+note(r), "")
	}
	for _, n := range c.Notes {
		t.wrapped("  ", n)
	}
}

// note is what a line says after the numbers.
func note(r moveRow) string {
	if r.note == "" {
		return ""
	}
	return " (" + format.Truncate(strings.ReplaceAll(r.note, "\n", " "), 200) + ")"
}

func baselineMarkdown(c *engine.Comparison) string {
	if c == nil {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\n### Against the baseline\n\n%s\n", md(standing(c)))
	rows := moves(c)
	if len(rows) > 0 {
		b.WriteString("\n| | Check | Data | What | Before | Now | |\n|---|---|---|---|---|---|---|\n")
	}
	for i, r := range rows {
		if i == mostMoves {
			fmt.Fprintf(&b, "| | … and %d more | | | | | |\n", len(rows)-mostMoves)
			break
		}
		badge, picture := sign(r.kind)
		fmt.Fprintf(&b, "| %s %s | %s | %s | %s | %s | %s | %s |\n", picture, badge.word, md(r.check), md(r.data), md(r.what), md(r.before), md(r.now), md(format.Truncate(r.note, 200)))
	}
	for i, n := range c.Notes {
		if i == 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "- %s\n", md(n))
	}
	return b.String()
}

func (p *page) baseline() {
	c := p.report.Baseline
	if c == nil {
		return
	}
	p.add(`<section aria-labelledby="baseline"><h2 id="baseline">Against the baseline</h2><p class="soft">`, esc(standing(c)), `</p>`)
	rows := moves(c)
	if len(rows) > 0 {
		p.add(`<div class="scroll ground" role="region" aria-labelledby="baseline" tabindex="0"><table class="sort stack"><thead><tr>`,
			`<th scope="col">Direction</th><th scope="col">Check</th><th scope="col">Data</th><th scope="col">What</th><th scope="col">Before</th><th scope="col">Now</th><th scope="col">Change</th></tr></thead><tbody>`)
		for i, r := range rows {
			if i == mostMoves {
				p.add(`<tr><td></td><td>and `, fmt.Sprint(len(rows)-mostMoves), ` more</td><td></td><td></td><td></td><td></td><td></td></tr>`)
				break
			}
			b, _ := sign(r.kind)
			p.add(`<tr><td class="tight"><span class="pill `, b.class, `"><span aria-hidden="true">`, b.sign, `</span> `, b.word, `</span></td><td>`, esc(r.check), `</td><td>`, esc(r.data),
				`</td><td>`, esc(format.Truncate(r.what, 200)), `</td><td class="tight">`, esc(r.before), `</td><td class="tight">`, esc(r.now), `</td><td class="details">`, esc(format.Truncate(r.note, 200)), `</td></tr>`)
		}
		p.add(`</tbody></table></div>`)
	}
	if len(c.Notes) > 0 {
		p.add(`<ul>`)
		for _, n := range c.Notes {
			p.add(`<li>`, esc(n), `</li>`)
		}
		p.add(`</ul>`)
	}
	p.add(`</section>`)
}

// baselineObject is the comparison in JSON.
func baselineObject(c *engine.Comparison) engine.Object {
	turns, changes := make([]any, len(c.Turns)), make([]any, len(c.Changes))
	for i, t := range c.Turns {
		turns[i] = engine.Object{
			{Key: "check", Value: t.Check}, {Key: "dataset", Value: orNull(t.Which)}, {Key: "segment", Value: orNull(t.Segment)}, {Key: "condition", Value: orNull(t.Condition)},
			{Key: "before", Value: t.Before}, {Key: "after", Value: t.After}, {Key: "direction", Value: string(t.Kind)}, {Key: "details", Value: t.Details},
		}
	}
	for i, m := range c.Changes {
		changes[i] = engine.Object{
			{Key: "check", Value: m.Check}, {Key: "dataset", Value: orNull(m.Which)}, {Key: "segment", Value: orNull(m.Segment)}, {Key: "measure", Value: m.Measure},
			{Key: "before", Value: m.Before}, {Key: "after", Value: m.After}, {Key: "relative", Value: m.Share}, {Key: "direction", Value: string(m.Kind)},
		}
	}
	return engine.Object{
		{Key: "name", Value: c.Name}, {Key: "max_regression", Value: c.Tolerance}, {Key: "worse", Value: c.Worse()},
		{Key: "outcomes", Value: turns}, {Key: "measures", Value: changes}, {Key: "unchanged", Value: c.Steady}, {Key: "notes", Value: list(c.Notes)},
	}
}

// baselineCases are the test cases of the comparison: one for each thing that
// is worse, or one that passes.
func baselineCases(c *engine.Comparison) junitSuite {
	s := junitSuite{Name: "baseline"}
	for _, r := range moves(c) {
		if r.kind != engine.Worse {
			continue
		}
		text := fmt.Sprintf("%s → %s%s", r.before, r.now, note(r))
		name := r.check + ": " + r.what
		if r.data != "" {
			name = r.check + " (" + r.data + "): " + r.what
		}
		s.Cases = append(s.Cases, junitCase{Class: "baseline", Name: name, Time: "0", Failure: &junitDetail{Type: "Regression", Message: text, Text: text}})
	}
	if len(s.Cases) == 0 {
		s.Cases = []junitCase{{Class: "baseline", Name: standing(c), Time: "0"}}
	}
	return s
}
