package logs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"sync"

	agentv1 "aloft/proto/sky/agent/v1"
)

const (
	markEvery = 256 << 10 // bytes between two marks
	batchSize = 256 << 10 // records up to this many bytes are written by one call
	suffix    = ".seg"
)

// mark is a place in a segment where a record starts.
type mark struct {
	offset uint64
	pos    int64
}

// segment is one file of a stream. Its fields are guarded by the stream's mutex.
type segment struct {
	base  uint64 // logical offset of its first byte
	path  string
	size  int64  // bytes of whole records
	marks []mark // ascending; nil = not made yet
	file  *os.File
	users int // of file
}

// stream is one log stream.
type stream struct {
	store *Store
	id    streamID
	dir   string
	users int // guarded by store.mu

	syncMu sync.Mutex // held while files are synced and closed; taken before mu

	mu       sync.Mutex
	loaded   bool
	removed  bool
	segs     []*segment
	end      uint64
	complete bool
	changed  chan struct{} // made by who waits, closed by who appends
	w        *os.File      // last segment, for appending; nil = not open
	retired  []*os.File    // written, to be synced and closed
	dirty    bool          // w has unsynced bytes
	newNames bool          // the directory has unsynced entries
	syncErr  error         // of the last background sync; told to the next sender
	buf      []byte
}

// load reads the state of the stream from its directory.
func (st *stream) load() error {
	ents, err := os.ReadDir(st.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open log stream: %w", err)
	}
	for _, e := range ents {
		name, ok := strings.CutSuffix(e.Name(), suffix)
		if !ok {
			continue
		}
		base, err := strconv.ParseUint(name, 10, 64)
		if err != nil {
			continue
		}
		fi, err := e.Info()
		if err != nil {
			return fmt.Errorf("open log stream: %w", err)
		}
		st.segs = append(st.segs, &segment{base: base, path: filepath.Join(st.dir, e.Name()), size: fi.Size()})
	}
	sort.Slice(st.segs, func(i, j int) bool { return st.segs[i].base < st.segs[j].base })
	if len(st.segs) == 0 {
		return nil
	}
	last := st.segs[len(st.segs)-1]
	st.end = last.base
	whole, err := last.scan(0, last.size, func(r *record, _ int64) bool {
		st.end = r.offset + r.length()
		st.complete = r.kind == kindEnd
		return true
	})
	if err != nil {
		return err
	}
	if whole == last.size {
		return nil
	}
	if err := cut(last.path, whole, last.size); err != nil {
		return fmt.Errorf("repair log stream: %w", err)
	}
	st.store.log.Warn("log stream ended in a torn record; it was cut off", "file", last.path, "at", whole, "bytes", last.size-whole)
	last.size = whole
	return nil
}

// cut drops the end of a file. What was cut is kept beside it, in case it was damage and not a torn write.
func cut(path string, at, size int64) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	tail := make([]byte, min(size-at, 16<<20))
	if _, err := f.ReadAt(tail, at); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if err := os.WriteFile(path+".torn", tail, 0o600); err != nil {
		return err
	}
	return f.Truncate(at)
}

// scan calls fn with the whole records in [pos, end), in order, makes the marks when it begins at 0, and returns where the
// whole records end.
func (g *segment) scan(pos, end int64, fn func(r *record, pos int64) bool) (whole int64, err error) {
	f, err := os.Open(g.path)
	if err != nil {
		return 0, fmt.Errorf("read log: %w", err)
	}
	defer func() { _ = f.Close() }()
	marking := pos == 0
	if marking {
		g.marks = nil
	}
	var buf []byte
	for pos < end {
		var n int
		if buf, n, err = fill(f, buf, pos, end); err != nil {
			return pos, fmt.Errorf("read log: %w", err)
		}
		b, used := buf[:n], 0
		for {
			r, n, err := parse(b[used:])
			if err != nil {
				break
			}
			at := pos + int64(used)
			if marking {
				g.mark(r.offset, at)
			}
			used += n
			if !fn(&r, at) {
				return pos + int64(used), nil
			}
		}
		if used == 0 {
			return pos, nil
		}
		pos += int64(used)
	}
	return pos, nil
}

// mark notes where a record starts, when the last mark is far enough back.
func (g *segment) mark(offset uint64, pos int64) {
	if n := len(g.marks); n == 0 || pos-g.marks[n-1].pos >= markEvery {
		g.marks = append(g.marks, mark{offset, pos})
	}
}

// fill reads a block at pos that holds at least the whole first record when the file has it whole.
func fill(f *os.File, buf []byte, pos, end int64) ([]byte, int, error) {
	want := int(min(end-pos, markEvery))
	if cap(buf) < want {
		buf = make([]byte, want)
	}
	buf = buf[:cap(buf)]
	want = int(min(end-pos, int64(len(buf))))
	n, err := f.ReadAt(buf[:want], pos)
	if err != nil && !errors.Is(err, io.EOF) {
		return buf, 0, err
	}
	need, err := size(buf[:n])
	if err != nil || need <= n || int64(need) > end-pos {
		return buf, n, nil
	}
	big := make([]byte, need)
	copy(big, buf[:n])
	m, err := f.ReadAt(big[n:], pos+int64(n))
	if err != nil && !errors.Is(err, io.EOF) {
		return big, 0, err
	}
	return big, n + m, nil
}

