package report

import (
	"fmt"
	"strconv"
	"strings"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/format"
)

// The bounds of what the page shows; the JSON report holds all.
const (
	mostRows    = 100
	mostColumns = 60
	mostDetails = 3000         // characters of a condition's details
	pageSize    = 1_850_000    // bytes; what comes after is left out
	plotSize    = 400_000      // bytes of one plot
	nowrap      = 26           // characters up to which a cell stays on one line
	wideTable   = 560.0        // width from which a table takes that of the page
	widePlot    = 420.0 + 1e-9 // width from which a plot does, and scrolls on narrow pages
)

// card is one check with its results: train beside test.
type card struct {
	id    string
	rank  int // the worst of its outcomes, as engine.Outcome.Priority
	group []*engine.Outcome
}

// cards groups what ran, the worst first.
func (p *page) cards() []card {
	var out []card
	at := make(map[string]int)
	used := map[string]int{}
	for _, o := range p.report.Ordered() {
		if o.Err != nil {
			continue
		}
		key := o.Suite + "\x00" + o.Segment + "\x00" + o.Def.ID + "\x00" + fmt.Sprint(o.Args)
		// A check that was asked for twice with the same arguments has two cards.
		if i, ok := at[key]; ok && len(out[i].group) == 1 && o.Which != "" && out[i].group[0].Which != o.Which {
			out[i].group = append(out[i].group, o)
			if out[i].group[0].Which == engine.Test {
				out[i].group[0], out[i].group[1] = out[i].group[1], out[i].group[0]
			}
			continue
		}
		id := "check-" + strings.Trim(strings.Join([]string{o.Suite, o.Def.ID}, "-"), "-")
		if used[id]++; used[id] > 1 {
			id += "-" + strconv.Itoa(used[id])
		}
		at[key] = len(out)
		out = append(out, card{id: id, rank: o.Priority(p.report.Mode), group: []*engine.Outcome{o}})
	}
	return out
}

// results writes the cards: checks with conditions, then those without.
func (p *page) results(cards []card) {
	for _, part := range []struct {
		id, title string
		plain     bool
	}{{"results", "Checks with conditions", false}, {"plain", "Checks without conditions", true}} {
		first := true
		for _, c := range cards {
			if (c.rank == 5) != part.plain {
				continue
			}
			if first {
				p.add(`<section aria-labelledby="`, part.id, `"><h2 id="`, part.id, `">`, part.title, `</h2>`)
				first = false
			}
			p.card(c)
		}
		if !first {
			p.add(`</section>`)
		}
	}
	if p.left > 0 {
		p.add(`<p class="soft">`, fmt.Sprint(p.left), ` tables and plots were left out to keep this page small; the JSON report holds all results.</p>`)
	}
}

func (p *page) card(c card) {
	o, b := c.group[0], rankBadge(c.rank)
	p.add(`<article class="card" id="`, esc(c.id), `" tabindex="-1" aria-labelledby="`, esc(c.id), `-h"><div class="cardhead"><h3 id="`, esc(c.id), `-h">`, esc(o.Header), `</h3>`)
	if c.rank < 5 {
		p.add(`<span class="pill `, b.class, `"><span aria-hidden="true">`, b.sign, `</span> `, b.word, `</span>`)
	}
	p.add(`</div><p class="soft">`, code(o.Def.Summary), `</p><div class="sides`)
	if len(c.group) == 1 || p.wide(c.group) {
		p.add(` one`)
	}
	p.add(`">`)
	for _, o := range c.group {
		p.add(`<div class="side">`)
		if o.Which != "" {
			p.add(`<h4 class="sidename">`, map[engine.Which]string{engine.Train: "Train", engine.Test: "Test"}[o.Which], `</h4>`)
		}
		p.judged(o)
		for _, n := range o.Notes {
			p.add(`<p class="note">`, esc(format.Truncate(n, mostDetails)), `</p>`)
		}
		p.displays(o)
		p.sampled(o)
		p.add(`</div>`)
	}
	p.add(`</div>`)
	p.method(o)
	p.add(`<p class="up"><a href="#top">Top<span class="vh"> of the page</span></a></p></article>`)
}

