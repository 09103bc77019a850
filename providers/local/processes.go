package local

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"syscall"
	"time"
)

const (
	termGrace = 700 * time.Millisecond // between TERM and KILL
	killLimit = 10 * time.Second       // processes in the kernel's hands cannot be killed at once
	firstLook = 2 * time.Millisecond
	lastLook  = 50 * time.Millisecond
)

// endProcesses ends every process of a node: TERM, a grace, KILL, until none is left. They are found by their
// environment, which daemons keep, and as descendants of those found.
func endProcesses(ctx context.Context, id string) error {
	began := time.Now()
	told := map[int]bool{}
	pause := firstLook
	for {
		pids, err := processesOf(id)
		if err != nil {
			return fmt.Errorf("find processes of %s: %w", id, err)
		}
		if len(pids) == 0 {
			return nil
		}
		if time.Since(began) > killLimit {
			return fmt.Errorf("processes %v of %s do not end", pids, id)
		}
		for _, pid := range pids {
			sig := syscall.SIGKILL
			if time.Since(began) < termGrace {
				if told[pid] {
					continue
				}
				told[pid] = true
				sig = syscall.SIGTERM
			}
			if err := syscall.Kill(pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
				return fmt.Errorf("end process %d of %s: %w", pid, id, err)
			}
		}
		t := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			t.Stop()
			return ctx.Err()
		case <-t.C:
		}
		pause = min(pause*2, lastLook)
	}
}

// process is one row of the process table.
type process struct {
	pid, parent int
	marked      bool // carries the node's id
}

// family are the marked processes and all their descendants.
func family(table []process) []int {
	in := map[int]bool{}
	for _, p := range table {
		in[p.pid] = p.marked
	}
	for grown := true; grown; {
		grown = false
		for _, p := range table {
			if !in[p.pid] && in[p.parent] {
				in[p.pid], grown = true, true
			}
		}
	}
	var out []int
	for _, p := range table {
		if in[p.pid] {
			out = append(out, p.pid)
		}
	}
	slices.Sort(out)
	return out
}
