package aws

import (
	"context"
	"sync"
	"time"
)

// memo remembers what was asked for once. Of several that ask for the same at the same time, one asks.
type memo[V any] struct {
	life time.Duration // 0 = for ever

	mu sync.Mutex
	m  map[string]*cell[V]
}

type cell[V any] struct {
	turn  chan struct{} // holds one: who has it may read and write the rest
	known bool
	at    time.Time
	value V
}

func (m *memo[V]) cell(key string) *cell[V] {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.m == nil {
		m.m = map[string]*cell[V]{}
	}
	c := m.m[key]
	if c == nil {
		c = &cell[V]{turn: make(chan struct{}, 1)}
		m.m[key] = c
	}
	return c
}

// get is the value of a key, made by ask when nobody knows it. An error is not remembered.
func (m *memo[V]) get(ctx context.Context, key string, ask func(context.Context) (V, error)) (V, error) {
	c := m.cell(key)
	select {
	case c.turn <- struct{}{}:
	case <-ctx.Done():
		var none V
		return none, ctx.Err()
	}
	defer func() { <-c.turn }()
	if c.known && (m.life == 0 || time.Since(c.at) < m.life) {
		return c.value, nil
	}
	v, err := ask(ctx)
	if err != nil {
		return v, err
	}
	c.known, c.at, c.value = true, time.Now(), v
	return v, nil
}

// forget drops everything that is known.
func (m *memo[V]) forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.m = nil
}
