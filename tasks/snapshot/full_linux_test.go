package snapshot_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"aloft/tasks/snapshot"
)

// TestDiskFull: nothing half-written is left where the tree does not fit.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	src, dir := t.TempDir(), t.TempDir()
	write(t, src, "a 644 "+strings.Repeat("x", 600_000), "b 644 "+strings.Repeat("y", 600_000))
	m := build(t, src, snapshot.BuildOptions{})
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skip("cannot mount a small file system here:", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	err := snapshot.Materialise(ctx, m, from(t, src, m), filepath.Join(dir, "x"))
	if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "disk_size") {
		t.Error(err)
	}
	if ents, _ := os.ReadDir(dir); len(ents) != 0 {
		t.Error("something was left", ents)
	}
	if err := snapshot.Merge(ctx, m, from(t, src, m), dir); !errors.Is(err, syscall.ENOSPC) {
		t.Error(err)
	}
	ents, _ := os.ReadDir(dir)
	for _, e := range ents {
		if fi, err := e.Info(); err != nil || fi.Size() != 600_000 || strings.HasPrefix(e.Name(), ".") {
			t.Error("half-written:", e.Name(), err)
		}
	}
}
