package sheet

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
)

func indexByte(b []byte, c byte) int { return bytes.IndexByte(b, c) }

// Problem is a row that was left out.
type Problem struct {
	File string
	Line int
	Text string
}

// String is file:line: what is wrong.
func (p Problem) String() string { return fmt.Sprintf("%s:%d: %s", p.File, p.Line, p.Text) }

// Report is what reading a file came upon.
type Report struct {
	Rows     int       // good ones
	Bad      int       // rows left out
	Problems []Problem // the first of them
}

const maxProblems = 20

// maxWord bounds a name, in bytes; maxAmount a count, a size or a price.
const (
	maxWord   = 200
	maxAmount = 1e9
)

// ErrNotCatalogue is the error for a file that is no catalogue: columns are missing, or no row is good.
var ErrNotCatalogue = errors.New("not a catalogue")

// columns of a vms.csv. Others are ignored.
const (
	colType = iota
	colAccelerator
	colCount
	colCPUs
	colMemory
	colGPUInfo
	colPrice
	colSpot
	colRegion
	colZone
	colArch
	colDate
	numColumns
)

func columnNames() [numColumns]string {
	return [numColumns]string{"InstanceType", "AcceleratorName", "AcceleratorCount", "vCPUs", "MemoryGiB", "GpuInfo",
		"Price", "SpotPrice", "Region", "AvailabilityZone", "Arch", "PriceDate"}
}

// optional columns: a file may lack them.
func optional(c int) bool {
	return c == colGPUInfo || c == colZone || c == colArch || c == colDate || c == colMemory || c == colSpot
}

// Read reads a vms.csv; name is how messages call it. Bad rows are left out and reported; a file that cannot be read on, or
// that is no catalogue, is an error.
func Read(name string, r io.Reader) (*Sheet, Report, error) {
	b := builder{name: name, words: newInterner([]string{""}), types: map[string]uint32{}}
	sc := newScanner(r)
	head, err := sc.record()
	if errors.Is(err, io.EOF) {
		return nil, b.report, fmt.Errorf("%s: %w: it is empty", name, ErrNotCatalogue)
	}
	if err != nil {
		return nil, b.report, fmt.Errorf("%s:%d: %w", name, sc.line, err)
	}
	if err := b.header(head); err != nil {
		return nil, b.report, fmt.Errorf("%s:%d: %w", name, sc.line, err)
	}
	for {
		fields, err := sc.record()
		if errors.Is(err, io.EOF) {
			break
		}
		bad := ""
		switch {
		case errors.Is(err, errRecord):
			bad = err.Error()
		case err != nil:
			return nil, b.report, fmt.Errorf("%s:%d: %w", name, sc.line, err)
		default:
			bad = b.row(fields)
		}
		if bad != "" {
			b.report.Bad++
			if len(b.report.Problems) < maxProblems {
				b.report.Problems = append(b.report.Problems, Problem{File: name, Line: sc.line, Text: bad})
			}
		}
	}
	b.report.Rows = len(b.rows)
	if len(b.rows) == 0 {
		if len(b.report.Problems) > 0 {
			return nil, b.report, fmt.Errorf("%w: no row is good: %s", ErrNotCatalogue, b.report.Problems[0])
		}
		return nil, b.report, fmt.Errorf("%s: %w: it has no rows", name, ErrNotCatalogue)
	}
	return b.sheet(), b.report, nil
}

// builder gathers rows in the order of the file and the types they belong to.
type builder struct {
	name   string
	width  int
	at     [numColumns]int // index of each column; -1 = absent
	words  *interner
	types  map[string]uint32
	list   []Type
	rows   []Row
	owner  []uint32 // type of each row
	key    []byte
	report Report
}

