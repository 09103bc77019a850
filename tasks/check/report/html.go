package report

import (
	"fmt"
	"html"
	"io"
	"math"
	"strconv"
	"strings"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/format"
)

// HTML writes the report as one self-contained page: no scripts, no requests,
// light or dark as the reader prefers. Everything that comes from users' data
// is escaped.
func HTML(w io.Writer, r *engine.Report) error {
	p := &page{}
	p.head(r)
	p.add(`<main id="main">`)
	if r.Err != nil {
		p.add(`<section class="card"><h3>The suite did not run</h3><p><code>`, esc(string(r.Err.Class)), `</code></p><p class="details">`, esc(r.Err.Message), `</p></section>`)
	} else {
		p.conditions(r)
		blamed := r.Counts().NotRun > 0
		if blamed { // part of the verdict: not below everything else
			p.notRun(r)
		}
		p.data(r)
		p.results(r)
		if !blamed {
			p.notRun(r)
		}
	}
	p.add(`</main><footer>`, esc(r.Started.UTC().Format("2 January 2006, 15:04 UTC")), ` · seed `, fmt.Sprint(r.Seed),
		` · sampling and results are repeatable with the same data and seed</footer></body></html>`, "\n")
	if _, err := io.WriteString(w, p.b.String()); err != nil {
		return fmt.Errorf("write HTML report: %w", err)
	}
	return nil
}

// page builds the markup. Only add writes, and its arguments are either
// literal markup or the outcome of esc.
type page struct{ b strings.Builder }

func (p *page) add(parts ...string) {
	for _, s := range parts {
		p.b.WriteString(s)
	}
}

func esc(s string) string { return html.EscapeString(s) }

func (p *page) head(r *engine.Report) {
	word, class, sign := "Passed", "pass", "✓"
	if !r.Passed() {
		word, class, sign = "Failed", "fail", "✖"
	}
	p.add("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">",
		`<meta name="viewport" content="width=device-width,initial-scale=1"><meta name="color-scheme" content="light dark">`,
		`<title>`, esc(r.Name), `: `, esc(r.Suite), ` `, strings.ToLower(word), `</title><style>`, pageStyle, `</style></head><body>`,
		`<a class="skip" href="#main">Skip to the results</a><header><div class="top"><div><h1>`, esc(r.Name), `</h1><p class="soft">`,
		esc(strings.Join(headline(r)[1:], " · ")), `</p></div><div class="verdict `, class, `"><span aria-hidden="true">`, sign, `</span> `, word, `</div></div>`)
	if r.Err == nil {
		n := r.Counts()
		p.add(`<div class="tiles">`)
		for _, t := range []struct {
			n      int
			what   string
			always bool
		}{
			{n.Fail, "conditions failed", true},
			{n.Warn, "warnings", true},
			{n.Pass, "conditions passed", true},
			{n.Error, "could not be judged", false},
			{n.NotRun, "checks not run", false},
			{n.Skipped, "checks skipped", false},
			{n.Plain, "without conditions", false},
		} {
			if t.always || t.n > 0 {
				p.add(`<div class="tile"><b>`, fmt.Sprint(t.n), `</b><span>`, t.what, `</span></div>`)
			}
		}
		p.add(`</div>`)
	}
	p.add(`</header>`)
}

func pill(v engine.Verdict) string {
	b := badgeOf(v)
	return `<span class="pill ` + b.class + `"><span aria-hidden="true">` + b.sign + `</span> ` + b.word + `</span>`
}

func anchor(o *engine.Outcome) string {
	return "check-" + strings.Trim(strings.Join([]string{o.Suite, o.Def.ID}, "-"), "-")
}

func (p *page) conditions(r *engine.Report) {
	rows := conditionRows(r)
	p.add(`<section aria-labelledby="conditions"><h2 id="conditions">Conditions</h2>`)
	if len(rows) == 0 {
		p.add(`<p class="soft">No check of this run carries a condition.</p></section>`)
		return
	}
	p.add(`<div class="scroll" role="region" aria-labelledby="conditions" tabindex="0" style="background:var(--card)"><table><thead><tr>`,
		`<th>Status</th><th>Check</th><th>Data</th><th>Condition</th><th>Details</th></tr></thead><tbody>`)
	for _, row := range rows {
		p.add(`<tr><td class="tight">`, pill(row.Verdict), `</td><td><a href="#`, esc(anchor(row.outcome)), `">`, esc(row.check), `</a></td><td>`, esc(row.data),
			`</td><td>`, esc(row.Name), `</td><td class="details">`, esc(format.Truncate(row.Details, 300)), `</td></tr>`)
	}
	p.add(`</tbody></table></div></section>`)
}

