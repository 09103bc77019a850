package spool

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
)

// Reader reads one stream while another process writes it.
type Reader struct {
	dir string
	key Key

	mu       sync.Mutex
	f        *os.File
	base     uint64 // of f
	pos      int64  // in f, of the frame at offset
	offset   uint64 // logical offset of the frame at pos
	finished bool   // the length is known, from an end frame or from Finish
	end      uint64
}

// OpenReader prepares to read a stream; it need not exist yet.
func OpenReader(root string, k Key) *Reader {
	return &Reader{dir: k.Path(root), key: k}
}

// Finish tells the reader the stream's length, as a verdict knows it: from now on what is not on disk below end is a gap,
// and reading at end is io.EOF. It is for streams whose writer died or left nothing.
func (r *Reader) Finish(end uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.finished, r.end = true, end
}

// ReadFrom returns whole records from offset on, about max bytes of data (at least one record when there is one), and
// the offset that follows them. No records and no error: nothing more is there yet. io.EOF: offset is the end of a
// complete stream. The records' data stays valid.
func (r *Reader) ReadFrom(offset uint64, max int) ([]Record, uint64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	recs, next, err := r.readFrom(offset, max)
	if err != nil {
		return nil, offset, fmt.Errorf("read stream %s: %w", r.key, err)
	}
	if len(recs) == 0 && r.finished && next >= r.end {
		return nil, next, io.EOF
	}
	return recs, next, nil
}

func (r *Reader) readFrom(offset uint64, max int) ([]Record, uint64, error) {
	if r.f == nil || r.offset != offset {
		gap, err := r.seek(offset)
		if err != nil || gap != nil {
			return gap, offset + sumGap(gap), err
		}
	}
	for r.f != nil {
		recs, err := r.frames(offset, max)
		if err != nil {
			return nil, offset, err
		}
		if len(recs) > 0 {
			return recs, recs[len(recs)-1].End(), nil
		}
		if r.finished && r.offset >= r.end {
			break
		}
		next, ok, err := r.following()
		if err != nil {
			return nil, offset, err
		}
		if !ok {
			break
		}
		// The writer leaves a segment before it creates the next: what is not in this one now never comes.
		if recs, err = r.frames(offset, max); err != nil || len(recs) > 0 {
			return recs, endOf(recs, offset), err
		}
		if err := r.open(next); err != nil {
			return nil, offset, err
		}
		if r.f == nil {
			// Dropped for the cap meanwhile: look again, there is a later one.
			return r.readFrom(offset, max)
		}
		if next > offset {
			return []Record{{Offset: offset, FD: 3, Gap: next - offset}}, next, nil
		}
	}
	if r.finished && offset < r.end && r.tailMissing(offset) {
		return []Record{{Offset: offset, FD: 3, Gap: r.end - offset}}, r.end, nil
	}
	return nil, offset, nil
}

// tailMissing says whether nothing on disk lies behind offset.
func (r *Reader) tailMissing(offset uint64) bool {
	_, ok, err := r.following()
	return err == nil && !ok && (r.f == nil || r.offset <= offset)
}

func sumGap(recs []Record) uint64 {
	var n uint64
	for _, rec := range recs {
		n += rec.Gap
	}
	return n
}

func endOf(recs []Record, offset uint64) uint64 {
	if len(recs) == 0 {
		return offset
	}
	return recs[len(recs)-1].End()
}

// seek positions the reader at the frame that holds offset. Where the stream begins behind offset it returns the gap.
func (r *Reader) seek(offset uint64) ([]Record, error) {
	bases, err := listSegments(r.dir)
	if err != nil {
		return nil, err
	}
	i := len(bases) - 1
	for i >= 0 && bases[i] > offset {
		i--
	}
	if i < 0 {
		r.drop()
		if len(bases) == 0 {
			return nil, nil
		}
		if err := r.open(bases[0]); err != nil || r.f == nil {
			return nil, err
		}
		return []Record{{Offset: offset, FD: 3, Gap: bases[0] - offset}}, nil
	}
	if r.f == nil || r.base != bases[i] || r.offset > offset {
		if err := r.open(bases[i]); err != nil || r.f == nil {
			return nil, err
		}
	}
	return nil, r.skipTo(offset)
}

