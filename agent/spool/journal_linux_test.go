package spool_test

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// A full disk refuses messages and harms nothing; the end of the job that filled it still fits into what was kept free.
func TestJournalOnAFullDisk(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("only root can mount a small disk: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	path, filler := filepath.Join(dir, "statuses"), filepath.Join(dir, "filler")
	j := openJournal(t, path)
	add(t, j, "first")
	if err := os.WriteFile(filler, make([]byte, 1<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("the disk is not full: %v", err)
	}
	kept := string(pattern(100 << 10))
	if seq := add(t, j, kept); seq != 2 {
		t.Errorf("seq %d", seq)
	}
	for range 3 {
		if _, err := j.Append(pattern(300 << 10)); !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("append to a full disk: %v", err)
		}
	}
	wantPending(t, j, 1, "first", kept)
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	last := add(t, j, "space again")
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	got := openJournal(t, path).Pending()
	if len(got) != 3 || got[2].Seq != last || string(got[2].Data) != "space again" {
		t.Errorf("%d pending", len(got))
	}
}
