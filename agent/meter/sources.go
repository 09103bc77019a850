package meter

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	agentv1 "aloft/proto/sky/agent/v1"
	"aloft/tasks/metrics"
)

const (
	kindLines  = "lines"
	kindFile   = "file"
	kindEvents = "events"

	readBytes   = 1 << 20
	mostFile    = 1 << 20 // bytes of metrics.json or metrics.txt
	mostDepth   = 6       // directories below which event files are not looked for
	mostEntries = 20_000  // of directories in one scan
	mostEvents  = 200     // event files
)

// look reads what is new in every source. At the end it also takes a last line without its newline.
func (m *Meter) look(ctx context.Context, last bool) error {
	errs := []error{m.readLines(ctx, last)}
	for _, name := range []string{"metrics.json", "metrics.txt"} {
		errs = append(errs, m.readFile(name, last))
	}
	if now := time.Now(); last || now.Sub(m.scanned) >= scanEvery {
		m.findEvents(false)
		m.scanned = now
	}
	var events []*agentv1.MetricSource
	for _, s := range m.sources {
		if s.GetKind() == kindEvents && !s.GetBroken() {
			events = append(events, s)
		}
	}
	slices.SortFunc(events, func(a, b *agentv1.MetricSource) int { return strings.Compare(a.GetPath(), b.GetPath()) })
	for _, s := range events {
		errs = append(errs, m.readEvents(ctx, s))
	}
	if m.batch != nil { // notes alone
		errs = append(errs, m.flush(nil))
	}
	return errors.Join(errs...)
}

// source is a copy of what is known of a file.
func (m *Meter) source(path, kind string) *agentv1.MetricSource {
	if s := m.sources[path]; s != nil {
		return proto.CloneOf(s)
	}
	return &agentv1.MetricSource{Path: path, Kind: kind}
}

// readLines reads whole lines of JSON from where it was.
func (m *Meter) readLines(ctx context.Context, last bool) error {
	src := m.source(m.o.Lines, kindLines)
	f, err := os.Open(m.o.Lines)
	if err != nil {
		return ignoreMissing(err)
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return err
	}
	if uint64(info.Size()) < src.GetOffset() {
		src.Offset, src.Lines = 0, 0
		m.once("begun", "the file of $ALOFT_METRICS became shorter: it is read from its start")
	}
	buf := make([]byte, readBytes+1)
	for ctx.Err() == nil {
		n, err := f.ReadAt(buf, int64(src.GetOffset()))
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if n == 0 {
			break
		}
		b := buf[:n]
		atEnd := errors.Is(err, io.EOF)
		used := 0
		for used < len(b) {
			i := bytes.IndexByte(b[used:], '\n')
			if i < 0 && !(last && atEnd) {
				break
			}
			line := b[used:]
			if i >= 0 {
				line = line[:i+1]
			}
			used += len(line)
			m.line(src, line)
			src.Offset += uint64(len(line))
			if m.full() {
				if err := m.flush(proto.CloneOf(src)); err != nil {
					return err
				}
			}
		}
		if used == 0 {
			if n <= metrics.MostLine {
				break // the rest of the line is still to come
			}
			m.bad(src, errors.New("it is longer than 1 MiB"))
			src.Offset += uint64(n) // what is left of it counts as another bad line
		}
	}
	return m.flush(proto.CloneOf(src))
}

func (m *Meter) line(src *agentv1.MetricSource, line []byte) {
	src.Lines++
	samples, err := m.lines.Parse(line)
	if err != nil {
		m.bad(src, err)
		return
	}
	now := time.Now().UnixMilli()
	for _, s := range samples {
		m.add(src, s, now)
	}
}

func (m *Meter) bad(src *agentv1.MetricSource, err error) {
	m.batchOf(src).BadLines++
	if m.state.GetBadLines()+m.batch.GetBadLines() <= 5 {
		m.once("", fmt.Sprintf("%s, line %d: %v", filepath.Base(src.GetPath()), src.GetLines(), err))
	}
}

// readFile reads a file of metrics when it has changed.
func (m *Meter) readFile(name string, last bool) error {
	p := filepath.Join(m.o.Workdir, name)
	src := m.source(p, kindFile)
	info, err := os.Stat(p)
	if err != nil {
		return ignoreMissing(err)
	}
	if !info.Mode().IsRegular() || uint64(info.Size()) == src.GetSize() && info.ModTime().UnixNano() == src.GetModifiedNs() {
		return nil
	}
	if !last && time.Since(info.ModTime()) < lookEvery/2 {
		return nil // it may be half written
	}
	if info.Size() > mostFile {
		m.once("", fmt.Sprintf("%s is larger than 1 MiB and is not read", name))
		return nil
	}
	b, err := os.ReadFile(p)
	if err != nil {
		return ignoreMissing(err)
	}
	values, err := metrics.ParseFile(b)
	if err != nil {
		if last {
			m.batchOf(src).BadLines++
			m.once("", fmt.Sprintf("%s: %v", name, err))
		}
		return nil // the next look may see it whole
	}
	src.Size, src.ModifiedNs = uint64(info.Size()), info.ModTime().UnixNano()
	step, hasStep := int64(0), false
	for _, v := range values {
		if (v.Name == "step" || v.Name == "epoch" && !hasStep) && v.Series == nil && v.Value == float64(int64(v.Value)) {
			step, hasStep = int64(v.Value), true
		}
	}
	m.batchOf(src) // the file's place is remembered also when nothing is in it
	for _, v := range values {
		if v.Name == "step" || v.Name == "epoch" {
			continue
		}
		if v.Series == nil {
			m.add(src, metrics.Sample{Name: v.Name, Step: step, HasStep: hasStep, Value: v.Value}, info.ModTime().UnixMilli())
			continue
		}
		known := uint64(0)
		if s := m.series[v.Name]; s != nil {
			known = s.GetPoints()
		}
		// A list grows: what is new of it counts.
		for _, x := range v.Series[min(known, uint64(len(v.Series))):] {
			m.add(src, metrics.Sample{Name: v.Name, Value: x}, info.ModTime().UnixMilli())
		}
	}
	return m.flush(src)
}

