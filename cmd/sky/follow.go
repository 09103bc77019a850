package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"aloft/controller/forge/cienv"
	"aloft/controller/forge/guard"
	controlv1 "aloft/proto/sky/control/v1"
)

// lineLimit is how much of an unfinished line is held back before it is printed in pieces.
const lineLimit = 1 << 20

// followGCPercent lets a follower, which holds next to nothing, collect garbage less often than at every few frames.
const followGCPercent = 400

// logPrinter puts the bytes of several ranks on one screen, whole lines at a time, each with its rank's prefix.
type logPrinter struct {
	a          *app
	w          *bufio.Writer
	name       string // task
	timestamps bool
	plain      bool // no prefix
	color      bool
	json       func(any) error
	held       map[string]*heldLine
	err        error
	end        func() error // of what guards the log in CI
}

type heldLine struct {
	buf    []byte
	prefix []byte
	cont   bool // the start of this line is on the screen already
	atMS   int64
	slot   int32
	stream string
	next   uint64 // offset of the byte after the last one taken
}

// newLogPrinter prints the log of a task; again is the command that shows it whole.
func (a *app) newLogPrinter(name, again string, timestamps bool) *logPrinter {
	if name == "" {
		name = "task"
	}
	w, end := a.guarded(again)
	return &logPrinter{a: a, w: bufio.NewWriterSize(w, 256<<10), name: name, timestamps: timestamps, color: a.color(), held: map[string]*heldLine{}, end: end}
}

// prefix is SkyPilot's: (task, pid=1), (head, rank=0, pid=1), (worker1, rank=1, pid=1, ip=10.0.0.5), (setup pid=1).
func (p *logPrinter) prefix(f *controlv1.LogFrame) string {
	who := ""
	switch {
	case f.GetNumRanks() <= 1:
	case f.GetSlot() == 0:
		who = "head"
	default:
		who = fmt.Sprintf("worker%d", f.GetSlot())
	}
	switch f.GetStream() {
	case "setup":
		if who != "" {
			return fmt.Sprintf("(setup, %s, pid=%d) ", who, f.GetPid())
		}
		return fmt.Sprintf("(setup pid=%d) ", f.GetPid())
	case "run":
	default:
		return "(" + f.GetStream() + ") "
	}
	switch {
	case who == "":
		return fmt.Sprintf("(%s, pid=%d) ", p.name, f.GetPid())
	case f.GetSlot() == 0:
		return fmt.Sprintf("(head, rank=%d, pid=%d) ", f.GetRank(), f.GetPid())
	}
	return fmt.Sprintf("(%s, rank=%d, pid=%d, ip=%s) ", who, f.GetRank(), f.GetPid(), f.GetAddress())
}

// jsonLog is a run of log bytes under -o json.
type jsonLog struct {
	Type   string `json:"type"`
	Rank   int32  `json:"rank"`
	Slot   int32  `json:"slot"`
	Stream string `json:"stream"`
	Offset uint64 `json:"offset"`
	AtMS   int64  `json:"at_ms"`
	FD     int32  `json:"fd"`
	Data   string `json:"data,omitempty"`
	Gap    uint64 `json:"gap_bytes,omitempty"`
	// Truncated: the stream ends here, its rest never arrived.
	Truncated bool `json:"truncated,omitempty"`
}

// truncatedText stands where a log breaks off.
const truncatedText = "the rest of this log is missing: its machine ended before it arrived"

// frame prints what is whole of a frame.
func (p *logPrinter) frame(f *controlv1.LogFrame) error {
	if f.GetEnd() {
		return nil
	}
	key := fmt.Sprintf("%d/%s", f.GetSlot(), f.GetStream())
	h := p.held[key]
	if h == nil {
		h = &heldLine{slot: f.GetSlot(), stream: f.GetStream()}
		p.held[key] = h
	}
	h.next = f.GetOffset() + uint64(len(f.GetData())) + f.GetGap()
	if p.json != nil {
		return p.json(jsonLog{Type: "log", Rank: f.GetRank(), Slot: f.GetSlot(), Stream: f.GetStream(), Offset: f.GetOffset(),
			AtMS: f.GetAtMs(), FD: f.GetFd(), Data: string(f.GetData()), Gap: f.GetGap(), Truncated: f.GetTruncated()})
	}
	p.a.mu.Lock()
	defer p.a.mu.Unlock()
	p.a.clearSpinner()
	if len(h.prefix) == 0 || f.GetPid() != 0 {
		h.prefix = []byte(p.prefix(f))
	}
	h.atMS = f.GetAtMs()
	if g := f.GetGap(); g > 0 {
		p.flushLine(h)
		fmt.Fprintf(p.w, "%s[%d bytes of this log are missing: the node's spool was full]\n", h.prefix, g)
	}
	if f.GetTruncated() {
		p.flushLine(h)
		fmt.Fprintf(p.w, "%s[%s]\n", h.prefix, truncatedText)
	}
	data := f.GetData()
	for len(data) > 0 {
		i := bytes.IndexByte(data, '\n')
		if i < 0 {
			h.buf = append(h.buf, data...)
			if len(h.buf) > lineLimit {
				p.start(h)
				p.w.Write(h.buf)
				h.buf, h.cont = h.buf[:0], true
			}
			break
		}
		p.start(h)
		if len(h.buf) > 0 {
			p.w.Write(h.buf)
			h.buf = h.buf[:0]
		}
		p.w.Write(data[:i+1])
		h.cont = false
		data = data[i+1:]
	}
	return p.err
}

