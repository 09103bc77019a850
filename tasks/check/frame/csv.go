package frame

import (
	"bytes"
	"errors"
	"fmt"
	"hash/maphash"
	"slices"
	"strconv"
	"sync/atomic"
	"unicode/utf8"
)

// ReadCSV reads one CSV file; see Read.
func ReadCSV(path string, opts Options) (*Table, error) {
	if opts.Name == "" {
		opts.Name = path
	}
	return read([]input{fileInput(path, opts.Name)}, formatCSV, opts)
}

// ParseCSV reads a CSV table from memory.
func ParseCSV(src []byte, opts Options) (*Table, error) {
	return read([]input{memoryInput(opts.Name, src)}, formatCSV, opts)
}

// Kinds that a reader expects of a column beyond the real ones.
const (
	expectAny  = int32(Null)
	expectSkip = int32(-1)
)

// csvReader reads the CSV files of one table.
type csvReader struct {
	assembler *assembler
	opts      Options
	seed      maphash.Seed
	// expect holds for each column of the file what to read it as, as far as
	// earlier blocks tell; workers look while blocks are taken in.
	expect  []atomic.Int32
	columns []*growing // by position in the file; nil is not read
	dialect Dialect
	name    string
	size    int64
	began   bool
}

// file reads one file into the assembler.
func (r *csvReader) file(in input) error {
	s, err := in.unpack()
	if err != nil {
		return err
	}
	defer s.Close()
	r.size = 0
	if s.packed == "" {
		if r.size, err = s.size(); err != nil {
			return fmt.Errorf("%s: %w", in.name, err)
		}
	}
	text, err := decoded(s.Reader, r.opts.CSV.Encoding)
	if err != nil {
		return fmt.Errorf("%s: %w", in.name, err)
	}
	r.name, r.dialect, r.began = in.name, r.opts.CSV, false
	quote := r.dialect.quote()
	p := &pipeline{cutter: newCutter(in.name, text, quote), parse: r.parse, take: r.take, fresh: func() *parts { return &parts{} }}
	if err := p.run(); err != nil {
		return err
	}
	if !r.began {
		return fmt.Errorf("%s: the file is empty; a header row is needed", in.name)
	}
	return nil
}

// begin reads the header out of the first block, and makes the columns of the
// first file, or matches those of later files with them.
func (r *csvReader) begin(b *block) (rest int, err error) {
	if r.dialect.Delimiter == 0 {
		r.dialect.Delimiter = sniff(b.data, r.dialect.quote())
	}
	var header []string
	s := scanner{delimiter: r.dialect.Delimiter, quote: r.dialect.quote()}
	start := 0
	for start < len(b.data) && len(header) == 0 {
		end, err := s.row(b.data, start, func(_ int, field []byte) error {
			header = append(header, string(field))
			return nil
		})
		if err != nil {
			return 0, b.line(r.name, err)
		}
		rest, start = end, end
	}
	if len(header) == 0 {
		return rest, nil
	}
	r.began = true
	line := b.first + bytes.Count(b.data[:max(rest-1, 0)], []byte{'\n'})
	names := header
	if r.dialect.NoHeader {
		names, rest = make([]string, len(header)), 0
		for i := range names {
			names[i] = strconv.Itoa(i)
		}
	}
	if r.dialect.Names != nil {
		if len(r.dialect.Names) != len(header) {
			return 0, fmt.Errorf("%s:%d: %d names were declared, the first row has %d fields", r.name, line, len(r.dialect.Names), len(header))
		}
		names = r.dialect.Names
	}
	seen := make(map[string]int, len(names))
	for i, h := range names {
		if !utf8.ValidString(h) {
			return 0, fmt.Errorf("%s:%d: the name of column %d is not valid UTF-8; save the file as UTF-8, or declare its encoding", r.name, line, i+1)
		}
		if j, dup := seen[h]; dup {
			return 0, fmt.Errorf("%s:%d: columns %d and %d are both named %q", r.name, line, j+1, i+1, h)
		}
		seen[h] = i
	}
	return rest, r.match(names)
}