// code escapes a text in which `...` marks code.
func code(s string) string {
	parts := strings.Split(s, "`")
	if len(parts)%2 == 0 { // a lone mark is itself
		return esc(s)
	}
	var b strings.Builder
	for i, part := range parts {
		if i%2 == 1 {
			b.WriteString("<code>" + esc(part) + "</code>")
		} else {
			b.WriteString(esc(part))
		}
	}
	return b.String()
}

// judged is the table of an outcome's conditions.
func (p *page) judged(o *engine.Outcome) {
	if len(o.Conditions) == 0 {
		return
	}
	p.add(`<table class="conds"><thead class="vh"><tr><th scope="col">Status</th><th scope="col">Condition</th></tr></thead><tbody>`)
	for _, c := range o.Conditions {
		p.add(`<tr><td>`, pill(c.Verdict), `</td><td>`, esc(c.Name))
		if c.Details != "" {
			p.add(`<div class="details">`, esc(format.Truncate(c.Details, mostDetails)), `</div>`)
		}
		p.add(`</td></tr>`)
	}
	p.add(`</tbody></table>`)
}

// wide tells whether a result needs the whole width of the page.
func (p *page) wide(group []*engine.Outcome) bool {
	for _, o := range group {
		for _, d := range o.Result.Displays {
			switch d := d.(type) {
			case engine.TableView:
				if tableWidth(d.Grid) > wideTable {
					return true
				}
			case engine.Heatmap:
				if h := heatmap(d); h != nil && h.w > widePlot {
					return true
				}
			}
		}
	}
	return false
}

// tableWidth estimates the width that a table would like to have.
func tableWidth(g engine.Grid) float64 {
	total := 0.0
	for i, c := range g.Columns {
		w := textWidth(c)
		for _, row := range g.Rows[:min(len(g.Rows), 20)] {
			if i < len(row) {
				w = max(w, textWidth(cellText(row[i])))
			}
		}
		total += min(w, 240)*1.1 + 24
	}
	return total
}

func (p *page) displays(o *engine.Outcome) {
	if len(o.Result.Displays) == 0 {
		p.add(`<p class="soft">Nothing found.</p>`)
		return
	}
	inCharts := false
	for _, d := range o.Result.Displays {
		if p.b.Len() > pageSize {
			p.left++
			continue
		}
		picture := draw(d)
		narrow := picture != nil && picture.w <= widePlot
		if narrow != inCharts {
			p.add(map[bool]string{true: `<div class="charts">`, false: `</div>`}[narrow])
			inCharts = narrow
		}
		switch d := d.(type) {
		case engine.Note:
			p.add(`<p class="details">`, esc(format.Truncate(d.Text, mostDetails)), `</p>`)
		case engine.TableView:
			p.table(d)
		case engine.Gallery:
			p.gallery(d)
		default:
			p.figure(picture)
		}
	}
	if inCharts {
		p.add(`</div>`)
	}
}

// draw makes the picture of a display; nil for what is not one, or empty.
func draw(d engine.Display) *plot {
	switch d := d.(type) {
	case engine.Heatmap:
		return heatmap(d)
	case engine.LineChart:
		return lineChart(d)
	case engine.BarChart:
		return barChart(d)
	case engine.Histogram:
		return histogram(d)
	case engine.Scatter:
		return scatter(d)
	case engine.Gauge:
		return gauge(d)
	case engine.Shade:
		return shade(d)
	}
	return nil
}

func (p *page) figure(picture *plot) {
	if picture == nil {
		return
	}
	p.plots++
	svg := picture.svg("plot-" + strconv.Itoa(p.plots))
	if len(svg) > plotSize || p.b.Len()+len(svg) > pageSize {
		p.left++
		return
	}
	title := esc(format.Truncate(picture.title, 200))
	p.add(`<figure><figcaption>`, title, `</figcaption>`)
	if picture.w > widePlot {
		p.add(`<div class="scroll bare" role="region" tabindex="0" aria-label="`, title, `">`, svg, `</div>`)
	} else {
		p.add(svg)
	}
	p.add(picture.legendHTML())
	for _, n := range picture.notes {
		p.add(`<p class="soft">`, esc(n), `</p>`)
	}
	p.add(`</figure>`)
}

