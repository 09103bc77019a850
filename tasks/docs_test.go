package tasks

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite docs/task-yaml.md")

const referenceHead = `# Task YAML

<!-- Generated from the tables in package tasks: go test ./tasks -run TestReference -update -->

A task file is SkyPilot's task YAML, plus the keys marked *Aloft*. Check one with
` + "`sky validate FILE`" + `, which reports every problem at once with line and column.
Where we differ from SkyPilot is in [compatibility.md](compatibility.md).

Scalars are typed as YAML 1.1: ` + "`yes`, `on`" + ` are booleans, ` + "`010`" + ` is 8, ` + "`12:30`" + ` is 750. A warning
says so wherever that changes what was typed; ` + "`--strict`" + ` turns warnings into errors.

`

const referenceTail = `## Several tasks in one file

Documents are separated by ` + "`---`" + `. A first document with only ` + "`name`" + ` and ` + "`execution: serial`" + ` (both
optional) names a pipeline; the tasks run in order. With ` + "`execution: parallel`" + ` it makes a job
group: ` + "`name`" + ` is then required, every job needs a name of its own (letters, digits, ` + "`-`, `_`" + `), and
` + "`primary_tasks`" + ` (list of names) and ` + "`termination_delay`" + ` (seconds, a duration, or a map of job to
either, with ` + "`default`" + `) say when the helpers end.

## Variables

` + "`$NAME` and `${NAME}`" + ` are replaced in ` + "`workdir`, `file_mounts`, `volumes` and `service`" + ` (keys and values)
from envs and secrets; secrets win. ` + "`${NAME:-default}`" + ` gives a default for an unset or empty
variable, and ` + "`$$`" + ` is a dollar. A variable that is not set stays as it is, with a warning. A value
is put in as text: it cannot change the structure of the file. ` + "`setup` and `run`" + ` are not touched; they see
real environment variables.

Precedence: ` + "`--env` over `--env-file`" + ` over the file for envs; ` + "`--secret` over `--secret-file` over `--env-file`" + `
(for secrets the file declares) over the file for secrets.

## Flags over files

` + "`--infra`, `--gpus`, `--cpus`, `--memory`, `--instance-type`, `--disk-size`, `--disk-tier`, `--network-tier`,\n`--image-id`, `--ports`, `--use-spot`, `--num-nodes`, `--name`, `--workdir`, `--git-url` and `--git-ref`" + ` replace what the
file says, in every alternative of ` + "`any_of` and `ordered`" + `. The word ` + "`none`" + ` resets a value to "not given".

## Limits

A file has at most 10 MiB, 200 000 values once aliases are expanded, 100 levels of nesting and
1000 documents. Keys may be given once only. Tags other than the standard scalar, list and map
tags are refused.
`

// writeTable writes the reference of a section and then of those below it.
func writeTable(b *strings.Builder, t *table, seen map[string]bool) {
	if t.path == "" {
		b.WriteString("## Top level\n\n")
	} else {
		if seen[t.path] {
			return
		}
		seen[t.path] = true
		fmt.Fprintf(b, "## `%s`\n\n", t.path)
	}
	if t.doc != "" {
		b.WriteString(t.doc + "\n\n")
	}
	b.WriteString("| key | takes | default | meaning |\n|---|---|---|---|\n")
	cell := func(s string) string { return strings.ReplaceAll(s, "|", `\|`) }
	for _, f := range t.fields {
		if f.internal {
			continue
		}
		takes := f.typ
		if takes == "" {
			takes = f.kinds.describe()
			if f.choices != nil {
				takes = strings.Join(f.choices, ", ")
			}
			if f.bounds != nil {
				takes += ", " + f.bounds.text
			}
		}
		doc := f.doc
		if f.required {
			doc = strings.TrimSpace(doc + " Required.")
		}
		if f.ours && t.path == "" {
			doc += " *Aloft*"
		}
		fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", f.name, cell(takes), cell(f.def), cell(doc))
	}
	b.WriteByte('\n')
	for _, f := range t.fields {
		if f.table != nil && f.table.path != "" {
			writeTable(b, f.table, seen)
		}
		switch t.path + "." + f.name {
		case ".workdir":
			writeTable(b, gitTable(), seen)
		case ".file_mounts":
			writeTable(b, storageTable(), seen)
		case ".volumes":
			writeTable(b, volumeTable(), seen)
		case "resources.autostop":
			writeTable(b, autostopTable(), seen)
		case "resources.job_recovery":
			writeTable(b, jobRecoveryTable(), seen)
		}
	}
}

func TestReferenceIsUpToDate(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString(referenceHead)
	writeTable(&b, taskTable(), map[string]bool{})
	b.WriteString(referenceTail)
	name := filepath.Join("..", "docs", "task-yaml.md")
	if *update {
		if err := os.WriteFile(name, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if string(have) != b.String() {
		t.Error("docs/task-yaml.md is out of date; run: go test ./tasks -run TestReference -update")
	}
}

// Every row that people can use is documented.
func TestRowsAreDocumented(t *testing.T) {
	t.Parallel()
	var walk func(tab *table)
	walk = func(tab *table) {
		for _, f := range tab.fields {
			if !f.internal && f.doc == "" && tab.path != "" {
				t.Errorf("%s.%s has no documentation", tab.path, f.name)
			}
			if f.table != nil {
				walk(f.table)
			}
		}
	}
	for _, tab := range []*table{taskTable(), gitTable(), storageTable(), volumeTable(), autostopTable(), jobRecoveryTable()} {
		walk(tab)
	}
}
