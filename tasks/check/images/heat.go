package images

import "math"

// gray8 is the image in shades of gray, 0 to 255, as OpenCV converts it:
// Y = 0.299 R + 0.587 G + 0.114 B in fixed point, rounded.
func gray8(img *Image) []uint8 {
	out := make([]uint8, img.Height*img.Width)
	switch {
	case img.Float != nil && img.Channels == 1:
		for i, v := range img.Float {
			out[i] = round8(float64(v))
		}
	case img.Float != nil:
		for i := range out {
			out[i] = round8(.299*float64(img.Float[3*i]) + .587*float64(img.Float[3*i+1]) + .114*float64(img.Float[3*i+2]))
		}
	case img.Channels == 1:
		copy(out, img.Pix)
	default:
		pix, to := img.Pix, out
		for ; len(pix) >= 12 && len(to) >= 4; pix, to = pix[12:], to[4:] {
			p, o := pix[:12:12], to[:4:4]
			o[0], o[1] = gray1(p[0], p[1], p[2]), gray1(p[3], p[4], p[5])
			o[2], o[3] = gray1(p[6], p[7], p[8]), gray1(p[9], p[10], p[11])
		}
		for i := range to {
			to[i] = gray1(pix[3*i], pix[3*i+1], pix[3*i+2])
		}
	}
	return out
}

func round8(v float64) uint8 { return uint8(min(max(math.RoundToEven(v), 0), 255)) }

// resizeArea brings a picture to another size: the mean of the pixels below
// each new one where it shrinks (OpenCV's INTER_AREA), and their neighbours'
// interpolation where it grows.
func resizeArea(src []uint8, h, w, height, width int) []uint8 {
	if h == height && w == width {
		return src
	}
	rows, cols := spans(h, height), spans(w, width)
	between := make([]float64, h*width)
	for y := range h {
		for x, s := range cols {
			sum := 0.0
			for k, weight := range s.weights {
				sum += weight * float64(src[y*w+s.from+k])
			}
			between[y*width+x] = sum
		}
	}
	out := make([]uint8, height*width)
	for y, s := range rows {
		for x := range width {
			sum := 0.0
			for k, weight := range s.weights {
				sum += weight * between[(s.from+k)*width+x]
			}
			out[y*width+x] = round8(sum)
		}
	}
	return out
}

// span is what one new pixel takes from the old ones, in one dimension.
type span struct {
	from    int
	weights []float64
}

func spans(from, to int) []span {
	out := make([]span, to)
	scale := float64(from) / float64(to)
	for i := range out {
		if scale <= 1 { // grows: linear between the two nearest, as OpenCV does for this mode
			at := int(math.Floor(float64(i) * scale))
			part := float64(i+1) - float64(at+1)/scale
			if part <= 0 {
				part = 0
			} else {
				part -= math.Floor(part)
			}
			at = min(max(at, 0), from-1)
			if at+1 >= from || part == 0 {
				out[i] = span{at, []float64{1}}
				continue
			}
			out[i] = span{at, []float64{1 - part, part}}
			continue
		}
		start, end := float64(i)*scale, float64(i+1)*scale
		first, last := int(math.Floor(start)), min(int(math.Ceil(end-1e-9)), from)
		s := span{from: first}
		total := 0.0
		for k := first; k < last; k++ {
			weight := min(end, float64(k+1)) - max(start, float64(k))
			s.weights = append(s.weights, weight)
			total += weight
		}
		for k := range s.weights {
			s.weights[k] /= total
		}
		out[i] = s
	}
	return out
}

// heat sums gray pictures of one size.
type heat struct {
	height, width int
	sums          []uint64
	count         int
}

// add adds a picture, resized to the first one's size.
func (h *heat) add(gray []uint8, height, width int) {
	if h.sums == nil {
		h.height, h.width, h.sums = height, width, make([]uint64, height*width)
	}
	values := resizeArea(gray, height, width, h.height, h.width)
	sums := h.sums[:len(values)]
	for i, v := range values {
		sums[i] += uint64(v)
	}
	h.count++
}

// mean is the mean of the pictures so far; nil without any.
func (h *heat) mean() *Mean {
	if h.count == 0 {
		return nil
	}
	m := &Mean{Height: h.height, Width: h.width, Count: h.count, Values: make([]float64, len(h.sums))}
	for i, s := range h.sums {
		m.Values[i] = float64(s) / float64(h.count)
	}
	return m
}

// Resized brings a picture of means to another size.
func (m *Mean) Resized(height, width int) *Mean {
	if m.Height == height && m.Width == width {
		return m
	}
	rows, cols := spans(m.Height, height), spans(m.Width, width)
	out := &Mean{Height: height, Width: width, Count: m.Count, Values: make([]float64, height*width)}
	for y, r := range rows {
		for x, c := range cols {
			sum := 0.0
			for i, wy := range r.weights {
				for j, wx := range c.weights {
					sum += wy * wx * m.Values[(r.from+i)*m.Width+c.from+j]
				}
			}
			out.Values[y*width+x] = sum
		}
	}
	return out
}

// joined is the mean of two pictures of means together. Means of whole
// numbers stay exact.
func joined(a, b *Mean) *Mean {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	}
	b = b.Resized(a.Height, a.Width)
	out := &Mean{Height: a.Height, Width: a.Width, Count: a.Count + b.Count, Values: make([]float64, len(a.Values))}
	for i := range out.Values {
		sum := math.Round(a.Values[i]*float64(a.Count)) + math.Round(b.Values[i]*float64(b.Count))
		out.Values[i] = sum / float64(out.Count)
	}
	return out
}

// coverage is 100 where a box of the label covers the picture, else 0.
func coverage(boxes []Box, height, width int) []uint8 {
	out := make([]uint8, height*width)
	for _, b := range boxes {
		r := pixels(b, height, width)
		for y := r.Y0; y < r.Y1; y++ {
			row := out[y*width+r.X0 : y*width+r.X1]
			for x := range row {
				row[x] = 100
			}
		}
	}
	return out
}

// pixels is the part of an image within a box.
func pixels(b Box, height, width int) Rect {
	x0, y0 := min(max(int(b.X), 0), width), min(max(int(b.Y), 0), height)
	x1, y1 := min(max(int(b.X+b.W), x0), width), min(max(int(b.Y+b.H), y0), height)
	return Rect{x0, y0, x1, y1}
}

// gray1 is one pixel of gray8.
func gray1(r, g, b uint8) uint8 {
	return uint8((uint32(r)*9798 + uint32(g)*19235 + uint32(b)*3735 + 1<<14) >> 15)
}
