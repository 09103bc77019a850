package frame

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"
)

// Sizes of the blocks that text is read in. The first is small: what it holds
// is the guess for the rest.
const (
	firstBlock = 256 << 10
	nextBlock  = 1 << 20
	// maxRow bounds one row of text, and with it one cell.
	maxRow = 64 << 20
)

// block is a number of whole rows of a text file.
type block struct {
	data  []byte
	first int // the line of its first byte
	last  bool
	parts *parts
	done  chan struct{}
	err   error
}

// fault is an error at a position of a block.
type fault struct {
	at  int // bytes into the block
	err error
}

func (f *fault) Error() string { return f.err.Error() }
func (f *fault) Unwrap() error { return f.err }

// line names the file and the line of an error in a block.
func (b *block) line(name string, err error) error {
	f := (*fault)(nil)
	if !errors.As(err, &f) {
		return fmt.Errorf("%s: %w", name, err)
	}
	return fmt.Errorf("%s:%d: %w", name, b.first+bytes.Count(b.data[:min(f.at, len(b.data))], []byte{'\n'}), f.err)
}

// cutter cuts a stream into blocks at the ends of rows. Line breaks between
// quotes end no row.
type cutter struct {
	name  string
	r     io.Reader
	quote byte // 0 without quotes
	line  int
	rest  []byte
	size  int
	ended bool
}

func newCutter(name string, r io.Reader, quote byte) *cutter {
	return &cutter{name: name, r: r, quote: quote, line: 1, size: firstBlock}
}

// next fills b with the next rows; io.EOF tells that there are no more. It
// uses b's memory.
func (c *cutter) next(b *block) error {
	if c.ended {
		return io.EOF
	}
	data := append(b.data[:0], c.rest...)
	want := c.size
	c.size = nextBlock
	for {
		if cap(data) < want {
			data = append(make([]byte, 0, want), data...)
		}
		n, err := io.ReadFull(c.r, data[len(data):want])
		data = data[:len(data)+n]
		switch {
		case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
			c.ended, c.rest = true, nil
			b.data, b.first, b.last = data, c.line, true
			if len(data) == 0 {
				return io.EOF
			}
			return nil
		case err != nil:
			return fmt.Errorf("%s: %w", c.name, err)
		}
		if end := c.border(data); end > 0 {
			c.rest = append(c.rest[:0], data[end:]...)
			b.data, b.first, b.last = data[:end], c.line, false
			c.line += bytes.Count(b.data, []byte{'\n'})
			return nil
		}
		if len(data) >= maxRow {
			return fmt.Errorf("%s:%d: the row that begins here is longer than %d MiB; perhaps a quote is not closed", c.name, c.line, maxRow>>20)
		}
		want = min(2*want, maxRow)
	}
}

// border finds the end of the last whole row. An odd number of quotes in all
// tells that the data end inside of them.
func (c *cutter) border(data []byte) int {
	open := c.quote != 0 && bytes.Count(data, []byte{c.quote})%2 == 1
	for end := len(data); ; {
		if open { // no row ends behind the last quote
			if end = bytes.LastIndexByte(data[:end], c.quote); end < 0 {
				return 0
			}
			open = false
			continue
		}
		at := bytes.LastIndexByte(data[:end], '\n')
		if at < 0 {
			return 0
		}
		if c.quote == 0 || bytes.IndexByte(data[at:end], c.quote) < 0 {
			return at + 1
		}
		end, open = at+bytes.LastIndexByte(data[at:end], c.quote), true
	}
}

// parts is what a block was turned into.
type parts struct {
	cells []*cells
	names []string // of JSON lines: the columns in order of appearance
	index map[string]int
	rows  int
}

// pipeline reads the blocks of one file on all processors and takes them in
// in their order.
type pipeline struct {
	cutter *cutter
	parse  func(*block) error
	take   func(*block) error
	fresh  func() *parts
}

// run ends with the first error in the order of the file.
func (p *pipeline) run() error {
	first := &block{parts: p.fresh()}
	if err := p.cutter.next(first); err != nil {
		if errors.Is(err, io.EOF) {
			return nil
		}
		return err
	}
	if err := p.both(first); err != nil || first.last {
		return err
	}
	workers := runtime.GOMAXPROCS(0)
	ordered := make(chan *block, 2*workers)
	free := make(chan *block, 2*workers+1)
	free <- first
	for range 2 * workers {
		free <- &block{}
	}
	todo := make(chan *block, 2*workers)
	stop := make(chan struct{})
	ended := make(chan error, 1)
	go func() {
		defer close(todo)
		defer close(ordered)
		for {
			var b *block
			select {
			case b = <-free:
			case <-stop:
				ended <- nil
				return
			}
			b.done, b.err = make(chan struct{}), nil
			if err := p.cutter.next(b); err != nil {
				if errors.Is(err, io.EOF) {
					err = nil
				}
				ended <- err
				return
			}
			ordered <- b
			todo <- b
		}
	}()
	for range workers {
		go func() {
			for b := range todo {
				if b.parts == nil {
					b.parts = p.fresh()
				}
				b.err = p.parse(b)
				close(b.done)
			}
		}()
	}
	var err error
	for b := range ordered {
		<-b.done
		if err != nil {
			continue // let what is under way end
		}
		if err = b.err; err == nil {
			err = p.take(b)
		}
		if err != nil {
			close(stop)
			continue
		}
		free <- b
	}
	if cut := <-ended; err == nil {
		err = cut
	}
	return err
}

func (p *pipeline) both(b *block) error {
	if err := p.parse(b); err != nil {
		return err
	}
	return p.take(b)
}
