package spool_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"aloft/agent/spool"
)

var key = spool.Key{JobID: "01ABC", Attempt: 2, Slot: 3, Name: "run"}

func open(t testing.TB, root string, o spool.WriterOptions) *spool.Writer {
	t.Helper()
	w, err := spool.OpenWriter(root, key, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close() })
	return w
}

// drain reads from off until nothing more is there, checking that offsets follow each other.
func drain(t testing.TB, r *spool.Reader, off uint64, max int) (data []byte, gaps uint64, next uint64, complete bool) {
	t.Helper()
	for {
		recs, n, err := r.ReadFrom(off, max)
		if errors.Is(err, io.EOF) {
			return data, gaps, off, true
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(recs) == 0 {
			return data, gaps, off, false
		}
		for _, rec := range recs {
			if rec.Offset != off || rec.End() == off || rec.Gap > 0 && len(rec.Data) > 0 {
				t.Fatalf("record %d..%d (gap %d) at offset %d", rec.Offset, rec.End(), rec.Gap, off)
			}
			off = rec.End()
			data = append(data, rec.Data...)
			gaps += rec.Gap
		}
		if n != off {
			t.Fatalf("next %d behind a record that ends at %d", n, off)
		}
	}
}

func segments(t testing.TB, root string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(key.Path(root), "*.seg"))
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func pattern(n int) []byte {
	b := make([]byte, n)
	src := rand.NewChaCha8([32]byte{7})
	_, _ = src.Read(b) // never fails
	return b
}

func TestWriteAndRead(t *testing.T) {
	t.Parallel()
	for _, max := range []int{1, 7, 100, 1 << 20} {
		t.Run(fmt.Sprintf("max=%d", max), func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			w := open(t, root, spool.WriterOptions{SegmentBytes: 300})
			r := spool.OpenReader(root, key)
			if data, _, _, complete := drain(t, r, 0, max); len(data) > 0 || complete {
				t.Fatal("something where nothing is")
			}
			want := pattern(5000)
			var off uint64
			var got []byte
			for i, rest := 0, want; len(rest) > 0; i++ {
				n := min(len(rest), i%90+1)
				if end := w.Append(int64(i), int32(i%2+1), rest[:n]); end != uint64(len(want)-len(rest)+n) {
					t.Fatalf("end %d", end)
				}
				rest = rest[n:]
				if i%3 == 0 {
					data, gaps, next, complete := drain(t, r, off, max)
					got, off = append(got, data...), next
					if gaps != 0 || complete || next != w.End() {
						t.Fatalf("gaps %d, complete %v, next %d of %d", gaps, complete, next, w.End())
					}
				}
			}
			if err := w.Complete(); err != nil {
				t.Fatal(err)
			}
			data, _, _, complete := drain(t, r, off, max)
			if got = append(got, data...); !complete || !bytes.Equal(got, want) {
				t.Fatalf("complete %v, %d bytes", complete, len(got))
			}
			if end, complete, err := spool.OpenReader(root, key).End(); err != nil || !complete || end != uint64(len(want)) {
				t.Errorf("end %d, complete %v, %v", end, complete, err)
			}
			// From anywhere, also from inside a record.
			for from := range len(want) {
				if from%37 > 3 {
					continue
				}
				data, _, _, complete := drain(t, spool.OpenReader(root, key), uint64(from), 1<<20)
				if !complete || !bytes.Equal(data, want[from:]) {
					t.Fatalf("from %d: complete %v, %d bytes", from, complete, len(data))
				}
				if back, _, _, _ := drain(t, r, uint64(from), max+500); !bytes.Equal(back, want[from:]) {
					t.Fatalf("the same reader from %d: %d bytes", from, len(back))
				}
			}
			if _, _, err := r.ReadFrom(uint64(len(want))+5, max); !errors.Is(err, io.EOF) {
				t.Errorf("behind the end: %v", err)
			}
		})
	}
}

func TestRecordsKeepTimeAndDescriptor(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	w := open(t, root, spool.WriterOptions{})
	w.Append(1111, 1, []byte("out"))
	w.Append(2222, 2, []byte("err"))
	big := pattern(spool.MaxRecord + 1)
	w.Append(3333, 1, big)
	recs, next, err := spool.OpenReader(root, key).ReadFrom(0, 1<<20)
	if err != nil || next != uint64(6+len(big)) || len(recs) != 4 {
		t.Fatalf("%d records, next %d, %v", len(recs), next, err)
	}
	if r := recs[1]; r.AtMS != 2222 || r.FD != 2 || string(r.Data) != "err" || r.Offset != 3 {
		t.Errorf("second record %+v", r)
	}
	if len(recs[2].Data) != spool.MaxRecord || len(recs[3].Data) != 1 {
		t.Errorf("long write split into %d and %d", len(recs[2].Data), len(recs[3].Data))
	}
}

