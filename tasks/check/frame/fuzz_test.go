package frame_test

import (
	"testing"

	"aloft/tasks/check/frame"
)

// sound checks that a table holds together, and that a part of it can be read.
func sound(t *testing.T, src []byte, opts frame.Options) {
	t.Helper()
	opts.Name = "f"
	table, err := frame.Parse(src, opts)
	if err != nil {
		return
	}
	for _, c := range table.Columns() {
		if c.Len() != table.Rows() {
			t.Fatalf("column %q has %d of %d rows", c.Name(), c.Len(), table.Rows())
		}
		for i := range c.Len() {
			v := c.Value(i)
			if v.IsNull() != c.IsNull(i) {
				t.Fatalf("%q row %d: %v", c.Name(), i, v)
			}
			if !v.IsNull() && c.FromBits(c.Bits(i)).Key() != v.Key() {
				t.Fatalf("%q row %d: %v does not survive its bits", c.Name(), i, v)
			}
		}
	}
	if table.Rows() < 2 {
		return
	}
	opts.MaxRows = 1
	opts.Select = func(total int) *frame.Selection {
		if total != table.Rows() {
			t.Fatalf("%d rows counted, %d read", total, table.Rows())
		}
		return frame.NewSelection(total, map[int][]int32{1: {int32(total - 1)}})
	}
	part, err := frame.Parse(src, opts)
	if err != nil {
		t.Fatalf("the whole can be read, a part cannot: %v", err)
	}
	for _, c := range table.Columns() {
		if got, want := part.Column(c.Name()).Value(0), c.Value(table.Rows()-1); got != want {
			t.Fatalf("%q: the last row is %v in part, %v in whole", c.Name(), got, want)
		}
	}
}

func FuzzReadCSV(f *testing.F) {
	for _, s := range []string{
		"a,b\n1,2\n", "a\n1\nx\n", "a\n\"q\n", "\xef\xbb\xbfa\n", "a,a\n", "a\n\n\n1\n", "a,b\n,\n1,True\n", "a;b\r\n1,5;\"x\r\ny\"\r\n",
		"\xff\xfea\x00\n\x001\x00", "a\n-0\n1e5\n 7 \n", "a|b\n1|\"\"\"\"", "\x1f\x8b\x08", "\x28\xb5\x2f\xfd\x00",
	} {
		f.Add([]byte(s), byte(0), byte('"'), byte('.'), "")
		f.Add([]byte(s), byte(';'), byte('\''), byte(','), "latin-1")
	}
	f.Fuzz(func(t *testing.T, src []byte, delimiter, quote, decimal byte, encoding string) {
		if delimiter == '\n' || delimiter == quote || quote == '\n' || delimiter == decimal {
			return // refused by documents
		}
		sound(t, src, frame.Options{NA: []string{"NA"}, CSV: frame.Dialect{Delimiter: delimiter, Quote: quote, Decimal: decimal, Encoding: encoding}})
	})
}

func FuzzReadJSONLines(f *testing.F) {
	for _, s := range []string{
		`{"a":1,"b":"x"}` + "\n" + `{"a":null}`, `{"a":[1]}`, `{"a":{}}`, `{}`, `{"a":"\ud83d\ude00"}`, `{"a":1e400}`, `{"a":tr`, `{"a":"1"}` + "\n" + `{"a":1}`,
		`{"a":["x, ]\\"",1]}`, `{"a":[}`, `{"a":[[]]}`, `{"a":NaN}`, `{"":""}`, "{\"a\":\"\xff\"}", `{"a":1}{"a":2}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		sound(t, append([]byte(`{"a":0}`+"\n"), src...), frame.Options{NA: []string{"x"}})
		sound(t, append([]byte(`{"a":0}`+"\n"), src...), frame.Options{NA: []string{"x"}, Lists: true})
	})
}

func FuzzReadArrow(f *testing.F) {
	forms := tables(f, 20)
	f.Add(forms["arrow file"])
	f.Add(forms["arrow stream"])
	f.Fuzz(func(t *testing.T, src []byte) { sound(t, src, frame.Options{}) })
}

func FuzzReadParquet(f *testing.F) {
	for name, src := range tables(f, 20) {
		if len(name) > 7 && name[:7] == "parquet" {
			f.Add(src)
		}
	}
	f.Fuzz(func(t *testing.T, src []byte) { sound(t, src, frame.Options{}) })
}
