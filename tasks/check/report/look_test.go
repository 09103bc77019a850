package report_test

import (
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/report"
)

//go:embed testdata/look.js
var look string

// pages writes the reports that are looked at and returns their files.
func pages(t *testing.T) (names []string, files map[string]string) {
	t.Helper()
	dir := t.TempDir()
	files = make(map[string]string)
	refused := sample()
	refused.Outcomes, refused.Err = nil, engine.Errorf(engine.DatasetValidation, "the tables %s differ", strings.Repeat("very", 100))
	for _, p := range []struct {
		name string
		r    *engine.Report
	}{{"gallery", gallery()}, {"vision", visionReport(t)}, {"hostile", hostile()}, {"hundred", hundred()}, {"real", realReport(t)}, {"columns", realHundred(t)}, {"empty", &engine.Report{Kind: "tabular", Name: "nothing", Suite: "none"}}, {"refused", refused}} {
		names = append(names, p.name)
		files[p.name] = filepath.Join(dir, p.name+".html")
		if err := os.WriteFile(files[p.name], []byte(render(t, p.r, report.HTML)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return names, files
}

// TestInBrowser opens reports in a browser as readers do.
func TestInBrowser(t *testing.T) {
	t.Parallel()
	b := newBrowser(t)
	names, files := pages(t)
	t.Run("look", func(t *testing.T) { looks(t, b, names, files) })
	t.Run("keyboard", func(t *testing.T) { keyboard(t, b, files["gallery"]) })
	t.Run("paper", func(t *testing.T) { printed(t, b, files["gallery"]) })
	t.Run("filter and sort", func(t *testing.T) { filterAndSort(t, b, files["gallery"]) })
}

// looks renders reports narrow and wide, light and dark, and wants nothing
// cut, nothing on top of each other and every text readable.
func looks(t *testing.T, b *browser, names []string, files map[string]string) {
	b.t = t
	for _, name := range names {
		for i, at := range []struct {
			theme string
			width int
		}{{"light", 400}, {"dark", 1400}, {"dark", 400}, {"light", 1400}, {"light", 760}} {
			if i > 1 && name != "gallery" && name != "vision" || i == 1 && name == "hundred" || i == 0 && name == "columns" {
				continue // the style is the same
			}
			b.open(files[name], at.width, at.theme)
			b.eval(`for (const d of document.querySelectorAll("details")) d.open = true`, nil)
			var wrong []string
			b.eval(look, &wrong)
			for _, w := range wrong {
				t.Errorf("%s, %s, %d px: %s", name, at.theme, at.width, w)
			}
			b.shoot(fmt.Sprintf("%s-%s-%d", name, at.theme, at.width))
		}
	}
}

// printed holds the page against the same rules on paper, where it is light
// whatever the screen prefers.
func printed(t *testing.T, b *browser, file string) {
	b.t = t
	b.open(file, 760, "dark")
	b.do("Emulation.setEmulatedMedia", map[string]any{"media": "print", "features": []map[string]string{{"name": "prefers-color-scheme", "value": "dark"}}}, nil)
	var wrong []string
	b.eval(look, &wrong)
	for _, w := range wrong {
		t.Errorf("on paper: %s", w)
	}
	var ground, ink string
	b.eval(`getComputedStyle(document.body).backgroundColor`, &ground)
	b.eval(`getComputedStyle(document.querySelector("h1")).color`, &ink)
	if ground != "rgb(255, 255, 255)" || ink != "rgb(22, 32, 44)" {
		t.Errorf("on paper: ink %s on %s", ink, ground)
	}
	b.shoot("paper")
}

// TestPagesAreSmall bounds the page of a full suite on a hundred columns.
func TestPagesAreSmall(t *testing.T) {
	t.Parallel()
	for _, r := range []*engine.Report{gallery(), hostile(), hundred(), realHundred(t)} {
		if n := len(render(t, r, report.HTML)); n > 2_000_000 {
			t.Errorf("%s: the page has %d bytes", r.Name, n)
		} else {
			t.Logf("%.10s: %d bytes", r.Name, n)
		}
	}
}

// keyboard walks through a report by the tab key: the way to skip the
// contents comes first, then everything in its order, each with a visible
// focus.
func keyboard(t *testing.T, b *browser, file string) {
	b.t = t
	for _, width := range []int{400, 1400} {
		b.open(file, width, "light")
		b.eval(`window.last = document.body; window.order = []; document.body.focus()`, nil)
		reached := make(map[string]bool)
		for i := range 600 {
			b.key("Tab", 9)
			var at struct {
				What    string
				Forward bool
				Seen    bool
			}
			b.eval(`(() => { const e = document.activeElement, s = getComputedStyle(e);
				const seen = s.outlineStyle !== "none" || (e.type === "radio" && getComputedStyle(e.nextElementSibling).outlineStyle !== "none");
				const forward = e === document.body || !!(window.last.compareDocumentPosition(e) & (Node.DOCUMENT_POSITION_FOLLOWING | Node.DOCUMENT_POSITION_CONTAINED_BY));
				window.last = e;
				return {what: e === document.body ? "" : e.getAttribute("href") || (e.id ? "#" + e.id : "") || e.getAttribute("aria-label") || e.tagName, forward, seen}; })()`, &at)
			if at.What == "" {
				break
			}
			if i == 0 && at.What != "#main" {
				t.Errorf("width %d: the first stop is %s, not the way to skip", width, at.What)
			}
			if !at.Forward {
				t.Errorf("width %d: the focus goes back at %s", width, at.What)
			}
			if !at.Seen {
				t.Errorf("width %d: the focus on %s cannot be seen", width, at.What)
			}
			reached[at.What] = true
		}
		var wanted []string
		b.eval(`[...document.querySelectorAll("h2[id], article[id]")].filter(e => e.id !== "results" && e.id !== "plain").map(e => "#" + e.id)`, &wanted)
		if len(wanted) < 8 {
			t.Errorf("the page has only the sections %v", wanted)
		}
		for _, w := range wanted {
			if !reached[w] {
				t.Errorf("width %d: the tab key reaches no link to %s", width, w)
			}
		}
		for _, w := range []string{"SUMMARY", "BUTTON", "#search", "#top"} {
			if !reached[w] {
				t.Errorf("width %d: the tab key does not reach %s", width, w)
			}
		}
		b.open(file, width, "light")
		b.key("Tab", 9)
		b.key("Enter", 13)
		var main bool
		b.eval(`document.activeElement.id === "main"`, &main)
		if !main {
			t.Errorf("width %d: skipping does not lead to the results", width)
		}
	}
}

// filterAndSort uses the conditions as a reader does, with and without
// scripts.
func filterAndSort(t *testing.T, b *browser, file string) {
	b.t = t
	const shown = `[...document.querySelectorAll("#conditions-table tbody tr")].filter(r => r.checkVisibility()).map(r => r.className.match(/is-(\w+)/)[1])`
	src, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	quiet := filepath.Join(t.TempDir(), "quiet.html")
	start, end := strings.Index(string(src), "<script>"), strings.Index(string(src), "</script>")
	if err := os.WriteFile(quiet, []byte(string(src[:start])+string(src[end:])), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, page := range map[string]string{"with script": file, "without": quiet} {
		b.open(page, 1400, "light")
		var all, failed, passed []string
		b.eval(shown, &all)
		b.eval(`document.querySelector("label[for=show-fail]").click()`, nil)
		b.eval(shown, &failed)
		b.eval(`document.querySelector("label[for=show-pass]").click()`, nil)
		b.eval(shown, &passed)
		if len(failed) == 0 || len(passed) == 0 || len(failed)+len(passed) >= len(all) || failed[0] != "fail" || passed[0] != "pass" {
			t.Errorf("%s: %d conditions, %v failed, %v passed", name, len(all), failed, passed)
		}
	}
	var search, buttons bool
	b.open(quiet, 1400, "light")
	b.eval(`document.querySelector(".search").checkVisibility()`, &search)
	b.eval(`document.querySelector("button") !== null`, &buttons)
	if search || buttons {
		t.Error("without scripts there are controls that do nothing")
	}
	b.open(file, 1400, "light")
	var first, last []string
	b.eval(`document.querySelector("#conditions-table th:nth-child(2) button").click()`, nil)
	b.eval(`[...document.querySelectorAll("#conditions-table tbody td:nth-child(2)")].map(c => c.textContent)`, &first)
	b.eval(`document.querySelector("#conditions-table th:nth-child(2) button").click()`, nil)
	b.eval(`[...document.querySelectorAll("#conditions-table tbody td:nth-child(2)")].map(c => c.textContent)`, &last)
	for i := range first[1:] {
		if first[i] > first[i+1] || last[i] < last[i+1] {
			t.Errorf("not sorted: %v %v", first, last)
		}
	}
	b.eval(`(() => { const s = document.getElementById("search"); s.value = "`+first[0]+`"; s.dispatchEvent(new Event("input")); })()`, nil)
	var found []string
	b.eval(shown, &found)
	if len(found) == 0 || len(found) >= len(first) {
		t.Errorf("the search finds %d of %d", len(found), len(first))
	}
}
