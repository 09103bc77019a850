package frame

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"math/big"
	"sync"

	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	pq "github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/schema"
)

// parquetColumn decodes one column of a Parquet file.
type parquetColumn struct {
	descr     *schema.Column
	position  int
	kind      Kind
	unit      int64 // of times, in nanoseconds
	scale     int   // of decimals, or -1
	clock     bool  // a time of day
	unsigned  bool
	half      bool // 16-bit floats
	uuid      bool
	spellings []string
	piece     piece
	pages     *pages
	reader    pq.ColumnChunkReader
	defs      []int16
	buffers   parquetBuffers
}

// parquetBuffers hold the values of a batch, by physical type.
type parquetBuffers struct {
	bools   []bool
	int32s  []int32
	int64s  []int64
	int96s  []parquet.Int96
	floats  []float32
	doubles []float64
	bytes   []parquet.ByteArray
	fixed   []parquet.FixedLenByteArray
}

// newParquetColumn finds out how a column is decoded, or refuses it.
func newParquetColumn(c *schema.Column, position int) (*parquetColumn, error) {
	k := &parquetColumn{descr: c, position: position, scale: -1, unit: 1}
	if len(c.ColumnPath()) != 1 || c.MaxRepetitionLevel() > 0 || c.MaxDefinitionLevel() > 1 {
		return nil, fmt.Errorf("column %q is nested; flatten it first", c.Path())
	}
	switch l := c.LogicalType().(type) {
	case schema.DateLogicalType, *schema.DateLogicalType:
		k.kind, k.unit = Time, 86400e9
		return k, nil
	case schema.TimestampLogicalType:
		k.kind, k.unit = Time, timeUnit(l.TimeUnit())
		return k, nil
	case *schema.TimestampLogicalType:
		k.kind, k.unit = Time, timeUnit(l.TimeUnit())
		return k, nil
	case schema.TimeLogicalType:
		k.kind, k.clock, k.unit = Text, true, timeUnit(l.TimeUnit())
		return k, nil
	case *schema.TimeLogicalType:
		k.kind, k.clock, k.unit = Text, true, timeUnit(l.TimeUnit())
		return k, nil
	case schema.DecimalLogicalType:
		k.kind, k.scale = Float, int(l.Scale())
	case *schema.DecimalLogicalType:
		k.kind, k.scale = Float, int(l.Scale())
	case schema.IntLogicalType:
		k.unsigned = !l.IsSigned()
	case *schema.IntLogicalType:
		k.unsigned = !l.IsSigned()
	case schema.Float16LogicalType, *schema.Float16LogicalType:
		k.kind, k.half = Float, true
	case schema.UUIDLogicalType, *schema.UUIDLogicalType:
		k.uuid = true
	}
	if k.kind != Null {
		if k.scale > 1000 {
			return nil, fmt.Errorf("column %q: a decimal of scale %d", c.Name(), k.scale)
		}
		return k, nil
	}
	switch c.PhysicalType() {
	case parquet.Types.Boolean:
		k.kind = Bool
	case parquet.Types.Int32, parquet.Types.Int64:
		k.kind = Int
	case parquet.Types.Int96:
		k.kind = Time
	case parquet.Types.Float, parquet.Types.Double:
		k.kind = Float
	case parquet.Types.ByteArray, parquet.Types.FixedLenByteArray:
		k.kind = Text
	default:
		return nil, fmt.Errorf("column %q is of the type %s, which cannot be read", c.Name(), c.PhysicalType())
	}
	return k, nil
}

func timeUnit(u schema.TimeUnitType) int64 {
	switch u {
	case schema.TimeUnitMillis:
		return 1e6
	case schema.TimeUnitMicros:
		return 1e3
	default:
		return 1
	}
}

// open starts the reading of one row group.
func (k *parquetColumn) open(p *pages, mem memory.Allocator, pool *sync.Pool) {
	k.pages = p
	//lint:ignore SA1019 nothing else reads pages that are made here; the version is pinned
	k.reader = pq.NewColumnReader(k.descr, p, mem, pool)
	if k.descr.MaxDefinitionLevel() > 0 && k.defs == nil {
		k.defs = make([]int16, batchRows)
	}
}

