// Package guard makes the log of a remote job safe to print in a CI system. What a job writes may come from anyone who
// opens a pull request, while CI systems take orders from what is printed: workflow commands, sections, terminal codes.
//
// The steps, line by line: bytes that are no UTF-8 become U+FFFD, terminal codes other than colours go, of a line that
// was overwritten by carriage returns the last state stays, what the CI system would obey is defused, and past a limit
// lines are counted and the last ones kept. The result depends on the bytes alone, not on how they were cut into writes,
// but for lines that are not ended: those are written out when they have waited for FlushAfter.
package guard

import (
	"bytes"
	"fmt"
	"io"
	"sync"
	"time"

	"aloft/controller/forge/cienv"
)

const (
	// MaxLine is the longest line in bytes; longer ones are cut into several.
	MaxLine = 64 << 10
	// FlushAfter is how long a line that is not ended may wait.
	FlushAfter = 2 * time.Second
	// ProgressAfter is how long one may wait that is being overwritten.
	ProgressAfter = 10 * time.Second
	// DefaultLimit is how many bytes are printed in CI.
	DefaultLimit = 10 << 20
	// Tail is how many lines past the limit are kept for the end.
	Tail = 500
)

// Options say what is to be guarded against.
type Options struct {
	// System is the CI system that reads what is printed; None leaves all but broken text and terminal codes.
	System cienv.System
	// Token ends the region in which GitHub takes no commands: at least 128 bits nobody can guess, drawn for each stream.
	Token string
	// Limit in bytes of output; 0 = none.
	Limit int64
	// Rest is what a reader is told to do for the whole log, once the limit is passed: "sky logs c 1".
	Rest string
}

// Guard is a writer. Close must be called: it ends the region and writes what is kept.
type Guard struct {
	o Options
	w io.Writer

	mu      sync.Mutex
	begun   bool // the region without commands is open
	line    []byte
	out     []byte
	timer   *time.Timer
	written int64
	dropped int64 // lines past the limit
	tail    [][]byte
	next    int // in tail, once that is full
	err     error
	closed  bool
}

// New guards w.
func New(w io.Writer, o Options) *Guard { return &Guard{o: o, w: w} }

// Write takes a piece of the log. It gives back the error of an earlier write of its own.
func (g *Guard) Write(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return 0, io.ErrClosedPipe
	}
	n := len(p)
	for len(p) > 0 {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			g.keep(p)
			break
		}
		if len(g.line) == 0 && i <= MaxLine {
			g.emit(p[:i])
		} else {
			g.keep(p[:i])
			g.emit(g.line)
			g.line = g.line[:0]
		}
		p = p[i+1:]
	}
	g.flush()
	g.arm()
	return n, g.err
}

// keep appends to the line that is not ended, and cuts it where it is too long: never inside a character.
func (g *Guard) keep(p []byte) {
	g.line = append(g.line, p...)
	for len(g.line) > MaxLine {
		cut := runeStart(g.line, MaxLine)
		g.emit(g.line[:cut])
		g.line = append(g.line[:0], g.line[cut:]...)
	}
}

// arm sees to it that a line that is not ended is shown before long.
func (g *Guard) arm() {
	if len(g.line) == 0 {
		if g.timer != nil {
			g.timer.Stop()
			g.timer = nil
		}
		return
	}
	if g.timer != nil {
		return
	}
	after := FlushAfter
	if bytes.IndexByte(g.line, '\r') >= 0 {
		after = ProgressAfter
	}
	g.timer = time.AfterFunc(after, func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.timer = nil; g.closed || len(g.line) == 0 {
			return
		}
		// A character that has not arrived whole stays.
		cut := wholeRunes(g.line)
		if cut == 0 {
			g.arm()
			return
		}
		g.emit(g.line[:cut])
		g.line = append(g.line[:0], g.line[cut:]...)
		g.flush()
		g.arm()
	})
}

// emit puts one line, without its end, into the output, or counts it.
func (g *Guard) emit(line []byte) {
	if g.o.Limit > 0 && (g.dropped > 0 || g.written+int64(len(g.out))+int64(len(line)) >= g.o.Limit) {
		g.drop(line)
		return
	}
	g.begin()
	g.out = g.o.clean(g.out, line)
	g.out = append(g.out, '\n')
	if len(g.out) >= 1<<16 {
		g.flush()
	}
}

// drop counts a line past the limit and keeps the last ones.
func (g *Guard) drop(line []byte) {
	if g.dropped == 0 {
		g.begin()
		g.out = fmt.Appendf(g.out, "... the log is longer than %d bytes: the rest is left out, its last lines follow at the end%s\n", g.o.Limit, g.rest())
	}
	g.dropped++
	c := g.o.clean(nil, line)
	if len(g.tail) < Tail {
		g.tail = append(g.tail, c)
		return
	}
	g.tail[g.next] = c
	g.next = (g.next + 1) % Tail
}

func (g *Guard) rest() string {
	if g.o.Rest == "" {
		return ""
	}
	return "; all of it: " + g.o.Rest
}

// begin opens the region in which GitHub takes no commands.
func (g *Guard) begin() {
	if g.begun || g.o.Token == "" || !g.o.github() {
		return
	}
	g.begun = true
	g.out = append(append(append(g.out, "::stop-commands::"...), g.o.Token...), '\n')
}

// end closes the region.
func (g *Guard) end() {
	if g.begun {
		g.begun = false
		g.out = append(append(append(g.out, "::"...), g.o.Token...), "::\n"...)
	}
}

// flush writes what is collected.
func (g *Guard) flush() {
	if len(g.out) == 0 {
		return
	}
	if g.err == nil {
		var n int
		n, g.err = g.w.Write(g.out)
		g.written += int64(n)
	}
	g.out = g.out[:0]
}

// Outside lets own write commands of ours to the guarded writer: the region without commands is closed for it.
func (g *Guard) Outside(own func(w io.Writer) error) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.end()
	g.flush()
	if g.err != nil {
		return g.err
	}
	return own(g.w)
}

// Close writes the line that is not ended and the lines kept past the limit, and ends the region. Calling it again does
// nothing.
func (g *Guard) Close() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return g.err
	}
	if g.timer != nil {
		g.timer.Stop()
	}
	if len(g.line) > 0 {
		g.emit(g.line)
		g.line = nil
	}
	if g.dropped > 0 {
		g.begin()
		if left := g.dropped - int64(len(g.tail)); left > 0 {
			g.out = fmt.Appendf(g.out, "... %d lines are left out here%s\n", left, g.rest())
		}
		for i := range g.tail {
			g.out = append(append(g.out, g.tail[(g.next+i)%len(g.tail)]...), '\n')
		}
	}
	g.end()
	g.flush()
	g.closed = true
	return g.err
}
