package report

import (
	"encoding/xml"
	"fmt"
	"io"
	"strconv"
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
	Name      string           `xml:"name,attr"`
	Tests     int              `xml:"tests,attr"`
	Failures  int              `xml:"failures,attr"`
	Errors    int              `xml:"errors,attr"`
	Skipped   int              `xml:"skipped,attr"`
	Time      string           `xml:"time,attr"`
	Timestamp string           `xml:"timestamp,attr"`
	Hostname  string           `xml:"hostname,attr"`
	ID        int              `xml:"id,attr"`
	Facts     *junitProperties `xml:"properties"`
	Cases     []junitCase      `xml:"testcase"`

	elapsed time.Duration
}

type junitProperties struct {
	List []junitProperty `xml:"property"`
}

type junitProperty struct {
	Name  string `xml:"name,attr"`
	Value string `xml:"value,attr"`
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
		s.ID, s.Hostname, s.Timestamp, s.Facts = i, "localhost", timestamp(r.Started), facts(r)
		s.count(&doc)
	}
	var out []byte
	for _, most := range []int{0, 4000, mostMessage, 100} { // GitLab leaves a file out that is larger than 30 MB
		doc.shorten(most)
		var err error
		if out, err = xml.MarshalIndent(doc, "", "  "); err != nil {
			return fmt.Errorf("write JUnit report: %w", err)
		}
		if len(out) < mostJUnit {
			break
		}
	}
	if _, err := fmt.Fprintf(w, "%s%s\n", xml.Header, out); err != nil {
		return fmt.Errorf("write JUnit report: %w", err)
	}
	return nil
}

// mostJUnit is how many bytes a report has at most, as long as shorter texts of its cases can bring it there.
const mostJUnit = 29_000_000

// shorten cuts the texts of cases to so many characters; 0 = they stay.
func (d *junitSuites) shorten(most int) {
	if most == 0 {
		return
	}
	for i := range d.Suites {
		for j := range d.Suites[i].Cases {
			c := &d.Suites[i].Cases[j]
			c.Out = format.Truncate(c.Out, most)
			for _, detail := range []*junitDetail{c.Failure, c.Error, c.Skipped} {
				if detail != nil {
					detail.Message, detail.Text = format.Truncate(detail.Message, most), format.Truncate(detail.Text, most)
				}
			}
		}
	}
}

// facts are what the report is of, as each suite's properties.
func facts(r *engine.Report) *junitProperties {
	var p junitProperties
	add := func(name, value string) {
		if value != "" {
			p.List = append(p.List, junitProperty{name, value})
		}
	}
	add("data", r.Name)
	add("kind", r.Kind)
	add("suite", r.Suite)
	add("mode", string(r.Mode))
	add("fail_on", string(r.FailOn))
	add("seed", strconv.FormatUint(uint64(r.Seed), 10))
	if r.Train.Rows > 0 {
		add("rows", strconv.Itoa(r.Train.Rows))
	}
	if r.Test != nil {
		add("test_rows", strconv.Itoa(r.Test.Rows))
	}
	return &p
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