// passOver remembers what lies in the working directory before the run: it is not of this run.
func (m *Meter) passOver() {
	for _, name := range []string{"metrics.json", "metrics.txt"} {
		p := filepath.Join(m.o.Workdir, name)
		if info, err := os.Stat(p); err == nil && info.Mode().IsRegular() {
			m.sources[p] = &agentv1.MetricSource{Path: p, Kind: kindFile, Size: uint64(info.Size()), ModifiedNs: info.ModTime().UnixNano()}
		}
	}
	m.findEvents(true)
}

// findEvents looks for event files. Those that are there before the run begin at their end.
func (m *Meter) findEvents(before bool) {
	root := m.o.Events
	if root == "" {
		root = m.o.Workdir
	}
	entries, events := 0, 0
	for _, s := range m.sources {
		if s.GetKind() == kindEvents {
			events++
		}
	}
	_ = filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if entries++; entries > mostEntries {
			return fs.SkipAll
		}
		if err != nil {
			return nil
		}
		if d.IsDir() {
			rel, _ := filepath.Rel(root, p)
			name := d.Name()
			if p != root && (strings.HasPrefix(name, ".") || name == "node_modules" || name == "__pycache__" || strings.Count(rel, string(filepath.Separator)) >= mostDepth) {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasPrefix(d.Name(), "events.out.tfevents.") || m.sources[p] != nil || !d.Type().IsRegular() {
			return nil
		}
		if events++; events > mostEvents {
			m.once("events", fmt.Sprintf("there are more than %d event files; %s and others are left out", mostEvents, d.Name()))
			return fs.SkipAll
		}
		src := &agentv1.MetricSource{Path: p, Kind: kindEvents, Directory: filepath.Dir(p)}
		if before {
			if info, err := d.Info(); err == nil {
				src.Offset = uint64(info.Size())
			}
		}
		src.Prefix = m.prefix(root, src.GetDirectory())
		m.sources[p] = src
		return nil
	})
}

// prefix tells series of several directories apart: "train/" of logs/train. Directories that are named by times, hosts and
// versions say nothing, as long as there is one of them.
func (m *Meter) prefix(root, dir string) string {
	rel, err := filepath.Rel(root, dir)
	if err != nil || rel == "." {
		return ""
	}
	rel = filepath.ToSlash(rel)
	want := path.Base(rel) + "/"
	switch strings.ToLower(path.Base(rel)) {
	case "runs", "logs", "log", "tensorboard", "tb", "tb_logs", "lightning_logs", "events", "summaries", "output", "out":
		want = ""
	}
	if strings.ContainsAny(want, "0123456789") {
		want = ""
	}
	for _, s := range m.sources {
		if s.GetKind() != kindEvents {
			continue
		}
		if s.GetDirectory() == dir {
			return s.GetPrefix()
		}
		if s.GetPrefix() == want {
			return rel + "/"
		}
	}
	return want
}

// readEvents reads whole records of an event file.
func (m *Meter) readEvents(ctx context.Context, known *agentv1.MetricSource) error {
	src := proto.CloneOf(known)
	f, err := os.Open(src.GetPath())
	if err != nil {
		return ignoreMissing(err)
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil || uint64(info.Size()) <= src.GetOffset() {
		return err
	}
	buf := make([]byte, 64<<10)
	for ctx.Err() == nil {
		n, err := f.ReadAt(buf, int64(src.GetOffset()))
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		b := buf[:n]
		moved := false
		for {
			data, size, err := metrics.NextRecord(b)
			if err != nil {
				m.once(src.GetPath(), fmt.Sprintf("%s: %v; the rest of it is not read", filepath.Base(src.GetPath()), err))
				src.Broken = true
				return m.flush(src)
			}
			if size > int64(len(b)) {
				switch whole := int64(src.GetOffset())+size <= info.Size(); {
				case size > metrics.MostRecord && whole:
					src.Offset += uint64(size)
					moved = true
				case size > int64(len(buf)) && size <= metrics.MostRecord && whole:
					buf, moved = make([]byte, size), true
				}
				break
			}
			samples, err := metrics.ParseEvent(data)
			if err != nil {
				m.batchOf(src).BadLines++
				m.once(src.GetPath()+"#", fmt.Sprintf("%s: %v", filepath.Base(src.GetPath()), err))
			}
			for _, s := range samples {
				s.Name = src.GetPrefix() + s.Name
				m.add(src, s, time.Now().UnixMilli())
			}
			src.Offset += uint64(size)
			b, moved = b[size:], true
			if m.full() {
				if err := m.flush(proto.CloneOf(src)); err != nil {
					return err
				}
			}
		}
		if !moved {
			break
		}
	}
	if src.GetOffset() != known.GetOffset() {
		m.batchOf(src)
	}
	return m.flush(src)
}

func ignoreMissing(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}
