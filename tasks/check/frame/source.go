package frame

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/klauspost/compress/zstd"
)

// file is an open file, or one in memory.
type file interface {
	io.Reader
	io.ReaderAt
	io.Seeker
	io.Closer
}

// input is one file of a table.
type input struct {
	name string // in messages
	open func() (file, error)
}

func fileInput(path, name string) input {
	return input{name: name, open: func() (file, error) { return os.Open(path) }}
}

// memoryFile is a file in memory.
type memoryFile struct{ *bytes.Reader }

// Close does nothing.
func (memoryFile) Close() error { return nil }

func memoryInput(name string, src []byte) input {
	return input{name: name, open: func() (file, error) { return memoryFile{bytes.NewReader(src)}, nil }}
}

// fileForm is a form of files.
type fileForm string

// The forms, by the names that messages use.
const (
	formatCSV     fileForm = "CSV"
	formatJSON    fileForm = "JSON lines"
	formatParquet fileForm = "Parquet"
	formatArrow   fileForm = "Arrow file"
	formatStream  fileForm = "Arrow stream"
)

// stream is the unpacked content of a file.
type stream struct {
	*bufio.Reader
	file   file
	packed string // gzip, zstd or ""
	unzip  *zstd.Decoder
}

// size returns the size of the file; it is read on from where it was.
func (s *stream) size() (int64, error) {
	at, err := s.file.Seek(0, io.SeekCurrent)
	if err != nil {
		return 0, err
	}
	end, err := s.file.Seek(0, io.SeekEnd)
	if err != nil {
		return 0, err
	}
	_, err = s.file.Seek(at, io.SeekStart)
	return end, err
}

// Close closes the file.
func (s *stream) Close() error {
	if s.unzip != nil {
		s.unzip.Close()
	}
	return s.file.Close()
}

// maxWindow bounds the memory that a zstd frame may ask for.
const maxWindow = 128 << 20

// unpack opens the file and unpacks gzip and zstd, which its first bytes tell.
func (in input) unpack() (*stream, error) {
	f, err := in.open()
	if err != nil {
		return nil, fmt.Errorf("read table: %w", err)
	}
	s := &stream{Reader: bufio.NewReaderSize(f, 1<<16), file: f}
	head, _ := s.Peek(4)
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(s.Reader)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("%s: unpack gzip: %w", in.name, err), f.Close())
		}
		s.Reader, s.packed = bufio.NewReaderSize(z, 1<<16), "gzip"
	case bytes.Equal(head, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		z, err := zstd.NewReader(s.Reader, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, errors.Join(fmt.Errorf("%s: unpack zstd: %w", in.name, err), f.Close())
		}
		s.Reader, s.packed, s.unzip = bufio.NewReaderSize(z, 1<<16), "zstd", z
	}
	return s, nil
}

// detect tells the form of the file from its first bytes.
func (in input) detect() (fileForm, error) {
	s, err := in.unpack()
	if err != nil {
		return "", err
	}
	defer s.Close()
	head, err := s.Peek(512)
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("%s: %w", in.name, err)
	}
	kind := formatCSV
	text := bytes.TrimLeft(bytes.TrimPrefix(head, []byte("\xef\xbb\xbf")), " \t\r\n")
	switch {
	case bytes.HasPrefix(head, []byte("PAR1")):
		kind = formatParquet
	case bytes.HasPrefix(head, []byte("PARE")):
		return "", fmt.Errorf("%s: this Parquet file is encrypted, which is not supported", in.name)
	case bytes.HasPrefix(head, []byte("ARROW1")):
		kind = formatArrow
	case bytes.HasPrefix(head, []byte{0xff, 0xff, 0xff, 0xff}):
		kind = formatStream
	case len(text) > 0 && text[0] == '{' && startsObject(text[1:]):
		kind = formatJSON
	case len(text) > 0 && text[0] == '[' && bytes.HasPrefix(bytes.TrimLeft(text[1:], " \t\r\n"), []byte("{")):
		return "", fmt.Errorf("%s: this is a JSON array; JSON lines are needed, one object in each line", in.name)
	}
	if s.packed != "" && kind == formatParquet {
		return "", fmt.Errorf("%s: a %s inside %s cannot be read; unpack it first", in.name, kind, s.packed)
	}
	return kind, nil
}

// startsObject reports whether what follows a brace goes on as JSON does.
func startsObject(b []byte) bool {
	b = bytes.TrimLeft(b, " \t")
	return len(b) > 0 && (b[0] == '"' || b[0] == '}')
}
