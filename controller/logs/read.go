package logs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sort"
	"sync"

	agentv1 "aloft/proto/sky/agent/v1"
)

// Record is what Read yields. Data is only valid during the call.
type Record struct {
	Offset uint64 // logical, of the first byte
	AtMS   int64  // when it was written on the node, unix ms
	FD     int32  // 1 out, 2 err, 3 ours
	Data   []byte
	Gap    uint64 // > 0: that many bytes are missing here; Data is empty
}

var buffers = sync.Pool{New: func() any { b := make([]byte, markEvery); return &b }}

// Read yields the records from a logical offset on; the first one is cut to begin there. With follow it waits for more
// until the stream is complete or removed; ctx ends it with ctx's error. It ends when yield returns false.
func (s *Store) Read(ctx context.Context, key *agentv1.StreamKey, from uint64, follow bool, yield func(Record) bool) error {
	st, err := s.use(key)
	if err != nil {
		return err
	}
	defer s.release(st)
	r := &reader{st: st, at: from, yield: yield}
	defer r.leave()
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		step, wait, err := r.look(follow)
		if err != nil {
			return err
		}
		switch step {
		case stepRead:
			s.opts.Busy()
			more, err := r.block()
			if err != nil || !more {
				return err
			}
		case stepGap:
			if !yield(Record{Offset: r.at, FD: 3, Gap: r.gap}) {
				return nil
			}
			r.at += r.gap
		case stepWait:
			select {
			case <-wait:
			case <-ctx.Done():
				return ctx.Err()
			case <-s.done:
				return ErrClosed
			}
		case stepEnd:
			return nil
		}
	}
}

// step is what a reader does next.
type step int

const (
	stepRead step = iota // there are bytes at pos
	stepGap              // bytes before the next segment are missing
	stepWait             // nothing yet
	stepEnd
)

// reader is the place of one reader in a stream.
type reader struct {
	st    *stream
	at    uint64 // logical offset wanted next
	seg   *segment
	pos   int64 // in seg
	size  int64 // of seg, as last seen
	last  bool  // seg is the last one
	bad   bool  // seg cannot be read beyond pos
	gap   uint64
	yield func(Record) bool
}

// look decides under the stream's lock what comes next.
func (r *reader) look(follow bool) (step, <-chan struct{}, error) {
	st := r.st
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.removed {
		return stepEnd, nil, nil
	}
	for {
		if r.seg == nil {
			if len(st.segs) == 0 {
				break
			}
			// The last segment that starts at or before the place; the first one when all start later.
			i := sort.Search(len(st.segs), func(i int) bool { return st.segs[i].base > r.at })
			if err := r.enter(st.segs[max(i-1, 0)]); err != nil {
				return 0, nil, err
			}
			if r.seg.base > r.at {
				r.gap = r.seg.base - r.at
				return stepGap, nil, nil
			}
		}
		r.size = r.seg.size
		r.last = r.seg == st.segs[len(st.segs)-1]
		if r.pos < r.size && !r.bad {
			return stepRead, nil, nil
		}
		if r.last {
			break
		}
		next := st.segs[sort.Search(len(st.segs), func(i int) bool { return st.segs[i].base > r.seg.base })]
		st.exit(r.seg)
		r.seg = nil
		if err := r.enter(next); err != nil {
			return 0, nil, err
		}
		if next.base > r.at {
			r.gap = next.base - r.at
			return stepGap, nil, nil
		}
	}
	if !follow || st.complete {
		return stepEnd, nil, nil
	}
	if st.changed == nil {
		st.changed = make(chan struct{})
	}
	return stepWait, st.changed, nil
}

// enter opens a segment at the mark before the wanted offset. Readers of a segment share one file.
func (r *reader) enter(g *segment) error {
	if g.file == nil {
		f, err := os.Open(g.path)
		if err != nil {
			return fmt.Errorf("read log: %w", err)
		}
		g.file = f
	}
	g.users++
	r.seg, r.pos, r.bad = g, 0, false
	if i := sort.Search(len(g.marks), func(i int) bool { return g.marks[i].offset > r.at }); i > 0 {
		r.pos = g.marks[i-1].pos
	}
	return nil
}

// exit lets go of a segment's file. The caller holds st.mu.
func (st *stream) exit(g *segment) {
	if g.users--; g.users == 0 {
		_ = g.file.Close() // opened for reading
		g.file = nil
	}
}

func (r *reader) leave() {
	if r.seg != nil {
		r.st.mu.Lock()
		r.st.exit(r.seg)
		r.st.mu.Unlock()
	}
}

// block reads and yields one block of records; more is false when the caller has enough.
func (r *reader) block() (more bool, err error) {
	pooled, ok := buffers.Get().(*[]byte)
	if !ok {
		return false, errors.New("read log: no buffer")
	}
	defer buffers.Put(pooled)
	buf, n, err := fill(r.seg.file, *pooled, r.pos, r.size)
	if err != nil {
		return false, fmt.Errorf("read log: %w", err)
	}
	b, used := buf[:n], 0
	for used < len(b) {
		rec, n, err := parse(b[used:])
		if errors.Is(err, errShort) && used > 0 {
			break // the next block begins with it
		}
		if err != nil {
			if r.last {
				return false, fmt.Errorf("%w: %s at %d: %w", ErrCorrupt, r.seg.path, r.pos+int64(used), err)
			}
			r.bad = true
			return true, nil
		}
		used += n
		if !r.deliver(&rec) {
			return false, nil
		}
	}
	r.pos += int64(used)
	return true, nil
}

// deliver yields a record, without what lies before the wanted offset.
func (r *reader) deliver(rec *record) bool {
	end := rec.offset + rec.length()
	if rec.kind == kindEnd || end <= r.at {
		return true
	}
	out := Record{Offset: rec.offset, AtMS: rec.atMS, FD: int32(rec.fd), Data: rec.data, Gap: rec.gap}
	if skip := r.at - rec.offset; rec.offset < r.at {
		out.Offset = r.at
		if rec.kind == kindGap {
			out.Gap -= skip
		} else {
			out.Data = out.Data[skip:]
		}
	}
	r.at = end
	return r.yield(out)
}