// next decodes up to n rows, all of one page, into the piece.
func (k *parquetColumn) next(n int) (int, error) {
	k.piece.reset(k.kind)
	k.pages.hold = false
	if !k.reader.HasNext() {
		return 0, k.reader.Err()
	}
	k.pages.hold = true
	b := &k.buffers
	switch r := k.reader.(type) {
	case *pq.BooleanColumnChunkReader:
		return fill(k, n, &b.bools, r.ReadBatch, k.bool)
	case *pq.Int32ColumnChunkReader:
		return fill(k, n, &b.int32s, r.ReadBatch, k.int32)
	case *pq.Int64ColumnChunkReader:
		return fill(k, n, &b.int64s, r.ReadBatch, k.int64)
	case *pq.Int96ColumnChunkReader:
		return fill(k, n, &b.int96s, r.ReadBatch, k.int96)
	case *pq.Float32ColumnChunkReader:
		return fill(k, n, &b.floats, r.ReadBatch, func(v float32) error { k.piece.realNumber(float64(v)); return nil })
	case *pq.Float64ColumnChunkReader:
		return fill(k, n, &b.doubles, r.ReadBatch, func(v float64) error { k.piece.realNumber(v); return nil })
	case *pq.ByteArrayColumnChunkReader:
		return fill(k, n, &b.bytes, r.ReadBatch, func(v parquet.ByteArray) error { return k.text(v) })
	case *pq.FixedLenByteArrayColumnChunkReader:
		return fill(k, n, &b.fixed, r.ReadBatch, func(v parquet.FixedLenByteArray) error { return k.text(v) })
	}
	return 0, fmt.Errorf("the type %s cannot be read", k.descr.PhysicalType())
}

// fill reads a batch and puts its cells into the piece.
func fill[T any](k *parquetColumn, n int, buf *[]T, read func(int64, []T, []int16, []int16) (int64, int, error), put func(T) error) (int, error) {
	if *buf == nil {
		*buf = make([]T, batchRows)
	}
	var defs []int16
	if k.defs != nil {
		defs = k.defs[:n]
	}
	levels, values, err := read(int64(n), (*buf)[:n], defs, nil)
	if err != nil {
		return 0, err
	}
	if levels > int64(n) || values > n || defs == nil && int64(values) != levels {
		return 0, errors.New("the file is damaged: a page does not hold what it says")
	}
	rows, at := int(levels), 0
	for i := range rows {
		if defs != nil && defs[i] == 0 {
			k.piece.null(0)
			continue
		}
		if at == values {
			return 0, errors.New("the file is damaged: a page does not hold what it says")
		}
		if err := put((*buf)[at]); err != nil {
			return 0, err
		}
		at++
	}
	return rows, nil
}

func (k *parquetColumn) bool(v bool) error {
	i := int64(0)
	if v {
		i = 1
	}
	k.piece.wholeNumber(i)
	return nil
}

func (k *parquetColumn) int32(v int32) error {
	if k.unsigned {
		return k.int64(int64(uint32(v)))
	}
	return k.int64(int64(v))
}

func (k *parquetColumn) int64(v int64) error {
	switch {
	case k.kind == Time:
		return k.piece.instant(v, k.unit)
	case k.scale >= 0:
		k.piece.realNumber(scaled(big.NewInt(v), k.scale))
		return nil
	case k.clock:
		return k.piece.string([]byte(clock(v*k.unit)), k.spellings)
	case k.unsigned && v < 0:
		return fmt.Errorf("%d is beyond the range of int64", uint64(v))
	}
	k.piece.wholeNumber(v)
	return nil
}

// int96 reads the older form of timestamps: nanoseconds of the day, and the
// Julian day.
func (k *parquetColumn) int96(v parquet.Int96) error {
	ns := int64(binary.LittleEndian.Uint64(v[:8]))
	days := int64(binary.LittleEndian.Uint32(v[8:])) - 2440588
	if days > 106750 || days < -106750 || ns < 0 || ns > 86400e9 {
		return fmt.Errorf("day %d since 1970 %w", days, errTimeRange)
	}
	k.piece.wholeNumber(days*86400e9 + ns)
	return nil
}

func (k *parquetColumn) text(b []byte) error {
	switch {
	case k.scale >= 0:
		k.piece.realNumber(scaled(bigEndian(b), k.scale))
		return nil
	case k.half:
		if len(b) != 2 {
			return errors.New("a 16-bit float of another length")
		}
		k.piece.realNumber(halfFloat(binary.LittleEndian.Uint16(b)))
		return nil
	case k.uuid && len(b) == 16:
		h := hex.EncodeToString(b)
		return k.piece.string([]byte(h[:8]+"-"+h[8:12]+"-"+h[12:16]+"-"+h[16:20]+"-"+h[20:]), k.spellings)
	}
	if len(b) > math.MaxInt32 {
		return errors.New("the cell is too long")
	}
	return k.piece.string(b, k.spellings)
}
