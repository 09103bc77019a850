// Package process ends users' commands with all that they started, and keeps
// the last lines that they wrote.
package process

import (
	"strings"
	"sync"
	"unicode/utf8"
)

const (
	keptBytes = 4 << 10
	keptLines = 10
)

// Tail keeps the end of what is written to it.
type Tail struct {
	mu   sync.Mutex
	kept []byte
}

// Write keeps the last bytes.
func (t *Tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kept = append(t.kept, p...)
	if cut := len(t.kept) - keptBytes; cut > 0 {
		t.kept = append([]byte(nil), t.kept[cut:]...)
	}
	return len(p), nil
}

// Lines are the last lines, as text.
func (t *Tail) Lines() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	text := strings.TrimRight(strings.ToValidUTF8(string(t.kept), string(utf8.RuneError)), "\n ")
	lines := strings.Split(text, "\n")
	if len(lines) > keptLines {
		lines = lines[len(lines)-keptLines:]
	}
	return strings.Join(lines, "\n")
}
