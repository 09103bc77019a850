package frame

import (
	"bytes"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"slices"
	"sync"
)

// maxColumns bounds the columns that JSON objects may bring up.
const maxColumns = 100_000

// jsonReader reads the JSON lines files of one table: one object in each
// line. A key that an object lacks is missing there, as null is.
type jsonReader struct {
	assembler *assembler
	opts      Options
	seed      maphash.Seed
	name      string
	mu        sync.RWMutex
	expect    map[string]int32 // see csvReader
	fixed     bool             // the columns are those of the first file
}

func (r *jsonReader) file(in input) error {
	s, err := in.unpack()
	if err != nil {
		return err
	}
	defer s.Close()
	text, err := decoded(s.Reader, "")
	if err != nil {
		return fmt.Errorf("%s: %w", in.name, err)
	}
	r.name = in.name
	if r.expect == nil {
		r.expect = make(map[string]int32)
		for _, name := range sortedKeys(r.opts.Types) {
			if r.opts.only == nil {
				kind := r.opts.Types[name]
				if kind == Time {
					kind = Text
				}
				r.expect[name] = int32(kind)
			}
		}
	}
	p := &pipeline{cutter: newCutter(in.name, text, 0), parse: r.parse, take: r.take, fresh: func() *parts { return &parts{} }}
	if err := p.run(); err != nil {
		return err
	}
	var names []string
	for _, g := range r.assembler.columns {
		names = append(names, g.name)
	}
	if len(names) == 0 && r.opts.only == nil {
		return fmt.Errorf("%s: no object has a key", in.name)
	}
	if r.opts.only == nil && !r.fixed {
		if err := declaredColumns(in.name, names, r.opts.Types); err != nil {
			return err
		}
	}
	if !r.fixed {
		r.assembler.names = names
	}
	r.fixed = true
	return nil
}

// kind returns what to read a column as.
func (r *jsonReader) kind(name string) (kind int32, fixed bool) {
	if r.opts.only != nil {
		if r.opts.only[name] {
			return int32(Text), true
		}
		return expectSkip, false
	}
	_, fixed = r.opts.Types[name]
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.expect[name], fixed
}

func (r *jsonReader) learn(name string, kind int32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.expect[name] = kind
}

// parse turns a block into cells. A column whose guess does not hold is read
// once more as text.
func (r *jsonReader) parse(b *block) error {
	p := b.parts
	p.names, p.cells, p.index = p.names[:0], p.cells[:0], make(map[string]int)
	s := &objectScanner{reader: r, parts: p}
	rows, err := s.lines(b.data)
	if err != nil {
		return b.line(r.name, err)
	}
	again := map[string]bool{}
	for i, c := range p.cells {
		if c != nil && c.broken {
			again[p.names[i]] = true
		}
	}
	p.rows = rows
	if len(again) == 0 {
		return nil
	}
	redo := &objectScanner{reader: r, parts: &parts{index: make(map[string]int)}, texts: again}
	if _, err := redo.lines(b.data); err != nil {
		return b.line(r.name, err)
	}
	for i, name := range redo.parts.names {
		if c := redo.parts.cells[i]; c != nil {
			p.cells[p.index[name]] = c
		}
	}
	return nil
}

func (r *jsonReader) take(b *block) error {
	p := b.parts
	if p.rows == 0 {
		return nil
	}
	a := r.assembler
	for i, name := range p.names {
		if p.cells[i] == nil || a.column(name) != nil {
			continue
		}
		if r.fixed && r.opts.only == nil {
			if err := a.sameColumns(r.name, append(slices.Clone(a.names), name)); err != nil {
				return err
			}
		}
		kind, fixed := r.opts.Types[name]
		if kind == Time || r.opts.only != nil {
			kind = Text
		}
		a.add(name, kind, fixed)
	}
	keep, err := a.advance(p.rows)
	if err != nil {
		return err
	}
	for _, g := range a.columns {
		i, ok := p.index[g.name]
		if !ok || p.cells[i] == nil {
			if !g.broken {
				n := p.rows
				if keep != nil {
					n = len(keep)
				}
				g.absent(n, p.rows)
			}
			continue
		}
		if g.broken {
			continue
		}
		if !g.take(&p.cells[i].piece, keep) {
			g.drop()
			r.learn(g.name, expectSkip)
			continue
		}
		r.learn(g.name, int32(g.kind))
	}
	return nil
}

// countLines counts the lines that are not blank.
func countLines(in input) (int, error) {
	s, err := in.unpack()
	if err != nil {
		return 0, err
	}
	defer s.Close()
	text, err := decoded(s.Reader, "")
	if err != nil {
		return 0, fmt.Errorf("%s: %w", in.name, err)
	}
	return countRows(newCutter(in.name, text, 0), func(data []byte) (int, error) {
		rows := 0
		for line := range bytes.SplitSeq(data, []byte{'\n'}) {
			if len(bytes.TrimLeft(line, " \t\r")) > 0 {
				rows++
			}
		}
		return rows, nil
	})
}

// countCSV counts the rows below the header.
func countCSV(in input, opts Options) (int, error) {
	s, err := in.unpack()
	if err != nil {
		return 0, err
	}
	defer s.Close()
	text, err := decoded(s.Reader, opts.CSV.Encoding)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", in.name, err)
	}
	d := opts.CSV
	c := newCutter(in.name, text, d.quote())
	n, err := countRows(c, func(data []byte) (int, error) {
		if d.Delimiter == 0 {
			d.Delimiter = sniff(data, d.quote())
		}
		return (&scanner{delimiter: d.Delimiter, quote: d.quote()}).count(data)
	})
	if !d.NoHeader {
		n--
	}
	return n, err
}

func countRows(c *cutter, count func([]byte) (int, error)) (int, error) {
	total := 0
	for b := (&block{}); ; {
		if err := c.next(b); err != nil {
			if errors.Is(err, io.EOF) {
				return total, nil
			}
			return 0, err
		}
		n, err := count(b.data)
		if err != nil {
			return 0, b.line(c.name, err)
		}
		total += n
	}
}
