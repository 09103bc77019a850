package spool_test

import (
	"errors"
	"io"
	"testing"

	"aloft/agent/spool"
)

// BenchmarkAppend is the writing side alone, in records of 64 KiB.
func BenchmarkAppend(b *testing.B) {
	root := b.TempDir()
	w := open(b, root, spool.WriterOptions{MaxBytes: 256 << 20})
	data := pattern(64 << 10)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		w.Append(1, 1, data)
	}
}

// BenchmarkAppendAndRead is what a byte of output costs on its way through the spool: written, read and freed.
func BenchmarkAppendAndRead(b *testing.B) {
	for _, tc := range []struct {
		name string
		size int
	}{{"64KiB", 64 << 10}, {"4KiB", 4 << 10}, {"100B", 100}} {
		b.Run(tc.name, func(b *testing.B) {
			root := b.TempDir()
			w := open(b, root, spool.WriterOptions{})
			r := spool.OpenReader(root, key)
			data := pattern(tc.size)
			b.SetBytes(int64(tc.size))
			var off, unread uint64
			for b.Loop() {
				end := w.Append(1, 1, data)
				if unread += uint64(tc.size); unread < 1<<20 {
					continue
				}
				unread = 0
				for off < end {
					_, next, err := r.ReadFrom(off, 1<<20)
					if err != nil && !errors.Is(err, io.EOF) {
						b.Fatal(err)
					}
					off = next
				}
				if err := r.Ack(off); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
