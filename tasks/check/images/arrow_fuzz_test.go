package images_test

import (
	"bytes"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"aloft/tasks/check/images"
)

func stream(t testing.TB, h, w, c, real int32) []byte {
	s := arrow.NewSchema([]arrow.Field{
		{Name: "id", Type: arrow.BinaryTypes.String}, {Name: "image", Type: arrow.BinaryTypes.LargeBinary},
		{Name: "height", Type: arrow.PrimitiveTypes.Int32}, {Name: "width", Type: arrow.PrimitiveTypes.Int32}, {Name: "channels", Type: arrow.PrimitiveTypes.Int32}, {Name: "real", Type: arrow.PrimitiveTypes.Int32},
		{Name: "label", Type: arrow.PrimitiveTypes.Int64}, {Name: "boxes", Type: arrow.BinaryTypes.LargeBinary}, {Name: "proba", Type: arrow.BinaryTypes.LargeBinary},
		{Name: "mask", Type: arrow.BinaryTypes.LargeBinary}, {Name: "mask_height", Type: arrow.PrimitiveTypes.Int32}, {Name: "mask_width", Type: arrow.PrimitiveTypes.Int32}}, nil)
	b := array.NewRecordBuilder(memory.DefaultAllocator, s)
	for i := 0; i < 2; i++ {
		b.Field(0).(*array.StringBuilder).Append("a")
		b.Field(1).(*array.BinaryBuilder).Append(bytes.Repeat([]byte{9}, 24))
		for j, v := range []int32{h, w, c, real} {
			b.Field(2 + j).(*array.Int32Builder).Append(v)
		}
		b.Field(6).(*array.Int64Builder).Append(1)
		b.Field(7).(*array.BinaryBuilder).Append(make([]byte, 40))
		b.Field(8).(*array.BinaryBuilder).Append([]byte{0, 0, 0, 0, 0, 0, 0xf0, 0x3f})
		b.Field(9).(*array.BinaryBuilder).Append(make([]byte, 16))
		b.Field(10).(*array.Int32Builder).Append(2)
		b.Field(11).(*array.Int32Builder).Append(4)
	}
	rec := b.NewRecordBatch()
	var out bytes.Buffer
	w2 := ipc.NewWriter(&out, ipc.WithSchema(s))
	if err := w2.Write(rec); err != nil {
		t.Fatal(err)
	}
	_ = w2.Close()
	return out.Bytes()
}

func FuzzStream(f *testing.F) {
	f.Add(stream(f, 2, 4, 3, 0), byte(0))
	f.Add(stream(f, 2, 3, 1, 1), byte(1))
	f.Add(stream(f, 1<<30, 1<<30, 3, 0), byte(2))
	f.Add(stream(f, -2, -4, 3, 0), byte(0))
	f.Fuzz(func(t *testing.T, data []byte, k byte) {
		task := images.Task(images.Tasks()[int(k)%4])
		b := images.NewBuilder(images.Options{Task: task, Crops: true})
		_ = images.ReadStream(bytes.NewReader(data), "x", b)
		_ = b.Set()
	})
}
