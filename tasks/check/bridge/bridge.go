package bridge

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"aloft/tasks/check"
	"aloft/tasks/check/engine"
	"aloft/tasks/check/images"
	"aloft/tasks/check/report"
	"aloft/tasks/check/suitecmd"
)

// request is what to run.
type request struct {
	Protocol int            `json:"protocol"`
	Kind     string         `json:"kind"`
	Document map[string]any `json:"document"`
	Dir      string         `json:"dir"`
	Out      string         `json:"out"`
	HTML     string         `json:"html"`
	Timings  bool           `json:"timings"`
}

// dataset begins a data set.
type dataset struct {
	Which    engine.Which      `json:"which"`
	Name     string            `json:"name"`
	LabelMap map[string]string `json:"label_map"`
	Total    int               `json:"total"`
	Custom   []struct {
		Name string              `json:"name"`
		Kind images.PropertyKind `json:"kind"`
	} `json:"custom"`
}

// final is what comes with the request to run.
type final struct {
	Checks []ranElsewhere `json:"checks"`
}

// result is the answer.
type result struct {
	Passed     bool            `json:"passed"`
	Report     json.RawMessage `json:"report"`
	Deepchecks json.RawMessage `json:"deepchecks"`
	HTML       string          `json:"html"`
	Markdown   string          `json:"markdown"`
	JUnit      string          `json:"junit"`
	Text       string          `json:"text"`
}

// failure is the answer where the request cannot be served.
type failure struct {
	Class   engine.Class `json:"class"`
	Message string       `json:"message"`
}

// Failed is a request that could not be served; the other side was told.
type Failed struct{ err error }

// Error tells why.
func (f *Failed) Error() string { return f.err.Error() }

// Unwrap returns why.
func (f *Failed) Unwrap() error { return f.err }

// Serve reads one request and its data from conn, runs it and answers. What
// cannot be served is answered and returned as *Failed. Cancelling the context
// ends it between batches; to end it at once, close conn.
func Serve(ctx context.Context, conn io.ReadWriter, color bool) error {
	s := &server{wire: &wire{r: bufio.NewReaderSize(conn, 1<<20), w: conn}, sets: make(map[engine.Which]*images.Set), tables: make(map[engine.Which]string), color: color}
	defer s.close()
	err := s.serve(ctx)
	if err == nil {
		return nil
	}
	f := failure{Class: engine.ValueError, Message: err.Error()}
	if e := (*engine.Error)(nil); errors.As(err, &e) {
		f.Class = e.Class
	}
	if told := s.send(frameError, f); told != nil {
		err = errors.Join(err, told)
	}
	return &Failed{err}
}

type server struct {
	*wire
	color  bool
	req    request
	spec   *check.SuiteSpec
	sets   map[engine.Which]*images.Set
	tables map[engine.Which]string
	dir    string // of tables; "" before there are any
}

func (s *server) close() {
	if s.dir != "" {
		_ = os.RemoveAll(s.dir) // best effort: a folder of ours for temporary files
	}
}

func (s *server) serve(ctx context.Context) error {
	kind, length, err := s.next()
	if err != nil {
		return err
	}
	if kind != frameRequest {
		return fmt.Errorf("the first frame is %q, not the request", kind)
	}
	if err := s.object(length, &s.req); err != nil {
		return err
	}
	if s.req.Protocol != Version {
		return fmt.Errorf("the bridge speaks version %d of the protocol, this engine version %d: install aloft_checks and sky of one version", s.req.Protocol, Version)
	}
	if s.req.Document == nil {
		s.req.Document = make(map[string]any)
	}
	s.req.Document["kind"] = s.req.Kind
	if check.Kind(s.req.Kind) == check.Vision {
		if s.spec, err = check.SpecFromMap(s.req.Document); err != nil {
			return err
		}
	}
	for {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("read data: %w", err)
		}
		kind, length, err := s.next()
		if err != nil {
			return err
		}
		switch kind {
		case frameData:
			var d dataset
			if err := s.object(length, &d); err != nil {
				return err
			}
			if err := s.read(&d); err != nil {
				return err
			}
		case frameGo:
			var f final
			if err := s.object(length, &f); err != nil {
				return err
			}
			return s.run(ctx, f.Checks)
		default:
			return fmt.Errorf("a frame %q between data sets", kind)
		}
	}
}

