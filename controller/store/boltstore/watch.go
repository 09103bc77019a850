package boltstore

import (
	"context"
	"fmt"
	"iter"

	"aloft/controller/store"
	statev1 "aloft/proto/sky/state/v1"
)

const (
	ringGroups = 4096 // commits kept in memory for watchers
	pageEvents = 1024 // events read from the file at a time
)

// commitEvents are the events of one commit.
type commitEvents struct {
	rev    uint64
	events []*statev1.Event
}

// publish hands the events of a commit to the watchers: one channel close wakes them all.
func (s *Store) publish(rev uint64, evs []*statev1.Event) {
	s.watchMu.Lock()
	defer s.watchMu.Unlock()
	s.head = rev
	if len(evs) == 0 {
		return
	}
	if len(s.ring) >= ringGroups {
		half := len(s.ring) / 2
		s.tail = s.ring[half-1].rev
		s.ring = append(make([]commitEvents, 0, ringGroups), s.ring[half:]...)
	}
	s.ring = append(s.ring, commitEvents{rev, evs})
	close(s.changed)
	s.changed = make(chan struct{})
}

// recent is what the memory has after from; ok is false when the file must be asked first. The slice is never changed.
func (s *Store) recent(from uint64) (groups []commitEvents, changed <-chan struct{}, ok bool) {
	s.watchMu.RLock()
	defer s.watchMu.RUnlock()
	if from < s.tail || from > s.head {
		return nil, nil, false
	}
	i := len(s.ring)
	for i > 0 && s.ring[i-1].rev > from {
		i--
	}
	return s.ring[i:len(s.ring):len(s.ring)], s.changed, true
}

// Watch implements store.Store.
func (s *Store) Watch(ctx context.Context, from store.Rev, f store.Filter) iter.Seq2[*statev1.Event, error] {
	return func(yield func(*statev1.Event, error) bool) {
		at := uint64(from)
		for ctx.Err() == nil {
			groups, changed, ok := s.recent(at)
			if !ok {
				evs, to, err := s.page(ctx, at)
				if err != nil {
					if ctx.Err() == nil {
						yield(nil, err)
					}
					return
				}
				if !yieldAll(ctx, evs, f, yield) {
					return
				}
				at = to
				continue
			}
			for _, g := range groups {
				if !yieldAll(ctx, g.events, f, yield) {
					return
				}
				at = g.rev
			}
			if len(groups) > 0 {
				continue
			}
			select {
			case <-ctx.Done():
				return
			case <-s.done:
				yield(nil, store.ErrClosed)
				return
			case <-changed:
			}
		}
	}
}

func yieldAll(ctx context.Context, evs []*statev1.Event, f store.Filter, yield func(*statev1.Event, error) bool) bool {
	for _, ev := range evs {
		if ctx.Err() != nil {
			return false
		}
		if matches(ev, f) && !yield(ev, nil) {
			return false
		}
	}
	return true
}

// page reads events after from out of the file, whole revisions, and says up to which revision they go.
func (s *Store) page(ctx context.Context, from uint64) (evs []*statev1.Event, to uint64, err error) {
	err = s.view(ctx, func(t *tx) error {
		rev := uint64(t.Rev())
		if from > rev {
			return fmt.Errorf("revision %d, the store is at %d: %w", from, rev, store.ErrCompacted)
		}
		if gone := uint64Of(t.get(bMeta, metaCompacted)); from < gone {
			return fmt.Errorf("revision %d, oldest kept is %d: %w", from, gone, store.ErrCompacted)
		}
		to = rev
		t.scanEvents(store.Rev(from), func(ev *statev1.Event) bool {
			if n := len(evs); n >= pageEvents && evs[n-1].GetRev() != ev.GetRev() {
				to = evs[n-1].GetRev()
				return false
			}
			evs = append(evs, ev)
			return true
		})
		return nil
	})
	return evs, to, err
}
