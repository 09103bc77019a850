// Package bridge runs suites on data that another program streams over a
// socket: Python's data loaders. docs/bridge-protocol.md describes what goes
// over it.
package bridge

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
)

// Version is the version of the protocol.
const Version = 1

// The frames.
const (
	frameRequest = 'J'
	frameData    = 'D'
	framePiece   = 'A'
	frameEnd     = 'E'
	frameGo      = 'G'

	frameEnough   = 'C'
	frameProgress = 'P'
	frameResult   = 'R'
	frameError    = 'X'
)

// maxJSON bounds the JSON of one frame.
const maxJSON = 64 << 20

// errCut tells that the other side ended before it should have.
var errCut = errors.New("the program that streams the data ended before all of them were sent")

// wire reads and writes frames. Writing is safe for several goroutines.
type wire struct {
	r  io.Reader
	mu sync.Mutex
	w  io.Writer
}

// next reads the head of a frame.
func (c *wire) next() (kind byte, length uint32, err error) {
	var head [5]byte
	if _, err := io.ReadFull(c.r, head[:]); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return 0, 0, errCut
		}
		return 0, 0, fmt.Errorf("read from the program that streams the data: %w", err)
	}
	return head[0], binary.LittleEndian.Uint32(head[1:]), nil
}

// object reads the JSON of a frame.
func (c *wire) object(length uint32, into any) error {
	if length > maxJSON {
		return fmt.Errorf("a frame with %d bytes of JSON", length)
	}
	data := make([]byte, length)
	if _, err := io.ReadFull(c.r, data); err != nil {
		return errCut
	}
	if len(data) == 0 {
		return nil
	}
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("a frame holds no such JSON: %w", err)
	}
	return nil
}

// send writes a frame of JSON.
func (c *wire) send(kind byte, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode a frame: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	frame := binary.LittleEndian.AppendUint32([]byte{kind}, uint32(len(data)))
	if _, err := c.w.Write(append(frame, data...)); err != nil {
		return fmt.Errorf("answer the program that streams the data: %w", err)
	}
	return nil
}

// pieces is the stream that the pieces of a data set are; it ends with the
// data set, whose end is kept.
type pieces struct {
	c    *wire
	left uint32
	end  *ending
}

// ending is how a data set ended.
type ending struct {
	Error string `json:"error"`
}

// Read reads of the pieces.
func (p *pieces) Read(b []byte) (int, error) {
	for p.left == 0 {
		if p.end != nil {
			return 0, io.EOF
		}
		kind, length, err := p.c.next()
		if err != nil {
			return 0, err
		}
		switch kind {
		case framePiece:
			p.left = length
		case frameEnd:
			var e ending
			if err := p.c.object(length, &e); err != nil {
				return 0, err
			}
			p.end = &e
		default:
			return 0, fmt.Errorf("a frame %q within a data set", kind)
		}
	}
	n, err := p.c.r.Read(b[:min(len(b), int(p.left))])
	p.left -= uint32(n)
	if errors.Is(err, io.EOF) {
		err = errCut
	}
	return n, err
}
