package frame

import (
	"errors"
	"fmt"
	"math"
	"slices"
)

// errTooMany stops the reading of a table that turns out to be too large to be
// kept as a whole.
var errTooMany = errors.New("more rows than are kept in memory")

// assembler joins pieces to the columns of one table.
type assembler struct {
	name      string
	columns   []*growing
	index     map[string]int
	spellings []string
	// rows counts the rows taken in, kept or not; limit stops it when there
	// is no selection yet.
	rows, limit int
	selection   *Selection
	names       []string // of the columns of the first file
	keep        []int32
}

// growing is a column that is being read.
type growing struct {
	Column
	dictionary dictionary
	fixed      bool
	missing    bool // some cell of the whole table is missing
	broken     bool
	used       []bool
	survey     *survey
}

func (a *assembler) column(name string) *growing {
	if i, ok := a.index[name]; ok {
		return a.columns[i]
	}
	return nil
}

// add makes a new column of the kind declared, or Null; the rows read so far
// are missing in it.
func (a *assembler) add(name string, kind Kind, fixed bool) *growing {
	g := &growing{Column: Column{name: name, kind: kind, spellings: a.spellings}, fixed: fixed}
	if a.selection != nil {
		g.survey = &survey{}
	}
	a.index[name] = len(a.columns)
	a.columns = append(a.columns, g)
	if a.rows > 0 {
		g.absent(a.kept(), a.rows)
	}
	return g
}

// kept counts the rows in memory.
func (a *assembler) kept() int {
	if a.selection == nil {
		return a.rows
	}
	at, _ := slices.BinarySearch(a.selection.rows, int32(a.rows))
	return at
}

// advance counts n rows whose pieces are about to be taken in, and returns
// which of them are kept; nil means all.
func (a *assembler) advance(n int) ([]int32, error) {
	first := a.rows
	a.rows += n
	if a.rows > math.MaxInt32 {
		return nil, fmt.Errorf("%s: more than %d rows", a.name, math.MaxInt32)
	}
	if a.selection == nil {
		if a.limit > 0 && a.rows > a.limit {
			return nil, errTooMany
		}
		return nil, nil
	}
	if a.rows > a.selection.total {
		return nil, fmt.Errorf("%s: the file changed while it was being read", a.name)
	}
	a.keep = a.selection.within(first, n, a.keep)
	return a.keep, nil
}

// reserve makes room for n rows.
func (g *growing) reserve(n int) {
	switch g.kind {
	case Null:
	case Float:
		g.floats = slices.Grow(g.floats, max(n-len(g.floats), 0))
	case Text:
		g.codes = slices.Grow(g.codes, max(n-len(g.codes), 0))
	default:
		g.ints = slices.Grow(g.ints, max(n-len(g.ints), 0))
	}
}

// absent appends n missing cells, as one that the file leaves out is, for so
// many rows of the whole table.
func (g *growing) absent(n, rows int) {
	g.missing = true
	if s := g.survey; s != nil {
		if s.nulls == 0 {
			s.nullAt = max(len(s.order), len(g.dictionary.texts))
		}
		s.nulls += rows
	}
	g.mark(n, 1)
	g.pad(n)
}

// mark sets the null marks of the next n cells and counts them.
func (g *growing) mark(n int, with uint8) {
	if g.nulls == nil && with != 0 {
		g.nulls = make([]uint8, g.n, max(g.n+n, cap(g.ints), cap(g.floats), cap(g.codes)))
	}
	if g.nulls != nil {
		at := len(g.nulls)
		g.nulls = append(g.nulls, make([]uint8, n)...)
		if with != 0 {
			for i := at; i < len(g.nulls); i++ {
				g.nulls[i] = with
			}
		}
	}
	g.n += n
}

func (g *growing) pad(n int) {
	p := piece{kind: g.kind, ints: g.ints, floats: g.floats, codes: g.codes}
	p.pad(n)
	g.ints, g.floats, g.codes = p.ints, p.floats, p.codes
}