func TestAckFreesSegments(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	w := open(t, root, spool.WriterOptions{SegmentBytes: 1000})
	want := pattern(10000)
	for i := 0; i < len(want); i += 100 {
		w.Append(1, 1, want[i:i+100])
	}
	r := spool.OpenReader(root, key)
	before := len(segments(t, root))
	if err := r.Ack(5000); err != nil {
		t.Fatal(err)
	}
	half := len(segments(t, root))
	if half >= before || half < before/2 {
		t.Errorf("%d segments, then %d", before, half)
	}
	if data, gaps, _, _ := drain(t, r, 5000, 1000); gaps != 0 || !bytes.Equal(data, want[5000:]) {
		t.Errorf("gap %d, %d bytes", gaps, len(data))
	}
	// What was freed is a hole for whoever asks for it again.
	if data, gaps, _, _ := drain(t, r, 0, 1000); gaps == 0 || gaps > 5000 || !bytes.Equal(data, want[gaps:]) {
		t.Errorf("gap %d, %d bytes", gaps, len(data))
	}
	if err := r.Ack(uint64(len(want))); err != nil {
		t.Fatal(err)
	}
	if n := len(segments(t, root)); n != 1 {
		t.Errorf("%d segments after all was acked, want the last", n)
	}
	w.Append(1, 1, []byte("more"))
	if data, gaps, _, _ := drain(t, r, uint64(len(want)), 1000); gaps != 0 || string(data) != "more" {
		t.Errorf("gap %d, data %q", gaps, data)
	}
}

func TestCapDropsTheOldest(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	sibling := key
	sibling.Name = "setup"
	sw, err := spool.OpenWriter(root, sibling, spool.WriterOptions{})
	if err != nil {
		t.Fatal(err)
	}
	sw.Append(1, 1, make([]byte, 3000))
	if err := errors.Join(sw.Complete(), sw.Close()); err != nil {
		t.Fatal(err)
	}
	w := open(t, root, spool.WriterOptions{SegmentBytes: 1000, MaxBytes: 8000})
	r := spool.OpenReader(root, key)
	want := pattern(50000)
	w.Append(1, 1, want[:100])
	if data, _, _, _ := drain(t, r, 0, 1000); len(data) != 100 {
		t.Fatalf("%d bytes", len(data))
	}
	for i := 100; i < len(want); i += 100 {
		w.Append(1, 1, want[i:i+100])
	}
	var size int64
	for _, s := range segments(t, root) {
		info, err := os.Stat(s)
		if err != nil {
			t.Fatal(err)
		}
		size += info.Size()
	}
	if size > 6500 || size < 3000 {
		t.Errorf("%d bytes kept beside a sibling of 3000, cap 8000", size)
	}
	// A reader that has the dropped segment open still gets its rest, then the hole, then what there is.
	data, gaps, next, _ := drain(t, r, 100, 1000)
	if gaps == 0 || next != uint64(len(want)) || uint64(len(data))+gaps+100 != next || !bytes.HasSuffix(want, data[len(data)-2000:]) {
		t.Errorf("gap %d, %d bytes, next %d", gaps, len(data), next)
	}
	data, gaps, _, _ = drain(t, spool.OpenReader(root, key), 0, 1000)
	if gaps == 0 || !bytes.Equal(data, want[gaps:]) {
		t.Errorf("gap %d, %d bytes", gaps, len(data))
	}
	if lost, err := w.Lost(); lost != 0 || err != nil {
		t.Errorf("lost %d, %v: the cap is no failure to write", lost, err)
	}
}

// shortDisk accepts a number of bytes and then fails like a full disk, in the middle of a write.
type shortDisk struct {
	*os.File
	room *int
}

func (d shortDisk) WriteAt(p []byte, off int64) (int, error) {
	n := min(len(p), *d.room)
	*d.room -= n
	if got, err := d.File.WriteAt(p[:n], off); err != nil || n == len(p) {
		return got, err
	}
	return n, syscall.ENOSPC
}

func TestFullDiskBecomesGaps(t *testing.T) {
	t.Parallel()
	for _, room := range []int{0, 1, 27, 28, 29, 60, 500, 777, 1400} {
		t.Run(fmt.Sprintf("room=%d", room), func(t *testing.T) {
			t.Parallel()
			root, left := t.TempDir(), room
			w := open(t, root, spool.WriterOptions{SegmentBytes: 400, Create: func(path string) (spool.File, error) {
				f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
				return shortDisk{f, &left}, err
			}})
			want := pattern(2000)
			for i := 0; i < 1500; i += 50 {
				w.Append(int64(i), 1, want[i:i+50])
			}
			left = 1 << 20 // somebody made space
			for i := 1500; i < 2000; i += 50 {
				w.Append(int64(i), 1, want[i:i+50])
			}
			if err := w.Complete(); err != nil {
				t.Fatal(err)
			}
			data, gaps, next, complete := drain(t, spool.OpenReader(root, key), 0, 90)
			lost, err := w.Lost()
			if !complete || next != 2000 || gaps != lost || gaps == 0 || !errors.Is(err, syscall.ENOSPC) {
				t.Fatalf("complete %v, next %d, gaps %d, lost %d, %v", complete, next, gaps, lost, err)
			}
			if !bytes.HasSuffix(data, want[1500:]) || !bytes.HasPrefix(want, data[:len(data)-500]) {
				t.Errorf("%d bytes are not the beginning and the end", len(data))
			}
		})
	}
}

