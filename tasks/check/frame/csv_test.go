package frame_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"aloft/tasks/check/frame"
)

func TestTypes(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		fields string // one field per line
		kind   frame.Kind
		cells  string
	}{
		{"integers", "1\n-2\n+3", frame.Int, "1 -2 3"},
		{"integers with a gap", "1\n\"\"\n3", frame.Float, "1.0 nan 3.0"},
		{"floats after integers", "1\n2.5\n3", frame.Float, "1.0 2.5 3.0"},
		{"gap, integer, float", "\"\"\n1\n0.5", frame.Float, "nan 1.0 0.5"},
		{"exponents and infinity", "1e3\n-inf", frame.Float, "1000.0 -inf"},
		{"booleans", "True\nFalse", frame.Bool, "True False"},
		{"spellings of null are text", "NA\nnull\nnan", frame.Text, "NA null nan"},
		{"numbers then text keep their spelling", "007\n1.50\nx", frame.Text, "007 1.50 x"},
		{"booleans then text", "True\nmaybe", frame.Text, "True maybe"},
		{"hexadecimal is text", "0x1F\n0x20", frame.Text, "0x1F 0x20"},
		{"underscores are text", "1_000\n2", frame.Text, "1_000 2"},
		{"beyond int64", "9223372036854775808\n1", frame.Float, "9.223372036854776e+18 1.0"},
		{"quoted commas and quotes", "\"a,b\"\n\"say \"\"hi\"\"\"", frame.Text, `a,b say "hi"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			table, err := frame.ParseCSV([]byte("x\n"+tt.fields+"\n"), frame.Options{Name: "t.csv"})
			if err != nil {
				t.Fatal(err)
			}
			c := table.Column("x")
			var cells []string
			for i := range c.Len() {
				cells = append(cells, c.Value(i).String())
			}
			if c.Kind() != tt.kind || strings.Join(cells, " ") != tt.cells {
				t.Errorf("got %s %q, want %s %q", c.Kind(), strings.Join(cells, " "), tt.kind, tt.cells)
			}
		})
	}
}

func TestDeclaredNullsKeepTheirSpelling(t *testing.T) {
	t.Parallel()
	table, err := frame.ParseCSV([]byte("a,b\n1,x\nNA,\n3,n/a\n"), frame.Options{NA: []string{"NA", "n/a"}})
	if err != nil {
		t.Fatal(err)
	}
	a, b := table.Column("a"), table.Column("b")
	if a.Kind() != frame.Float || !a.IsNull(1) || a.NullSpelling(1) != "NA" {
		t.Errorf("a: kind %s, spelling %q", a.Kind(), a.NullSpelling(1))
	}
	if b.NonNull() != 1 || b.NullSpelling(1) != "" || b.NullSpelling(2) != "n/a" {
		t.Errorf("b: %d present, spellings %q %q", b.NonNull(), b.NullSpelling(1), b.NullSpelling(2))
	}
}

func TestReadErrors(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, src string
		opts      frame.Options
		want      []string
	}{
		{"empty", "", frame.Options{}, []string{"t.csv", "empty"}},
		{"ragged", "a,b\n1,2\n3\n", frame.Options{}, []string{"t.csv:3", "1 fields", "has 2"}},
		{"ragged long", "a,b\n1,2\n3,4,5\n", frame.Options{}, []string{"t.csv:3", "3 fields"}},
		{"twice", "a,b,a\n", frame.Options{}, []string{"t.csv:1", `"a"`, "1 and 3"}},
		{"encoding", "a\nx\n\xff\n", frame.Options{}, []string{"t.csv:3", `"a"`, "UTF-8"}},
		{"quote", "a\n\"x\n", frame.Options{}, []string{"t.csv:"}},
		{"declared type", "a\n1\nx\n", frame.Options{Types: map[string]frame.Kind{"a": frame.Int}}, []string{"t.csv:3", `"a"`, `"x"`, "int64"}},
		{"declared column", "price\n1\n", frame.Options{Types: map[string]frame.Kind{"prize": frame.Int}}, []string{`"prize"`, `did you mean "price"`}},
		{"time", "d\n2024-01-01\nsoon\n", frame.Options{Types: map[string]frame.Kind{"d": frame.Time}}, []string{`"d"`, `"soon"`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.opts.Name = "t.csv"
			_, err := frame.ParseCSV([]byte(tt.src), tt.opts)
			if err == nil {
				t.Fatal("no error")
			}
			for _, w := range tt.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("%q does not mention %q", err, w)
				}
			}
		})
	}
}

func TestGzipAndByteOrderMark(t *testing.T) {
	t.Parallel()
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	if _, err := z.Write([]byte("\xef\xbb\xbfa\n1\nx\n")); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "t.csv.gz")
	if err := os.WriteFile(path, packed.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	table, err := frame.ReadCSV(path, frame.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if c := table.Column("a"); c == nil || c.Value(0).String() != "1" || c.Kind() != frame.Text {
		t.Errorf("got %v", table.Names())
	}
}

func TestTimes(t *testing.T) {
	t.Parallel()
	table, err := frame.ParseCSV([]byte("d,e\n2024-01-31,0\n2024-02-01 12:00:00,60\n"), frame.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := table.ParseTimes("d", ""); err != nil {
		t.Fatal(err)
	}
	if err := table.ParseTimes("e", "s"); err != nil {
		t.Fatal(err)
	}
	if got := table.Column("d").Value(1).String(); got != "2024-02-01T12:00:00" {
		t.Errorf("d = %s", got)
	}
	if got := table.Column("e").Value(1).String(); got != "1970-01-01T00:01:00" {
		t.Errorf("e = %s", got)
	}
}

func BenchmarkReadCSV(b *testing.B) {
	var src bytes.Buffer
	src.WriteString("id,x,y,z,kind\n")
	const rows = 100_000
	for i := range rows {
		fmt.Fprintf(&src, "%d,%d.%03d,%d,%d,kind%d\n", i, i%977, i%1000, i%17, i*7919%100003, i%20)
	}
	b.SetBytes(int64(src.Len()))
	for b.Loop() {
		if _, err := frame.ParseCSV(src.Bytes(), frame.Options{}); err != nil {
			b.Fatal(err)
		}
	}
}
