package storetest

import (
	"errors"
	"fmt"
	"slices"
	"sort"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"aloft/controller/store"
	statev1 "aloft/proto/sky/state/v1"
)

// world is what the store should hold.
type world struct {
	nodes  map[string]*statev1.Node
	names  map[string]string // of clusters
	due    map[store.Key]int64
	events []string
}

func (w *world) clone() *world {
	c := &world{nodes: map[string]*statev1.Node{}, names: map[string]string{}, due: map[store.Key]int64{}, events: slices.Clone(w.events)}
	for k, v := range w.nodes {
		c.nodes[k] = v
	}
	for k, v := range w.names {
		c.names[k] = v
	}
	for k, v := range w.due {
		c.due[k] = v
	}
	return c
}

// model compares the store with maps under random operations.
func model(t *testing.T, open Open) {
	rapid.Check(t, func(rt *rapid.T) {
		e := newEnv(t, open, Options{})
		defer func() { _ = e.Close() }()
		w := (&world{}).clone()
		ids := rapid.SampledFrom([]string{"a", "b", "aa", "bé", "z"})
		for range rapid.IntRange(1, 20).Draw(rt, "closures") {
			if rapid.IntRange(0, 9).Draw(rt, "reopen") == 0 {
				e.reopen()
			}
			next := w.clone()
			fail := rapid.IntRange(0, 3).Draw(rt, "fail") == 0
			boom := errors.New("boom")
			_, err := e.Update(e.ctx, func(tx store.Tx) error {
				for range rapid.IntRange(0, 8).Draw(rt, "steps") {
					step(rt, tx, next, ids)
				}
				compare(rt, tx, next)
				if fail {
					return boom
				}
				return nil
			})
			if fail != errors.Is(err, boom) || (!fail && err != nil) {
				rt.Fatal(err)
			}
			if !fail {
				w = next
			}
			e.view(func(tx store.Tx) error { compare(rt, tx, w); return nil })
		}
		got, err := take(e.Watch(e.ctx, 0, store.Filter{}), len(w.events))
		if err != nil || !slices.Equal(got, w.events) {
			rt.Fatal(err, got, w.events)
		}
	})
}

// step does one random thing to both.
func step(rt *rapid.T, tx store.Tx, w *world, ids *rapid.Generator[string]) {
	id := ids.Draw(rt, "id")
	key := store.Key{Kind: store.Node, ID: id}
	ok := func(err error) {
		if err != nil {
			rt.Fatal(err)
		}
	}
	switch rapid.IntRange(0, 5).Draw(rt, "what") {
	case 0:
		n := &statev1.Node{Id: id, ClusterId: ids.Draw(rt, "cluster"), Phase: rapid.SampledFrom([]statev1.NodePhase{10, 50, 90}).Draw(rt, "phase")}
		ok(tx.Put(store.Node, id, n))
		w.nodes[id] = n
	case 1:
		err := tx.Delete(store.Node, id)
		if _, there := w.nodes[id]; there != (err == nil) {
			rt.Fatal(err)
		}
		delete(w.nodes, id)
	case 2:
		at := rapid.Int64Range(0, 50).Draw(rt, "at")
		ok(tx.Schedule(key, time.UnixMilli(at)))
		w.due[key] = at
	case 3:
		ok(tx.Unschedule(key))
		delete(w.due, key)
	case 4:
		tx.Emit(&statev1.Event{Id: id})
		w.events = append(w.events, id)
	case 5:
		name := ids.Draw(rt, "name")
		ended := rapid.Int64Range(0, 1).Draw(rt, "ended")
		err := tx.Put(store.Cluster, id, &statev1.Cluster{Id: id, Name: name, EndedMs: ended})
		if holder, taken := w.names[name]; ended == 0 && taken && holder != id {
			if !errors.Is(err, store.ErrNameTaken) {
				rt.Fatal(err)
			}
			return
		}
		ok(err)
		for n, h := range w.names {
			if h == id {
				delete(w.names, n)
			}
		}
		if ended == 0 {
			w.names[name] = id
		}
	}
}

// compare looks at everything in every way.
func compare(rt *rapid.T, tx store.Tx, w *world) {
	same := func(what string, want, got any) {
		if d := cmp.Diff(want, got); d != "" {
			rt.Fatalf("%s (-want +got):\n%s", what, d)
		}
	}
	scan := func(q store.Query) []string {
		out := []string{}
		for id, m := range tx.Scan(q, func() proto.Message { return new(statev1.Node) }) {
			if !proto.Equal(m, w.nodes[id]) {
				rt.Fatalf("%s: %v, want %v", id, m, w.nodes[id])
			}
			out = append(out, id)
		}
		return out
	}
	all, byCluster := []string{}, map[string][]string{}
	for id, n := range w.nodes {
		all = append(all, id)
		byCluster[n.GetClusterId()] = append(byCluster[n.GetClusterId()], id)
	}
	sort.Strings(all)
	same("all", all, scan(store.Query{Kind: store.Node}))
	slices.Reverse(all)
	same("reversed", all, scan(store.Query{Kind: store.Node, Reverse: true}))
	same("limited", all[:min(2, len(all))], scan(store.Query{Kind: store.Node, Reverse: true, Limit: 2}))
	for c, want := range byCluster {
		sort.Strings(want)
		same("of "+c, want, scan(store.Query{Kind: store.Node, Index: store.ByCluster, Value: c}))
		slices.Reverse(want)
		same("of "+c+" reversed", want, scan(store.Query{Kind: store.Node, Index: store.ByCluster, Value: c, Reverse: true}))
	}
	for _, name := range []string{"a", "b", "aa", "bé", "z"} {
		id, _ := tx.Lookup(store.Cluster, "", name)
		same("name "+name, w.names[name], id)
	}
	want := []string{}
	for k, at := range w.due {
		want = append(want, fmt.Sprintf("%03d %s", at, k.ID))
	}
	sort.Strings(want)
	got := []string{}
	for _, k := range tx.Due(time.UnixMilli(100), 0) {
		at, _ := tx.Scheduled(k)
		got = append(got, fmt.Sprintf("%03d %s", at.UnixMilli(), k.ID))
	}
	same("due", want, got)
}
