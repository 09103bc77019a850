package spool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
)

// Journal holds messages until they are acknowledged. Append returns when the message is durable; appends that wait at
// the same time share one flush. An acknowledgement need not be durable: losing one means delivering twice, and whoever
// receives drops by sequence number.
//
// The file is a sequence of
//
//	crc32c u32 | length u32 | kind u8 | seq u64 | data [length]
//
// and begins with a floor entry, so sequence numbers keep growing when everything was acknowledged and compacted away.
type Journal struct {
	path string

	mu      sync.Mutex
	synced  sync.Cond // broadcast after a flush, or a failure
	f       *os.File
	size    int64
	dead    int64 // bytes of entries that are acknowledged
	last    uint64
	acked   uint64
	pending []Entry          // by seq; the durable ones and those being flushed
	queue   []byte           // framed, not written yet
	queued  uint64           // last seq in queue
	durable uint64           // last seq flushed
	busy    bool             // somebody flushes
	failed  map[uint64]error // appends that could not be written, until their callers know
	err     error            // sticky: after a failed flush nobody knows what is on disk
}

// Entry is one message of a Journal.
type Entry struct {
	Seq  uint64
	Data []byte
}

const (
	journalHeader  = 17
	entryMessage   = 1
	entryAck       = 2
	entryFloor     = 3
	maxMessage     = 16 << 20
	compactAtBytes = 1 << 20
	reserveBytes   = 256 << 10
	reserveSuffix  = ".reserve"
)

// OpenJournal opens or creates the journal at path. A tail torn by a crash was never reported durable and is cut off.
func OpenJournal(path string) (*Journal, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	j := &Journal{path: path, f: f, failed: map[uint64]error{}}
	j.synced.L = &j.mu
	j.reserve()
	if err := j.load(); err != nil {
		return nil, errors.Join(fmt.Errorf("open journal %s: %w", path, err), f.Close())
	}
	return j, nil
}

func (j *Journal) load() error {
	b, err := io.ReadAll(j.f)
	if err != nil {
		return err
	}
	used := 0
	for {
		kind, seq, data, ok := parseEntry(b[used:])
		if !ok {
			break
		}
		used += journalHeader + len(data)
		switch kind {
		case entryMessage:
			j.pending = append(j.pending, Entry{Seq: seq, Data: slices.Clone(data)})
			j.last = max(j.last, seq)
		case entryAck:
			j.acked = max(j.acked, seq)
		case entryFloor:
			j.last, j.acked = max(j.last, seq), max(j.acked, seq)
		}
	}
	j.size = int64(used)
	j.durable = j.last
	j.forget()
	if used < len(b) {
		if err := j.f.Truncate(j.size); err != nil {
			return err
		}
	}
	if used == 0 {
		return j.rewrite()
	}
	// What the last owner wrote but did not live to flush is shown to be there by reading it; make it so.
	return dataSync(j.f)
}

func parseEntry(b []byte) (kind byte, seq uint64, data []byte, ok bool) {
	if len(b) < journalHeader {
		return 0, 0, nil, false
	}
	n := int(binary.LittleEndian.Uint32(b[4:]))
	if n > maxMessage || journalHeader+n > len(b) {
		return 0, 0, nil, false
	}
	whole := b[:journalHeader+n]
	if crc32.Checksum(whole[4:], castagnoli) != binary.LittleEndian.Uint32(whole) {
		return 0, 0, nil, false
	}
	return whole[8], binary.LittleEndian.Uint64(whole[9:]), whole[journalHeader:], true
}

func appendEntry(b []byte, kind byte, seq uint64, data []byte) []byte {
	start := len(b)
	b = append(b, 0, 0, 0, 0)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(data)))
	b = append(b, kind)
	b = binary.LittleEndian.AppendUint64(b, seq)
	b = append(b, data...)
	binary.LittleEndian.PutUint32(b[start:], crc32.Checksum(b[start+4:], castagnoli))
	return b
}

