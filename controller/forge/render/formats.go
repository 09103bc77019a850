package render

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
)

// Bounds of what GitHub's code scanning takes in one run, and of what it shows of a message.
const (
	mostResults = 25_000
	mostMessage = 1_000
)

// Source is the file that findings are shown at: they are about data, which has no lines. "" = suite.yaml.
type Source string

func (s Source) uri() string {
	if s == "" {
		return "suite.yaml"
	}
	return strings.TrimPrefix(strings.ReplaceAll(string(s), "\\", "/"), "./")
}

type sarifText struct {
	Text string `json:"text"`
}

type sarifRule struct {
	ID      string    `json:"id"`
	Name    string    `json:"name,omitempty"`
	Short   sarifText `json:"shortDescription"`
	HelpURI string    `json:"helpUri,omitempty"`
}

type sarifResult struct {
	RuleID       string            `json:"ruleId"`
	RuleIndex    int               `json:"ruleIndex"`
	Level        string            `json:"level"`
	Message      sarifText         `json:"message"`
	Locations    []sarifLocation   `json:"locations"`
	Fingerprints map[string]string `json:"partialFingerprints"`
}

type sarifLocation struct {
	Physical struct {
		Artifact struct {
			URI string `json:"uri"`
		} `json:"artifactLocation"`
		Region struct {
			StartLine int `json:"startLine"`
		} `json:"region"`
	} `json:"physicalLocation"`
}

type sarifRun struct {
	Tool struct {
		Driver struct {
			Name    string      `json:"name"`
			Version string      `json:"version,omitempty"`
			Rules   []sarifRule `json:"rules"`
		} `json:"driver"`
	} `json:"tool"`
	Automation struct {
		ID string `json:"id"`
	} `json:"automationDetails"`
	ColumnKind string        `json:"columnKind"`
	Results    []sarifResult `json:"results"`
}

// SARIF writes the findings in SARIF 2.1.0 (OASIS), within what GitHub takes. A rule is a check; key tells the legs of a
// matrix apart, so that one does not replace the other; version is the program's.
func SARIF(w io.Writer, r *Report, at Source, key, version string) error {
	var run sarifRun
	run.Tool.Driver.Name, run.Tool.Driver.Version = "sky", version
	run.Tool.Driver.Rules, run.Results = []sarifRule{}, []sarifResult{}
	run.Automation.ID = "sky/" + strings.Trim(key, "/") + "/"
	run.ColumnKind = "unicodeCodePoints"
	rules := map[string]int{}
	for _, f := range r.Findings() {
		if len(run.Results) == mostResults {
			break
		}
		i, ok := rules[f.Check]
		if !ok {
			i = len(rules)
			rules[f.Check] = i
			run.Tool.Driver.Rules = append(run.Tool.Driver.Rules, sarifRule{ID: f.Check, Short: sarifText{cut(oneLine(f.Title), mostMessage)}})
		}
		level := map[Level]string{LevelError: "error", LevelWarning: "warning", LevelNotice: "note"}[f.Level]
		var loc sarifLocation
		loc.Physical.Artifact.URI, loc.Physical.Region.StartLine = at.uri(), 1
		run.Results = append(run.Results, sarifResult{RuleID: f.Check, RuleIndex: i, Level: level, Message: sarifText{cut(f.Message(), mostMessage)},
			Locations: []sarifLocation{loc}, Fingerprints: map[string]string{"primaryLocationLineHash": f.Fingerprint + ":1"}})
	}
	doc := struct {
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}{"https://json.schemastore.org/sarif-2.1.0.json", "2.1.0", []sarifRun{run}}
	return writeJSON(w, "SARIF", doc)
}

type qualityIssue struct {
	Description string          `json:"description"`
	CheckName   string          `json:"check_name"`
	Fingerprint string          `json:"fingerprint"`
	Severity    string          `json:"severity"`
	Location    qualityLocation `json:"location"`
}

type qualityLocation struct {
	Path  string `json:"path"`
	Lines struct {
		Begin int `json:"begin"`
	} `json:"lines"`
}

// CodeQuality writes the findings as GitLab's code quality report takes them.
func CodeQuality(w io.Writer, r *Report, at Source) error {
	list := []qualityIssue{}
	for _, f := range r.Findings() {
		q := qualityIssue{Description: cut(f.Message(), mostMessage), CheckName: f.Check, Fingerprint: f.Fingerprint,
			Severity: map[Level]string{LevelError: "critical", LevelWarning: "minor", LevelNotice: "info"}[f.Level], Location: qualityLocation{Path: at.uri()}}
		q.Location.Lines.Begin = 1
		list = append(list, q)
	}
	return writeJSON(w, "the code quality report", list)
}

func writeJSON(w io.Writer, what string, doc any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", " ")
	if err := e.Encode(doc); err != nil {
		return fmt.Errorf("write %s: %w", what, err)
	}
	return nil
}

// OpenMetrics writes metrics in the OpenMetrics text format, as GitLab's metrics report takes them. Names are brought to
// what the format allows; of several that become one the first counts.
func OpenMetrics(w io.Writer, list []Metric) error {
	var b strings.Builder
	seen := map[string]bool{}
	for _, m := range list {
		name := openName(m.Name)
		if seen[name] {
			continue
		}
		seen[name] = true
		value := strconv.FormatFloat(m.Value, 'g', -1, 64)
		switch {
		case math.IsNaN(m.Value):
			value = "NaN"
		case math.IsInf(m.Value, 1):
			value = "+Inf"
		case math.IsInf(m.Value, -1):
			value = "-Inf"
		}
		fmt.Fprintf(&b, "# TYPE %s gauge\n%s %s\n", name, name, value)
	}
	b.WriteString("# EOF\n")
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("write metrics: %w", err)
	}
	return nil
}

func openName(s string) string {
	var b strings.Builder
	for i, c := range s {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c == '_', c >= '0' && c <= '9' && i > 0:
			b.WriteRune(c)
		case c >= '0' && c <= '9':
			b.WriteString("_" + string(c))
		default:
			b.WriteByte('_')
		}
	}
	if b.Len() == 0 {
		return "_"
	}
	return b.String()
}

// mostAnnotations is how many errors, and how many warnings, GitHub keeps of one step.
const mostAnnotations = 10

// Annotations writes GitHub's workflow commands for the worst findings, and one that counts the rest.
func Annotations(w io.Writer, r *Report, at Source) error {
	var b strings.Builder
	left := map[Level]int{LevelError: mostAnnotations, LevelWarning: mostAnnotations, LevelNotice: mostAnnotations - 1}
	more := 0
	for _, f := range r.Findings() {
		if left[f.Level] == 0 {
			more++
			continue
		}
		left[f.Level]--
		title := f.Title
		if f.Where != "" {
			title += " (" + f.Where + ")"
		}
		text := f.Condition
		if f.Details != "" {
			text += "\n" + f.Details
		}
		fmt.Fprintf(&b, "::%s file=%s,line=1,title=%s::%s\n", f.Level, property(at.uri()), property(oneLine(title)), message(text))
	}
	if more > 0 {
		fmt.Fprintf(&b, "::notice title=sky::%d more findings are in the report\n", more)
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("write annotations: %w", err)
	}
	return nil
}

// CommandText escapes a text as the message of one of GitHub's workflow commands.
func CommandText(s string) string { return message(s) }

// message escapes the text of a workflow command, property a property of one.
func message(s string) string {
	return strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A").Replace(strings.ToValidUTF8(s, "\uFFFD"))
}

func property(s string) string {
	return strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C").Replace(strings.ToValidUTF8(s, "\uFFFD"))
}
