package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/format"
)

// moreInfo is where deepchecks cuts the details of a condition.
const moreInfo = 3000

// Deepchecks writes the report in deepchecks' own structure of results, so
// that what reads those reads ours: SuiteResult, CheckResult and CheckFailure
// with their keys, in deepchecks' order. Where its writer leaks types or
// invalid JSON, ours has plain numbers and null. Keys of ours come after
// theirs: schema, dataset, kind, class, notes, sampling, duration_ms, table,
// passed and counts.
func Deepchecks(w io.Writer, r *engine.Report) error {
	compact, err := marshal(suiteResult(r))
	if err != nil {
		return fmt.Errorf("write deepchecks JSON report: %w", err)
	}
	var out bytes.Buffer
	if err := json.Indent(&out, compact, "", " "); err != nil {
		return fmt.Errorf("write deepchecks JSON report: %w", err)
	}
	out.WriteByte('\n')
	if _, err := w.Write(out.Bytes()); err != nil {
		return fmt.Errorf("write deepchecks JSON report: %w", err)
	}
	return nil
}

func suiteResult(r *engine.Report) engine.Object {
	results := []any{}
	if r.Err != nil { // deepchecks raises here; a reader gets the reason as the only result
		results = append(results, engine.Object{
			{Key: "type", Value: "CheckFailure"}, {Key: "header", Value: "Suite"},
			{Key: "check", Value: engine.Object{{Key: "name", Value: "Suite"}, {Key: "params", Value: engine.Object{}}, {Key: "summary", Value: ""}}},
			{Key: "exception", Value: r.Err.Message}, {Key: "kind", Value: string(r.Err.Cause)}, {Key: "class", Value: string(r.Err.Class)},
		})
	}
	for _, o := range r.Ordered() {
		if o.Err != nil {
			results = append(results, checkFailure(r, o))
		} else {
			results = append(results, checkResult(r, o))
		}
	}
	n := r.Counts()
	out := engine.Object{
		{Key: "name", Value: suiteTitle(r.Suite)},
		{Key: "results", Value: results},
		{Key: "type", Value: "SuiteResult"},
		{Key: "schema", Value: 1},
		{Key: "passed", Value: r.Passed()},
		{Key: "counts", Value: engine.Object{
			{Key: "pass", Value: n.Pass}, {Key: "warn", Value: n.Warn}, {Key: "fail", Value: n.Fail}, {Key: "error", Value: n.Error}, {Key: "not_run", Value: n.NotRun},
		}},
	}
	if r.Baseline != nil {
		out = append(out, engine.Field{Key: "baseline", Value: clean(baselineObject(r.Baseline))})
	}
	return out
}

// suiteTitle is the name of a suite as deepchecks writes it: "Full Suite".
func suiteTitle(name string) string {
	words := strings.Fields(strings.ReplaceAll(name, "_", " "))
	for i, w := range words {
		words[i] = strings.ToUpper(w[:1]) + w[1:]
	}
	title := strings.Join(words, " ")
	if !strings.HasSuffix(title, "Suite") {
		title += " Suite"
	}
	return title
}

func checkObject(o *engine.Outcome) engine.Object {
	return engine.Object{
		{Key: "name", Value: o.Def.Name()},
		{Key: "params", Value: o.Args.Object(o.Def.Params)},
		{Key: "summary", Value: o.Def.Summary},
	}
}

// sideHeader is the header with the name of the table, where there are two.
func sideHeader(r *engine.Report, o *engine.Outcome, header string) string {
	if r.Test == nil || o.Which == "" {
		return header
	}
	return header + " - " + sideTitle(o.Which) + " Dataset"
}

func sideTitle(w engine.Which) string {
	return map[engine.Which]string{engine.Train: "Train", engine.Test: "Test"}[w]
}

func checkFailure(r *engine.Report, o *engine.Outcome) engine.Object {
	return engine.Object{
		{Key: "header", Value: sideHeader(r, o, o.Def.Name())},
		{Key: "type", Value: "CheckFailure"},
		{Key: "check", Value: checkObject(o)},
		{Key: "exception", Value: o.Err.Message},
		{Key: "dataset", Value: orNull(sideTitle(o.Which))},
		{Key: "kind", Value: string(o.Err.Cause)},
		{Key: "class", Value: string(o.Err.Class)},
		{Key: "notes", Value: list(o.Notes)},
	}
}

