package storetest

import (
	"context"
	"fmt"
	"sync"
	"time"

	"aloft/controller/store"
	statev1 "aloft/proto/sky/state/v1"
)

func events() []testCase {
	return []testCase{
		{name: "revision, time and order", run: func(e *env) {
			e.emit("a", "b")
			rev := e.update(func(tx store.Tx) error {
				tx.Emit(&statev1.Event{Id: "c", AtMs: 77, Rev: 99})
				return nil
			})
			e.view(func(tx store.Tx) error {
				evs, err := tx.Events(0, store.Filter{}, 0)
				e.check(err)
				var got []string
				for _, ev := range evs {
					got = append(got, fmt.Sprint(ev.GetId(), ev.GetRev(), ev.GetAtMs()))
				}
				now := e.clock().UnixMilli()
				e.same([]string{fmt.Sprint("a", 1, now), fmt.Sprint("b", 1, now), fmt.Sprint("c", 2, 77)}, got)
				e.same(store.Rev(2), rev)
				return nil
			})
		}},
		{name: "from, filter and limit", run: func(e *env) {
			for _, id := range []string{"a", "b", "a", "b", "a"} {
				e.emit(id)
			}
			e.view(func(tx store.Tx) error {
				for _, c := range []struct {
					from  store.Rev
					f     store.Filter
					limit int
					want  int
				}{
					{0, store.Filter{}, 0, 5},
					{3, store.Filter{}, 0, 2},
					{5, store.Filter{}, 0, 0},
					{0, store.Filter{ID: "a"}, 0, 3},
					{0, store.Filter{ID: "a"}, 2, 2},
					{1, store.Filter{ClusterID: "c-a"}, 0, 2},
					{0, store.Filter{Kind: store.Job, ID: "b"}, 0, 2},
					{0, store.Filter{Kind: store.Node}, 0, 0},
				} {
					evs, err := tx.Events(c.from, c.f, c.limit)
					e.check(err)
					e.same(c.want, len(evs))
				}
				return nil
			})
		}},
		{name: "too many are dropped", opts: Options{KeepEvents: 100}, run: func(e *env) {
			var rev store.Rev
			for i := range 400 {
				rev = e.emit(fmt.Sprint(i), fmt.Sprint(i, "'"))
			}
			e.view(func(tx store.Tx) error {
				_, err := tx.Events(0, store.Filter{}, 0)
				e.want(err, store.ErrCompacted)
				evs, err := tx.Events(rev-40, store.Filter{}, 0)
				e.same(80, len(evs))
				return err
			})
		}},
		{name: "old ones are dropped", opts: Options{KeepFor: 24 * time.Hour}, run: func(e *env) {
			old := e.emit("old")
			e.advance(12 * time.Hour)
			e.emit("young")
			e.advance(13 * time.Hour)
			e.emit("new")
			e.view(func(tx store.Tx) error {
				_, err := tx.Events(0, store.Filter{}, 0)
				e.want(err, store.ErrCompacted)
				evs, err := tx.Events(old, store.Filter{}, 0)
				e.same(2, len(evs))
				return err
			})
		}},
	}
}

