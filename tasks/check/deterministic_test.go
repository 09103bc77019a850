package check_test

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"aloft/tasks/check/suitecmd"
)

// reportsEnv names the folder into which this test's own process, started
// again, writes its reports.
const reportsEnv = "ALOFT_TEST_REPORTS"

// deterministicDocument is a run of everything there is on a table that has
// every kind of fault.
func deterministicDocument(t *testing.T, set string) map[string]any {
	t.Helper()
	dir, err := filepath.Abs(filepath.Join("testdata", "golden", "data", set))
	if err != nil {
		t.Fatal(err)
	}
	src, err := os.ReadFile(filepath.Join(dir, "dataset.json"))
	if err != nil {
		t.Fatal(err)
	}
	var d goldenDataset
	if err := json.Unmarshal(src, &d); err != nil {
		t.Fatal(err)
	}
	suite := goldenSuite{Suite: "full_suite", Inputs: []string{"model_classes", "y_pred_train"}}
	doc := suite.document(d, nil, true)
	delete(doc, "compat")
	for _, key := range []string{"train", "test"} {
		doc[key] = filepath.Join(dir, doc[key].(string))
	}
	segment := map[string]string{"iris__bad_split": "sepal_length", "penguins__bad_integrity": "Island", "diabetes": "age"}[set]
	doc["segments"] = []any{map[string]any{"column": segment}}
	doc["schema"] = map[string]any{"columns": map[string]any{segment: map[string]any{"kind": "int64"}}}
	doc["predictions"] = map[string]any{"train": filepath.Join(dir, d.Predictions["train"]), "test": filepath.Join(dir, d.Predictions["test"])}
	return doc
}

// TestWriteReports is the part of TestDeterministic in a process of its own.
func TestWriteReports(t *testing.T) {
	t.Parallel()
	out := os.Getenv(reportsEnv)
	if out == "" {
		t.Skip("asked for by TestDeterministic only")
	}
	for _, set := range []string{"iris__bad_split", "penguins__bad_integrity", "diabetes"} {
		o := suitecmd.Options{Document: deterministicDocument(t, set), Out: filepath.Join(out, set), Format: "json", Stdout: io.Discard}
		if _, err := suitecmd.Run(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
}

// TestDeterministic wants the same bytes from processes with one processor and
// with two: each shuffles its maps anew.
func TestDeterministic(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dirs := make([]string, 2)
	for i := range dirs {
		dirs[i] = t.TempDir()
		cmd := exec.CommandContext(t.Context(), self, "-test.run", "^TestWriteReports$")
		cmd.Env = append(os.Environ(), reportsEnv+"="+dirs[i], "GOMAXPROCS="+strconv.Itoa(i+1))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	files, err := filepath.Glob(filepath.Join(dirs[0], "*", "*"))
	if err != nil || len(files) != 15 {
		t.Fatalf("files %v, %v", files, err)
	}
	for _, f := range files {
		name, err := filepath.Rel(dirs[0], f)
		if err != nil {
			t.Fatal(err)
		}
		a, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(filepath.Join(dirs[1], name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(a, b) {
			t.Errorf("%s differs: %s", name, whereTheyPart(a, b))
		}
	}
}

func whereTheyPart(a, b []byte) string {
	i := 0
	for i < len(a) && i < len(b) && a[i] == b[i] {
		i++
	}
	around := func(s []byte) string { return string(s[max(0, i-80):min(len(s), i+80)]) }
	return "\n" + around(a) + "\nand\n" + around(b)
}
