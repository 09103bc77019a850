package images

import (
	"math"
	"math/bits"
)

// The names of the properties that every image has.
const (
	AspectRatio = "Aspect Ratio"
	PixelArea   = "Area"
	Brightness  = "Brightness"
	RMSContrast = "RMS Contrast"
	MeanRed     = "Mean Red Relative Intensity"
	MeanGreen   = "Mean Green Relative Intensity"
	MeanBlue    = "Mean Blue Relative Intensity"
	// TextureLevel is not among the default properties: it is computed where
	// Options.Texture asks for it.
	TextureLevel = "Texture Level"
)

// Defaults lists the properties that every image has, in the order of their
// values.
func Defaults() []Property {
	names := []string{AspectRatio, PixelArea, Brightness, RMSContrast, MeanRed, MeanGreen, MeanBlue}
	out := make([]Property, len(names))
	for i, n := range names {
		out[i] = Property{Name: n, Kind: Numerical}
	}
	return out
}

// numDefaults is how many there are.
const numDefaults = 7

// The weights of red, green and blue in the gray that brightness and contrast
// are of, in ten thousandths (ITU-R BT.709, as scikit-image rounds them).
const (
	weightRed, weightGreen, weightBlue = 2125, 7154, 721
	weightSum                          = 10000
)

// Rect is a part of an image in whole pixels, its ends excluded.
type Rect struct{ X0, Y0, X1, Y1 int }

// Measure computes the default properties of a part of an image, in one sweep
// without allocating but for the result:
//
//	Aspect Ratio   height / width
//	Area           height * width
//	Brightness     mean of Y = 0.2125 R + 0.7154 G + 0.0721 B, 0 to 255
//	RMS Contrast   standard deviation of Y over the pixels
//	Mean ... Relative Intensity   mean of R, G or B over R + G + B; 0 counts
//	               for black pixels; NaN for gray images
//
// An empty part has NaN for all but its area.
func Measure(img *Image, r Rect) []float64 {
	out := make([]float64, numDefaults)
	h, w := r.Y1-r.Y0, r.X1-r.X0
	for i := range out {
		out[i] = math.NaN()
	}
	out[1] = 0
	if h <= 0 || w <= 0 {
		return out
	}
	out[0], out[1] = float64(h)/float64(w), float64(h)*float64(w)
	switch {
	case img.Float != nil:
		measureFloat(img, r, out)
	case img.Channels == 1:
		measureGray(img, r, out)
	default:
		measureColour(img, r, out)
	}
	return out
}

// whole is the rectangle of the whole image.
func whole(img *Image) Rect { return Rect{0, 0, img.Width, img.Height} }

// moments sums whole numbers exactly.
type moments struct {
	n           uint64
	sum         uint64
	squareHigh  uint64
	squareLow   uint64
	denominator float64 // what the numbers are multiplied by
}

func (m *moments) add(n, sum, squares uint64) {
	m.n += n
	m.sum += sum
	var carry uint64
	m.squareLow, carry = bits.Add64(m.squareLow, squares, 0)
	m.squareHigh += carry
}

// values are mean and population standard deviation: exact but for the last
// division and root.
func (m *moments) values() (mean, deviation float64) {
	n := float64(m.n)
	mean = float64(m.sum) / n / m.denominator
	// n·Σx² − (Σx)² in 128 bits; Σx² fits 64 bits for all but huge images.
	if m.squareHigh != 0 {
		square := math.Ldexp(float64(m.squareHigh), 64) + float64(m.squareLow)
		exact := square/n - float64(m.sum)/n*(float64(m.sum)/n)
		return mean, math.Sqrt(max(exact, 0)) / m.denominator
	}
	aHigh, aLow := bits.Mul64(m.n, m.squareLow)
	bHigh, bLow := bits.Mul64(m.sum, m.sum)
	low, borrow := bits.Sub64(aLow, bLow, 0)
	high, _ := bits.Sub64(aHigh, bHigh, borrow)
	return mean, math.Sqrt(math.Ldexp(float64(high), 64)+float64(low)) / n / m.denominator
}

func measureGray(img *Image, r Rect, out []float64) {
	m := moments{denominator: 1}
	for y := r.Y0; y < r.Y1; y++ {
		row := img.Pix[y*img.Width+r.X0 : y*img.Width+r.X1]
		var sum, squares uint64
		for _, v := range row {
			x := uint64(v)
			sum += x
			squares += x * x
		}
		m.add(uint64(len(row)), sum, squares)
	}
	out[2], out[3] = m.values()
}

