package sheet

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
)

// The binary form is a sheet as it lies in memory: it is read in a millisecond where the CSV takes a tenth of a second.
// It is a cache: whatever does not look right is ErrStale, and the CSV is read again.

// binaryMagic changes with the format.
const binaryMagic = "aloft-sheet-1\n\x00\x00"

const (
	rowBytes  = 32
	fixedType = 4*8 + 2*4
)

// ErrStale is the error for a binary form that is broken, or of another file.
var ErrStale = errors.New("stale cache")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Encode gives the binary form; stamp tells which state of which file it is made from.
func (s *Sheet) Encode(stamp string) []byte {
	size := len(binaryMagic) + 64 + len(stamp) + len(s.rows)*rowBytes
	b := make([]byte, 0, size+len(s.Types)*96)
	b = append(b, binaryMagic...)
	str := func(v string) { b = append(binary.LittleEndian.AppendUint32(b, uint32(len(v))), v...) }
	num := func(v float64) { b = binary.LittleEndian.AppendUint64(b, math.Float64bits(v)) }
	u32 := func(v uint32) { b = binary.LittleEndian.AppendUint32(b, v) }
	str(stamp)
	u32(uint32(len(s.words)))
	for _, w := range s.words {
		str(w)
	}
	u32(uint32(len(s.Types)))
	for _, t := range s.Types {
		str(t.Name)
		str(t.Accelerator)
		str(t.Arch)
		num(t.Count)
		num(t.CPUs)
		num(t.MemoryGB)
		num(t.DeviceGB)
		u32(t.first)
		u32(t.count)
	}
	u32(uint32(len(s.rows)))
	for _, r := range s.rows {
		u32(r.region)
		u32(r.zone)
		u32(r.dated)
		u32(0)
		num(r.Price)
		num(r.Spot)
	}
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// Decode reads the binary form; the error is ErrStale when it is not that of stamp, or broken in any way.
func Decode(b []byte, stamp string) (*Sheet, error) {
	d := decoder{b: b}
	if len(b) < len(binaryMagic)+4 || string(b[:len(binaryMagic)]) != binaryMagic {
		return nil, fmt.Errorf("%w: not this version's", ErrStale)
	}
	body := b[:len(b)-4]
	d.b = body[len(binaryMagic):]
	if got := d.str(); d.bad || got != stamp {
		return nil, fmt.Errorf("%w: of another state of the file", ErrStale)
	}
	if crc32.Checksum(body, castagnoli) != binary.LittleEndian.Uint32(b[len(b)-4:]) {
		return nil, fmt.Errorf("%w: wrong checksum", ErrStale)
	}
	s := &Sheet{}
	for range d.len(4) {
		s.words = append(s.words, d.str())
	}
	n := d.len(fixedType)
	s.Types = make([]Type, 0, n)
	for range n {
		s.Types = append(s.Types, Type{Name: d.str(), Accelerator: d.str(), Arch: d.str(), Count: d.num(), CPUs: d.num(), MemoryGB: d.num(),
			DeviceGB: d.num(), first: d.u32(), count: d.u32()})
	}
	n = d.len(rowBytes)
	if d.bad || len(d.b) != n*rowBytes {
		return nil, fmt.Errorf("%w: wrong length", ErrStale)
	}
	s.rows = make([]Row, n)
	words := uint32(len(s.words))
	for i := range s.rows {
		c := d.b[i*rowBytes : (i+1)*rowBytes]
		r := Row{region: binary.LittleEndian.Uint32(c), zone: binary.LittleEndian.Uint32(c[4:]), dated: binary.LittleEndian.Uint32(c[8:]),
			Price: math.Float64frombits(binary.LittleEndian.Uint64(c[16:])), Spot: math.Float64frombits(binary.LittleEndian.Uint64(c[24:]))}
		if r.region >= words || r.zone >= words || r.dated >= words {
			return nil, fmt.Errorf("%w: a row is in no place", ErrStale)
		}
		s.rows[i] = r
	}
	for _, t := range s.Types {
		if uint64(t.first)+uint64(t.count) > uint64(n) {
			return nil, fmt.Errorf("%w: a type has no rows", ErrStale)
		}
	}
	return s, nil
}

// decoder takes values off a byte slice; bad is set when there are too few.
type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) take(n int) []byte {
	if d.bad || n < 0 || n > len(d.b) {
		d.bad = true
		return nil
	}
	out := d.b[:n]
	d.b = d.b[n:]
	return out
}

func (d *decoder) u32() uint32 {
	if c := d.take(4); c != nil {
		return binary.LittleEndian.Uint32(c)
	}
	return 0
}

func (d *decoder) num() float64 {
	if c := d.take(8); c != nil {
		return math.Float64frombits(binary.LittleEndian.Uint64(c))
	}
	return 0
}

func (d *decoder) str() string {
	c := d.take(int(d.u32()))
	if len(c) == 0 {
		return ""
	}
	return string(c)
}

// len is a number of things of at least size bytes each, no more than there are bytes for.
func (d *decoder) len(size int) int {
	n := int(d.u32())
	if n > len(d.b)/size {
		d.bad = true
		return 0
	}
	return n
}
