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
	keep(t, "suites.md", reference(t))
}

// TestImageDocs keeps the reference of checks in docs/image-checks.md what the
// code says.
func TestImageDocs(t *testing.T) {
	t.Parallel()
	keep(t, "image-checks.md", sampleReference(t, check.Vision))
}

// TestTextDocs keeps the reference of checks in docs/text-checks.md what the
// code says.
func TestTextDocs(t *testing.T) {
	t.Parallel()
	keep(t, "text-checks.md", sampleReference(t, check.NLP))
}

// keep compares the generated part of a document with what it ought to be, or
// rewrites it.
func keep(t *testing.T, name, reference string) {
	t.Helper()
	path := filepath.Join("..", "..", "docs", name)
	src, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(src), docsBegin)
	_, after, ok2 := strings.Cut(rest, docsEnd)
	if !ok || !ok2 {
		t.Fatalf("docs/%s lacks the marks of its generated part", name)
	}
	want := before + docsBegin + reference + docsEnd + after
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if want != string(src) {
		t.Errorf("docs/%s is stale: go test ./tasks/check -run Docs -update", name)
	}
}

// sampleReference documents the checks of images or texts.
func sampleReference(t *testing.T, kind check.Kind) string {
	t.Helper()
	reg, err := kind.Registry()
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	done := make(map[string]bool)
	for _, suite := range []string{check.ModelEvaluation, check.TrainTestValidation, check.DataIntegrity} {
		fmt.Fprintf(&b, "\n## Suite `%s`\n", suite)
		for _, d := range kind.SuiteChecks(suite) {
			section(&b, d, nil)
			done[d.ID] = true
		}
	}
	b.WriteString("\n## Checks outside these suites\n")
	for _, d := range reg.All() {
		if d.Formula == "" {
			t.Errorf("the definition of %s does not say how its value is computed: set Formula", d.ID)
		}
		if !done[d.ID] {
			section(&b, d, nil)
		}
	}
	b.WriteByte('\n')
	return strings.ReplaceAll(b.String(), "once for each table", "once for each side")
}

func reference(t *testing.T) string {
	t.Helper()
	reg, err := check.Tabular.Registry()
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range reg.All() {
		if d.Formula == "" {
			t.Errorf("the definition of %s does not say how its value is computed: set Formula", d.ID)
		}
	}
	shown := examples(t, reg)
	var b strings.Builder
	done := make(map[string]bool)
	for _, suite := range []string{check.DataIntegrity, check.TrainTestValidation, check.ModelEvaluation} {
		fmt.Fprintf(&b, "\n## Suite `%s`\n", suite)
		for _, d := range check.Tabular.SuiteChecks(suite) {
			section(&b, d, shown)
			done[d.ID] = true
		}
	}
	b.WriteString("\n## Checks outside these suites\n")
	for _, d := range reg.All() {
		if !done[d.ID] {
			section(&b, d, shown)
		}
	}
	fmt.Fprintf(&b, "\n## Suite `%s`\n\n", check.ProductionSuite)
	b.WriteString("With its default parameters:\n\n")
	for _, d := range check.Tabular.SuiteChecks(check.ProductionSuite) {
		fmt.Fprintf(&b, "- [%s](#%s)\n", d.ID, strings.ToLower(d.ID))
	}
	b.WriteByte('\n')
	return b.String()
}

// section documents one check.
func section(b *strings.Builder, d *engine.Definition, shown map[string]string) {
	runs := map[engine.Scope]string{engine.SingleDataset: "once for each table", engine.TrainTest: "on train and test together", engine.ModelOnly: "on the model alone"}[d.Scope]
	if d.Predictions {
		runs += "; needs predictions"
	}
	fmt.Fprintf(b, "\n### %s\n\n%s Runs %s.\n\n", d.ID, d.Summary, runs)
	if d.Formula != "" {
		fmt.Fprintf(b, "%s\n\n", d.Formula)
	}
	if len(d.Former) > 0 {
		fmt.Fprintf(b, "Documents may also use its former name `%s`.\n\n", strings.Join(d.Former, "`, `"))
	}
	if d.Differs != "" {
		fmt.Fprintf(b, "Differs from deepchecks: %s\n\n", d.Differs)
	}
	params(b, "", d.Params)
	for _, c := range d.Conditions {
		mark := ""
		for _, use := range d.Defaults {
			if use.ID == c.ID {
				mark = " (in suites)"
			}
		}
		fmt.Fprintf(b, "- condition `%s`%s\n", c.ID, mark)
		params(b, "  ", c.Params)
	}
	if len(d.Params)+len(d.Conditions) > 0 {
		b.WriteByte('\n')
	}
	b.WriteString(shown[d.ID])
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
		case []any:
			def = strings.ReplaceAll(fmt.Sprint(v), " ", ", ")
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
