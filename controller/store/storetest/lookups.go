package storetest

import (
	"fmt"
	"sync"
	"sync/atomic"

	"google.golang.org/protobuf/proto"

	"aloft/controller/store"
	statev1 "aloft/proto/sky/state/v1"
)

func names() []testCase {
	put := func(e *env, c *statev1.Cluster) error {
		_, err := e.Update(e.ctx, func(tx store.Tx) error { return tx.Put(store.Cluster, c.GetId(), c) })
		return err
	}
	holder := func(e *env, name string) (id string) {
		e.view(func(tx store.Tx) error { id, _ = tx.Lookup(store.Cluster, "p", name); return nil })
		return id
	}
	return []testCase{
		{name: "taken", run: func(e *env) {
			e.check(put(e, cluster("a", "n")))
			e.want(put(e, cluster("b", "n")), store.ErrNameTaken)
			e.same("a", holder(e, "n"))
			e.check(put(e, cluster("a", "n"))) // its own again
		}},
		{name: "freed by the end", run: func(e *env) {
			c := cluster("a", "n")
			e.check(put(e, c))
			c.EndedMs = 1
			e.check(put(e, c))
			e.same("", holder(e, "n"))
			e.check(put(e, cluster("b", "n")))
			e.same("b", holder(e, "n"))
			e.check(put(e, c)) // the ended one does not take it back
			e.same("b", holder(e, "n"))
			c.EndedMs = 0
			e.want(put(e, c), store.ErrNameTaken)
		}},
		{name: "freed by delete", run: func(e *env) {
			e.check(put(e, cluster("a", "n")))
			e.update(func(tx store.Tx) error { return tx.Delete(store.Cluster, "a") })
			e.check(put(e, cluster("b", "n")))
		}},
		{name: "moved by a new name", run: func(e *env) {
			e.check(put(e, cluster("a", "n")))
			e.check(put(e, cluster("a", "m")))
			e.same("", holder(e, "n"))
			e.same("a", holder(e, "m"))
		}},
		{name: "one per project", run: func(e *env) {
			e.check(put(e, cluster("a", "n")))
			other := cluster("b", "n")
			other.Project = "q"
			e.check(put(e, other))
		}},
		{name: "handed over in one closure", run: func(e *env) {
			e.check(put(e, cluster("a", "n")))
			e.update(func(tx store.Tx) error {
				e.want(tx.Put(store.Cluster, "b", cluster("b", "n")), store.ErrNameTaken)
				a := cluster("a", "n")
				a.EndedMs = 1
				e.check(tx.Put(store.Cluster, "a", a))
				e.check(tx.Put(store.Cluster, "b", cluster("b", "n")))
				e.want(tx.Put(store.Cluster, "c", cluster("c", "n")), store.ErrNameTaken)
				return nil
			})
			e.same("b", holder(e, "n"))
		}},
		{name: "one winner of many", run: func(e *env) {
			var won atomic.Int32
			var wg sync.WaitGroup
			for i := range 64 {
				wg.Go(func() {
					err := put(e, cluster(fmt.Sprint("c", i), "n"))
					if err == nil {
						won.Add(1)
					} else {
						e.want(err, store.ErrNameTaken)
					}
				})
			}
			wg.Wait()
			e.same(int32(1), won.Load())
		}},
	}
}

