package boltstore

import (
	"sync"
	"time"
)

// Stats count the commits of a store since it was opened.
type Stats struct {
	Groups   uint64        // commits, also those with nothing to write
	Updates  uint64        // closures run
	Largest  int           // most closures in one group
	Total    time.Duration // spent in groups
	Longest  time.Duration // longest group
	Written  uint64        // groups that wrote
	FileSize int64         // bytes
	FreePage int           // unused pages in the file
}

type counters struct {
	mu sync.Mutex
	s  Stats
}

func (c *counters) note(updates int, wrote bool, took time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.s.Groups++
	c.s.Updates += uint64(updates)
	c.s.Largest = max(c.s.Largest, updates)
	c.s.Total += took
	c.s.Longest = max(c.s.Longest, took)
	if wrote {
		c.s.Written++
	}
}

// Stats are the counters now.
func (s *Store) Stats() Stats {
	s.stats.mu.Lock()
	out := s.stats.s
	s.stats.mu.Unlock()
	if btx, err := s.db.Begin(false); err == nil {
		out.FileSize = btx.Size()
		_ = btx.Rollback() // of a read transaction
	}
	out.FreePage = s.db.Stats().FreePageN
	return out
}
