package contract_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"aloft/controller/forge"
	"aloft/controller/forge/comment"
	"aloft/controller/forge/render"
)

// TestReportFits cuts a report that is too long for a forge: what failed is there first, rows are whole, whatever was opened
// is closed, and the run's page is named.
func TestReportFits(t *testing.T) {
	t.Parallel()
	type condition struct {
		Name     string `json:"name"`
		Category string `json:"category"`
		Details  string `json:"details"`
	}
	type check struct {
		Check      string      `json:"check"`
		Name       string      `json:"name"`
		Header     string      `json:"header"`
		Status     string      `json:"status"`
		Conditions []condition `json:"conditions"`
	}
	var checks []check
	for i := range 400 {
		c := check{Check: "drift", Name: fmt.Sprintf("Drift %d", i), Header: "Drift", Status: "ok"}
		for j, category := range []string{"PASS", "WARN", "FAIL"} {
			c.Conditions = append(c.Conditions, condition{fmt.Sprintf("below %d", j), category, strings.Repeat("`x|` <details> ", 20)})
		}
		checks = append(checks, c)
	}
	doc, err := json.Marshal(map[string]any{"format": 1, "suite": "gate", "passed": false, "checks": checks})
	if err != nil {
		t.Fatal(err)
	}
	s, err := render.ParseSuite(doc)
	if err != nil {
		t.Fatal(err)
	}
	text := render.Markdown(&render.Report{Suites: []render.Suite{s}, RunURL: "https://ci.example/run/9", Run: 9, Reproduce: "sky test"})
	for _, most := range []int{700, 2_000, 10_000, forge.Bitbucket.Limit(), forge.GitHub.Limit(), 1 << 30} {
		got, cut := comment.Shorten(text, most, "https://ci.example/run/9")
		if len([]rune(got)) > most || cut != (len([]rune(text)) > most) || !strings.HasPrefix(got, "## ❌ gate") || cut && !strings.Contains(got, "](https://ci.example/run/9)") {
			t.Errorf("at most %d: %d characters, cut %v:\n%.300s", most, len([]rune(got)), cut, got)
		}
		if failed, passed := strings.Index(got, "| ❌ |"), strings.Index(got, "| ✅ |"); most >= 2_000 && (failed < 0 || passed >= 0 && passed < failed) {
			t.Errorf("at most %d: failures are not first", most)
		}
		if strings.Count(got, "<details>") != strings.Count(got, "</details>") || strings.Count(got, "\n```")%2 != 0 {
			t.Errorf("at most %d: something is left open", most)
		}
		for _, line := range strings.Split(got, "\n") {
			if strings.HasPrefix(line, "|") && !strings.HasSuffix(line, "|") {
				t.Errorf("at most %d: half a row: %q", most, line)
			}
		}
	}
}
