package render

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Threshold is what a metric must keep to. A bound that is nil is none.
type Threshold struct {
	Metric   string
	Min, Max *float64
	// MinChange and MaxChange bound the difference to the base's value; Relative ones are parts of it, 0.01 = 1 %.
	MinChange, MaxChange *Change
	Warn                 bool // a bound that is not kept is a warning
}

// Change is a difference to the base.
type Change struct {
	By       float64
	Relative bool
}

// thresholdKeys are what a threshold may hold.
const thresholdKeys = "min, max, min_change, max_change, warn"

// ParseThresholds reads a file of thresholds: a map of metrics to maps of bounds, in YAML or JSON. An error names the line,
// what stands there and what is allowed.
func ParseThresholds(src []byte) ([]Threshold, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(src, &doc); err != nil {
		return nil, fmt.Errorf("thresholds are no YAML: %w", err)
	}
	if len(doc.Content) == 0 {
		return nil, errors.New("it holds no threshold; allowed is a map, as {accuracy: {min: 0.9}}")
	}
	root := doc.Content[0]
	if root.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("line %d: it must be a map of metrics, as {accuracy: {min: 0.9}}", root.Line)
	}
	var out []Threshold
	seen := map[string]bool{}
	for i := 0; i+1 < len(root.Content); i += 2 {
		key, val := root.Content[i], root.Content[i+1]
		if key.Kind != yaml.ScalarNode || key.Value == "" {
			return nil, fmt.Errorf("line %d: the name of a metric is wanted", key.Line)
		}
		if seen[key.Value] {
			return nil, fmt.Errorf("line %d: %s stands there twice", key.Line, key.Value)
		}
		seen[key.Value] = true
		t := Threshold{Metric: key.Value}
		if val.Kind != yaml.MappingNode || len(val.Content) == 0 {
			return nil, fmt.Errorf("line %d: %s: allowed is a map of %s", val.Line, key.Value, thresholdKeys)
		}
		for k := 0; k+1 < len(val.Content); k += 2 {
			if err := t.set(val.Content[k].Value, val.Content[k+1]); err != nil {
				return nil, fmt.Errorf("line %d: %s: %w", val.Content[k].Line, key.Value, err)
			}
		}
		if t.Min == nil && t.Max == nil && t.MinChange == nil && t.MaxChange == nil {
			return nil, fmt.Errorf("line %d: %s has no bound; allowed are %s", val.Line, key.Value, thresholdKeys)
		}
		out = append(out, t)
	}
	if len(out) == 0 {
		return nil, errors.New("it holds no threshold; allowed is a map, as {accuracy: {min: 0.9}}")
	}
	return out, nil
}

func (t *Threshold) set(key string, n *yaml.Node) error {
	switch key {
	case "min", "max":
		f, err := finite(n.Value)
		if err != nil || n.Kind != yaml.ScalarNode {
			return fmt.Errorf("%s: %q: allowed is a number", key, n.Value)
		}
		if key == "min" {
			t.Min = &f
		} else {
			t.Max = &f
		}
	case "min_change", "max_change":
		text, percent := strings.CutSuffix(strings.TrimSpace(n.Value), "%")
		f, err := finite(strings.TrimSpace(text))
		if err != nil || n.Kind != yaml.ScalarNode {
			return fmt.Errorf("%s: %q: allowed is a number, or a percentage of the base's value as -1%%", key, n.Value)
		}
		c := &Change{By: f, Relative: percent}
		if percent {
			c.By /= 100
		}
		if key == "min_change" {
			t.MinChange = c
		} else {
			t.MaxChange = c
		}
	case "warn":
		b, err := strconv.ParseBool(n.Value)
		if err != nil {
			return fmt.Errorf("warn: %q: allowed are true and false", n.Value)
		}
		t.Warn = b
	default:
		return fmt.Errorf("%q is no bound; allowed are %s", key, thresholdKeys)
	}
	return nil
}

func finite(s string) (float64, error) {
	f, err := strconv.ParseFloat(s, 64)
	if err == nil && (math.IsNaN(f) || math.IsInf(f, 0)) {
		err = strconv.ErrRange
	}
	return f, err
}

// Judge adds to a report a suite of its metrics against thresholds. A metric that is not there fails. Changes are not judged
// where the report has no base or the base has no such metric: that is a warning.
func (r *Report) Judge(ts []Threshold) {
	s := Suite{Format: 1, Name: "Metrics", Passed: true, Checks: []outcome{}}
	values, base := named(r.Metrics), named(r.Base)
	for _, t := range ts {
		o := outcome{ID: "MetricThreshold", Name: t.Metric, Header: t.Metric, Status: "ok"}
		failing := "FAIL"
		if t.Warn {
			failing = "WARN"
		}
		add := func(name, category, details string) {
			o.Conditions = append(o.Conditions, condition{Name: name, Category: category, Details: details})
			s.Passed = s.Passed && category != "FAIL"
		}
		v, ok := values[t.Metric]
		judge := func(name string, kept bool, details string) {
			if category := failing; kept {
				add(name, "PASS", details)
			} else {
				add(name, category, details)
			}
		}
		if !ok {
			add("is measured", failing, "the run has no metric of this name")
			s.Checks = append(s.Checks, o)
			continue
		}
		if t.Min != nil {
			judge("is at least "+number(*t.Min), v >= *t.Min, number(v))
		}
		if t.Max != nil {
			judge("is at most "+number(*t.Max), v <= *t.Max, number(v))
		}
		for _, c := range []struct {
			*Change
			word string
			kept func(change, bound float64) bool
		}{
			{t.MinChange, "at least", func(change, bound float64) bool { return change >= bound }},
			{t.MaxChange, "at most", func(change, bound float64) bool { return change <= bound }},
		} {
			if c.Change == nil {
				continue
			}
			bound, text := c.By, signed(c.By)
			if c.Relative {
				text = signed(c.By*100) + " %"
			}
			name := "changes by " + c.word + " " + text
			was, ok := base[t.Metric]
			if !ok {
				add(name, "WARN", "there is no value to compare with")
				continue
			}
			if c.Relative {
				bound *= math.Abs(was)
			}
			judge(name, c.kept(v-was, bound), fmt.Sprintf("%s → %s (%s)", number(was), number(v), signed(v-was)))
		}
		s.Checks = append(s.Checks, o)
	}
	r.Suites = append(r.Suites, s)
}

// Warned reports whether some condition warns.
func (r *Report) Warned() bool { return len(r.rows().warned) > 0 }
