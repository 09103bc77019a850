// Package baseline compares a report with an earlier one: which conditions
// fail now that held, which numbers got worse and by how much.
package baseline

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/report"
)

// DefaultTolerance is the share of its earlier value by which a measure may
// get worse.
const DefaultTolerance = 0.05

// leastBase is what the tolerance is a share of when a share or a score, both
// between -1 and 1, is smaller: from 0.001 to 0.002 is twice as much and means
// nothing.
const leastBase = 0.2

// errNotAReport reports a file of another kind.
var errNotAReport = errors.New("it is no report of sky test")

// Compare sets a report against an earlier one in the form of report.JSON.
func Compare(earlier []byte, r *engine.Report, name string, tolerance float64) (*engine.Comparison, error) {
	before, err := read(earlier)
	if err != nil {
		return nil, fmt.Errorf("read the baseline %s: %w", name, err)
	}
	var now bytes.Buffer
	if err := report.JSON(&now, r); err != nil {
		return nil, err
	}
	after, err := read(now.Bytes())
	if err != nil {
		return nil, fmt.Errorf("read the report again: %w", err)
	}
	c := &comparer{out: &engine.Comparison{Name: name, Tolerance: tolerance}, failOn: r.FailOn, kind: r.Kind}
	c.circumstances(before, after)
	c.checks(before, after)
	c.sort()
	return c.out, nil
}

// document is a report as it is read back.
type document struct {
	top    engine.Object
	checks []result
}

// result is one run of one check in a report.
type result struct {
	check, header, which, segment string
	params                        string // as JSON
	value, reduced                any
	conditions                    []condition
	failure                       string // class and message of what kept it from running
	blamed                        bool
}

type condition struct{ id, name, category, details string }

func read(src []byte) (*document, error) {
	v, err := report.Unmarshal(src)
	if err != nil {
		return nil, err
	}
	top, ok := v.(engine.Object)
	list, ok2 := top.Get("checks").([]any)
	if !ok || !ok2 {
		return nil, errNotAReport
	}
	d := &document{top: top}
	for _, e := range list {
		o, ok := e.(engine.Object)
		if !ok || text(o, "check") == "" {
			return nil, errNotAReport
		}
		r := result{
			check: text(o, "check"), header: cmp.Or(text(o, "header"), text(o, "name"), text(o, "check")), which: text(o, "dataset"), segment: text(o, "segment"),
			value: revive(o.Get("value")), reduced: o.Get("reduced"),
		}
		if r.segment != "" { // it has a column of its own
			r.header = strings.TrimSuffix(r.header, " · "+r.segment)
		}
		if b, err := report.Marshal(o.Get("params")); err == nil {
			r.params = string(b)
		}
		if e, ok := o.Get("error").(engine.Object); ok {
			r.failure = text(e, "class") + ": " + text(e, "message")
			r.blamed = text(e, "kind") == string(engine.Failed)
		}
		r.conditions = conditions(o)
		d.checks = append(d.checks, r)
	}
	return d, nil
}

func conditions(o engine.Object) []condition {
	var out []condition
	params := list(o.Get("condition_params"))
	for i, e := range list(o.Get("conditions")) {
		c, ok := e.(engine.Object)
		if !ok {
			continue
		}
		one := condition{name: text(c, "name"), category: text(c, "category"), details: text(c, "details")}
		if i < len(params) {
			if p, ok := params[i].(engine.Object); ok {
				one.id = text(p, "id")
			}
		}
		out = append(out, one)
	}
	return out
}

func text(o engine.Object, key string) string {
	s, ok := o.Get(key).(string)
	if !ok {
		return ""
	}
	return s
}

func list(v any) []any {
	l, ok := v.([]any)
	if !ok {
		return nil
	}
	return l
}

type comparer struct {
	out    *engine.Comparison
	failOn engine.FailOn
	kind   string // of the report's data
}

// circumstances notes what makes the reports less comparable.
func (c *comparer) circumstances(before, after *document) {
	for _, key := range []string{"dataset", "random_state", "compat"} {
		a, b := before.top.Get(key), after.top.Get(key)
		if a != b {
			c.out.Notes = append(c.out.Notes, fmt.Sprintf("%s was %s and is %s", key, plain(a), plain(b)))
		}
	}
}

func plain(v any) string {
	if v == nil {
		return "none"
	}
	return fmt.Sprint(v)
}

