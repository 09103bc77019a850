package images

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strconv"
	"sync"
)

// ErrEnough tells that Options.MaxSamples samples were taken: those that come
// after are not looked at.
var ErrEnough = errors.New("enough samples")

// Options say what to keep of a data set.
type Options struct {
	Name string
	Task Task
	// Classes names classes by number.
	Classes map[int]string
	// MaxSamples bounds the samples taken, 0 for all.
	MaxSamples int
	// Crops keeps the properties within each box of the label, which checks of
	// correlation need.
	Crops bool
	// Texture adds the property TextureLevel.
	Texture bool
	// Custom are properties of the user's own: their values come with the
	// samples.
	Custom []Property
	// NoThumbs keeps no thumbnails.
	NoThumbs bool
	// MaxFaults is how many samples that cannot be used are kept by name, 0
	// for 1,000.
	MaxFaults int
}

// Builder makes a Set in one pass. It is not safe for use by several
// goroutines; it uses all processors by itself.
type Builder struct {
	opts    Options
	set     *Set
	heat    heat
	cover   heat
	thumbs  *thumbs
	proba   int
	seen    int // samples offered, faults included
	predict bool
	started bool
	dropped int // faults not kept by name
}

// NewBuilder makes a builder of an empty set.
func NewBuilder(o Options) *Builder {
	if o.MaxFaults <= 0 {
		o.MaxFaults = 1000
	}
	b := &Builder{opts: o, set: &Set{Name: o.Name, Task: o.Task, Classes: o.Classes, Properties: Defaults()}}
	if o.Texture {
		b.set.Properties = append(b.set.Properties, Property{TextureLevel, Numerical})
	}
	b.set.Properties = append(b.set.Properties, o.Custom...)
	if !o.NoThumbs {
		b.thumbs = newThumbs(len(b.set.Properties))
	}
	return b
}

// measured is what one sample gives, computed beside the others.
type measured struct {
	record Record
	gray   []uint8
	cover  []uint8
	fault  string
}

// Add takes samples in their order. Samples that cannot be used become faults
// of the set. It returns ErrEnough once no more are wanted.
func (b *Builder) Add(samples ...Sample) error {
	if len(samples) == 0 {
		return nil
	}
	if most := b.opts.MaxSamples; most > 0 && len(b.set.Records) >= most {
		return ErrEnough
	}
	if !b.started {
		b.begin(samples)
	}
	for len(samples) > 0 { // a bounded number at once: what is computed of each is held
		n := min(len(samples), 256)
		if err := b.addSome(samples[:n]); err != nil {
			return err
		}
		samples = samples[n:]
	}
	return nil
}

// begin learns from the first samples what all must have.
func (b *Builder) begin(samples []Sample) {
	b.started = true
	for i := range samples {
		if p := samples[i].Prediction; p != nil {
			b.predict = true
			if b.proba == 0 && validate(&samples[i], b.opts.Task, 0) == "" {
				b.proba = len(p.Proba)
			}
		}
	}
}

func (b *Builder) addSome(samples []Sample) error {
	results := make([]measured, len(samples))
	b.each(len(samples), func(i int) { results[i] = b.measure(&samples[i]) })
	for i := range samples {
		s, m := &samples[i], &results[i]
		id := s.ID
		if id == "" {
			id = strconv.Itoa(b.seen)
		}
		b.seen++
		if m.fault != "" {
			b.Reject(id, m.fault)
			continue
		}
		m.record.ID = id
		at := len(b.set.Records)
		b.set.Records = append(b.set.Records, m.record)
		if s.Image != nil {
			b.heat.add(m.gray, s.Image.Height, s.Image.Width)
		}
		if m.cover != nil {
			b.cover.add(m.cover, s.Image.Height, s.Image.Width)
		}
		if b.thumbs != nil && s.Image != nil {
			b.thumbs.offer(at, &b.set.Records[at], s.Image)
		}
		if most := b.opts.MaxSamples; most > 0 && at+1 >= most {
			return ErrEnough
		}
	}
	return nil
}

// Reject notes a sample that could not even be read.
func (b *Builder) Reject(id, reason string) {
	if len(b.set.Faults) >= b.opts.MaxFaults {
		b.dropped++
		return
	}
	b.set.Faults = append(b.set.Faults, Fault{ID: id, Message: reason})
}

