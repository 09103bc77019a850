package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

var update = flag.Bool("update", false, "rewrite the generated documents")

// golden compares a generated document with the one in docs/.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("..", "..", "docs", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("docs/%s is stale: go test ./cmd/sky -run TestDocs -update", name)
	}
}

// TestDocsCLI keeps docs/cli.md what the code says.
func TestDocsCLI(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString("# Command line\n\nMade from the code by `go test ./cmd/sky -run TestDocs -update`. Exit codes: [exit-codes.md](exit-codes.md). ")
	b.WriteString("JSON output: [json.md](json.md).\n\n")
	root := newRoot(&app{out: &bytes.Buffer{}, errOut: &bytes.Buffer{}, getenv: func(string) (string, bool) { return "", false }})
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		if c.Hidden || c.Name() == "help" || c.Name() == "completion" {
			return
		}
		if c != root {
			fmt.Fprintf(&b, "## `%s`\n\n", c.CommandPath())
			text := c.Long
			if text == "" {
				text = c.Short + "."
			}
			fmt.Fprintf(&b, "%s\n\n```\n%s\n```\n\n", text, c.UseLine())
			if c.Example != "" {
				fmt.Fprintf(&b, "```\n%s\n```\n\n", c.Example)
			}
			var rows []string
			c.LocalFlags().VisitAll(func(f *pflag.Flag) {
				if f.Hidden || f.Name == "help" {
					return
				}
				name := "--" + f.Name
				if f.Shorthand != "" {
					name = "-" + f.Shorthand + ", " + name
				}
				if f.Value.Type() != "bool" {
					name += " " + strings.ToUpper(f.Value.Type())
				}
				rows = append(rows, fmt.Sprintf("| `%s` | %s |", name, strings.ReplaceAll(f.Usage, "|", "\\|")))
			})
			if len(rows) > 0 {
				b.WriteString("| flag | meaning |\n|---|---|\n" + strings.Join(rows, "\n") + "\n\n")
			}
		}
		subs := c.Commands()
		sort.Slice(subs, func(i, j int) bool { return subs[i].Name() < subs[j].Name() })
		for _, s := range subs {
			walk(s)
		}
	}
	walk(root)
	golden(t, "cli.md", strings.TrimRight(b.String(), "\n")+"\n")
}

// TestDocsExitCodes keeps docs/exit-codes.md what the code says.
func TestDocsExitCodes(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString("# Exit codes\n\nMade from the code by `go test ./cmd/sky -run TestDocs -update`.\n\n")
	b.WriteString("`launch`, `exec` and `logs` end with the job's own exit code when the user's command decided the outcome: what the shell\n")
	b.WriteString("would show, so 137 for a rank killed by SIGKILL and 139 for a segmentation fault. Of several nodes, the first rank that\n")
	b.WriteString("failed decides. A command of several clusters (`down a b`) ends with the code of the first that failed. Whatever failed is\nnon-zero.\n\n")
	b.WriteString("| code | name | meaning |\n|---|---|---|\n")
	for _, e := range exitTable() {
		fmt.Fprintf(&b, "| %d | %s | %s |\n", e.Code, e.Name, e.Meaning)
	}
	golden(t, "exit-codes.md", b.String())
}
