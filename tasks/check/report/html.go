package report

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"html"
	"io"
	"strings"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/format"
)

// HTML writes the report as one self-contained page: no requests, light or
// dark as the reader prefers, readable without scripts; the one script there
// is sorts tables and searches, and the page's own policy allows no other.
// Everything that comes from users' data is escaped.
func HTML(w io.Writer, r *engine.Report) error {
	p := &page{report: r}
	cards := p.cards()
	p.head()
	p.add(`<div class="frame">`)
	if r.Err == nil {
		p.contents(cards)
	}
	p.add(`<main id="main" tabindex="-1">`)
	if r.Err != nil {
		p.add(`<section class="card"><h2>The suite did not run</h2><p><code>`, esc(string(r.Err.Class)), `</code></p><p class="details">`, esc(r.Err.Message), `</p></section>`)
	} else {
		p.conditions(cards)
		p.faults()
		blamed := r.Counts().NotRun > 0
		if blamed { // part of the verdict: not below everything else
			p.notRun()
		}
		p.segments()
		p.baseline()
		p.data()
		p.results(cards)
		if !blamed {
			p.notRun()
		}
	}
	p.add(`</main></div><footer>`)
	if !r.Started.IsZero() {
		p.add(esc(r.Started.UTC().Format("2 January 2006, 15:04 UTC")), ` · `)
	}
	p.add(`seed `, fmt.Sprint(r.Seed),
		` · sampling and results are repeatable with the same data and seed</footer><script>`, pageScript, `</script></body></html>`, "\n")
	if _, err := io.WriteString(w, p.b.String()); err != nil {
		return fmt.Errorf("write HTML report: %w", err)
	}
	return nil
}

// page builds the markup. Only add writes, and its arguments are either
// literal markup or the outcome of esc.
type page struct {
	b      strings.Builder
	report *engine.Report
	plots  int
	// left counts what was left out because the page had grown too large.
	left int
}

func (p *page) add(parts ...string) {
	for _, s := range parts {
		p.b.WriteString(s)
	}
}

// esc makes text safe in markup and attributes; control characters, which
// HTML cannot hold, are shown as signs.
func esc(s string) string {
	return html.EscapeString(strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || r == '\r' {
			return r
		}
		return visible(r)
	}, s))
}

func (p *page) head() {
	r := p.report
	word, class, sign := "Passed", "pass", "✓"
	if !r.Passed() {
		word, class, sign = "Failed", "fail", "✖"
	}
	digest := sha256.Sum256([]byte(pageScript))
	p.add("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">",
		`<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-`, base64.StdEncoding.EncodeToString(digest[:]), `'">`,
		`<meta name="viewport" content="width=device-width,initial-scale=1"><meta name="color-scheme" content="light dark">`,
		`<title>`, esc(r.Name), `: `, esc(r.Suite), ` `, strings.ToLower(word), `</title><style>`, pageStyle, `</style></head><body id="top">`,
		`<a class="skip" href="#main">Skip to the results</a><header><div class="top"><div><h1>`, esc(format.Truncate(r.Name, 200)), `</h1><p class="soft">`,
		esc(strings.Join(headline(r)[1:], " · ")), `</p></div><div class="verdict `, class, `"><span aria-hidden="true">`, sign, `</span> `, word, `</div></div>`)
	if r.Err == nil {
		p.tiles()
	}
	p.add(`</header>`)
}

// tiles are the counts, as numbers and as one bar.
func (p *page) tiles() {
	n := p.report.Counts()
	tiles := []struct {
		n           int
		what, class string
		always      bool
	}{
		{n.Fail, "failed", "fail", true},
		{n.Warn, "warnings", "warn", true},
		{n.Pass, "passed", "pass", true},
		{n.Error, "could not be judged", "error", false},
		{n.NotRun, "checks not run", "error", false},
		{n.Skipped, "checks skipped", "mute", false},
		{n.Plain, "checks without conditions", "mute", false},
	}
	p.add(`<div class="tiles">`)
	for _, t := range tiles {
		if t.always || t.n > 0 {
			p.add(`<div class="tile t-`, t.class, `"><b>`, fmt.Sprint(t.n), `</b><span>`, t.what, `</span></div>`)
		}
	}
	p.add(`</div><div class="shares" aria-hidden="true">`)
	for _, t := range tiles {
		if t.n > 0 {
			p.add(`<i class="b-`, t.class, `" style="flex-grow:`, fmt.Sprint(t.n), `"></i>`)
		}
	}
	p.add(`</div>`)
}