// skipTo walks frames that end at or before offset.
func (r *Reader) skipTo(offset uint64) error {
	for r.offset < offset {
		b, err := r.window(1 << 20)
		if err != nil {
			return err
		}
		used := 0
		for r.offset < offset {
			fr, ferr := parseFrame(b[used:])
			if ferr != nil || fr.offset != r.offset || fr.end() > offset {
				break
			}
			if fr.kind == frameEnd {
				break
			}
			used += fr.size()
			r.offset = fr.end()
		}
		if used == 0 {
			return nil // inside a frame, or behind what is there
		}
		r.pos += int64(used)
	}
	return nil
}

// frames turns what the open segment holds from the current position into records that begin at offset.
func (r *Reader) frames(offset uint64, max int) ([]Record, error) {
	b, err := r.window(max + frameHeader)
	if err != nil {
		return nil, err
	}
	var recs []Record
	size := 0
	for size < max || len(recs) == 0 {
		fr, ferr := parseFrame(b)
		if ferr != nil || fr.offset != r.offset {
			break
		}
		b = b[fr.size():]
		if fr.kind == frameEnd {
			r.finished, r.end = true, fr.offset
			break
		}
		if len(recs) > 0 && size+len(fr.data) > max {
			break
		}
		r.pos += int64(fr.size())
		r.offset = fr.end()
		if fr.end() <= offset {
			continue // only when the caller began inside this frame's predecessor
		}
		rec := Record{Offset: fr.offset, AtMS: fr.atMS, FD: int32(fr.fd)}
		skip := uint64(0)
		if fr.offset < offset {
			skip = offset - fr.offset
			rec.Offset = offset
		}
		if fr.kind == frameGap {
			rec.Gap = fr.end() - rec.Offset
		} else {
			rec.Data = fr.data[skip:len(fr.data):len(fr.data)]
		}
		recs = append(recs, rec)
		size += len(rec.Data)
	}
	return recs, nil
}

// window reads about n bytes at the current position, and more when the first frame is longer.
func (r *Reader) window(n int) ([]byte, error) {
	info, err := r.f.Stat()
	if err != nil {
		return nil, err
	}
	avail := info.Size() - r.pos
	if avail <= 0 {
		return nil, nil
	}
	b, err := r.at(int(min(avail, int64(n))))
	if err != nil {
		return nil, err
	}
	if want := wantedBytes(b); want > len(b) && int64(want) <= avail {
		return r.at(want)
	}
	return b, nil
}

func (r *Reader) at(n int) ([]byte, error) {
	b := make([]byte, n)
	got, err := r.f.ReadAt(b, r.pos)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return b[:got], nil
}

// following finds the segment behind the open one.
func (r *Reader) following() (uint64, bool, error) {
	bases, err := listSegments(r.dir)
	if err != nil {
		return 0, false, err
	}
	for _, base := range bases {
		if r.f == nil || base > r.base {
			return base, true, nil
		}
	}
	return 0, false, nil
}

// open moves to the start of a segment; one that is gone meanwhile leaves the reader without a file.
func (r *Reader) open(base uint64) error {
	r.drop()
	f, err := os.Open(segmentPath(r.dir, base))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	r.f, r.base, r.pos, r.offset = f, base, 0, base
	return nil
}

func (r *Reader) drop() {
	if r.f != nil {
		_ = r.f.Close() // read only
		r.f = nil
	}
}

// End scans for the length of the stream as it lies on disk now, and says whether it is complete.
func (r *Reader) End() (uint64, bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.finished {
		return r.end, true, nil
	}
	bases, err := listSegments(r.dir)
	if err != nil || len(bases) == 0 {
		return 0, false, err
	}
	base := bases[len(bases)-1]
	f, err := os.Open(segmentPath(r.dir, base))
	if err != nil {
		return 0, false, fmt.Errorf("end of stream %s: %w", r.key, err)
	}
	x, err := scanSegment(f, base)
	return x.end, x.complete, errors.Join(err, f.Close())
}

// Ack frees the segments that lie wholly below offset. The last one stays until the stream is removed.
func (r *Reader) Ack(offset uint64) error {
	bases, err := listSegments(r.dir)
	if err != nil {
		return err
	}
	for i := 0; i+1 < len(bases) && bases[i+1] <= offset; i++ {
		if err := os.Remove(segmentPath(r.dir, bases[i])); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("free segment of %s: %w", r.key, err)
		}
	}
	return nil
}

// Close releases the file. The reader may be used again.
func (r *Reader) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.drop()
	return nil
}
