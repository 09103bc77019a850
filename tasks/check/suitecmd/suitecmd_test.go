package suitecmd_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"aloft/tasks/check/suitecmd"
)

func folder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"good.csv": "x,y\n1,a\n2,b\n3,a\n", "bad.csv": "x,y\n1,a\n1,b\n1,a\n",
		"good.yaml": "suites: [data_integrity]\ntrain: good.csv\nlabel: y\n",
		"bad.yaml":  "suites: [data_integrity]\ntrain: bad.csv\nlabel: y\n",
		"warn.yaml": "checks: [DataDuplicates]\ntrain: bad.csv\n",
		"odd.yaml":  "suites: [data_integrity]\ntrain: none.csv\nlabl: y\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestCommandLine(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	tests := []struct {
		name     string
		args     []string
		code     int
		out, err string
	}{
		{"passes", []string{"good.yaml"}, suitecmd.Passed, "✓ passed", ""},
		{"fails", []string{"bad.yaml"}, suitecmd.Rejected, "✖ fail", ""},
		{"fails, flags last", []string{"bad.yaml", "-o", "json"}, suitecmd.Rejected, `"passed": false`, ""},
		{"never", []string{"--fail-on", "never", "bad.yaml"}, suitecmd.Passed, "failed", ""},
		{"warns", []string{"warn.yaml"}, suitecmd.Passed, "! warn", ""},
		{"warns is failing", []string{"warn.yaml", "--fail-on=warn"}, suitecmd.Rejected, "! warn", ""},
		{"compat", []string{"good.yaml", "--compat", "deepchecks"}, suitecmd.Passed, "compat deepchecks", ""},
		{"junit", []string{"good.yaml", "-o", "junit"}, suitecmd.Passed, "<testsuites", ""},
		{"markdown", []string{"good.yaml", "-o", "markdown"}, suitecmd.Passed, "✅", ""},
		{"deepchecks", []string{"good.yaml", "-o", "deepchecks-json"}, suitecmd.Passed, `"type": "SuiteResult"`, ""},
		{"list", []string{"--list"}, suitecmd.Passed, "DataDuplicates", ""},
		{"list, JSON", []string{"--list", "-o", "json"}, suitecmd.Passed, `"name": "full_suite"`, ""},
		{"explain", []string{"--explain", "DataDuplicates"}, suitecmd.Passed, "ratio_less_or_equal", ""},
		{"explain, JSON", []string{"--explain", "DataDuplicates", "-o", "json"}, suitecmd.Passed, `"max_ratio"`, ""},
		{"explain a suite", []string{"--explain", "data_integrity"}, suitecmd.Passed, "ConflictingLabels", ""},
		{"explain what is not", []string{"--explain", "DataDuplicate"}, suitecmd.BadInput, "", `did you mean "DataDuplicates"`},
		{"list as JUnit", []string{"--list", "-o", "junit"}, suitecmd.BadInput, "", "text or json"},
		{"list and a document", []string{"good.yaml", "--list"}, suitecmd.BadInput, "", "no suite document"},
		{"no document", nil, suitecmd.BadInput, "", "one suite document"},
		{"no such file", []string{"gone.yaml"}, suitecmd.BadInput, "", "read suite document"},
		{"bad document", []string{"odd.yaml"}, suitecmd.BadInput, "", `odd.yaml:3: unknown key "labl" (did you mean "label"?)`},
		{"bad format", []string{"good.yaml", "-o", "jsn"}, suitecmd.BadInput, "", `did you mean "json"`},
		{"bad threshold", []string{"good.yaml", "--fail-on", "al"}, suitecmd.BadInput, "", "known are fail, warn, never"},
		{"bad mode", []string{"good.yaml", "--compat", "deepcheck"}, suitecmd.BadInput, "", `did you mean "deepchecks"`},
		{"bad flag", []string{"--nope"}, suitecmd.BadInput, "", "nope"},
		{"help", []string{"-h"}, suitecmd.Passed, "", "usage: check"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			args := make([]string, len(tt.args))
			for i, a := range tt.args {
				args[i] = a
				if strings.HasSuffix(a, ".yaml") {
					args[i] = filepath.Join(dir, a)
				}
			}
			var out, errOut bytes.Buffer
			if code := suitecmd.Main(t.Context(), args, &out, &errOut); code != tt.code {
				t.Errorf("exit code %d, want %d; %s", code, tt.code, errOut.String())
			}
			if !strings.Contains(out.String(), tt.out) || !strings.Contains(errOut.String(), tt.err) {
				t.Errorf("stdout %q\nstderr %q", out.String(), errOut.String())
			}
			if (errOut.Len() == 0) != (tt.err == "") {
				t.Errorf("stderr %q", errOut.String())
			}
		})
	}
}

func TestFiles(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	out := filepath.Join(dir, "new", "reports")
	page := filepath.Join(dir, "page.html")
	var sink bytes.Buffer
	for range 2 { // the second run replaces the files
		if code := suitecmd.Main(t.Context(), []string{filepath.Join(dir, "good.yaml"), "--out", out, "--html", page}, &sink, &sink); code != suitecmd.Passed {
			t.Fatalf("exit code %d: %s", code, sink.String())
		}
	}
	entries, err := os.ReadDir(out)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if got := strings.Join(names, " "); got != "junit.xml report.deepchecks.json report.html report.json report.md" {
		t.Errorf("files: %s", got)
	}
	src, err := os.ReadFile(filepath.Join(out, "report.json"))
	if err != nil {
		t.Fatal(err)
	}
	if !json.Valid(src) {
		t.Error("report.json is not JSON")
	}
	if _, err := os.Stat(page); err != nil {
		t.Error(err)
	}
}

func TestUnwritableFolder(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	var out, errOut bytes.Buffer
	code := suitecmd.Main(t.Context(), []string{filepath.Join(dir, "good.yaml"), "--out", filepath.Join(dir, "good.csv", "x")}, &out, &errOut)
	if code != suitecmd.BadInput || !strings.Contains(errOut.String(), "report folder") {
		t.Errorf("exit code %d: %s", code, errOut.String())
	}
}

func TestCancelled(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out bytes.Buffer
	if _, err := suitecmd.Run(ctx, suitecmd.Options{File: filepath.Join(folder(t), "good.yaml"), Stdout: &out}); err == nil || out.Len() > 0 {
		t.Errorf("error %v, output %q", err, out.String())
	}
}
