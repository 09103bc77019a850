package frame

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Encodings lists the encodings of text that may be declared.
func Encodings() []string {
	return []string{"utf-8", "latin-1", "windows-1252", "utf-16", "utf-16-le", "utf-16-be"}
}

// encodingName brings the ways to write an encoding to one.
func encodingName(s string) string {
	n := strings.ReplaceAll(strings.ToLower(s), "_", "-")
	switch n {
	case "utf8", "utf-8-sig", "ascii":
		return "utf-8"
	case "latin1", "iso-8859-1", "iso8859-1", "l1":
		return "latin-1"
	case "cp1252", "ansi", "windows1252":
		return "windows-1252"
	case "utf16":
		return "utf-16"
	case "utf-16le", "utf16le", "utf16-le":
		return "utf-16-le"
	case "utf-16be", "utf16be", "utf16-be":
		return "utf-16-be"
	}
	return n
}

// KnownEncoding reports whether text in the encoding can be read.
func KnownEncoding(name string) bool { return slices.Contains(Encodings(), encodingName(name)) }

// decoded returns the text of a file in UTF-8. A byte order mark decides over
// what is declared.
func decoded(r *bufio.Reader, encoding string) (io.Reader, error) {
	head, err := r.Peek(3)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	name := encodingName(encoding)
	skip := 0
	switch {
	case bytes.HasPrefix(head, []byte("\xef\xbb\xbf")):
		name, skip = "utf-8", 3
	case bytes.HasPrefix(head, []byte{0xff, 0xfe}):
		name, skip = "utf-16-le", 2
	case bytes.HasPrefix(head, []byte{0xfe, 0xff}):
		name, skip = "utf-16-be", 2
	}
	if _, err := r.Discard(skip); err != nil {
		return nil, err
	}
	switch name {
	case "", "utf-8":
		return r, nil
	case "latin-1", "windows-1252":
		return &decoder{r: r, decode: singleBytes(name == "windows-1252")}, nil
	case "utf-16", "utf-16-le":
		return &decoder{r: r, decode: utf16Text(false)}, nil
	case "utf-16-be":
		return &decoder{r: r, decode: utf16Text(true)}, nil
	}
	return nil, fmt.Errorf("unknown encoding %q; known are %s", encoding, strings.Join(Encodings(), ", "))
}

// decoder turns another encoding into UTF-8. decode appends the text of src
// to dst and returns how many bytes of src it used.
type decoder struct {
	r      io.Reader
	decode func(dst, src []byte, last bool) ([]byte, int, error)
	raw    []byte
	buf    []byte
	out    []byte // the part of buf that was not read yet
	err    error
}

// Read returns decoded text.
func (d *decoder) Read(p []byte) (int, error) {
	for len(d.out) == 0 {
		if d.err != nil {
			return 0, d.err
		}
		at := len(d.raw)
		d.raw = slices.Grow(d.raw, 1<<15)[:at+1<<15]
		n, err := d.r.Read(d.raw[at:])
		d.raw, d.err = d.raw[:at+n], err
		buf, used, fault := d.decode(d.buf[:0], d.raw, err != nil)
		d.buf, d.out = buf, buf
		d.raw = append(d.raw[:0], d.raw[used:]...)
		if fault != nil {
			d.err = fault
		}
	}
	n := copy(p, d.out)
	d.out = d.out[n:]
	return n, nil
}

// singleBytes decodes encodings of one byte a character.
func singleBytes(windows bool) func(dst, src []byte, last bool) ([]byte, int, error) {
	return func(dst, src []byte, _ bool) ([]byte, int, error) {
		for _, c := range src {
			switch {
			case c < utf8.RuneSelf:
				dst = append(dst, c)
			case windows && c < 0xa0:
				dst = utf8.AppendRune(dst, windows1252(c))
			default:
				dst = utf8.AppendRune(dst, rune(c))
			}
		}
		return dst, len(src), nil
	}
}

// windows1252 returns the characters that Windows has where Latin-1 has
// control characters.
func windows1252(c byte) rune {
	return [32]rune{
		'€', 0x81, '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', 0x8d, 'Ž', 0x8f,
		0x90, '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', 0x9d, 'ž', 'Ÿ',
	}[c-0x80]
}

// utf16Text decodes UTF-16.
func utf16Text(big bool) func(dst, src []byte, last bool) ([]byte, int, error) {
	unit := func(b []byte) rune {
		if big {
			return rune(b[0])<<8 | rune(b[1])
		}
		return rune(b[1])<<8 | rune(b[0])
	}
	return func(dst, src []byte, last bool) ([]byte, int, error) {
		i := 0
		for i+1 < len(src) {
			r := unit(src[i:])
			if !utf16.IsSurrogate(r) {
				dst = utf8.AppendRune(dst, r)
				i += 2
				continue
			}
			if i+3 >= len(src) && !last {
				break
			}
			if i+3 >= len(src) {
				return dst, i, errors.New("the text is not valid UTF-16")
			}
			pair := utf16.DecodeRune(r, unit(src[i+2:]))
			if pair == utf8.RuneError {
				return dst, i, errors.New("the text is not valid UTF-16")
			}
			dst = utf8.AppendRune(dst, pair)
			i += 4
		}
		if last && i < len(src) {
			return dst, i, errors.New("the text is not valid UTF-16: half a character at its end")
		}
		return dst, i, nil
	}
}
