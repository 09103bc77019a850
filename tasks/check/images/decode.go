package images

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/image/webp"
)

// Extensions are the endings of the names of image files, in lower case.
func Extensions() []string { return []string{".png", ".jpg", ".jpeg", ".webp", ".gif"} }

// IsImage tells whether a file's name is that of an image.
func IsImage(name string) bool {
	return slices.Contains(Extensions(), strings.ToLower(filepath.Ext(name)))
}

// maxFile bounds the bytes of an image file.
const maxFile = 256 << 20

// ReadFile decodes an image file (PNG, JPEG, WebP or the first picture of a
// GIF) by what it holds, whatever it is called. Pictures in shades of gray
// have one channel, others three; transparency is dropped, the colours below
// it stay. The orientation that cameras note beside a JPEG is not applied, as
// Pillow does not. The size is looked at before anything is decoded.
func ReadFile(path string) (*Image, error) {
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
		return nil, errors.New("it is no regular file")
	case info.Size() == 0:
		return nil, errors.New("the file is empty")
	case info.Size() > maxFile:
		return nil, fmt.Errorf("the file is larger than %d MiB", maxFile>>20)
	}
	return Decode(bufio.NewReaderSize(f, 64<<10))
}

// Decode is ReadFile for what a reader holds.
func Decode(r io.Reader) (*Image, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxFile))
	if err != nil {
		return nil, cause(err)
	}
	form, ok := formOf(data)
	if !ok {
		return nil, fmt.Errorf("it is no PNG, JPEG, WebP or GIF file: it begins with %q", data[:min(len(data), 8)])
	}
	size, err := form.size(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("the %s file is damaged: %w", form.name, err)
	}
	if size.Width <= 0 || size.Height <= 0 || size.Height > MaxPixels/size.Width {
		return nil, fmt.Errorf("the image of %d x %d pixels is larger than %d pixels", size.Height, size.Width, MaxPixels)
	}
	img, err := form.decode(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("the %s file is damaged: %w", form.name, err)
	}
	return fromImage(img), nil
}

// form is a format of image files.
type form struct {
	name, magic string
	size        func(io.Reader) (image.Config, error)
	decode      func(io.Reader) (image.Image, error)
}

func formOf(data []byte) (form, bool) {
	for _, f := range []form{
		{"PNG", "\x89PNG\r\n\x1a\n", png.DecodeConfig, png.Decode},
		{"JPEG", "\xff\xd8\xff", jpeg.DecodeConfig, jpeg.Decode},
		{"GIF", "GIF8", gif.DecodeConfig, gif.Decode},
		{"WebP", "RIFF????WEBP", webp.DecodeConfig, webp.Decode},
	} {
		if len(data) < len(f.magic) {
			continue
		}
		same := true
		for i := range len(f.magic) {
			same = same && (f.magic[i] == '?' || f.magic[i] == data[i])
		}
		if same {
			return f, true
		}
	}
	return form{}, false
}

// fromImage takes the pixels of a decoded picture.
func fromImage(src image.Image) *Image {
	b := src.Bounds()
	out := &Image{Height: b.Dy(), Width: b.Dx(), Channels: 3}
	switch p := src.(type) {
	case *image.Gray:
		out.Channels = 1
		out.Pix = make([]uint8, out.Height*out.Width)
		for y := range out.Height {
			copy(out.Pix[y*out.Width:], p.Pix[y*p.Stride:y*p.Stride+out.Width])
		}
		return out
	case *image.Gray16:
		out.Channels = 1
		out.Pix = make([]uint8, out.Height*out.Width)
		for i := range out.Pix {
			out.Pix[i] = uint8(p.Gray16At(b.Min.X+i%out.Width, b.Min.Y+i/out.Width).Y >> 8)
		}
		return out
	}
	out.Pix = make([]uint8, 3*out.Height*out.Width)
	switch p := src.(type) {
	case *image.NRGBA:
		out.plain(p.Pix, p.Stride)
	case *image.RGBA:
		out.plain(p.Pix, p.Stride) // decoders give it for opaque pictures only
	case *image.YCbCr:
		for y := range out.Height {
			for x := range out.Width {
				o := 3 * (y*out.Width + x)
				c := p.YOffset(b.Min.X+x, b.Min.Y+y)
				k := p.COffset(b.Min.X+x, b.Min.Y+y)
				out.Pix[o], out.Pix[o+1], out.Pix[o+2] = color.YCbCrToRGB(p.Y[c], p.Cb[k], p.Cr[k])
			}
		}
	case *image.Paletted:
		colours := make([][3]uint8, len(p.Palette))
		for i, c := range p.Palette {
			n, ok := color.NRGBAModel.Convert(c).(color.NRGBA)
			if ok {
				colours[i] = [3]uint8{n.R, n.G, n.B}
			}
		}
		for y := range out.Height {
			for x, k := range p.Pix[y*p.Stride : y*p.Stride+out.Width] {
				if int(k) < len(colours) {
					copy(out.Pix[3*(y*out.Width+x):], colours[k][:])
				}
			}
		}
	default:
		flat := image.NewNRGBA(b)
		draw.Draw(flat, b, src, b.Min, draw.Src)
		out.plain(flat.Pix, flat.Stride)
	}
	return out
}

// plain takes the colours of four-channel pixels.
func (img *Image) plain(pix []uint8, stride int) {
	for y := range img.Height {
		row, out := pix[y*stride:], img.Pix[3*y*img.Width:]
		for x := range img.Width {
			out[3*x], out[3*x+1], out[3*x+2] = row[4*x], row[4*x+1], row[4*x+2]
		}
	}
}

// cause is what the operating system says, without the file's name.
func cause(err error) error {
	if pe := (*os.PathError)(nil); errors.As(err, &pe) {
		return pe.Err
	}
	return err
}
