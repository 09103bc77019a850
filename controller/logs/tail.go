package logs

import (
	"bytes"

	agentv1 "aloft/proto/sky/agent/v1"
)

// TailOffset is the logical offset at which the last lines of a stream begin; an unfinished last line counts as one.
// With lines < 0 it is 0, with lines 0 the end.
func (s *Store) TailOffset(key *agentv1.StreamKey, lines int) (uint64, error) {
	st, err := s.use(key)
	if err != nil {
		return 0, err
	}
	defer s.release(st)
	st.mu.Lock()
	defer st.mu.Unlock()
	if lines < 0 || len(st.segs) == 0 {
		return 0, nil
	}
	if lines == 0 {
		return st.end, nil
	}
	for i := len(st.segs) - 1; i >= 0; i-- {
		off, found, err := st.segs[i].tail(&lines, st.end)
		if err != nil || found {
			return off, err
		}
	}
	return st.segs[0].base, nil
}

// tail goes through the blocks between marks, last first, and counts lines down.
func (g *segment) tail(lines *int, end uint64) (off uint64, found bool, err error) {
	if g.marks == nil {
		if _, err := g.scan(0, g.size, func(*record, int64) bool { return true }); err != nil {
			return 0, false, err
		}
	}
	for i := len(g.marks) - 1; i >= 0; i-- {
		var starts []uint64 // offsets after newlines
		stop := g.size
		if i+1 < len(g.marks) {
			stop = g.marks[i+1].pos
		}
		if _, err := g.scan(g.marks[i].pos, stop, func(r *record, _ int64) bool {
			for at := 0; ; {
				n := bytes.IndexByte(r.data[at:], '\n')
				if n < 0 {
					return true
				}
				at += n + 1
				if o := r.offset + uint64(at); o < end {
					starts = append(starts, o)
				}
			}
		}); err != nil {
			return 0, false, err
		}
		if n := len(starts); n >= *lines {
			return starts[n-*lines], true, nil
		}
		*lines -= len(starts)
	}
	return 0, false, nil
}
