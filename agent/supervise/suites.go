package supervise

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"aloft/agent/shim"
	statev1 "aloft/proto/sky/state/v1"
)

// ReportsPrefix is where the suites' reports are among a job's files: checks/<suite>/report.json and its siblings.
const ReportsPrefix = "checks"

// checkSpec is the process that runs the suites, one after the other. The suite documents lie in the working directory
// while it runs, because that is what the paths in them are relative to.
func (f *flow) checkSpec(id string) (shim.Spec, error) {
	var b strings.Builder
	names := suiteNames(f.a.GetTask().GetSuites())
	for i, su := range f.a.GetTask().GetSuites() {
		doc := fmt.Sprintf(".aloft-suite-%d-%d-%d.json", f.a.GetNumber(), f.a.GetAttempt(), i)
		if err := os.WriteFile(filepath.Join(f.workdir, doc), su.GetSpecJson(), 0o600); err != nil {
			return shim.Spec{}, fmt.Errorf("write suite %q: %w", su.GetName(), err)
		}
		failOn := orElse(su.GetFailOn(), "fail")
		fmt.Fprintf(&b, "%s check %s --out %s --fail-on %s\n", quote(f.s.o.Self), quote("./"+doc),
			quote(filepath.Join(f.own(reportsDir), names[i])), quote(failOn))
		fmt.Fprintf(&b, "rm -f -- %s\n", quote(doc))
	}
	b.WriteString("exit 0\n") // the reports say how it went
	if err := os.MkdirAll(f.own(reportsDir), 0o700); err != nil {
		return shim.Spec{}, fmt.Errorf("make the reports directory: %w", err)
	}
	return f.script(id, streamCheck, b.String())
}

func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// suiteNames are the suites' names as directories, each once.
func suiteNames(suites []*statev1.Suite) []string {
	seen := make(map[string]bool)
	out := make([]string, len(suites))
	for i, su := range suites {
		name := strings.Map(func(r rune) rune {
			if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' {
				return r
			}
			return '_'
		}, su.GetName())
		if name == "" || seen[name] {
			name += strconv.Itoa(i)
		}
		seen[name] = true
		out[i] = name
	}
	return out
}

// suiteReport is what is read of report.json.
type suiteReport struct {
	FailOn string `json:"fail_on"`
	// Faults are samples that could not be used, by side.
	Faults map[string]struct {
		Count   int    `json:"count"`
		Partial string `json:"partial"`
	} `json:"faults"`
	Counts struct {
		Pass   int32 `json:"pass"`
		Warn   int32 `json:"warn"`
		Fail   int32 `json:"fail"`
		Error  int32 `json:"error"`
		NotRun int32 `json:"not_run"`
	} `json:"counts"`
	SuiteError *checkError `json:"suite_error"`
	Checks     []struct {
		Name       string      `json:"name"`
		Header     string      `json:"header"`
		Suite      string      `json:"suite"`
		Dataset    string      `json:"dataset"`
		Error      *checkError `json:"error"`
		Conditions []struct {
			Name     string `json:"name"`
			Category string `json:"category"`
			Details  string `json:"details"`
		} `json:"conditions"`
	} `json:"checks"`
}

type checkError struct {
	Kind    string `json:"kind"` // error, irrelevant or missing_input
	Message string `json:"message"`
}

// readSuites reads what the suite runner left. A suite without a report could not be run: that is an error of the suite.
func readSuites(dir string, suites []*statev1.Suite) []*statev1.SuiteResult {
	out := make([]*statev1.SuiteResult, 0, len(suites))
	for i, name := range suiteNames(suites) {
		r, _, err := readSuite(filepath.Join(dir, name, "report.json"))
		if err != nil {
			r = &statev1.SuiteResult{Verdict: "error", Errored: 1, Rows: []*statev1.ConditionRow{{
				Check: suites[i].GetName(), Category: "ERROR", Details: "the suite could not be run: see its log"}}}
		}
		r.Name = suites[i].GetName()
		out = append(out, r)
	}
	return out
}