// shares holds 1/s for each sum of three channels, 0 for black. It is longer
// than 3 * 255 + 1, so that no index needs to be checked.
type shares [1024]float64

func newShares() *shares {
	s := &shares{}
	for i := 1; i <= 3*255; i++ {
		s[i] = 1 / float64(i)
	}
	return s
}

func measureColour(img *Image, r Rect, out []float64) {
	m := moments{denominator: weightSum}
	share := newShares()
	var red, green, blue float64
	for y := r.Y0; y < r.Y1; y++ {
		row := img.Pix[3*(y*img.Width+r.X0) : 3*(y*img.Width+r.X1)]
		var sum, squares uint64
		for ; len(row) >= 6; row = row[6:] {
			p := row[:6:6]
			r0, g0, b0 := uint64(p[0]), uint64(p[1]), uint64(p[2])
			r1, g1, b1 := uint64(p[3]), uint64(p[4]), uint64(p[5])
			gray0, gray1 := weightRed*r0+weightGreen*g0+weightBlue*b0, weightRed*r1+weightGreen*g1+weightBlue*b1
			sum += gray0 + gray1
			squares += gray0*gray0 + gray1*gray1
			k0, k1 := share[(r0+g0+b0)&1023], share[(r1+g1+b1)&1023]
			red += float64(r0)*k0 + float64(r1)*k1
			green += float64(g0)*k0 + float64(g1)*k1
			blue += float64(b0)*k0 + float64(b1)*k1
		}
		if len(row) >= 3 {
			cr, cg, cb := uint64(row[0]), uint64(row[1]), uint64(row[2])
			gray := weightRed*cr + weightGreen*cg + weightBlue*cb
			sum += gray
			squares += gray * gray
			k := share[(cr+cg+cb)&1023]
			red += float64(cr) * k
			green += float64(cg) * k
			blue += float64(cb) * k
		}
		m.add(uint64(r.X1-r.X0), sum, squares)
	}
	out[2], out[3] = m.values()
	n := float64(m.n)
	out[4], out[5], out[6] = red/n, green/n, blue/n
}

// measureFloat is for images of floating point numbers: two sums around the
// first value, which loses nothing that matters.
func measureFloat(img *Image, r Rect, out []float64) {
	var n, sum, squares, red, green, blue, origin float64
	first := true
	c := img.Channels
	for y := r.Y0; y < r.Y1; y++ {
		row := img.Float[c*(y*img.Width+r.X0) : c*(y*img.Width+r.X1)]
		for i := 0; i+c <= len(row); i += c {
			gray := float64(row[i])
			if c == 3 {
				cr, cg, cb := float64(row[i]), float64(row[i+1]), float64(row[i+2])
				gray = (weightRed*cr + weightGreen*cg + weightBlue*cb) / weightSum
				if s := cr + cg + cb; s != 0 {
					red += cr / s
					green += cg / s
					blue += cb / s
				}
			}
			if first {
				origin, first = gray, false
			}
			d := gray - origin
			n++
			sum += d
			squares += d * d
		}
	}
	out[2] = origin + sum/n
	out[3] = math.Sqrt(max(squares/n-sum/n*(sum/n), 0))
	if c == 3 {
		out[4], out[5], out[6] = red/n, green/n, blue/n
	}
}

// texture is the variance of the Laplacian (4 neighbours, edges repeated) of
// the gray image.
func texture(img *Image) float64 {
	gray := make([]float64, img.Height*img.Width)
	for i := range gray {
		gray[i] = grayAt(img, i)
	}
	at := func(y, x int) float64 {
		y, x = min(max(y, 0), img.Height-1), min(max(x, 0), img.Width-1)
		return gray[y*img.Width+x]
	}
	var sum, squares float64
	for y := range img.Height {
		for x := range img.Width {
			v := at(y-1, x) + at(y+1, x) + at(y, x-1) + at(y, x+1) - 4*at(y, x)
			sum += v
			squares += v * v
		}
	}
	n := float64(len(gray))
	return max(squares/n-sum/n*(sum/n), 0)
}

// grayAt is the gray of the i-th pixel, 0 to 255.
func grayAt(img *Image, i int) float64 {
	if img.Channels == 1 {
		return img.value(i)
	}
	return (weightRed*img.value(3*i) + weightGreen*img.value(3*i+1) + weightBlue*img.value(3*i+2)) / weightSum
}

func (img *Image) value(i int) float64 {
	if img.Float != nil {
		return float64(img.Float[i])
	}
	return float64(img.Pix[i])
}
