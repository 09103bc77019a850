package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"aloft/controller/store"
	statev1 "aloft/proto/sky/state/v1"
)

func objects() []testCase {
	return []testCase{
		{name: "missing", run: func(e *env) {
			e.view(func(tx store.Tx) error {
				_, err := store.GetJob(tx, "j")
				e.want(err, store.ErrNotFound)
				return nil
			})
		}},
		{name: "round trip", run: func(e *env) {
			want := job("j", "c", 7)
			want.Metrics = map[string]float64{"a": 1, "b": 2}
			rev := e.update(func(tx store.Tx) error { return tx.Put(store.Job, "j", want) })
			e.view(func(tx store.Tx) error {
				got := new(statev1.Job)
				r, err := tx.Get(store.Job, "j", got)
				e.same(want, got)
				e.same(rev, r)
				e.same(rev, tx.Rev())
				return err
			})
		}},
		{name: "overwrite", run: func(e *env) {
			first := e.putCluster("c", "one")
			second := e.putCluster("c", "two")
			if second <= first {
				e.Errorf("revision %d after %d", second, first)
			}
			e.view(func(tx store.Tx) error {
				got := new(statev1.Cluster)
				r, err := tx.Get(store.Cluster, "c", got)
				e.same(second, r)
				e.same("two", got.GetName())
				return err
			})
		}},
		{name: "delete", run: func(e *env) {
			e.putCluster("c", "n")
			e.update(func(tx store.Tx) error { return tx.Delete(store.Cluster, "c") })
			_, err := e.Update(e.ctx, func(tx store.Tx) error { return tx.Delete(store.Cluster, "c") })
			e.want(err, store.ErrNotFound)
			e.view(func(tx store.Tx) error { e.same(0, len(store.Clusters(tx))); return nil })
		}},
		{name: "written message is not kept", run: func(e *env) {
			e.update(func(tx store.Tx) error {
				c := cluster("c", "before")
				if err := tx.Put(store.Cluster, "c", c); err != nil {
					return err
				}
				c.Name = "after"
				ev := event("x")
				tx.Emit(ev)
				ev.Id = "y"
				return nil
			})
			e.view(func(tx store.Tx) error {
				c, err := store.GetCluster(tx, "c")
				e.same("before", c.GetName())
				evs, _ := tx.Events(0, store.Filter{}, 0)
				e.same("x", evs[0].GetId())
				return err
			})
		}},
		{name: "read message outlives the view", run: func(e *env) {
			e.putCluster("c", "name")
			var c *statev1.Cluster
			e.view(func(tx store.Tx) (err error) { c, err = store.GetCluster(tx, "c"); return err })
			for i := range 50 {
				e.putCluster("c", fmt.Sprint("other", i))
			}
			e.same("name", c.GetName())
			c.Name = "changed"
			e.view(func(tx store.Tx) error {
				c, err := store.GetCluster(tx, "c")
				e.same("other49", c.GetName())
				return err
			})
		}},
		{name: "unknown fields survive", run: func(e *env) {
			c := cluster("c", "n")
			unknown := protowire.AppendString(protowire.AppendTag(nil, 9999, protowire.BytesType), "from the future")
			c.ProtoReflect().SetUnknown(unknown)
			e.update(func(tx store.Tx) error { return tx.Put(store.Cluster, "c", c) })
			e.update(func(tx store.Tx) error {
				c, err := store.GetCluster(tx, "c")
				if err != nil {
					return err
				}
				c.Name = "m"
				return tx.Put(store.Cluster, "c", c)
			})
			e.view(func(tx store.Tx) error {
				c, err := store.GetCluster(tx, "c")
				e.same(unknown, []byte(c.ProtoReflect().GetUnknown()))
				return err
			})
		}},
		{name: "bad ids", run: func(e *env) {
			for _, id := range []string{"", "a\x00b"} {
				if _, err := e.Update(e.ctx, func(tx store.Tx) error { return tx.Put(store.Cluster, id, cluster(id, "n")) }); err == nil {
					e.Errorf("id %q was taken", id)
				}
			}
			if _, err := e.Update(e.ctx, func(tx store.Tx) error { return tx.Put("unheard", "x", cluster("x", "n")) }); err == nil {
				e.Error("an unknown kind was taken")
			}
		}},
		{name: "huge values", run: func(e *env) {
			want := job("j", "c", 1)
			want.Task = &statev1.TaskSpec{Yaml: strings.Repeat("y", 10<<20)}
			want.SealedSecrets = bytes.Repeat([]byte{0, 255}, 1<<20)
			e.update(func(tx store.Tx) error { return tx.Put(store.Job, "j", want) })
			e.reopen()
			e.view(func(tx store.Tx) error {
				got, err := store.GetJob(tx, "j")
				if !proto.Equal(want, got) {
					e.Error("not the same")
				}
				return err
			})
		}},
	}
}

