package boltstore_test

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"testing"

	"aloft/controller/store"
	"aloft/controller/store/boltstore"
	statev1 "aloft/proto/sky/state/v1"
)

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

func BenchmarkList1000Clusters(b *testing.B) {
	p := filepath.Join(b.TempDir(), "s.db")
	s := open(b, p, boltstore.Options{NoSync: true})
	_, err := s.Update(ctx, func(tx store.Tx) error {
		for i := range 1000 {
			id := fmt.Sprintf("c%04d", i)
			c := &statev1.Cluster{Id: id, Name: id, Project: "p", User: "someone", NumNodes: 2, LastCommand: "sky launch -c x task.yaml", LaunchedMs: 1_800_000_000_000, UpMs: 1_800_000_000_000}
			for range 5 {
				c.Candidates = append(c.Candidates, &statev1.Candidate{Provider: "aws", Region: "us-east-1", Zone: "us-east-1a", InstanceType: "p4d.24xlarge", Accelerator: "A100", AcceleratorCount: 8, Cpus: 96, MemoryGb: 1152, HourlyPrice: 32.77})
			}
			if err := tx.Put(store.Cluster, id, c); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := s.View(ctx, func(tx store.Tx) error {
			if n := len(store.Clusters(tx)); n != 1000 {
				return fmt.Errorf("%d", n)
			}
			return nil
		}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkAmong100kJobs asks a store of 100,000 jobs in 100 clusters.
func BenchmarkAmong100kJobs(b *testing.B) {
	p := filepath.Join(b.TempDir(), "s.db")
	s := open(b, p, boltstore.Options{NoSync: true})
	for g := range 100 {
		_, err := s.Update(ctx, func(tx store.Tx) error {
			for i := range 1000 {
				n := g*1000 + i
				id := fmt.Sprintf("job-%08d", n)
				phase := statev1.JobPhase_JOB_SUCCEEDED
				if n%1000 == 0 {
					phase = statev1.JobPhase_JOB_RUNNING
				}
				j := &statev1.Job{Id: id, ClusterId: fmt.Sprintf("c%d", n%100), Number: uint32(n/100 + 1), Phase: phase, SubmittedMs: int64(n), Task: &statev1.TaskSpec{Yaml: "run: python train.py\nresources: {accelerators: A100:8}\n"}}
				if err := tx.Put(store.Job, id, j); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	for name, fn := range map[string]func(tx store.Tx) int{
		"latest 50":         func(tx store.Tx) int { return len(store.LatestJobs(tx, 50)) },
		"latest 50 of one":  func(tx store.Tx) int { return len(store.JobsOf(tx, "c7", 50)) },
		"all 1000 of one":   func(tx store.Tx) int { return len(store.JobsOf(tx, "c7", 0)) },
		"the 100 open ones": func(tx store.Tx) int { return len(store.OpenJobs(tx)) },
		"one by its number": func(tx store.Tx) int {
			_, err := store.JobByNumber(tx, "c7", 500)
			return map[bool]int{true: 1}[err == nil]
		},
		"all hundred thousand": func(tx store.Tx) int { return len(store.List[statev1.Job](tx, store.Job, "", "")) },
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if err := s.View(ctx, func(tx store.Tx) error {
					if fn(tx) == 0 {
						return fmt.Errorf("none")
					}
					return nil
				}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("update", func(b *testing.B) {
		i := 0
		for b.Loop() {
			i++
			if err := putJob(s, i); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("open", func(b *testing.B) {
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			s, err := boltstore.Open(p, boltstore.Options{NoSync: true})
			if err != nil {
				b.Fatal(err)
			}
			if err := s.Close(); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkWatch10000 wakes 10,000 watchers with every commit.
func BenchmarkWatch10000(b *testing.B) {
	s := open(b, filepath.Join(b.TempDir(), "s.db"), boltstore.Options{NoSync: true})
	wctx, cancel := context.WithCancel(ctx)
	const watchers = 10_000
	var all, round sync.WaitGroup
	for range watchers {
		all.Go(func() {
			for range s.Watch(wctx, 0, store.Filter{}) {
				round.Done()
			}
		})
	}
	for b.Loop() {
		round.Add(watchers)
		if _, err := s.Update(ctx, func(tx store.Tx) error { tx.Emit(&statev1.Event{Id: "x"}); return nil }); err != nil {
			b.Fatal(err)
		}
		round.Wait()
	}
	cancel()
	all.Wait()
}
