// Package journal is the agent's memory on disk: one append-only file of records, written in groups. Replaying it gives
// the state back; a snapshot replaces it when most of it is out of date.
//
// A record is length u32 | crc32c u32 | protobuf bytes, little endian. A torn tail is what a crash left of a write that
// nobody was told is durable; it is cut off.
package journal

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"iter"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	agentv1 "aloft/proto/sky/agent/v1"
)

const (
	fileName   = "journal"
	headerLen  = 8
	maxRecord  = 64 << 20
	minCompact = 1 << 20 // files below this size are never rewritten
	growth     = 4       // rewritten when this many times the last snapshot
	retryWrite = time.Second
)

// ErrClosed means that the journal was closed before the record became durable.
var ErrClosed = errors.New("journal is closed")

// Pos is a place in the journal; it grows with every record.
type Pos uint64

// Journal is safe for concurrent use. Records become durable in the order of their Append.
type Journal struct {
	dir   string
	log   *slog.Logger
	table *crc32.Table

	mu       sync.Mutex
	pending  []byte // not yet given to the file
	snapshot []byte // when set, the file is replaced by this before pending
	made     Pos
	durable  Pos
	size     int64 // of the file with what is pending
	base     int64 // of the last snapshot
	changed  chan struct{}
	closed   bool
	kick     chan struct{}
	done     chan struct{}

	file *os.File // of the writer goroutine
	end  int64
}

// Open replays the journal in dir through apply, in order, and opens it for writing.
func Open(dir string, log *slog.Logger, apply func(*agentv1.JournalRecord) error) (*Journal, error) {
	j := &Journal{
		dir: dir, log: log, table: crc32.MakeTable(crc32.Castagnoli),
		changed: make(chan struct{}), kick: make(chan struct{}, 1), done: make(chan struct{}),
	}
	f, err := os.OpenFile(j.path(), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	end, err := j.replay(f, apply)
	if err == nil {
		err = f.Truncate(end)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("replay journal: %w", err), f.Close())
	}
	j.file, j.end, j.size, j.base = f, end, end, end/growth
	go j.write()
	return j, nil
}

func (j *Journal) path() string { return filepath.Join(j.dir, fileName) }

// replay reads whole records up to the first that is torn.
func (j *Journal) replay(f io.ReaderAt, apply func(*agentv1.JournalRecord) error) (int64, error) {
	r := io.NewSectionReader(f, 0, 1<<62)
	var end int64
	var header [headerLen]byte
	var buf []byte
	for {
		if _, err := io.ReadFull(r, header[:]); err != nil {
			return end, torn(err)
		}
		n := int(binary.LittleEndian.Uint32(header[:]))
		if n > maxRecord {
			return end, nil
		}
		if cap(buf) < n {
			buf = make([]byte, n)
		}
		buf = buf[:n]
		if _, err := io.ReadFull(r, buf); err != nil {
			return end, torn(err)
		}
		if crc32.Checksum(buf, j.table) != binary.LittleEndian.Uint32(header[4:]) {
			return end, nil
		}
		rec := new(agentv1.JournalRecord)
		if err := proto.Unmarshal(buf, rec); err != nil {
			return end, fmt.Errorf("record at %d: %w", end, err)
		}
		if err := apply(rec); err != nil {
			return end, fmt.Errorf("record at %d: %w", end, err)
		}
		end += int64(headerLen + n)
	}
}

func torn(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}

func (j *Journal) encode(b []byte, r *agentv1.JournalRecord) []byte {
	start := len(b)
	b = append(b, make([]byte, headerLen)...)
	out, err := proto.MarshalOptions{}.MarshalAppend(b, r)
	if err != nil {
		// Only a string that is not UTF-8 does this, and such a message cannot have come over the wire.
		j.log.Error("a record cannot be written down", "err", err)
		return b[:start]
	}
	body := out[start+headerLen:]
	binary.LittleEndian.PutUint32(out[start:], uint32(len(body)))
	binary.LittleEndian.PutUint32(out[start+4:], crc32.Checksum(body, j.table))
	return out
}

