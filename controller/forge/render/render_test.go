package render

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite golden files")

const suiteJSON = `{"format":1,"suite":"gate","passed":false,"suite_error":null,"baseline":{"name":"main","worse":1,"measures":[
 {"check":"model","measure":"auc","before":0.9,"after":0.8,"direction":"worse"}]},"checks":[
 {"name":"Dup","header":"Data | Duplicates","dataset":"train","status":"ok","error":null,"conditions":[
  {"name":"less than 5%","category":"FAIL","details":"found @ann <b>25%</b>"},{"name":"w","category":"WARN","details":"#1"},{"name":"p","category":"PASS","details":""}]},
 {"name":"Drift","header":null,"dataset":null,"status":"error","error":{"class":"NotEnoughSamples","message":"no test data"},"conditions":[]}]}`

func TestMarkdown(t *testing.T) {
	t.Parallel()
	s, err := ParseSuite([]byte(suiteJSON))
	if err != nil {
		t.Fatal(err)
	}
	ok, err := ParseSuite([]byte(`{"format":1,"suite":"data","passed":true,"checks":[]}`))
	if err != nil {
		t.Fatal(err)
	}
	var many []Metric
	for _, r := range "abcdefghijklmnopqrstuvwxyz" {
		many = append(many, Metric{Name: string(r), Value: float64(r)})
	}
	for _, tc := range []struct {
		name string
		r    Report
	}{
		{"empty", Report{}},
		{"suites", Report{Suites: []Suite{s, ok}, RunURL: "https://ci/run/9", Run: 9, Attempt: 2, Commit: "0123456789abcdef", Reproduce: "sky test suite.yaml # ``` @ann"}},
		{"metrics", Report{Title: "train", Metrics: []Metric{{Name: "accuracy", Value: 0.93}, {Name: "val.loss", Value: 0.2, Series: []float64{4, 2, 1, 0.2}}, {Name: "n", Value: 10}, {Name: "f1|x", Value: 1}},
			Base: []Metric{{Name: "accuracy", Value: 0.9}, {Name: "val.loss", Value: 0.1}, {Name: "n", Value: 10}, {Name: "old", Value: 1}}, BaseName: "main"}},
		{"plots", Report{Suites: []Suite{ok}, Metrics: many, Plots: []Plot{{Name: "a.png", Missing: true}, {Name: "b.png", Size: "1.0 KiB"}, {Name: "c", URL: "https://x/c).png"}}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got := Markdown(&tc.r)
			path := filepath.Join("testdata", tc.name+".md")
			if *update {
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(string(want), got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestParseMetrics(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		in   string
		want []Metric
		bad  bool
	}{
		{"", nil, false},
		{`{"accuracy":0.9,"val":{"loss":1e-3,"x":null},"name":"m","ok":true,"l":[3,2,1],"mixed":[1,"a"],"none":[]}`,
			[]Metric{{Name: "accuracy", Value: 0.9}, {Name: "val.loss", Value: 0.001}, {Name: "l", Value: 1, Series: []float64{3, 2, 1}}}, false},
		{`{"a":1,"a":2}`, []Metric{{Name: "a", Value: 2}}, false},
		{`{"a":1`, nil, true}, {`{"a":1} 2`, nil, true}, {`{"a" 1}`, nil, true}, {strings.Repeat(`{"a":`, 30) + "1", nil, true},
		{"accuracy: 0.93\nF1 = 93.5%\nloss\t2\n# comment\n- n 3\nAccuracy of test set  .5\n", []Metric{{Name: "accuracy", Value: 0.93}, {Name: "F1", Value: 0.935}, {Name: "loss", Value: 2},
			{Name: "n", Value: 3}, {Name: "Accuracy of test set", Value: 0.5}}, false},
	} {
		got, err := ParseMetrics([]byte(tc.in))
		if (err != nil) != tc.bad {
			t.Errorf("%q: %v", tc.in, err)
		}
		if d := cmp.Diff(tc.want, got); !tc.bad && d != "" {
			t.Errorf("%q: %s", tc.in, d)
		}
	}
}

func TestParseSuite(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"", "[]", "{}", `{"format":2,"checks":[]}`, `{"format":1}`, `{"format":"x"}`} {
		if _, err := ParseSuite([]byte(bad)); err == nil {
			t.Errorf("%q is read", bad)
		}
	}
}

func FuzzReport(f *testing.F) {
	f.Add([]byte(suiteJSON), []byte(`{"a":[1,2],"b":{"c":1}}`))
	f.Add([]byte(`{"format":1,"checks":[{}]}`), []byte("acc: 1\n"))
	f.Fuzz(func(t *testing.T, suite, metrics []byte) {
		var r Report
		if s, err := ParseSuite(suite); err == nil {
			r.Suites = []Suite{s}
		}
		m, err := ParseMetrics(metrics)
		if err == nil {
			r.Metrics, r.Base = m, m
		}
		if got := Markdown(&r); strings.Count(got, "<details>") != strings.Count(got, "</details>") {
			t.Errorf("left open: %q", got)
		}
	})
}
