package snapshot_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"aloft/tasks/snapshot"
)

var ctx = context.Background()

func sum(b []byte) string {
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}

// write makes files from "path mode contents".
func write(t testing.TB, dir string, files ...string) {
	t.Helper()
	for _, f := range files {
		p := strings.SplitN(f, " ", 3)
		var mode fs.FileMode
		if _, err := fmt.Sscanf(p[1], "%o", &mode); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, p[0])
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(p[2]), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
}

func build(t testing.TB, root string, o snapshot.BuildOptions) *snapshot.Manifest {
	t.Helper()
	m, err := snapshot.Build(ctx, root, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Validate(); err != nil {
		t.Fatal(err)
	}
	return m
}

// from fetches from the tree itself.
func from(t testing.TB, root string, m *snapshot.Manifest) snapshot.Fetch {
	t.Helper()
	s, err := snapshot.NewSource(root, m)
	if err != nil {
		t.Fatal(err)
	}
	return func(_ context.Context, digest string, _ int64) (io.ReadCloser, error) { return s.ReadBlob(digest) }
}

func sample(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "a dir")
	write(t, dir, "run.sh 755 echo hi", "data/a.txt 644 a", "data/b.txt 600 b", "data/deep/same.txt 444 a", "né\xff 644 odd name", "empty 644 ")
	for _, err := range []error{
		os.Mkdir(filepath.Join(dir, "nothing"), 0o755),
		os.Symlink("data/a.txt", filepath.Join(dir, "rel")),
		os.Symlink(filepath.Join(dir, "data", "a.txt"), filepath.Join(dir, "data", "deep", "abs")),
		os.Symlink("/etc/hostname", filepath.Join(dir, "outside")),
		os.Symlink("../../x", filepath.Join(dir, "data", "above")),
		os.Symlink("nowhere", filepath.Join(dir, "dangling")),
		os.Chmod(filepath.Join(dir, "data", "deep"), 0o555),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { _ = os.Chmod(filepath.Join(dir, "data", "deep"), 0o755) })
	return dir
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	src := sample(t)
	var escaping []string
	m := build(t, src, snapshot.BuildOptions{Escaping: func(rel, target string) { escaping = append(escaping, rel+" "+target) }})
	if d := cmp.Diff([]string{"data/above ../../x", "outside /etc/hostname"}, escaping); d != "" {
		t.Error(d)
	}
	if m.Files() != 6 || m.Bytes() != 18 {
		t.Error(m.Files(), m.Bytes())
	}
	if len(m.Refs()) != 5 {
		t.Error(m.Refs())
	}
	dec, err := snapshot.Decode(m.Encode())
	if err != nil || cmp.Diff(m, dec) != "" || dec.Digest() != m.Digest() {
		t.Fatal(err, cmp.Diff(m, dec))
	}
	dst := filepath.Join(t.TempDir(), "x", "y")
	if err := snapshot.Materialise(ctx, m, from(t, src, m), dst); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(filepath.Join(dst, "data", "deep"), 0o755) })
	again := build(t, dst, snapshot.BuildOptions{})
	if d := cmp.Diff(m, again); d != "" {
		t.Error(d)
	}
	if l, _ := os.Readlink(filepath.Join(dst, "data", "deep", "abs")); l != "../a.txt" {
		t.Error(l)
	}
	if ents, _ := os.ReadDir(filepath.Dir(dst)); len(ents) != 1 {
		t.Error("something was left beside it")
	}
	// What is laid out is the job's own: changing it changes nothing else.
	if err := snapshot.Materialise(ctx, m, from(t, src, m), dst); !errors.Is(err, fs.ErrExist) {
		t.Error(err)
	}
}

func TestSameTreeSameDigest(t *testing.T) {
	t.Parallel()
	a, b := t.TempDir(), t.TempDir()
	write(t, a, "x/1 644 1", "x-y 644 2", "x.y 644 3")
	write(t, b, "x.y 644 3", "x-y 644 2", "x/1 644 1")
	if x, y := build(t, a, snapshot.BuildOptions{}), build(t, b, snapshot.BuildOptions{}); x.Digest() != y.Digest() {
		t.Error(cmp.Diff(x, y))
	}
}

func TestSingleFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, "conf.json 640 {}")
	src := filepath.Join(dir, "conf.json")
	m := build(t, src, snapshot.BuildOptions{Ignore: func(string, bool) bool { return true }})
	if len(m.Entries) != 1 || m.Entries[0].Path != "conf.json" {
		t.Fatal(m)
	}
	dst := filepath.Join(t.TempDir(), "etc", "other.json")
	for range 2 {
		if err := snapshot.MaterialiseFile(ctx, m, from(t, src, m), dst); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(dst)
	if fi, _ := os.Stat(dst); err != nil || string(b) != "{}" || fi.Mode().Perm() != 0o640 {
		t.Error(string(b), err)
	}
	r, err := snapshot.OpenEntry(src, m, m.Entries[0])
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if b, err := io.ReadAll(r); string(b) != "{}" || err != nil {
		t.Error(string(b), err)
	}
}

func TestBuildErrors(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, "a 644 0123456789")
	if _, err := snapshot.Build(ctx, filepath.Join(dir, "none"), snapshot.BuildOptions{}); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if _, err := snapshot.Build(ctx, dir, snapshot.BuildOptions{MaxBytes: 9}); !errors.Is(err, snapshot.ErrTooLarge) {
		t.Error(err)
	}
	canceled, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := snapshot.Build(canceled, dir, snapshot.BuildOptions{}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	short := filepath.Join(dir, "s") // socket names are short
	l, err := net.Listen("unix", short)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if m := build(t, dir, snapshot.BuildOptions{}); len(m.Entries) != 1 {
		t.Error("socket was not skipped", m)
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := snapshot.Build(ctx, dir, snapshot.BuildOptions{}); !errors.Is(err, snapshot.ErrSpecial) || !strings.Contains(err.Error(), "pipe") {
		t.Error(err)
	}
	if m := build(t, dir, snapshot.BuildOptions{Ignore: func(rel string, _ bool) bool { return rel == "pipe" }}); len(m.Entries) != 1 {
		t.Error(m)
	}
}

func TestUnreadable(t *testing.T) {
	t.Parallel()
	if os.Geteuid() == 0 {
		t.Skip("root reads everything")
	}
	dir := t.TempDir()
	write(t, dir, "secret 000 x")
	if _, err := snapshot.Build(ctx, dir, snapshot.BuildOptions{}); !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), "secret") {
		t.Error(err)
	}
}

func TestChangedSinceBuild(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, "a 644 before")
	m := build(t, dir, snapshot.BuildOptions{})
	write(t, dir, "a 644 after!")
	r, err := snapshot.ReadBlob(dir, m, m.Entries[0].SHA256)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := io.ReadAll(r); !errors.Is(err, snapshot.ErrChanged) {
		t.Error(err)
	}
	r, err = snapshot.ReadBlob(dir, m, m.Digest())
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(r); err != nil || !bytes.Equal(b, m.Encode()) {
		t.Error(err)
	}
}

