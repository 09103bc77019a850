package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	pq "github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/schema"
)

// BenchmarkSuites runs `sky test` on generated files of the shape that deepchecks was measured on: 70 % of the rows train,
// three fifths of the features are numbers, the others texts of twenty values. It tells wall time, processor time and peak
// memory of the process, reading included, and the bytes of the files read.
func BenchmarkSuites(b *testing.B) {
	if runtime.GOOS != "linux" {
		b.Skip("memory is that of Linux's getrusage")
	}
	bin := buildRelease(b, "sky", runtime.GOOS, runtime.GOARCH, ".")
	for _, size := range []struct {
		rows, features int
		suites         []string
	}{
		{100_000, 20, []string{"data_integrity", "train_test_validation", "model_evaluation"}},
		{100_000, 100, []string{"data_integrity", "train_test_validation"}},
		{1_000_000, 20, []string{"data_integrity", "train_test_validation", "model_evaluation"}},
		{1_000_000, 50, []string{"full_suite"}},
	} {
		for _, ext := range []string{"csv", "parquet"} {
			b.Run(fmt.Sprintf("%dx%d/%s", size.rows, size.features, ext), func(b *testing.B) {
				r := newBenchRig(b, bin)
				rows := size.rows * 7 / 10
				bytes := writeSide(b, r.dir, "train", ext, rows, size.features, 1)
				bytes += writeSide(b, r.dir, "test", ext, size.rows-rows, size.features, 2)
				for _, suite := range size.suites {
					args := []string{"test", "--suite", suite, "--label", "y", "--train", "train." + ext, "--test", "test." + ext}
					if suite == "model_evaluation" || suite == "full_suite" {
						args = append(args, "--pred-train", "pred_train.csv", "--pred-test", "pred_test.csv")
					}
					b.Run(suite, func(b *testing.B) { r.suite(b, bytes, args...) })
				}
			})
		}
	}
}

// suite measures one run of a suite, whatever its verdict.
func (r *benchRig) suite(b *testing.B, bytes int64, args ...string) {
	forgetPeak()
	var cpu, peak float64
	for b.Loop() {
		c := r.cmd(args...)
		out, err := c.CombinedOutput()
		if ended := (*exec.ExitError)(nil); err != nil && !(errors.As(err, &ended) && ended.ExitCode() == exitChecks) {
			b.Fatalf("%v\n%s", err, out)
		}
		u, ok := c.ProcessState.SysUsage().(*syscall.Rusage)
		if !ok {
			b.Fatal("no rusage")
		}
		cpu += time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
		peak = max(peak, float64(u.Maxrss)/1024)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(b.Elapsed().Seconds()/float64(b.N), "wall-s")
	b.ReportMetric(cpu/float64(b.N), "cpu-s")
	b.ReportMetric(peak, "peak-MB")
	b.ReportMetric(float64(bytes)/(1<<20), "data-MB")
}

// draws is a small generator: the same rows for every format.
type draws uint64

func (d *draws) next() uint64 {
	*d = *d*6364136223846793005 + 1442695040888963407
	return uint64(*d) >> 33
}

// number is roughly normal, with three decimals.
func (d *draws) number() float64 {
	sum := 0
	for range 4 {
		sum += int(d.next() % 1000)
	}
	return float64(sum-2000) / 1000
}

func isNumber(feature int) bool { return feature%5 < 3 }

// writeSide writes a table with its predictions and returns the table's bytes.
func writeSide(b *testing.B, dir, name, ext string, rows, features int, seed draws) int64 {
	b.Helper()
	path := filepath.Join(dir, name+"."+ext)
	if ext == "csv" {
		writeLines(b, path, func(w *bufio.Writer) { csvRows(w, rows, features, seed) })
	} else {
		parquetRows(b, path, rows, features, seed)
	}
	writeLines(b, filepath.Join(dir, "pred_"+name+".csv"), func(w *bufio.Writer) {
		w.WriteString("y_pred,proba_0,proba_1\n")
		d := seed + 77
		for range rows {
			p := d.next() % 1000
			fmt.Fprintf(w, "%d,%.3f,%.3f\n", p/500, float64(1000-p)/1000, float64(p)/1000)
		}
	})
	st, err := os.Stat(path)
	if err != nil {
		b.Fatal(err)
	}
	return st.Size()
}

func writeLines(b *testing.B, path string, fill func(*bufio.Writer)) {
	b.Helper()
	f, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	w := bufio.NewWriterSize(f, 1<<20)
	fill(w)
	if err := errors.Join(w.Flush(), f.Close()); err != nil {
		b.Fatal(err)
	}
}

func csvRows(w *bufio.Writer, rows, features int, d draws) {
	for i := range features {
		fmt.Fprintf(w, "f%d,", i)
	}
	w.WriteString("y\n")
	var line []byte
	for range rows {
		line = line[:0]
		for i := range features {
			if isNumber(i) {
				line = strconv.AppendFloat(line, d.number(), 'f', -1, 64)
			} else {
				line = strconv.AppendUint(append(line, "value "...), d.next()%20, 10)
			}
			line = append(line, ',')
		}
		line = strconv.AppendUint(line, d.next()%2, 10)
		w.Write(append(line, '\n'))
	}
}

// parquetRows writes a table in row groups of a hundred thousand rows.
func parquetRows(b *testing.B, path string, rows, features int, d draws) {
	b.Helper()
	must := func(err error) {
		if err != nil {
			b.Fatal(err)
		}
	}
	var fields schema.FieldList
	for i := range features + 1 {
		name, kind := "f"+strconv.Itoa(i), parquet.Types.ByteArray
		switch {
		case i == features:
			name, kind = "y", parquet.Types.Int64
		case isNumber(i):
			kind = parquet.Types.Double
		}
		var text schema.LogicalType
		if kind == parquet.Types.ByteArray {
			text = schema.StringLogicalType{}
		}
		n, err := schema.NewPrimitiveNodeLogical(name, parquet.Repetitions.Required, text, kind, -1, -1)
		must(err)
		fields = append(fields, n)
	}
	root, err := schema.NewGroupNode("schema", parquet.Repetitions.Required, fields, -1)
	must(err)
	f, err := os.Create(path)
	must(err)
	w := pq.NewParquetWriter(f, root, pq.WithWriterProps(parquet.NewWriterProperties(parquet.WithCompression(compress.Codecs.Snappy))))
	texts := make([]parquet.ByteArray, 20)
	for i := range texts {
		texts[i] = parquet.ByteArray("value " + strconv.Itoa(i))
	}
	const group = 100_000
	for from := 0; from < rows; from += group {
		n := min(group, rows-from)
		g := w.AppendRowGroup()
		for range fields {
			c, err := g.NextColumn()
			must(err)
			switch c := c.(type) {
			case *pq.Float64ColumnChunkWriter:
				_, err = c.WriteBatch(made(n, d.number), nil, nil)
			case *pq.Int64ColumnChunkWriter:
				_, err = c.WriteBatch(made(n, func() int64 { return int64(d.next() % 2) }), nil, nil)
			case *pq.ByteArrayColumnChunkWriter:
				_, err = c.WriteBatch(made(n, func() parquet.ByteArray { return texts[d.next()%20] }), nil, nil)
			}
			must(err)
			must(c.Close())
		}
		must(g.Close())
	}
	must(w.Close())
}

func made[T any](n int, f func() T) []T {
	out := make([]T, n)
	for i := range out {
		out[i] = f()
	}
	return out
}
