package storetest

import (
	"time"

	"aloft/controller/store"
	statev1 "aloft/proto/sky/state/v1"
)

func timers() []testCase {
	a, b, c := store.Key{Kind: store.Node, ID: "a"}, store.Key{Kind: store.Node, ID: "b"}, store.Key{Kind: store.Job, ID: "c"}
	return []testCase{
		{name: "oldest first", run: func(e *env) {
			t0 := e.clock()
			e.update(func(tx store.Tx) error {
				e.check(tx.Schedule(a, t0.Add(3*time.Second)))
				e.check(tx.Schedule(b, t0.Add(time.Second)))
				return tx.Schedule(c, t0.Add(2*time.Second))
			})
			for range 2 {
				e.view(func(tx store.Tx) error {
					e.same([]store.Key(nil), tx.Due(t0, 0))
					e.same([]store.Key{b}, tx.Due(t0.Add(time.Second), 0))
					e.same([]store.Key{b, c, a}, tx.Due(t0.Add(time.Hour), 0))
					e.same([]store.Key{b, c}, tx.Due(t0.Add(time.Hour), 2))
					at, ok := tx.NextDue()
					e.same(true, ok && at.Equal(t0.Add(time.Second)))
					at, ok = tx.Scheduled(a)
					e.same(true, ok && at.Equal(t0.Add(3*time.Second)))
					return nil
				})
				e.reopen()
			}
		}},
		{name: "one per key", run: func(e *env) {
			t0 := e.clock()
			for _, d := range []time.Duration{5, 1, 9, 9} {
				e.update(func(tx store.Tx) error { return tx.Schedule(a, t0.Add(d*time.Second)) })
			}
			e.view(func(tx store.Tx) error {
				e.same([]store.Key(nil), tx.Due(t0.Add(8*time.Second), 0))
				e.same([]store.Key{a}, tx.Due(t0.Add(9*time.Second), 0))
				return nil
			})
			e.update(func(tx store.Tx) error {
				e.check(tx.Unschedule(b))
				return tx.Unschedule(a)
			})
			e.view(func(tx store.Tx) error {
				e.same([]store.Key(nil), tx.Due(t0.Add(time.Hour), 0))
				_, next := tx.NextDue()
				_, has := tx.Scheduled(a)
				e.same(false, next || has)
				return nil
			})
		}},
		{name: "never too early", run: func(e *env) {
			at := e.clock().Add(1500 * time.Microsecond)
			e.update(func(tx store.Tx) error { return tx.Schedule(a, at) })
			e.view(func(tx store.Tx) error {
				e.same(0, len(tx.Due(at.Add(-time.Microsecond), 0)))
				next, _ := tx.NextDue()
				if next.Before(at) || next.After(at.Add(time.Millisecond)) {
					e.Errorf("due at %v, wanted %v", next, at)
				}
				return nil
			})
		}},
	}
}

func intents() []testCase {
	intent := func(node string, attempt int32, token string) *statev1.Intent {
		return &statev1.Intent{NodeId: node, Attempt: attempt, Token: token, Phase: statev1.IntentPhase_INTENT_ISSUED}
	}
	put := func(e *env, in *statev1.Intent) error {
		_, err := e.Update(e.ctx, func(tx store.Tx) error { return tx.PutIntent(in) })
		return err
	}
	return []testCase{
		{name: "by attempt and by token", run: func(e *env) {
			e.check(put(e, intent("n1", 2, "t2")))
			e.check(put(e, intent("n1", 1, "t1")))
			e.check(put(e, intent("n10", 1, "t3")))
			e.reopen()
			e.view(func(tx store.Tx) error {
				in, err := tx.Intent("n1", 2)
				e.check(err)
				e.same("t2", in.GetToken())
				in, err = tx.IntentByToken("t3")
				e.check(err)
				e.same("n10", in.GetNodeId())
				_, err = tx.Intent("n1", 3)
				e.want(err, store.ErrNotFound)
				_, err = tx.IntentByToken("t9")
				e.want(err, store.ErrNotFound)
				e.same([]*statev1.Intent{intent("n1", 1, "t1"), intent("n1", 2, "t2")}, tx.Intents("n1"))
				e.same(3, len(tx.Intents("")))
				return nil
			})
		}},
		{name: "an attempt keeps its token", run: func(e *env) {
			e.check(put(e, intent("n", 1, "t1")))
			e.want(put(e, intent("n", 1, "t2")), store.ErrConflict)
			e.want(put(e, intent("n", 2, "t1")), store.ErrConflict)
			e.want(put(e, intent("m", 1, "t1")), store.ErrConflict)
			bound := intent("n", 1, "t1")
			bound.Phase, bound.InstanceId = statev1.IntentPhase_INTENT_BOUND, "i-1"
			e.check(put(e, bound))
			e.view(func(tx store.Tx) error {
				in, err := tx.IntentByToken("t1")
				e.same(bound, in)
				return err
			})
		}},
		{name: "pruned when long released", run: func(e *env) {
			for i, at := range []int64{1000, 5000, 0} {
				in := intent("n", int32(i), string(rune('a'+i)))
				if at > 0 {
					in.Phase, in.ReleasedMs = statev1.IntentPhase_INTENT_RELEASED, at
				}
				e.check(put(e, in))
			}
			e.update(func(tx store.Tx) error {
				n, err := tx.PruneIntents(time.UnixMilli(5000))
				e.same(1, n)
				return err
			})
			e.view(func(tx store.Tx) error {
				_, err := tx.IntentByToken("a")
				e.want(err, store.ErrNotFound)
				e.same(2, len(tx.Intents("n")))
				return nil
			})
		}},
	}
}

