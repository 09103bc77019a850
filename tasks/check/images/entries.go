package images

import (
	"context"
	"fmt"
)

// Entry is one image of a data set on disk, before it is read.
type Entry struct {
	// ID names the image in reports, File is where it is.
	ID, File   string
	Label      *Label
	Prediction *Prediction
	// MaskFile and PredictionFile hold the masks of a segmentation; "" for
	// none.
	MaskFile, PredictionFile string
	// Relative labels are shares of the image's width and height, as YOLO
	// writes them, and so are relative predictions.
	Relative bool
	// Fault is what is wrong with the entry itself, "" for nothing.
	Fault string
}

// Dataset is a data set on disk: what its files say, without the pixels.
type Dataset struct {
	Entries []Entry
	// Classes names classes by number, where the files do.
	Classes map[int]string
}

// batch is how many images are decoded at once.
const batch = 32

// Read reads the images of a data set in one pass and returns what is left of
// them. Images that cannot be read are faults of the set. The error tells
// only that the reading was cancelled.
func Read(ctx context.Context, d *Dataset, o Options) (*Set, error) {
	if o.Classes == nil {
		o.Classes = d.Classes
	}
	b := NewBuilder(o)
	b.set.Total = len(d.Entries)
	entries := d.Entries
	if most := o.MaxSamples; most > 0 && len(entries) > most {
		entries = entries[:most]
	}
	for len(entries) > 0 {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("read images: %w", err)
		}
		n := min(batch, len(entries))
		list, problems := make([]Sample, n), make([]string, n)
		b.each(n, func(i int) { list[i], problems[i] = entries[i].read(o.Task) })
		from := 0
		for i := range n { // faults stand between the samples in their order
			if problems[i] == "" {
				continue
			}
			if err := b.Add(list[from:i]...); err != nil {
				return b.Set(), nil
			}
			b.Reject(entries[i].ID, problems[i])
			b.seen++
			from = i + 1
		}
		if err := b.Add(list[from:n]...); err != nil {
			return b.Set(), nil
		}
		entries = entries[n:]
	}
	return b.Set(), nil
}

// read reads the files of an entry; the text tells why it cannot be used.
func (e *Entry) read(task Task) (Sample, string) {
	s := Sample{ID: e.ID, Label: e.Label, Prediction: e.Prediction}
	if e.Fault != "" {
		return s, e.Fault
	}
	img, err := ReadFile(e.File)
	if err != nil {
		return s, err.Error()
	}
	s.Image = img
	if e.Relative {
		s.Label, s.Prediction = e.Label.scaled(img), e.Prediction.scaled(img)
	}
	if task != Segmentation {
		return s, ""
	}
	if e.MaskFile != "" {
		m, err := ReadMask(e.MaskFile)
		if err != nil {
			return s, fmt.Sprintf("its mask %s: %v", e.MaskFile, err)
		}
		s.Label = &Label{Mask: m}
	}
	if e.PredictionFile != "" {
		m, err := ReadMask(e.PredictionFile)
		if err != nil {
			return s, fmt.Sprintf("its predicted mask %s: %v", e.PredictionFile, err)
		}
		s.Prediction = &Prediction{Mask: m}
	}
	return s, ""
}

func (l *Label) scaled(img *Image) *Label {
	if l == nil {
		return nil
	}
	return &Label{Class: l.Class, Boxes: scaled(l.Boxes, img), Mask: l.Mask}
}

func (p *Prediction) scaled(img *Image) *Prediction {
	if p == nil {
		return nil
	}
	return &Prediction{Proba: p.Proba, Boxes: scaled(p.Boxes, img), Mask: p.Mask}
}

// scaled turns boxes around their centres in shares of the image into boxes
// from their corners in pixels.
func scaled(boxes []Box, img *Image) []Box {
	out := make([]Box, len(boxes))
	w, h := float64(img.Width), float64(img.Height)
	for i, b := range boxes {
		out[i] = Box{Class: b.Class, Score: b.Score, X: max((b.X-b.W/2)*w, 0), Y: max((b.Y-b.H/2)*h, 0), W: b.W * w, H: b.H * h}
	}
	return out
}