func watches() []testCase {
	return []testCase{
		{name: "any cut gives the rest", run: func(e *env) {
			all := numbered("", 30)
			for _, id := range all {
				e.emit(id)
			}
			for range 2 {
				for cut := range len(all) + 1 {
					got, err := take(e.Watch(e.ctx, store.Rev(cut), store.Filter{}), len(all)-cut)
					e.check(err)
					if fmt.Sprint(all[cut:]) != fmt.Sprint(got) {
						e.Errorf("after %d: %v", cut, got)
					}
				}
				e.reopen() // then the same from the file
			}
		}},
		{name: "stored, then live, without a gap", run: func(e *env) {
			const before, after = 50, 200
			all := numbered("", before+after)
			for _, id := range all[:before] {
				e.emit(id)
			}
			e.reopen()
			var wg sync.WaitGroup
			for range 10 {
				wg.Go(func() {
					got, err := take(e.Watch(e.ctx, 0, store.Filter{}), len(all))
					if err != nil || fmt.Sprint(got) != fmt.Sprint(all) {
						e.Error(err, len(got))
					}
				})
			}
			for _, id := range all[before:] {
				e.emit(id)
			}
			wg.Wait()
		}},
		{name: "many writers, every watcher sees the same", run: func(e *env) {
			const writers, each = 20, 20
			var wg sync.WaitGroup
			seen := make([][]string, 5)
			for i := range seen {
				wg.Go(func() {
					got, err := take(e.Watch(e.ctx, 0, store.Filter{}), writers*each)
					if err != nil {
						e.Error(err)
					}
					seen[i] = got
				})
			}
			for w := range writers {
				wg.Go(func() {
					for i := range each {
						if _, err := e.Update(e.ctx, func(tx store.Tx) error { tx.Emit(event(fmt.Sprint(w, "-", i))); return nil }); err != nil {
							e.Error(err)
						}
					}
				})
			}
			wg.Wait()
			for i := range seen {
				e.same(seen[0], seen[i])
			}
		}},
		{name: "filtered", run: func(e *env) {
			for i := range 20 {
				e.emit([]string{"a", "b"}[i%2])
			}
			got, err := take(e.Watch(e.ctx, 0, store.Filter{ID: "b", Kind: store.Job, ClusterID: "c-b"}), 10)
			e.check(err)
			e.same(10, len(got))
		}},
		{name: "a slow watcher misses nothing", run: func(e *env) {
			const n = 9000 // more than any buffer holds
			all := numbered("", n)
			ctx, cancel := context.WithCancel(e.ctx)
			defer cancel()
			first, rest := make(chan struct{}), make(chan struct{})
			var got []string
			var wg sync.WaitGroup
			wg.Go(func() {
				for ev, err := range e.Watch(ctx, 0, store.Filter{}) {
					if err != nil {
						e.Error(err)
						return
					}
					if got = append(got, ev.GetId()); len(got) == 1 {
						close(first)
						<-rest
					}
					if len(got) == n {
						return
					}
				}
			})
			for _, id := range all {
				e.emit(id)
				if id == all[0] {
					<-first
				}
			}
			close(rest)
			wg.Wait()
			if fmt.Sprint(got) != fmt.Sprint(all) {
				e.Errorf("saw %d of %d", len(got), n)
			}
		}},
		{name: "compacted", opts: Options{KeepEvents: 50}, run: func(e *env) {
			var rev store.Rev
			for range 300 {
				rev = e.emit("x")
			}
			e.reopen()
			_, err := take(e.Watch(e.ctx, 1, store.Filter{}), 1)
			e.want(err, store.ErrCompacted)
			got, err := take(e.Watch(e.ctx, rev-10, store.Filter{}), 10)
			e.check(err)
			e.same(10, len(got))
		}},
		{name: "ahead of the store", run: func(e *env) {
			e.emit("x")
			_, err := take(e.Watch(e.ctx, 100, store.Filter{}), 1)
			e.want(err, store.ErrCompacted)
		}},
		{name: "ends with its context", run: func(e *env) {
			ctx, cancel := context.WithCancel(e.ctx)
			defer cancel()
			e.emit("x")
			n := 0
			for _, err := range e.Watch(ctx, 0, store.Filter{}) {
				e.check(err)
				n++
				cancel()
			}
			e.same(1, n)
		}},
		{name: "ends with the store", run: func(e *env) {
			e.emit("x")
			ready := make(chan struct{})
			end := make(chan error, 1)
			go func() {
				var last error
				for _, err := range e.Watch(e.ctx, 0, store.Filter{}) {
					if last = err; err == nil {
						close(ready)
					}
				}
				end <- last
			}()
			<-ready
			e.check(e.Close())
			e.want(<-end, store.ErrClosed)
		}},
	}
}
