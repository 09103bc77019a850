package frame_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/klauspost/compress/zstd"

	"aloft/tasks/check/frame"
)

// TestFormsAgree reads one table in every form, plain and packed.
func TestFormsAgree(t *testing.T) {
	t.Parallel()
	const rows = 3000
	forms := tables(t, rows)
	for _, form := range []string{"csv", "jsonlines", "arrow stream"} {
		forms[form+" gzip"], forms[form+" zstd"] = packed(t, forms[form])
	}
	for name, src := range forms {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			table, err := frame.Parse(src, frame.Options{Name: "t"})
			if err != nil {
				t.Fatal(err)
			}
			if table.Rows() != rows || len(table.Columns()) != 4 {
				t.Fatalf("%d rows of %v", table.Rows(), table.Names())
			}
			for i := range rows {
				n, x, kind, missing, flag := row(i)
				want := fmt.Sprintln(n, x, kind, flag)
				if missing {
					want = fmt.Sprintln(n, nil, nil, flag)
				}
				got := fmt.Sprintln(table.Column("n").Value(i).Native(), table.Column("x").Value(i).Native(), table.Column("kind").Value(i).Native(), table.Column("flag").Value(i).Native())
				if got != want {
					t.Fatalf("row %d: %q, want %q", i, got, want)
				}
			}
		})
	}
}