func pill(v engine.Verdict) string {
	b := badgeOf(v)
	return `<span class="pill ` + b.class + `"><span aria-hidden="true">` + b.sign + `</span> ` + b.word + `</span>`
}

// contents is the list of what the page holds: a column beside it where there
// is room, else a box above that scrolls by itself.
func (p *page) contents(cards []card) {
	n := p.report.Counts()
	p.add(`<nav class="toc" aria-label="Contents"><details open><summary>Contents</summary><div class="tocbox"><ul>`,
		`<li><a href="#conditions">Conditions</a></li>`)
	if n.NotRun > 0 {
		p.add(`<li><a href="#notrun">Checks that did not run</a></li>`)
	}
	if len(p.report.Segments) > 0 {
		p.add(`<li><a href="#segments">Segments</a></li>`)
	}
	if p.report.Baseline != nil {
		p.add(`<li><a href="#baseline">Against the baseline</a></li>`)
	}
	p.add(`<li><a href="#data">Data</a></li></ul>`)
	for _, plain := range []bool{false, true} {
		first := true
		for _, c := range cards {
			if (c.rank == 5) != plain {
				continue
			}
			if first {
				p.add(`<p>`, map[bool]string{false: "Checks with conditions", true: "Checks without conditions"}[plain], `</p><ul>`)
				first = false
			}
			b := rankBadge(c.rank)
			p.add(`<li><a href="#`, esc(c.id), `"><span class="dot `, b.class, `" aria-hidden="true">`, b.sign, `</span><span class="vh">`, b.word, `: </span>`, esc(c.group[0].Header), `</a></li>`)
		}
		if !first {
			p.add(`</ul>`)
		}
	}
	if n.NotRun == 0 && n.Skipped > 0 {
		p.add(`<ul><li><a href="#notrun">Checks that did not run</a></li></ul>`)
	}
	p.add(`</div></details></nav>`)
}

// rankBadge is the badge of the worst condition of a check.
func rankBadge(rank int) badge {
	switch rank {
	case 1:
		return badgeOf(engine.Fail)
	case 2:
		return badgeOf(engine.Warn)
	case 3:
		return badgeOf(engine.Broken)
	case 4:
		return badgeOf(engine.Pass)
	}
	return badge{"i", "no conditions", dim, "mute"}
}

// conditions is the summary: every condition, the worst first.
func (p *page) conditions(cards []card) {
	rows := conditionRows(p.report)
	p.add(`<section aria-labelledby="conditions"><h2 id="conditions">Conditions</h2>`)
	if len(rows) == 0 {
		p.add(`<p class="soft">No check of this run carries a condition.</p></section>`)
		return
	}
	counts := make(map[engine.Verdict]int)
	for _, row := range rows {
		counts[row.Verdict]++
	}
	if len(counts) > 1 {
		p.add(`<fieldset class="filter"><legend class="vh">Show conditions</legend><input type="radio" name="show" id="show-all" checked><label for="show-all">All <b>`, fmt.Sprint(len(rows)), `</b></label>`)
		for _, v := range []engine.Verdict{engine.Fail, engine.Warn, engine.Broken, engine.Pass} {
			if n := counts[v]; n > 0 {
				b := badgeOf(v)
				p.add(`<input type="radio" name="show" id="show-`, b.class, `"><label for="show-`, b.class, `">`, strings.ToUpper(b.word[:1])+b.word[1:], ` <b>`, fmt.Sprint(n), `</b></label>`)
			}
		}
		p.add(`<label class="search" hidden>Search <input type="search" id="search" autocomplete="off"></label></fieldset>`)
	}
	anchors := make(map[*engine.Outcome]string)
	for _, c := range cards {
		for _, o := range c.group {
			anchors[o] = c.id
		}
	}
	p.add(`<div class="scroll ground" role="region" aria-labelledby="conditions" tabindex="0"><table class="sort stack" id="conditions-table"><thead><tr>`,
		`<th scope="col">Status</th><th scope="col">Check</th><th scope="col">Data</th><th scope="col">Condition</th><th scope="col">Details</th></tr></thead><tbody>`)
	for _, row := range rows {
		p.add(`<tr class="is-`, badgeOf(row.Verdict).class, `"><td class="tight" data-key="`, fmt.Sprint(row.Verdict.Rank()), `">`, pill(row.Verdict), `</td><td><a href="#`, esc(anchors[row.outcome]), `">`, esc(row.check), `</a></td><td>`, esc(row.data),
			`</td><td>`, esc(row.Name), `</td><td class="details">`, esc(format.Truncate(row.Details, 300)), `</td></tr>`)
	}
	p.add(`</tbody></table></div></section>`)
}