// start writes the prefix of a line unless its beginning is out already.
func (p *logPrinter) start(h *heldLine) {
	if h.cont {
		return
	}
	if p.timestamps {
		p.w.WriteString(time.UnixMilli(h.atMS).UTC().Format("2006-01-02T15:04:05.000Z "))
	}
	if !p.plain {
		if p.color {
			p.w.WriteString("\x1b[36m")
			p.w.Write(h.prefix)
			p.w.WriteString("\x1b[0m")
		} else {
			p.w.Write(h.prefix)
		}
		if p.a.ciSystem() != cienv.None {
			p.w.WriteByte(guard.PrefixEnd)
		}
	}
}

func (p *logPrinter) flushLine(h *heldLine) {
	if len(h.buf) > 0 || h.cont {
		p.start(h)
		p.w.Write(h.buf)
		p.w.WriteByte('\n')
		h.buf, h.cont = h.buf[:0], false
	}
}

// flush puts complete lines on the screen.
func (p *logPrinter) flush() error {
	p.a.mu.Lock()
	defer p.a.mu.Unlock()
	return p.w.Flush()
}

// finish also prints lines that never got their newline.
func (p *logPrinter) finish() error {
	for _, h := range p.held {
		p.flushLine(h)
	}
	return errors.Join(p.flush(), p.end())
}

// positions is how far every stream has been taken.
func (p *logPrinter) positions() []*controlv1.LogPosition {
	var out []*controlv1.LogPosition
	for _, h := range p.held {
		out = append(out, &controlv1.LogPosition{Slot: h.slot, Stream: h.stream, Offset: h.next})
	}
	return out
}

// lost reports whether a call broke because its controller is gone, not because of what was asked.
func lost(ctx context.Context, err error) bool {
	return ctx.Err() == nil && status.Code(err) == codes.Unavailable && failureOf(err) == nil
}

// streamLogs prints a job's log until its end (follow) or until what there is has been printed. When the controller dies
// meanwhile it goes on with the next one, at the byte where it was.
func (a *app) streamLogs(ctx context.Context, c *client, r *controlv1.LogsRequest, p *logPrinter) error {
	debug.SetGCPercent(followGCPercent)
	if p.json == nil && r.GetFollow() {
		defer a.liveMetrics(ctx, c, r.GetJobId())()
	}
	for {
		err := a.streamLogsOnce(ctx, c, r, p)
		if !errors.Is(err, errLost) {
			return err
		}
		if err := a.reconnect(ctx, c); err != nil {
			return err
		}
		r.Resume = p.positions()
	}
}

// errLost says that the controller is gone and the call can be made again.
var errLost = errors.New("the controller is gone")

// reconnect puts c on the next controller.
func (a *app) reconnect(ctx context.Context, c *client) error {
	n, err := a.connect(ctx)
	if err != nil {
		return err
	}
	c.conn.Close()
	*c = *n
	return nil
}

// callTries is how many controllers one call may outlive: one that dies of the call itself is not asked for ever.
const callTries = 5

// again makes a call that may be made twice, with the next controller when the one asked dies meanwhile.
func again[T any](ctx context.Context, a *app, c *client, call func() (T, error)) (T, error) {
	for try := 1; ; try++ {
		x, err := call()
		if err == nil || try == callTries || !lost(ctx, err) {
			return x, err
		}
		if rerr := a.reconnect(ctx, c); rerr != nil {
			return x, rerr
		}
	}
}

func (a *app) streamLogsOnce(ctx context.Context, c *client, r *controlv1.LogsRequest, p *logPrinter) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	st, err := c.Logs(ctx, r)
	if err != nil {
		if lost(ctx, err) {
			return errLost
		}
		return rpcError("read the log", err)
	}
	type item struct {
		f   *controlv1.LogFrame
		err error
	}
	frames := make(chan item, 64)
	go func() {
		for {
			f, err := st.Recv()
			select {
			case frames <- item{f, err}:
			case <-ctx.Done():
				return
			}
			if err != nil {
				return
			}
		}
	}()
	for {
		var x item
		select {
		case x = <-frames:
		default: // nothing waits: let the reader see what there is
			if err := p.flush(); err != nil {
				return err
			}
			select {
			case x = <-frames:
			case <-ctx.Done():
				p.finish()
				return &exitError{code: exitInterrupted, err: errors.New("interrupted")}
			}
		}
		if x.err != nil && lost(ctx, x.err) {
			return errors.Join(errLost, p.flush())
		}
		if x.err != nil {
			if ferr := p.finish(); ferr != nil {
				return ferr
			}
			if errors.Is(x.err, io.EOF) {
				return nil
			}
			if ctx.Err() != nil || status.Code(x.err) == codes.Canceled {
				return &exitError{code: exitInterrupted, err: errors.New("interrupted")}
			}
			return rpcError("read the log", x.err)
		}
		if err := p.frame(x.f); err != nil {
			return err
		}
	}
}
