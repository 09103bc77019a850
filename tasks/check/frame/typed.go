package frame

import (
	"errors"
	"fmt"
	"hash/maphash"
	"math"
	"math/big"
	"regexp"
	"time"
	"unicode/utf8"
)

// errTimeRange reports a time that nanoseconds in 64 bits cannot hold.
var errTimeRange = errors.New("is out of the range of times (1678 to 2262)")

// pandasIndex matches the names under which pandas stores its row index, which
// is no column.
func pandasIndex() *regexp.Regexp { return regexp.MustCompile(`^__index_level_\d+__$`) }

// wholeNumber appends an integer.
func (p *piece) wholeNumber(v int64) {
	p.ints = append(p.ints, v)
	p.present()
}

// realNumber appends a float; NaN is a missing cell.
func (p *piece) realNumber(f float64) {
	if math.IsNaN(f) {
		p.null(0)
		return
	}
	p.floats = append(p.floats, f)
	p.present()
}

// instant appends a time that counts units of so many nanoseconds since 1970.
func (p *piece) instant(v, unit int64) error {
	if unit > 1 && (v > math.MaxInt64/unit || v < math.MinInt64/unit) {
		return fmt.Errorf("%d × %s since 1970 %w", v, time.Duration(unit), errTimeRange)
	}
	p.wholeNumber(v * unit)
	return nil
}

// string appends a text; the spellings of a missing value are that.
func (p *piece) string(b []byte, spellings []string) error {
	for i, s := range spellings[1:] {
		if s == string(b) {
			p.null(uint8(i + 1))
			return nil
		}
	}
	code, fresh := p.texts.code(b)
	if fresh && !utf8.Valid(b) {
		return errors.New("the cell holds bytes that are no UTF-8 text")
	}
	p.codes = append(p.codes, code)
	p.present()
	return nil
}

// clock renders a time of day.
func clock(ns int64) string {
	return time.Unix(0, ns).UTC().Format("15:04:05.999999999")
}

// scaled divides a decimal's digits by its power of ten.
func scaled(v *big.Int, scale int) float64 {
	if v.IsInt64() && scale >= 0 && scale <= 22 {
		if i := v.Int64(); i < 1<<53 && i > -1<<53 {
			return float64(i) / powerOfTen(scale)
		}
	}
	const precision = 512
	f := new(big.Float).SetPrec(precision).SetInt(v)
	power := new(big.Float).SetPrec(precision).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(max(scale, -scale))), nil))
	if scale >= 0 {
		f.Quo(f, power)
	} else {
		f.Mul(f, power)
	}
	out, _ := f.Float64()
	return out
}

// bigEndian reads a two's complement number.
func bigEndian(b []byte) *big.Int {
	v := new(big.Int).SetBytes(b)
	if len(b) > 0 && b[0]&0x80 != 0 {
		v.Sub(v, new(big.Int).Lsh(big.NewInt(1), uint(8*len(b))))
	}
	return v
}

// halfFloat reads a 16-bit float.
func halfFloat(bits uint16) float64 {
	sign, exponent, fraction := 1.0, int(bits>>10&31), float64(bits&1023)
	if bits&0x8000 != 0 {
		sign = -1
	}
	switch exponent {
	case 0:
		return sign * fraction * math.Pow(2, -24)
	case 31:
		if fraction != 0 {
			return math.NaN()
		}
		return math.Inf(int(sign))
	}
	return sign * (1 + fraction/1024) * math.Pow(2, float64(exponent-15))
}

// typed starts a typed file: its columns are those of the files before it.
func (a *assembler) typed(name string, names []string, opts Options) error {
	if err := declaredColumns(name, names, opts.Types); err != nil {
		return err
	}
	seen := make(map[string]int, len(names))
	for i, n := range names {
		if !utf8.ValidString(n) {
			return fmt.Errorf("%s: the name of column %d is not valid UTF-8", name, i+1)
		}
		if j, dup := seen[n]; dup {
			return fmt.Errorf("%s: columns %d and %d are both named %q", name, j+1, i+1, n)
		}
		seen[n] = i
	}
	if len(names) == 0 {
		return fmt.Errorf("%s: the file has no columns", name)
	}
	return a.declare(name, names, Options{})
}

// disagree reports a file whose column has another type than before.
func disagree(file string, g *growing, p *piece) error {
	return fmt.Errorf("%s: column %q is %s here and %s in the files before it", file, g.name, p.kind, g.kind)
}

// cast changes the types of the columns of a typed file to those declared.
func (t *Table) cast(types map[string]Kind) error {
	for _, name := range sortedKeys(types) {
		c := t.Column(name)
		if c == nil || c.kind == types[name] || types[name] == Time {
			continue
		}
		out, err := c.as(types[name])
		if err != nil {
			return fmt.Errorf("%s: column %q: %w", t.name, name, err)
		}
		t.replace(out)
	}
	return nil
}

// as returns the column with its cells turned into another kind.
func (c *Column) as(kind Kind) (*Column, error) {
	b := cells{piece: newPiece(maphash.MakeSeed()), fixed: true, point: '.'}
	b.kind = kind
	for i := range c.n {
		if c.IsNull(i) {
			b.null(c.nulls[i] - 1)
			continue
		}
		var field []byte
		switch v := c.Value(i); {
		case kind == Float && c.kind.Numeric():
			b.realNumber(c.Float(i))
			continue
		case kind == Int && c.kind == Float && v.f == math.Trunc(v.f) && math.Abs(v.f) < 1<<62:
			b.wholeNumber(int64(v.f))
			continue
		case kind == Bool && c.kind == Int && (v.i == 0 || v.i == 1), kind == Int && c.kind == Bool:
			b.wholeNumber(v.i)
			continue
		default:
			field = []byte(v.String())
		}
		if err := b.put(field); err != nil {
			return nil, fmt.Errorf("row %d: %w", i, err)
		}
	}
	out := &Column{name: c.name, kind: kind, n: c.n, spellings: c.spellings, ints: b.ints, floats: b.floats, codes: b.codes, whole: c.whole}
	if len(b.nulls) > 0 {
		out.nulls = b.nulls
	}
	if kind == Text {
		for k := range b.texts.ends {
			out.dict = append(out.dict, string(b.texts.at(int32(k))))
		}
	}
	return out, nil
}
