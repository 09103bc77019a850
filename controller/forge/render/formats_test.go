package render

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func findingsReport(t *testing.T) *Report {
	t.Helper()
	s, err := ParseSuite([]byte(suiteJSON))
	if err != nil {
		t.Fatal(err)
	}
	broken, err := ParseSuite([]byte(`{"format":1,"suite":"data","passed":false,"suite_error":{"class":"ValueError","message":"no\nrows: 100%, really"},"checks":[
	 {"check":"drift","name":"Drift","header":"Drift","dataset":"train","segment":"a,b:c","status":"ok","conditions":[{"name":"x","category":"ERROR","details":"bad \u2028 \u0007"}]}]}`))
	if err != nil {
		t.Fatal(err)
	}
	return &Report{Suites: []Suite{s, broken}, Metrics: []Metric{{Name: "val.loss", Value: 0.25}, {Name: "9 lives", Value: 1e21}, {Name: "", Value: math.NaN()}, {Name: "val_loss", Value: 3}, {Name: "ä", Value: math.Inf(-1)}}}
}

func TestFormats(t *testing.T) {
	t.Parallel()
	r := findingsReport(t)
	for name, write := range map[string]func(*bytes.Buffer) error{
		"report.sarif":     func(b *bytes.Buffer) error { return SARIF(b, r, "ci/suite.yaml", "train/fit/ab12", "1.2.3") },
		"codequality.json": func(b *bytes.Buffer) error { return CodeQuality(b, r, "./ci/suite.yaml") },
		"metrics.txt":      func(b *bytes.Buffer) error { return OpenMetrics(b, r.Metrics) },
		"annotations.txt":  func(b *bytes.Buffer) error { return Annotations(b, r, "") },
		"empty.sarif":      func(b *bytes.Buffer) error { return SARIF(b, &Report{}, "", "default", "") },
		"empty.json":       func(b *bytes.Buffer) error { return CodeQuality(b, &Report{}, "") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got bytes.Buffer
			if err := write(&got); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join("testdata", name)
			if *update {
				if err := os.WriteFile(path, got.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(string(want), got.String()); d != "" {
				t.Error(d)
			}
		})
	}
}

// TestFingerprints are the same whatever a condition found, and differ between conditions.
func TestFingerprints(t *testing.T) {
	t.Parallel()
	at := func(check, condition, details string) string {
		s, err := ParseSuite(fmt.Appendf(nil, `{"format":1,"suite":"s","checks":[{"check":%q,"status":"ok","conditions":[{"name":%q,"category":"FAIL","details":%q}]}]}`, check, condition, details))
		if err != nil {
			t.Fatal(err)
		}
		return (&Report{Suites: []Suite{s}}).Findings()[0].Fingerprint
	}
	if at("a", "x", "1") != at("a", "x", "2") {
		t.Error("the fingerprint changes with what was found")
	}
	if at("a", "x", "1") == at("b", "x", "1") || at("a", "x", "1") == at("a", "y", "1") {
		t.Error("two conditions have one fingerprint")
	}
}

// TestBounds: GitHub refuses a file with more results, and drops annotations past ten of a kind.
func TestBounds(t *testing.T) {
	t.Parallel()
	var doc strings.Builder
	doc.WriteString(`{"format":1,"suite":"s","checks":[{"check":"c","name":"C","status":"ok","conditions":[`)
	for i := range 26_000 {
		if i > 0 {
			doc.WriteByte(',')
		}
		fmt.Fprintf(&doc, `{"name":"n%d","category":%q,"details":""}`, i, []string{"FAIL", "WARN"}[i%2])
	}
	doc.WriteString(`]}]}`)
	s, err := ParseSuite([]byte(doc.String()))
	if err != nil {
		t.Fatal(err)
	}
	r := &Report{Suites: []Suite{s}}
	var out bytes.Buffer
	if err := SARIF(&out, r, "", "k", "1"); err != nil {
		t.Fatal(err)
	}
	var got struct{ Runs []struct{ Results []any } }
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if n := len(got.Runs[0].Results); n != mostResults {
		t.Errorf("%d results, want %d", n, mostResults)
	}
	out.Reset()
	if err := Annotations(&out, r, ""); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 21 || !strings.HasPrefix(lines[0], "::error ") || !strings.Contains(lines[20], "25980 more") {
		t.Errorf("%d lines, the last %q", len(lines), lines[len(lines)-1])
	}
}

// FuzzAnnotations: whatever findings hold, GitHub reads as many commands as were written, and their parts back unharmed.
func FuzzAnnotations(f *testing.F) {
	f.Add("title", "x::y,%0A", "a\r\n::error::b")
	f.Fuzz(func(t *testing.T, title, condition, details string) {
		b, err := json.Marshal(map[string]any{"format": 1, "suite": "s", "checks": []any{map[string]any{"check": "c", "header": title, "name": "C", "status": "ok",
			"conditions": []any{map[string]any{"name": condition, "category": "FAIL", "details": details}}}}})
		if err != nil {
			return
		}
		s, err := ParseSuite(b)
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if err := Annotations(&out, &Report{Suites: []Suite{s}}, ""); err != nil {
			t.Fatal(err)
		}
		text := out.String()
		if strings.Count(text, "\n") != 1 || strings.Contains(text, "\r") {
			t.Fatalf("%q is not one line", text)
		}
		head, body, ok := strings.Cut(strings.TrimPrefix(strings.TrimSuffix(text, "\n"), "::"), "::")
		if !ok || strings.Count(head, ",") != 2 {
			t.Fatalf("%q: the command has not the three properties", text)
		}
		want := string([]rune(condition)) // JSON makes one sign of each broken byte
		if !strings.HasPrefix(strings.NewReplacer("%25", "%", "%0D", "\r", "%0A", "\n").Replace(body), want) {
			t.Errorf("the message reads back as %q, want %q first", body, want)
		}
	})
}
