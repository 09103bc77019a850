package sheet_test

import (
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"aloft/controller/catalog/sheet"
)

const head = "InstanceType,AcceleratorName,AcceleratorCount,vCPUs,MemoryGiB,GpuInfo,Price,SpotPrice,Region,AvailabilityZone\n"

// dump is a sheet as text, one line a row, types in their order.
func dump(s *sheet.Sheet) string {
	var b strings.Builder
	for i := range s.Types {
		t := &s.Types[i]
		for _, r := range s.Rows(t) {
			fmt.Fprintf(&b, "%s|%s:%v|%v|%v|%v|%v/%v|%s/%s|%s\n", t.Name, t.Accelerator, t.Count, t.CPUs, t.MemoryGB, t.DeviceGB, r.Price, r.Spot, s.Region(r), s.Zone(r), s.Dated(r))
		}
	}
	return b.String()
}

func TestRead(t *testing.T) {
	t.Parallel()
	for _, x := range []struct {
		name, csv, want, problems, err string
	}{
		{name: "plain", csv: head + "m,,,2.0,8.0,,0.1,0.03,us,us-a\n", want: "m|:0|2|8|0|0.1/0.03|us/us-a|\n"},
		{name: "no spot price", csv: head + "m,,,2,8,,0.1,,us,us-a\n", want: "m|:0|2|8|0|0.1/NaN|us/us-a|\n"},
		{name: "no price at all", csv: head + "m,,,2,8,,,,us,\n", want: "m|:0|2|8|0|NaN/NaN|us/|\n"},
		{name: "nan is unknown", csv: head + "m,,,2,8,,nan,nan,us,\n", want: "m|:0|2|8|0|NaN/NaN|us/|\n"},
		{name: "quotes", csv: head + `p3,V100,1,8,61,"{'Gpus': [{'MemoryInfo': {'SizeInMiB': 16384}}], ""x"": 1}",3,,us,a` + "\n", want: "p3|V100:1|8|61|16|3/NaN|us/a|\n"},
		{name: "a quoted line end", csv: head + "\"m\",,,2,8,\"a\nb\",1,,us,\nn,,,x,8,,1,,us,\n", want: "m|:0|2|8|0|1/NaN|us/|\n", problems: "vms.csv:4: vCPUs \"x\" is not a number"},
		{name: "attached accelerator", csv: head + ",T4,4,,,,1.4,0.44,us,us-a\n", want: "|T4:4|0|0|0|1.4/0.44|us/us-a|\n"},
		{name: "rows of one type stay together, in order", csv: head + "m,,,2,8,,1,,us,a\nn,,,4,8,,2,,us,a\nm,,,2,8,,3,,eu,b\n",
			want: "m|:0|2|8|0|1/NaN|us/a|\nm|:0|2|8|0|3/NaN|eu/b|\nn|:0|4|8|0|2/NaN|us/a|\n"},
		{name: "other order of columns, more of them, a mark in front, CRLF", csv: "\xef\xbb\xbfRegion,Foo,Price,vCPUs,AcceleratorName,AcceleratorCount,InstanceType,PriceDate\r\nus,1,2,4,,,m,2021\r\n", want: "m|:0|4|0|0|2/NaN|us/|2021\n"},
		{name: "scientific", csv: head + "m,,,2,8,,1e-1,,us,\n", want: "m|:0|2|8|0|0.1/NaN|us/|\n"},
		{name: "empty lines", csv: head + "\n\nm,,,2,8,,1,,us,\n\n", want: "m|:0|2|8|0|1/NaN|us/|\n"},
		{name: "bad rows are named", csv: head + "m,,,2,8,,1,,us,a\nm,,,2,8,,x,,us,a\nm,,,2,8,,-1,,us,a\nm,,\nm,,,2,8,,1,,,a\n,,,2,8,,1,,us,a\np,V100,,2,8,,1,,us,a\n\x1b[31m,,,2,8,,1,,us,a\nm,,,2,8,,1,inf,us,a\n\"m\"x,,,2,8,,1,,us,a\nn,,,2,8,,1,,us,a\n",
			want: "m|:0|2|8|0|1/NaN|us/a|\nn|:0|2|8|0|1/NaN|us/a|\n",
			problems: `vms.csv:3: Price "x" is not a number
vms.csv:4: Price "-1" is not between 0 and 1e+09
vms.csv:5: 3 fields, the header has 10
vms.csv:6: Region is empty
vms.csv:7: both InstanceType and AcceleratorName are empty
vms.csv:8: AcceleratorCount of V100 is not told
vms.csv:9: InstanceType "\x1b[31m" holds a control character
vms.csv:10: SpotPrice "inf" is not between 0 and 1e+09
vms.csv:11: unreadable record: text after a closing quote`},
		{name: "a quote that is never closed", csv: head + "m,,,2,8,,1,,us,\n\"n,,,2\n", want: "m|:0|2|8|0|1/NaN|us/|\n", problems: "vms.csv:3: unreadable record: a quote is never closed"},
		{name: "empty", csv: "", err: "vms.csv: not a catalogue: it is empty"},
		{name: "no rows", csv: head, err: "vms.csv: not a catalogue: it has no rows"},
		{name: "no good row", csv: head + "m\n", err: "no row is good: vms.csv:2: 1 fields"},
		{name: "a page", csv: "<html>\n", err: "vms.csv:1: not a catalogue: the header lacks the columns InstanceType, AcceleratorName, AcceleratorCount, vCPUs, Price, Region"},
		{name: "a line without end", csv: strings.Repeat("x", 1<<20), err: "vms.csv:1: unreadable record"},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			s, rep, err := sheet.Read("vms.csv", strings.NewReader(x.csv))
			if x.err != "" {
				if err == nil || !strings.Contains(err.Error(), x.err) {
					t.Fatalf("got %v, want %q", err, x.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(x.want, dump(s)); d != "" {
				t.Error(d)
			}
			var ps []string
			for _, p := range rep.Problems {
				ps = append(ps, p.String())
			}
			if d := cmp.Diff(x.problems, strings.Join(ps, "\n")); d != "" {
				t.Error(d)
			}
			if rep.Rows != s.Len() || rep.Bad != len(ps) {
				t.Errorf("report %d rows, %d bad", rep.Rows, rep.Bad)
			}
			again, err := sheet.Decode(s.Encode("stamp"), "stamp")
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(dump(s), dump(again)); d != "" {
				t.Errorf("after the binary form: %s", d)
			}
		})
	}
}

// failing fails after some bytes.
type failing struct {
	r io.Reader
}

var errDisk = errors.New("disk on fire")

func (f failing) Read(p []byte) (int, error) {
	n, err := f.r.Read(p)
	if errors.Is(err, io.EOF) {
		err = errDisk
	}
	return n, err
}

func TestReadFails(t *testing.T) {
	t.Parallel()
	if _, _, err := sheet.Read("vms.csv", failing{strings.NewReader(head + "m,,,2,8,,1,,us,\n")}); !errors.Is(err, errDisk) {
		t.Fatalf("got %v", err)
	}
}

func TestWithZones(t *testing.T) {
	t.Parallel()
	s, _, err := sheet.Read("vms.csv", strings.NewReader(head+"m,,,2,8,,1,,us,id1\nm,,,2,8,,1,,us,id2\nm,,,2,8,,1,,us,\nn,,,2,8,,1,,eu,id3\n"))
	if err != nil {
		t.Fatal(err)
	}
	got := dump(s.WithZones(map[string]string{"id1": "us-a", "us": "wrong"}))
	if want := "m|:0|2|8|0|1/NaN|us/us-a|\nm|:0|2|8|0|1/NaN|us/|\n"; got != want {
		t.Errorf("got\n%s", got)
	}
}

// TestDecodeBroken damages every byte and cuts at every length: it must be noticed, and kill nobody.
func TestDecodeBroken(t *testing.T) {
	t.Parallel()
	s, _, err := sheet.Read("vms.csv", strings.NewReader(head+"m,,,2,8,,1,,us,id1\n,T4,1,,,,1,2,eu,id2\n"))
	if err != nil {
		t.Fatal(err)
	}
	good := s.Encode("s")
	for i := range good {
		bad := append([]byte{}, good...)
		bad[i] ^= 0xff
		if _, err := sheet.Decode(bad, "s"); !errors.Is(err, sheet.ErrStale) {
			t.Fatalf("byte %d changed: %v", i, err)
		}
		if _, err := sheet.Decode(good[:i], "s"); !errors.Is(err, sheet.ErrStale) {
			t.Fatalf("cut at %d: %v", i, err)
		}
	}
	if _, err := sheet.Decode(good, "other"); !errors.Is(err, sheet.ErrStale) {
		t.Fatalf("another stamp: %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	s, _, err := sheet.Read("vms.csv", strings.NewReader(head+"m,,,2,8,,1,,us,id1\n"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(s.Encode(""))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := sheet.Decode(b, "")
		if err == nil {
			_ = dump(s)
		}
	})
}

func FuzzRead(f *testing.F) {
	f.Add(head + "m,,,2,8,,0.1,0.03,us,us-a\n")
	f.Add(head + "p3,V100,1,8,61,\"{'Gpus': [{'MemoryInfo': {'SizeInMiB': 16384}}], \"\"x\"\": 1}\",3,,us,a\n")
	f.Add(head + ",T4,4,,,,1.4,0.44,us,us-a\r\n\"m\",,,2,8,\"a\nb\",1,,us,\n")
	f.Add("<html>")
	f.Fuzz(func(t *testing.T, text string) {
		s, rep, err := sheet.Read("f", strings.NewReader(text))
		if err != nil {
			return
		}
		if rep.Rows != s.Len() || rep.Rows == 0 {
			t.Fatalf("%d rows, report %d", s.Len(), rep.Rows)
		}
		rows := 0
		for i := range s.Types {
			ty := &s.Types[i]
			if ty.Name == "" && ty.Accelerator == "" {
				t.Fatal("a type without a name")
			}
			for _, r := range s.Rows(ty) {
				rows++
				if s.Region(r) == "" || r.Price < 0 || r.Spot < 0 || math.IsInf(r.Price, 0) {
					t.Fatalf("row %+v of %+v", r, ty)
				}
			}
		}
		if rows != s.Len() {
			t.Fatalf("types have %d rows of %d", rows, s.Len())
		}
		if d, err := sheet.Decode(s.Encode("x"), "x"); err != nil || dump(d) != dump(s) {
			t.Fatalf("the binary form is another: %v", err)
		}
	})
}

// BenchmarkRead reads a catalogue as large as AWS's.
func BenchmarkRead(b *testing.B) {
	text := large(100_000)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := sheet.Read("vms.csv", strings.NewReader(text)); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkDecode reads its binary form.
func BenchmarkDecode(b *testing.B) {
	s, _, err := sheet.Read("vms.csv", strings.NewReader(large(100_000)))
	if err != nil {
		b.Fatal(err)
	}
	raw := s.Encode("x")
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := sheet.Decode(raw, "x"); err != nil {
			b.Fatal(err)
		}
	}
}

// large makes a catalogue of n rows: 100 places.
func large(n int) string {
	var b strings.Builder
	b.WriteString(head)
	for i := range n {
		p := i % 100
		b.WriteString("t" + strconv.Itoa(i/100) + ".xlarge,V100,1.0,8.0,61.0,\"{'Gpus': [{'Name': 'V100', 'Manufacturer': 'NVIDIA', 'Count': 1, 'MemoryInfo': {'SizeInMiB': 16384}}], 'TotalGpuMemoryInMiB': 16384}\",")
		b.WriteString(strconv.FormatFloat(1+float64(i%977)/1000, 'f', 3, 64) + ",0.866439,region-" + strconv.Itoa(p/4) + ",region-" + strconv.Itoa(p/4) + "-az" + strconv.Itoa(p%4) + "\n")
	}
	return b.String()
}

// TestNumbers holds the fast reader of numbers against strconv.
func TestNumbers(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`[0-9]{0,9}\.?[0-9]{0,9}`).Draw(t, "number")
		want, err := strconv.ParseFloat(text, 64)
		s, _, rerr := sheet.Read("f", strings.NewReader(head+"m,,,2,8,,"+text+",,us,\n"))
		if text == "" {
			return
		}
		if (err == nil && want <= 1e9) != (rerr == nil) {
			t.Fatalf("%q: strconv %v, here %v", text, err, rerr)
		}
		if rerr == nil && s.Rows(&s.Types[0])[0].Price != want {
			t.Fatalf("%q: %v, want %v", text, s.Rows(&s.Types[0])[0].Price, want)
		}
	})
}