func records() []testCase {
	return []testCase{
		{name: "cursors", run: func(e *env) {
			e.update(func(tx store.Tx) error {
				e.same(uint64(0), tx.Cursor("a", "s"))
				e.check(tx.SetCursor("a", "s", 1<<40))
				return tx.SetCursor("a", "s2", 5)
			})
			e.crash()
			e.view(func(tx store.Tx) error {
				e.same([]uint64{1 << 40, 5, 0}, []uint64{tx.Cursor("a", "s"), tx.Cursor("a", "s2"), tx.Cursor("b", "s")})
				return nil
			})
		}},
		{name: "requests are remembered for a day", run: func(e *env) {
			put := func(user, id, result string) {
				e.update(func(tx store.Tx) error { return tx.PutIdem(user, id, []byte(result), e.clock()) })
			}
			get := func(user, id string) (out string) {
				e.view(func(tx store.Tx) error {
					b, ok := tx.Idem(user, id)
					out = string(b)
					if !ok {
						out = "-"
					}
					return nil
				})
				return out
			}
			put("u", "r", "one")
			put("u", "empty", "")
			e.same([]string{"one", "", "-", "-"}, []string{get("u", "r"), get("u", "empty"), get("v", "r"), get("u", "q")})
			e.advance(23 * time.Hour)
			e.same("one", get("u", "r"))
			put("u", "later", "two")
			e.advance(time.Hour)
			e.same([]string{"-", "two"}, []string{get("u", "r"), get("u", "later")})
			put("u", "r", "three")
			e.same("three", get("u", "r"))
		}},
	}
}

func leases() []testCase {
	return []testCase{
		{name: "life of a lease", run: func(e *env) {
			take := func(holder string, ttl time.Duration) store.Epoch {
				e.Helper()
				ep, err := e.Lease(e.ctx, "leader", holder, ttl)
				e.check(err)
				return ep
			}
			e.same(store.Epoch(1), take("a", time.Minute))
			e.advance(50 * time.Second)
			e.same(store.Epoch(1), take("a", time.Minute)) // renewed
			e.advance(50 * time.Second)
			_, err := e.Lease(e.ctx, "leader", "b", time.Minute)
			e.want(err, store.ErrConflict)
			_, err = e.Lease(e.ctx, "leader", "b", 0)
			e.want(err, store.ErrConflict)
			e.advance(10 * time.Second)
			e.same(store.Epoch(2), take("b", time.Minute))
			_, err = e.Lease(e.ctx, "leader", "a", time.Minute)
			e.want(err, store.ErrConflict)
			e.reopen()
			_, err = e.Lease(e.ctx, "leader", "a", time.Minute)
			e.want(err, store.ErrConflict)
			take("b", 0) // given up
			e.same(store.Epoch(3), take("a", time.Minute))
			e.advance(time.Hour)
			e.same(store.Epoch(4), take("a", time.Minute)) // ran out: others may have had it
		}},
		{name: "names do not mix", run: func(e *env) {
			for _, n := range []string{"one", "two"} {
				ep, err := e.Lease(e.ctx, n, "holder of "+n, time.Minute)
				e.check(err)
				e.same(store.Epoch(1), ep)
			}
			_, err := e.Lease(e.ctx, "", "x", time.Minute)
			if err == nil {
				e.Error("a lease without a name")
			}
		}},
	}
}
