package suitecmd

import (
	"fmt"
	"io"
	"slices"

	"aloft/tasks/check/engine"
)

// Progress shows on one line of a terminal which check runs.
type Progress struct {
	w       io.Writer
	width   int
	running []string
	shown   bool
}

// NewProgress makes a line of at most width characters on a terminal.
func NewProgress(w io.Writer, width int) *Progress {
	return &Progress{w: w, width: max(width, 20)}
}

// Step shows how far the run is: how many runs of checks have ended, and the
// one that has been running longest.
func (p *Progress) Step(s engine.Step) {
	name := s.Check
	if s.Which != "" {
		name += " (" + string(s.Which) + ")"
	}
	if s.Ended {
		if i := slices.Index(p.running, name); i >= 0 {
			p.running = slices.Delete(p.running, i, i+1)
		}
	} else {
		p.running = append(p.running, name)
	}
	line := fmt.Sprintf("%d/%d", s.Done, s.Total)
	if len(p.running) > 0 {
		line += " " + p.running[0]
	}
	if r := []rune(line); len(r) >= p.width { // the last column would wrap
		line = string(r[:p.width-1])
	}
	// A terminal that is gone must not end the run.
	_, _ = io.WriteString(p.w, "\r"+line+"\x1b[K")
	p.shown = true
}

// Clear takes the line away.
func (p *Progress) Clear() {
	if p.shown {
		_, _ = io.WriteString(p.w, "\r\x1b[K")
	}
	p.shown, p.running = false, nil
}