// Append stores msg and returns its sequence number once it is durable. When the disk is full it fails, and may be called
// again; when a flush failed nobody knows what is on disk, and the journal takes no more: it must be opened anew.
func (j *Journal) Append(msg []byte) (uint64, error) {
	if len(msg) > maxMessage {
		return 0, fmt.Errorf("journal message of %d bytes is over the limit of %d", len(msg), maxMessage)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.err != nil {
		return 0, j.err
	}
	j.last++
	seq := j.last
	j.queue = appendEntry(j.queue, entryMessage, seq, msg)
	j.queued = seq
	j.pending = append(j.pending, Entry{Seq: seq, Data: slices.Clone(msg)})
	for j.durable < seq && j.err == nil && j.failed[seq] == nil {
		if j.busy {
			j.synced.Wait()
			continue
		}
		j.flush()
	}
	if err := j.failed[seq]; err != nil {
		delete(j.failed, seq)
		return 0, err
	}
	if j.durable < seq {
		return 0, j.err
	}
	return seq, nil
}

// flush writes the queue and makes it durable. The lock is released meanwhile, so the next group gathers.
func (j *Journal) flush() {
	batch, upTo, at := j.queue, j.queued, j.size
	j.queue, j.busy = nil, true
	j.mu.Unlock()
	_, err := j.f.WriteAt(batch, at)
	if err != nil && os.Remove(j.path+reserveSuffix) == nil {
		_, err = j.f.WriteAt(batch, at) // in the room that was kept for this
	}
	full := err != nil
	if full {
		err = errors.Join(err, j.f.Truncate(at)) // a torn entry at the end is harmless, too
	} else {
		err = dataSync(j.f)
	}
	j.mu.Lock()
	j.busy = false
	switch {
	case full:
		err = fmt.Errorf("journal %s: %w", j.path, err)
		j.pending = slices.DeleteFunc(j.pending, func(e Entry) bool {
			lost := e.Seq > j.durable && e.Seq <= upTo
			if lost {
				j.failed[e.Seq] = err
			}
			return lost
		})
	case err != nil:
		j.err = fmt.Errorf("journal %s: %w", j.path, err)
	default:
		j.size += int64(len(batch))
		j.durable = max(j.durable, upTo)
	}
	j.synced.Broadcast()
}

// reserve keeps some room on the disk, so that the end of a job which filled it can still be recorded.
func (j *Journal) reserve() {
	path := j.path + reserveSuffix
	if info, err := os.Stat(path); err == nil && info.Size() == reserveBytes {
		return
	}
	if err := os.WriteFile(path, make([]byte, reserveBytes), 0o600); err != nil {
		_ = os.Remove(path) // no room now; the next opening or compaction tries again
	}
}

// Ack drops the messages up to seq.
func (j *Journal) Ack(seq uint64) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.err != nil {
		return j.err
	}
	seq = min(seq, j.durable)
	if seq <= j.acked {
		return nil
	}
	j.acked = seq
	j.forget()
	// Rides on the next flush; see the type's comment.
	j.queue = appendEntry(j.queue, entryAck, seq, nil)
	if j.size < compactAtBytes || j.dead < j.size/2 {
		return nil
	}
	for j.busy {
		j.synced.Wait()
	}
	if j.err != nil {
		return j.err
	}
	if err := j.rewrite(); err != nil {
		return fmt.Errorf("compact journal: %w", err)
	}
	return nil
}

// forget drops acknowledged entries from memory.
func (j *Journal) forget() {
	i := 0
	for i < len(j.pending) && j.pending[i].Seq <= j.acked {
		j.dead += int64(journalHeader + len(j.pending[i].Data))
		i++
	}
	j.pending = slices.Delete(j.pending, 0, i)
}

// rewrite replaces the file by one that holds only what is pending. It holds the lock throughout; entries that wait in
// the queue are in pending and become durable with it.
func (j *Journal) rewrite() error {
	b := appendEntry(nil, entryFloor, j.acked, nil)
	for _, e := range j.pending {
		b = appendEntry(b, entryMessage, e.Seq, e.Data)
	}
	tmp := j.path + ".new"
	f, err := os.OpenFile(tmp, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = os.Rename(tmp, j.path)
	}
	if err == nil {
		err = syncDir(filepath.Dir(j.path))
	}
	if err != nil {
		return errors.Join(err, f.Close())
	}
	_ = j.f.Close() // the old file has no name any more
	j.f, j.size, j.dead = f, int64(len(b)), 0
	j.queue, j.durable = nil, j.last
	j.synced.Broadcast()
	j.reserve()
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Pending returns the messages that are durable and not acknowledged, oldest first.
func (j *Journal) Pending() []Entry {
	j.mu.Lock()
	defer j.mu.Unlock()
	n := 0
	for n < len(j.pending) && j.pending[n].Seq <= j.durable {
		n++
	}
	return slices.Clone(j.pending[:n])
}

// LastSeq is the highest sequence number that is durable.
func (j *Journal) LastSeq() uint64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.durable
}

// Close releases the file.
func (j *Journal) Close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	for j.busy {
		j.synced.Wait()
	}
	var err error
	if j.err == nil {
		// Acknowledgements that wait for a flush: not durable, but the next owner then has less to send again.
		_, err = j.f.WriteAt(j.queue, j.size)
		j.err = fmt.Errorf("journal %s: %w", j.path, os.ErrClosed)
	}
	j.synced.Broadcast()
	return errors.Join(err, j.f.Close())
}
