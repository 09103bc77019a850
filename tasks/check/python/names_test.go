package python_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"aloft/tasks/check"
	"aloft/tasks/check/engine"
)

var update = flag.Bool("update", false, "write the generated files anew")

// literal writes a value as Python does.
func literal(t *testing.T, v any) string {
	t.Helper()
	switch v := v.(type) {
	case nil:
		return "None"
	case bool:
		return map[bool]string{true: "True", false: "False"}[v]
	case engine.Object:
		var parts []string
		for _, f := range v {
			parts = append(parts, fmt.Sprintf("%q: %s", f.Key, literal(t, f.Value)))
		}
		return "{" + strings.Join(parts, ", ") + "}"
	case []string:
		var parts []string
		for _, s := range v {
			parts = append(parts, fmt.Sprintf("%q", s))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	}
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func params(t *testing.T, list []engine.Param) string {
	t.Helper()
	var parts []string
	for _, p := range list {
		def := literal(t, p.Default)
		if p.Required {
			def = "REQUIRED"
		}
		parts = append(parts, fmt.Sprintf("(%q, %s)", p.Name, def))
	}
	return "[" + strings.Join(parts, ", ") + "]"
}

// TestNames keeps the list of checks in Python at that of the engine.
func TestNames(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	b.WriteString(`"""The checks that the engine has, with their parameters and conditions. Generated from the engine: go test ./tasks/check/python -update."""

REQUIRED = object()

# Conditions that every check has.
GENERIC = {
`)
	for _, c := range engine.GenericConditions() {
		fmt.Fprintf(&b, "    %q: %s,\n", c.ID, params(t, c.Params))
	}
	b.WriteString(`}

# kind: {check: (summary, scope, parameters, {condition: parameters}, conditions of suites)}
CHECKS = {
`)
	for _, kind := range check.Kinds() {
		reg, err := kind.Registry()
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "    %q: {\n", kind)
		for _, d := range reg.All() {
			fmt.Fprintf(&b, "        %q: (%q, %q, %s, {", d.ID, d.Summary, d.Scope, params(t, d.Params))
			for i, c := range d.Conditions {
				if i > 0 {
					b.WriteString(", ")
				}
				fmt.Fprintf(&b, "%q: %s", c.ID, params(t, c.Params))
			}
			b.WriteString("}, [")
			for i, u := range d.Defaults {
				if i > 0 {
					b.WriteString(", ")
				}
				args := "{}"
				if len(u.Args) > 0 {
					args = literal(t, u.Args)
				}
				fmt.Fprintf(&b, "(%q, %s)", u.ID, args)
			}
			b.WriteString("]),\n")
		}
		b.WriteString("    },\n")
	}
	b.WriteString("}\n\nSUITES = {\n")
	for _, kind := range check.Kinds() {
		fmt.Fprintf(&b, "    %q: {\n", kind)
		for _, name := range kind.SuiteNames() {
			var ids []string
			for _, d := range kind.SuiteChecks(name) {
				ids = append(ids, d.ID)
			}
			fmt.Fprintf(&b, "        %q: %s,\n", name, literal(t, ids))
		}
		b.WriteString("    },\n")
	}
	b.WriteString("}\n")
	path := filepath.Join("aloft_checks", "_names.py")
	if *update {
		if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(have, b.Bytes()) {
		t.Errorf("%s is not what the engine has: go test ./tasks/check/python -update (%v)", path, err)
	}
}
