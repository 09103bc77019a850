package report

import (
	"fmt"
	"strings"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/format"
)

// segmentColumns lists the columns by which the rows were divided, in order.
func segmentColumns(r *engine.Report) []string {
	var out []string
	for _, s := range r.Segments {
		if len(out) == 0 || out[len(out)-1] != s.Column {
			out = append(out, s.Column)
		}
	}
	return out
}

// worst names the worst segment of a column.
func worst(r *engine.Report, column string) string {
	s := r.WorstSegment(column)
	if s == nil {
		return fmt.Sprintf("No segment of %s has a failed condition or a warning.", column)
	}
	equal := ""
	if n := len(r.EqualSegments(s)); n > 0 {
		equal = fmt.Sprintf(" (%d more are as bad)", n)
		if n == 1 {
			equal = fmt.Sprintf(" (%s is as bad)", r.EqualSegments(s)[0].Name)
		}
	}
	return fmt.Sprintf("The worst segment of %s is %s: %s%s.", column, s.Name, segmentTally(s), equal)
}

// segmentTally words what came out in a segment.
func segmentTally(s *engine.Segment) string {
	switch {
	case s.TooSmall:
		return fmt.Sprintf("too small to be checked (fewer than %d rows)", s.MinRows)
	case s.Err != "":
		return s.Err
	}
	return tally(engine.Counts{Pass: s.Pass, Warn: s.Warn, Fail: s.Fail, Error: s.Error, NotRun: s.NotRun})
}

func segmentRows(s *engine.Segment) string {
	rows := format.Number(float64(s.Train))
	if s.HasTest {
		rows += " train, " + format.Number(float64(s.Test)) + " test"
	}
	return rows + " rows"
}

func (t *textWriter) segments(r *engine.Report) {
	if len(r.Segments) == 0 {
		return
	}
	fmt.Fprintf(&t.b, "\n%s\n", t.paint(dim, "SEGMENTS"))
	for i := range r.Segments {
		s := &r.Segments[i]
		t.column("", 2, fmt.Sprintf("%s (%s): %s", s.Name, segmentRows(s), segmentTally(s)), "")
	}
	for _, c := range segmentColumns(r) {
		t.column("", 2, worst(r, c), "")
	}
}

func segmentsMarkdown(r *engine.Report) string {
	if len(r.Segments) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString("\n### Segments\n\n")
	for _, c := range segmentColumns(r) {
		fmt.Fprintf(&b, "%s\n", md(worst(r, c)))
	}
	b.WriteString("\n| Segment | Rows | Conditions |\n|---|---|---|\n")
	for i := range r.Segments {
		s := &r.Segments[i]
		fmt.Fprintf(&b, "| %s | %s | %s |\n", md(s.Name), segmentRows(s), md(format.Truncate(segmentTally(s), 300)))
	}
	return b.String()
}

func (p *page) segments() {
	r := p.report
	if len(r.Segments) == 0 {
		return
	}
	p.add(`<section aria-labelledby="segments"><h2 id="segments">Segments</h2>`)
	for _, c := range segmentColumns(r) {
		p.add(`<p class="soft">`, esc(worst(r, c)), `</p>`)
	}
	p.add(`<div class="scroll ground" role="region" aria-labelledby="segments" tabindex="0"><table class="sort stack"><thead><tr>`,
		`<th scope="col">Segment</th><th scope="col">Rows</th><th scope="col">Conditions</th></tr></thead><tbody>`)
	for i := range r.Segments {
		s := &r.Segments[i]
		p.add(`<tr><td>`, esc(format.Truncate(s.Name, 200)), `</td><td>`, esc(segmentRows(s)), `</td><td class="details">`, esc(format.Truncate(segmentTally(s), 300)), `</td></tr>`)
	}
	p.add(`</tbody></table></div></section>`)
}

// segmentsObject is the summary of segments in JSON.
func segmentsObject(r *engine.Report) []any {
	var out []any
	for i := range r.Segments {
		s := &r.Segments[i]
		status, rows := "ok", engine.Object{{Key: "train", Value: s.Train}}
		switch {
		case s.TooSmall:
			status = "too_small"
		case s.Err != "":
			status = "error"
		}
		if s.HasTest {
			rows = append(rows, engine.Field{Key: "test", Value: s.Test})
		}
		out = append(out, engine.Object{
			{Key: "column", Value: s.Column}, {Key: "segment", Value: s.Name}, {Key: "rows", Value: rows}, {Key: "status", Value: status}, {Key: "error", Value: orNull(s.Err)},
			{Key: "counts", Value: engine.Object{
				{Key: "pass", Value: s.Pass}, {Key: "warn", Value: s.Warn}, {Key: "fail", Value: s.Fail}, {Key: "error", Value: s.Error}, {Key: "not_run", Value: s.NotRun},
			}},
			{Key: "worst", Value: s == r.WorstSegment(s.Column)},
		})
	}
	return out
}
