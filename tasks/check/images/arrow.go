package images

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"strings"
	"unsafe"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"aloft/tasks/check/frame"
)

// ReadStream adds the samples of an Arrow stream, as docs/bridge-protocol.md
// describes it, to a builder, batch by batch as they come. Pixels are used
// where the stream put them. The error is ErrEnough once no more are wanted,
// or tells what is wrong with the stream as a whole.
func ReadStream(r io.Reader, name string, b *Builder) error {
	var c columns
	return frame.Stream(r, name, func(s *arrow.Schema) error { return c.find(s) }, func(rec arrow.RecordBatch) error {
		return c.take(rec, b)
	})
}

// columns are the positions of the columns of a stream; -1 for those that it
// has not.
type columns struct {
	id, image, height, width, channels, floats int
	label, boxes, mask                         int
	proba, predictedBoxes, predictedMask       int
	maskHeight, maskWidth                      int
	values, fault                              int
}

func (c *columns) find(s *arrow.Schema) error {
	known := map[string]*int{
		"id": &c.id, "image": &c.image, "height": &c.height, "width": &c.width, "channels": &c.channels, "real": &c.floats,
		"label": &c.label, "boxes": &c.boxes, "mask": &c.mask, "proba": &c.proba, "predicted_boxes": &c.predictedBoxes, "predicted_mask": &c.predictedMask,
		"mask_height": &c.maskHeight, "mask_width": &c.maskWidth, "values": &c.values, "fault": &c.fault,
	}
	for _, at := range known {
		*at = -1
	}
	for i, f := range s.Fields() {
		at, ok := known[f.Name]
		if !ok {
			return fmt.Errorf("the stream of images has the column %q, which the protocol does not know", f.Name)
		}
		*at = i
	}
	return nil
}

// maxBatchRows bounds what a damaged stream can ask for: the number of rows
// stands in a batch's head, apart from the data.
const maxBatchRows = 1 << 20

// take adds the samples of one batch.
func (c *columns) take(rec arrow.RecordBatch, b *Builder) error {
	n := int(rec.NumRows())
	if n < 0 || n > maxBatchRows {
		return fmt.Errorf("a batch of %d rows: batches have 0 to %d", n, maxBatchRows)
	}
	for i := range int(rec.NumCols()) {
		if rec.Column(i).Len() != n {
			return fmt.Errorf("a column of a batch has %d of %d rows", rec.Column(i).Len(), n)
		}
	}
	if b.set.Batch == 0 {
		b.set.Batch = n // the last batch may be smaller
	}
	list := make([]Sample, 0, n)
	for row := range n {
		s, fault, err := c.sample(rec, row, b)
		if err != nil {
			return err
		}
		if fault != "" {
			if err := b.Add(list...); err != nil {
				return err
			}
			list = list[:0]
			id := s.ID
			if id == "" {
				id = fmt.Sprint(b.seen)
			}
			b.Reject(id, fault)
			b.seen++
			continue
		}
		list = append(list, s)
	}
	return b.Add(list...)
}

