package gang

import (
	"context"
	"sync"
)

// mailbox holds the last thing to say about each key. What is superseded before it was sent is never sent.
type mailbox[T any] struct {
	mu    sync.Mutex
	keys  []string // in line, each once
	last  map[string]T
	wakes chan struct{}
}

func newMailbox[T any]() *mailbox[T] {
	return &mailbox[T]{last: make(map[string]T), wakes: make(chan struct{}, 1)}
}

func (m *mailbox[T]) put(key string, v T) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.last[key]; !ok {
		m.keys = append(m.keys, key)
	}
	m.last[key] = v
	select {
	case m.wakes <- struct{}{}:
	default:
	}
}

// take waits for something to say.
func (m *mailbox[T]) take(ctx context.Context) (T, bool) {
	for {
		m.mu.Lock()
		if len(m.keys) > 0 {
			key := m.keys[0]
			m.keys = m.keys[1:]
			v := m.last[key]
			delete(m.last, key)
			m.mu.Unlock()
			return v, true
		}
		m.mu.Unlock()
		select {
		case <-m.wakes:
		case <-ctx.Done():
			var zero T
			return zero, false
		}
	}
}
