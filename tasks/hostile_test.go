package tasks_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"aloft/tasks"
)

// billionLaughs is a file whose aliases expand without end.
func billionLaughs() string {
	var b strings.Builder
	b.WriteString("a0: &a0 [x,x,x,x,x,x,x,x,x]\n")
	for i := 1; i < 12; i++ {
		p, n := string(rune('a'+i-1)), string(rune('a'+i))
		b.WriteString(n + "0: &" + n + "0 [" + strings.TrimSuffix(strings.Repeat("*"+p+"0,", 9), ",") + "]\n")
	}
	return b.String()
}

// manyKeys is the inside of a flow map with n keys.
func manyKeys(n int, val string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "k%d: %s, ", i, val)
	}
	return b.String()
}

func TestHostileInput(t *testing.T) {
	t.Parallel()
	deep := func(unit string, n int) string { return "envs: " + strings.Repeat(unit, n) }
	tests := []struct {
		name, src string
		want      string // part of the first error
		line      int
	}{
		{"alias bomb", billionLaughs(), "expand to more than", 0},
		{"merge bomb", strings.ReplaceAll(billionLaughs(), "[x,", "[{a: 1},"), "expand to more than", 0},
		{"alias of itself", "envs: &a {A: *a}\nrun: x\n", "contains it", 1},
		{"merge of itself", "envs: &a {<<: *a}\nrun: x\n", "contains it", 1},
		{"alias of a long text", "envs: {X: &x \"" + strings.Repeat("x", 1<<20) + "\", Y: [" + strings.Repeat("*x,", 10_000) + "]}\nrun: x\n", "expand to more than", 1},
		{"variable bomb", "envs: {A: \"" + strings.Repeat("x", 1<<20) + "\"}\nworkdir: \"" + strings.Repeat("$A", 100_000) + "\"\n", "too large", 2},
		{"many variable uses", "envs: {A: \"" + strings.Repeat("x", 1<<20) + "\"}\nservice: {readiness_probe: {path: /, headers: {" + strings.Repeat("k: $A, ", 1) + "}, post_data: {" + manyKeys(1000, "$A") + "}}}\n", "too large", 2},
		{"many alternatives", "resources: {any_of: [" + strings.Repeat("{}, ", 5000) + "]}\n", "alternatives", 1},
		{"cross product", "resources: {accelerators: 1GB+, any_of: [" + strings.Repeat("{}, ", 900) + "]}\n", "alternatives", 1},
		{"wide alternatives", "resources: {labels: {" + manyKeys(10_000, "v") + "}, any_of: [" + strings.Repeat("{}, ", 900) + "]}\n", "alternatives", 1},
		{"long keys", "file_mounts:\n  ? " + strings.Repeat("k", 1<<20) + "\n  : {" + manyKeys(10_000, "v") + "}\n", "no key", 3},
		{"deep JSON", "service: {readiness_probe: {path: /, post_data: '{\"a\": " + strings.Repeat("[", 500) + strings.Repeat("]", 500) + "}'}}\n", "nests too deep", 1},
		{"NUL byte", "run: a\x00b\n", "NUL", 1},
		{"invalid UTF-8", "name: a\nrun: \"\xff\xfe\"\n", "not valid UTF-8", 2},
		{"UTF-16", "r\x00u\x00n\x00:\x00", "NUL", 1},
		{"deep flow list", deep("[", 100_000), "nest too deep", 1},
		{"deep flow map", deep("{a: ", 100_000), "nest too deep", 1},
		{"deep flow over lines", deep("[\n ", 50_000), "nest too deep", 0},
		{"deep block", deep("\n", 1) + strings.Repeat("- ", 50_000) + "x", "nest too deep", 0},
		{"deep question marks", strings.Repeat("? ", 50_000), "nest too deep", 1},
		{"moderately deep", "envs: {A: " + strings.Repeat("[", 300) + strings.Repeat("]", 300) + "}\nrun: x\n", "nest too deep", 1},
		{"tab as indentation", "resources:\n\tcpus: 2\n", "tab", 2},
		{"tab deeper down", "resources:\n  cpus: 2\n\tmemory: 4\n", "tab", 3},
		{"many values", "artifacts: [" + strings.Repeat("a,", 300_000) + "]\n", "too many values", 1},
		{"many lines", "artifacts:\n" + strings.Repeat("- a\n", 300_000), "too many values", 0},
		{"many documents", strings.Repeat("--- {}\n", 5_000), "documents", 0},
		{"unclosed quote", "run: \"abc\nname: x\n", "not valid YAML", 0},
		{"unclosed brace", "envs: {A: 1\nrun: x\n", "not valid YAML", 0},
		{"python object", "run: !!python/object/apply:os.system [\"id\"]\n", "tag", 1},
		{"binary", "run: !!binary aGk=\n", "tag", 1},
		{"huge number", "num_nodes: " + strings.Repeat("9", 100_000) + "\n", "not a valid number", 1},
		{"huge indentation", "run: |\n" + strings.Repeat(" ", 1<<20) + "x\nfoo: 1\n", "no key", 3},
		{"not a map", "- a\n", "a task is a map", 1},
		{"a word", "hello\n", "a task is a map", 1},
		{"list as key", "? [a]\n: b\n", "single value", 1},
		{"second merge key", "resources: {<<: {cpus: 1}, <<: {cpus: 2}}\n", "given twice", 1},
		{"merge of text", "resources: {<<: abc}\n", "merge key", 1},
		{"directive only", "%YAML 1.1\n", "not valid YAML", 0},
		{"control character", "run: a\x01b\n", "not valid YAML", 0},
		{"lone equals sign", "envs: {A: =}\nrun: x\n", "special meaning", 1},
		{"impossible date", "envs: {A: 2024-13-45}\nrun: x\n", "not a valid date", 1},
		{"bad digits", "envs: {A: 0b_}\nrun: x\n", "not a valid number", 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			start := time.Now()
			doc, ds := tasks.Parse("t.yaml", []byte(tt.src), tasks.Overrides{})
			if d := time.Since(start); d > time.Minute {
				t.Errorf("took %v", d)
			}
			if doc != nil || !ds.HasErrors() {
				t.Fatal("accepted")
			}
			first := ds.Errors()[0]
			if !strings.Contains(first.Message, tt.want) {
				t.Errorf("first error is %q, want it to say %q", first, tt.want)
			}
			if tt.line > 0 && first.Line != tt.line {
				t.Errorf("line %d, want %d: %s", first.Line, tt.line, first)
			}
		})
	}
}