func (p *page) data(r *engine.Report) {
	p.add(`<section aria-labelledby="data"><h2 id="data">Data</h2><div class="card"><dl>`)
	item := func(name, value string) {
		if value != "" {
			p.add(`<dt>`, name, `</dt><dd>`, esc(value), `</dd>`)
		}
	}
	item("Train", fmt.Sprintf("%s rows, %d columns", format.Number(float64(r.Train.Rows)), r.Train.Columns))
	if r.Test != nil {
		item("Test", fmt.Sprintf("%s rows, %d columns", format.Number(float64(r.Test.Rows)), r.Test.Columns))
	}
	item("Task", string(r.Task))
	item("Label", r.Train.Label)
	classes := make([]string, len(r.Classes))
	for i, c := range r.Classes {
		classes[i] = c.String()
	}
	item("Classes", strings.Join(some(classes), ", "))
	item("Numerical features", strings.Join(some(r.Train.Numerical), ", "))
	item("Categorical features", strings.Join(some(r.Train.Categorical), ", "))
	item("Index", r.Train.Index)
	item("Datetime", r.Train.Datetime)
	p.add(`</dl></div></section>`)
}

// some cuts a long list of names.
func some(names []string) []string {
	const most = 24
	if len(names) <= most {
		return names
	}
	return append(append([]string{}, names[:most]...), fmt.Sprintf("and %d more", len(names)-most))
}

// results writes one card for each check that ran, train beside test, the
// worst first.
func (p *page) results(r *engine.Report) {
	var order []string
	groups := make(map[string][]*engine.Outcome)
	for _, o := range r.Ordered() {
		if o.Err != nil {
			continue
		}
		key := anchor(o) + fmt.Sprint(o.Args)
		if groups[key] == nil {
			order = append(order, key)
		}
		groups[key] = append(groups[key], o)
	}
	if len(order) == 0 {
		return
	}
	p.add(`<section aria-labelledby="results"><h2 id="results">Results</h2>`)
	seen := make(map[string]bool)
	for _, key := range order {
		group := groups[key]
		if len(group) == 2 && group[0].Which == engine.Test {
			group[0], group[1] = group[1], group[0]
		}
		id := anchor(group[0])
		if seen[id] {
			id = ""
		}
		seen[id] = true
		p.card(id, group)
	}
	p.add(`</section>`)
}

func (p *page) card(id string, group []*engine.Outcome) {
	o := group[0]
	p.add(`<article class="card"`)
	if id != "" {
		p.add(` id="`, esc(id), `"`)
	}
	p.add(`><h3>`, esc(o.Header), `</h3><p class="soft">`, esc(o.Def.Summary), `</p><div class="sides`)
	if len(group) == 1 || wide(group) {
		p.add(` one`)
	}
	p.add(`">`)
	for _, o := range group {
		p.add(`<div class="side">`)
		if o.Which != "" {
			p.add(`<div class="sidename">`, map[engine.Which]string{engine.Train: "Train", engine.Test: "Test"}[o.Which], `</div>`)
		}
		if len(o.Conditions) > 0 {
			p.add(`<ul class="conds">`)
			for _, c := range o.Conditions {
				p.add(`<li><div>`, pill(c.Verdict), `</div><div class="what">`, esc(c.Name), `<div class="details">`, esc(c.Details), `</div></div></li>`)
			}
			p.add(`</ul>`)
		}
		p.displays(o)
		p.sampled(o)
		p.add(`</div>`)
	}
	p.add(`</div>`)
	p.params(o)
	p.add(`</article>`)
}

// wide tells whether a result needs the whole width of the page.
func wide(group []*engine.Outcome) bool {
	for _, o := range group {
		for _, d := range o.Result.Displays {
			if t, ok := d.(engine.TableView); ok && len(t.Grid.Columns) > 6 {
				return true
			}
		}
	}
	return false
}

func (p *page) displays(o *engine.Outcome) {
	if len(o.Result.Displays) == 0 {
		p.add(`<p class="soft">Nothing found.</p>`)
		return
	}
	inCharts := false
	for _, d := range o.Result.Displays {
		_, bar := d.(engine.BarChart)
		if bar != inCharts {
			if bar {
				p.add(`<div class="charts">`)
			} else {
				p.add(`</div>`)
			}
			inCharts = bar
		}
		p.display(d)
	}
	if inCharts {
		p.add(`</div>`)
	}
}

func (p *page) display(d engine.Display) {
	switch d := d.(type) {
	case engine.Note:
		p.add(`<p>`, esc(d.Text), `</p>`)
	case engine.TableView:
		p.table(d)
	case engine.Heatmap:
		p.figure(d.Title, heatmap(d))
	case engine.LineChart:
		p.figure(d.Title, lineChart(d))
	case engine.BarChart:
		p.figure(d.Title, barChart(d))
	}
}

func (p *page) figure(title, content string) {
	p.add(`<figure><figcaption>`, esc(title), `</figcaption>`, content, `</figure>`)
}

