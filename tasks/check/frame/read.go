package frame

import (
	"cmp"
	"errors"
	"fmt"
	"hash/maphash"
	"slices"

	"aloft/tasks/check/nearest"
)

// Options say how a table is read. The zero value treats only empty fields as
// missing and infers every column's type.
type Options struct {
	// NA lists the spellings of a missing value besides the empty field.
	NA []string
	// Types fixes the type of columns that inference would get wrong.
	Types map[string]Kind
	// Name is what the table is called in messages; "" takes the first file's.
	Name string
	// CSV is the dialect of CSV files.
	CSV Dialect
	// MaxRows is the number of rows above which only those that Select
	// returns are kept; 0 keeps all.
	MaxRows int
	// Select chooses the rows of a table with more than MaxRows; nil means
	// that all are needed. It is told the number of rows.
	Select func(total int) *Selection

	// Lists keeps a list in a cell of JSON lines as the text that it is there.
	Lists bool

	only map[string]bool // read these columns alone, as text
}

// maxSpellings bounds Options.NA: spellings are kept as one byte per cell.
const maxSpellings = 250

// File is one file of a table.
type File struct {
	Path string
	Name string // in messages; "" takes the path
}

// Read reads the files as one table, one below the other. Their content tells
// the form: CSV, JSON lines, Parquet or Arrow IPC; CSV, JSON lines and Arrow
// streams may be packed with gzip or zstd. All must have one form and the same
// columns.
//
// In CSV and JSON lines, a column is int64 if every field is an integer,
// float64 if every field that is not missing is a number, bool if all are True
// or False, else text. Of typed files, numbers become int64 or float64, and
// dates and timestamps times. An int64 column with missing cells becomes
// float64. Errors name the file and, in text, the line.
func Read(files []File, opts Options) (*Table, error) {
	if len(files) == 0 {
		return nil, errors.New("no file to read")
	}
	inputs := make([]input, len(files))
	for i, f := range files {
		inputs[i] = fileInput(f.Path, cmp.Or(f.Name, f.Path))
	}
	return readInputs(inputs, opts)
}

// Parse reads a table in any form from memory under the rules of Read.
func Parse(src []byte, opts Options) (*Table, error) {
	return readInputs([]input{memoryInput(opts.Name, src)}, opts)
}

func readInputs(inputs []input, opts Options) (*Table, error) {
	if opts.Name == "" {
		opts.Name = inputs[0].name
		if more := len(inputs) - 1; more > 0 {
			opts.Name += fmt.Sprintf(" and %d more", more)
		}
	}
	form, err := inputs[0].detect()
	if err != nil {
		return nil, err
	}
	for _, in := range inputs[1:] {
		other, err := in.detect()
		if err != nil {
			return nil, err
		}
		if other != form {
			return nil, fmt.Errorf("%s is %s, %s is %s: the files of one table must have one form", inputs[0].name, form, in.name, other)
		}
	}
	return read(inputs, form, opts)
}

// read reads a table as a whole; only when it turns out to have more rows
// than are kept are they counted, and the chosen ones read.
func read(inputs []input, form fileForm, opts Options) (*Table, error) {
	if len(opts.NA) > maxSpellings {
		return nil, fmt.Errorf("%s: %d spellings of a missing value are declared, at most %d are possible", opts.Name, len(opts.NA), maxSpellings)
	}
	r := &reading{inputs: inputs, form: form, opts: opts, seed: maphash.MakeSeed()}
	if opts.Select != nil {
		r.limit = opts.MaxRows
	}
	t, err := r.table()
	if !errors.Is(err, errTooMany) {
		return t, err
	}
	total, err := r.total()
	if err != nil {
		return nil, err
	}
	r.limit, r.selection = 0, opts.Select(total)
	return r.table()
}

// reading is the reading of one table.
type reading struct {
	inputs    []input
	form      fileForm
	opts      Options
	seed      maphash.Seed
	limit     int
	selection *Selection
}

