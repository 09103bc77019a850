// Package storetest is the conformance suite of store.Store: every implementation must pass it.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	"aloft/controller/store"
	statev1 "aloft/proto/sky/state/v1"
)

// Store is a store that can be closed.
type Store interface {
	store.Store
	Close() error
}

// Options are what the suite asks of an open store; zero fields mean the implementation's own.
type Options struct {
	Now        func() time.Time
	KeepEvents int
	KeepFor    time.Duration
	ReadOnly   bool
}

// Open opens the store that lives in the directory dir, and makes it when there is none.
type Open func(t testing.TB, dir string, o Options) Store

// env is one store under test.
type env struct {
	testing.TB
	Store
	ctx  context.Context
	open Open
	dir  string
	opts Options

	mu  sync.Mutex
	now time.Time
}

// Run runs the suite.
func Run(t *testing.T, open Open) {
	t.Helper()
	for _, group := range []struct {
		name  string
		cases []testCase
	}{
		{"Objects", objects()}, {"Transactions", transactions()}, {"Names", names()}, {"Indexes", indexes()},
		{"Timers", timers()}, {"Intents", intents()}, {"Records", records()}, {"Leases", leases()},
		{"Events", events()}, {"Watch", watches()}, {"Life", life()},
	} {
		t.Run(group.name, func(t *testing.T) {
			t.Parallel()
			for _, c := range group.cases {
				t.Run(c.name, func(t *testing.T) {
					t.Parallel()
					c.run(newEnv(t, open, c.opts))
				})
			}
		})
	}
	t.Run("Model", func(t *testing.T) {
		t.Parallel()
		model(t, open)
	})
}

// testCase is one subtest.
type testCase struct {
	name string
	opts Options
	run  func(e *env)
}

func newEnv(t testing.TB, open Open, o Options) *env {
	t.Helper()
	e := &env{TB: t, ctx: t.Context(), open: open, dir: filepath.Join(t.TempDir(), "state dir"), opts: o, now: time.UnixMilli(1_800_000_000_000)}
	e.opts.Now = e.clock
	if err := os.Mkdir(e.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	e.Store = open(t, e.dir, e.opts)
	t.Cleanup(func() { _ = e.Store.Close() })
	return e
}

func (e *env) clock() time.Time {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.now
}

func (e *env) advance(d time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.now = e.now.Add(d)
}

// reopen closes the store and opens it again.
func (e *env) reopen() {
	e.Helper()
	e.check(e.Close())
	e.Store = e.open(e, e.dir, e.opts)
}

// crash goes on with the files as they are now, without closing the store.
func (e *env) crash() {
	e.Helper()
	dir := filepath.Join(e.TB.(interface{ TempDir() string }).TempDir(), "after crash")
	e.check(os.CopyFS(dir, os.DirFS(e.dir)))
	old := e.Store
	e.Cleanup(func() { _ = old.Close() })
	e.dir = dir
	e.Store = e.open(e, dir, e.opts)
}

func (e *env) check(err error) {
	e.Helper()
	if err != nil {
		e.Fatal(err)
	}
}

// want fails when err is not of the kind wanted.
func (e *env) want(err, want error) {
	e.Helper()
	if !errors.Is(err, want) {
		e.Errorf("error %v, want %v", err, want)
	}
}

// same fails when the values differ.
func (e *env) same(want, got any) {
	e.Helper()
	if d := cmp.Diff(want, got, protocmp.Transform()); d != "" {
		e.Errorf("(-want +got):\n%s", d)
	}
}

// update must succeed.
func (e *env) update(fn func(tx store.Tx) error) store.Rev {
	e.Helper()
	rev, err := e.Update(e.ctx, fn)
	e.check(err)
	return rev
}

// view must succeed.
func (e *env) view(fn func(tx store.Tx) error) {
	e.Helper()
	e.check(e.View(e.ctx, fn))
}

// putCluster writes a cluster of that id and name.
func (e *env) putCluster(id, name string) store.Rev {
	e.Helper()
	return e.update(func(tx store.Tx) error { return tx.Put(store.Cluster, id, cluster(id, name)) })
}

func cluster(id, name string) *statev1.Cluster {
	return &statev1.Cluster{Id: id, Name: name, Project: "p"}
}

func job(id, clusterID string, number uint32) *statev1.Job {
	return &statev1.Job{Id: id, ClusterId: clusterID, Number: number, SubmittedMs: int64(number) * 1000, Phase: statev1.JobPhase_JOB_QUEUED}
}

func node(id, clusterID string) *statev1.Node {
	return &statev1.Node{Id: id, ClusterId: clusterID, Phase: statev1.NodePhase_NODE_PLANNED}
}

func event(id string) *statev1.Event {
	return &statev1.Event{Kind: string(store.Job), Id: id, ClusterId: "c-" + id, Actor: "test"}
}

// emit commits events in one closure.
func (e *env) emit(ids ...string) store.Rev {
	e.Helper()
	return e.update(func(tx store.Tx) error {
		for _, id := range ids {
			tx.Emit(event(id))
		}
		return nil
	})
}

// take collects the ids of n events.
func take(seq iter.Seq2[*statev1.Event, error], n int) ([]string, error) {
	var out []string
	if n == 0 {
		return nil, nil
	}
	for ev, err := range seq {
		if err != nil {
			return out, err
		}
		out = append(out, ev.GetId())
		if len(out) == n {
			break
		}
	}
	return out, nil
}

func numbered(prefix string, n int) []string {
	var out []string
	for i := range n {
		out = append(out, fmt.Sprintf("%s%05d", prefix, i))
	}
	return out
}