func indexes() []testCase {
	ids := func(tx store.Tx, q store.Query) []string {
		var out []string
		for id := range tx.Scan(q, func() proto.Message { return new(statev1.Job) }) {
			out = append(out, id)
		}
		return out
	}
	fill := func(e *env) {
		e.update(func(tx store.Tx) error {
			// Ids do not sort as numbers do.
			for i, id := range []string{"j5", "j4", "j3", "j2", "j1"} {
				e.check(tx.Put(store.Job, id, job(id, "c1", uint32(i+1))))
			}
			return tx.Put(store.Job, "j9", job("j9", "c10", 1))
		})
	}
	byNumber := store.Query{Kind: store.Job, Index: store.ByNumber, Value: "c1/", Prefix: true}
	reversed := byNumber
	reversed.Reverse = true
	limited := reversed
	limited.Limit = 2
	return []testCase{
		{name: "by id", run: func(e *env) {
			fill(e)
			e.view(func(tx store.Tx) error {
				e.same([]string{"j1", "j2", "j3", "j4", "j5", "j9"}, ids(tx, store.Query{Kind: store.Job}))
				e.same([]string{"j9", "j5"}, ids(tx, store.Query{Kind: store.Job, Reverse: true, Limit: 2}))
				e.same([]string(nil), ids(tx, store.Query{Kind: store.Node}))
				return nil
			})
		}},
		{name: "by value, not by prefix", run: func(e *env) {
			fill(e)
			e.view(func(tx store.Tx) error {
				e.same([]string{"j1", "j2", "j3", "j4", "j5"}, ids(tx, store.Query{Kind: store.Job, Index: store.ByCluster, Value: "c1"}))
				e.same([]string{"j9"}, ids(tx, store.Query{Kind: store.Job, Index: store.ByCluster, Value: "c10"}))
				e.same([]string(nil), ids(tx, store.Query{Kind: store.Job, Index: store.ByCluster, Value: "c"}))
				return nil
			})
		}},
		{name: "ranges, both ways, limited", run: func(e *env) {
			fill(e)
			check := func(tx store.Tx) {
				e.same([]string{"j5", "j4", "j3", "j2", "j1"}, ids(tx, byNumber))
				e.same([]string{"j1", "j2", "j3", "j4", "j5"}, ids(tx, reversed))
				e.same([]string{"j1", "j2"}, ids(tx, limited))
			}
			e.view(func(tx store.Tx) error { check(tx); return nil })
			e.update(func(tx store.Tx) error { // the same among pending writes
				e.check(tx.Delete(store.Job, "j3"))
				e.same([]string{"j1", "j2", "j4", "j5"}, ids(tx, reversed))
				e.check(tx.Put(store.Job, "j3", job("j3", "c1", 3)))
				check(tx)
				e.check(tx.Put(store.Job, "j0", job("j0", "c1", 6)))
				e.same([]string{"j0", "j1"}, ids(tx, limited))
				e.same([]string{"j5", "j4", "j3", "j2", "j1", "j0"}, ids(tx, byNumber))
				return nil
			})
		}},
		{name: "typed listings", run: func(e *env) {
			fill(e)
			e.view(func(tx store.Tx) error {
				e.same("j1", store.JobsOf(tx, "c1", 1)[0].GetId())
				e.same("j1", store.LatestJobs(tx, 1)[0].GetId())
				e.same(6, len(store.OpenJobs(tx)))
				j, err := store.JobByNumber(tx, "c1", 2)
				e.same("j4", j.GetId())
				_, miss := store.JobByNumber(tx, "c1", 9)
				e.want(miss, store.ErrNotFound)
				return err
			})
		}},
		{name: "an object moves", run: func(e *env) {
			n := node("n", "c")
			set := func() { e.update(func(tx store.Tx) error { return tx.Put(store.Node, "n", n) }) }
			count := func(index, value string) (c int) {
				e.view(func(tx store.Tx) error { c = len(store.List[statev1.Node](tx, store.Node, index, value)); return nil })
				return c
			}
			set()
			e.same([]int{1, 0}, []int{count(store.ByPhase, "NODE_PLANNED"), count(store.ByInstance, "i-1")})
			n.Phase, n.InstanceId = statev1.NodePhase_NODE_BOOTING, "i-1"
			set()
			e.same([]int{0, 1, 1, 1}, []int{count(store.ByPhase, "NODE_PLANNED"), count(store.ByPhase, "NODE_BOOTING"), count(store.ByInstance, "i-1"), count(store.ByCluster, "c")})
			e.update(func(tx store.Tx) error { return tx.Delete(store.Node, "n") })
			e.same([]int{0, 0, 0}, []int{count(store.ByPhase, "NODE_BOOTING"), count(store.ByInstance, "i-1"), count(store.ByCluster, "c")})
		}},
		{name: "written while listed", run: func(e *env) {
			e.update(func(tx store.Tx) error {
				for _, id := range numbered("n", 100) {
					e.check(tx.Put(store.Node, id, node(id, "c")))
				}
				return nil
			})
			e.update(func(tx store.Tx) error {
				seen := 0
				for id, m := range tx.List(store.Node, store.ByPhase, "NODE_PLANNED", func() proto.Message { return new(statev1.Node) }) {
					seen++
					n, _ := m.(*statev1.Node)
					n.Phase = statev1.NodePhase_NODE_GONE
					if seen%2 == 0 {
						e.check(tx.Delete(store.Node, id))
					} else {
						e.check(tx.Put(store.Node, id, n))
					}
				}
				e.same(100, seen)
				e.same(0, len(store.List[statev1.Node](tx, store.Node, store.ByPhase, "NODE_PLANNED")))
				return nil
			})
			e.view(func(tx store.Tx) error {
				e.same(50, len(store.List[statev1.Node](tx, store.Node, store.ByPhase, "NODE_GONE")))
				e.same(50, len(store.NodesOf(tx, "c")))
				return nil
			})
		}},
	}
}
