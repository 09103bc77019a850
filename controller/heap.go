package controller

import (
	"runtime/debug"
	"sync"
	"time"
)

// How eagerly garbage is collected. A controller with nothing to do shall be small; with so small a heap the collector
// would run all the time while it carries logs, so then it runs seldom.
const (
	idlePercent = 50
	busyPercent = 400
	busyFor     = 2 * time.Second
	// softLimit is where it collects eagerly again, however busy it is.
	softLimit = 96 << 20
)

// heap paces the garbage collector by the work there is.
type heap struct {
	mu    sync.Mutex
	timer *time.Timer // nil = at rest
	last  time.Time
}

// busy says that work is being done. It is cheap enough to be said for every batch of log lines.
func (h *heap) busy() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last = time.Now()
	if h.timer == nil {
		debug.SetGCPercent(busyPercent)
		debug.SetMemoryLimit(softLimit)
		h.timer = time.AfterFunc(busyFor, h.rest)
	}
}

// rest gives the memory back once nothing has been done for a while.
func (h *heap) rest() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if left := busyFor - time.Since(h.last); left > 0 {
		h.timer.Reset(left)
		return
	}
	h.timer = nil
	debug.SetGCPercent(idlePercent)
	debug.FreeOSMemory()
}
