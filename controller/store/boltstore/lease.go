package boltstore

import (
	"context"
	"fmt"
	"time"

	"aloft/controller/store"
)

// Lease implements store.Store.
func (s *Store) Lease(ctx context.Context, name, holder string, ttl time.Duration) (store.Epoch, error) {
	if err := part("lease", name); err != nil {
		return 0, err
	}
	if err := part("holder", holder); err != nil {
		return 0, err
	}
	var epoch store.Epoch
	_, err := s.Update(ctx, func(stx store.Tx) error {
		t, ok := stx.(*tx)
		if !ok {
			return fmt.Errorf("lease: foreign transaction %T", stx)
		}
		var l lease
		if v := t.get(bLease, name); v != nil {
			var err error
			if l, err = decodeLease(v); err != nil {
				return t.fault(fmt.Errorf("lease %s: %w", name, err))
			}
		}
		now := t.now.UnixMilli()
		held := l.expiresMS > now
		switch {
		case held && l.holder != holder:
			return fmt.Errorf("lease %s is held by %s until %s: %w", name, l.holder,
				time.UnixMilli(l.expiresMS).UTC().Format(time.RFC3339), store.ErrConflict)
		case ttl <= 0:
			if held {
				l.expiresMS = 0
				t.set(bLease, name, l.encode())
			}
		default:
			if !held {
				l.epoch++
			}
			l.holder, l.expiresMS = holder, now+max(ttl.Milliseconds(), 1)
			t.set(bLease, name, l.encode())
		}
		epoch = store.Epoch(l.epoch)
		return nil
	})
	if err != nil {
		return 0, err
	}
	return epoch, nil
}
