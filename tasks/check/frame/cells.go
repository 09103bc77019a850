package frame

import (
	"errors"
	"fmt"
	"hash/maphash"
	"math"
	"slices"
	"unicode/utf8"
)

// errNotUTF8 reports text in another encoding.
var errNotUTF8 = errors.New("the field is not valid UTF-8; save the file as UTF-8, or declare its encoding")

// piece is a run of rows of one column, as a reader hands it on.
type piece struct {
	kind   Kind // Null as long as no cell is present
	n      int
	ints   []int64   // Int, Bool, Time
	floats []float64 // Float
	codes  []int32   // Text, into texts
	texts  texts
	nulls  []uint8 // empty without missing cells; see Column
	room   int     // the number of cells to expect
}

func newPiece(seed maphash.Seed) piece { return piece{texts: texts{seed: seed}} }

// reset empties the piece and keeps its memory.
func (p *piece) reset(kind Kind) {
	p.kind, p.n, p.nulls = kind, 0, p.nulls[:0]
	p.ints, p.floats, p.codes = p.ints[:0], p.floats[:0], p.codes[:0]
	p.texts.reset()
}

// null appends a missing cell.
func (p *piece) null(spelling uint8) {
	if len(p.nulls) == 0 {
		p.nulls = append(slices.Grow(p.nulls, max(p.room, p.n)), make([]uint8, p.n)...)
	}
	p.nulls = append(p.nulls, spelling+1)
	p.n++
	p.pad(1)
}

// present notes that one more cell is there; its value is appended apart.
func (p *piece) present() {
	if len(p.nulls) > 0 {
		p.nulls = append(p.nulls, 0)
	}
	p.n++
}

// pad appends the placeholders of n missing cells.
func (p *piece) pad(n int) {
	switch p.kind {
	case Null:
	case Float:
		for range n {
			p.floats = append(p.floats, math.NaN())
		}
	case Text:
		p.codes = append(p.codes, make([]int32, n)...)
	default:
		p.ints = append(p.ints, make([]int64, n)...)
	}
}

// begin sets the type after missing cells only.
func (p *piece) begin(kind Kind) {
	p.kind = kind
	p.grow(p.room)
	p.pad(p.n)
}

// grow makes room for n cells.
func (p *piece) grow(n int) {
	switch p.kind {
	case Null:
	case Float:
		p.floats = slices.Grow(p.floats, n)
	case Text:
		p.codes = slices.Grow(p.codes, n)
	default:
		p.ints = slices.Grow(p.ints, n)
	}
}

// widen turns integers into floats.
func (p *piece) widen() {
	p.floats = slices.Grow(p.floats[:0], max(p.room, len(p.ints)))
	for i, v := range p.ints {
		f := float64(v)
		if len(p.nulls) > i && p.nulls[i] != 0 {
			f = math.NaN()
		}
		p.floats = append(p.floats, f)
	}
	p.ints, p.kind = p.ints[:0], Float
}

// cells reads the fields of one column in one block of text. The type is a
// guess: it starts with the first field present, or with what earlier blocks
// were, and only widens from int to float; any other disappointment marks the
// cells as broken, to be read again as text.
type cells struct {
	piece
	fixed     bool // the type was declared
	broken    bool
	point     byte // the decimal point
	spellings []string
}

func (b *cells) reset(kind Kind) {
	b.piece.reset(kind)
	b.broken = false
}

// add reads one field.
func (b *cells) add(field []byte) error {
	if len(field) == 0 {
		b.null(0)
		return nil
	}
	if len(b.spellings) > 1 {
		for i, s := range b.spellings[1:] {
			if s == string(field) {
				b.null(uint8(i + 1))
				return nil
			}
		}
	}
	return b.put(field)
}

// put reads a field that is present.
func (b *cells) put(field []byte) error {
	switch b.kind {
	case Int:
		if v, ok := parseInt(field); ok {
			b.ints = append(b.ints, v)
			b.present()
			return nil
		}
		if _, ok := parseFloat(field, b.point); !ok || b.fixed {
			return b.fail(field)
		}
		b.widen()
		return b.put(field)
	case Float:
		v, ok := parseFloat(field, b.point)
		if !ok {
			return b.fail(field)
		}
		b.floats = append(b.floats, v)
	case Bool:
		v, ok := parseBool(field)
		if !ok {
			return b.fail(field)
		}
		b.ints = append(b.ints, v)
	case Null:
		b.begin(b.guess(field))
		return b.put(field)
	default:
		return b.text(field)
	}
	b.present()
	return nil
}

// text appends a field as it stands.
func (b *cells) text(field []byte) error {
	code, fresh := b.texts.code(field)
	if fresh && !utf8.Valid(field) {
		return errNotUTF8
	}
	b.codes = append(b.codes, code)
	b.present()
	return nil
}

func (b *cells) guess(field []byte) Kind {
	if _, ok := parseInt(field); ok {
		return Int
	}
	if _, ok := parseFloat(field, b.point); ok {
		return Float
	}
	if _, ok := parseBool(field); ok {
		return Bool
	}
	return Text
}

// fail gives up on the guessed type, or reports the field when the type was
// declared.
func (b *cells) fail(field []byte) error {
	if b.fixed {
		return fmt.Errorf("%q is not of the declared type %s", clip(string(field)), b.kind)
	}
	b.broken = true
	return nil
}