// Interrupt notes that the data ended before they should have, and why.
func (b *Builder) Interrupt(reason string) { b.set.Partial = reason }

// each runs f for 0 to n-1 on all processors.
func (b *Builder) each(n int, f func(int)) {
	workers := min(runtime.GOMAXPROCS(0), n)
	if workers <= 1 {
		for i := range n {
			f(i)
		}
		return
	}
	var wait sync.WaitGroup
	next := make(chan int)
	for range workers {
		wait.Go(func() {
			for i := range next {
				f(i)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wait.Wait()
}

// measure computes all that is kept of a sample.
func (b *Builder) measure(s *Sample) (m measured) {
	if m.fault = validate(s, b.opts.Task, b.proba); m.fault != "" {
		return m
	}
	if b.predict && s.Prediction == nil {
		m.fault = "it has no prediction, though others have"
		return m
	}
	if !b.predict && s.Prediction != nil {
		m.fault = "it has a prediction, though the first ones have none"
		return m
	}
	if len(s.Values) != len(b.opts.Custom) {
		m.fault = fmt.Sprintf("it has %d values of own properties, there are %d", len(s.Values), len(b.opts.Custom))
		return m
	}
	r := &m.record
	if img := s.Image; img != nil {
		r.Height, r.Width, r.Channels = img.Height, img.Width, img.Channels
		r.Values = Measure(img, whole(img))
		if b.opts.Texture {
			r.Values = append(r.Values, texture(img))
		}
		r.Values = append(r.Values, s.Values...)
		m.gray = gray8(img)
	} else if len(s.Values) > 0 {
		for range len(b.set.Properties) - len(s.Values) {
			r.Values = append(r.Values, math.NaN())
		}
		r.Values = append(r.Values, s.Values...)
	}
	if s.Label != nil {
		b.measureLabel(s, &m)
	}
	if p := s.Prediction; p != nil {
		r.HasPrediction = true
		switch b.opts.Task {
		case Classification:
			r.Proba = slices.Clone(p.Proba)
		case ObjectDetection:
			r.Predicted = slices.Clone(p.Boxes)
		case Segmentation:
			r.PredictedArea = areas(p.Mask.Classes, nil)
			if s.Label != nil {
				r.Overlaps = areas(p.Mask.Classes, s.Label.Mask.Classes)
			}
		}
	}
	return m
}

func (b *Builder) measureLabel(s *Sample, m *measured) {
	r := &m.record
	r.HasLabel = true
	switch b.opts.Task {
	case Classification:
		r.Class = s.Label.Class
	case ObjectDetection:
		r.Boxes = slices.Clone(s.Label.Boxes)
		for i := range r.Boxes {
			r.Boxes[i].Score = 1
		}
		if s.Image == nil {
			return
		}
		m.cover = coverage(r.Boxes, s.Image.Height, s.Image.Width)
		if b.opts.Crops {
			r.Crops = make([][]float64, len(r.Boxes))
			for i, box := range r.Boxes {
				r.Crops[i] = Measure(s.Image, pixels(box, s.Image.Height, s.Image.Width))
			}
		}
	case Segmentation:
		r.Areas = areas(s.Label.Mask.Classes, nil)
	}
}

// areas counts the pixels of each class, by ascending class; with other only
// those where both agree.
func areas(classes, other []uint16) []Area {
	var counts []int
	for i, c := range classes {
		if other != nil && other[i] != c {
			continue
		}
		for int(c) >= len(counts) {
			counts = append(counts, make([]int, int(c)+1-len(counts))...)
		}
		counts[c]++
	}
	var out []Area
	for c, n := range counts {
		if n > 0 {
			out = append(out, Area{Class: c, Pixels: n})
		}
	}
	return out
}

// Set returns what the pass left. Nothing may be added afterwards.
func (b *Builder) Set() *Set {
	s := b.set
	s.Heat, s.BoxHeat = b.heat.mean(), b.cover.mean()
	if b.dropped > 0 {
		s.Faults = append(s.Faults, Fault{ID: "", Message: fmt.Sprintf("and %d more samples that could not be used", b.dropped)})
		b.dropped = 0
	}
	if b.thumbs != nil {
		s.Thumbs = b.thumbs.kept()
	}
	s.Total = max(s.Total, len(s.Records))
	return s
}
