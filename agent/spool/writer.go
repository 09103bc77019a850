package spool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync"
)

// File is what a writer needs of a segment; *os.File is one.
type File interface {
	WriteAt(p []byte, off int64) (int, error)
	Truncate(size int64) error
	Sync() error
	Close() error
}

// WriterOptions adjust a Writer; the zero value is right for production.
type WriterOptions struct {
	SegmentBytes int64 // 0 = DefaultSegmentBytes
	MaxBytes     int64 // of the whole job on this node; 0 = DefaultMaxBytes, < 0 = no cap
	// Create makes a new segment file. It exists for tests of full disks; nil = a file of the operating system.
	Create func(path string) (File, error)
}

// Writer appends to one stream. It is for one process and safe for its goroutines. Appending never fails from the
// caller's point of view: what the disk refuses becomes a gap.
type Writer struct {
	dir    string
	o      WriterOptions
	mu     sync.Mutex
	f      File
	base   uint64
	pos    int64  // of the next frame in f
	stored uint64 // logical offset behind the last frame on disk, pending gap excluded
	gap    uint64 // bytes that follow stored and could not be written
	lost   uint64 // all bytes that ever became gaps
	err    error  // why, first cause
	done   bool
	buf    []byte
}

// OpenWriter opens a stream for appending, after its last valid record. Nothing is created until the first Append.
func OpenWriter(root string, k Key, o WriterOptions) (*Writer, error) {
	if o.SegmentBytes <= 0 {
		o.SegmentBytes = DefaultSegmentBytes
	}
	if o.MaxBytes == 0 {
		o.MaxBytes = DefaultMaxBytes
	}
	if o.Create == nil {
		o.Create = createFile
	}
	w := &Writer{dir: k.Path(root), o: o}
	bases, err := listSegments(w.dir)
	if err != nil {
		return nil, err
	}
	if len(bases) == 0 {
		return w, nil
	}
	w.base = bases[len(bases)-1]
	f, err := os.OpenFile(segmentPath(w.dir, w.base), os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("reopen stream %s: %w", k, err)
	}
	x, err := scanSegment(f, w.base)
	if err == nil {
		err = f.Truncate(x.body) // a torn tail, and the end mark: something follows after all
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("reopen stream %s: %w", k, err), f.Close())
	}
	w.f, w.pos, w.stored = f, x.body, x.end
	return w, nil
}

func createFile(path string) (File, error) {
	return os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
}

// Append adds data, written by descriptor fd at atMS, and returns the offset behind it. data may be reused at once.
func (w *Writer) Append(atMS int64, fd int32, data []byte) uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(data) > 0 {
		n := min(len(data), MaxRecord)
		w.put(atMS, byte(fd), data[:n])
		data = data[n:]
	}
	return w.stored + w.gap
}

// End is the length of the stream so far, gaps included.
func (w *Writer) End() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.stored + w.gap
}

// SkipTo makes the stream at least that long: what is missing before end becomes a gap. It is for a writer whose stream was
// cut by the death of the machine but whose bytes were counted already.
func (w *Writer) SkipTo(end uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if now := w.stored + w.gap; end > now {
		w.gap += end - now
	}
}

// Lost says how many bytes became gaps because they could not be written, and the first reason.
func (w *Writer) Lost() (uint64, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.lost, w.err
}

// Complete marks the stream's end and makes it durable. A stream to which nothing was written leaves nothing on disk.
func (w *Writer) Complete() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.f == nil && w.gap == 0 || w.done {
		return nil
	}
	if err := w.write(0, 3, frameEnd, nil); err != nil {
		return fmt.Errorf("complete stream: %w", err)
	}
	w.done = true
	if err := dataSync(w.f); err != nil {
		return fmt.Errorf("complete stream: %w", err)
	}
	return nil
}

// Close releases the file. It does not complete the stream.
func (w *Writer) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.f == nil {
		return nil
	}
	err := w.f.Close()
	w.f = nil
	return err
}

func (w *Writer) put(atMS int64, fd byte, data []byte) {
	if err := w.write(atMS, fd, frameData, data); err != nil {
		w.gap += uint64(len(data))
		w.lost += uint64(len(data))
		if w.err == nil {
			w.err = err
		}
	}
}

// write puts one frame, with the pending gap before it, in one system call. On failure nothing of it stays.
func (w *Writer) write(atMS int64, fd, kind byte, data []byte) error {
	if w.f == nil || w.pos >= w.o.SegmentBytes && kind == frameData {
		if err := w.rotate(); err != nil {
			return err
		}
	}
	b := w.buf[:0]
	if w.gap > 0 {
		b = append(b, make([]byte, frameHeader)...)
		b = binary.LittleEndian.AppendUint64(b, w.gap)
		putHeader(b, frameGap, 3, w.stored, atMS)
	}
	start := len(b)
	var header [frameHeader]byte
	b = append(b, header[:]...)
	b = append(b, data...)
	w.buf = b
	putHeader(b[start:], kind, fd, w.stored+w.gap, atMS)
	if _, err := w.f.WriteAt(b, w.pos); err != nil {
		if terr := w.f.Truncate(w.pos); terr != nil {
			// What stays is a torn frame; the next write covers it and a reader takes it for not written yet.
			err = errors.Join(err, terr)
		}
		return fmt.Errorf("append to spool: %w", err)
	}
	w.pos += int64(len(b))
	w.stored += w.gap + uint64(len(data))
	w.gap = 0
	return nil
}

// rotate starts the next segment, named by the offset behind the last frame, so that readers find it without a listing.
func (w *Writer) rotate() error {
	if w.f == nil {
		if err := os.MkdirAll(w.dir, 0o700); err != nil {
			return fmt.Errorf("create stream: %w", err)
		}
	} else {
		w.enforceCap()
	}
	f, err := w.o.Create(segmentPath(w.dir, w.stored))
	if err != nil {
		return fmt.Errorf("start segment: %w", err)
	}
	if w.f != nil {
		// A failing close speaks of the old segment only; its frames are checked by the reader anyway.
		_ = w.f.Close()
	}
	w.f, w.base, w.pos = f, w.stored, 0
	return nil
}

// enforceCap drops this stream's oldest segments while the job holds more than it may. The reader sees the jump.
func (w *Writer) enforceCap() {
	if w.o.MaxBytes < 0 {
		return
	}
	job, own := treeBytes(w.dir)
	if job+w.o.SegmentBytes <= w.o.MaxBytes {
		return
	}
	bases, err := listSegments(w.dir)
	if err != nil {
		return
	}
	for _, base := range bases {
		if job+w.o.SegmentBytes <= w.o.MaxBytes || own <= 0 {
			return
		}
		path := segmentPath(w.dir, base)
		info, err := os.Stat(path)
		if err != nil || os.Remove(path) != nil {
			continue
		}
		job -= info.Size()
		own -= info.Size()
	}
}