func TestCache(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, "a 644 aaaa", "b\t\n\"c 644 bbbb")
	old := filepath.Join(t.TempDir(), "cache")
	age := func() {
		for _, f := range []string{"a", "b\t\n\"c"} {
			fi, err := os.Stat(filepath.Join(dir, f))
			if err != nil {
				t.Fatal(err)
			}
			if err := os.Chtimes(filepath.Join(dir, f), fi.ModTime(), fi.ModTime().Add(-1e10)); err != nil {
				t.Fatal(err)
			}
		}
	}
	age()
	c := snapshot.OpenCache(old)
	m := build(t, dir, snapshot.BuildOptions{Cache: c})
	if err := c.Save(); err != nil {
		t.Fatal(err)
	}
	// Poison the cache file: if it is used, the poison shows.
	b, err := os.ReadFile(old)
	if err != nil {
		t.Fatal(err)
	}
	poison := strings.Repeat("0", 64)
	b = bytes.ReplaceAll(b, []byte(sum([]byte("aaaa"))), []byte(poison))
	if err := os.WriteFile(old, b, 0o600); err != nil {
		t.Fatal(err)
	}
	got := build(t, dir, snapshot.BuildOptions{Cache: snapshot.OpenCache(old)})
	if got.Entries[0].SHA256 != poison || got.Entries[1] != m.Entries[1] {
		t.Error("the cache was not used")
	}
	write(t, dir, "a 644 AAAA")
	if got := build(t, dir, snapshot.BuildOptions{Cache: snapshot.OpenCache(old)}); got.Entries[0].SHA256 != sum([]byte("AAAA")) {
		t.Error("the cache hid a change")
	}
	if err := os.WriteFile(old, []byte("sky-stat-cache 1\nrubbish"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := build(t, dir, snapshot.BuildOptions{Cache: snapshot.OpenCache(old)}); got.Entries[0].SHA256 != sum([]byte("AAAA")) {
		t.Error("a damaged cache does harm")
	}
}

func TestMerge(t *testing.T) {
	t.Parallel()
	src := t.TempDir()
	write(t, src, "a 644 new a", "d/b 755 new b", "was-dir 644 file", "was-file/x 644 x")
	if err := os.Symlink("a", filepath.Join(src, "link")); err != nil {
		t.Fatal(err)
	}
	m := build(t, src, snapshot.BuildOptions{})
	dst := t.TempDir()
	write(t, dst, "a 444 old a", "keep 644 kept", "d/keep 644 kept", "link 644 was a file", "was-file 644 f")
	if err := os.Mkdir(filepath.Join(dst, "was-dir"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := snapshot.Merge(ctx, m, from(t, src, m), dst); err == nil {
		t.Error("a file took the place of a directory")
	}
	if err := os.Remove(filepath.Join(dst, "was-dir")); err != nil {
		t.Fatal(err)
	}
	if err := snapshot.Merge(ctx, m, from(t, src, m), dst); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range build(t, dst, snapshot.BuildOptions{}).Entries {
		got = append(got, e.Path)
	}
	if d := cmp.Diff([]string{"a", "d", "d/b", "d/keep", "keep", "link", "was-dir", "was-file", "was-file/x"}, got); d != "" {
		t.Error(d)
	}
	if b, _ := os.ReadFile(filepath.Join(dst, "link")); string(b) != "new a" {
		t.Error(string(b))
	}
}

// TestNothingEscapes lays trees out over links that lead away.
func TestNothingEscapes(t *testing.T) {
	t.Parallel()
	src, away, dst := t.TempDir(), t.TempDir(), t.TempDir()
	write(t, src, "d/f 644 x")
	m := build(t, src, snapshot.BuildOptions{})
	if err := os.Symlink(away, filepath.Join(dst, "d")); err != nil {
		t.Fatal(err)
	}
	err := snapshot.Merge(ctx, m, from(t, src, m), dst)
	if ents, _ := os.ReadDir(away); len(ents) != 0 {
		t.Error("wrote outside", err)
	}
}

func TestFetchFails(t *testing.T) {
	t.Parallel()
	src := t.TempDir()
	write(t, src, "a 644 right", "b/c 644 other")
	m := build(t, src, snapshot.BuildOptions{})
	boom := errors.New("boom")
	for name, tc := range map[string]struct {
		fetch snapshot.Fetch
		want  error
	}{
		"error": {func(context.Context, string, int64) (io.ReadCloser, error) { return nil, boom }, boom},
		"wrong": {func(context.Context, string, int64) (io.ReadCloser, error) {
			return io.NopCloser(strings.NewReader("wrong")), nil
		}, snapshot.ErrContents},
		"too short": {func(context.Context, string, int64) (io.ReadCloser, error) {
			return io.NopCloser(strings.NewReader("")), nil
		}, snapshot.ErrContents},
		"endless": {func(context.Context, string, int64) (io.ReadCloser, error) { return io.NopCloser(endless{}), nil }, snapshot.ErrContents},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			parent := t.TempDir()
			if err := snapshot.Materialise(ctx, m, tc.fetch, filepath.Join(parent, "x")); !errors.Is(err, tc.want) {
				t.Error(err)
			}
			if err := snapshot.Merge(ctx, m, tc.fetch, filepath.Join(parent, "y")); !errors.Is(err, tc.want) {
				t.Error(err)
			}
			_ = filepath.WalkDir(parent, func(p string, d fs.DirEntry, _ error) error {
				if d.Type().IsRegular() {
					t.Error(p, "was left")
				}
				return nil
			})
			if _, err := os.Lstat(filepath.Join(parent, "x")); err == nil {
				t.Error("x is there")
			}
		})
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	h := strings.Repeat("a", 64)
	for name, body := range map[string]string{
		"absolute":         "f 644 1 " + h + ` "/x"`,
		"parent":           "f 644 1 " + h + ` "../x"`,
		"inner parent":     "d 755 \"a\"\nf 644 1 " + h + ` "a/../x"`,
		"dot":              `d 755 "."`,
		"trailing slash":   `d 755 "a/"`,
		"twice":            "f 644 1 " + h + " \"x\"\nf 644 1 " + h + ` "x"`,
		"order":            "f 644 1 " + h + " \"y\"\nf 644 1 " + h + ` "x"`,
		"below a link":     "l 777 \"/etc\" \"a\"\nf 644 1 " + h + ` "a/x"`,
		"below a file":     "f 644 1 " + h + " \"a\"\nf 644 1 " + h + ` "a/x"`,
		"no directory":     "f 644 1 " + h + ` "a/x"`,
		"zero byte":        "f 644 1 " + h + ` "a\x00"`,
		"empty link":       `l 777 "" "a"`,
		"setuid":           "f 4755 1 " + h + ` "a"`,
		"digest":           `f 644 1 abc "a"`,
		"negative":         "f 644 -1 " + h + ` "a"`,
		"other quoting":    "f 644 1 " + h + ` "\x61"`,
		"other number":     "f 0644 1 " + h + ` "a"`,
		"type":             `p 644 "a"`,
		"rest of the line": "f 644 1 " + h + ` "a" b`,
	} {
		if m, err := snapshot.Decode([]byte("sky-manifest 1\n" + body + "\n")); !errors.Is(err, snapshot.ErrInvalid) {
			t.Errorf("%s: %v %v", name, m, err)
		}
	}
	if _, err := snapshot.Decode([]byte("sky-manifest 1\nd 755 \"a\"")); !errors.Is(err, snapshot.ErrInvalid) {
		t.Error(err)
	}
	if m, err := snapshot.Decode([]byte("sky-manifest 1\n")); err != nil || len(m.Entries) != 0 {
		t.Error(err)
	}
}

// FuzzDecode: what decodes is valid and has that one encoding.
func FuzzDecode(f *testing.F) {
	h := strings.Repeat("a", 64)
	f.Add([]byte("sky-manifest 1\nd 755 \"a\"\nf 644 1 " + h + " \"a/b\"\nl 777 \"b\" \"c\"\n"))
	f.Add([]byte("sky-manifest 1\nf 644 1 " + h + " \"a\\xff\"\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := snapshot.Decode(b)
		if err != nil {
			return
		}
		if err := m.Validate(); err != nil || !bytes.Equal(m.Encode(), b) {
			t.Error(err)
		}
		for _, e := range m.Entries {
			if !filepath.IsLocal(e.Path) {
				t.Errorf("%q leaves the root", e.Path)
			}
		}
	})
}

func BenchmarkBuild10000(b *testing.B) {
	dir := b.TempDir()
	for i := range 10_000 {
		write(b, dir, fmt.Sprintf("d%d/f%d 644 %s", i%100, i, strings.Repeat(fmt.Sprint(i), 200)))
	}
	b.Run("cold", func(b *testing.B) {
		for b.Loop() {
			build(b, dir, snapshot.BuildOptions{})
		}
	})
	b.Run("cached", func(b *testing.B) {
		_ = filepath.WalkDir(dir, func(p string, d fs.DirEntry, _ error) error {
			fi, err := d.Info()
			if err == nil {
				err = os.Chtimes(p, fi.ModTime(), fi.ModTime().Add(-1e10))
			}
			return err
		})
		c := snapshot.OpenCache(filepath.Join(b.TempDir(), "cache"))
		build(b, dir, snapshot.BuildOptions{Cache: c})
		for b.Loop() {
			build(b, dir, snapshot.BuildOptions{Cache: c})
		}
	})
}

func BenchmarkMaterialise10000(b *testing.B) {
	dir := b.TempDir()
	for i := range 10_000 {
		write(b, dir, fmt.Sprintf("d%d/f%d 644 %s", i%100, i, strings.Repeat(fmt.Sprint(i), 200)))
	}
	m := build(b, dir, snapshot.BuildOptions{})
	fetch := from(b, dir, m)
	for b.Loop() {
		if err := snapshot.Materialise(ctx, m, fetch, filepath.Join(b.TempDir(), "x")); err != nil {
			b.Fatal(err)
		}
	}
}
