package frame

import (
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"math"
	"runtime"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/ipc"
)

// arrowReader reads the Arrow IPC files or streams of one table.
type arrowReader struct {
	assembler *assembler
	opts      Options
	seed      maphash.Seed
	form      fileForm
}

// records hands the schema and then each record batch of a file on. An Arrow
// file is read as the stream that it holds.
func records(in input, form fileForm, begin func(*arrow.Schema) error, take func(arrow.RecordBatch) error) error {
	s, err := in.unpack()
	if err != nil {
		return err
	}
	defer s.Close()
	const magic = 8 // bytes before the stream in a file
	if form == formatArrow {
		if _, err := s.Discard(magic); err != nil {
			return fmt.Errorf("%s: %w", in.name, err)
		}
	}
	mem := newBounded(math.MaxInt64)
	if info, err := s.size(); err == nil && s.packed == "" {
		mem = newBounded(info)
	}
	return guard(in.name, func() error {
		r, err := ipc.NewReaderFromMessageReader(&messages{r: s.Reader}, ipc.WithAllocator(mem))
		if err != nil {
			return fmt.Errorf("%s: %w", in.name, err)
		}
		defer r.Release()
		if err := begin(r.Schema()); err != nil {
			return err
		}
		for r.Next() {
			if err := take(r.RecordBatch()); err != nil {
				return err
			}
		}
		if err := r.Err(); err != nil {
			return fmt.Errorf("%s: %w", in.name, err)
		}
		return nil
	})
}

// countArrow counts the rows of all record batches.
func countArrow(in input, form fileForm) (int, error) {
	total := int64(0)
	err := records(in, form, func(*arrow.Schema) error { return nil }, func(rec arrow.RecordBatch) error {
		if total += rec.NumRows(); rec.NumRows() < 0 || total > math.MaxInt32 {
			return fmt.Errorf("%s: more than %d rows", in.name, math.MaxInt32)
		}
		return nil
	})
	return int(total), err
}

func (r *arrowReader) file(in input) error {
	a := r.assembler
	var columns []*growing
	var pieces []piece
	var positions []int
	begin := func(s *arrow.Schema) error {
		var names []string
		index := pandasIndex()
		for i, f := range s.Fields() {
			if !index.MatchString(f.Name) {
				names, positions = append(names, f.Name), append(positions, i)
			}
		}
		if err := a.typed(in.name, names, r.opts); err != nil {
			return err
		}
		for _, n := range names {
			columns, pieces = append(columns, a.column(n)), append(pieces, newPiece(r.seed))
		}
		return nil
	}
	return records(in, r.form, begin, func(rec arrow.RecordBatch) error {
		n := rec.NumRows()
		if n < 0 || n > math.MaxInt32 {
			return errors.New("the file is damaged: a batch of " + fmt.Sprint(n) + " rows")
		}
		first := a.rows
		keep, err := a.advance(int(n))
		if err != nil {
			return err
		}
		return parallel(len(columns), runtime.GOMAXPROCS(0), func(i int) error {
			return guard(in.name, func() error {
				g, p := columns[i], &pieces[i]
				values := rec.Column(positions[i])
				if values.Len() != int(n) {
					return fmt.Errorf("%s: the file is damaged: column %q has %d of %d rows", in.name, g.name, values.Len(), n)
				}
				if err := p.array(values, a.spellings); err != nil {
					return fmt.Errorf("%s: column %q, row %d: %w", in.name, g.name, first+p.n, err)
				}
				if !g.take(p, keep) {
					return disagree(in.name, g, p)
				}
				return nil
			})
		})
	})
}

// Stream hands the schema and then each record batch of an Arrow stream on as
// it comes; both are valid until the function returns. Name names the stream
// in errors. It ends with the stream, and no stream that is damaged makes it
// crash or take memory that was not sent.
func Stream(r io.Reader, name string, begin func(*arrow.Schema) error, take func(arrow.RecordBatch) error) error {
	return guard(name, func() error {
		s, err := ipc.NewReaderFromMessageReader(&messages{r: r, reuse: true}, ipc.WithAllocator(newBounded(allocationMost)))
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		defer s.Release()
		if err := begin(s.Schema()); err != nil {
			return err
		}
		for s.Next() {
			if err := take(s.RecordBatch()); err != nil {
				return err
			}
		}
		if err := s.Err(); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		return nil
	})
}
