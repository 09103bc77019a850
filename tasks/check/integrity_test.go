package check_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Odd tables make results, or errors with a class and a message, of every
// check of one table: never a crash.
func TestIntegrityOfOddTables(t *testing.T) {
	t.Parallel()
	many := func(row func(i int) string) string {
		var b strings.Builder
		for i := range 150 {
			b.WriteString(row(i) + "\n")
		}
		return b.String()
	}
	digit := func(i int) string { return string(rune('0' + i%10)) }
	for name, table := range map[string]string{
		"one row":        "x,t,y\n1,a,0\n",
		"two rows":       "x,t,y\n1,a,0\n2,b,1\n",
		"all null":       "x,t,n,y\n" + many(func(i int) string { return digit(i) + ",text " + digit(i) + ",," + digit(i%2) }),
		"constant label": "x,t,y\n" + many(func(i int) string { return digit(i) + ",text " + digit(i) + ",1" }),
		"no labels":      "x,t,y\n" + many(func(i int) string { return digit(i) + ",text " + digit(i) + "," }),
		"labels missing": "x,t,y\n" + many(func(i int) string { return digit(i) + ",text " + digit(i) + "," + []string{"", "0", "1"}[i%3] }),
		"infinite": "x,t,y\n" + many(func(i int) string {
			return []string{"inf", "-inf", "1e308", "0.5"}[i%4] + ",text " + digit(i) + "," + digit(i%2)
		}),
		"infinite label": "x,t,y\n" + many(func(i int) string {
			return digit(i) + ",text," + []string{"inf", "0.25", "1.5", "7e300"}[i%4] + digit(i)
		}),
		"distinct texts": "x,t,y\n" + many(func(i int) string {
			return "a" + strings.Repeat("b", i) + ",c" + strings.Repeat("d", 2*i) + "," + digit(i%2)
		}),
		"texts as numbers": "x,t,y\n" + many(func(i int) string {
			return []string{"nan", "1_000", "-", "1e5", ""}[i%5] + "," + strings.Repeat("!", i%3) + "," + digit(i%2)
		}),
		"rare classes": "x,t,y\n" + many(func(i int) string { return digit(i) + ",text,class " + strings.Repeat("x", i/2) }),
		"label alone":  "y\n0\n1\n0\n",
	} {
		for _, compat := range []string{"", "deepchecks"} {
			t.Run(name+" "+compat, func(t *testing.T) {
				t.Parallel()
				dir := t.TempDir()
				if err := os.WriteFile(filepath.Join(dir, "t.csv"), []byte(table), 0o600); err != nil {
					t.Fatal(err)
				}
				doc := map[string]any{
					"train": "t.csv", "label": "y", "suites": []string{"data_integrity"},
					"checks": []any{"PercentOfNulls", "ColumnsInfo", "ClassImbalance"},
				}
				if compat != "" {
					doc["compat"] = compat
				}
				if name == "constant label" || name == "no labels" {
					doc["task_type"] = "binary"
				}
				got := runDocument(t, doc, dir)
				if got.Error == nil && len(got.Checks) != 15 {
					t.Errorf("%d results of 15 checks", len(got.Checks))
				}
				for _, c := range got.Checks {
					if c.Error != nil && (c.Error.Class == "InternalError" || c.Error.Message == "") {
						t.Errorf("%s: %+v", c.Check, *c.Error)
					}
					for _, condition := range c.Conditions {
						if condition.Category == "ERROR" {
							t.Errorf("%s: %+v", c.Check, condition)
						}
					}
				}
			})
		}
	}
}

// Texts read as numbers by Python's rules, and spellings meet in one form.
func TestTextsOfColumns(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	numbers := []string{"1", " 2.5 ", "-1e3", "1_000", "nan", "+Inf", "infinity", ".5", "5."}
	words := []string{"1__0", "_1", "1_", "1e", "e5", ".", "--", "0x10", "1 2", "infinit"}
	rows := []string{"x,w,y"}
	for i, s := range append(append([]string{}, numbers...), words...) {
		rows = append(rows, s+","+[]string{"New York", "new-york", "Paris"}[i%3]+",0", s+",Rome,1")
	}
	if err := os.WriteFile(filepath.Join(dir, "t.csv"), []byte(strings.Join(rows, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got := runDocument(t, map[string]any{"train": "t.csv", "label": "y", "checks": []any{"MixedDataTypes", "StringMismatch", "SpecialCharacters"}}, dir)
	if len(got.Checks) != 3 {
		t.Fatalf("%d results", len(got.Checks))
	}
	mix := got.Checks[0].Value.(map[string]any)["x"].(map[string]any)
	if want := float64(len(numbers)) / float64(len(numbers)+len(words)); mix["numbers"] != want {
		t.Errorf("share of numbers %v, want %v", mix["numbers"], want)
	}
	forms := got.Checks[1].Value.(map[string]any)["columns"].(map[string]any)["w"].(map[string]any)
	if list, ok := forms["newyork"].([]any); len(forms) != 1 || !ok || len(list) != 2 {
		t.Errorf("spellings: %v", forms)
	}
	if share := got.Checks[2].Value.(map[string]any)["x"]; share != 2./19 {
		t.Errorf("share of special texts %v", share)
	}
}
