package check

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/format"
	"aloft/tasks/check/frame"
	"aloft/tasks/check/nearest"
	"aloft/tasks/check/schema"
)

// Segmentation divides the rows by the values of a column.
type Segmentation struct {
	Column string
	// Bins is the number of parts of a numeric column; 0 is 4.
	Bins int
	// MaxCategories is the number of categories with a segment of their own.
	MaxCategories int
	// MinRows is the number of rows below which a segment is not checked.
	MinRows int
	// Checks are the checks to run; nil means all that look at tables.
	Checks []string

	line int
}

// The defaults of a segmentation.
const (
	defaultBins       = 4
	defaultCategories = 10
	defaultMinRows    = 30
	// commonShare is the share of rows that categories with a segment of their
	// own need cover; the rest are "Others".
	commonShare = 0.9
)

func (d *decoder) segmentBy(path string, n *yaml.Node) {
	s := Segmentation{MaxCategories: defaultCategories, MinRows: defaultMinRows, line: n.Line}
	d.text(&s.Column)(path, n)
	d.spec.Segments = append(d.spec.Segments, s)
}

func (d *decoder) segments(path string, n *yaml.Node) {
	if n.Kind != yaml.SequenceNode {
		d.fault(n, path, "must be a list of mappings with \"column\", not %s", describe(n))
		return
	}
	for i, e := range n.Content {
		e = resolve(e)
		at := fmt.Sprintf("%s[%d]", path, i)
		d.spec.lines[at] = e.Line
		s := Segmentation{MaxCategories: defaultCategories, MinRows: defaultMinRows, line: e.Line}
		whole := func(to *int, least int) func(string, *yaml.Node) {
			return func(path string, n *yaml.Node) {
				if n.Decode(to) != nil || *to < least || *to > 1000 {
					d.fault(n, path, "must be a whole number from %d to 1000, not %s", least, describe(n))
				}
			}
		}
		d.mapping(at, e, []entry{
			{"column", d.text(&s.Column)},
			{"bins", whole(&s.Bins, 2)},
			{"max_categories", whole(&s.MaxCategories, 1)},
			{"min_rows", whole(&s.MinRows, 1)},
			{"checks", func(path string, n *yaml.Node) {
				registry, err := d.spec.Kind.Registry()
				if err != nil {
					return // told elsewhere
				}
				for _, c := range d.names(path, n) {
					if registry.Lookup(c.name) == nil {
						d.report(c.line, c.path, unknown("check", c.name, registry.IDs()))
						continue
					}
					s.Checks = append(s.Checks, registry.Lookup(c.name).ID)
				}
			}},
		})
		if s.Column == "" && e.Kind == yaml.MappingNode && !has(e, "column") {
			d.fault(e, at, "the key \"column\" is missing")
		}
		d.spec.Segments = append(d.spec.Segments, s)
	}
}

// runSegments runs the checks on each segment and adds what they found to the
// report.
func (s *SuiteSpec) runSegments(ctx context.Context, r *Report, items []engine.Item, in *engine.Inputs) error {
	if r.Err != nil {
		return nil
	}
	for _, by := range s.Segments {
		chosen := by.items(items)
		parts, err := by.divide(in)
		if err != nil {
			return &SpecError{File: s.file, Problems: []Problem{{Line: by.line, Path: "segments", Message: err.Error()}}}
		}
		for _, p := range parts {
			if err := s.runSegment(ctx, r, chosen, in, by, p); err != nil {
				return err
			}
		}
	}
	return nil
}

// items are the checks that a segmentation runs: those that look at tables,
// are repeatable and were not asked about the table as a whole.
func (by Segmentation) items(items []engine.Item) []engine.Item {
	var out []engine.Item
	for _, item := range items {
		_, isSchema := item.Check.(*schema.Check)
		suits := item.Def.New != nil && item.Def.Scope != engine.ModelOnly && !item.Def.Alone && !isSchema && !isCommand(item.Check)
		if by.Checks != nil {
			suits = suits && slices.Contains(by.Checks, item.Def.ID)
		}
		if suits {
			item.Demanded = false
			out = append(out, item)
		}
	}
	return out
}

// part is one segment: its rows in both tables.
type part struct {
	name        string
	train, test []int32
}

