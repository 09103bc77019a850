package bridge

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
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
	// Ranks is how many ranks of the job read a part each, 0 for all, and Run
	// numbers the runs of the program.
	Ranks int `json:"ranks"`
	Run   int `json:"run"`
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
	// Properties asks for the properties of the train texts instead of a run.
	Properties bool `json:"properties"`
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

func failureOf(err error) failure {
	f := failure{Class: engine.ValueError, Message: err.Error()}
	if e := (*engine.Error)(nil); errors.As(err, &e) {
		f.Class = e.Class
	}
	return f
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
	s := &server{wire: &wire{r: bufio.NewReaderSize(conn, 1<<20), w: conn}, own: part{sets: make(map[engine.Which]*images.Set), tables: make(map[engine.Which]string)}, color: color}
	defer s.close()
	err := s.serve(ctx)
	if err == nil {
		return nil
	}
	if told := s.send(frameError, failureOf(err)); told != nil {
		err = errors.Join(err, told)
	}
	return &Failed{err}
}

type server struct {
	*wire
	color bool
	req   request
	spec  *check.SuiteSpec
	ranks *ranks // nil for one
	own   part   // what was read here
	dir   string // of tables; "" before there are any
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
	if s.ranks, err = ranksOf(os.Getenv, s.req.Ranks); err != nil {
		return err
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
			if f.Properties {
				return s.properties()
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
	if len(set.Records)+len(set.Faults) == 0 && set.Partial == "" && s.ranks == nil {
		return engine.Errorf(engine.ValueError, "the %s loader gave no sample: it is empty", d.Which)
	}
	s.own.sets[d.Which] = set
	return nil
}

// tableDir makes the folder of tables.
func (s *server) tableDir() error {
	if s.dir != "" {
		return nil
	}
	dir, err := os.MkdirTemp("", "aloft-bridge-")
	if err != nil {
		return fmt.Errorf("make a folder for tables: %w", err)
	}
	s.dir = dir
	return nil
}

// table keeps one table as a file.
func (s *server) table(d *dataset, p *pieces) error {
	if err := s.tableDir(); err != nil {
		return err
	}
	path := filepath.Join(s.dir, string(d.Which)+".arrow")
	if err := keep(path, p); err != nil {
		return err
	}
	if p.end.Error != "" {
		return engine.Errorf(engine.ProcessError, "the %s table could not be sent:\n%s", d.Which, p.end.Error)
	}
	s.own.tables[d.Which] = path
	return nil
}

// run runs the checks and answers with the report. Of several ranks, rank 0
// does so for all.
func (s *server) run(ctx context.Context, elsewhere []ranElsewhere) error {
	if s.ranks == nil {
		a, err := s.judge(ctx, []*part{&s.own}, elsewhere)
		if err != nil {
			return err
		}
		return s.pass(a)
	}
	if s.ranks.rank > 0 {
		a, err := s.ranks.deliver(ctx, hello{Rank: s.ranks.rank, Run: s.req.Run}, &s.own)
		if err != nil {
			return err
		}
		return s.pass(a)
	}
	dir := "" // sets stay in memory
	if s.spec == nil {
		if err := s.tableDir(); err != nil {
			return err
		}
		dir = s.dir
	}
	parts, tell, err := s.ranks.gather(ctx, s.req.Run, dir)
	if err != nil {
		return err
	}
	parts[0] = &s.own
	a, err := s.judge(ctx, parts, elsewhere)
	if err != nil {
		if told, encoding := framed(frameError, failureOf(err)); encoding == nil {
			tell(told)
		}
		return err
	}
	tell(a)
	return s.pass(a)
}

// pass hands an answer on.
func (s *server) pass(a answer) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	frame := binary.LittleEndian.AppendUint32([]byte{a.kind}, uint32(len(a.data)))
	if _, err := s.w.Write(append(frame, a.data...)); err != nil {
		return fmt.Errorf("answer the program that streams the data: %w", err)
	}
	return nil
}

// judge runs the checks on the parts together.
func (s *server) judge(ctx context.Context, parts []*part, elsewhere []ranElsewhere) (answer, error) {
	r, err := s.report(ctx, parts)
	if err != nil {
		return answer{}, err
	}
	for i := range elsewhere {
		if len(parts) > 1 {
			elsewhere[i].Notes = append(elsewhere[i].Notes, "Computed on the part of rank 0 alone.")
		}
		r.Outcomes = append(r.Outcomes, elsewhere[i].outcome())
	}
	lasting := r
	if !s.req.Timings {
		lasting = r.Untimed()
	}
	if err := suitecmd.Deliver(lasting, s.req.Out, s.req.HTML); err != nil {
		return answer{}, err
	}
	out := result{Passed: r.Passed()}
	for _, form := range []struct {
		write func(io.Writer, *engine.Report) error
		keep  func([]byte)
	}{
		{report.JSON, func(b []byte) { out.Report = b }},
		{report.Deepchecks, func(b []byte) { out.Deepchecks = b }},
		{report.HTML, func(b []byte) { out.HTML = string(b) }},
		{report.Markdown, func(b []byte) { out.Markdown = string(b) }},
		{report.JUnit, func(b []byte) { out.JUnit = string(b) }},
		{func(w io.Writer, r *engine.Report) error {
			return report.Text(w, r, report.TextOptions{Color: s.color})
		}, func(b []byte) { out.Text = string(b) }},
	} {
		var b bytes.Buffer
		if err := form.write(&b, lasting); err != nil {
			return answer{}, err
		}
		form.keep(b.Bytes())
	}
	return framed(frameResult, out)
}

// report runs the document's checks.
func (s *server) report(ctx context.Context, parts []*part) (*check.Report, error) {
	if s.spec != nil {
		s.spec.Progress = s.progress
		train, err := merged(parts, engine.Train)
		if err != nil {
			return nil, err
		}
		test, err := merged(parts, engine.Test)
		if err != nil {
			return nil, err
		}
		return check.RunImages(ctx, s.spec, s.req.Dir, train, test)
	}
	for _, side := range sides() {
		var files []any
		for _, p := range parts {
			if path := p.tables[side]; path != "" {
				files = append(files, path)
			}
		}
		if len(files) > 0 {
			s.req.Document[string(side)] = files
		}
	}
	spec, err := check.SpecFromMap(s.req.Document)
	if err != nil {
		return nil, err
	}
	spec.Progress = s.progress
	r, err := check.RunSpec(ctx, spec, s.req.Dir)
	if err == nil && len(parts) > 1 {
		r.Train.Ranks = len(parts)
	}
	return r, err
}

// merged joins what the ranks have read of one side; nil if none has.
func merged(parts []*part, side engine.Which) (*images.Set, error) {
	var sets []*images.Set
	for i, p := range parts {
		switch set := p.sets[side]; {
		case set != nil:
			sets = append(sets, set)
		case len(sets) > 0:
			return nil, engine.Errorf(engine.ValueError, "rank %d gave no %s data, rank 0 did: every rank must give its part of the same", i, side)
		}
	}
	switch len(sets) {
	case 0:
		return nil, nil
	case 1:
		if len(parts) > 1 {
			return nil, engine.Errorf(engine.ValueError, "only one rank gave %s data: every rank must give its part", side)
		}
		return sets[0], nil
	}
	set, err := images.Merge(sets...)
	if err == nil && len(set.Records)+len(set.Faults) == 0 && set.Partial == "" {
		err = engine.Errorf(engine.ValueError, "the %s loaders of all ranks gave no sample: they are empty", side)
	}
	return set, err
}

func (s *server) progress(step engine.Step) {
	_ = s.send(frameProgress, map[string]any{"done": step.Done, "total": step.Total, "check": step.Check}) // one that is gone is noticed by the answer
}