func (p *page) data() {
	r := p.report
	p.add(`<section aria-labelledby="data"><h2 id="data">Data</h2><div class="card"><dl>`)
	item := func(name, value string) {
		if value != "" {
			p.add(`<dt>`, name, `</dt><dd>`, esc(value), `</dd>`)
		}
	}
	columns := map[string]string{engine.KindTabular: "columns", engine.KindVision: "properties", engine.KindNLP: "properties and metadata"}[r.Kind]
	item("Train", fmt.Sprintf("%s %s, %d %s", format.Number(float64(r.Train.Rows)), of(r), r.Train.Columns, columns))
	if r.Test != nil {
		item("Test", fmt.Sprintf("%s %s, %d %s", format.Number(float64(r.Test.Rows)), of(r), r.Test.Columns, columns))
	}
	item("Task", string(r.Task))
	item("Label", r.Train.Label)
	classes := make([]string, len(r.Classes))
	for i, c := range r.Classes {
		classes[i] = c.String()
	}
	item("Classes", strings.Join(some(classes), ", "))
	features := "Numerical features"
	categories := "Categorical features"
	switch r.Kind {
	case engine.KindVision:
		features = "Properties"
	case engine.KindNLP:
		features, categories = "Numerical properties and metadata", "Categorical properties and metadata"
	}
	item(features, strings.Join(some(r.Train.Numerical), ", "))
	item(categories, strings.Join(some(r.Train.Categorical), ", "))
	item("Index", r.Train.Index)
	item("Datetime", r.Train.Datetime)
	p.add(`</dl></div></section>`)
}

// some cuts a long list of long names.
func some(names []string) []string {
	const most = 24
	out := make([]string, 0, most+1)
	for _, n := range names[:min(len(names), most)] {
		out = append(out, format.Truncate(n, 120))
	}
	if len(names) > most {
		out = append(out, fmt.Sprintf("and %d more", len(names)-most))
	}
	return out
}

func (p *page) notRun() {
	var rows []*engine.Outcome
	for _, blamed := range []bool{true, false} { // what counts against the report first
		for i := range p.report.Outcomes {
			if o := &p.report.Outcomes[i]; o.Err != nil && o.NotRun() == blamed {
				rows = append(rows, o)
			}
		}
	}
	if len(rows) == 0 {
		return
	}
	p.add(`<section aria-labelledby="notrun"><h2 id="notrun">Checks that did not run</h2>`,
		`<div class="scroll ground" role="region" aria-labelledby="notrun" tabindex="0"><table class="sort stack"><thead><tr>`,
		`<th scope="col">Status</th><th scope="col">Check</th><th scope="col">Data</th><th scope="col">Reason</th></tr></thead><tbody>`)
	for _, o := range rows {
		status := `<span class="pill mute">skipped</span>`
		reason := o.Err.Message
		if o.NotRun() {
			status = `<span class="pill error"><span aria-hidden="true">⁈</span> not run</span>`
			reason = string(o.Err.Class) + ": " + reason
		}
		p.add(`<tr><td class="tight">`, status, `</td><td>`, esc(o.Header), `</td><td>`, esc(string(o.Which)), `</td><td class="details">`, esc(format.Truncate(reason, mostDetails)))
		for _, n := range o.Notes {
			p.add("\n", esc(format.Truncate(n, mostDetails)))
		}
		p.add(`</td></tr>`)
	}
	p.add(`</tbody></table></div></section>`)
}