// table reads all files with the types guessed, and once more those columns
// whose guess turned out wrong: a number that was already parsed has lost the
// spelling that text needs ("007").
func (r *reading) table() (*Table, error) {
	a, err := r.assemble(nil)
	if err != nil {
		return nil, err
	}
	wrong := make(map[string]bool)
	for _, g := range a.columns {
		if g.broken {
			wrong[g.name] = true
		}
	}
	if len(wrong) > 0 {
		again, err := r.assemble(wrong)
		if err != nil {
			return nil, err
		}
		if again.rows != a.rows {
			return nil, fmt.Errorf("%s: the file changed while it was being read", r.opts.Name)
		}
		for _, g := range again.columns {
			a.columns[a.index[g.name]] = g
		}
	}
	if r.selection != nil && a.rows != r.selection.total {
		return nil, fmt.Errorf("%s: the file changed while it was being read", r.opts.Name)
	}
	t, err := a.table()
	if err != nil {
		return nil, err
	}
	if r.form != formatCSV && r.form != formatJSON {
		if err := t.cast(r.opts.Types); err != nil {
			return nil, err
		}
	}
	return t.withTimes(r.opts.Types)
}

func (r *reading) assemble(only map[string]bool) (*assembler, error) {
	spellings := append([]string{""}, slices.DeleteFunc(slices.Clone(r.opts.NA), func(s string) bool { return s == "" })...)
	a := &assembler{name: r.opts.Name, index: make(map[string]int), spellings: spellings, limit: r.limit, selection: r.selection}
	opts := r.opts
	opts.only = only
	var file func(input) error
	switch r.form {
	case formatCSV:
		file = (&csvReader{assembler: a, opts: opts, seed: r.seed}).file
	case formatJSON:
		file = (&jsonReader{assembler: a, opts: opts, seed: r.seed}).file
	case formatParquet:
		file = (&parquetReader{assembler: a, opts: opts, seed: r.seed}).file
	default:
		file = (&arrowReader{assembler: a, opts: opts, seed: r.seed, form: r.form}).file
	}
	for _, in := range r.inputs {
		if err := file(in); err != nil {
			return nil, err
		}
	}
	return a, nil
}

// total counts the rows of all files.
func (r *reading) total() (int, error) {
	total := 0
	for _, in := range r.inputs {
		var n int
		var err error
		switch r.form {
		case formatCSV:
			n, err = countCSV(in, r.opts)
		case formatJSON:
			n, err = countLines(in)
		case formatParquet:
			n, err = countParquet(in)
		default:
			n, err = countArrow(in, r.form)
		}
		if err != nil {
			return 0, err
		}
		total += n
	}
	return total, nil
}

// declaredColumns refuses declared types of columns that are not there.
func declaredColumns(table string, names []string, types map[string]Kind) error {
	var unknown []error
	for _, want := range sortedKeys(types) {
		if !slices.Contains(names, want) {
			unknown = append(unknown, fmt.Errorf("%s has no column %q%s", table, want, nearest.Hint(want, names)))
		}
	}
	return errors.Join(unknown...)
}

// sameColumns refuses a file whose columns are not those of the first.
func (a *assembler) sameColumns(name string, names []string) error {
	var faults []error
	set := func(list []string) map[string]bool {
		out := make(map[string]bool, len(list))
		for _, n := range list {
			out[n] = true
		}
		return out
	}
	here, before := set(names), set(a.names)
	for _, n := range a.names {
		if !here[n] {
			faults = append(faults, fmt.Errorf("%s has no column %q, which the files before it have%s", name, n, nearest.Hint(n, names)))
		}
	}
	for _, n := range names {
		if !before[n] {
			faults = append(faults, fmt.Errorf("%s has a column %q, which the files before it do not have%s", name, n, nearest.Hint(n, a.names)))
		}
	}
	const most = 10 // faults told
	return errors.Join(faults[:min(len(faults), most)]...)
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
