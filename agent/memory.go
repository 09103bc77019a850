package agent

import (
	"runtime/debug"
	"sync"
	"time"
)

// How eagerly garbage is collected. An idle agent shall not take memory from the jobs; a busy one shall not take their
// processors, for with so small a heap the collector would run all the time.
const (
	idlePercent = 50
	busyPercent = 800
	busyFor     = 2 * time.Second
)

// memory gives memory back when the agent has nothing to do.
type memory struct {
	mu    sync.Mutex
	timer *time.Timer
	last  time.Time
}

// busy says that work is being done. It is cheap enough to be said for every chunk of a log.
func (m *memory) busy() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.last = time.Now()
	if m.timer == nil {
		debug.SetGCPercent(busyPercent)
		m.timer = time.AfterFunc(busyFor, m.rest)
	}
}

func (m *memory) rest() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if left := busyFor - time.Since(m.last); left > 0 {
		m.timer.Reset(left)
		return
	}
	m.timer = nil
	debug.SetGCPercent(idlePercent)
	debug.FreeOSMemory()
}
