package suitecmd_test

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"aloft/tasks/check"
	"aloft/tasks/check/engine"
	"aloft/tasks/check/suitecmd"
)

// TestDescribeEverything explains every check and suite, for people and for
// programs.
func TestDescribeEverything(t *testing.T) {
	t.Parallel()
	for _, kind := range check.Kinds() {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			describesAll(t, kind)
		})
	}
}

func describesAll(t *testing.T, kind check.Kind) {
	reg, err := kind.Registry()
	if err != nil {
		t.Fatal(err)
	}
	prefix := ""
	if kind != check.Tabular {
		prefix = string(kind) + ":"
	}
	var list bytes.Buffer
	if err := suitecmd.Describe(&list, "", "text", 72); err != nil {
		t.Fatal(err)
	}
	for _, d := range reg.All() {
		if !regexp.MustCompile(`(?m)^  ` + d.ID + ` `).MatchString(list.String()) {
			t.Errorf("the list lacks %s", d.ID)
		}
		var text, doc bytes.Buffer
		if err := suitecmd.Describe(&text, prefix+d.ID, "", 72); err != nil {
			t.Fatal(err)
		}
		if err := suitecmd.Describe(&doc, prefix+d.ID, "json", 0); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(doc.String(), `"default": []`) {
			t.Errorf("%s has a mapping as default, shown as a list", d.ID)
		}
		var e struct {
			Check, Summary string
			Conditions     []struct{ ID string }
		}
		if err := json.Unmarshal(doc.Bytes(), &e); err != nil || e.Check != d.ID || e.Summary != d.Summary || len(e.Conditions) != len(d.Conditions) {
			t.Errorf("%s as JSON: %v %+v", d.ID, err, e)
		}
		for _, c := range d.Conditions {
			if !strings.Contains(text.String(), c.ID) {
				t.Errorf("%s is explained without its condition %s", d.ID, c.ID)
			}
		}
		for _, p := range d.Params {
			if !strings.Contains(text.String(), "  "+p.Name+"  ") {
				t.Errorf("%s is explained without its parameter %s", d.ID, p.Name)
			}
		}
	}
	for _, line := range strings.Split(list.String(), "\n") {
		if len([]rune(line)) > 72 {
			t.Errorf("a line of %d characters: %s", len([]rune(line)), line)
		}
	}
	for _, name := range kind.SuiteNames() {
		var text bytes.Buffer
		if err := suitecmd.Describe(&text, prefix+name, "text", 0); err != nil {
			t.Fatal(err)
		}
	}
}

// TestProgress shows the line that a terminal gets and that it is gone at the
// end.
func TestProgress(t *testing.T) {
	t.Parallel()
	var line bytes.Buffer
	p := suitecmd.NewProgress(&line, 24)
	p.Clear()
	if line.Len() > 0 {
		t.Errorf("nothing ran, and yet %q", line.String())
	}
	p.Step(engine.Step{Total: 35, Check: "First"})
	p.Step(engine.Step{Total: 35, Check: "WeakSegmentsPerformance", Which: engine.Test})
	p.Step(engine.Step{Done: 1, Total: 35, Check: "First", Ended: true})
	p.Step(engine.Step{Done: 2, Total: 35, Check: "WeakSegmentsPerformance", Which: engine.Test, Ended: true})
	p.Clear()
	want := "\r0/35 First\x1b[K\r0/35 First\x1b[K\r1/35 WeakSegmentsPerfor\x1b[K\r2/35\x1b[K\r\x1b[K"
	if line.String() != want {
		t.Errorf("line %q, want %q", line.String(), want)
	}

	line.Reset()
	var out bytes.Buffer
	o := suitecmd.Options{File: filepath.Join(folder(t), "good.yaml"), Stdout: &out, Progress: suitecmd.NewProgress(&line, 80)}
	if _, err := suitecmd.Run(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if got := line.String(); !regexp.MustCompile(`^\r0/\d+ \w+ \(train\)`).MatchString(got) || !strings.HasSuffix(got, "\r\x1b[K") || strings.Contains(out.String(), "\r") {
		t.Errorf("line %q", got)
	}
}