func TestFullToTheEnd(t *testing.T) {
	t.Parallel()
	root, left := t.TempDir(), 100
	w := open(t, root, spool.WriterOptions{Create: func(path string) (spool.File, error) {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
		return shortDisk{f, &left}, err
	}})
	w.Append(1, 1, []byte("kept"))
	w.Append(1, 1, make([]byte, 500))
	if err := w.Complete(); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("complete: %v", err)
	}
	r := spool.OpenReader(root, key)
	if data, gaps, _, complete := drain(t, r, 0, 1000); string(data) != "kept" || gaps != 0 || complete {
		t.Errorf("before the verdict: %q, gap %d, complete %v", data, gaps, complete)
	}
	r.Finish(w.End())
	if data, gaps, next, complete := drain(t, r, 0, 1000); string(data) != "kept" || gaps != 500 || next != 504 || !complete {
		t.Errorf("after the verdict: %q, gap %d, next %d, complete %v", data, gaps, next, complete)
	}
}

func TestReopenContinues(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	w := open(t, root, spool.WriterOptions{SegmentBytes: 100})
	w.Append(1, 1, []byte("first "))
	if err := errors.Join(w.Complete(), w.Close()); err != nil {
		t.Fatal(err)
	}
	names := segments(t, root)
	f, err := os.OpenFile(names[len(names)-1], os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("half a frame"); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	w = open(t, root, spool.WriterOptions{SegmentBytes: 100})
	if w.End() != 6 {
		t.Fatalf("end %d", w.End())
	}
	w.Append(2, 1, []byte("second"))
	if err := w.Complete(); err != nil {
		t.Fatal(err)
	}
	if data, gaps, _, complete := drain(t, spool.OpenReader(root, key), 0, 100); string(data) != "first second" || gaps != 0 || !complete {
		t.Errorf("%q, gap %d, complete %v", data, gaps, complete)
	}
}

func TestReadWhileWriting(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	w := open(t, root, spool.WriterOptions{SegmentBytes: 5000})
	want := pattern(1 << 20)
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := 0; i < len(want); {
			n := min(len(want)-i, i%700+1)
			w.Append(1, 1, want[i:i+n])
			i += n
		}
		if err := w.Complete(); err != nil {
			t.Error(err)
		}
	})
	r := spool.OpenReader(root, key)
	var got []byte
	var off uint64
	for complete := false; !complete; {
		var data []byte
		var gaps uint64
		data, gaps, off, complete = drain(t, r, off, 3000)
		if gaps > 0 {
			t.Fatalf("gap of %d before %d", gaps, off)
		}
		got = append(got, data...)
		if err := r.Ack(off); err != nil {
			t.Fatal(err)
		}
	}
	wg.Wait()
	if !bytes.Equal(got, want) {
		t.Errorf("%d bytes differ", len(got))
	}
}

func TestKeys(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	if keys, err := spool.Streams(filepath.Join(root, "nowhere")); err != nil || len(keys) > 0 {
		t.Errorf("%v, %v", keys, err)
	}
	want := []spool.Key{
		{JobID: "01J", Attempt: 1, Slot: 0, Name: "run"},
		{JobID: "../../etc", Attempt: 1, Slot: 2, Name: "../passwd"},
		{JobID: "..", Attempt: 3, Slot: 4, Name: ".."},
		{JobID: "a/b c%d", Attempt: 12, Slot: 34, Name: "set-up"},
		{JobID: "ünïcode", Name: ""},
	}
	for _, k := range want {
		if rel, err := filepath.Rel(root, k.Path(root)); err != nil || strings.Count(rel, "/") != 1 || strings.HasPrefix(rel, ".") {
			t.Errorf("%s lies at %s", k, k.Path(root))
		}
		w, err := spool.OpenWriter(root, k, spool.WriterOptions{})
		if err != nil {
			t.Fatal(err)
		}
		w.Append(1, 1, []byte(k.Name+"x"))
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	got, err := spool.Streams(root)
	if err != nil {
		t.Fatal(err)
	}
	cmp := func(a, b spool.Key) int { return strings.Compare(a.String(), b.String()) }
	slices.SortFunc(got, cmp)
	slices.SortFunc(want, cmp)
	if !slices.Equal(got, want) {
		t.Errorf("streams %v, want %v", got, want)
	}
	if err := spool.Remove(root, want[0]); err != nil {
		t.Error(err)
	}
	if err := spool.RemoveJob(root, "a/b c%d"); err != nil {
		t.Error(err)
	}
	if got, err := spool.Streams(root); err != nil || len(got) != len(want)-2 {
		t.Errorf("after removal %v, %v", got, err)
	}
}
