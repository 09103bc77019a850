package spool

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
)

// A segment is a sequence of frames. Integers are little endian.
//
//	crc32c u32 | length u32 | offset u64 | at_ms i64 | kind u8, fd u8, zero u16 | data [length]
//
// The checksum covers everything behind it. The file's name is the offset of its first frame in 20 digits, so a listing
// sorts by offset and a reader finds its place without an index.
const frameHeader = 28

const (
	frameData = 1
	frameGap  = 2 // data: u64 number of bytes missing at offset
	frameEnd  = 3 // nothing follows; offset is the stream's length
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// errTorn says that the bytes at hand hold no whole valid frame: not written yet, or cut off by a crash.
var errTorn = errors.New("no whole frame")

type frame struct {
	kind   byte
	fd     byte
	offset uint64
	atMS   int64
	data   []byte // aliases the buffer it was parsed from
}

// end is the logical offset behind the frame.
func (f frame) end() uint64 {
	switch f.kind {
	case frameData:
		return f.offset + uint64(len(f.data))
	case frameGap:
		return f.offset + binary.LittleEndian.Uint64(f.data)
	}
	return f.offset
}

// size is what the frame takes on disk.
func (f frame) size() int { return frameHeader + len(f.data) }

// putHeader completes buf, whose bytes behind frameHeader are the data already.
func putHeader(buf []byte, kind, fd byte, offset uint64, atMS int64) {
	binary.LittleEndian.PutUint32(buf[4:], uint32(len(buf)-frameHeader))
	binary.LittleEndian.PutUint64(buf[8:], offset)
	binary.LittleEndian.PutUint64(buf[16:], uint64(atMS))
	buf[24], buf[25], buf[26], buf[27] = kind, fd, 0, 0
	binary.LittleEndian.PutUint32(buf, crc32.Checksum(buf[4:], castagnoli))
}

// parseFrame reads the frame at the start of b, or errTorn.
func parseFrame(b []byte) (frame, error) {
	if len(b) < frameHeader {
		return frame{}, errTorn
	}
	n := int(binary.LittleEndian.Uint32(b[4:]))
	if n > MaxRecord || frameHeader+n > len(b) {
		return frame{}, errTorn
	}
	whole := b[:frameHeader+n]
	if crc32.Checksum(whole[4:], castagnoli) != binary.LittleEndian.Uint32(whole) {
		return frame{}, errTorn
	}
	f := frame{
		kind: whole[24], fd: whole[25],
		offset: binary.LittleEndian.Uint64(whole[8:]),
		atMS:   int64(binary.LittleEndian.Uint64(whole[16:])),
		data:   whole[frameHeader:],
	}
	switch {
	case f.kind == frameData:
	case f.kind == frameGap && n == 8 && binary.LittleEndian.Uint64(f.data) <= 1<<62:
	case f.kind == frameEnd && n == 0:
	default:
		return frame{}, errTorn
	}
	if f.offset > 1<<62 {
		return frame{}, errTorn
	}
	return f, nil
}

// wantedBytes is how long the frame at the start of b claims to be, 0 when it makes no sense.
func wantedBytes(b []byte) int {
	if len(b) < frameHeader {
		return frameHeader
	}
	n := int(binary.LittleEndian.Uint32(b[4:]))
	if n > MaxRecord {
		return 0
	}
	return frameHeader + n
}
