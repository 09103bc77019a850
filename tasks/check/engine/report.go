package engine

import (
	"slices"
	"time"

	"aloft/tasks/check/frame"
	"aloft/tasks/check/images"
)

// FailOn says from which verdict on a report fails.
type FailOn string

// The thresholds.
const (
	FailOnFail FailOn = "fail"
	FailOnWarn FailOn = "warn"
	FailNever  FailOn = "never"
)

// Sampled tells whether a check looked at a part of the rows only.
type Sampled struct {
	// Train and Test are the rows used; equal to the totals when all were.
	Train, Test           int
	TrainTotal, TestTotal int
}

// Outcome is one run of one check.
type Outcome struct {
	Suite string // the suite it came from; "" when named singly
	Def   *Definition
	Args  Args
	// Which is the table of a single-dataset check, "" for others.
	Which Which
	// Segment is the part of the rows that the check ran on, "" for all.
	Segment string
	Header  string
	Result  Result
	// Conditions holds the judgements in the order of the conditions.
	Conditions []Judged
	// Err tells why the check did not run; nil if it did.
	Err      *Error
	Demanded bool
	Sampled  Sampled
	// Notes are remarks of the check on how it came to its result.
	Notes   []string
	Elapsed time.Duration
}

// The kinds of data.
const (
	KindTabular = "tabular"
	KindVision  = "vision"
	KindNLP     = "nlp"
)

// Report is the outcome of a suite.
type Report struct {
	Kind    string // KindTabular, KindVision or KindNLP
	Name    string // what the data are called
	Suite   string
	Mode    Mode
	Seed    uint32
	FailOn  FailOn
	Task    Task
	Classes []frame.Value
	Train   Shape
	Test    *Shape
	// Started and Elapsed are zero in a report without times.
	Started  time.Time
	Elapsed  time.Duration
	Outcomes []Outcome
	// Err tells why the suite refused to run at all; Outcomes is empty then.
	Err *Error
	// Segments sums up the parts of the rows that were checked by themselves;
	// their outcomes are among Outcomes.
	Segments []Segment
	// Baseline tells how the report stands against an earlier one; nil when it
	// was not compared.
	Baseline *Comparison
}

// Shape describes a table.
type Shape struct {
	Rows, Columns                    int
	Features, Categorical, Numerical []string
	Label, Index, Datetime           string
	// Faults are samples that could not be used, Partial why reading ended
	// before the data did, "" when it did not. Both count against the report.
	Faults  []images.Fault
	Partial string
	// Ranks is how many ranks read a part each, 0 for one.
	Ranks int
}

// Whole reports whether every sample could be used.
func (s *Shape) Whole() bool { return s == nil || len(s.Faults) == 0 && s.Partial == "" }

// Counts tallies conditions and checks that did not run.
type Counts struct {
	Pass, Warn, Fail, Error int
	// NotRun counts checks that ought to have run, Skipped those that the
	// task or the inputs have no use for.
	NotRun, Skipped int
	// Plain counts checks that ran and carry no condition.
	Plain int
}

// Counts tallies the report.
func (r *Report) Counts() Counts {
	var n Counts
	for i := range r.Outcomes {
		o := &r.Outcomes[i]
		switch {
		case o.Err != nil && o.blames():
			n.NotRun++
		case o.Err != nil:
			n.Skipped++
		case len(o.Conditions) == 0:
			n.Plain++
		}
		for _, c := range o.Conditions {
			switch c.Verdict {
			case Pass:
				n.Pass++
			case Warn:
				n.Warn++
			case Fail:
				n.Fail++
			default:
				n.Error++
			}
		}
	}
	return n
}

// blames reports whether the check's not running counts against the report.
func (o *Outcome) blames() bool {
	return o.Err != nil && (o.Err.Cause == Failed || o.Err.Cause == Missing && o.Demanded)
}

// Verdict reports whether the report is acceptable. FailOnFail rejects a
// failed condition, a condition that could not be judged, a check that ought
// to have run and did not, and a report in which nothing was judged or run.
// Samples
// that could not be used reject it too. FailOnWarn also rejects warnings. FailNever accepts everything. In mode
// Deepchecks, checks that did not run are forgiven, as there.
func (r *Report) Verdict(failOn FailOn) bool {
	if failOn == FailNever {
		return true
	}
	if r.Err != nil {
		return false
	}
	n := r.Counts()
	bad := n.Fail + n.Error
	if !r.Train.Whole() || !r.Test.Whole() {
		bad++
	}
	if failOn == FailOnWarn {
		bad += n.Warn
	}
	if r.Mode != Deepchecks {
		bad += n.NotRun
		if n.Pass+n.Warn+n.Fail+n.Error+n.Plain == 0 {
			bad++
		}
	}
	return bad == 0
}

// Passed is Verdict with the report's own threshold.
func (r *Report) Passed() bool { return r.Verdict(r.FailOn) }

// Rank orders verdicts for display: failures, warnings, errors, passes.
func (v Verdict) Rank() int {
	switch v {
	case Fail:
		return 1
	case Warn:
		return 2
	case Broken:
		return 3
	default:
		return 4
	}
}

// Priority orders outcomes for display: 1 failed, 2 warned, 3 a condition in
// error, 4 passed, 5 no conditions, 998 not run. The worst condition decides;
// in mode Deepchecks the first that did not pass.
func (o *Outcome) Priority(mode Mode) int {
	if o.Err != nil {
		return 998
	}
	if len(o.Conditions) == 0 {
		return 5
	}
	best := 4
	for _, c := range o.Conditions {
		if rank := c.Verdict.Rank(); rank < best {
			best = rank
			if mode == Deepchecks {
				break
			}
		}
	}
	return best
}

// Ordered lists the outcomes by priority, keeping the suite's order within.
func (r *Report) Ordered() []*Outcome {
	out := make([]*Outcome, len(r.Outcomes))
	for i := range r.Outcomes {
		out[i] = &r.Outcomes[i]
	}
	slices.SortStableFunc(out, func(a, b *Outcome) int { return a.Priority(r.Mode) - b.Priority(r.Mode) })
	return out
}

// NotRun reports whether the check ought to have run and did not.
func (o *Outcome) NotRun() bool { return o.blames() }

// Untimed returns the report without dates and durations: what is left is the
// same for the same data, document and seed.
func (r *Report) Untimed() *Report {
	out := *r
	out.Started, out.Elapsed = time.Time{}, 0
	out.Outcomes = slices.Clone(r.Outcomes)
	for i := range out.Outcomes {
		out.Outcomes[i].Elapsed = 0
	}
	return &out
}
