package storetest

import (
	"fmt"

	"aloft/controller/store"
	statev1 "aloft/proto/sky/state/v1"
)

func life() []testCase {
	return []testCase{
		{name: "installation and writer epoch", run: func(e *env) {
			identity := func() (id string, epoch uint64) {
				e.view(func(tx store.Tx) error { id, epoch = tx.Installation(), tx.WriterEpoch(); return nil })
				return id, epoch
			}
			id, epoch := identity()
			if id == "" || epoch != 1 {
				e.Error(id, epoch)
			}
			e.reopen()
			id2, epoch2 := identity()
			e.same(id, id2)
			e.same(epoch+1, epoch2)
			e.crash()
			id3, epoch3 := identity()
			e.same(id, id3)
			e.same(epoch+2, epoch3)
		}},
		{name: "closed", run: func(e *env) {
			e.check(e.Close())
			_, err := e.Update(e.ctx, func(store.Tx) error { return nil })
			e.want(err, store.ErrClosed)
			e.want(e.View(e.ctx, func(store.Tx) error { return nil }), store.ErrClosed)
			_, err = take(e.Watch(e.ctx, 0, store.Filter{}), 1)
			e.want(err, store.ErrClosed)
			_, err = e.Lease(e.ctx, "l", "h", 1)
			e.want(err, store.ErrClosed)
			e.check(e.Close())
		}},
		{name: "survives a crash", run: func(e *env) {
			var rev store.Rev
			for i := range 50 {
				rev = e.update(func(tx store.Tx) error {
					id := fmt.Sprintf("c%02d", i)
					tx.Emit(event(id))
					e.check(tx.Schedule(store.Key{Kind: store.Cluster, ID: id}, e.clock()))
					e.check(tx.PutIntent(&statev1.Intent{NodeId: id, Attempt: 1, Token: "t" + id}))
					return tx.Put(store.Cluster, id, cluster(id, id))
				})
			}
			e.crash()
			e.view(func(tx store.Tx) error {
				e.same(rev, tx.Rev())
				evs, err := tx.Events(0, store.Filter{}, 0)
				e.same([]int{50, 50, 50, 50}, []int{len(evs), len(store.Clusters(tx)), len(tx.Intents("")), len(tx.Due(e.clock(), 0))})
				_, lerr := store.FindCluster(tx, "p", "c49")
				e.check(lerr)
				return err
			})
			e.same(rev+1, e.emit("later"))
		}},
		{name: "opened for reading", run: func(e *env) {
			e.putCluster("c", "n")
			e.emit("x")
			e.opts.ReadOnly = true
			e.reopen()
			second := e.open(e, e.dir, e.opts)
			for _, s := range []Store{e.Store, second} {
				_, err := s.Update(e.ctx, func(store.Tx) error { return nil })
				e.want(err, store.ErrReadOnly)
				_, err = s.Lease(e.ctx, "l", "h", 1)
				e.want(err, store.ErrReadOnly)
				e.check(s.View(e.ctx, func(tx store.Tx) error {
					_, err := store.FindCluster(tx, "p", "n")
					return err
				}))
				got, err := take(s.Watch(e.ctx, 0, store.Filter{}), 1)
				e.check(err)
				e.same([]string{"x"}, got)
			}
			e.check(second.Close())
			e.opts.ReadOnly = false
			e.reopen()
			e.view(func(tx store.Tx) error { e.same(uint64(2), tx.WriterEpoch()); return nil })
		}},
	}
}
