package check_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"aloft/tasks/check"
	"aloft/tasks/check/engine"
)

func writeFiles(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, src := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(src), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// labelled writes n rows of two features, a label and predictions.
func labelled(n int, header, form string) string {
	var b strings.Builder
	b.WriteString(header + "\n")
	for i := range n {
		label := []string{"yes", "no"}[i*7%3%2]
		fmt.Fprintf(&b, form+"\n", i, i%5, label, float64(i%10)/10, 1-float64(i%10)/10)
	}
	return b.String()
}

func TestPredictionsInColumns(t *testing.T) {
	t.Parallel()
	head, form := "a,b,y,p_no,p_yes", "%d,%d,%s,%v,%v"
	dir := writeFiles(t, map[string]string{"train.csv": labelled(200, head, form), "test.csv": labelled(100, head, form)})
	plain := map[string]string{"data.csv": "", "pred.csv": "proba_no,proba_yes\n"}
	for i, line := range strings.Split(strings.TrimSpace(labelled(200, head, form)), "\n") {
		f := strings.Split(line, ",")
		plain["data.csv"] += strings.Join(f[:3], ",") + "\n"
		if i > 0 {
			plain["pred.csv"] += strings.Join(f[3:], ",") + "\n"
		}
	}
	other := writeFiles(t, plain)
	files := runToJSON(t, map[string]any{"name": "d", "suites": []string{"model_evaluation", "data_integrity"}, "train": "data.csv", "label": "y", "predictions": map[string]any{"train": "pred.csv"}}, other)
	for name, proba := range map[string]any{"pattern": "p_*", "mapping": map[string]any{"yes": "p_yes", "no": "p_no"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			columns := runToJSON(t, map[string]any{"name": "d", "suites": []string{"model_evaluation", "data_integrity"}, "train": "train.csv", "label": "y", "predictions": map[string]any{"proba": proba}}, dir)
			if columns != files {
				t.Errorf("columns and files differ: %s", firstDifference(files, columns))
			}
		})
	}
}

func TestDataFaults(t *testing.T) {
	t.Parallel()
	dir := writeFiles(t, map[string]string{
		"a.csv": "x,y\n1,0\n2,1\n", "other.csv": "p,q\n1,0\n2,1\n", "nolabel.csv": "x\n1\n2\n", "header.csv": "x,y\n", "empty.csv": "",
		"latin.csv": "x,y\ncaf\xe9,0\n", "late.csv": "d,y\n2024-01-01,0\n9999-01-01,1\n", "twice.csv": "x,x\n1,2\n", "nested.jsonl": "{\"x\":1,\"y\":0}\n{\"x\":[1],\"y\":1}\n",
	})
	tests := []struct {
		name string
		doc  map[string]any
		want string
	}{
		{"label missing in test", map[string]any{"train": "a.csv", "test": "nolabel.csv", "label": "y"}, `test: nolabel.csv has no column "y", which is to be the label`},
		{"no rows", map[string]any{"train": "header.csv"}, "train: header.csv has no rows below its header"},
		{"empty file", map[string]any{"train": "empty.csv"}, "train: empty.csv: the file is empty"},
		{"no file", map[string]any{"train": "none.csv"}, "none.csv"},
		{"encoding", map[string]any{"train": "latin.csv"}, `latin.csv:2: column "x": the field is not valid UTF-8`},
		{"date beyond range", map[string]any{"train": "late.csv", "datetime": "d"}, `"9999-01-01" is out of the range of times`},
		{"column twice", map[string]any{"train": "twice.csv"}, `twice.csv:1: columns 1 and 2 are both named "x"`},
		{"nested", map[string]any{"train": "nested.jsonl"}, `nested.jsonl:2: column "x": an object or a list inside a cell`},
		{"no such prediction column", map[string]any{"train": "a.csv", "label": "y", "predictions": map[string]any{"column": "yy"}}, `predictions.column: a.csv has no column "yy" (did you mean "y"?)`},
		{"no such probability columns", map[string]any{"train": "a.csv", "label": "y", "predictions": map[string]any{"proba": "p_*"}}, `predictions.proba: a.csv has no column p_*`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.doc["suites"] = []string{"data_integrity"}
			spec, err := check.SpecFromMap(tt.doc)
			if err != nil {
				t.Fatal(err)
			}
			_, err = check.RunSpec(context.Background(), spec, dir)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

// TestOddTables runs every check on tables at the edge of what there is: no
// check may crash.
func TestOddTables(t *testing.T) {
	t.Parallel()
	wide := make([]string, 300)
	for i := range wide {
		wide[i] = fmt.Sprintf("c%d", i)
	}
	tables := map[string]string{
		"one row":     "a,b,y\n1,x,0\n",
		"all null":    "a,b,y\n,,0\n,,1\n,,0\n",
		"null label":  "a,b,y\n1,x,\n2,y,\n3,z,\n",
		"constant":    "a,b,y\n1,x,0\n1,x,0\n1,x,0\n",
		"infinities":  "a,b,y\ninf,x,0\n-inf,y,1\n1,z,0\n",
		"empty texts": "a,b,y\n\"\",\" \",0\n2,\"\t\",1\n",
		"wide":        strings.Join(wide, ",") + ",y\n" + strings.Repeat("1,", 300) + "0\n" + strings.Repeat("2,", 300) + "1\n",
	}
	for name, src := range tables {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pred := "y_pred,proba_0,proba_1\n" + strings.Repeat("0,0.75,0.25\n", strings.Count(src, "\n")-1)
			dir := writeFiles(t, map[string]string{"t.csv": src, "p.csv": pred})
			spec, err := check.SpecFromMap(map[string]any{
				"suites": []string{"full_suite"}, "train": "t.csv", "test": "t.csv", "label": "y", "predictions": map[string]any{"train": "p.csv", "test": "p.csv"},
			})
			if err != nil {
				t.Fatal(err)
			}
			r, err := check.RunSpec(context.Background(), spec, dir)
			if err != nil {
				t.Fatal(err)
			}
			for _, o := range r.Outcomes {
				if o.Err != nil && o.Err.Class == engine.Internal {
					t.Errorf("%s: %v", o.Def.ID, o.Err)
				}
			}
		})
	}
}