// Append adds records. They are durable once Wait(pos) returns.
func (j *Journal) Append(rs ...*agentv1.JournalRecord) Pos {
	j.mu.Lock()
	defer j.mu.Unlock()
	before := len(j.pending)
	for _, r := range rs {
		j.pending = j.encode(j.pending, r)
	}
	j.size += int64(len(j.pending) - before)
	j.made++
	j.wake()
	return j.made
}

// Pos is the place behind the last record.
func (j *Journal) Pos() Pos {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.made
}

// Bulky reports whether a Compact would be worth its cost.
func (j *Journal) Bulky() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.size > minCompact && j.size > growth*j.base
}

// Compact replaces everything appended so far by records that mean the same. The caller lets nobody Append meanwhile.
func (j *Journal) Compact(records iter.Seq[*agentv1.JournalRecord]) {
	b := []byte{}
	for r := range records {
		b = j.encode(b, r)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.snapshot, j.pending = b, nil
	j.size, j.base = int64(len(b)), int64(len(b))
	j.made++
	j.wake()
}

// Wait returns when everything up to pos is durable.
func (j *Journal) Wait(ctx context.Context, pos Pos) error {
	for {
		j.mu.Lock()
		ok, closed, changed := j.durable >= pos, j.closed, j.changed
		j.mu.Unlock()
		if ok {
			return nil
		}
		if closed {
			return ErrClosed
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("wait for the journal: %w", ctx.Err())
		}
	}
}

// Durable is the place up to which everything is durable, and a channel that is closed when it has moved.
func (j *Journal) Durable() (Pos, <-chan struct{}) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.durable, j.changed
}

// Close writes what is pending and closes the file.
func (j *Journal) Close() error {
	j.mu.Lock()
	if !j.closed {
		j.closed = true
		j.wake()
	}
	j.mu.Unlock()
	<-j.done
	return j.file.Close()
}

func (j *Journal) wake() {
	select {
	case j.kick <- struct{}{}:
	default:
	}
}

// write is the only goroutine that touches the file. While one group is being synced the next one gathers.
func (j *Journal) write() {
	defer close(j.done)
	for range j.kick {
		for j.group() {
		}
		j.mu.Lock()
		closed := j.closed
		if closed {
			close(j.changed)
			j.changed = make(chan struct{})
		}
		j.mu.Unlock()
		if closed {
			return
		}
	}
}

// group makes what is pending durable; false when nothing is.
func (j *Journal) group() bool {
	j.mu.Lock()
	snapshot, pending, pos := j.snapshot, j.pending, j.made
	j.snapshot, j.pending = nil, nil
	j.mu.Unlock()
	if snapshot == nil && len(pending) == 0 {
		return false
	}
	for failed := false; ; failed = true {
		err := j.store(snapshot, pending)
		if err == nil {
			break
		}
		if !failed {
			j.log.Error("cannot write the journal: retrying", "err", err)
		}
		if j.isClosed() {
			return false
		}
		// A full disk empties again; until then nothing is reported as durable.
		time.Sleep(retryWrite)
	}
	j.mu.Lock()
	j.durable = pos
	if cap(pending) <= 1<<20 && j.pending == nil {
		j.pending = pending[:0]
	}
	close(j.changed)
	j.changed = make(chan struct{})
	j.mu.Unlock()
	return true
}

func (j *Journal) isClosed() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.closed
}

func (j *Journal) store(snapshot, pending []byte) error {
	if snapshot != nil {
		return j.replace(append(snapshot, pending...))
	}
	if _, err := j.file.WriteAt(pending, j.end); err != nil {
		return fmt.Errorf("append: %w", err)
	}
	if err := syncData(j.file); err != nil {
		return fmt.Errorf("sync: %w", err)
	}
	j.end += int64(len(pending))
	return nil
}

// replace puts a new file in place of the journal: the old one stays until the new one is durable.
func (j *Journal) replace(b []byte) error {
	tmp := j.path() + ".new"
	f, err := os.OpenFile(tmp, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("compact: %w", err)
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = os.Rename(tmp, j.path())
	}
	if err == nil {
		err = syncDir(j.dir)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("compact: %w", err), f.Close())
	}
	_ = j.file.Close() // replaced; nothing of it matters any more
	j.file, j.end = f, int64(len(b))
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
