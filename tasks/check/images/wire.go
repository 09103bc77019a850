package images

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
)

// wireMagic begins the file form of a set; its last byte is the version.
const wireMagic = "aloftset\x01"

// Write writes the set in a compact form that ReadSet reads.
func (s *Set) Write(w io.Writer) error {
	e := &encoder{w: bufio.NewWriterSize(w, 64<<10)}
	e.bytes([]byte(wireMagic))
	e.text(s.Name)
	e.text(string(s.Task))
	e.count(len(s.Classes))
	for _, class := range sortedClasses(s.Classes) {
		e.int(class)
		e.text(s.Classes[class])
	}
	e.count(len(s.Properties))
	for _, p := range s.Properties {
		e.text(p.Name)
		e.text(string(p.Kind))
	}
	e.count(len(s.Records))
	for i := range s.Records {
		e.record(&s.Records[i])
	}
	e.int(s.Total)
	e.int(s.Batch)
	e.mean(s.Heat)
	e.mean(s.BoxHeat)
	e.count(len(s.Thumbs))
	for i := range s.Records {
		if t, ok := s.Thumbs[i]; ok {
			e.int(i)
			e.int(t.Width)
			e.int(t.Height)
			e.text(t.Type)
			e.float(t.Scale)
			e.text(string(t.Data))
		}
	}
	e.count(len(s.Faults))
	for _, f := range s.Faults {
		e.text(f.ID)
		e.text(f.Message)
	}
	e.text(s.Partial)
	e.int(s.Ranks)
	if e.err == nil {
		e.err = e.w.Flush()
	}
	if e.err != nil {
		return fmt.Errorf("write set of images: %w", e.err)
	}
	return nil
}