func transactions() []testCase {
	boom := errors.New("boom")
	return []testCase{
		{name: "a failing closure writes nothing", run: func(e *env) {
			rev, err := e.Update(e.ctx, func(tx store.Tx) error {
				tx.Emit(event("x"))
				if err := tx.Put(store.Cluster, "c", cluster("c", "n")); err != nil {
					return err
				}
				return boom
			})
			e.want(err, boom)
			e.same(store.Rev(0), rev)
			e.view(func(tx store.Tx) error {
				evs, err := tx.Events(0, store.Filter{}, 0)
				e.same(0, len(evs)+len(store.Clusters(tx)))
				_, lerr := tx.Lookup(store.Cluster, "p", "n")
				e.want(lerr, store.ErrNotFound)
				return err
			})
		}},
		{name: "each stands or falls alone", run: func(e *env) {
			var wg sync.WaitGroup
			for i := range 200 {
				wg.Go(func() {
					id := fmt.Sprintf("c%03d", i)
					_, err := e.Update(e.ctx, func(tx store.Tx) error {
						if err := tx.Put(store.Cluster, id, cluster(id, id)); err != nil {
							return err
						}
						tx.Emit(event(id))
						if i%2 == 1 {
							return boom
						}
						return nil
					})
					if (i%2 == 1) != errors.Is(err, boom) {
						e.Errorf("%d: %v", i, err)
					}
				})
			}
			wg.Wait()
			e.view(func(tx store.Tx) error {
				evs, err := tx.Events(0, store.Filter{}, 0)
				e.same(100, len(evs))
				e.same(100, len(store.Clusters(tx)))
				return err
			})
		}},
		{name: "a closure reads its own writes", run: func(e *env) {
			e.update(func(tx store.Tx) error {
				e.check(tx.Put(store.Cluster, "c", cluster("c", "n")))
				e.check(tx.Put(store.Job, "j", job("j", "c", 1)))
				c, err := store.FindCluster(tx, "p", "n")
				e.check(err)
				e.same("c", c.GetId())
				e.same(1, len(store.JobsOf(tx, "c", 0)))
				e.check(tx.SetCursor("a", "s", 9))
				e.same(uint64(9), tx.Cursor("a", "s"))
				e.check(tx.Delete(store.Job, "j"))
				e.same(0, len(store.JobsOf(tx, "c", 0))+len(store.List[statev1.Job](tx, store.Job, "", "")))
				return nil
			})
		}},
		{name: "a view is a snapshot", run: func(e *env) {
			e.putCluster("c", "before")
			e.view(func(tx store.Tx) error {
				done := make(chan store.Rev)
				go func() { done <- e.putCluster("c", "after") }()
				after := <-done
				c, err := store.GetCluster(tx, "c")
				e.same("before", c.GetName())
				if tx.Rev() >= after {
					e.Errorf("view is at %d, the later update at %d", tx.Rev(), after)
				}
				return err
			})
			e.view(func(tx store.Tx) error {
				c, err := store.GetCluster(tx, "c")
				e.same("after", c.GetName())
				return err
			})
		}},
		{name: "updates are serial", run: func(e *env) {
			e.putCluster("c", "n")
			var wg sync.WaitGroup
			for range 30 {
				wg.Go(func() {
					for range 10 {
						_, err := e.Update(e.ctx, func(tx store.Tx) error {
							c, err := store.GetCluster(tx, "c")
							if err != nil {
								return err
							}
							c.LastJob++
							return tx.Put(store.Cluster, "c", c)
						})
						if err != nil {
							e.Error(err)
						}
					}
				})
			}
			wg.Wait()
			e.view(func(tx store.Tx) error {
				c, err := store.GetCluster(tx, "c")
				e.same(uint32(300), c.GetLastJob())
				return err
			})
		}},
		{name: "a view cannot write", run: func(e *env) {
			e.view(func(tx store.Tx) error {
				e.want(tx.Put(store.Cluster, "c", cluster("c", "n")), store.ErrReadOnly)
				e.want(tx.Delete(store.Cluster, "c"), store.ErrReadOnly)
				e.want(tx.SetCursor("a", "s", 1), store.ErrReadOnly)
				e.want(tx.Schedule(store.Key{Kind: store.Node, ID: "n"}, e.clock()), store.ErrReadOnly)
				e.want(tx.PutIntent(&statev1.Intent{NodeId: "n", Token: "t"}), store.ErrReadOnly)
				return nil
			})
			e.want(e.View(e.ctx, func(tx store.Tx) error { tx.Emit(event("x")); return nil }), store.ErrReadOnly)
		}},
		{name: "a transaction ends", run: func(e *env) {
			var kept store.Tx
			e.update(func(tx store.Tx) error { kept = tx; return nil })
			if kept.Put(store.Cluster, "c", cluster("c", "n")) == nil {
				e.Error("wrote after the end")
			}
			e.view(func(tx store.Tx) error { kept = tx; return nil })
			if _, err := store.GetCluster(kept, "c"); err == nil || errors.Is(err, store.ErrNotFound) {
				e.Error("read after the end", err)
			}
		}},
		{name: "the view's error comes back", run: func(e *env) {
			e.want(e.View(e.ctx, func(store.Tx) error { return boom }), boom)
		}},
		{name: "a canceled context", run: func(e *env) {
			ctx, cancel := context.WithCancel(e.ctx)
			cancel()
			_, err := e.Update(ctx, func(store.Tx) error { e.Error("ran"); return nil })
			e.want(err, context.Canceled)
			e.want(e.View(ctx, func(store.Tx) error { e.Error("ran"); return nil }), context.Canceled)
		}},
		{name: "a panic is the caller's own", run: func(e *env) {
			func() {
				defer func() {
					if _, ok := recover().(runtime.Error); !ok {
						e.Error("the panic did not come back")
					}
				}()
				_, _ = e.Update(e.ctx, func(tx store.Tx) error {
					_ = tx.Put(store.Cluster, "c", cluster("c", "n"))
					none := numbered("", 0)
					return errors.New(none[len(none)])
				})
			}()
			e.view(func(tx store.Tx) error { e.same(0, len(store.Clusters(tx))); return nil })
			e.putCluster("c", "n")
		}},
		{name: "a closure whose goroutine ends", run: func(e *env) {
			done := make(chan struct{})
			go func() {
				defer close(done)
				_, _ = e.Update(e.ctx, func(tx store.Tx) error {
					_ = tx.Put(store.Cluster, "c", cluster("c", "n"))
					runtime.Goexit()
					return nil
				})
			}()
			<-done
			e.view(func(tx store.Tx) error { e.same(0, len(store.Clusters(tx))); return nil })
			e.putCluster("c", "n")
		}},
		{name: "reading updates keep the revision", run: func(e *env) {
			rev := e.putCluster("c", "n")
			e.same(rev, e.update(func(store.Tx) error { return nil }))
			e.same(rev+1, e.putCluster("c", "m"))
		}},
	}
}
