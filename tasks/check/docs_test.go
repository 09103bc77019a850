package check_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"aloft/tasks/check"
	"aloft/tasks/check/engine"
	"aloft/tasks/check/format"
)

var update = flag.Bool("update", false, "rewrite the generated part of docs/suites.md")

// The generated part of docs/suites.md stands between these lines.
const (
	docsBegin = "<!-- checks: made from the code by `go test ./tasks/check -run TestDocs -update` -->\n"
	docsEnd   = "<!-- end of checks -->\n"
)

// TestDocs keeps the reference of checks in docs/suites.md what the code says.
func TestDocs(t *testing.T) {
	t.Parallel()
	path := filepath.Join("..", "..", "docs", "suites.md")
	src, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(src), docsBegin)
	_, after, ok2 := strings.Cut(rest, docsEnd)
	if !ok || !ok2 {
		t.Fatal("docs/suites.md lacks the marks of its generated part")
	}
	want := before + docsBegin + reference() + docsEnd + after
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if want != string(src) {
		t.Error("docs/suites.md is stale: go test ./tasks/check -run TestDocs -update")
	}
}

func reference() string {
	var b strings.Builder
	for _, suite := range []string{check.DataIntegrity, check.TrainTestValidation, check.ModelEvaluation} {
		fmt.Fprintf(&b, "\n## Suite `%s`\n", suite)
		for _, d := range check.SuiteChecks(suite) {
			scope := "once for each table"
			if d.Scope == engine.TrainTest {
				scope = "on train and test together"
			}
			if d.Predictions {
				scope += "; needs predictions"
			}
			fmt.Fprintf(&b, "\n### %s\n\n%s Runs %s.\n\n", d.ID, d.Summary, scope)
			if d.Formula != "" {
				fmt.Fprintf(&b, "%s\n\n", d.Formula)
			}
			if d.Differs != "" {
				fmt.Fprintf(&b, "Differs from deepchecks: %s\n\n", d.Differs)
			}
			params(&b, "", d.Params)
			for _, c := range d.Conditions {
				mark := ""
				for _, use := range d.Defaults {
					if use.ID == c.ID {
						mark = " (in suites)"
					}
				}
				fmt.Fprintf(&b, "- condition `%s`%s\n", c.ID, mark)
				params(&b, "  ", c.Params)
			}
		}
	}
	b.WriteByte('\n')
	return b.String()
}

func params(b *strings.Builder, indent string, list []engine.Param) {
	for _, p := range list {
		def := "null"
		switch v := p.Default.(type) {
		case string:
			def = v
		case float64:
			def = format.Param(v)
		case engine.Object:
			def = "{}"
		case nil:
			if p.Required {
				def = "required"
			}
		default:
			def = fmt.Sprint(v)
		}
		note := ""
		if p.Compat != nil {
			note = fmt.Sprintf(" (%v with compat deepchecks)", p.Compat)
		}
		if p.CompatOnly {
			note = " (compat deepchecks only)"
		}
		if len(p.Allowed) > 0 {
			note += " (" + strings.Join(p.Allowed, ", ") + ")"
		}
		fmt.Fprintf(b, "%s- `%s`: %s; default %s. %s%s.\n", indent, p.Name, p.Type, def, strings.ToUpper(p.Doc[:1])+p.Doc[1:], note)
	}
}
