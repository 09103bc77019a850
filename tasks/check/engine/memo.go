package engine

import "sync"

// memo keeps what several checks of one run need, computed once.
type memo struct {
	mu      sync.Mutex
	entries map[any]*entry
}

type entry struct {
	once  sync.Once
	value any
	err   error
}

func newMemo() *memo { return &memo{entries: make(map[any]*entry)} }

// Memo returns what f computes under key, computing it once in a run: checks
// that need the same thing at the same time wait for the first. What is
// returned is shared and must not be changed. Keys are comparable; give them a
// type of your own.
func Memo[T any](c *Context, key any, f func() (T, error)) (T, error) {
	c.memo.mu.Lock()
	e := c.memo.entries[key]
	if e == nil {
		e = &entry{}
		c.memo.entries[key] = e
	}
	c.memo.mu.Unlock()
	e.once.Do(func() {
		e.err = Errorf(Internal, "what this check shares with another could not be computed") // if f panics
		e.value, e.err = f()
	})
	v, ok := e.value.(T)
	if !ok && e.err == nil {
		return v, Errorf(Internal, "shared value %v is a %T", key, e.value)
	}
	return v, e.err
}

// notes are the remarks of one check.
type notes struct {
	mu   sync.Mutex
	list []string
}

func (n *notes) add(text string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, s := range n.list {
		if s == text {
			return
		}
	}
	n.list = append(n.list, text)
}

func (n *notes) all() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.list
}