// take appends the kept rows of a piece; keep nil means all of them. It
// reports false when the piece's type does not go with the column's.
func (g *growing) take(p *piece, keep []int32) bool {
	if !g.agree(p) {
		return false
	}
	if g.survey != nil {
		g.survey.add(p)
	}
	n := p.n
	if keep != nil {
		n = len(keep)
	}
	if len(p.nulls) == 0 {
		g.mark(n, 0)
	} else {
		g.missing = true
		g.marks(p.nulls, keep)
	}
	switch g.kind {
	case Null:
	case Float:
		g.floats = pick(g.floats, p.floats, keep)
	case Text:
		g.take32(p, keep)
	default:
		g.ints = pick(g.ints, p.ints, keep)
	}
	return true
}

// agree brings the piece and the column to one type.
func (g *growing) agree(p *piece) bool {
	switch {
	case g.kind == p.kind:
	case p.kind == Null:
		p.begin(g.kind)
	case g.kind == Null:
		g.kind = p.kind
		g.pad(g.n)
	case g.kind == Float && p.kind == Int:
		p.widen()
	case g.kind == Int && p.kind == Float && !g.fixed:
		g.widen()
	default:
		return false
	}
	return true
}

func (g *growing) widen() {
	p := piece{kind: Int, ints: g.ints, nulls: g.nulls}
	p.widen()
	g.kind, g.ints, g.floats = Float, nil, p.floats
	if g.survey != nil {
		g.survey.widen()
	}
}

// marks appends the null marks of a piece.
func (g *growing) marks(nulls []uint8, keep []int32) {
	if g.nulls == nil {
		g.nulls = make([]uint8, g.n, max(g.n+len(nulls), cap(g.ints), cap(g.floats), cap(g.codes)))
	}
	g.nulls = pick(g.nulls, nulls, keep)
	g.n = len(g.nulls)
}

// take32 appends the codes of a piece of text, renumbered.
func (g *growing) take32(p *piece, keep []int32) {
	var used []bool
	if d := &g.dictionary; g.survey != nil && (len(d.texts) > maxDictionary || d.size > maxDictionaryBytes) {
		g.used = append(g.used[:0], make([]bool, len(p.texts.hashes))...)
		for _, i := range keep {
			if len(p.nulls) == 0 || p.nulls[i] == 0 {
				g.used[p.codes[i]] = true
			}
		}
		used = g.used
	}
	before := len(g.dictionary.texts)
	renumbered := g.dictionary.merge(&p.texts, used)
	if g.survey != nil {
		g.survey.text(p, before, renumbered, used)
	}
	if len(renumbered) == 0 {
		renumbered = append(renumbered, 0) // missing cells have code 0
	}
	if keep == nil {
		for _, c := range p.codes {
			g.codes = append(g.codes, renumbered[c])
		}
		return
	}
	for _, i := range keep {
		g.codes = append(g.codes, renumbered[p.codes[i]])
	}
}

func pick[T any](to, from []T, keep []int32) []T {
	if keep == nil {
		return append(to, from...)
	}
	for _, i := range keep {
		to = append(to, from[i])
	}
	return to
}

// drop forgets what was read of the column: it will be read again as text.
func (g *growing) drop() {
	g.broken = true
	g.ints, g.floats, g.codes, g.nulls, g.dictionary = nil, nil, nil, nil, dictionary{}
}

// finish turns the column into its final form.
func (g *growing) finish() *Column {
	if g.kind == Null { // nothing present: an all-null float column
		g.kind = Float
		g.pad(g.n)
	}
	if g.kind == Int && g.missing && !g.fixed {
		g.widen()
	}
	if g.kind == Text {
		g.dict = g.dictionary.texts
	}
	c := g.Column
	c.ints, c.floats, c.codes, c.nulls = tight(c.ints), tight(c.floats), tight(c.codes), tight(c.nulls)
	c.whole = g.survey
	return &c
}

// tight gives back memory that was reserved in vain.
func tight[T any](s []T) []T {
	if cap(s) > len(s)+len(s)/8+1024 {
		return slices.Clone(s)
	}
	return s
}

// table makes the table of what was read.
func (a *assembler) table() (*Table, error) {
	columns := make([]*Column, len(a.columns))
	for i, g := range a.columns {
		columns[i] = g.finish()
		a.columns[i] = nil
	}
	t, err := NewTable(a.name, columns...)
	if err != nil {
		return nil, err
	}
	t.selection = a.selection
	return t, nil
}
