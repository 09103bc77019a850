package boltstore

import (
	"fmt"
	"time"

	bolt "go.etcd.io/bbolt"
	"google.golang.org/protobuf/proto"

	statev1 "aloft/proto/sky/state/v1"
)

const (
	keepEvents   = 100_000
	keepFor      = 7 * 24 * time.Hour
	compactBatch = 2_000            // events dropped by one commit at most, so that no commit takes long
	compactTick  = 10 * time.Minute // between looks at the age of events and idempotency records
)

// compact drops events that are too many or too old, whole revisions at a time, and at intervals the idempotency records
// that ran out. adding is the number of events that the commit adds.
func (s *Store) compact(btx *bolt.Tx, adding int) (dropped int, err error) {
	now := s.now()
	tick := now.Sub(s.ticked) >= compactTick
	excess := s.kept + adding - s.opts.keepEvents()
	// A tenth over the limit is tolerated, so that dropping comes in runs and not with every commit.
	if !s.compacting && !tick && excess < s.opts.keepEvents()/10+1 {
		return 0, nil
	}
	if tick {
		s.ticked = now
		if err := dropIdem(btx, now); err != nil {
			return 0, err
		}
	}
	dropped, more, err := s.dropEvents(btx, excess, now.Add(-s.opts.keepFor()).UnixMilli())
	s.compacting = more
	return dropped, err
}

// dropEvents drops the oldest revisions while they are excess or older than before (unix ms); more tells that the batch
// ended first.
func (s *Store) dropEvents(btx *bolt.Tx, excess int, before int64) (dropped int, more bool, err error) {
	b := btx.Bucket([]byte(bucketNames[bEvent]))
	var doomed [][]byte
	var last uint64
	c := b.Cursor()
	for k, v := c.First(); k != nil; k, v = c.Next() {
		rev := uint64Of(k[:min(8, len(k))])
		if rev != last {
			if len(doomed) >= compactBatch {
				more = true
				break
			}
			if len(doomed) >= excess {
				ev := new(statev1.Event)
				if err := proto.Unmarshal(v, ev); err != nil {
					return 0, false, corruptf(s.path, "event %x: %v", k, err)
				}
				if ev.GetAtMs() >= before {
					break
				}
			}
		}
		last = rev
		doomed = append(doomed, append([]byte{}, k...))
	}
	if len(doomed) == 0 {
		return 0, false, nil
	}
	for _, k := range doomed {
		if err := b.Delete(k); err != nil {
			return 0, false, fmt.Errorf("drop event: %w", err)
		}
	}
	err = btx.Bucket([]byte(bucketNames[bMeta])).Put([]byte(metaCompacted), []byte(be64(last)))
	return len(doomed), more, err
}

func dropIdem(btx *bolt.Tx, now time.Time) error {
	b := btx.Bucket([]byte(bucketNames[bIdem]))
	var doomed [][]byte
	c := b.Cursor()
	for k, v := c.First(); k != nil && len(doomed) < compactBatch; k, v = c.Next() {
		if len(v) < 8 || int64(uint64Of(v[:8])) <= now.UnixMilli() {
			doomed = append(doomed, append([]byte{}, k...))
		}
	}
	for _, k := range doomed {
		if err := b.Delete(k); err != nil {
			return fmt.Errorf("drop idempotency record: %w", err)
		}
	}
	return nil
}
