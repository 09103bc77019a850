package text

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"strings"
)

// maxNumbers bounds the numbers of a matrix.
const maxNumbers = 1 << 31

// npyMagic begins a file of numpy.
const npyMagic = "\x93NUMPY"

// ReadMatrix reads the rows of a matrix in numpy's form npy: two dimensions of
// float16, float32 or float64, little endian.
func ReadMatrix(path string) ([][]float32, error) {
	src, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read embeddings: %w", err)
	}
	out, err := ParseMatrix(src)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return out, nil
}

// ParseMatrix is ReadMatrix of bytes.
func ParseMatrix(src []byte) ([][]float32, error) {
	header, data, err := npyHeader(src)
	if err != nil {
		return nil, err
	}
	kind, fortran, rows, cols, err := npyShape(header)
	if err != nil {
		return nil, err
	}
	size := map[string]int{"<f2": 2, "<f4": 4, "<f8": 8}[kind]
	if size == 0 {
		return nil, fmt.Errorf("the matrix holds numbers of the type %s; known are float16, float32 and float64, little endian: save it with .astype(\"float32\")", strconv.Quote(kind))
	}
	if cols > 0 && rows > maxNumbers/cols {
		return nil, fmt.Errorf("the matrix of %d rows and %d columns is too large", rows, cols)
	}
	if want := rows * cols * size; len(data) != want {
		return nil, fmt.Errorf("the matrix of %d rows and %d columns needs %d bytes, the file has %d", rows, cols, want, len(data))
	}
	all := make([]float32, rows*cols)
	out := make([][]float32, rows)
	for i := range out {
		out[i] = all[i*cols : (i+1)*cols]
	}
	for at := range all {
		i, j := at/max(cols, 1), at%max(cols, 1)
		if fortran {
			i, j = at%rows, at/rows
		}
		v := number(data[at*size:], size)
		if f := float64(v); math.IsNaN(f) || math.IsInf(f, 0) {
			return nil, fmt.Errorf("row %d of the matrix holds %v: embeddings must be finite numbers", i, v)
		}
		out[i][j] = v
	}
	return out, nil
}

// npyHeader splits the header off the numbers.
func npyHeader(src []byte) (header string, data []byte, err error) {
	r := bytes.NewReader(src)
	var head [8]byte
	if _, err := io.ReadFull(r, head[:]); err != nil || string(head[:6]) != npyMagic {
		return "", nil, fmt.Errorf("it is no file of numpy: save the embeddings with numpy.save")
	}
	var length uint32
	if head[6] == 1 {
		var short uint16
		err = binary.Read(r, binary.LittleEndian, &short)
		length = uint32(short)
	} else {
		err = binary.Read(r, binary.LittleEndian, &length)
	}
	if err != nil || int64(length) > int64(r.Len()) {
		return "", nil, fmt.Errorf("the file ends within its header")
	}
	from := len(src) - r.Len()
	return string(src[from : from+int(length)]), src[from+int(length):], nil
}

// npyShape reads what the header says: a Python dict in one line.
func npyShape(header string) (kind string, fortran bool, rows, cols int, err error) {
	after := func(key string) string {
		_, rest, _ := strings.Cut(header, "'"+key+"'")
		_, rest, _ = strings.Cut(rest, ":")
		return strings.TrimSpace(rest)
	}
	if rest := after("descr"); strings.HasPrefix(rest, "'") {
		kind, _, _ = strings.Cut(rest[1:], "'")
	}
	fortran = strings.HasPrefix(after("fortran_order"), "True")
	shape := after("shape")
	end := strings.IndexByte(shape, ')')
	if !strings.HasPrefix(shape, "(") || end < 0 {
		return "", false, 0, 0, fmt.Errorf("the header of the file names no shape")
	}
	var dims []int
	for part := range strings.SplitSeq(shape[1:end], ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		n, err := strconv.Atoi(part)
		if err != nil || n < 0 {
			return "", false, 0, 0, fmt.Errorf("the header of the file has the shape %s", short(shape))
		}
		dims = append(dims, n)
	}
	if len(dims) != 2 {
		return "", false, 0, 0, fmt.Errorf("embeddings need two dimensions, a row for each text; the matrix has %d", len(dims))
	}
	return kind, fortran, dims[0], dims[1], nil
}

// number reads a little endian number of a size.
func number(b []byte, size int) float32 {
	switch size {
	case 2:
		return half(binary.LittleEndian.Uint16(b))
	case 4:
		return math.Float32frombits(binary.LittleEndian.Uint32(b))
	}
	return float32(math.Float64frombits(binary.LittleEndian.Uint64(b)))
}

// half converts an IEEE 754 number of 16 bits.
func half(b uint16) float32 {
	sign, exponent, fraction := float64(1), int(b>>10&0x1f), float64(b&0x3ff)
	if b&0x8000 != 0 {
		sign = -1
	}
	switch exponent {
	case 0:
		return float32(sign * math.Ldexp(fraction, -24))
	case 0x1f:
		if fraction != 0 {
			return float32(math.NaN())
		}
		return float32(math.Inf(int(sign)))
	}
	return float32(sign * math.Ldexp(1+fraction/1024, exponent-15))
}
