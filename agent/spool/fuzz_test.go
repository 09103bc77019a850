package spool_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"aloft/agent/spool"
)

// twoSegments writes a stream of two segments and returns their paths and the stream's bytes.
func twoSegments(t testing.TB, root string) (names []string, want []byte) {
	t.Helper()
	w := open(t, root, spool.WriterOptions{SegmentBytes: 300})
	want = pattern(600)
	for i := 0; i < len(want); i += 60 {
		w.Append(int64(i), 1, want[i:i+60])
	}
	if err := w.Complete(); err != nil {
		t.Fatal(err)
	}
	if names = segments(t, root); len(names) < 2 {
		t.Fatalf("%d segments", len(names))
	}
	return names, want
}

// Cut a segment at every byte: what is read is always right where it is data, and a hole where it is not.
func TestTruncationAtEveryByte(t *testing.T) {
	t.Parallel()
	for seg := range 2 {
		root := t.TempDir()
		names, want := twoSegments(t, root)
		whole, err := os.ReadFile(names[seg])
		if err != nil {
			t.Fatal(err)
		}
		for cut := range len(whole) + 1 {
			if err := os.WriteFile(names[seg], whole[:cut], 0o600); err != nil {
				t.Fatal(err)
			}
			r := spool.OpenReader(root, key)
			r.Finish(uint64(len(want)))
			checkAgainst(t, r, want)
			if err := r.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(names[seg], whole, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// checkAgainst reads a damaged stream to its known end.
func checkAgainst(t testing.TB, r *spool.Reader, want []byte) {
	t.Helper()
	var off uint64
	for off < uint64(len(want)) {
		recs, next, err := r.ReadFrom(off, 100)
		if err != nil || next <= off {
			t.Fatalf("at %d: next %d, %v", off, next, err)
		}
		for _, rec := range recs {
			if rec.Offset != off || rec.End() > uint64(len(want)) || !bytes.Equal(rec.Data, want[off:off+uint64(len(rec.Data))]) {
				t.Fatalf("record %d..%d, gap %d, at %d", rec.Offset, rec.End(), rec.Gap, off)
			}
			off = rec.End()
		}
	}
}

// FuzzSegment reads segments of arbitrary bytes: never a crash, never a standstill, offsets always grow.
func FuzzSegment(f *testing.F) {
	root := f.TempDir()
	names, _ := twoSegments(f, root)
	for _, n := range names {
		b, err := os.ReadFile(n)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, uint64(0), uint16(3))
		f.Add(b[:len(b)-5], uint64(100), uint16(77))
	}
	f.Fuzz(func(t *testing.T, b []byte, from uint64, flip uint16) {
		root := t.TempDir()
		from %= 1 << 20
		dir := key.Path(root)
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		for i, name := range []string{"00000000000000000000.seg", "00000000000000000360.seg"} {
			if i == 1 && len(b) > 0 {
				b = bytes.Clone(b)
				b[int(flip)%len(b)] ^= 0x10
			}
			if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		r := spool.OpenReader(root, key)
		defer func() { _ = r.Close() }()
		drain(t, r, from, 1000)
		w, err := spool.OpenWriter(root, key, spool.WriterOptions{})
		if err != nil {
			t.Fatal(err)
		}
		end := w.Append(1, 1, []byte("after all"))
		if err := w.Complete(); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		again := spool.OpenReader(root, key)
		defer func() { _ = again.Close() }()
		if data, _, next, complete := drain(t, again, 0, 1000); !complete || next != end || !bytes.HasSuffix(data, []byte("after all")) {
			t.Fatalf("after repair: complete %v, next %d of %d", complete, next, end)
		}
	})
}
