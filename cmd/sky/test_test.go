package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTestCmd(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := file("good.csv", "x,y\n1,a\n2,b\n3,a\n")
	file("bad.csv", "x,y\n1,a\n1,b\n2,a\n")
	pred := file("pred.csv", "y_pred,proba_a,proba_b\na,0.9,0.1\nb,0.2,0.8\na,0.7,0.3\n")
	suite := file("suite.yaml", "suites: [data_integrity]\ntrain: bad.csv\nlabel: y\n")
	texts := file("texts.csv", "t,y\nHello there.,a\nGood bye.,b\n\"What, now?\",a\n")
	vocabulary := file("vocab.txt", "[UNK]\nhello\nthere\n.\n")
	page := filepath.Join(dir, "report.html")
	tests := []struct {
		name   string
		args   []string
		code   int
		silent bool // the error was reported by the report itself
		text   string
	}{
		{"document", []string{suite}, exitChecks, true, "Conflicting Labels"},
		{"document, never", []string{suite, "--fail-on", "never", "--html", page}, exitOK, false, "Conflicting Labels"},
		{"flags", []string{"--train", good, "--label", "y"}, exitOK, false, "✓ passed"},
		{"all flags", []string{
			"--train", good, "--test", good, "--label", "y", "--pred-train", pred, "--pred-test", pred, "--task-type", "binary",
			"--suite", "full_suite", "--feature", "x", "--na", "NA", "--compat", "deepchecks", "--fail-on", "never", "-o", "json",
		}, exitOK, false, `"compat": "deepchecks"`},
		{"texts", []string{"--text", texts, "--test-text", texts, "--text-column", "t", "--label", "y", "--metadata", "y", "--property", "all", "--vocabulary", vocabulary, "--fail-on", "never", "-o", "json"}, exitOK, false, `"kind": "nlp"`},
		{"texts, leaked", []string{"--text", texts, "--test-text", texts, "--text-column", "t", "--label", "y"}, exitChecks, true, "Train Test Samples Mix"},
		{"texts and tables", []string{"--text", texts, "--train", good}, exitUsage, false, "give one kind"},
		{"no texts", []string{"--text-column", "t"}, exitUsage, false, "name their file by --text"},
		{"explain of texts", []string{"--explain", "nlp:TrainTestSamplesMix"}, exitOK, false, "on train and test together"},
		{"nothing", nil, exitUsage, false, "give a suite document"},
		{"both", []string{suite, "--train", good}, exitUsage, false, "not both"},
		{"missing file", []string{"--train", "gone.csv"}, exitUsage, false, "gone.csv"},
		{"unknown suite", []string{"--train", good, "--suite", "data_integrty"}, exitUsage, false, `did you mean "data_integrity"`},
		{"bad output", []string{"--train", good, "-o", "xml"}, exitUsage, false, "known are text, json, deepchecks-json, junit, markdown"},
		{"list", []string{"--list"}, exitOK, false, "DataDuplicates"},
		{"explain", []string{"--explain", "DataDuplicates", "-o", "json"}, exitOK, false, `"in_suites": true`},
		{"explain what is not", []string{"--explain", "DataDuplicats"}, exitUsage, false, `did you mean "DataDuplicates"`},
		{"list and a file", []string{"--list", "--train", good}, exitUsage, false, "no suite document"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			cmd := newTestCmd(&app{home: filepath.Join(dir, "home")})
			cmd.SilenceErrors, cmd.SilenceUsage = true, true
			cmd.SetOut(&out)
			cmd.SetErr(&out)
			cmd.SetArgs(tt.args)
			err := cmd.ExecuteContext(t.Context())
			code, text := exitOK, out.String()
			if err != nil {
				e := (*exitError)(nil)
				if !errors.As(err, &e) {
					t.Fatalf("error %v", err)
				}
				code = e.code
				if (e.err == nil) != tt.silent {
					t.Errorf("error %v", e.err)
				}
				text += err.Error()
			}
			if code != tt.code || !strings.Contains(text, tt.text) {
				t.Errorf("exit code %d, want %d; %s", code, tt.code, text)
			}
		})
	}
}
