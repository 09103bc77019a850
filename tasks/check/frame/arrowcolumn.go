package frame

import (
	"fmt"
	"math"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

// maxUntyped bounds the cells of a batch whose column takes no memory.
const maxUntyped = 1 << 24

// array reads the cells of one column of a record batch.
func (p *piece) array(values arrow.Array, spellings []string) error {
	switch v := values.(type) {
	case *array.Null:
		if p.reset(Null); v.Len() > maxUntyped {
			return fmt.Errorf("%d cells without a type or a value", v.Len())
		}
		for range v.Len() {
			p.null(0)
		}
		return nil
	case *array.Boolean:
		return each(p, Bool, v, func(i int) error {
			x := int64(0)
			if v.Value(i) {
				x = 1
			}
			p.wholeNumber(x)
			return nil
		})
	case *array.Int8:
		return integers(p, v, v.Int8Values())
	case *array.Int16:
		return integers(p, v, v.Int16Values())
	case *array.Int32:
		return integers(p, v, v.Int32Values())
	case *array.Int64:
		return integers(p, v, v.Int64Values())
	case *array.Uint8:
		return integers(p, v, v.Uint8Values())
	case *array.Uint16:
		return integers(p, v, v.Uint16Values())
	case *array.Uint32:
		return integers(p, v, v.Uint32Values())
	case *array.Uint64:
		return each(p, Int, v, func(i int) error {
			if v.Value(i) > math.MaxInt64 {
				return fmt.Errorf("%d is beyond the range of int64", v.Value(i))
			}
			p.wholeNumber(int64(v.Value(i)))
			return nil
		})
	case *array.Float16:
		return reals(p, v, func(i int) float64 { return halfFloat(v.Value(i).Uint16()) })
	case *array.Float32:
		return reals(p, v, func(i int) float64 { return float64(v.Value(i)) })
	case *array.Float64:
		return reals(p, v, v.Value)
	case *array.Decimal128:
		scale := int(v.DataType().(arrow.DecimalType).GetScale())
		return reals(p, v, func(i int) float64 { return scaled(v.Value(i).BigInt(), scale) })
	case *array.Decimal256:
		scale := int(v.DataType().(arrow.DecimalType).GetScale())
		return reals(p, v, func(i int) float64 { return scaled(v.Value(i).BigInt(), scale) })
	case *array.Date32:
		return each(p, Time, v, func(i int) error { return p.instant(int64(v.Value(i)), 86400e9) })
	case *array.Date64:
		return each(p, Time, v, func(i int) error { return p.instant(int64(v.Value(i)), 1e6) })
	case *array.Timestamp:
		unit := int64(v.DataType().(*arrow.TimestampType).Unit.Multiplier())
		return each(p, Time, v, func(i int) error { return p.instant(int64(v.Value(i)), unit) })
	case *array.Dictionary:
		return p.dictionary(v, spellings)
	case array.ExtensionArray:
		return p.array(v.Storage(), spellings)
	default:
		return p.textual(values, spellings)
	}
}

// textual reads cells of text, and those that are told as text.
func (p *piece) textual(values arrow.Array, spellings []string) error {
	put := func(s string) error { return p.string([]byte(s), spellings) }
	switch v := values.(type) {
	case *array.String:
		return each(p, Text, v, func(i int) error { return put(v.Value(i)) })
	case *array.LargeString:
		return each(p, Text, v, func(i int) error { return put(v.Value(i)) })
	case *array.StringView:
		return each(p, Text, v, func(i int) error { return put(v.Value(i)) })
	case *array.Binary:
		return each(p, Text, v, func(i int) error { return p.string(v.Value(i), spellings) })
	case *array.LargeBinary:
		return each(p, Text, v, func(i int) error { return p.string(v.Value(i), spellings) })
	case *array.BinaryView:
		return each(p, Text, v, func(i int) error { return p.string(v.Value(i), spellings) })
	case *array.Time32:
		unit := int64(v.DataType().(*arrow.Time32Type).Unit.Multiplier())
		return each(p, Text, v, func(i int) error { return put(clock(int64(v.Value(i)) * unit)) })
	case *array.Time64:
		unit := int64(v.DataType().(*arrow.Time64Type).Unit.Multiplier())
		return each(p, Text, v, func(i int) error { return put(clock(int64(v.Value(i)) * unit)) })
	}
	p.reset(Null)
	if arrow.IsNested(values.DataType().ID()) {
		return fmt.Errorf("the column is nested (%s); flatten it first", values.DataType())
	}
	return fmt.Errorf("the type %s cannot be read", values.DataType())
}

// each empties the piece and puts the cells of an array into it.
func each(p *piece, kind Kind, values arrow.Array, put func(i int) error) error {
	p.reset(kind)
	nulls := values.NullN() > 0
	for i := range values.Len() {
		if nulls && values.IsNull(i) {
			p.null(0)
			continue
		}
		if err := put(i); err != nil {
			return err
		}
	}
	return nil
}

func integers[T int8 | int16 | int32 | int64 | uint8 | uint16 | uint32](p *piece, values arrow.Array, cells []T) error {
	return each(p, Int, values, func(i int) error {
		p.wholeNumber(int64(cells[i]))
		return nil
	})
}

func reals(p *piece, values arrow.Array, at func(int) float64) error {
	return each(p, Float, values, func(i int) error {
		p.realNumber(at(i))
		return nil
	})
}

// dictionary reads cells that are positions in a list of values: each value
// is decoded once.
func (p *piece) dictionary(v *array.Dictionary, spellings []string) error {
	var values piece
	values.texts.seed = p.texts.seed
	if err := values.array(v.Dictionary(), spellings); err != nil {
		return err
	}
	return each(p, values.kind, v, func(i int) error {
		k := v.GetValueIndex(i)
		if k < 0 || k >= values.n {
			return fmt.Errorf("the file is damaged: value %d of a dictionary of %d", k, values.n)
		}
		switch {
		case len(values.nulls) > 0 && values.nulls[k] != 0:
			p.null(values.nulls[k] - 1)
		case values.kind == Text:
			return p.string(values.texts.at(values.codes[k]), spellings)
		case values.kind == Float:
			p.realNumber(values.floats[k])
		default:
			p.wholeNumber(values.ints[k])
		}
		return nil
	})
}
