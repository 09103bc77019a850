package logs

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
)

// A segment is a run of records:
//
//	crc u32    Castagnoli, over what follows
//	len u32    bytes of data
//	offset u64 logical offset of the first byte
//	at_ms u64
//	fd u8
//	kind u8
//	magic u16
//	data
//
// Numbers are little-endian. A gap record's data is the number of missing bytes, u64. An end record completes the stream.
const (
	headerSize = 28
	magic      = 0xA10F

	kindData = 0
	kindGap  = 1
	kindEnd  = 2
)

// maxRecord bounds what a damaged length can make a reader allocate.
const maxRecord = 1 << 30

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var (
	errShort   = errors.New("record is cut off")
	errDamaged = errors.New("record is damaged")
)

// record is a record in a buffer; data aliases it.
type record struct {
	offset uint64
	atMS   int64
	fd     uint8
	kind   uint8
	data   []byte
	gap    uint64
}

// length is how far the record advances the logical offset.
func (r *record) length() uint64 {
	if r.kind == kindGap {
		return r.gap
	}
	return uint64(len(r.data))
}

// appendHeader adds the header of a record with this data to b; the data itself follows it in the file.
func appendHeader(b []byte, r *record, data []byte) []byte {
	at := len(b)
	b = append(b, make([]byte, headerSize)...)
	h := b[at:]
	le := binary.LittleEndian
	le.PutUint32(h[4:], uint32(len(data)))
	le.PutUint64(h[8:], r.offset)
	le.PutUint64(h[16:], uint64(r.atMS))
	h[24], h[25] = r.fd, r.kind
	le.PutUint16(h[26:], magic)
	le.PutUint32(h, crc32.Update(crc32.Checksum(h[4:], castagnoli), castagnoli, data))
	return b
}

// size is the length on disk of the record that starts b, as its header says. The error is errShort when b is shorter
// than a header.
func size(b []byte) (int, error) {
	if len(b) < headerSize {
		return 0, errShort
	}
	n := binary.LittleEndian.Uint32(b[4:])
	if binary.LittleEndian.Uint16(b[26:]) != magic || n > maxRecord || b[25] > kindEnd {
		return 0, errDamaged
	}
	return headerSize + int(n), nil
}

// parse reads the record that starts b and says how long it is. The error is errShort when b ends before the record.
func parse(b []byte) (record, int, error) {
	n, err := size(b)
	if err != nil {
		return record{}, 0, err
	}
	if n > len(b) {
		return record{}, n, errShort
	}
	le := binary.LittleEndian
	if le.Uint32(b) != crc32.Checksum(b[4:n], castagnoli) {
		return record{}, 0, errDamaged
	}
	r := record{offset: le.Uint64(b[8:]), atMS: int64(le.Uint64(b[16:])), fd: b[24], kind: b[25], data: b[headerSize:n:n]}
	if r.kind == kindGap {
		if len(r.data) != 8 {
			return record{}, 0, errDamaged
		}
		r.gap, r.data = le.Uint64(r.data), nil
	}
	if r.offset+r.length() < r.offset {
		return record{}, 0, errDamaged
	}
	return r, n, nil
}
