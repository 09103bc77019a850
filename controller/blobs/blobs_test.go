package blobs_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"aloft/controller/blobs"
)

func open(t testing.TB, dir string) *blobs.Store {
	t.Helper()
	s, err := blobs.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func digest(b []byte) string {
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}

type creator interface {
	Create(digest string) (*blobs.Writer, error)
}

func put(c creator, b []byte) (string, error) {
	d := digest(b)
	w, err := c.Create(d)
	if err != nil {
		return d, err
	}
	defer w.Abort()
	if _, err := w.Write(b); err != nil {
		return d, err
	}
	return d, w.Commit()
}

func get(t *testing.T, s *blobs.Store, d string, off int64) string {
	t.Helper()
	r, total, err := s.Open(d, off)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil || int64(len(b)) != total-off {
		t.Errorf("read %d of %d bytes: %v", len(b), total-off, err)
	}
	return string(b)
}

// leftovers are the temporary files.
func leftovers(t *testing.T, dir string) int {
	t.Helper()
	ents, err := filepath.Glob(filepath.Join(dir, "tmp", "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	return len(ents)
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "with a space")
	s := open(t, dir)
	for _, b := range [][]byte{nil, []byte("hello"), bytes.Repeat([]byte{0, 1, 2}, 1<<20)} {
		d, err := put(s, b)
		if err != nil {
			t.Fatal(err)
		}
		if !s.Has(d) || get(t, s, d, 0) != string(b) || get(t, s, d, int64(len(b)/2)) != string(b[len(b)/2:]) {
			t.Errorf("blob of %d bytes is not the same", len(b))
		}
		if _, _, err := s.Open(d, int64(len(b))+1); !errors.Is(err, blobs.ErrOffset) {
			t.Error(err)
		}
	}
	none := digest([]byte("none"))
	if _, _, err := s.Open(none, 0); !errors.Is(err, blobs.ErrNotFound) {
		t.Error(err)
	}
	hello := digest([]byte("hello"))
	got := s.Missing([]blobs.Ref{{hello, 5}, {none, 1}, {hello, -1}, {none, 1}})
	if len(got) != 1 || got[0].Digest != none {
		t.Error(got)
	}
	if got := s.Missing([]blobs.Ref{{hello, 6}}); len(got) != 1 {
		t.Error("a blob of another size counts as present")
	}
	if n := leftovers(t, dir); n != 0 {
		t.Errorf("%d temporary files are left", n)
	}
}

func TestRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	for _, d := range []string{"", "abc", "../../../etc/passwd", strings.Repeat("A", 64), strings.Repeat("g", 64)} {
		if _, err := s.Create(d); !errors.Is(err, blobs.ErrDigest) {
			t.Error(d, err)
		}
		if _, _, err := s.Open(d, 0); !errors.Is(err, blobs.ErrDigest) || s.Has(d) {
			t.Error(d, err)
		}
	}
	w, err := s.Create(digest([]byte("right")))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte("wrong")); err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(); !errors.Is(err, blobs.ErrMismatch) {
		t.Error(err)
	}
	if err := w.Commit(); err == nil {
		t.Error("committed twice")
	}
	if _, err := w.Write(nil); err == nil {
		t.Error("wrote after the end")
	}
	if s.Has(digest([]byte("right"))) || leftovers(t, dir) != 0 {
		t.Error("something was left")
	}
}

func TestSameBlobAtOnce(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	b := bytes.Repeat([]byte("x"), 100_000)
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			if _, err := put(s, b); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if get(t, s, digest(b), 0) != string(b) {
		t.Error("not the same")
	}
}

func TestBatch(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	b := s.Batch()
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 50 {
				if _, err := put(b, fmt.Appendf(nil, "%d", i*(g%2+1))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	d := digest([]byte("7"))
	if s.Has(d) || b.Len() != 200 {
		t.Error("visible before the batch was committed")
	}
	if err := b.Commit(); err != nil {
		t.Fatal(err)
	}
	if get(t, s, d, 0) != "7" || leftovers(t, dir) != 0 {
		t.Error("batch was not stored")
	}
	if _, err := put(b, []byte("dropped")); err != nil {
		t.Fatal(err)
	}
	b.Abort()
	if s.Has(digest([]byte("dropped"))) || leftovers(t, dir) != 0 {
		t.Error("aborted batch left something")
	}
}

func TestGC(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	var ds []string
	for i := range 4 {
		d, err := put(s, fmt.Appendf(nil, "%d", i))
		if err != nil {
			t.Fatal(err)
		}
		ds = append(ds, d)
	}
	old := time.Now().Add(-time.Hour)
	for _, d := range ds[:3] { // the last one is young
		if err := os.Chtimes(filepath.Join(dir, d[:2], d), old, old); err != nil {
			t.Fatal(err)
		}
	}
	if !s.Has(ds[1]) { // asked for: young again
		t.Fatal("gone")
	}
	n, size, err := s.GC(context.Background(), func(d string) bool { return d == ds[0] }, time.Minute)
	if n != 1 || size != 1 || err != nil {
		t.Error(n, size, err)
	}
	if got := s.Missing([]blobs.Ref{{ds[0], 1}, {ds[1], 1}, {ds[2], 1}, {ds[3], 1}}); len(got) != 1 || got[0].Digest != ds[2] {
		t.Error(got)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, _, err := s.GC(ctx, func(string) bool { return false }, 0); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestLeftoversOfACrash(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	w, err := s.Create(digest([]byte("x")))
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	if leftovers(t, dir) != 1 {
		t.Error("no temporary file")
	}
	open(t, dir)
	if leftovers(t, dir) != 0 {
		t.Error("temporary file survived")
	}
}

func BenchmarkBatch10000x1KB(b *testing.B) {
	data := bytes.Repeat([]byte("x"), 1024)
	for b.Loop() {
		s := open(b, b.TempDir())
		batch := s.Batch()
		for i := range 10_000 {
			copy(data, fmt.Sprintf("%08d", i))
			if _, err := put(batch, data); err != nil {
				b.Fatal(err)
			}
		}
		if err := batch.Commit(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkWrite64MB(b *testing.B) {
	s := open(b, b.TempDir())
	data := make([]byte, 64<<20)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if _, err := put(s, data); err != nil {
			b.Fatal(err)
		}
	}
}
