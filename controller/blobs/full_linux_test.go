package blobs_test

import (
	"bytes"
	"errors"
	"syscall"
	"testing"
)

// TestDiskFull writes to a file system of 2 MiB.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=2m"); err != nil {
		t.Skip("cannot mount a small file system here:", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, 0) })
	s := open(t, dir)
	big := bytes.Repeat([]byte("x"), 4<<20)
	if _, err := put(s, big); !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	if s.Has(digest(big)) || leftovers(t, dir) != 0 {
		t.Error("something was left")
	}
	if _, err := put(s, []byte("small")); err != nil {
		t.Error("not usable after a full disk:", err)
	}
}