// readOwnSuites reads the reports of suites that the job ran itself, by aloft_checks: each has a directory beside those
// of the task's suites. One whose report says never fails nothing.
func readOwnSuites(dir string, suites []*statev1.Suite) []*statev1.SuiteResult {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil // there are none
	}
	var out []*statev1.SuiteResult
	for _, e := range entries {
		if !e.IsDir() || slices.Contains(suiteNames(suites), e.Name()) {
			continue
		}
		r, failOn, err := readSuite(filepath.Join(dir, e.Name(), "report.json"))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err == nil && failOn == "never" && r.GetVerdict() != "pass":
			r.Verdict = "warn"
		case err == nil && failOn == "warn" && r.GetVerdict() == "warn":
			r.Verdict = "fail"
		case err != nil:
			r = &statev1.SuiteResult{Verdict: "error", Errored: 1, Rows: []*statev1.ConditionRow{{Category: "ERROR", Details: "its report cannot be read"}}}
		}
		r.Name = e.Name()
		out = append(out, r)
	}
	return out
}

// readSuite reads a report and from which verdict on it fails.
func readSuite(file string) (r *statev1.SuiteResult, failOn string, err error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, "", fmt.Errorf("read the suite's report: %w", err)
	}
	var doc suiteReport
	if err := json.Unmarshal(b, &doc); err != nil {
		return nil, "", fmt.Errorf("read the suite's report: %w", err)
	}
	n := doc.Counts
	r = &statev1.SuiteResult{Passed: n.Pass, Warned: n.Warn, Failed: n.Fail, Errored: n.Error, NotRun: n.NotRun, Verdict: "pass"}
	for _, side := range []string{"train", "test"} {
		if f := doc.Faults[side]; f.Count > 0 || f.Partial != "" {
			text := orElse(f.Partial, fmt.Sprintf("%d samples could not be used: see the report", f.Count))
			r.Rows = append(r.Rows, &statev1.ConditionRow{Check: "Data", Dataset: side, Condition: "Every sample can be used", Category: "FAIL", Details: text})
			r.Failed++
			n.Fail++
		}
	}
	switch {
	case doc.SuiteError != nil || n.Error > 0:
		r.Verdict = "error"
	case n.Fail > 0:
		r.Verdict = "fail"
	case n.Warn > 0:
		r.Verdict = "warn"
	}
	if doc.SuiteError != nil {
		r.Rows = append(r.Rows, &statev1.ConditionRow{Category: "ERROR", Details: doc.SuiteError.Message})
	}
	for _, c := range doc.Checks {
		if c.Header != "" {
			c.Name = c.Header // as the reports call it
		}
		if c.Error != nil {
			category := "ERROR"
			if c.Error.Kind == "irrelevant" || c.Error.Kind == "missing_input" && c.Suite != "" {
				category = "SKIP" // the suite brought it along, the data have no use for it
			}
			r.Rows = append(r.Rows, &statev1.ConditionRow{Check: c.Name, Dataset: c.Dataset, Category: category, Details: c.Error.Message})
			continue
		}
		for _, cond := range c.Conditions {
			r.Rows = append(r.Rows, &statev1.ConditionRow{
				Check: c.Name, Dataset: c.Dataset, Condition: cond.Name, Category: strings.ToUpper(cond.Category), Details: cond.Details,
			})
		}
	}
	return r, doc.FailOn, nil
}

// nameReports says in each suite's result which of the job's files its reports are.
func nameReports(suites []*statev1.Suite, results []*statev1.SuiteResult, files []*statev1.StoredFile) {
	digests := make(map[string]string, len(files))
	for _, f := range files {
		digests[f.GetName()] = f.GetSha256()
	}
	names := suiteNames(suites)
	for i, r := range results {
		name := r.GetName() // of a suite that the job ran itself, its directory
		if i < len(names) {
			name = names[i]
		}
		r.ReportJson = digests[path.Join(ReportsPrefix, name, "report.json")]
		r.ReportHtml = digests[path.Join(ReportsPrefix, name, "report.html")]
	}
}
