package report

import (
	"fmt"
	"strings"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/format"
)

// mostFaults bounds the samples told of one by one.
const mostFaults = 50

// fault is a sample that could not be used, or (without an ID) what ended the
// reading of a side.
type fault struct {
	which   engine.Which
	id      string
	message string
}

// faults lists what could not be used, and how many more there are.
func faults(r *engine.Report) (list []fault, left int) {
	for _, s := range []struct {
		which engine.Which
		shape *engine.Shape
	}{{engine.Train, &r.Train}, {engine.Test, r.Test}} {
		if s.shape == nil {
			continue
		}
		if s.shape.Partial != "" {
			list = append(list, fault{s.which, "", fmt.Sprintf("Reading ended after %s samples, before the data did: the results are of a part.\n%s", format.Number(float64(s.shape.Rows)), s.shape.Partial)})
		}
		for _, f := range s.shape.Faults {
			if len(list) >= mostFaults {
				left++
				continue
			}
			list = append(list, fault{s.which, f.ID, f.Message})
		}
	}
	return list, left
}

// title is where the fault is.
func (f fault) title() string {
	if f.id == "" {
		return string(f.which)
	}
	return string(f.which) + ": " + format.Truncate(f.id, 200)
}

// faults is the section of samples that could not be used.
func (p *page) faults() {
	list, left := faults(p.report)
	if len(list) == 0 {
		return
	}
	p.add(`<section aria-labelledby="faults"><h2 id="faults">Samples that could not be used</h2><div class="scroll ground" role="region" tabindex="0" aria-label="Samples that could not be used"><table class="stack"><thead><tr><th scope="col">Data</th><th scope="col">Sample</th><th scope="col">Reason</th></tr></thead><tbody>`)
	for _, f := range list {
		p.add(`<tr><td>`, esc(string(f.which)), `</td><td>`, esc(orText(format.Truncate(f.id, 300), "all")), `</td><td class="long details">`, esc(format.Truncate(f.message, mostDetails)), `</td></tr>`)
	}
	p.add(`</tbody></table></div>`)
	if left > 0 {
		p.add(`<p class="soft">and `, fmt.Sprint(left), ` more</p>`)
	}
	p.add(`</section>`)
}

func (t *textWriter) faults(r *engine.Report) {
	list, left := faults(r)
	if len(list) == 0 {
		return
	}
	t.b.WriteString("\nSamples that could not be used\n")
	for _, f := range list {
		lines := strings.Split(format.Truncate(f.message, mostDetails), "\n")
		t.column("  "+t.paint(red, "✖")+" ", 4, f.title()+": "+lines[0], "")
		for _, l := range lines[1:] { // a traceback keeps its form
			t.b.WriteString(strings.TrimRight("    "+cut(strings.Map(visible, l), t.width-4), " ") + "\n")
		}
	}
	if left > 0 {
		fmt.Fprintf(&t.b, "    and %d more\n", left)
	}
}

func faultsMarkdown(r *engine.Report) string {
	list, left := faults(r)
	if len(list) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString("\n**Samples that could not be used**\n\n")
	for _, f := range list[:min(len(list), markdownRows)] {
		fmt.Fprintf(&b, "- %s: %s\n", md(f.title()), md(format.Truncate(f.message, mostCell)))
	}
	if more := left + max(len(list)-markdownRows, 0); more > 0 {
		fmt.Fprintf(&b, "- and %d more\n", more)
	}
	return b.String()
}

// faultsSuite are the faults as a test suite of JUnit; nil without any.
func faultsSuite(r *engine.Report) *junitSuite {
	list, left := faults(r)
	if len(list) == 0 {
		return nil
	}
	s := &junitSuite{Name: "data"}
	for _, f := range list {
		s.Cases = append(s.Cases, junitCase{Class: "data", Name: f.title(), Time: "0", Error: &junitDetail{Type: string(engine.DatasetValidation), Message: format.Truncate(f.message, mostDetails)}})
	}
	if left > 0 {
		s.Cases = append(s.Cases, junitCase{Class: "data", Name: fmt.Sprintf("%d more", left), Time: "0", Error: &junitDetail{Type: string(engine.DatasetValidation), Message: "samples that could not be used"}})
	}
	return s
}

// faultsObject is the JSON form of the faults of one side.
func faultsObject(s *engine.Shape) any {
	out := make([]any, 0, len(s.Faults))
	for _, f := range s.Faults[:min(len(s.Faults), 1000)] {
		out = append(out, engine.Object{{Key: "id", Value: f.ID}, {Key: "message", Value: f.Message}})
	}
	return engine.Object{{Key: "count", Value: len(s.Faults)}, {Key: "samples", Value: out}, {Key: "partial", Value: orNull(s.Partial)}}
}

// of names what the data consist of: rows, images or texts.
func of(r *engine.Report) string {
	switch r.Kind {
	case engine.KindVision:
		return "images"
	case engine.KindNLP:
		return "texts"
	}
	return "rows"
}