func (p *page) table(t engine.TableView) {
	columns, rows := t.Grid.Columns, t.Grid.Rows
	columns, rows = columns[:min(len(columns), mostColumns)], rows[:min(len(rows), mostRows)]
	numbers := numeric(engine.Grid{Columns: columns, Rows: rows})
	title := esc(format.Truncate(t.Title, 200))
	p.add(`<h4>`, title, `</h4>`)
	if len(rows) == 0 {
		p.add(`<p class="soft">No rows.</p>`)
		return
	}
	p.add(`<div class="scroll tall" role="region" tabindex="0" aria-label="`, title, `"><table class="sort"><thead><tr>`)
	for i, c := range columns {
		class := ""
		if numbers[i] {
			class = ` class="num"`
		}
		p.add(`<th scope="col"`, class, `>`, esc(format.Truncate(c, 60)), `</th>`)
	}
	p.add(`</tr></thead><tbody>`)
	for _, row := range rows {
		p.add(`<tr>`)
		for i, cell := range row[:min(len(row), len(columns))] {
			text, class := cellText(cell), ""
			switch {
			case numbers[i]:
				class = ` class="num"`
			case len([]rune(text)) <= nowrap:
				class = ` class="tight"`
			default:
				class = ` class="long"`
			}
			p.add(`<td`, class, `>`, esc(text), `</td>`)
		}
		p.add(`</tr>`)
	}
	p.add(`</tbody></table></div>`)
	if n := len(t.Grid.Rows); n > len(rows) {
		p.add(`<p class="soft">The first `, fmt.Sprint(len(rows)), ` of `, format.Number(float64(n)), ` rows.</p>`)
	}
	if n := len(t.Grid.Columns); n > len(columns) {
		p.add(`<p class="soft">The first `, fmt.Sprint(len(columns)), ` of `, format.Number(float64(n)), ` columns.</p>`)
	}
}

// numeric tells which columns hold numbers only, also as text; they are
// aligned to the right. Missing cells do not count.
func numeric(g engine.Grid) []bool {
	out := make([]bool, len(g.Columns))
	for i := range out {
		found := false
		for _, row := range g.Rows {
			if i >= len(row) || row[i] == nil {
				continue
			}
			number, blank := isNumber(row[i])
			if blank {
				continue
			}
			if found = number; !number {
				break
			}
		}
		out[i] = found
	}
	return out
}

func isNumber(v any) (number, blank bool) {
	switch v := v.(type) {
	case int, int64, float64:
		return true, false
	case string:
		if v == "" || v == "nan" || v == "–" {
			return false, true
		}
		_, err := strconv.ParseFloat(strings.TrimSuffix(strings.ReplaceAll(v, ",", ""), "%"), 64)
		return err == nil, false
	}
	return false, false
}

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
		return format.Truncate(fmt.Sprint(v), 160)
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
		p.add(`<p class="foot">Computed on a sample of `, format.Number(float64(used)), ` of `, format.Number(float64(total)), ` `, of(p.report), `; n_samples sets its size.</p>`)
	}
}

// method folds away how the result came about: formula and parameters.
func (p *page) method(o *engine.Outcome) {
	fields := o.Args.Object(o.Def.Params)
	if len(fields) == 0 && o.Def.Formula == "" {
		return
	}
	p.add(`<details class="method"><summary>How this was computed</summary>`)
	if o.Def.Formula != "" {
		p.add(`<p>`, code(o.Def.Formula), `</p>`)
	}
	if o.Def.Differs != "" && p.report.Mode == engine.Mended {
		p.add(`<p>Differs from deepchecks: `, code(o.Def.Differs), `</p>`)
	}
	if len(fields) > 0 {
		p.add(`<dl>`)
		for _, f := range fields {
			text := "null"
			if raw, err := marshal(f.Value); err == nil {
				text = format.Truncate(string(raw), 300)
			}
			p.add(`<dt><code>`, esc(f.Key), `</code></dt><dd><code>`, esc(text), `</code></dd>`)
		}
		p.add(`</dl>`)
	}
	p.add(`</details>`)
}
