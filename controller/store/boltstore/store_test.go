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

func BenchmarkUpdateAlone(b *testing.B) {
	s := open(b, filepath.Join(b.TempDir(), "s.db"), boltstore.Options{})
	i := 0
	for b.Loop() {
		i++
		if err := putJob(s, i); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkUpdate256Callers(b *testing.B) {
	s := open(b, filepath.Join(b.TempDir(), "s.db"), boltstore.Options{})
	const callers = 256
	per := b.N/callers + 1
	b.ResetTimer()
	var wg sync.WaitGroup
	for w := range callers {
		wg.Go(func() {
			for j := range per {
				if err := putJob(s, w*per+j); err != nil {
					b.Error(err)
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(per*callers)/b.Elapsed().Seconds(), "updates/s")
	b.ReportMetric(float64(s.Stats().Groups), "groups")
}

func putJob(s *boltstore.Store, i int) error {
	_, err := s.Update(context.Background(), func(tx store.Tx) error {
		id := fmt.Sprintf("job-%08d", i%5000)
		tx.Emit(&statev1.Event{Kind: "job", Id: id, OldPhase: "JOB_QUEUED", NewPhase: "JOB_RUNNING", Actor: "bench"})
		return tx.Put(store.Job, id, &statev1.Job{Id: id, ClusterId: fmt.Sprintf("c%d", i%50), Number: uint32(i), Task: &statev1.TaskSpec{Yaml: "run: echo hello\nresources: {cpus: 4}\n", Run: "echo hello"}})
	})
	return err
}
