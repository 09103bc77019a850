package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
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
	b.WriteString("| command | what it does |\n|---|---|\n")
	root := newRoot(&app{out: &bytes.Buffer{}, errOut: &bytes.Buffer{}, getenv: func(string) (string, bool) { return "", false }})
	for _, g := range root.Groups() {
		for _, c := range root.Commands() {
			if c.GroupID == g.ID && !c.Hidden && c.Name() != "help" && c.Name() != "completion" {
				fmt.Fprintf(&b, "| [`sky %s`](#sky-%s) | %s |\n", c.Name(), c.Name(), c.Short)
			}
		}
	}
	b.WriteString("| `sky completion SHELL` | Print the completion script of a shell; `sky --install-shell-completion auto` installs it |\n\n")
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
			if c.HasAvailableSubCommands() {
				fmt.Fprintf(&b, "%s.\n\n", strings.TrimSuffix(text, "."))
			} else {
				fmt.Fprintf(&b, "%s\n\n```\n%s\n```\n\n", text, c.UseLine())
			}
			if c.Example != "" {
				lines := strings.Split(c.Example, "\n")
				for i := range lines {
					lines[i] = strings.TrimPrefix(lines[i], "  ")
				}
				fmt.Fprintf(&b, "Examples:\n\n```\n%s\n```\n\n", strings.Join(lines, "\n"))
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
				value, usage := pflag.UnquoteUsage(f)
				if value != "" {
					name += " " + value
				}
				if d := f.DefValue; f.Value.Type() == "int" && d != "0" || (f.Value.Type() == "string" || f.Value.Type() == "duration") && d != "" && d != "0s" {
					usage += " (default " + d + ")"
				}
				rows = append(rows, fmt.Sprintf("| `%s` | %s |", name, strings.ReplaceAll(usage, "|", "\\|")))
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
	b.WriteString("`launch`, `exec`, `logs` and `wait` end with the job's own exit code when the user's command decided the outcome: what the shell\n")
	b.WriteString("would show, so 137 for a rank killed by SIGKILL and 139 for a segmentation fault. Of several nodes, the first rank that\n")
	b.WriteString("failed decides. A command of several clusters (`down a b`) ends with the code of the first that failed. Whatever failed is\nnon-zero.\n\n")
	b.WriteString("| code | name | meaning |\n|---|---|---|\n")
	for _, e := range exitTable() {
		fmt.Fprintf(&b, "| %d | %s | %s |\n", e.Code, e.Name, e.Meaning)
	}
	golden(t, "exit-codes.md", b.String())
}

var (
	mdLink = regexp.MustCompile(`\]\(([^)#\s]+)(#[^)\s]*)?\)`)
	mdImg  = regexp.MustCompile(`(?:src|srcset)="([^"]+)"`)
)

// TestDocsLinks follows every relative link of the documents, and wants every document in the index.
func TestDocsLinks(t *testing.T) {
	t.Parallel()
	root := filepath.Join("..", "..")
	docs, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	index, err := os.ReadFile(filepath.Join(root, "docs", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range docs {
		name := filepath.Base(d)
		if name != "README.md" && !strings.Contains(string(index), "("+name+")") {
			t.Errorf("docs/README.md does not link %s", name)
		}
	}
	for _, d := range append(docs, filepath.Join(root, "README.md"), filepath.Join(root, "examples", "README.md")) {
		text, err := os.ReadFile(d)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range append(mdLink.FindAllStringSubmatch(string(text), -1), mdImg.FindAllStringSubmatch(string(text), -1)...) {
			if strings.Contains(m[1], "://") {
				continue
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(d), m[1])); err != nil {
				t.Errorf("%s: link to %s: %v", d, m[1], err)
			}
		}
	}
	if got, err := os.ReadFile(filepath.Join(root, "README.md")); err == nil && !strings.Contains(string(got), "(docs/exit-codes.md)") {
		t.Error("README.md does not link docs/exit-codes.md")
	}
}
