package bridge_test

import (
	"bytes"
	"io"
	"net"
	"path/filepath"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"aloft/tasks/check/frame"
)

// BenchmarkTransport reads a stream of images from a unix socket, batch by
// batch, up to where their pixels can be looked at.
func BenchmarkTransport(b *testing.B) {
	const images, pixels = 64, 224 * 224 * 3
	schema := arrow.NewSchema([]arrow.Field{{Name: "image", Type: arrow.BinaryTypes.LargeBinary}}, nil)
	column := array.NewBinaryBuilder(memory.DefaultAllocator, arrow.BinaryTypes.LargeBinary)
	for range images {
		column.Append(bytes.Repeat([]byte{7}, pixels))
	}
	var stream bytes.Buffer
	w := ipc.NewWriter(&stream, ipc.WithSchema(schema))
	rec := array.NewRecordBatch(schema, []arrow.Array{column.NewArray()}, images)
	if err := w.Write(rec); err != nil {
		b.Fatal(err)
	}
	head := stream.Len()
	if err := w.Write(rec); err != nil {
		b.Fatal(err)
	}
	batch := stream.Bytes()[head:]
	listener, err := net.Listen("unix", filepath.Join(b.TempDir(), "s"))
	if err != nil {
		b.Fatal(err)
	}
	defer listener.Close()
	b.SetBytes(images * pixels)
	go func() {
		conn, err := net.Dial("unix", listener.Addr().String())
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = conn.Write(stream.Bytes()[:head])
		for {
			if _, err := conn.Write(batch); err != nil {
				return
			}
		}
	}()
	conn, err := listener.Accept()
	if err != nil {
		b.Fatal(err)
	}
	n, sum := 0, 0
	b.ResetTimer()
	err = frame.Stream(conn, "images", func(*arrow.Schema) error { return nil }, func(rec arrow.RecordBatch) error {
		a, ok := rec.Column(0).(*array.LargeBinary)
		if !ok {
			return io.ErrUnexpectedEOF
		}
		sum += int(a.Value(images - 1)[pixels-1])
		if n++; n > b.N {
			return io.EOF
		}
		return nil
	})
	b.StopTimer()
	if sum == 0 {
		b.Fatal(err)
	}
}