func (s *SuiteSpec) runSegment(ctx context.Context, r *Report, items []engine.Item, in *engine.Inputs, by Segmentation, p part) error {
	sum := engine.Segment{Column: by.Column, Name: p.name, Train: len(p.train), Test: len(p.test), HasTest: in.Test != nil, MinRows: by.MinRows}
	if len(p.train) < by.MinRows || in.Test != nil && len(p.test) < by.MinRows {
		sum.TooSmall = true
		r.Segments = append(r.Segments, sum)
		return nil
	}
	sub := *in
	sub.Model, sub.Task, sub.Classes = nil, r.Task, r.Classes
	sub.Importance = segmentImportance(in, by.Column)
	var err error
	if sub.Train, err = segmentData(in.Train, p.train, by.Column); err == nil && in.Test != nil {
		sub.Test, err = segmentData(in.Test, p.test, by.Column)
	}
	if err != nil {
		return fmt.Errorf("segment %s: %w", p.name, err)
	}
	sub.TrainPredictions, sub.TestPredictions = segmentPredictions(in.TrainPredictions, p.train), segmentPredictions(in.TestPredictions, p.test)
	part, err := engine.Run(ctx, engine.Suite{Items: items}, sub)
	if err != nil {
		return err
	}
	if part.Err != nil {
		sum.Err = part.Err.Message
	}
	for _, o := range part.Outcomes {
		o.Segment = p.name
		o.Header += " · " + p.name
		if o.Err != nil && o.Err.Class == engine.NotEnoughSamples {
			o.Err = &engine.Error{Class: o.Err.Class, Cause: engine.Irrelevant, Message: o.Err.Message}
		}
		sum.Count(&o)
		r.Outcomes = append(r.Outcomes, o)
	}
	r.Segments = append(r.Segments, sum)
	return nil
}

// segmentData are some rows of a table. A column of categories, of which they
// have one, is left out; the others keep the roles they have in the whole.
func segmentData(d *frame.Dataset, rows []int32, column string) (*frame.Dataset, error) {
	roles := d.Roles()
	roles.Features, roles.Categorical = slices.Clone(d.Features()), slices.Clone(d.CategoricalFeatures())
	t := d.Table.Take(rows)
	if byCategory(d, column) && column != roles.Label && column != roles.Index && column != roles.Datetime {
		drop := func(name string) bool { return name == column }
		roles.Features, roles.Categorical = slices.DeleteFunc(roles.Features, drop), slices.DeleteFunc(roles.Categorical, drop)
		t = t.Without([]string{column})
	}
	if roles.Categorical == nil {
		roles.Categorical = []string{}
	}
	return frame.NewDataset(t, roles)
}

// segmentImportance weighs the features that a segment has.
func segmentImportance(in *engine.Inputs, column string) *engine.Importance {
	if in.Importance == nil || !byCategory(in.Train, column) {
		return in.Importance
	}
	out := *in.Importance
	out.Weights = maps.Clone(out.Weights)
	delete(out.Weights, column)
	return &out
}

func segmentPredictions(p *engine.Predictions, rows []int32) *engine.Predictions {
	if p == nil {
		return nil
	}
	out := &engine.Predictions{Classes: p.Classes}
	if p.Labels != nil {
		out.Labels = p.Labels.Take(rows)
	}
	for _, proba := range p.Proba {
		values := make([]float64, len(rows))
		for i, r := range rows {
			values[i] = proba[r]
		}
		out.Proba = append(out.Proba, values)
	}
	return out
}

// byCategory tells whether a column divides rows by its values, not by bins.
func byCategory(d *frame.Dataset, column string) bool {
	c := d.Column(column)
	return c != nil && (slices.Contains(d.CategoricalFeatures(), column) || c.Kind() == frame.Text || c.Kind() == frame.Bool)
}

// divide finds the segments on the train table and their rows in both.
func (by Segmentation) divide(in *engine.Inputs) ([]part, error) {
	c := in.Train.Column(by.Column)
	if c == nil {
		return nil, fmt.Errorf("the train table has no column %q to make segments of%s", by.Column, nearest.Hint(by.Column, in.Train.Names()))
	}
	tables := []*frame.Dataset{in.Train}
	if in.Test != nil {
		tables = append(tables, in.Test)
	}
	for _, t := range tables {
		if t.Column(by.Column) == nil {
			return nil, fmt.Errorf("the test table has no column %q to make segments of%s", by.Column, nearest.Hint(by.Column, t.Names()))
		}
		if t.Selection() != nil {
			return nil, fmt.Errorf("%s has more rows than are kept in memory, which segments need: raise max_rows_in_memory", t.Name())
		}
	}
	var names []string
	var of func(c *frame.Column) func(row int) int
	if byCategory(in.Train, by.Column) && by.Bins == 0 {
		names, of = by.categories(c)
	} else if !c.Kind().Numeric() && c.Kind() != frame.Time {
		return nil, fmt.Errorf("the column %q holds texts: leave out \"bins\"", by.Column)
	} else {
		names, of = by.bins(c)
	}
	names = append(names, "missing")
	parts := make([]part, len(names))
	for i, n := range names {
		parts[i].name = by.Column + " = " + n
		if strings.HasPrefix(n, "[") {
			parts[i].name = by.Column + " in " + n
		}
	}
	for k, t := range tables {
		col := t.Column(by.Column)
		place := of(col)
		for row := range col.Len() {
			at := len(names) - 1
			if !col.IsNull(row) {
				at = place(row)
			}
			if k == 0 {
				parts[at].train = append(parts[at].train, int32(row))
			} else {
				parts[at].test = append(parts[at].test, int32(row))
			}
		}
	}
	return slices.DeleteFunc(parts, func(p part) bool { return len(p.train)+len(p.test) == 0 }), nil
}