// read reads one data set.
func (s *server) read(d *dataset) error {
	if d.Which != engine.Train && d.Which != engine.Test {
		return fmt.Errorf("a data set is train or test, not %q", d.Which)
	}
	p := &pieces{c: s.wire}
	if s.spec == nil {
		return s.table(d, p)
	}
	o := s.spec.ImageOptions()
	o.Name = d.Name
	for key, name := range d.LabelMap {
		class, err := strconv.Atoi(key)
		if err != nil || class < 0 || class >= images.MaxClasses {
			return engine.Errorf(engine.ValueError, "label_map: %q is no number of a class from 0 to %d", key, images.MaxClasses-1)
		}
		if o.Classes == nil {
			o.Classes = make(map[int]string)
		}
		o.Classes[class] = name
	}
	for _, c := range d.Custom {
		if !slices.Contains([]images.PropertyKind{images.Numerical, images.Categorical, images.ClassID}, c.Kind) {
			return engine.Errorf(engine.ValueError, "the property %q is of the kind %q; known are %s, %s and %s", c.Name, c.Kind, images.Numerical, images.Categorical, images.ClassID)
		}
		o.Custom = append(o.Custom, images.Property{Name: c.Name, Kind: c.Kind})
	}
	b := images.NewBuilder(o)
	err := images.ReadStream(p, string(d.Which), b)
	if errors.Is(err, images.ErrEnough) {
		if err = s.send(frameEnough, map[string]any{"which": d.Which}); err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, p)
	}
	switch {
	case err != nil && p.end != nil && p.end.Error != "": // the loader raised before its first batch was whole
	case err != nil:
		return fmt.Errorf("read the %s images: %w", d.Which, err)
	}
	if p.end == nil {
		if _, err := io.Copy(io.Discard, p); err != nil {
			return fmt.Errorf("read the %s images: %w", d.Which, err)
		}
	}
	if p.end.Error != "" {
		b.Interrupt(p.end.Error)
	}
	set := b.Set()
	set.Total = max(d.Total, set.Total)
	if len(set.Records)+len(set.Faults) == 0 && set.Partial == "" {
		return engine.Errorf(engine.ValueError, "the %s loader gave no sample: it is empty", d.Which)
	}
	s.sets[d.Which] = set
	return nil
}

// table keeps one table as a file.
func (s *server) table(d *dataset, p *pieces) error {
	if s.dir == "" {
		dir, err := os.MkdirTemp("", "aloft-bridge-")
		if err != nil {
			return fmt.Errorf("make a folder for tables: %w", err)
		}
		s.dir = dir
	}
	path := filepath.Join(s.dir, string(d.Which)+".arrow")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("keep the %s table: %w", d.Which, err)
	}
	_, err = io.Copy(f, p)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("keep the %s table: %w", d.Which, err)
	}
	if p.end.Error != "" {
		return engine.Errorf(engine.ProcessError, "the %s table could not be sent:\n%s", d.Which, p.end.Error)
	}
	s.tables[d.Which] = path
	return nil
}

// run runs the checks and answers with the report.
func (s *server) run(ctx context.Context, elsewhere []ranElsewhere) error {
	var r *check.Report
	var err error
	if s.spec != nil {
		s.spec.Progress = s.progress
		r, err = check.RunImages(ctx, s.spec, s.req.Dir, s.sets[engine.Train], s.sets[engine.Test])
	} else {
		for which, path := range s.tables {
			s.req.Document[string(which)] = path
		}
		if s.spec, err = check.SpecFromMap(s.req.Document); err != nil {
			return err
		}
		s.spec.Progress = s.progress
		r, err = check.RunSpec(ctx, s.spec, s.req.Dir)
	}
	if err != nil {
		return err
	}
	for i := range elsewhere {
		r.Outcomes = append(r.Outcomes, elsewhere[i].outcome())
	}
	lasting := r
	if !s.req.Timings {
		lasting = r.Untimed()
	}
	if err := suitecmd.Deliver(lasting, s.req.Out, s.req.HTML); err != nil {
		return err
	}
	answer := result{Passed: r.Passed()}
	for _, form := range []struct {
		write func(io.Writer, *engine.Report) error
		keep  func([]byte)
	}{
		{report.JSON, func(b []byte) { answer.Report = b }},
		{report.Deepchecks, func(b []byte) { answer.Deepchecks = b }},
		{report.HTML, func(b []byte) { answer.HTML = string(b) }},
		{report.Markdown, func(b []byte) { answer.Markdown = string(b) }},
		{report.JUnit, func(b []byte) { answer.JUnit = string(b) }},
		{func(w io.Writer, r *engine.Report) error {
			return report.Text(w, r, report.TextOptions{Color: s.color})
		}, func(b []byte) { answer.Text = string(b) }},
	} {
		var b bytes.Buffer
		if err := form.write(&b, lasting); err != nil {
			return err
		}
		form.keep(b.Bytes())
	}
	return s.send(frameResult, answer)
}

func (s *server) progress(step engine.Step) {
	_ = s.send(frameProgress, map[string]any{"done": step.Done, "total": step.Total, "check": step.Check}) // one that is gone is noticed by the answer
}
