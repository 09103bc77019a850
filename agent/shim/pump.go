package shim

import (
	"errors"
	"os"
	"sync"
	"syscall"
	"time"

	"aloft/agent/redact"
)

// readBytes is the size of one read, and so of the largest record.
const readBytes = 256 << 10

// lastBytes bounds what is still taken from a pipe that somebody holds open when the rank is over.
const lastBytes = 4 << 20

// pump reads both outputs until their end.
func (r *run) pump(secrets *redact.Set) {
	r.pumped = make(chan struct{})
	var wg sync.WaitGroup
	for i := range r.pipes {
		if r.s.bufs[i] == nil {
			r.s.bufs[i] = make([]byte, readBytes)
		}
		wg.Go(func() { r.pumpOne(&r.pipes[i], r.s.bufs[i], secrets) })
	}
	go func() {
		wg.Wait()
		close(r.pumped)
	}()
}

func (r *run) pumpOne(p *pipe, buf []byte, secrets *redact.Set) {
	defer func() { _ = p.file.Close() }() // only read from
	put := func(b []byte) {
		r.log.Append(time.Now().UnixMilli(), p.fd, b)
		r.s.appended()
	}
	if secrets == nil || secrets.Empty() {
		r.readAll(p, buf, put)
		return
	}
	stream := secrets.Stream(put)
	r.readHolding(p, buf, stream)
	stream.Flush(true)
}

// readAll passes on what comes until the end, or until stopReading.
func (r *run) readAll(p *pipe, buf []byte, put func([]byte)) {
	for {
		n, err := p.file.Read(buf)
		if n > 0 {
			put(buf[:n])
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			p.takeRest(buf, put)
			return
		}
		if err != nil {
			return
		}
	}
}

// readHolding is readAll for a stream that may hold bytes back: they are let go when nothing follows for a while.
func (r *run) readHolding(p *pipe, buf []byte, stream *redact.Stream) {
	idle := false
	for {
		if stream.Held() == 0 {
			r.deadline(p, 0)
		} else if idle {
			r.deadline(p, flushForce)
		} else {
			r.deadline(p, flushIdle)
		}
		n, err := p.file.Read(buf)
		if n > 0 {
			idle = false
			stream.Write(buf[:n])
		}
		switch {
		case err == nil:
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return
		case r.readingStopped():
			p.takeRest(buf, stream.Write)
			return
		default:
			stream.Flush(idle)
			idle = true
		}
	}
}

// stopReading ends both pumps: they take what the pipes hold and return.
func (r *run) stopReading() {
	r.deadlines.Lock()
	defer r.deadlines.Unlock()
	r.noMore = true
	for i := range r.pipes {
		_ = r.pipes[i].file.SetReadDeadline(time.Unix(1, 0)) // closed: its pump is over already
	}
}

func (r *run) readingStopped() bool {
	r.deadlines.Lock()
	defer r.deadlines.Unlock()
	return r.noMore
}

// deadline bounds the next read, 0 = no bound. It never takes back stopReading.
func (r *run) deadline(p *pipe, d time.Duration) {
	r.deadlines.Lock()
	defer r.deadlines.Unlock()
	if r.noMore {
		return
	}
	var t time.Time
	if d > 0 {
		t = time.Now().Add(d)
	}
	_ = p.file.SetReadDeadline(t) // it fails on a closed pipe only, and then so does the read
}

// takeRest empties the pipe without waiting.
func (p *pipe) takeRest(buf []byte, put func([]byte)) {
	fd := int(p.file.Fd())
	// Fd may have made it blocking.
	if syscall.SetNonblock(fd, true) != nil {
		return
	}
	for total := 0; total < lastBytes; {
		n, err := syscall.Read(fd, buf)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil || n <= 0 {
			return
		}
		put(buf[:n])
		total += n
	}
}
