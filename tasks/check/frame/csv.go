package frame

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"aloft/tasks/check/nearest"
)

// Options say how a CSV file is read. The zero value treats only empty fields
// as missing and infers every column's type.
type Options struct {
	// NA lists the spellings of a missing value besides the empty field.
	NA []string
	// Types fixes the type of columns that inference would get wrong.
	Types map[string]Kind
	// Name replaces the file's path in messages when not empty.
	Name string
}

// maxSpellings bounds Options.NA: spellings are kept as one byte per cell.
const maxSpellings = 250

// ReadCSV reads a CSV file with a header row: UTF-8, commas, RFC 4180 quotes;
// a file that begins like gzip is unpacked. A column is int64 if every field
// is an integer, float64 if every field that is not missing is a number, bool
// if all are True or False, else text. An int64 column with missing cells
// becomes float64. Errors name the file and the line.
func ReadCSV(path string, opts Options) (*Table, error) {
	if opts.Name == "" {
		opts.Name = path
	}
	return readTwice(func() (io.ReadCloser, error) { return os.Open(path) }, opts)
}

// ParseCSV reads a table from memory under the rules of ReadCSV.
func ParseCSV(src []byte, opts Options) (*Table, error) {
	return readTwice(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(src)), nil }, opts)
}

// readTwice reads the file once with the types guessed from each column's
// first field, and once more only when a guess turned out wrong: a number
// that was already parsed has lost the spelling that text needs ("007").
func readTwice(open func() (io.ReadCloser, error), opts Options) (*Table, error) {
	if len(opts.NA) > maxSpellings {
		return nil, fmt.Errorf("%s: %d spellings of a missing value are declared, at most %d are possible", opts.Name, len(opts.NA), maxSpellings)
	}
	t, wrong, err := readOnce(open, opts, nil)
	if err != nil {
		return nil, err
	}
	if len(wrong) == 0 {
		return t.withTimes(opts.Types)
	}
	again, _, err := readOnce(open, opts, wrong)
	if err != nil {
		return nil, err
	}
	if again.rows != t.rows {
		return nil, fmt.Errorf("%s: the file changed while it was being read", opts.Name)
	}
	for _, c := range again.columns {
		if wrong[c.name] {
			t.replace(c)
		}
	}
	return t.withTimes(opts.Types)
}

// readOnce reads all columns, or with only set just those, as text. It
// returns the names of the columns whose guessed type did not hold.
func readOnce(open func() (io.ReadCloser, error), opts Options, only map[string]bool) (*Table, map[string]bool, error) {
	name := opts.Name
	f, err := open()
	if err != nil {
		return nil, nil, fmt.Errorf("read table: %w", err)
	}
	defer f.Close()
	in, err := unpack(f)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", name, err)
	}
	r := csv.NewReader(in)
	r.ReuseRecord = true
	header, err := r.Read()
	if errors.Is(err, io.EOF) {
		return nil, nil, fmt.Errorf("%s: the file is empty; a header row is needed", name)
	}
	if err != nil {
		return nil, nil, csvError(name, err)
	}
	builders, err := newBuilders(name, header, opts, only)
	if err != nil {
		return nil, nil, err
	}
	width := len(header)
	for {
		record, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil && !errors.Is(err, csv.ErrFieldCount) {
			return nil, nil, csvError(name, err)
		}
		if len(record) != width {
			line, _ := r.FieldPos(0)
			return nil, nil, fmt.Errorf("%s:%d: this row has %d fields, the header has %d", name, line, len(record), width)
		}
		for i, b := range builders {
			if b == nil {
				continue
			}
			if err := b.add(record[i]); err != nil {
				line, _ := r.FieldPos(i)
				return nil, nil, fmt.Errorf("%s:%d: column %q: %w", name, line, b.name, err)
			}
		}
	}
	wrong := make(map[string]bool)
	var columns []*Column
	for _, b := range builders {
		if b == nil {
			continue
		}
		c, ok := b.finish()
		if !ok {
			wrong[b.name] = true
		}
		columns = append(columns, c)
	}
	t, err := NewTable(name, columns...)
	return t, wrong, err
}

func newBuilders(name string, header []string, opts Options, only map[string]bool) ([]*builder, error) {
	names := slices.Clone(header)
	for i, h := range names {
		if !utf8.ValidString(h) {
			return nil, fmt.Errorf("%s:1: the name of column %d is not valid UTF-8", name, i+1)
		}
		if j := slices.Index(names[:i], h); j >= 0 {
			return nil, fmt.Errorf("%s:1: columns %d and %d are both named %q", name, j+1, i+1, h)
		}
	}
	var unknown []error
	for _, want := range sortedKeys(opts.Types) {
		if !slices.Contains(names, want) {
			unknown = append(unknown, fmt.Errorf("%s has no column %q%s", name, want, nearest.Hint(want, names)))
		}
	}
	if len(unknown) > 0 {
		return nil, errors.Join(unknown...)
	}
	spellings := append([]string{""}, slices.DeleteFunc(slices.Clone(opts.NA), func(s string) bool { return s == "" })...)
	builders := make([]*builder, len(names))
	for i, h := range names {
		h = strings.Clone(h)
		if only != nil && !only[h] {
			continue
		}
		b := &builder{name: h, spellings: spellings}
		if kind, ok := opts.Types[h]; ok {
			b.kind, b.fixed = kind, true
		}
		if only != nil {
			b.kind = Text
		}
		if b.kind == Time {
			b.kind = Text // parsed once the whole column is known
		}
		builders[i] = b
	}
	return builders, nil
}

func unpack(f io.Reader) (io.Reader, error) {
	buffered := bufio.NewReaderSize(f, 1<<18)
	if head, err := buffered.Peek(2); err == nil && head[0] == 0x1f && head[1] == 0x8b {
		z, err := gzip.NewReader(buffered)
		if err != nil {
			return nil, fmt.Errorf("unpack gzip: %w", err)
		}
		buffered = bufio.NewReaderSize(z, 1<<18)
	}
	if bom, err := buffered.Peek(3); err == nil && string(bom) == "\xef\xbb\xbf" {
		if _, err := buffered.Discard(3); err != nil {
			return nil, fmt.Errorf("read: %w", err)
		}
	}
	return buffered, nil
}

func csvError(name string, err error) error {
	if p := (*csv.ParseError)(nil); errors.As(err, &p) {
		return fmt.Errorf("%s:%d:%d: %w", name, p.Line, p.Column, p.Err)
	}
	return fmt.Errorf("%s: %w", name, err)
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