func (p *page) table(t engine.TableView) {
	numbers := numeric(t.Grid)
	p.add(`<h4>`, esc(t.Title), `</h4><div class="scroll tall" role="region" tabindex="0" aria-label="`, esc(t.Title), `"><table><thead><tr>`)
	for i, c := range t.Grid.Columns {
		class := ""
		if numbers[i] {
			class = ` class="num"`
		}
		p.add(`<th`, class, `>`, esc(c), `</th>`)
	}
	p.add(`</tr></thead><tbody>`)
	for _, row := range t.Grid.Rows {
		p.add(`<tr>`)
		for i, cell := range row {
			text, class := cellText(cell), ""
			switch {
			case numbers[i]:
				class = ` class="num"`
			case len(text) <= nowrap:
				class = ` class="tight"`
			default:
				class = ` class="long"`
			}
			p.add(`<td`, class, `>`, esc(text), `</td>`)
		}
		p.add(`</tr>`)
	}
	p.add(`</tbody></table></div>`)
}

// numeric tells which columns hold numbers only, also as text; they are
// aligned to the right. Missing cells do not count.
func numeric(g engine.Grid) []bool {
	out := make([]bool, len(g.Columns))
	for i := range out {
		found := false
		for _, row := range g.Rows {
			switch v := row[i].(type) {
			case int, int64, float64:
				found = true
				continue
			case string:
				if v == "" || v == "nan" || v == "–" {
					continue
				}
				if _, err := strconv.ParseFloat(strings.TrimSuffix(strings.ReplaceAll(v, ",", ""), "%"), 64); err == nil {
					found = true
					continue
				}
			}
			found = false
			break
		}
		out[i] = found
	}
	return out
}

// nowrap is the length up to which a cell stays on one line.
const nowrap = 26

func cellText(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case float64:
		return short(v)
	case int:
		return format.Number(float64(v))
	case string:
		return format.Truncate(v, 160)
	default:
		return fmt.Sprint(v)
	}
}

func (p *page) sampled(o *engine.Outcome) {
	s := o.Sampled
	used, total := s.Train+s.Test, s.TrainTotal+s.TestTotal
	switch o.Which {
	case engine.Train:
		used, total = s.Train, s.TrainTotal
	case engine.Test:
		used, total = s.Test, s.TestTotal
	}
	if used < total {
		p.add(`<p class="soft">Computed on a sample of `, format.Number(float64(used)), ` of `, format.Number(float64(total)), ` rows; n_samples sets its size.</p>`)
	}
}

func (p *page) params(o *engine.Outcome) {
	fields := o.Args.Object(o.Def.Params)
	if len(fields) == 0 {
		return
	}
	p.add(`<details><summary>Parameters</summary><dl>`)
	for _, f := range fields {
		text := "null"
		if raw, err := marshal(f.Value); err == nil {
			text = string(raw)
		}
		p.add(`<dt><code>`, esc(f.Key), `</code></dt><dd><code>`, esc(text), `</code></dd>`)
	}
	p.add(`</dl></details>`)
}

func (p *page) notRun(r *engine.Report) {
	var rows []*engine.Outcome
	for i := range r.Outcomes {
		if r.Outcomes[i].Err != nil {
			rows = append(rows, &r.Outcomes[i])
		}
	}
	if len(rows) == 0 {
		return
	}
	p.add(`<section aria-labelledby="notrun"><h2 id="notrun">Checks that did not run</h2>`,
		`<div class="scroll" role="region" aria-labelledby="notrun" tabindex="0" style="background:var(--card)"><table><thead><tr>`,
		`<th>Status</th><th>Check</th><th>Data</th><th>Reason</th></tr></thead><tbody>`)
	for _, o := range rows {
		status := `<span class="pill mute">skipped</span>`
		reason := o.Err.Message
		if o.NotRun() {
			status = `<span class="pill error"><span aria-hidden="true">⁈</span> not run</span>`
			reason = string(o.Err.Class) + ": " + reason
		}
		p.add(`<tr><td class="tight">`, status, `</td><td>`, esc(o.Header), `</td><td>`, esc(string(o.Which)), `</td><td class="details">`, esc(reason), `</td></tr>`)
	}
	p.add(`</tbody></table></div></section>`)
}

// short renders a number on an axis or beside a bar.
func short(v float64) string {
	switch abs := math.Abs(v); {
	case math.IsNaN(v):
		return "–"
	case abs >= 1e6 || abs != 0 && abs < 1e-3:
		return fmt.Sprintf("%.3g", v)
	case abs >= 100:
		return format.Number(math.Round(v))
	default:
		return strings.TrimSuffix(strings.TrimRight(fmt.Sprintf("%.3f", v), "0"), ".")
	}
}