// Shell scripts full of brackets must not count as nesting.
func TestBracketsInScripts(t *testing.T) {
	t.Parallel()
	body := strings.Repeat("  printf '\\033[31m red {{{ \\033[0m'  # [ it's\n", 3_000)
	for _, head := range []string{"run: |\n", "run: >-\n", "run: |2 # comment\n"} {
		doc, ds := tasks.Parse("t.yaml", []byte(head+body+"setup: echo \"[[[\"\nname: it's-not\n"), tasks.Overrides{})
		if len(ds.Errors()) > 0 && strings.Contains(ds.Errors()[0].Message, "nest") {
			t.Errorf("%q: %s", head, ds.Errors()[0])
		}
		if doc == nil {
			t.Errorf("%q: %s", head, ds.Error())
		}
	}
}

func TestHugeFileIsNotRead(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "huge.yaml")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(100 << 20); err != nil { // sparse: takes no space
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	doc, ds := tasks.ParseFile(name, tasks.Overrides{})
	runtime.ReadMemStats(&after)
	if doc != nil || !strings.Contains(ds.Error(), "larger than 10 MiB") {
		t.Errorf("got %v", ds)
	}
	// Other tests run beside this one, so the bound is loose; 100 MB would
	// still stand out, for ReadAll grows by copying.
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 400<<20 {
		t.Errorf("allocated %d MiB", grown>>20)
	}
}

func TestLargeScript(t *testing.T) {
	t.Parallel()
	src := append([]byte("run: |\n"), bytes.Repeat([]byte("  echo 0123456789\n"), 200_000)...)
	doc, ds := tasks.Parse("t.yaml", src, tasks.Overrides{})
	if doc == nil {
		t.Fatal(ds.Error())
	}
	if n := len(doc.Tasks[0].Run); n != 200_000*16 {
		t.Errorf("run has %d bytes", n)
	}
}

func TestManyProblemsAreCut(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	for i := range 2000 {
		b.WriteString("k" + strings.Repeat("x", i%7) + strings.Repeat("y", i/7) + ": 1\n")
	}
	_, ds := tasks.Parse("t.yaml", []byte(b.String()), tasks.Overrides{})
	if len(ds) > 201 {
		t.Errorf("%d diagnostics", len(ds))
	}
}

func TestMissingFile(t *testing.T) {
	t.Parallel()
	for _, name := range []string{filepath.Join(t.TempDir(), "none.yaml"), t.TempDir()} {
		if doc, ds := tasks.ParseFile(name, tasks.Overrides{}); doc != nil || !ds.HasErrors() {
			t.Errorf("%s: accepted", name)
		}
	}
}
