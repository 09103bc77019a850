package render

import (
	"strings"
	"testing"
)

// TestThresholds judges metrics, with and without a base.
func TestThresholds(t *testing.T) {
	t.Parallel()
	run := []Metric{{Name: "accuracy", Value: 0.9}, {Name: "loss", Value: 0.5}}
	for name, x := range map[string]struct {
		file string
		base []Metric
		want string // category and text of each condition
		fail bool
	}{
		"kept":                {file: "accuracy: {min: 0.9, max: 1}", want: "PASS is at least 0.9: 0.9; PASS is at most 1: 0.9"},
		"below":               {file: "accuracy: {min: 0.95}", want: "FAIL is at least 0.95: 0.9", fail: true},
		"above":               {file: "loss: {max: 0.4}", want: "FAIL is at most 0.4: 0.5", fail: true},
		"warning":             {file: "loss: {max: 0.4, warn: true}", want: "WARN is at most 0.4: 0.5"},
		"not measured":        {file: "f1: {min: 0}", want: "FAIL is measured: the run has no metric of this name", fail: true},
		"change":              {file: "loss: {max_change: 0.05}", base: []Metric{{Name: "loss", Value: 0.4}}, want: "FAIL changes by at most +0.05: 0.4 → 0.5 (+0.1)", fail: true},
		"relative change":     {file: "accuracy: {min_change: -5%}", base: []Metric{{Name: "accuracy", Value: 0.94}}, want: "PASS changes by at least -5 %: 0.94 → 0.9 (-0.04)"},
		"too relative change": {file: "accuracy: {min_change: -1%}", base: []Metric{{Name: "accuracy", Value: 0.94}}, want: "FAIL changes by at least -1 %: 0.94 → 0.9 (-0.04)", fail: true},
		"no base":             {file: "accuracy: {min_change: 0}", want: "WARN changes by at least 0: there is no value to compare with"},
		"JSON":                {file: `{"accuracy": {"min": 0.5}}`, want: "PASS is at least 0.5: 0.9"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ts, err := ParseThresholds([]byte(x.file))
			if err != nil {
				t.Fatal(err)
			}
			r := &Report{Metrics: run, Base: x.base}
			r.Judge(ts)
			var got []string
			for _, c := range r.Suites[0].Checks {
				for _, k := range c.Conditions {
					got = append(got, k.Category+" "+k.Name+": "+k.Details)
				}
			}
			if s := strings.Join(got, "; "); s != x.want || r.Passed() == x.fail || r.Warned() != strings.Contains(x.want, "WARN") {
				t.Errorf("%s, passed %v, warned %v", s, r.Passed(), r.Warned())
			}
			if md := Markdown(r); x.fail && !strings.Contains(md, "❌") {
				t.Errorf("%s", md)
			}
		})
	}
	for file, want := range map[string]string{
		"": "no threshold", "[]": "line 1: it must be a map", "a: 1": "line 1: a: allowed is a map of min, max", "a:\n  least: 1": `line 2: a: "least" is no bound; allowed are min, max`,
		"a: {min: x}": `min: "x": allowed is a number`, "a: {min: .nan}": "allowed is a number", "a: {warn: true}": "no bound", "a: {min: 1}\na: {max: 1}": "line 2: a stands there twice",
		"a: {max_change: 1%%}": "percentage", "a: {warn: maybe}": "true and false", "a: {min: 1": "no YAML",
	} {
		if _, err := ParseThresholds([]byte(file)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", file, err, want)
		}
	}
}

func FuzzThresholds(f *testing.F) {
	f.Add([]byte("accuracy: {min: 0.9, min_change: -1%, warn: true}"))
	f.Fuzz(func(t *testing.T, b []byte) {
		ts, err := ParseThresholds(b)
		if err == nil && len(ts) == 0 {
			t.Error("neither thresholds nor an error")
		}
		(&Report{Metrics: []Metric{{Name: "accuracy", Value: 1}}}).Judge(ts)
	})
}