// sample reads one row; fault tells why it cannot be used.
func (c *columns) sample(rec arrow.RecordBatch, row int, b *Builder) (s Sample, fault string, err error) {
	cell := func(at int) (arrow.Array, bool) {
		if at < 0 || rec.Column(at).IsNull(row) {
			return nil, false
		}
		return rec.Column(at), true
	}
	text := func(at int) string { // a copy: the stream's memory is used again
		switch a, _ := cell(at); a := a.(type) {
		case *array.String:
			return strings.Clone(a.Value(row))
		case *array.LargeString:
			return strings.Clone(a.Value(row))
		}
		return ""
	}
	number := func(at int) int {
		switch a, _ := cell(at); a := a.(type) {
		case *array.Int32:
			return int(a.Value(row))
		case *array.Int64:
			return int(a.Value(row))
		}
		return 0
	}
	bytes := func(at int, name string) []byte {
		a, ok := cell(at)
		if !ok {
			return nil
		}
		var v []byte
		switch a := a.(type) {
		case *array.LargeBinary:
			v = a.Value(row)
		case *array.Binary:
			v = a.Value(row)
		default:
			err = fmt.Errorf("the column %s is of type %s, not large_binary", name, a.DataType())
		}
		if v == nil {
			v = []byte{}
		}
		return v
	}
	s.ID = text(c.id)
	if f := text(c.fault); f != "" {
		return s, f, nil
	}
	if pix := bytes(c.image, "image"); pix != nil {
		s.Image = &Image{Height: number(c.height), Width: number(c.width), Channels: number(c.channels), Pix: pix}
		if number(c.floats) != 0 {
			s.Image.Pix, s.Image.Float = nil, floats32(pix)
		}
	}
	mask := func(v []byte) *Mask {
		return &Mask{Height: number(c.maskHeight), Width: number(c.maskWidth), Classes: uints16(v)}
	}
	switch b.opts.Task {
	case Classification:
		if _, ok := cell(c.label); ok {
			s.Label = &Label{Class: number(c.label)}
		}
		if v := bytes(c.proba, "proba"); v != nil {
			s.Prediction = &Prediction{Proba: floats64(v)}
		}
	case ObjectDetection:
		if v := bytes(c.boxes, "boxes"); v != nil {
			f := floats64(v)
			if len(f)%5 != 0 {
				fault = fmt.Sprintf("the label has %d numbers, not 5 for each box (class, x, y, width, height)", len(f))
			}
			s.Label = &Label{Boxes: make([]Box, 0, len(f)/5)}
			for ; len(f) >= 5; f = f[5:] {
				s.Label.Boxes = append(s.Label.Boxes, Box{Class: classOf(f[0]), X: f[1], Y: f[2], W: f[3], H: f[4], Score: 1})
			}
		}
		if v := bytes(c.predictedBoxes, "predicted_boxes"); v != nil {
			f := floats64(v)
			if len(f)%6 != 0 {
				fault = fmt.Sprintf("the prediction has %d numbers, not 6 for each box (x, y, width, height, confidence, class)", len(f))
			}
			s.Prediction = &Prediction{Boxes: make([]Box, 0, len(f)/6)}
			for ; len(f) >= 6; f = f[6:] {
				s.Prediction.Boxes = append(s.Prediction.Boxes, Box{X: f[0], Y: f[1], W: f[2], H: f[3], Score: f[4], Class: classOf(f[5])})
			}
		}
	case Segmentation:
		if v := bytes(c.mask, "mask"); v != nil {
			s.Label = &Label{Mask: mask(v)}
		}
		if v := bytes(c.predictedMask, "predicted_mask"); v != nil {
			s.Prediction = &Prediction{Mask: mask(v)}
		}
	}
	if v := bytes(c.values, "values"); v != nil {
		s.Values = floats64(v)
	}
	return s, fault, err
}

// classOf is the class that a number stands for; -1 for none.
func classOf(v float64) int {
	if v != math.Trunc(v) || v < 0 || v >= MaxClasses {
		return -1
	}
	return int(v)
}

func floats64(b []byte) []float64 {
	out := make([]float64, len(b)/8)
	for i := range out {
		out[i] = math.Float64frombits(binary.LittleEndian.Uint64(b[8*i:]))
	}
	return out
}

func uints16(b []byte) []uint16 {
	out := make([]uint16, len(b)/2)
	for i := range out {
		out[i] = binary.LittleEndian.Uint16(b[2*i:])
	}
	return out
}

// floats32 are the numbers that bytes hold: in place where the machine's order
// and the alignment allow it.
func floats32(b []byte) []float32 {
	n := len(b) / 4
	if n == 0 {
		return []float32{}
	}
	one := uint16(1)
	little := *(*byte)(unsafe.Pointer(&one)) == 1
	if p := unsafe.Pointer(unsafe.SliceData(b)); little && uintptr(p)%4 == 0 {
		return unsafe.Slice((*float32)(p), n)
	}
	out := make([]float32, n)
	for i := range out {
		out[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
	}
	return out
}