func (b *builder) header(fields [][]byte) error {
	b.width = len(fields)
	fields[0] = bytes.TrimPrefix(fields[0], []byte("\xef\xbb\xbf"))
	var missing []string
	for c, name := range columnNames() {
		b.at[c] = slices.IndexFunc(fields, func(f []byte) bool { return string(f) == name })
		if b.at[c] < 0 && !optional(c) {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("%w: the header lacks the columns %s", ErrNotCatalogue, strings.Join(missing, ", "))
	}
	return nil
}

func (b *builder) field(fields [][]byte, col int) []byte {
	if i := b.at[col]; i >= 0 {
		return fields[i]
	}
	return nil
}

// row takes a record in; it returns what is wrong with it.
func (b *builder) row(fields [][]byte) string {
	if len(fields) != b.width {
		return fmt.Sprintf("%d fields, the header has %d", len(fields), b.width)
	}
	for _, c := range [...]int{colType, colAccelerator, colRegion, colZone, colArch, colDate} {
		if bad := badWord(b.field(fields, c)); bad != "" {
			return columnNames()[c] + " " + bad
		}
	}
	region := b.field(fields, colRegion)
	switch {
	case len(region) == 0:
		return "Region is empty"
	case len(b.field(fields, colType)) == 0 && len(b.field(fields, colAccelerator)) == 0:
		return "both InstanceType and AcceleratorName are empty"
	}
	price, bad := amount(b.field(fields, colPrice), "Price")
	if bad != "" {
		return bad
	}
	spot, bad := amount(b.field(fields, colSpot), "SpotPrice")
	if bad != "" {
		return bad
	}
	id, bad := b.typeOf(fields)
	if bad != "" {
		return bad
	}
	b.rows = append(b.rows, Row{region: b.words.bytes(region), zone: b.words.bytes(b.field(fields, colZone)),
		dated: b.words.bytes(b.field(fields, colDate)), Price: price, Spot: spot})
	b.owner = append(b.owner, id)
	return ""
}

// typeOf finds or makes the type of a record: what its words and numbers say, byte for byte.
func (b *builder) typeOf(fields [][]byte) (uint32, string) {
	b.key = b.key[:0]
	for _, c := range [...]int{colType, colAccelerator, colCount, colCPUs, colMemory, colArch} {
		b.key = append(append(b.key, b.field(fields, c)...), 0)
	}
	if id, ok := b.types[string(b.key)]; ok {
		return id, ""
	}
	t := Type{Name: string(b.field(fields, colType)), Accelerator: string(b.field(fields, colAccelerator)), Arch: string(b.field(fields, colArch)),
		DeviceGB: deviceGB(b.field(fields, colGPUInfo))}
	for _, n := range []struct {
		col  int
		into *float64
	}{{colCount, &t.Count}, {colCPUs, &t.CPUs}, {colMemory, &t.MemoryGB}} {
		v, bad := amount(b.field(fields, n.col), columnNames()[n.col])
		if bad != "" {
			return 0, bad
		}
		if Known(v) {
			*n.into = v
		}
	}
	if t.Accelerator != "" && t.Count == 0 {
		return 0, "AcceleratorCount of " + t.Accelerator + " is not told"
	}
	id := uint32(len(b.list))
	b.list = append(b.list, t)
	b.types[string(b.key)] = id
	return id, ""
}

// sheet sorts the rows by type, keeping the order of the file within one.
func (b *builder) sheet() *Sheet {
	for _, o := range b.owner {
		b.list[o].count++
	}
	at := make([]uint32, len(b.list))
	next := uint32(0)
	for i := range b.list {
		b.list[i].first, at[i] = next, next
		next += b.list[i].count
	}
	rows := make([]Row, len(b.rows))
	for i, r := range b.rows {
		o := b.owner[i]
		rows[at[o]] = r
		at[o]++
	}
	return &Sheet{Types: b.list, rows: rows, words: b.words.words}
}

// amount reads a number that is not negative; empty = unknown.
func amount(f []byte, column string) (float64, string) {
	if len(f) == 0 {
		return math.NaN(), ""
	}
	v, ok := decimal(f)
	if !ok {
		var err error
		if v, err = strconv.ParseFloat(string(f), 64); err != nil {
			return 0, fmt.Sprintf("%s %q is not a number", column, cut(f))
		}
		if math.IsNaN(v) {
			return v, ""
		}
	}
	if v < 0 || v > maxAmount {
		return 0, fmt.Sprintf("%s %q is not between 0 and %g", column, cut(f), maxAmount)
	}
	return v, ""
}

// decimal reads the plain numbers that catalogues are full of, exactly; other forms are left to strconv.
func decimal(f []byte) (float64, bool) {
	if len(f) > 15 {
		return 0, false
	}
	n, scale, dot, digits := uint64(0), 1.0, false, 0
	for _, c := range f {
		switch {
		case c >= '0' && c <= '9':
			n = n*10 + uint64(c-'0')
			digits++
			if dot {
				scale *= 10
			}
		case c == '.' && !dot:
			dot = true
		default:
			return 0, false
		}
	}
	// n < 10^15 and scale <= 10^15 are both exact, so the quotient is rounded once, as strconv does.
	return float64(n) / scale, digits > 0
}

// badWord says what is wrong with a name: names go to terminals and into requests.
func badWord(f []byte) string {
	if len(f) > maxWord {
		return fmt.Sprintf("has %d bytes, at most %d are allowed", len(f), maxWord)
	}
	for _, c := range f {
		if c < ' ' || c == 0x7f {
			return fmt.Sprintf("%q holds a control character", cut(f))
		}
		if c >= 0x80 {
			return fmt.Sprintf("%q is not ASCII", cut(f))
		}
	}
	return ""
}

func cut(f []byte) []byte { return f[:min(len(f), 40)] }

// deviceGB is the memory of one accelerator, from a GpuInfo cell.
func deviceGB(info []byte) float64 {
	_, rest, ok := bytes.Cut(info, []byte("'SizeInMiB': "))
	if !ok {
		return 0
	}
	end := bytes.IndexAny(rest, "},")
	if end < 0 {
		return 0
	}
	v, bad := amount(bytes.TrimSpace(rest[:end]), "")
	if bad != "" || !Known(v) {
		return 0
	}
	return v / 1024
}
