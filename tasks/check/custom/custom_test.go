package custom_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"aloft/tasks/check/custom"
	"aloft/tasks/check/engine"
	"aloft/tasks/check/frame"
)

// outcome runs a command as the only check of a suite.
func outcome(t *testing.T, ctx context.Context, command string, timeout time.Duration) (engine.Outcome, error) {
	t.Helper()
	dir := t.TempDir()
	table, err := frame.NewTable("a.csv", frame.NewInts("x", []int64{1, 2, 3}), frame.NewTexts("y", []string{"a", "b", "a"}))
	if err != nil {
		t.Fatal(err)
	}
	data, err := frame.NewDataset(table, frame.Roles{Label: "y"})
	if err != nil {
		t.Fatal(err)
	}
	spec := custom.Spec{Name: "Mine", Command: command, Scope: engine.SingleDataset, Timeout: timeout, Params: engine.Object{{Key: "k", Value: []any{1, "two"}}}}
	def := &engine.Definition{ID: "Mine", Scope: spec.Scope}
	place := custom.Place{Dir: dir, Seed: 7, Train: custom.Source{Files: []string{"a.csv"}}, NA: []string{"NA"}}
	items := []engine.Item{{Def: def, Check: custom.New(spec).At(place)}}
	r, err := engine.Run(ctx, engine.Suite{Items: items}, engine.Inputs{Train: data})
	if err != nil {
		return engine.Outcome{}, err
	}
	return r.Outcomes[0], nil
}

func TestCommands(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, command string
		class         engine.Class
		text          string // in the error, or the verdicts
	}{
		{"a result", `printf '{"value": {"a": 1}, "reduced": {"r": 0.5}, "conditions": [{"name": "n", "category": "WARN", "details": "d"}]}'`, "", "WARN"},
		{"reads its input", `cat > in.json; grep -q '"seed":7' in.json && grep -q '"params":{"k":\[1,"two"\]}' in.json && grep -q '"dataset":"train"' in.json &&
			grep -q '"files":\["a.csv"\]' in.json && grep -q '"na_values":\["","NA"\]' in.json && grep -q '"task_type":"binary"' in.json && printf '{"value": 1}'`, "", ""},
		{"does not read its input", `printf '{"value": 1}'`, "", ""},
		{"leaves a process that holds its output", `sleep 600 & printf '{"value": 1}'`, "", ""},
		{"names an error", `printf '{"error": {"class": "MyError", "message": "no luck"}}'`, "MyError", "no luck"},
		{"does not apply", `printf '{"error": {"kind": "irrelevant", "message": "no use"}}'`, engine.ProcessError, "no use"},
		{"exit code", `for i in $(seq 30); do echo line $i >&2; done; exit 3`, engine.ProcessError, "exit code 3; the last lines of its standard error:\nline 21\n"},
		{"killed", `kill -9 $$`, engine.ProcessError, "ended by a signal: killed"},
		{"no such program", `nosuchprogram_`, engine.ProcessError, "exit code 127"},
		{"nothing", `true`, engine.ProcessError, "it began with nothing"},
		{"garbage", `echo hello`, engine.ProcessError, `did not write one JSON object: read JSON: invalid character 'h' looking for beginning of value; it began with "hello\n"`},
		{"not a number", `printf '{"value": NaN}'`, engine.ProcessError, "JSON has no NaN"},
		{"two objects", `printf '{"value": 1} {}'`, engine.ProcessError, "more follows"},
		{"a list", `printf '[]'`, engine.ProcessError, "did not write a JSON object"},
		{"an unknown key", `printf '{"valeu": 1}'`, engine.ProcessError, `the unknown key "valeu" (did you mean "value"?)`},
		{"empty", `printf '{}'`, engine.ProcessError, `neither "value" nor "reduced" nor "conditions"`},
		{"bad category", `printf '{"conditions": [{"name": "n", "category": "OK"}]}'`, engine.ProcessError, "category must be PASS, WARN, FAIL or ERROR"},
		{"bad display", `printf '{"value": 1, "displays": [{"type": "table", "columns": ["a"], "rows": [[1, 2]]}]}'`, engine.ProcessError, "displays[0]: rows[0] must be a list of 1 cells"},
		{"too much", `yes`, engine.ProcessError, "more than 16 MiB"},
		{"deep", `python3 -c 'print("[" * 1000)' || true`, engine.ProcessError, "nests deeper than 64 levels"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o, err := outcome(t, t.Context(), tt.command, time.Minute)
			if err != nil {
				t.Fatal(err)
			}
			if tt.class == "" {
				if o.Err != nil {
					t.Fatalf("error %v", o.Err)
				}
				if tt.text != "" && (len(o.Conditions) != 1 || string(o.Conditions[0].Verdict) != tt.text) {
					t.Errorf("conditions %+v", o.Conditions)
				}
				return
			}
			if o.Err == nil || o.Err.Class != tt.class || !strings.Contains(o.Err.Message, tt.text) {
				t.Errorf("error %#v, want %s with %q", o.Err, tt.class, tt.text)
			}
		})
	}
}

// gone waits until no process has the id that the command wrote.
func gone(t *testing.T, file string) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		t.Fatal(err)
	}
	for limit := time.Now().Add(10 * time.Second); ; {
		if state, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat"); errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) || err == nil && strings.Contains(string(state), ") Z ") {
			return
		}
		if time.Now().After(limit) {
			t.Fatalf("process %d is still there", pid)
		}
		time.Sleep(10 * time.Millisecond) // paces the polling of another process
	}
}

// What a command started is ended with it, at the time-out and on cancellation.
func TestEndsWithItsChildren(t *testing.T) {
	t.Parallel()
	t.Run("time-out", func(t *testing.T) {
		t.Parallel()
		child := filepath.Join(t.TempDir(), "child")
		o, err := outcome(t, t.Context(), "sleep 600 & echo $! > '"+child+"'; echo waiting >&2; wait", 500*time.Millisecond)
		if err != nil {
			t.Fatal(err)
		}
		if o.Err == nil || o.Err.Class != engine.Timeout || !strings.Contains(o.Err.Message, "waiting") {
			t.Errorf("error %v", o.Err)
		}
		gone(t, child)
	})
	t.Run("cancelled", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancel(t.Context())
		child := filepath.Join(t.TempDir(), "child")
		go func() {
			for {
				if b, err := os.ReadFile(child); err == nil && len(b) > 0 {
					cancel()
					return
				}
				time.Sleep(10 * time.Millisecond) // paces the polling of another process
			}
		}()
		if _, err := outcome(t, ctx, "sleep 600 & echo $! > '"+child+"'; wait", time.Minute); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
		gone(t, child)
	})
}
