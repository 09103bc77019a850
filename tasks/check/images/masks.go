package images

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/png"
	"io"
	"math"
	"os"
	"regexp"
	"strconv"
	"strings"
)

// ReadMask reads the class of each pixel: a PNG whose values (or numbers of
// its palette) are classes, or a .npy array of whole numbers, height x width,
// or of probabilities, classes x height x width, of which the largest counts.
func ReadMask(path string) (*Mask, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, cause(err)
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, cause(err)
	case !info.Mode().IsRegular():
		return nil, errNoRegular
	case info.Size() > 4*maxFile:
		return nil, fmt.Errorf("the file is larger than %d MiB", 4*maxFile>>20)
	}
	r := bufio.NewReaderSize(f, 64<<10)
	begin, err := r.Peek(6)
	if err != nil {
		return nil, errors.New("the file is cut off")
	}
	if string(begin) == npyMagic {
		return readNpy(r, info.Size())
	}
	return decodeMask(r)
}

// decodeMask reads a mask from a PNG.
func decodeMask(r io.Reader) (*Mask, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxFile))
	if err != nil {
		return nil, cause(err)
	}
	size, err := png.DecodeConfig(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("masks are PNG or .npy files: %w", err)
	}
	if size.Width <= 0 || size.Height <= 0 || size.Height > MaxPixels/size.Width {
		return nil, fmt.Errorf("the mask of %d x %d pixels is larger than %d pixels", size.Height, size.Width, MaxPixels)
	}
	img, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("the PNG file is damaged: %w", err)
	}
	b := img.Bounds()
	m := &Mask{Height: b.Dy(), Width: b.Dx(), Classes: make([]uint16, b.Dy()*b.Dx())}
	at := func(f func(x, y int) uint16) {
		for i := range m.Classes {
			m.Classes[i] = f(b.Min.X+i%m.Width, b.Min.Y+i/m.Width)
		}
	}
	switch p := img.(type) {
	case *image.Gray:
		at(func(x, y int) uint16 { return uint16(p.GrayAt(x, y).Y) })
	case *image.Gray16:
		at(func(x, y int) uint16 { return p.Gray16At(x, y).Y })
	case *image.Paletted:
		at(func(x, y int) uint16 { return uint16(p.ColorIndexAt(x, y)) })
	default:
		return nil, errors.New("the mask is a picture in colours; one in shades of gray or with a palette is needed, whose values are classes")
	}
	return m, nil
}

const npyMagic = "\x93NUMPY"

// npyField finds one entry of the header of a .npy file.
func npyField(header, name string) string {
	m := regexp.MustCompile(`'` + name + `'\s*:\s*('[^']*'|\([^)]*\)|True|False)`).FindStringSubmatch(header)
	if m == nil {
		return ""
	}
	return strings.Trim(m[1], "'()")
}

// readNpy reads a NumPy array file (format 1 to 3, row by row).
func readNpy(r io.Reader, size int64) (*Mask, error) {
	var begin [8]byte
	if _, err := io.ReadFull(r, begin[:]); err != nil || string(begin[:6]) != npyMagic {
		return nil, errors.New("the .npy file is cut off")
	}
	var length uint32
	if begin[6] == 1 {
		var short uint16
		if err := binary.Read(r, binary.LittleEndian, &short); err != nil {
			return nil, errors.New("the .npy file is cut off")
		}
		length = uint32(short)
	} else if err := binary.Read(r, binary.LittleEndian, &length); err != nil {
		return nil, errors.New("the .npy file is cut off")
	}
	if length > 64<<10 {
		return nil, fmt.Errorf("the .npy header of %d bytes is too long", length)
	}
	text := make([]byte, length)
	if _, err := io.ReadFull(r, text); err != nil {
		return nil, errors.New("the .npy file is cut off")
	}
	header := string(text)
	if npyField(header, "fortran_order") == "True" {
		return nil, errors.New("the .npy array is stored column by column: save it with numpy.ascontiguousarray")
	}
	var shape []int
	for part := range strings.SplitSeq(npyField(header, "shape"), ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		n, err := strconv.Atoi(part)
		if err != nil || n <= 0 || n > MaxPixels {
			return nil, fmt.Errorf("the .npy array has the shape (%s)", npyField(header, "shape"))
		}
		shape = append(shape, n)
	}
	kind, err := npyKindOf(npyField(header, "descr"))
	if err != nil {
		return nil, err
	}
	switch {
	case len(shape) == 2 && !kind.real:
		shape = append([]int{1}, shape...)
	case len(shape) == 3 && kind.real:
	default:
		return nil, fmt.Errorf("a mask is an array of whole numbers, height x width, or of probabilities, classes x height x width, not %v of %s", shape, npyField(header, "descr"))
	}
	classes, h, w := shape[0], shape[1], shape[2]
	if h > MaxPixels/w || classes > MaxClasses || int64(classes)*int64(h)*int64(w) > size/int64(kind.size) {
		return nil, fmt.Errorf("the .npy file of %d bytes is too small for its shape %v, or larger than %d pixels", size, shape, MaxPixels)
	}
	m := &Mask{Height: h, Width: w, Classes: make([]uint16, h*w)}
	best := make([]float64, h*w)
	row := make([]byte, w*kind.size)
	for c := range classes {
		for y := range h {
			if _, err := io.ReadFull(r, row); err != nil {
				return nil, errors.New("the .npy file is cut off")
			}
			for x := range w {
				v := kind.at(row[x*kind.size:])
				i := y*w + x
				switch {
				case kind.real:
					if c == 0 || v > best[i] {
						best[i], m.Classes[i] = v, uint16(c)
					}
				case v < 0 || v >= MaxClasses:
					return nil, fmt.Errorf("the mask holds %v; classes go from 0 to %d", v, MaxClasses-1)
				default:
					m.Classes[i] = uint16(v)
				}
			}
		}
	}
	return m, nil
}

// npyKind is a type of the numbers of an array.
type npyKind struct {
	size int
	real bool
	at   func([]byte) float64
}

func npyKindOf(descr string) (npyKind, error) {
	le := binary.LittleEndian
	switch descr {
	case "|u1", "|b1":
		return npyKind{1, false, func(b []byte) float64 { return float64(b[0]) }}, nil
	case "|i1":
		return npyKind{1, false, func(b []byte) float64 { return float64(int8(b[0])) }}, nil
	case "<u2":
		return npyKind{2, false, func(b []byte) float64 { return float64(le.Uint16(b)) }}, nil
	case "<i2":
		return npyKind{2, false, func(b []byte) float64 { return float64(int16(le.Uint16(b))) }}, nil
	case "<u4":
		return npyKind{4, false, func(b []byte) float64 { return float64(le.Uint32(b)) }}, nil
	case "<i4":
		return npyKind{4, false, func(b []byte) float64 { return float64(int32(le.Uint32(b))) }}, nil
	case "<i8", "<u8":
		return npyKind{8, false, func(b []byte) float64 { return float64(int64(le.Uint64(b))) }}, nil
	case "<f4":
		return npyKind{4, true, func(b []byte) float64 { return float64(math.Float32frombits(le.Uint32(b))) }}, nil
	case "<f8":
		return npyKind{8, true, func(b []byte) float64 { return math.Float64frombits(le.Uint64(b)) }}, nil
	}
	return npyKind{}, fmt.Errorf("the .npy array is of type %q; whole numbers, float32 and float64 are read", descr)
}