func sortedClasses(m map[int]string) []int {
	out := make([]int, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

type encoder struct {
	w   *bufio.Writer
	err error
	buf [binary.MaxVarintLen64]byte
}

func (e *encoder) bytes(b []byte) {
	if e.err == nil {
		_, e.err = e.w.Write(b)
	}
}

func (e *encoder) int(v int)     { e.bytes(e.buf[:binary.PutVarint(e.buf[:], int64(v))]) }
func (e *encoder) count(n int)   { e.bytes(e.buf[:binary.PutUvarint(e.buf[:], uint64(n))]) }
func (e *encoder) text(s string) { e.count(len(s)); e.bytes([]byte(s)) }

func (e *encoder) float(v float64) {
	binary.LittleEndian.PutUint64(e.buf[:], math.Float64bits(v))
	e.bytes(e.buf[:8])
}

func (e *encoder) truth(v bool) {
	if v {
		e.count(1)
		return
	}
	e.count(0)
}

// floats tells nil from empty.
func (e *encoder) floats(list []float64) {
	if list == nil {
		e.count(0)
		return
	}
	e.count(len(list) + 1)
	for _, v := range list {
		e.float(v)
	}
}

func (e *encoder) boxes(list []Box) {
	if list == nil {
		e.count(0)
		return
	}
	e.count(len(list) + 1)
	for _, b := range list {
		e.int(b.Class)
		for _, v := range []float64{b.X, b.Y, b.W, b.H, b.Score} {
			e.float(v)
		}
	}
}

func (e *encoder) areas(list []Area) {
	e.count(len(list))
	for _, a := range list {
		e.int(a.Class)
		e.int(a.Pixels)
	}
}

func (e *encoder) record(r *Record) {
	e.text(r.ID)
	e.int(r.Height)
	e.int(r.Width)
	e.int(r.Channels)
	e.floats(r.Values)
	e.truth(r.HasLabel)
	e.int(r.Class)
	e.boxes(r.Boxes)
	e.areas(r.Areas)
	e.truth(r.HasPrediction)
	e.floats(r.Proba)
	e.boxes(r.Predicted)
	e.areas(r.PredictedArea)
	e.areas(r.Overlaps)
	e.count(len(r.Crops))
	for _, c := range r.Crops {
		e.floats(c)
	}
}

func (e *encoder) mean(m *Mean) {
	e.truth(m != nil)
	if m == nil {
		return
	}
	e.int(m.Height)
	e.int(m.Width)
	e.int(m.Count)
	e.floats(m.Values)
}

// errWire reports a set that is cut off or damaged.
var errWire = errors.New("the set of images is damaged")

// ReadSet reads what Write has written. A set that is damaged is an error;
// memory grows with what is read, not with what is promised.
func ReadSet(r io.Reader) (*Set, error) {
	d := &decoder{r: bufio.NewReaderSize(r, 64<<10)}
	if magic := d.some(len(wireMagic)); string(magic) != wireMagic {
		return nil, fmt.Errorf("read set of images: %w, or of another version", errWire)
	}
	s := &Set{Name: d.text(), Task: Task(d.text())}
	for range d.count() {
		if s.Classes == nil {
			s.Classes = make(map[int]string)
		}
		class := d.int()
		s.Classes[class] = d.text()
		if d.err != nil {
			break
		}
	}
	for range d.count() {
		s.Properties = append(s.Properties, Property{d.text(), PropertyKind(d.text())})
		if d.err != nil {
			break
		}
	}
	for range d.count() {
		s.Records = append(s.Records, d.record())
		if d.err != nil {
			break
		}
	}
	s.Total, s.Batch = d.int(), d.int()
	s.Heat, s.BoxHeat = d.mean(), d.mean()
	for range d.count() {
		if s.Thumbs == nil {
			s.Thumbs = make(map[int]Thumb)
		}
		at := d.int()
		s.Thumbs[at] = Thumb{Width: d.int(), Height: d.int(), Type: d.text(), Scale: d.float(), Data: []byte(d.text())}
		if at < 0 || at >= len(s.Records) {
			d.fail()
		}
		if d.err != nil {
			break
		}
	}
	for range d.count() {
		s.Faults = append(s.Faults, Fault{d.text(), d.text()})
		if d.err != nil {
			break
		}
	}
	s.Partial, s.Ranks = d.text(), d.int()
	for i := range s.Records {
		if v := s.Records[i].Values; v != nil && len(v) != len(s.Properties) {
			d.fail()
		}
	}
	if d.err != nil {
		return nil, fmt.Errorf("read set of images: %w", d.err)
	}
	return s, nil
}

type decoder struct {
	r   *bufio.Reader
	err error
}

func (d *decoder) fail() {
	if d.err == nil {
		d.err = errWire
	}
}

// some reads n bytes, in steps.
func (d *decoder) some(n int) []byte {
	var out []byte
	for d.err == nil && len(out) < n {
		step := min(n-len(out), 1<<20)
		out = append(out, make([]byte, step)...)
		if _, err := io.ReadFull(d.r, out[len(out)-step:]); err != nil {
			d.fail()
		}
	}
	return out
}

func (d *decoder) int() int {
	if d.err != nil {
		return 0
	}
	v, err := binary.ReadVarint(d.r)
	if err != nil {
		d.fail()
	}
	return int(v)
}

// count reads a number of elements; each takes at least a byte.
func (d *decoder) count() int {
	if d.err != nil {
		return 0
	}
	v, err := binary.ReadUvarint(d.r)
	if err != nil || v > 1<<31 {
		d.fail()
		return 0
	}
	return int(v)
}

func (d *decoder) text() string { return string(d.some(d.count())) }

func (d *decoder) float() float64 {
	b := d.some(8)
	if d.err != nil {
		return 0
	}
	return math.Float64frombits(binary.LittleEndian.Uint64(b))
}

func (d *decoder) floats() []float64 {
	n := d.count()
	if n == 0 {
		return nil
	}
	out := []float64{}
	for range n - 1 {
		v := d.float()
		if d.err != nil {
			return nil
		}
		out = append(out, v)
	}
	return out
}

func (d *decoder) boxes() []Box {
	n := d.count()
	if n == 0 {
		return nil
	}
	out := []Box{}
	for range n - 1 {
		b := Box{Class: d.int(), X: d.float(), Y: d.float(), W: d.float(), H: d.float(), Score: d.float()}
		if d.err != nil {
			return nil
		}
		out = append(out, b)
	}
	return out
}

func (d *decoder) areas() []Area {
	var out []Area
	for range d.count() {
		a := Area{d.int(), d.int()}
		if d.err != nil {
			return nil
		}
		out = append(out, a)
	}
	return out
}

func (d *decoder) record() Record {
	r := Record{ID: d.text(), Height: d.int(), Width: d.int(), Channels: d.int(), Values: d.floats()}
	r.HasLabel, r.Class, r.Boxes, r.Areas = d.count() == 1, d.int(), d.boxes(), d.areas()
	r.HasPrediction, r.Proba, r.Predicted, r.PredictedArea, r.Overlaps = d.count() == 1, d.floats(), d.boxes(), d.areas(), d.areas()
	for range d.count() {
		r.Crops = append(r.Crops, d.floats())
		if d.err != nil {
			break
		}
	}
	return r
}

func (d *decoder) mean() *Mean {
	if d.count() != 1 {
		return nil
	}
	m := &Mean{Height: d.int(), Width: d.int(), Count: d.int(), Values: d.floats()}
	if m.Height < 0 || m.Width < 0 || m.Width > 0 && m.Height > MaxPixels/m.Width || len(m.Values) != m.Height*m.Width {
		d.fail()
	}
	return m
}
