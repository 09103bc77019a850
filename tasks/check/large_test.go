package check_test

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"

	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	pq "github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/schema"

	"aloft/tasks/check"
)

// BenchmarkLargerThanMemory checks the integrity of a Parquet table of
// ALOFT_BENCH_ROWS rows and 10 columns, 100 million for the figures in
// docs/performance.md. It writes some gigabytes to the temporary directory.
func BenchmarkLargerThanMemory(b *testing.B) {
	rows, err := strconv.Atoi(os.Getenv("ALOFT_BENCH_ROWS"))
	if err != nil || rows < 1 {
		b.Skip("ALOFT_BENCH_ROWS is not set")
	}
	dir := b.TempDir()
	writeParquet(b, filepath.Join(dir, "train.parquet"), rows)
	runtime.GC()
	for b.Loop() {
		spec, err := check.SpecFromMap(map[string]any{"suites": []string{"data_integrity"}, "train": "train.parquet", "label": "y"})
		if err != nil {
			b.Fatal(err)
		}
		r, err := check.RunSpec(context.Background(), spec, dir)
		if err != nil {
			b.Fatal(err)
		}
		if r.Train.Rows != rows || r.Counts().Error > 0 {
			b.Fatalf("%d rows, %+v", r.Train.Rows, r.Counts())
		}
	}
	b.ReportMetric(float64(rows)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}

// writeParquet writes 4 columns of floats, 3 of integers, 2 of texts and a
// label in row groups of a million rows.
func writeParquet(tb testing.TB, path string, rows int) {
	tb.Helper()
	must := func(err error) {
		if err != nil {
			tb.Fatal(err)
		}
	}
	f, err := os.Create(path)
	must(err)
	var fields schema.FieldList
	for i, t := range []parquet.Type{
		parquet.Types.Double, parquet.Types.Double, parquet.Types.Double, parquet.Types.Double, parquet.Types.Int64,
		parquet.Types.Int64, parquet.Types.Int32, parquet.Types.ByteArray, parquet.Types.ByteArray, parquet.Types.Int32,
	} {
		name := "c" + strconv.Itoa(i)
		if i == 9 {
			name = "y"
		}
		n, err := schema.NewPrimitiveNode(name, parquet.Repetitions.Required, t, -1, -1)
		must(err)
		fields = append(fields, n)
	}
	root, err := schema.NewGroupNode("schema", parquet.Repetitions.Required, fields, -1)
	must(err)
	w := pq.NewParquetWriter(f, root, pq.WithWriterProps(parquet.NewWriterProperties(parquet.WithCompression(compress.Codecs.Snappy))))
	state := uint64(7)
	next := func() uint64 {
		state = state*6364136223846793005 + 1442695040888963407
		return state >> 33
	}
	const group = 1_000_000
	texts := make([]parquet.ByteArray, 1000)
	for i := range texts {
		texts[i] = parquet.ByteArray("value " + strconv.Itoa(i))
	}
	for from := 0; from < rows; from += group {
		n := min(group, rows-from)
		g := w.AppendRowGroup()
		for i := range fields {
			c, err := g.NextColumn()
			must(err)
			switch c := c.(type) {
			case *pq.Float64ColumnChunkWriter:
				_, err = c.WriteBatch(fillWith(n, func() float64 { return float64(next()%1_000_000) / 1000 }), nil, nil)
			case *pq.Int64ColumnChunkWriter:
				_, err = c.WriteBatch(fillWith(n, func() int64 { return int64(next() % 100_000) }), nil, nil)
			case *pq.Int32ColumnChunkWriter:
				_, err = c.WriteBatch(fillWith(n, func() int32 { return int32(next() % 2) }), nil, nil)
			case *pq.ByteArrayColumnChunkWriter:
				_, err = c.WriteBatch(fillWith(n, func() parquet.ByteArray { return texts[next()%(1<<(i+2))%1000] }), nil, nil)
			}
			must(err)
			must(c.Close())
		}
		must(g.Close())
	}
	must(w.Close())
}

func fillWith[T any](n int, f func() T) []T {
	out := make([]T, n)
	for i := range out {
		out[i] = f()
	}
	return out
}
