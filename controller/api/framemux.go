package api

import (
	"sync"

	controlv1 "aloft/proto/sky/control/v1"
)

// frameBytes bounds a frame, pendingBytes what waits for a slow reader. From largeBytes on a frame's buffer is used again.
const (
	frameBytes   = 256 << 10
	pendingBytes = 4 << 20
	largeBytes   = 16 << 10
)

// frameMux gathers the frames of all slots. While one batch is being sent the next one grows: no delay when little is
// written, few large frames when much is.
type frameMux struct {
	mu     sync.Mutex
	room   *sync.Cond
	frames []*controlv1.LogFrame
	bytes  int
	closed bool
	wake   chan struct{}
	free   [][]byte // of frameBytes each
}

// add puts a frame in line with a copy of its data; false when nobody takes frames any more.
func (m *frameMux) add(f *controlv1.LogFrame, data []byte) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for m.bytes >= pendingBytes && !m.closed {
		m.room.Wait()
	}
	if m.closed {
		return false
	}
	m.bytes += len(data)
	if n := len(m.frames); n > 0 {
		l := m.frames[n-1]
		if l.GetSlot() == f.GetSlot() && l.GetStream() == f.GetStream() && l.GetFd() == f.GetFd() && l.GetAtMs() == f.GetAtMs() &&
			l.GetGap() == 0 && f.GetGap() == 0 && !f.GetTruncated() && len(l.GetData())+len(data) <= frameBytes {
			l.Data = append(l.Data, data...)
			return true
		}
	}
	f.Data = append(m.buffer(len(data)), data...)
	m.frames = append(m.frames, f)
	select {
	case m.wake <- struct{}{}:
	default:
	}
	return true
}

// buffer is an empty one for a frame that begins with n bytes. What is large comes with more: those are used again.
func (m *frameMux) buffer(n int) []byte {
	if n < largeBytes || n > frameBytes {
		return make([]byte, 0, n)
	}
	if k := len(m.free); k > 0 {
		b := m.free[k-1]
		m.free = m.free[:k-1]
		return b
	}
	return make([]byte, 0, frameBytes)
}

// reuse takes back the buffer of a frame that nobody needs any more.
func (m *frameMux) reuse(f *controlv1.LogFrame) {
	if cap(f.Data) != frameBytes {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.free = append(m.free, f.Data[:0])
	f.Data = nil
}

func (m *frameMux) take() []*controlv1.LogFrame {
	m.mu.Lock()
	defer m.mu.Unlock()
	fs := m.frames
	m.frames, m.bytes = nil, 0
	m.room.Broadcast()
	return fs
}

func (m *frameMux) close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	m.room.Broadcast()
}
