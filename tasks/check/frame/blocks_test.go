package frame_test

import (
	"encoding/csv"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"aloft/tasks/check/frame"
)

// TestLargeCSV reads a text of several blocks, with quotes, line breaks inside
// of them and a word at the end of a column of numbers, and compares it with
// what the standard library reads.
func TestLargeCSV(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	var b strings.Builder
	b.WriteString("id,text,number,late\n")
	const rows = 60_000
	for i := range rows {
		text := []string{"plain", `"with, comma"`, "\"two\nlines\"", `"say ""hi"""`, "", "é"}[r.IntN(6)]
		late := fmt.Sprintf("%03d", i%1000)
		if i == rows-7 {
			late = "word"
		}
		fmt.Fprintf(&b, "%d,%s,%.3f,%s\n", i, text+strings.Repeat("", i%3), r.Float64()*1e6, late)
	}
	src := b.String()
	want, err := csv.NewReader(strings.NewReader(src)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	table, err := frame.ParseCSV([]byte(src), frame.Options{Name: "t"})
	if err != nil {
		t.Fatal(err)
	}
	if table.Rows() != rows || table.Column("id").Kind() != frame.Int || table.Column("late").Kind() != frame.Text {
		t.Fatalf("%d rows, %s, %s", table.Rows(), table.Column("id").Kind(), table.Column("late").Kind())
	}
	seen := map[string]bool{}
	at := 0
	for i, fields := range want[1:] {
		text, late := table.Column("text"), table.Column("late")
		if text.IsNull(i) != (fields[1] == "") || !text.IsNull(i) && text.Value(i).String() != fields[1] || late.Value(i).String() != fields[3] {
			t.Fatalf("row %d: %v %v, want %q", i, text.Value(i), late.Value(i), fields)
		}
		if got := fmt.Sprintf("%d %.3f", table.Column("id").Value(i).Native(), table.Column("number").Float(i)); got != fields[0]+" "+fields[2] {
			t.Fatalf("row %d: %s, want %q", i, got, fields)
		}
		if fields[1] != "" && !seen[fields[1]] {
			seen[fields[1]] = true
			if text.Dict()[at] != fields[1] {
				t.Fatalf("text %d of the dictionary is %q, want %q", at, text.Dict()[at], fields[1])
			}
			at++
		}
	}
}

// TestFaultsInLaterBlocks asks for the line of a fault far into a text.
func TestFaultsInLaterBlocks(t *testing.T) {
	t.Parallel()
	good := strings.Repeat("1,\"a\nb\"\n", 200_000) // two lines each
	tests := []struct{ name, tail, want string }{
		{"ragged", "1\n", "t:400002: this row has 1 fields, the header has 2"},
		{"encoding", "1,\xff\n", `t:400002: column "b": the field is not valid UTF-8`},
		{"quote", "1,\"x\n", "t:400002: a quoted field must end"},
		{"bare quote", "1,x\"y\n", "t:400002: a quote inside a field"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := frame.ParseCSV([]byte("a,b\n"+good+tt.tail+good), frame.Options{Name: "t"})
			if err == nil || !strings.HasPrefix(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

func TestLongCell(t *testing.T) {
	t.Parallel()
	cell := strings.Repeat("x", 3<<20)
	table, err := frame.ParseCSV([]byte("a,b\n1,"+cell+"\n2,y\n"), frame.Options{Name: "t"})
	if err != nil || len(table.Column("b").Value(0).String()) != len(cell) {
		t.Fatalf("a cell of 3 MiB: %v", err)
	}
	_, err = frame.ParseCSV([]byte("a,b\n1,"+strings.Repeat("x", 65<<20)+"\n"), frame.Options{Name: "t"})
	if err == nil || !strings.HasPrefix(err.Error(), "t:2: the row that begins here is longer than 64 MiB") {
		t.Errorf("a cell of 65 MiB: %v", err)
	}
	_, err = frame.Parse([]byte("a,b\n1,\""+strings.Repeat("x\n", 40<<20)), frame.Options{Name: "t"})
	if err == nil || !strings.HasPrefix(err.Error(), "t:2: the row that begins here is longer") {
		t.Errorf("a quote that is not closed: %v", err)
	}
}

// TestManyColumns reads ten thousand columns, in two files.
func TestManyColumns(t *testing.T) {
	t.Parallel()
	const columns, rows = 10_000, 50
	names, cells := make([]string, columns), make([]string, columns)
	for i := range names {
		names[i], cells[i] = fmt.Sprintf("c%d", i), fmt.Sprint(i%7)
	}
	src := strings.Join(names, ",") + "\n" + strings.Repeat(strings.Join(cells, ",")+"\n", rows)
	dir := t.TempDir()
	path := filepath.Join(dir, "t.csv")
	if err := os.WriteFile(path, []byte(src), 0o600); err != nil {
		t.Fatal(err)
	}
	table, err := frame.Read([]frame.File{{Path: path}, {Path: path}}, frame.Options{})
	if err != nil || table.Rows() != 2*rows || len(table.Columns()) != columns || table.Column("c9999").Value(99).String() != "3" {
		t.Fatalf("%v", err)
	}
}
