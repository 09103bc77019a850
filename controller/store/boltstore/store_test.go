package boltstore_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"aloft/controller/store"
	"aloft/controller/store/boltstore"
	statev1 "aloft/proto/sky/state/v1"
)

func open(t testing.TB, path string, o boltstore.Options) *boltstore.Store {
	t.Helper()
	s, err := boltstore.Open(path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestSmoke(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "a home with spaces")
	s := open(t, filepath.Join(dir, "state.db"), boltstore.Options{})
	rev, err := s.Update(context.Background(), func(tx store.Tx) error {
		tx.Emit(&statev1.Event{Kind: "cluster", Id: "c1"})
		return tx.Put(store.Cluster, "c1", &statev1.Cluster{Id: "c1", Name: "n"})
	})
	if err != nil || rev != 1 {
		t.Fatal(rev, err)
	}
	err = s.View(context.Background(), func(tx store.Tx) error {
		c, err := store.FindCluster(tx, "", "n")
		if err != nil || c.Name != "n" {
			return fmt.Errorf("%v %v", c, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := boltstore.Open(filepath.Join(dir, "state.db"), boltstore.Options{}); !errors.Is(err, store.ErrLocked) {
		t.Fatal(err)
	} else {
		t.Log(err)
	}
}

func TestBubble(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := open(t, filepath.Join(t.TempDir(), "s.db"), boltstore.Options{NoSync: true})
		ctx, cancel := context.WithCancel(context.Background())
		n := 0
		var watcher sync.WaitGroup
		watcher.Go(func() {
			for _, err := range s.Watch(ctx, 0, store.Filter{}) {
				if err != nil {
					t.Error(err)
				}
				n++
			}
		})
		var wg sync.WaitGroup
		for i := range 50 {
			wg.Go(func() {
				for j := range 20 {
					time.Sleep(time.Duration(i*20+j) * time.Second)
					_, err := s.Update(ctx, func(tx store.Tx) error {
						tx.Emit(&statev1.Event{Kind: "node"})
						return tx.Put(store.Node, fmt.Sprintf("n%d-%d", i, j), &statev1.Node{})
					})
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		synctest.Wait()
		cancel()
		watcher.Wait()
		if n != 1000 {
			t.Errorf("saw %d events", n)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}
