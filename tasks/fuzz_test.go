package tasks_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"aloft/tasks"
)

// fixpoint checks that the normal form of src parses to itself.
func fixpoint(t *testing.T, src []byte) {
	t.Helper()
	doc, ds := tasks.Parse("fuzz.yaml", src, tasks.Overrides{FillRequired: true})
	if (doc == nil) != ds.HasErrors() {
		t.Fatalf("document is nil: %v, errors: %v\n%s", doc == nil, ds.HasErrors(), ds.Error())
	}
	if doc == nil {
		return
	}
	first := doc.YAML()
	// Secrets are redacted in the normal form; give them back, as a caller would.
	var secrets []string
	if len(doc.Tasks) == 1 {
		for k, v := range doc.Tasks[0].Secrets {
			secrets = append(secrets, k+"="+v.Reveal())
		}
	}
	again, ds := tasks.Parse("normal.yaml", first, tasks.Overrides{Secrets: secrets})
	if again == nil {
		t.Fatalf("the normal form is rejected:\n%s\n--- normal form\n%s", ds.Error(), first)
	}
	if second := again.YAML(); string(second) != string(first) {
		t.Fatalf("the normal form changes\n--- first\n%s\n--- second\n%s", first, second)
	}
}

func TestNormalFormOfCorpus(t *testing.T) {
	t.Parallel()
	for _, r := range goldenRows(t) {
		t.Run(r.Path, func(t *testing.T) {
			t.Parallel()
			fixpoint(t, corpusFile(t, r.Path))
		})
	}
}

func FuzzParse(f *testing.F) {
	files, err := filepath.Glob(filepath.Join("testdata", "golden", "corpus", "*.yaml"))
	if err != nil || len(files) == 0 {
		f.Fatal("no corpus: ", err)
	}
	more, err := filepath.Glob(filepath.Join("testdata", "own", "*.yaml"))
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range append(files, more...) {
		src, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(src)
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		if len(src) > 1<<16 {
			return
		}
		start := time.Now()
		fixpoint(t, src)
		if d := time.Since(start); d > 30*time.Second {
			t.Fatalf("took %v", d)
		}
	})
}

func FuzzDotenv(f *testing.F) {
	f.Add([]byte("A=1\nexport B='x y'\nC=\"${A}\\n\" # c\n"))
	f.Fuzz(func(t *testing.T, src []byte) {
		pairs, _ := tasks.ParseDotenv("fuzz.env", src, nil)
		for _, kv := range pairs {
			if kv.Key == "" {
				t.Fatal("empty key")
			}
		}
	})
}
