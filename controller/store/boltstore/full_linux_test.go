package boltstore_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"aloft/controller/store"
	"aloft/controller/store/boltstore"
	statev1 "aloft/proto/sky/state/v1"
)

// TestDiskFull fills a small file system: the failing update writes nothing, and when there is space again all goes on.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=4m"); err != nil {
		t.Skip("cannot mount a small file system here:", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	p := filepath.Join(dir, "state.db")
	s := open(t, p, boltstore.Options{})
	put := func(i, size int) error {
		_, err := s.Update(ctx, func(tx store.Tx) error {
			id := fmt.Sprintf("c%03d", i)
			return tx.Put(store.Cluster, id, &statev1.Cluster{Id: id, Name: id, LastCommand: strings.Repeat("x", size)})
		})
		return err
	}
	n := 0
	for ; n < 100; n++ {
		if err := put(n, 200_000); err != nil {
			if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "space") {
				t.Fatal(err)
			}
			break
		}
	}
	if n == 0 || n == 100 {
		t.Fatal("the disk did not get full", n)
	}
	count := func() (c int) {
		if err := s.View(ctx, func(tx store.Tx) error { c = len(store.Clusters(tx)); return nil }); err != nil {
			t.Error(err)
		}
		return c
	}
	if c := count(); c != n {
		t.Errorf("%d clusters, %d were committed", c, n)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT, "size=64m"); err != nil {
		t.Skip(err)
	}
	if err := put(n, 200_000); err != nil || count() != n+1 {
		t.Error("not usable after a full disk:", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	s = open(t, p, boltstore.Options{})
	if count() != n+1 {
		t.Error("lost something")
	}
}