func packed(t *testing.T, src []byte) (gz, zst []byte) {
	t.Helper()
	var g, z bytes.Buffer
	gw := gzip.NewWriter(&g)
	zw, err := zstd.NewWriter(&z)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range []interface {
		Write([]byte) (int, error)
		Close() error
	}{gw, zw} {
		if _, err := w.Write(src); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return g.Bytes(), z.Bytes()
}

func TestDialects(t *testing.T) {
	t.Parallel()
	wide := func(s string, big bool) string {
		var b strings.Builder
		for _, u := range utf16.Encode([]rune(s)) {
			if big {
				b.Write([]byte{byte(u >> 8), byte(u)})
			} else {
				b.Write([]byte{byte(u), byte(u >> 8)})
			}
		}
		return b.String()
	}
	tests := []struct {
		name, src string
		dialect   frame.Dialect
		want      string
	}{
		{"comma", "a,b\n1,x;y\n2,z\n", frame.Dialect{}, "a=[1 2] b=[x;y z]"},
		{"semicolon", "a;b\n1;x,y\n2;z\n", frame.Dialect{}, "a=[1 2] b=[x,y z]"},
		{"tab", "a\tb\n1\tx, y\n2\tz\n", frame.Dialect{}, "a=[1 2] b=[x, y z]"},
		{"bar", "a|b|c\n1|x|,\n2|z|,\n", frame.Dialect{}, "a=[1 2] b=[x z] c=[, ,]"},
		{"one column of sentences", "text\nhello, world\n", frame.Dialect{Delimiter: '\t'}, "text=[hello, world]"},
		{"carriage returns", "a,b\r\n1,\"x\r\ny\"\r\n2,z", frame.Dialect{}, "a=[1 2] b=[x\r\ny z]"},
		{"quotes", "a,b\n\"1\",\"say \"\"hi\"\"\"\n2,\"\"\n", frame.Dialect{}, `a=[1 2] b=[say "hi" nan]`},
		{"other quotes", "a,b\n1,'x, y'\n", frame.Dialect{Quote: '\''}, "a=[1] b=[x, y]"},
		{"no quotes", "a,b\n1,5\" disk\n", frame.Dialect{NoQuotes: true}, `a=[1] b=[5" disk]`},
		{"no header", "1,x\n2,y\n", frame.Dialect{NoHeader: true}, "0=[1 2] 1=[x y]"},
		{"names", "1,x\n2,y\n", frame.Dialect{NoHeader: true, Names: []string{"p", "q"}}, "p=[1 2] q=[x y]"},
		{"decimal comma", "a;b\n1,5;2\n-0,25;3\n", frame.Dialect{Decimal: ','}, "a=[1.5 -0.25] b=[2 3]"},
		{"blank lines", "a\n\n1\n\r\n2\n\n", frame.Dialect{}, "a=[1 2]"},
		{"latin", "a\ncaf\xe9\n", frame.Dialect{Encoding: "ISO-8859-1"}, "a=[café]"},
		{"windows", "a\n\x80 5\n", frame.Dialect{Encoding: "cp1252"}, "a=[€ 5]"},
		{"byte order mark", "\xef\xbb\xbfa\n1\n", frame.Dialect{Encoding: "latin-1"}, "a=[1]"},
		{"utf-16 by its mark", "\xff\xfe" + wide("a,b\né,😀\n", false), frame.Dialect{}, "a=[é] b=[😀]"},
		{"utf-16 big by its mark", "\xfe\xff" + wide("a,b\né,😀\n", true), frame.Dialect{}, "a=[é] b=[😀]"},
		{"utf-16 declared", wide("a\nx\n", true), frame.Dialect{Encoding: "utf_16_be"}, "a=[x]"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			table, err := frame.ParseCSV([]byte(tt.src), frame.Options{CSV: tt.dialect})
			if err != nil {
				t.Fatal(err)
			}
			if got := cellsOf(table); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func cellsOf(table *frame.Table) string {
	var columns []string
	for _, c := range table.Columns() {
		var cells []string
		for i := range c.Len() {
			cells = append(cells, c.Value(i).String())
		}
		columns = append(columns, c.Name()+"=["+strings.Join(cells, " ")+"]")
	}
	return strings.Join(columns, " ")
}

func TestJSONLines(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, src, want, fault string }{
		{"types", `{"a":1,"b":"x","c":true,"d":1.5}` + "\n" + `{"a":2,"b":"y","c":false,"d":2}`, "a=[1 2] b=[x y] c=[True False] d=[1.5 2.0]", ""},
		{"missing keys", `{"a":1}` + "\n\n" + `{"b":"x"}` + "\n", "a=[1.0 nan] b=[nan x]", ""},
		{"spaces and escapes", " { \"a\" : \"l\\u00e9\\n\" } \r\n", "a=[lé\n]", ""},
		{"text of digits stays text", `{"a":"1"}` + "\n" + `{"a":"2"}`, "a=[1 2]", ""},
		{"mixed is text as spelled", `{"a":1.50}` + "\n" + `{"a":"x"}` + "\n" + `{"a":true}`, "a=[1.50 x true]", ""},
		{"python's infinities", `{"a":Infinity}` + "\n" + `{"a":NaN}` + "\n" + `{"a":-Infinity}`, "a=[inf nan -inf]", ""},
		{"nested", `{"a":1}` + "\n" + `{"a":{"b":1}}`, "", `t:2: column "a": an object or a list inside a cell`},
		{"list", `{"a":[1]}`, "", `t:1: column "a": an object or a list`},
		{"no JSON", `{"a":1}` + "\n" + `{"a":tru}`, "", "t:2: this is not valid JSON"},
		{"cut off", `{"a":1}` + "\n" + `{"a":`, "", "t:2: this is not valid JSON"},
		{"key twice", `{"a":1,"a":2}`, "", `"a" occurs twice`},
		{"array", `[{"a":1}]`, "", "JSON array"},
		{"something behind", `{"a":1} {"a":2}`, "", "t:1: one JSON object"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			table, err := frame.Parse([]byte(tt.src), frame.Options{Name: "t"})
			if tt.fault != "" {
				if err == nil || !strings.Contains(err.Error(), tt.fault) {
					t.Fatalf("error %v, want %q", err, tt.fault)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := cellsOf(table); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestSeveralFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, src string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(src), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("p/a.csv", "n,x\n1,u\n2,v\n")
	write("p/b.csv", "x;n\nw;3.5\n")
	write("p/_SUCCESS", "")
	write("late.csv", "n,x\nno number,u\n")
	write("other.csv", "n,z\n1,u\n")
	write("j.jsonl", `{"n":1,"x":"u"}`)
	write("ragged.csv", "n,x\n1\n")
	tests := []struct {
		name     string
		patterns []string
		want     string
	}{
		{"list", []string{"p/a.csv", "p/b.csv"}, "n=[1.0 2.0 3.5] x=[u v w]"},
		{"pattern", []string{"p/*.csv"}, "n=[1.0 2.0 3.5] x=[u v w]"},
		{"folder", []string{"p"}, "n=[1.0 2.0 3.5] x=[u v w]"},
		{"type changes late", []string{"p/a.csv", "late.csv"}, "n=[1 2 no number] x=[u v u]"},
		{"other columns", []string{"p/a.csv", "other.csv"}, `other.csv has no column "x", which the files before it have (did you mean "n"?)` + "\n" + `other.csv has a column "z", which the files before it do not have (did you mean "n"?)`},
		{"other form", []string{"p/a.csv", "j.jsonl"}, "p/a.csv is CSV, j.jsonl is JSON lines: the files of one table must have one form"},
		{"nothing", []string{"q*.csv"}, "no file matches q*.csv"},
		{"ragged", []string{"p/a.csv", "ragged.csv"}, "ragged.csv:2: this row has 1 fields, the header has 2"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			files, err := frame.Expand(dir, tt.patterns)
			var table *frame.Table
			if err == nil {
				table, err = frame.Read(files, frame.Options{})
			}
			if err != nil {
				if err.Error() != tt.want {
					t.Errorf("error %q, want %q", err, tt.want)
				}
				return
			}
			if got := cellsOf(table); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
