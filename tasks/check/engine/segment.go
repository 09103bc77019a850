package engine

// Segment sums up the checks of one part of the rows.
type Segment struct {
	Column string
	// Name says which rows: "sex = male".
	Name        string
	Train, Test int // rows
	HasTest     bool
	// TooSmall segments have fewer rows than MinRows and were not checked.
	TooSmall bool
	MinRows  int
	// Err tells why no check could run, "" if they could.
	Err                             string
	Pass, Warn, Fail, Error, NotRun int
}

// Count adds the conditions of an outcome.
func (s *Segment) Count(o *Outcome) {
	if o.NotRun() {
		s.NotRun++
	}
	for _, c := range o.Conditions {
		switch c.Verdict {
		case Pass:
			s.Pass++
		case Warn:
			s.Warn++
		case Fail:
			s.Fail++
		default:
			s.Error++
		}
	}
}

// bad weighs what is wrong in a segment, failures before warnings.
func (s *Segment) bad() int { return (s.Fail+s.Error+s.NotRun)*1000 + s.Warn }

// WorstSegment is the segment of a column in which most conditions fail, and
// among equals most warn; nil if none does.
func (r *Report) WorstSegment(column string) *Segment {
	var worst *Segment
	for i := range r.Segments {
		s := &r.Segments[i]
		if s.Column == column && s.bad() > 0 && (worst == nil || s.bad() > worst.bad()) {
			worst = s
		}
	}
	return worst
}

// EqualSegments lists the other segments of its column that are as bad as s.
func (r *Report) EqualSegments(s *Segment) []*Segment {
	var out []*Segment
	for i := range r.Segments {
		if o := &r.Segments[i]; o != s && o.Column == s.Column && o.bad() == s.bad() {
			out = append(out, o)
		}
	}
	return out
}
