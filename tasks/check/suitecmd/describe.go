package suitecmd

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"aloft/tasks/check"
	"aloft/tasks/check/engine"
	"aloft/tasks/check/format"
	"aloft/tasks/check/nearest"
	"aloft/tasks/check/report"
)

// suiteEntry describes a suite.
type suiteEntry struct {
	Kind   check.Kind `json:"kind"`
	Name   string     `json:"name"`
	Checks []string   `json:"checks"`
}

// checkEntry describes a check.
type checkEntry struct {
	Check       string           `json:"check"`
	Kind        check.Kind       `json:"kind"`
	Name        string           `json:"name"`
	Header      string           `json:"header"`
	Summary     string           `json:"summary"`
	Scope       engine.Scope     `json:"scope"`
	Predictions bool             `json:"needs_predictions"`
	Suites      []string         `json:"suites"`
	Formula     string           `json:"formula,omitempty"`
	Differs     string           `json:"differs_from_deepchecks,omitempty"`
	Params      []paramEntry     `json:"params,omitempty"`
	Conditions  []conditionEntry `json:"conditions,omitempty"`
}

type conditionEntry struct {
	ID       string       `json:"id"`
	InSuites bool         `json:"in_suites"`
	Params   []paramEntry `json:"params"`
}

type paramEntry struct {
	Name       string   `json:"name"`
	Type       string   `json:"type"`
	Default    any      `json:"default"`
	Required   bool     `json:"required,omitempty"`
	Allowed    []string `json:"allowed,omitempty"`
	CompatOnly bool     `json:"compat_only,omitempty"`
	Compat     any      `json:"default_with_compat,omitempty"`
	Doc        string   `json:"doc"`
}

// Describe writes what may be named: all suites and checks, one line each, or
// everything there is to say about the check or suite that name is. The form
// is text, folded at width, or json.
func Describe(w io.Writer, name, form string, width int) error {
	if form != "" && form != "text" && form != "json" {
		return fmt.Errorf("a description is text or json, not %q", form)
	}
	t := &describer{width: max(width, 60)}
	if width == 0 {
		t.width = 100
	}
	out, err := t.describe(name)
	if err != nil {
		return err
	}
	text := t.b.String()
	if form == "json" {
		var raw bytes.Buffer
		enc := json.NewEncoder(&raw)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", " ")
		if err := enc.Encode(out); err != nil {
			return fmt.Errorf("describe checks: %w", err)
		}
		text = raw.String()
	}
	if _, err := io.WriteString(w, text); err != nil {
		return fmt.Errorf("describe checks: %w", err)
	}
	return nil
}

// describe writes what name is, and returns it for programs. Checks and suites
// of images and texts are named vision:NAME and nlp:NAME where there is one
// of tables with the name.
func (t *describer) describe(name string) (any, error) {
	all := struct {
		Suites []suiteEntry `json:"suites"`
		Checks []checkEntry `json:"checks"`
	}{}
	var known []string
	for _, kind := range check.Kinds() {
		reg, err := kind.Registry()
		if err != nil {
			return nil, fmt.Errorf("list checks: %w", err)
		}
		suites := suiteEntries(kind)
		plain, own := strings.CutPrefix(name, string(kind)+":")
		d, i := reg.Lookup(plain), slices.IndexFunc(suites, func(s suiteEntry) bool { return s.Name == plain })
		switch {
		case name == "":
			var checks []checkEntry
			for _, d := range reg.All() {
				checks = append(checks, brief(kind, d, suites))
			}
			t.list(kind, suites, checks)
			all.Suites, all.Checks = append(all.Suites, suites...), append(all.Checks, checks...)
		case d != nil:
			e := entry(kind, d, suites)
			t.check(e)
			return e, nil
		case i >= 0:
			var checks []checkEntry
			for _, id := range suites[i].Checks {
				checks = append(checks, brief(kind, reg.Lookup(id), suites))
			}
			t.suite(suites[i], checks)
			return map[string]any{"name": plain, "kind": kind, "checks": checks}, nil
		case own:
			return nil, fmt.Errorf("there is no check or suite %q%s; `--list` shows all", name, nearest.Hint(plain, slices.Concat(kind.SuiteNames(), reg.IDs())))
		}
		known = slices.Concat(known, kind.SuiteNames(), reg.IDs())
	}
	if name == "" {
		return all, nil
	}
	return nil, fmt.Errorf("there is no check or suite %q%s; `--list` shows all", name, nearest.Hint(name, known))
}

func suiteEntries(kind check.Kind) []suiteEntry {
	var out []suiteEntry
	for _, name := range kind.SuiteNames() {
		e := suiteEntry{Kind: kind, Name: name}
		for _, d := range kind.SuiteChecks(name) {
			e.Checks = append(e.Checks, d.ID)
		}
		out = append(out, e)
	}
	return out
}

func brief(kind check.Kind, d *engine.Definition, suites []suiteEntry) checkEntry {
	e := checkEntry{Kind: kind, Check: d.ID, Name: d.Name(), Header: d.Title(), Summary: d.Summary, Scope: d.Scope, Predictions: d.Predictions, Suites: []string{}}
	for _, s := range suites {
		if slices.Contains(s.Checks, d.ID) {
			e.Suites = append(e.Suites, s.Name)
		}
	}
	return e
}