func checkResult(r *engine.Report, o *engine.Outcome) engine.Object {
	judged := slices.Clone(o.Conditions)
	slices.SortStableFunc(judged, func(a, b engine.Judged) int { return a.Verdict.Rank() - b.Verdict.Rank() })
	conditions := make([]any, len(judged))
	for i, c := range judged {
		conditions[i] = engine.Object{{Key: "Status", Value: string(c.Verdict)}, {Key: "Condition", Value: c.Name}, {Key: "More Info", Value: format.Truncate(c.Details, moreInfo)}}
	}
	value := o.Result.Value.Encode()
	s := o.Sampled
	out := engine.Object{
		{Key: "type", Value: "CheckResult"},
		{Key: "check", Value: checkObject(o)},
		{Key: "header", Value: sideHeader(r, o, o.Header)},
		{Key: "value", Value: clean(value)},
		{Key: "conditions_results", Value: conditions},
		{Key: "display", Value: displayList(o.Result.Displays)},
		{Key: "dataset", Value: orNull(sideTitle(o.Which))},
		{Key: "notes", Value: list(o.Notes)},
		{Key: "sampling", Value: engine.Object{
			{Key: "train", Value: engine.Object{{Key: "used", Value: s.Train}, {Key: "total", Value: s.TrainTotal}}},
			{Key: "test", Value: engine.Object{{Key: "used", Value: s.Test}, {Key: "total", Value: s.TestTotal}}},
			{Key: "seed", Value: int64(r.Seed)},
		}},
	}
	if !r.Started.IsZero() {
		out = append(out, engine.Field{Key: "duration_ms", Value: o.Elapsed.Milliseconds()})
	}
	if g, ok := value.(engine.Grid); ok {
		// Their writer turns a table into the text of its records and loses
		// the names of its rows: value is that, and table has all.
		if text, err := marshal(clean(g)); err == nil {
			for i := range out {
				if out[i].Key == "value" {
					out[i].Value = string(text)
				}
			}
		}
		out = append(out, engine.Field{Key: "table", Value: wholeTable(g)})
	}
	return out
}

// clean turns what only our own form has into plain JSON: NaN and infinities
// are null, tables lists of records, series mappings.
func clean(v any) any {
	switch v := v.(type) {
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil
		}
		return v
	case engine.Object:
		out := make(engine.Object, 0, len(v))
		if kind, ok := v.Get("__type__").(string); ok && kind == "set" {
			return clean(v.Get("items"))
		}
		for _, f := range v {
			out = append(out, engine.Field{Key: f.Key, Value: clean(f.Value)})
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = clean(e)
		}
		return out
	case engine.Grid:
		return records(v)
	case engine.Series:
		out := make(engine.Object, 0, len(v.Values))
		for i, e := range v.Values {
			out = append(out, engine.Field{Key: v.Index[i], Value: clean(e)})
		}
		return out
	}
	return v
}

// records are the rows of a table as objects.
func records(g engine.Grid) []any {
	out := make([]any, len(g.Rows))
	for i, row := range g.Rows {
		record := make(engine.Object, 0, len(row))
		for k, cell := range row[:min(len(row), len(g.Columns))] {
			record = append(record, engine.Field{Key: g.Columns[k], Value: clean(cell)})
		}
		out[i] = record
	}
	return out
}

func wholeTable(g engine.Grid) engine.Object {
	rows := make([]any, len(g.Rows))
	index := make([]any, len(g.Rows))
	for i, row := range g.Rows {
		rows[i] = clean(slices.Clone(row))
		index[i] = i
		if i < len(g.Index) {
			index[i] = clean(g.Index[i])
		}
	}
	return engine.Object{{Key: "columns", Value: list(g.Columns)}, {Key: "rows", Value: rows}, {Key: "index", Value: index}}
}

// displayList are the displays as deepchecks' readers show them: tables as
// records, notes and plots as HTML that needs nothing else. Null for none.
func displayList(displays []engine.Display) any {
	if len(displays) == 0 {
		return nil
	}
	out := []any{}
	item := func(kind string, payload any) {
		out = append(out, engine.Object{{Key: "type", Value: kind}, {Key: "payload", Value: payload}})
	}
	for i, d := range displays {
		switch d := d.(type) {
		case engine.Note:
			item("html", "<p>"+esc(d.Text)+"</p>")
		case engine.TableView:
			item("html", "<h5>"+esc(d.Title)+"</h5>")
			g := d.Grid
			g.Rows = g.Rows[:min(len(g.Rows), mostRows)]
			item("dataframe", records(g))
		case engine.Gallery:
			if markup, legend, _ := galleryHTML(d, plotSize); markup != "" {
				item("html", "<style>"+themeStyle+plotStyle+"</style><h5>"+esc(d.Title)+`</h5><ul class="gallery">`+markup+"</ul>"+legend)
			}
		default:
			if picture := draw(d); picture != nil {
				item("html", "<style>"+themeStyle+plotStyle+"</style><figure><figcaption>"+esc(picture.title)+"</figcaption>"+
					picture.svg(fmt.Sprintf("display-%d", i))+picture.legendHTML()+"</figure>")
			}
		}
	}
	return out
}
