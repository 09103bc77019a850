package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// validate runs the command on a file with the given text.
func validate(t *testing.T, text string, args ...string) (out string, code int) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "task.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	cmd := newValidateCmd()
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetOut(&b)
	cmd.SetErr(&b)
	cmd.SetArgs(append([]string{file}, args...))
	err := cmd.Execute()
	return strings.ReplaceAll(b.String(), file, "task.yaml"), codeOf(err)
}

func TestValidateText(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, text string
		args       []string
		code       int
		want, not  []string
	}{
		{"valid", "run: echo hi\n", nil, 0, []string{"task.yaml: valid (1 task)"}, []string{"error"}},
		{"pipeline", "run: a\n---\nrun: b\n", nil, 0, []string{"valid (2 tasks)"}, nil},
		{"all problems at once", "rum: x\nnum_nodes: 0\nresources:\n  accelerators: V100:abc\n", nil, 1,
			[]string{"task.yaml:1:1: error: rum:", "did you mean run?", "task.yaml:2:12: error: num_nodes:",
				"resources.accelerators:", "3 errors", "  2 | num_nodes: 0\n    |            ^\n"}, nil},
		{"warning passes", "envs: {T: 12:30}\nrun: x\n", nil, 0, []string{"1 warning", `YAML 1.1 changes 12:30 to "750"`}, nil},
		{"strict fails on a warning", "envs: {T: 12:30}\nrun: x\n", []string{"--strict"}, 1, []string{"not valid"}, nil},
		{"required value", "envs: {A: null}\nrun: x\n", nil, 1, []string{"pass --env A=VALUE"}, nil},
		{"required value given", "envs: {A: null}\nrun: x\n", []string{"--env", "A=1"}, 0, []string{"valid"}, nil},
		{"required value filled", "secrets: {A: null}\nrun: x\n", []string{"--fill-required"}, 0, []string{"valid"}, nil},
		{"a secret's line is not shown", "run: x\nsecrets:\n  A-B: hunter2\n", nil, 1, []string{"A-B"}, []string{"hunter2"}},
		{"nor in a flow map", "{run: x, secrets: {A-B: hunter2}}\n", nil, 1, []string{"A-B"}, []string{"hunter2"}},
		{"control characters", "run: x\nfoo\x7f\x1b[31m: 1\n", nil, 1, []string{"not valid"}, []string{"\x1b["}},
		{"no colour away from a terminal", "rum: x\n", nil, 1, nil, []string{"\x1b["}},
		{"tab before the caret", "{\trum: x}\n", nil, 1, []string{"    |  \t^"}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			out, code := validate(t, tt.text, tt.args...)
			if code != tt.code {
				t.Errorf("exit code %d, want %d\n%s", code, tt.code, out)
			}
			for _, w := range tt.want {
				if !strings.Contains(out, w) {
					t.Errorf("output lacks %q\n%s", w, out)
				}
			}
			for _, n := range tt.not {
				if strings.Contains(out, n) {
					t.Errorf("output has %q\n%s", n, out)
				}
			}
		})
	}
}

func TestValidateJSON(t *testing.T) {
	t.Parallel()
	type result struct {
		OK          bool             `json:"ok"`
		Tasks       []map[string]any `json:"tasks"`
		Diagnostics []map[string]any `json:"diagnostics"`
	}
	tests := []struct {
		name, text  string
		ok          bool
		tasks, diag int
	}{
		{"valid", "name: a\nrun: x\nsecrets: {K: hunter2}\n", true, 1, 0},
		{"not valid", "rum: x\n", false, 0, 1},
		{"not YAML", "a: [\n", false, 0, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			out, code := validate(t, tt.text, "-o", "json")
			var r result
			if err := json.Unmarshal([]byte(out), &r); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			if r.OK != tt.ok || (code == 0) != tt.ok || len(r.Tasks) != tt.tasks || len(r.Diagnostics) != tt.diag {
				t.Errorf("exit code %d, output\n%s", code, out)
			}
			if strings.Contains(out, "hunter2") {
				t.Errorf("the output shows a secret\n%s", out)
			}
			for _, d := range r.Diagnostics {
				for _, key := range []string{"severity", "file", "line", "column", "field", "message", "allowed", "suggestion"} {
					if _, ok := d[key]; !ok {
						t.Errorf("a diagnostic has no %s: %v", key, d)
					}
				}
			}
		})
	}
}

func TestValidateUsage(t *testing.T) {
	t.Parallel()
	if _, code := validate(t, "run: x\n", "-o", "xml"); code != exitUsage {
		t.Errorf("unknown format: exit code %d", code)
	}
	cmd := newValidateCmd()
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetArgs([]string{filepath.Join(t.TempDir(), "none.yaml")})
	if code := codeOf(cmd.Execute()); code != exitUsage {
		t.Errorf("missing file: exit code %d", code)
	}
}

func TestValidateStandardInput(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	cmd := newValidateCmd()
	cmd.SetOut(&b)
	cmd.SetIn(strings.NewReader("run: x\n"))
	cmd.SetArgs([]string{"-"})
	if err := cmd.Execute(); err != nil || !strings.Contains(b.String(), "valid (1 task)") {
		t.Errorf("%v\n%s", err, b.String())
	}
}