// append implements Store.Append.
func (st *stream) append(offset uint64, recs []*agentv1.LogRecord) (uint64, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if err := st.syncErr; err != nil {
		st.syncErr = nil
		return st.end, fmt.Errorf("an earlier part of the stream could not be synced: %w", err)
	}
	if st.removed {
		return st.end, fmt.Errorf("append to a removed log stream: %w", ErrComplete)
	}
	if offset > st.end {
		return st.end, &HoleError{Got: offset, Want: st.end}
	}
	end := st.end
	b := batch{st: st, buf: st.buf[:0]}
	for _, lr := range recs {
		r := record{offset: offset, atMS: lr.GetAtMs(), fd: uint8(lr.GetFd()), data: lr.GetData()}
		if lr.GetGap() > 0 {
			r.kind, r.gap, r.data = kindGap, lr.GetGap(), nil
		}
		n := r.length()
		if offset+n < offset {
			return st.end, fmt.Errorf("log record of %d bytes at %d: offset overflows", n, offset)
		}
		offset += n
		if offset <= end {
			continue // known
		}
		if known := end - r.offset; known > 0 {
			r.offset = end
			if r.kind == kindGap {
				r.gap -= known
			} else {
				r.data = r.data[known:]
			}
		}
		if st.complete {
			return st.end, fmt.Errorf("log stream ends at %d: %w", st.end, ErrComplete)
		}
		end = offset
		b.add(&r)
	}
	b.flush()
	if cap(b.buf) <= 4*batchSize {
		st.buf = b.buf
	}
	return st.end, b.err
}

// batch gathers records into few writes. A record counts when it is wholly written.
type batch struct {
	st  *stream
	buf []byte
	end uint64 // of the stream, when buf is written
	err error

	offsets []mark // candidates among the records in buf
}

func (b *batch) add(r *record) {
	if b.err != nil {
		return
	}
	seg, err := b.st.writable(r.offset, int64(len(b.buf)), b.flush)
	if err != nil || b.err != nil {
		b.err = errors.Join(b.err, err)
		return
	}
	data := r.data
	if r.kind == kindGap {
		data = binary.LittleEndian.AppendUint64(nil, r.gap)
	}
	pos := seg.size + int64(len(b.buf))
	if n := len(b.offsets); n == 0 || pos-b.offsets[n-1].pos >= markEvery {
		b.offsets = append(b.offsets, mark{r.offset, pos})
	}
	b.buf = appendHeader(b.buf, r, data)
	b.end = r.offset + r.length()
	if len(data) < batchSize {
		b.buf = append(b.buf, data...)
		if len(b.buf) >= batchSize {
			b.flush()
		}
		return
	}
	b.write(b.buf, data) // a large record goes out without a copy
}

func (b *batch) flush() {
	if b.err == nil && len(b.buf) > 0 {
		b.write(b.buf, nil)
	}
}

// write puts parts at the end of the last segment, all or nothing.
func (b *batch) write(parts ...[]byte) {
	st := b.st
	seg := st.segs[len(st.segs)-1]
	pos := seg.size
	for _, p := range parts {
		n, err := st.w.WriteAt(p, pos)
		pos += int64(n)
		if err != nil {
			_ = st.w.Truncate(seg.size) // what stays behind is a torn tail, cut at the next open
			b.err = fmt.Errorf("write log: %w", err)
			return
		}
	}
	for _, m := range b.offsets {
		seg.mark(m.offset, m.pos)
	}
	seg.size = pos
	st.end = b.end
	b.buf, b.offsets = b.buf[:0], b.offsets[:0]
	st.dirty = true
	st.wake()
}

// wake tells everyone who waits for the stream.
func (st *stream) wake() {
	if st.changed != nil {
		close(st.changed)
		st.changed = nil
	}
}

// writable is the segment for a record at offset, opened; pending bytes are about to be written to the current one, and
// flush writes them before a new one starts.
func (st *stream) writable(offset uint64, pending int64, flush func()) (*segment, error) {
	n := len(st.segs)
	if n > 0 && st.segs[n-1].size+pending < st.store.opts.SegmentBytes {
		return st.segs[n-1], st.openLast(false)
	}
	if n > 0 && pending > 0 {
		flush()
	}
	if n == 0 {
		if err := os.MkdirAll(st.dir, 0o700); err != nil {
			return nil, fmt.Errorf("make log stream: %w", err)
		}
	}
	st.retire()
	seg := &segment{base: offset, path: filepath.Join(st.dir, fmt.Sprintf("%020d%s", offset, suffix))}
	st.segs = append(st.segs, seg)
	if err := st.openLast(true); err != nil {
		st.segs = st.segs[:n]
		return nil, err
	}
	st.newNames = true
	return seg, nil
}

// openLast opens the last segment for appending.
func (st *stream) openLast(create bool) error {
	if st.w != nil {
		return nil
	}
	flag := os.O_WRONLY
	if create {
		flag |= os.O_CREATE | os.O_TRUNC
	}
	f, err := os.OpenFile(st.segs[len(st.segs)-1].path, flag, 0o600)
	if err != nil {
		return fmt.Errorf("write log: %w", err)
	}
	if err := st.store.opened(st); err != nil {
		_ = f.Close()
		return err
	}
	st.w = f
	return nil
}

// finish implements Store.Complete.
func (st *stream) finish(end uint64) error {
	st.mu.Lock()
	defer st.mu.Unlock()
	switch {
	case end > st.end:
		return &HoleError{Got: end, Want: st.end}
	case end < st.end:
		return fmt.Errorf("log stream has %d bytes, complete at %d: %w", st.end, end, ErrComplete)
	case st.complete || st.removed:
		return nil
	case end == 0 && len(st.segs) == 0:
		// Nothing was written: what is nothing needs no file, and jobs without a word are many.
		st.complete = true
		st.wake()
		return nil
	}
	b := batch{st: st, buf: st.buf[:0]}
	b.add(&record{offset: end, kind: kindEnd})
	if b.err == nil {
		st.complete = true // before flush wakes the followers
	}
	b.flush()
	if b.err != nil {
		st.complete = false
		return b.err
	}
	st.retire()
	return nil
}
