package frame

import (
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"math"
	"runtime"

	"github.com/apache/arrow-go/v18/parquet"
	pq "github.com/apache/arrow-go/v18/parquet/file"
)

// parquetReader reads the Parquet files of one table, column by column.
type parquetReader struct {
	assembler *assembler
	opts      Options
	seed      maphash.Seed
}

// openParquet reads the metadata of a file and hands it to f.
func openParquet(in input, f func(*pq.Reader) error) error {
	handle, err := in.open()
	if err != nil {
		return fmt.Errorf("read table: %w", err)
	}
	defer handle.Close()
	return guard(in.name, func() error {
		size, err := handle.Seek(0, io.SeekEnd)
		if err != nil {
			return fmt.Errorf("%s: %w", in.name, err)
		}
		props := parquet.NewReaderProperties(newBounded(size))
		props.BufferedStreamEnabled, props.BufferSize = true, 1<<18
		r, err := pq.NewParquetReader(handle, pq.WithReadProps(props))
		if err != nil {
			return fmt.Errorf("%s: %w", in.name, err)
		}
		total := int64(0)
		for i := range r.NumRowGroups() {
			n := r.RowGroup(i).NumRows()
			if n < 0 || n > math.MaxInt32 {
				return fmt.Errorf("%s: the file is damaged: a row group of %d rows", in.name, n)
			}
			total += n
		}
		if total > math.MaxInt32 {
			return fmt.Errorf("%s: more than %d rows", in.name, math.MaxInt32)
		}
		return f(r)
	})
}

// countParquet returns the number of rows that the metadata tell.
func countParquet(in input) (int, error) {
	total := 0
	err := openParquet(in, func(r *pq.Reader) error {
		for i := range r.NumRowGroups() {
			total += int(r.RowGroup(i).NumRows())
		}
		return nil
	})
	return total, err
}

func (r *parquetReader) file(in input) error {
	return openParquet(in, func(f *pq.Reader) error {
		a := r.assembler
		var columns []*parquetColumn
		var names []string
		index := pandasIndex()
		for i := range f.MetaData().Schema.NumColumns() {
			c := f.MetaData().Schema.Column(i)
			if index.MatchString(c.Path()) {
				continue
			}
			k, err := newParquetColumn(c, i)
			if err != nil {
				return fmt.Errorf("%s: %w", in.name, err)
			}
			k.spellings, k.piece = a.spellings, newPiece(r.seed)
			names, columns = append(names, c.Name()), append(columns, k)
		}
		if err := a.typed(in.name, names, r.opts); err != nil {
			return err
		}
		rows := 0
		for i := range f.NumRowGroups() {
			rows += int(f.RowGroup(i).NumRows())
		}
		first := a.rows
		a.rows += rows
		if a.selection == nil && a.limit > 0 && a.rows > a.limit {
			return errTooMany
		}
		if a.selection != nil && a.rows > a.selection.total {
			return fmt.Errorf("%s: the file changed while it was being read", in.name)
		}
		return parallel(len(columns), runtime.GOMAXPROCS(0), func(i int) error {
			return guard(in.name, func() error { return r.column(f, in.name, columns[i], first, rows) })
		})
	})
}

// column reads one column of all row groups.
func (r *parquetReader) column(f *pq.Reader, name string, k *parquetColumn, first, rows int) error {
	a := r.assembler
	g := a.column(k.descr.Name())
	if g.kind == Null {
		g.kind = k.kind
	}
	if a.selection == nil && len(a.columns) > 0 && r.assembler.rows == rows {
		g.reserve(rows)
	} else if a.selection != nil && g.n == 0 {
		g.reserve(a.selection.Kept())
	}
	var keep []int32
	for i := range f.NumRowGroups() {
		group := f.RowGroup(i)
		reader, err := group.GetColumnPageReader(k.position)
		if err != nil {
			return fmt.Errorf("%s: column %q: %w", name, g.name, err)
		}
		want := int(group.NumRows())
		p := &pages{PageReader: reader, rows: int64(want), descr: k.descr}
		k.open(p, newBounded(math.MaxInt64), f.BufferPool())
		for done := 0; done < want; {
			n, err := k.next(min(batchRows, want-done))
			if err == nil && p.err != nil {
				err = p.err
			}
			if err == nil && n == 0 {
				err = errors.New("it ends too early")
			}
			if err != nil {
				return fmt.Errorf("%s: column %q, row %d: %w", name, g.name, first+done+k.piece.n, err)
			}
			keep = a.selection.within(first+done, n, keep)
			if !g.take(&k.piece, keep) {
				return disagree(name, g, &k.piece)
			}
			done += n
		}
		first += want
	}
	return nil
}

// batchRows is the number of rows decoded at a time.
const batchRows = 1 << 14

// pages hands out the pages of one column of a row group. Cells of text lie in
// the page's memory, so that a batch must end with the page: hold says so. It
// refuses pages that tell of more values than they can hold.
type pages struct {
	pq.PageReader
	rows  int64
	descr interface{ PhysicalType() parquet.Type }
	hold  bool
	err   error
}

// Next moves to the next page.
func (p *pages) Next() bool {
	if p.hold || p.err != nil || !p.PageReader.Next() {
		return false
	}
	page := p.Page()
	n := int64(page.NumValues())
	if _, ok := page.(*pq.DictionaryPage); ok {
		width := int64(4)
		switch p.descr.PhysicalType() {
		case parquet.Types.Int64, parquet.Types.Double:
			width = 8
		case parquet.Types.Int96:
			width = 12
		case parquet.Types.FixedLenByteArray:
			width = 1
		case parquet.Types.Boolean:
			width = 0
		}
		if n < 0 || n*width > int64(len(page.Data())) {
			p.err = errors.New("the file is damaged: a dictionary is shorter than it says")
			return false
		}
		return true
	}
	if n < 0 || n > p.rows {
		p.err = errors.New("the file is damaged: a page holds more values than the row group has rows")
		return false
	}
	return true
}

// Err returns what went wrong.
func (p *pages) Err() error {
	if p.err != nil {
		return p.err
	}
	return p.PageReader.Err()
}