// match finds the column of each name.
func (r *csvReader) match(names []string) error {
	if err := r.assembler.declare(r.name, names, r.opts); err != nil {
		return err
	}
	r.columns = make([]*growing, len(names))
	r.expect = make([]atomic.Int32, len(names))
	for i, name := range names {
		g := r.assembler.column(name)
		if g == nil || g.broken {
			r.expect[i].Store(expectSkip)
			continue
		}
		r.columns[i] = g
		r.expect[i].Store(int32(g.kind))
	}
	return nil
}

// parse turns a block into cells.
func (r *csvReader) parse(b *block) error {
	data := b.data
	from := 0
	if !r.began { // only the first block comes here before the others start
		rest, err := r.begin(b)
		if err != nil {
			return err
		}
		from = rest
	}
	b.parts.rows = 0
	if !r.began {
		return nil
	}
	if b.parts.cells == nil || len(b.parts.cells) != len(r.columns) {
		b.parts.cells = make([]*cells, len(r.columns))
	}
	live := make([]*cells, len(r.columns))
	room := bytes.Count(data[from:], []byte{'\n'}) + 1
	for i, g := range r.columns {
		kind := r.expect[i].Load()
		if g == nil || kind == expectSkip {
			b.parts.cells[i] = nil
			continue
		}
		c := b.parts.cells[i]
		if c == nil {
			c = &cells{piece: newPiece(r.seed)}
			b.parts.cells[i] = c
		}
		c.spellings, c.point, c.fixed = r.assembler.spellings, r.dialect.point(), g.fixed
		c.reset(Kind(kind))
		c.room = room
		c.grow(room)
		live[i] = c
	}
	s := scanner{delimiter: r.dialect.Delimiter, quote: r.dialect.quote()}
	rows, err := s.rows(data, from, live)
	if err != nil {
		return r.named(b, err)
	}
	b.parts.rows = rows
	again := false
	for i, c := range live {
		switch {
		case c == nil || !c.broken:
			live[i] = nil
		default: // as text, while the block is at hand
			c.reset(Text)
			again = true
		}
	}
	if again {
		if _, err := s.rows(data, from, live); err != nil {
			return r.named(b, err)
		}
	}
	return nil
}

// named adds the file, the line and the column to an error.
func (r *csvReader) named(b *block, err error) error {
	if f := (*cellFault)(nil); errors.As(err, &f) {
		return b.line(r.name, &fault{f.at, fmt.Errorf("column %q: %w", r.columns[f.column].name, f.err)})
	}
	return b.line(r.name, err)
}

// take adds the cells of a block to the table.
func (r *csvReader) take(b *block) error {
	n := b.parts.rows
	if n == 0 {
		return nil
	}
	first := r.assembler.rows == 0
	keep, err := r.assembler.advance(n)
	if err != nil {
		return err
	}
	for i, g := range r.columns {
		c := b.parts.cells[i]
		if g == nil || g.broken || c == nil {
			continue
		}
		if first && r.size > 0 && r.assembler.selection == nil {
			g.kind = c.kind
			g.reserve(int(float64(r.size) / float64(len(b.data)) * float64(n) * 1.03))
		} else if first && r.assembler.selection != nil {
			g.kind = c.kind
			g.reserve(r.assembler.selection.Kept())
		}
		if !g.take(&c.piece, keep) {
			g.drop()
			r.expect[i].Store(expectSkip)
			continue
		}
		r.expect[i].Store(int32(g.kind))
	}
	return nil
}

// declare makes the columns of the first file of a table, and compares those
// of later files with them.
func (a *assembler) declare(name string, names []string, opts Options) error {
	if a.columns != nil {
		return a.sameColumns(name, names)
	}
	if err := declaredColumns(name, names, opts.Types); err != nil {
		return err
	}
	for _, n := range names {
		if opts.only != nil && !opts.only[n] {
			continue
		}
		kind, fixed := opts.Types[n]
		if kind == Time || opts.only != nil {
			kind = Text // times are parsed once the whole column is known
		}
		a.add(n, kind, fixed)
	}
	a.names = slices.Clone(names)
	return nil
}

// rowFields are what a row that ends early or late is told.
func rowFields(got, want int) error {
	return fmt.Errorf("this row has %d fields, the header has %d", got, want)
}
