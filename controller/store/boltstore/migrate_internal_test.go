package boltstore

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	bolt "go.etcd.io/bbolt"

	"aloft/controller/store"
)

// TestMigrate runs the steps of formats that do not exist yet.
func TestMigrate(t *testing.T) {
	t.Parallel()
	p := filepath.Join(t.TempDir(), "state.db")
	s, err := Open(p, Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	var ran []int
	boom := errors.New("boom")
	steps := []func(*bolt.Tx) error{
		func(tx *bolt.Tx) error {
			ran = append(ran, 1)
			return tx.Bucket([]byte("meta")).Put([]byte("step"), []byte("1"))
		},
		func(*bolt.Tx) error { ran = append(ran, 2); return boom },
	}
	if err := s.migrate(3, steps); !errors.Is(err, boom) {
		t.Fatal(err)
	}
	// The first step stands, the second did nothing; the copy is of before.
	if err := s.migrate(2, steps[:1]); err != nil || len(ran) != 2 {
		t.Error(err, ran)
	}
	if err := s.migrate(1, nil); !errors.Is(err, store.ErrNewer) {
		t.Error(err)
	}
	bak := p + ".bak-1"
	if fi, err := os.Stat(bak); err != nil || fi.Mode().Perm() != 0o600 {
		t.Error(err)
	}
	old, err := Open(bak, Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = old.Close() }()
	if err := old.View(context.Background(), func(tx store.Tx) error { _ = tx.Rev(); return nil }); err != nil {
		t.Error(err)
	}
}
