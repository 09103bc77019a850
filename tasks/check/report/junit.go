package report

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"time"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/format"
)

type junitSuites struct {
	XMLName  xml.Name     `xml:"testsuites"`
	Name     string       `xml:"name,attr"`
	Tests    int          `xml:"tests,attr"`
	Failures int          `xml:"failures,attr"`
	Errors   int          `xml:"errors,attr"`
	Time     string       `xml:"time,attr"`
	Suites   []junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name      string      `xml:"name,attr"`
	Tests     int         `xml:"tests,attr"`
	Failures  int         `xml:"failures,attr"`
	Errors    int         `xml:"errors,attr"`
	Skipped   int         `xml:"skipped,attr"`
	Time      string      `xml:"time,attr"`
	Timestamp string      `xml:"timestamp,attr"`
	Hostname  string      `xml:"hostname,attr"`
	ID        int         `xml:"id,attr"`
	Cases     []junitCase `xml:"testcase"`

	elapsed time.Duration
}

type junitCase struct {
	Class   string       `xml:"classname,attr"`
	Name    string       `xml:"name,attr"`
	Time    string       `xml:"time,attr"`
	Failure *junitDetail `xml:"failure"`
	Error   *junitDetail `xml:"error"`
	Skipped *junitDetail `xml:"skipped"`
	Out     string       `xml:"system-out,omitempty"`
}

type junitDetail struct {
	Type    string `xml:"type,attr,omitempty"`
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

// JUnit writes the report as JUnit XML, in the form that the schema of
// Jenkins' xUnit plugin describes and others read too. Each condition is a test case: a
// failed one is a failure, as is a warning when the report fails on warnings;
// one that could not be judged and a check that ought to have run are errors;
// a check that does not apply is skipped. In mode Deepchecks each check is a
// test case that fails only when the check did not run.
func JUnit(w io.Writer, r *engine.Report) error {
	doc := junitSuites{Name: r.Name + ": " + r.Suite, Time: secondsText(r.Elapsed)}
	if r.Err != nil {
		c := junitCase{Class: r.Suite, Name: "suite", Time: "0", Error: &junitDetail{Type: string(r.Err.Class), Message: r.Err.Message, Text: r.Err.Message}}
		doc.Suites = []junitSuite{{Name: r.Suite, Tests: 1, Errors: 1, Cases: []junitCase{c}}}
	}
	for i := range r.Outcomes {
		o := &r.Outcomes[i]
		name := o.Suite
		if name == "" {
			name = "checks"
		}
		if o.Segment != "" {
			name += " · " + o.Segment
		}
		if n := len(doc.Suites); n == 0 || doc.Suites[n-1].Name != name {
			doc.Suites = append(doc.Suites, junitSuite{Name: name})
		}
		s := &doc.Suites[len(doc.Suites)-1]
		s.Cases = append(s.Cases, cases(r, o, name)...)
		s.elapsed += o.Elapsed
	}
	if s := faultsSuite(r); s != nil {
		doc.Suites = append(doc.Suites, *s)
	}
	if r.Baseline != nil {
		doc.Suites = append(doc.Suites, baselineCases(r.Baseline))
	}
	for i := range doc.Suites {
		s := &doc.Suites[i]
		s.ID, s.Hostname, s.Timestamp = i, "localhost", timestamp(r.Started)
		s.count(&doc)
	}
	out, err := xml.MarshalIndent(doc, "", "  ")
	if err != nil {
		return fmt.Errorf("write JUnit report: %w", err)
	}
	if _, err := fmt.Fprintf(w, "%s%s\n", xml.Header, out); err != nil {
		return fmt.Errorf("write JUnit report: %w", err)
	}
	return nil
}

func (s *junitSuite) count(all *junitSuites) {
	s.Tests, s.Time = len(s.Cases), secondsText(s.elapsed)
	for _, c := range s.Cases {
		switch {
		case c.Failure != nil:
			s.Failures++
		case c.Error != nil:
			s.Errors++
		case c.Skipped != nil:
			s.Skipped++
		}
	}
	all.Tests += s.Tests
	all.Failures += s.Failures
	all.Errors += s.Errors
}

func cases(r *engine.Report, o *engine.Outcome, suite string) []junitCase {
	base := junitCase{Class: suite + "." + o.Def.ID, Name: o.Header + dataSuffix(o), Time: secondsText(o.Elapsed)}
	if o.Err != nil {
		detail := &junitDetail{Type: string(o.Err.Class), Message: format.Truncate(o.Err.Message, mostMessage), Text: o.Err.Message}
		switch {
		case r.Mode == engine.Deepchecks:
			base.Failure = detail
		case o.NotRun():
			base.Error = detail
		default:
			detail.Text, detail.Type = "", ""
			base.Skipped = detail
		}
		return []junitCase{base}
	}
	if r.Mode == engine.Deepchecks || len(o.Conditions) == 0 {
		var lines []string
		for _, c := range o.Conditions {
			lines = append(lines, string(c.Verdict)+": "+c.Name+": "+c.Details)
		}
		base.Out = strings.Join(lines, "\n")
		return []junitCase{base}
	}
	out := make([]junitCase, len(o.Conditions))
	for i, c := range o.Conditions {
		out[i] = base
		if i > 0 {
			out[i].Time = "0"
		}
		out[i].Name += ": " + c.Name
		switch {
		case c.Verdict == engine.Fail, c.Verdict == engine.Warn && r.FailOn == engine.FailOnWarn:
			out[i].Failure = &junitDetail{Type: "Condition", Message: format.Truncate(c.Details, mostMessage), Text: c.Name + "\n" + c.Details}
		case c.Verdict == engine.Broken:
			out[i].Error = &junitDetail{Type: "Condition", Message: format.Truncate(c.Details, mostMessage), Text: c.Details}
		default:
			out[i].Out = string(c.Verdict) + ": " + c.Details
		}
	}
	return out
}

// mostMessage is the length of a message attribute; the text below it is whole.
const mostMessage = 500

func secondsText(d time.Duration) string { return fmt.Sprintf("%.4f", d.Seconds()) }

// timestamp is when the run began; the form wants one, so that of a report
// without times is the beginning of time.
func timestamp(t time.Time) string {
	if t.IsZero() {
		t = time.Unix(0, 0)
	}
	return t.UTC().Format("2006-01-02T15:04:05")
}