// checks pairs the checks of both reports: the same check of the same table,
// with the same parameters if there is one, else in the order they come.
func (c *comparer) checks(before, after *document) {
	taken := make([]bool, len(before.checks))
	same := func(a, b *result) bool { return a.check == b.check && a.which == b.which && a.segment == b.segment }
	pair := make([]int, len(after.checks))
	for _, strict := range []bool{true, false} {
		for i := range after.checks {
			if strict {
				pair[i] = -1
			}
			for k := range before.checks {
				if pair[i] < 0 && !taken[k] && same(&after.checks[i], &before.checks[k]) && (!strict || after.checks[i].params == before.checks[k].params) {
					pair[i], taken[k] = k, true
				}
			}
		}
	}
	for i := range after.checks {
		now := &after.checks[i]
		if pair[i] < 0 {
			continue // new: it has nothing to be worse than
		}
		was := &before.checks[pair[i]]
		if was.params != now.params {
			c.note(now.header + " had other parameters")
		}
		c.ran(was, now)
		c.conditions(was, now)
		if was.failure == "" && now.failure == "" {
			c.measures(was, now)
		}
	}
	var absent []string
	for k := range before.checks {
		was := &before.checks[k]
		if taken[k] || was.failure != "" {
			continue
		}
		what := was.header + side(was)
		if was.segment != "" {
			what = "the segment " + was.segment
		}
		if !slices.Contains(absent, what) {
			absent = append(absent, what)
		}
	}
	if n := len(absent); n > mostAbsent {
		absent = append(absent[:mostAbsent], fmt.Sprintf("%d more", n-mostAbsent))
	}
	if len(absent) > 0 {
		c.note("not checked any more: " + strings.Join(absent, ", "))
	}
}

// mostAbsent is how many of the checks that the baseline had, and the report
// has not, are named.
const mostAbsent = 8

func side(r *result) string {
	if r.which == "" {
		return ""
	}
	return " (" + r.which + ")"
}

func (c *comparer) note(s string) {
	if !slices.Contains(c.out.Notes, s) {
		c.out.Notes = append(c.out.Notes, s)
	}
}

func (c *comparer) turn(r *result, condition, before, after, details string, kind engine.Movement) {
	c.out.Turns = append(c.out.Turns, engine.Turn{Check: r.header, Which: r.which, Segment: r.segment, Condition: condition, Before: before, After: after, Details: details, Kind: kind})
}

const (
	ran    = "ran"
	notRun = "not run"
)

func (c *comparer) ran(was, now *result) {
	switch {
	case was.failure == "" && now.failure != "":
		kind := engine.Moved
		if now.blamed {
			kind = engine.Worse
		}
		c.turn(now, "", ran, notRun, now.failure, kind)
	case was.failure != "" && now.failure == "":
		c.turn(now, "", notRun, ran, was.failure, engine.Better)
	}
}

// conditions pairs conditions by their ID and order among those of that ID.
func (c *comparer) conditions(was, now *result) {
	taken := make([]bool, len(was.conditions))
	for _, n := range now.conditions {
		at := slices.IndexFunc(was.conditions, func(w condition) bool { return w.name == n.name })
		if at < 0 || taken[at] {
			at = -1
			for k, w := range was.conditions {
				if !taken[k] && w.id != "" && w.id == n.id {
					at = k
					break
				}
			}
		}
		if at < 0 {
			continue
		}
		taken[at] = true
		w := was.conditions[at]
		if w.name != n.name {
			c.note(fmt.Sprintf("%s: the condition was %q", now.header, w.name))
		}
		if w.category == n.category {
			continue
		}
		kind := engine.Moved
		switch a, b := rank(w.category), rank(n.category); {
		case b < a:
			kind = engine.Better
		case b == 2 && a < 2, b == 1 && a == 0 && c.failOn == engine.FailOnWarn:
			kind = engine.Worse
		}
		c.turn(now, n.name, w.category, n.category, n.details, kind)
	}
}

// rank orders categories from good to bad.
func rank(category string) int {
	switch engine.Verdict(category) {
	case engine.Pass:
		return 0
	case engine.Warn:
		return 1
	}
	return 2
}

func (c *comparer) measures(was, now *result) {
	rule := ruleOf(c.kind, now.check)
	before := rule.measures(was)
	for _, m := range rule.measures(now) {
		at := slices.IndexFunc(before, func(b measure) bool { return b.name == m.name })
		if at < 0 {
			continue
		}
		c.measure(now, m, before[at].value)
	}
}

func (c *comparer) measure(r *result, m measure, before float64) {
	step := m.value - before
	most := c.out.Tolerance * math.Abs(before)
	if math.Abs(before) <= 1 && math.Abs(m.value) <= 1 {
		most = max(most, c.out.Tolerance*leastBase)
	}
	if math.Abs(step) <= most || step == 0 {
		c.out.Steady++
		return
	}
	kind := engine.Moved
	switch {
	case m.better == lower && step > 0, m.better == higher && step < 0:
		kind = engine.Worse
	case m.better != neither:
		kind = engine.Better
	}
	share := math.Inf(int(math.Copysign(1, step)))
	if before != 0 {
		share = step / math.Abs(before)
	}
	c.out.Changes = append(c.out.Changes, engine.Change{
		Check: r.header, Which: r.which, Segment: r.segment, Measure: m.name, Before: before, After: m.value, Share: share, Kind: kind,
	})
}

// sort puts what got worse first, and of the measures the largest changes.
func (c *comparer) sort() {
	order := func(m engine.Movement) int {
		return slices.Index([]engine.Movement{engine.Worse, engine.Moved, engine.Better}, m)
	}
	slices.SortStableFunc(c.out.Turns, func(a, b engine.Turn) int { return order(a.Kind) - order(b.Kind) })
	slices.SortStableFunc(c.out.Changes, func(a, b engine.Change) int {
		return cmp.Or(order(a.Kind)-order(b.Kind), cmp.Compare(math.Abs(b.Share), math.Abs(a.Share)), strings.Compare(a.Check, b.Check))
	})
}