// categories are the most frequent values until they cover most rows; the
// others share a segment.
func (by Segmentation) categories(c *frame.Column) ([]string, func(*frame.Column) func(int) int) {
	counts := make(map[uint64]int)
	var order []uint64
	present := 0
	for row := range c.Len() {
		if c.IsNull(row) {
			continue
		}
		b := c.Bits(row)
		if counts[b] == 0 {
			order = append(order, b)
		}
		counts[b]++
		present++
	}
	slices.SortStableFunc(order, func(a, b uint64) int { return cmp.Compare(counts[b], counts[a]) })
	index := make(map[frame.Value]int)
	var names []string
	covered := 0
	for _, b := range order {
		if len(names) == by.MaxCategories || float64(covered) >= commonShare*float64(present) {
			break
		}
		v := c.FromBits(b)
		index[v.Key()] = len(names)
		names = append(names, format.Truncate(v.String(), 60))
		covered += counts[b]
	}
	others := len(names)
	names = append(names, "Others")
	return names, func(c *frame.Column) func(int) int {
		seen := make(map[uint64]int) // each distinct cell is looked up once
		return func(row int) int {
			b := c.Bits(row)
			at, ok := seen[b]
			if !ok {
				if at, ok = index[c.FromBits(b).Key()]; !ok {
					at = others
				}
				seen[b] = at
			}
			return at
		}
	}
}

// bins are parts of about as many rows, between quantiles of the train table.
// What lies outside in the test table belongs to the first or last part.
func (by Segmentation) bins(c *frame.Column) ([]string, func(*frame.Column) func(int) int) {
	value := func(c *frame.Column, row int) float64 {
		if c.Kind() == frame.Time {
			return float64(int64(c.Bits(row)))
		}
		return c.Float(row)
	}
	var values []float64
	for row := range c.Len() {
		if !c.IsNull(row) {
			values = append(values, value(c, row))
		}
	}
	slices.Sort(values)
	edges := segmentEdges(values, cmp.Or(by.Bins, defaultBins))
	label := func(f float64) string {
		if c.Kind() == frame.Time {
			return time.Unix(0, int64(f)).UTC().Format("2006-01-02 15:04")
		}
		return format.Number(f)
	}
	var names []string
	for i := 0; i+1 < len(edges); i++ {
		end := ")"
		if i+2 == len(edges) {
			end = "]"
		}
		names = append(names, "["+label(edges[i])+" - "+label(edges[i+1])+end)
	}
	if len(edges) == 1 {
		names = []string{label(edges[0])}
	}
	if len(edges) == 0 {
		names = []string{"all"}
	}
	return names, func(c *frame.Column) func(int) int {
		return func(row int) int {
			v, at := value(c, row), 0
			for at+1 < len(names) && v >= edges[at+1] {
				at++
			}
			return at
		}
	}
}

// segmentEdges are quantiles at equal steps, more of them tried where they
// coincide, never more than parts + 1.
func segmentEdges(sorted []float64, parts int) []float64 {
	if len(sorted) == 0 {
		return nil
	}
	var edges []float64
	for steps := parts; ; steps *= 2 {
		next := make([]float64, 0, steps+1)
		for i := range steps + 1 {
			if q := quantile(sorted, float64(i)/float64(steps)); len(next) == 0 || q != next[len(next)-1] {
				next = append(next, q)
			}
		}
		if edges != nil && (len(next) == len(edges) || len(next) > parts+1) {
			return edges
		}
		if edges = next; len(edges) == parts+1 {
			return edges
		}
	}
}

func quantile(sorted []float64, q float64) float64 {
	at := q * float64(len(sorted)-1)
	low := int(math.Floor(at))
	if low+1 >= len(sorted) {
		return sorted[len(sorted)-1]
	}
	a, b := sorted[low], sorted[low+1]
	if a == b { // infinities included
		return a
	}
	return a + (b-a)*(at-float64(low))
}
