package frame_test

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	pq "github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/schema"
)

// row is row i of the table that tables writes in every form.
func row(i int) (n int64, x float64, kind string, missing bool, flag bool) {
	return int64(i * 7 % 90), float64(i%13) / 4, fmt.Sprintf("kind %d", i*i%23), i > 2 && i%5 == 0, i%3 == 0
}

// tables writes one table in every form: columns n (integers), x (floats, some
// missing), kind (texts, some missing) and flag.
func tables(tb testing.TB, rows int) map[string][]byte {
	tb.Helper()
	var csv, lines strings.Builder
	csv.WriteString("n,x,kind,flag\n")
	for i := range rows {
		n, x, kind, missing, flag := row(i)
		if missing {
			fmt.Fprintf(&csv, "%d,,,%v\n", n, flag)
			fmt.Fprintf(&lines, "{\"n\": %d, \"x\": null, \"flag\": %v, \"kind\": null}\n", n, flag)
			continue
		}
		fmt.Fprintf(&csv, "%d,%v,\"%s\",%v\n", n, x, kind, flag)
		fmt.Fprintf(&lines, "{\"n\": %d, \"x\": %v, \"kind\": %q, \"flag\": %v}\n", n, x, kind, flag)
	}
	out := map[string][]byte{"csv": []byte(csv.String()), "jsonlines": []byte(lines.String())}
	out["arrow file"], out["arrow stream"] = arrowTables(tb, rows)
	for _, c := range []compress.Compression{compress.Codecs.Uncompressed, compress.Codecs.Snappy, compress.Codecs.Zstd, compress.Codecs.Gzip} {
		out["parquet "+c.String()] = parquetTable(tb, rows, c)
	}
	return out
}

func arrowTables(tb testing.TB, rows int) (file, stream []byte) {
	tb.Helper()
	s := arrow.NewSchema([]arrow.Field{
		{Name: "n", Type: arrow.PrimitiveTypes.Int32}, {Name: "x", Type: arrow.PrimitiveTypes.Float64, Nullable: true},
		{Name: "kind", Type: &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int16, ValueType: arrow.BinaryTypes.String}, Nullable: true},
		{Name: "flag", Type: arrow.FixedWidthTypes.Boolean},
	}, nil)
	b := array.NewRecordBuilder(memory.DefaultAllocator, s)
	var f, st bytes.Buffer
	fw, err := ipc.NewFileWriter(&f, ipc.WithSchema(s), ipc.WithZstd(), ipc.WithDictionaryDeltas(true))
	if err != nil {
		tb.Fatal(err)
	}
	sw := ipc.NewWriter(&st, ipc.WithSchema(s))
	const batch = 1000
	for from := 0; from < rows; from += batch {
		for i := from; i < min(from+batch, rows); i++ {
			n, x, kind, missing, flag := row(i)
			b.Field(0).(*array.Int32Builder).Append(int32(n))
			b.Field(3).(*array.BooleanBuilder).Append(flag)
			if missing {
				b.Field(1).AppendNull()
				b.Field(2).AppendNull()
				continue
			}
			b.Field(1).(*array.Float64Builder).Append(x)
			if err := b.Field(2).(*array.BinaryDictionaryBuilder).AppendString(kind); err != nil {
				tb.Fatal(err)
			}
		}
		rec := b.NewRecordBatch()
		for _, w := range []interface{ Write(arrow.RecordBatch) error }{fw, sw} {
			if err := w.Write(rec); err != nil {
				tb.Fatal(err)
			}
		}
	}
	for _, w := range []io.Closer{fw, sw} {
		if err := w.Close(); err != nil {
			tb.Fatal(err)
		}
	}
	return f.Bytes(), st.Bytes()
}

// parquetTable writes row groups of 2000 rows with small pages.
func parquetTable(tb testing.TB, rows int, codec compress.Compression) []byte {
	tb.Helper()
	var fields schema.FieldList
	add := func(n *schema.PrimitiveNode, err error) {
		if err != nil {
			tb.Fatal(err)
		}
		fields = append(fields, n)
	}
	add(schema.NewPrimitiveNode("n", parquet.Repetitions.Required, parquet.Types.Int64, -1, -1))
	add(schema.NewPrimitiveNode("x", parquet.Repetitions.Optional, parquet.Types.Double, -1, -1))
	add(schema.NewPrimitiveNodeLogical("kind", parquet.Repetitions.Optional, schema.StringLogicalType{}, parquet.Types.ByteArray, -1, -1))
	add(schema.NewPrimitiveNode("flag", parquet.Repetitions.Required, parquet.Types.Boolean, -1, -1))
	root, err := schema.NewGroupNode("schema", parquet.Repetitions.Required, fields, -1)
	if err != nil {
		tb.Fatal(err)
	}
	var out bytes.Buffer
	w := pq.NewParquetWriter(&out, root, pq.WithWriterProps(parquet.NewWriterProperties(parquet.WithCompression(codec), parquet.WithDataPageSize(2048))))
	const group = 2000
	for from := 0; from < rows; from += group {
		writeGroup(tb, w, from, min(from+group, rows))
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return out.Bytes()
}

func writeGroup(tb testing.TB, w *pq.Writer, from, to int) {
	tb.Helper()
	var ns []int64
	var xs []float64
	var kinds []parquet.ByteArray
	var flags []bool
	var defs []int16
	for i := from; i < to; i++ {
		n, x, kind, missing, flag := row(i)
		ns, flags = append(ns, n), append(flags, flag)
		if missing {
			defs = append(defs, 0)
			continue
		}
		defs, xs, kinds = append(defs, 1), append(xs, x), append(kinds, parquet.ByteArray(kind))
	}
	g := w.AppendRowGroup()
	for i := range 4 {
		c, err := g.NextColumn()
		if err != nil {
			tb.Fatal(err)
		}
		switch i {
		case 0:
			_, err = c.(*pq.Int64ColumnChunkWriter).WriteBatch(ns, nil, nil)
		case 1:
			_, err = c.(*pq.Float64ColumnChunkWriter).WriteBatch(xs, defs, nil)
		case 2:
			_, err = c.(*pq.ByteArrayColumnChunkWriter).WriteBatch(kinds, defs, nil)
		default:
			_, err = c.(*pq.BooleanColumnChunkWriter).WriteBatch(flags, nil, nil)
		}
		if err != nil {
			tb.Fatal(err)
		}
		if err := c.Close(); err != nil {
			tb.Fatal(err)
		}
	}
	if err := g.Close(); err != nil {
		tb.Fatal(err)
	}
}
