package metrics

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
)

// An event file of TensorBoard is a run of records:
//
//	length u64 | masked CRC32C of length u32 | data [length] | masked CRC32C of data u32
//
// Numbers are little endian; the data is a protobuf message tensorflow.Event. What is needed of it is decoded here.
const (
	recordHeader = 12
	recordFooter = 4
	crcMask      = 0xa282ead8
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// ErrRecord says that an event file cannot be read on: its checksum does not fit.
var ErrRecord = errors.New("damaged record of an event file")

func masked(b []byte) uint32 {
	c := crc32.Checksum(b, castagnoli)
	return (c>>15 | c<<17) + crcMask
}

// NextRecord finds the record that begins b. size is how many bytes of the file it takes; with size > len(b) there is less
// than a whole record, and that many bytes are wanted (or may be passed over, when it is larger than MostRecord).
func NextRecord(b []byte) (data []byte, size int64, err error) {
	if len(b) < recordHeader {
		return nil, recordHeader, nil
	}
	n := binary.LittleEndian.Uint64(b)
	if masked(b[:8]) != binary.LittleEndian.Uint32(b[8:]) || n > 1<<40 {
		return nil, 0, fmt.Errorf("%w: its length", ErrRecord)
	}
	size = recordHeader + int64(n) + recordFooter
	if size > int64(len(b)) {
		return nil, size, nil
	}
	data = b[recordHeader : size-recordFooter]
	if masked(data) != binary.LittleEndian.Uint32(b[size-recordFooter:]) {
		return nil, 0, fmt.Errorf("%w: its data", ErrRecord)
	}
	return data, size, nil
}

// ParseEvent reads the scalars of one event.
func ParseEvent(data []byte) ([]Sample, error) {
	var step, atMS int64
	var summaries [][]byte
	err := fields(data, func(num int, v field) error {
		switch {
		case num == 1 && v.wire == wire64:
			if t := math.Float64frombits(v.num); t > 0 && t < 1e11 {
				atMS = int64(t * 1000)
			}
		case num == 2 && v.wire == wireVarint:
			step = int64(v.num)
		case num == 5 && v.wire == wireBytes:
			summaries = append(summaries, v.data)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	var out []Sample
	for _, s := range summaries {
		err := fields(s, func(num int, v field) error {
			if num != 1 || v.wire != wireBytes {
				return nil
			}
			name, value, ok, err := scalarOf(v.data)
			if ok && name != "" {
				out = append(out, Sample{Name: cleanName(name), Step: step, HasStep: true, AtMS: atMS, Value: value})
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// scalarOf reads a Summary.Value: its tag, and its number when it is one.
func scalarOf(b []byte) (tag string, value float64, ok bool, err error) {
	foreign := false
	err = fields(b, func(num int, v field) error {
		switch {
		case num == 1 && v.wire == wireBytes:
			tag = string(v.data[:min(len(v.data), 4*MostName)])
		case num == 2 && v.wire == wire32:
			value, ok = float64(math.Float32frombits(uint32(v.num))), true
		case num == 8 && v.wire == wireBytes:
			var err error
			value, ok, err = tensor(v.data)
			return err
		case num == 9 && v.wire == wireBytes:
			plugin, err := pluginOf(v.data)
			foreign = plugin != "" && plugin != "scalars"
			return err
		}
		return nil
	})
	return tag, value, ok && !foreign, err
}

// pluginOf reads SummaryMetadata.plugin_data.plugin_name.
func pluginOf(b []byte) (name string, err error) {
	err = fields(b, func(num int, v field) error {
		if num != 1 || v.wire != wireBytes {
			return nil
		}
		return fields(v.data, func(num int, v field) error {
			if num == 1 && v.wire == wireBytes {
				name = string(v.data[:min(len(v.data), 100)])
			}
			return nil
		})
	})
	return name, err
}

// Types of tensors.
const (
	typeFloat    = 1
	typeDouble   = 2
	typeInt32    = 3
	typeInt64    = 9
	typeBfloat16 = 14
	typeHalf     = 19
)

// tensor reads a TensorProto that holds one number.
func tensor(b []byte) (value float64, ok bool, err error) {
	var kind uint64
	var content []byte
	var vals []float64
	elements := uint64(1)
	err = fields(b, func(num int, v field) error {
		switch {
		case num == 1 && v.wire == wireVarint:
			kind = v.num
		case num == 2 && v.wire == wireBytes:
			return fields(v.data, func(num int, v field) error {
				if num != 2 || v.wire != wireBytes {
					return nil
				}
				return fields(v.data, func(num int, v field) error {
					if num == 1 && v.wire == wireVarint && v.num != 1 {
						elements = 0 // no scalar
					}
					return nil
				})
			})
		case num == 4 && v.wire == wireBytes:
			content = v.data
		case len(vals) < 2:
			vals = append(vals, numbers(num, v)...)
		}
		return nil
	})
	if err != nil || elements != 1 {
		return 0, false, err
	}
	if len(vals) == 1 {
		return vals[0], true, nil
	}
	le := binary.LittleEndian
	switch {
	case kind == typeFloat && len(content) == 4:
		return float64(math.Float32frombits(le.Uint32(content))), true, nil
	case kind == typeDouble && len(content) == 8:
		return math.Float64frombits(le.Uint64(content)), true, nil
	case kind == typeInt32 && len(content) == 4:
		return float64(int32(le.Uint32(content))), true, nil
	case kind == typeInt64 && len(content) == 8:
		return float64(int64(le.Uint64(content))), true, nil
	case kind == typeBfloat16 && len(content) == 2:
		return float64(math.Float32frombits(uint32(le.Uint16(content)) << 16)), true, nil
	case kind == typeHalf && len(content) == 2:
		return half(le.Uint16(content)), true, nil
	}
	return 0, false, nil
}

// numbers reads one of the typed value fields of a TensorProto, packed or not; two values are enough to see that there is
// more than one.
func numbers(num int, v field) []float64 {
	var out []float64
	le := binary.LittleEndian
	switch num {
	case 5: // float_val
		if v.wire == wire32 {
			return []float64{float64(math.Float32frombits(uint32(v.num)))}
		}
		for b := v.data; len(b) >= 4 && len(out) < 2; b = b[4:] {
			out = append(out, float64(math.Float32frombits(le.Uint32(b))))
		}
	case 6: // double_val
		if v.wire == wire64 {
			return []float64{math.Float64frombits(v.num)}
		}
		for b := v.data; len(b) >= 8 && len(out) < 2; b = b[8:] {
			out = append(out, math.Float64frombits(le.Uint64(b)))
		}
	case 7, 10: // int_val, int64_val
		if v.wire == wireVarint {
			return []float64{float64(int64(v.num))}
		}
		for b := v.data; len(b) > 0 && len(out) < 2; {
			n, k := binary.Uvarint(b)
			if k <= 0 {
				return nil
			}
			out, b = append(out, float64(int64(n))), b[k:]
		}
	}
	return out
}

// half is an IEEE 754 number of 16 bits.
func half(h uint16) float64 {
	sign, exp, frac := 1.0, int(h>>10&0x1f), float64(h&0x3ff)
	if h>>15 == 1 {
		sign = -1
	}
	switch {
	case exp == 0:
		return sign * math.Ldexp(frac, -24)
	case exp == 0x1f && frac == 0:
		return math.Inf(int(sign))
	case exp == 0x1f:
		return math.NaN()
	}
	return sign * math.Ldexp(1024+frac, exp-25)
}

// Wire types of protobuf.
const (
	wireVarint = 0
	wire64     = 1
	wireBytes  = 2
	wire32     = 5
)

type field struct {
	wire int
	num  uint64 // of wireVarint, wire64, wire32
	data []byte // of wireBytes
}

var errProto = errors.New("damaged event")

// fields calls fn with every field of a protobuf message.
func fields(b []byte, fn func(num int, v field) error) error {
	for len(b) > 0 {
		tag, n := binary.Uvarint(b)
		if n <= 0 || tag>>3 == 0 || tag>>3 > 1<<29 {
			return errProto
		}
		b = b[n:]
		v := field{wire: int(tag & 7)}
		switch v.wire {
		case wireVarint:
			if v.num, n = binary.Uvarint(b); n <= 0 {
				return errProto
			}
		case wire64:
			if n = 8; len(b) < n {
				return errProto
			}
			v.num = binary.LittleEndian.Uint64(b)
		case wire32:
			if n = 4; len(b) < n {
				return errProto
			}
			v.num = uint64(binary.LittleEndian.Uint32(b))
		case wireBytes:
			size, k := binary.Uvarint(b)
			if k <= 0 || size > uint64(len(b)-k) {
				return errProto
			}
			n = k + int(size)
			v.data = b[k:n]
		default:
			return errProto
		}
		b = b[n:]
		if err := fn(int(tag>>3), v); err != nil {
			return err
		}
	}
	return nil
}