func entry(kind check.Kind, d *engine.Definition, suites []suiteEntry) checkEntry {
	e := brief(kind, d, suites)
	e.Formula, e.Differs, e.Params = d.Formula, d.Differs, paramEntries(d.Params)
	for _, c := range d.Conditions {
		used := slices.ContainsFunc(d.Defaults, func(u engine.Use) bool { return u.ID == c.ID })
		e.Conditions = append(e.Conditions, conditionEntry{ID: c.ID, InSuites: used, Params: paramEntries(c.Params)})
	}
	return e
}

func paramEntries(params []engine.Param) []paramEntry {
	out := []paramEntry{}
	for _, p := range params {
		def := p.Default
		if o, ok := def.(engine.Object); ok {
			m := make(map[string]any, len(o))
			for _, f := range o {
				m[f.Key] = f.Value
			}
			def = m
		}
		out = append(out, paramEntry{Name: p.Name, Type: string(p.Type), Default: def, Required: p.Required, Allowed: p.Allowed, CompatOnly: p.CompatOnly, Compat: p.Compat, Doc: p.Doc})
	}
	return out
}

// describer writes descriptions for a terminal.
type describer struct {
	b     strings.Builder
	width int
}

// line writes text behind a lead, folded, its other lines indented.
func (t *describer) line(lead string, indent int, text string) {
	for i, l := range report.Fold(text, t.width-indent) {
		if i > 0 {
			lead = strings.Repeat(" ", indent)
		}
		t.b.WriteString(strings.TrimRight(lead+l, " ") + "\n")
	}
}

func (t *describer) list(kind check.Kind, suites []suiteEntry, checks []checkEntry) {
	of := map[check.Kind]string{check.Tabular: "TABLES", check.Vision: "IMAGES (kind: vision)", check.NLP: "TEXTS (kind: nlp)"}[kind]
	if t.b.Len() > 0 {
		t.b.WriteByte('\n')
	}
	t.b.WriteString("SUITES OF " + of + "\n")
	for _, s := range suites {
		t.line(fmt.Sprintf("  %-22s ", s.Name), 25, fmt.Sprintf("%d checks", len(s.Checks)))
	}
	t.b.WriteString("\nCHECKS OF " + of + "\n")
	t.checks(checks)
}

func (t *describer) checks(checks []checkEntry) {
	widest := 0
	for _, c := range checks {
		widest = max(widest, len(c.Check))
	}
	for _, c := range checks {
		t.line(fmt.Sprintf("  %-*s ", widest, c.Check), widest+3, c.Summary)
	}
}

func (t *describer) suite(s suiteEntry, checks []checkEntry) {
	fmt.Fprintf(&t.b, "%s\n\n", s.Name)
	t.checks(checks)
}

func (t *describer) check(c checkEntry) {
	fmt.Fprintf(&t.b, "%s\n\n", c.Check)
	t.line("  ", 2, c.Summary)
	runs := map[engine.Scope]string{engine.SingleDataset: map[check.Kind]string{check.Tabular: "once for each table", check.Vision: "once for each set of images", check.NLP: "once for each set of texts"}[c.Kind], engine.TrainTest: "on train and test together", engine.ModelOnly: "on the model alone"}[c.Scope]
	if c.Predictions {
		runs += "; needs predictions"
	}
	t.line("  runs     ", 11, runs)
	in := "no suite"
	if len(c.Suites) > 0 {
		in = strings.Join(c.Suites, ", ")
	}
	t.line("  part of  ", 11, in)
	if c.Formula != "" {
		t.b.WriteString("\nHOW\n")
		t.line("  ", 2, c.Formula)
	}
	if c.Differs != "" {
		t.b.WriteString("\nDIFFERS FROM DEEPCHECKS\n")
		t.line("  ", 2, c.Differs)
	}
	if len(c.Params) > 0 {
		t.b.WriteString("\nPARAMETERS\n")
		t.params("  ", c.Params)
	}
	if len(c.Conditions) > 0 {
		t.b.WriteString("\nCONDITIONS\n")
	}
	for _, cond := range c.Conditions {
		note := ""
		if cond.InSuites {
			note = "  (in suites)"
		}
		fmt.Fprintf(&t.b, "  %s%s\n", cond.ID, note)
		t.params("    ", cond.Params)
	}
}

func (t *describer) params(indent string, params []paramEntry) {
	for _, p := range params {
		text := p.Type + "; default " + defaultText(p)
		if p.Required {
			text = p.Type + "; required"
		}
		text += ". " + strings.ToUpper(p.Doc[:1]) + p.Doc[1:]
		if len(p.Allowed) > 0 {
			text += " (" + strings.Join(p.Allowed, ", ") + ")"
		}
		if p.Compat != nil {
			text += fmt.Sprintf(" (%v with compat deepchecks)", p.Compat)
		}
		if p.CompatOnly {
			text += " (compat deepchecks only)"
		}
		t.line(indent+p.Name+"  ", len(indent)+4, text)
	}
}

func defaultText(p paramEntry) string {
	switch v := p.Default.(type) {
	case nil:
		return "null"
	case float64:
		return format.Param(v)
	case map[string]any, []any:
		raw, err := json.Marshal(v)
		if err != nil {
			return "{}"
		}
		return string(raw)
	default:
		return fmt.Sprint(v)
	}
}
