package livemodel_test

import (
	"context"
	"errors"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/frame"
	"aloft/tasks/check/livemodel"
)

// serve makes the test's model with a fault.
func serve(t *testing.T, fault, kind string, timeout time.Duration) *livemodel.Process {
	t.Helper()
	if _, err := exec.LookPath("python3"); err != nil {
		t.Skip("no python3")
	}
	p := livemodel.New(livemodel.Spec{Command: "exec python3 serve.py", Timeout: timeout, Env: map[string]string{"FAULT": fault, "KIND": kind}, Batch: 2}, "testdata")
	t.Cleanup(p.Close)
	return p
}

func rows(t *testing.T) *frame.Table {
	t.Helper()
	table, err := frame.NewTable("t", frame.NewFloats("x", []float64{0.2, 0.9, math.NaN(), 0.6, math.Inf(-1)}), frame.NewTexts("c", []string{"a", "\"b\"\n", "", "d", "e"}))
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	p := serve(t, "", "classifier", time.Minute)
	info, err := p.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if info.Type != "Threshold" || info.Trees != 10 || !info.HasProba || info.Params.Get("limit") != 0.5 || info.Params.Get("list") != "[1]" || info.Classes[1] != "yes" {
		t.Errorf("info %+v", info)
	}
	got, took, err := p.Predict(t.Context(), rows(t), frame.NewTexts("y", []string{"no"}))
	if err != nil {
		t.Fatal(err)
	}
	if took != 10*time.Microsecond {
		t.Errorf("it took %s", took)
	}
	for i, want := range []string{"no", "yes", "no", "yes", "no"} {
		if v := got.Labels.Value(i).String(); v != want {
			t.Errorf("label %d: %s, want %s", i, v, want)
		}
	}
	if got.Proba[1][1] != 0.9 || got.Proba[0][4] != 1 {
		t.Errorf("probabilities %v", got.Proba)
	}
	early, err := p.Staged(t.Context(), rows(t), nil, 1)
	if err != nil {
		t.Fatal(err)
	}
	if v := early.Labels.Value(1).String(); v != "no" {
		t.Errorf("with one tree: %s", v)
	}
}

func TestRegressor(t *testing.T) {
	t.Parallel()
	p := serve(t, "", "regressor", time.Minute)
	got, _, err := p.Predict(t.Context(), rows(t).Take([]int32{0, 1, 2, 3}), frame.NewFloats("y", []float64{1}))
	if err != nil {
		t.Fatal(err)
	}
	if got.Labels.Float(1) != 0.9 || got.Proba != nil {
		t.Errorf("%v", got)
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	for fault, want := range map[string]struct {
		class engine.Class
		text  string
	}{
		"hang":     {engine.Timeout, "did not answer within 3s; the last lines of its standard error:\nabout to hang"},
		"die":      {engine.ModelValidation, "ended with exit code 3; the last lines of its standard error:\nout of memory"},
		"garbage":  {engine.ModelValidation, `it wrote "Loading weights..." where a JSON object was expected`},
		"short":    {engine.ModelValidation, "it gave 1 labels for 2 rows"},
		"nan":      {engine.ModelValidation, "where a JSON object was expected"},
		"null":     {engine.ModelValidation, `row 0 of "proba" lacks the probability of class no`},
		"sum":      {engine.ModelValidation, `row 0 of "proba" sums to 1.8`},
		"negative": {engine.ModelValidation, "gives class no the probability -0.5"},
		"classes":  {engine.ModelValidation, "has 1 numbers, the model has 2 classes"},
		"empty":    {engine.ModelValidation, `neither "labels" nor "proba"`},
		"label":    {engine.ModelValidation, "label 0 must be a text"},
		"refuse":   {engine.ModelValidation, "the live model refused: ValueError: no"},
		"hello":    {engine.ModelValidation, `it wrote "Welcome!"`},
		"version":  {engine.ModelValidation, "must speak version 1"},
	} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			timeout := time.Minute
			if fault == "hang" {
				timeout = 3 * time.Second
			}
			p := serve(t, fault, "classifier", timeout)
			for range 2 { // the second call is told the same
				_, _, err := p.Predict(t.Context(), rows(t), nil)
				if e := (*engine.Error)(nil); !errors.As(err, &e) || e.Class != want.class || !strings.Contains(e.Message, want.text) {
					t.Fatalf("error %v, want %s with %q", err, want.class, want.text)
				}
			}
		})
	}
}

func TestNoSuchCommand(t *testing.T) {
	t.Parallel()
	p := livemodel.New(livemodel.Spec{Command: "nosuchprogram_"}, t.TempDir())
	defer p.Close()
	if _, err := p.Info(t.Context()); err == nil || !strings.Contains(err.Error(), "exit code 127") {
		t.Errorf("error %v", err)
	}
	missing := livemodel.New(livemodel.Spec{Command: "true"}, filepath.Join(t.TempDir(), "nowhere"))
	defer missing.Close()
	if _, err := missing.Info(t.Context()); err == nil || !strings.Contains(err.Error(), "could not be started") {
		t.Errorf("error %v", err)
	}
}

// A cancelled call ends the process and all that it started.
func TestCancelEndsChildren(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	pid := filepath.Join(dir, "pid")
	p := livemodel.New(livemodel.Spec{Command: `sleep 600 & echo $! > pid.new && mv pid.new pid; wait`}, dir)
	defer p.Close()
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		for {
			if _, err := os.Stat(pid); err == nil {
				cancel()
				return
			}
			time.Sleep(5 * time.Millisecond) // paces the polling of another process
		}
	}()
	if _, err := p.Info(ctx); err == nil || !strings.Contains(err.Error(), "not waited for") {
		t.Errorf("error %v", err)
	}
	src, err := os.ReadFile(pid)
	if err != nil {
		t.Fatal(err)
	}
	child, err := strconv.Atoi(strings.TrimSpace(string(src)))
	if err != nil {
		t.Fatal(err)
	}
	for limit := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		state, err := os.ReadFile("/proc/" + strconv.Itoa(child) + "/stat")
		if errors.Is(syscall.Kill(child, 0), syscall.ESRCH) || err == nil && strings.Contains(string(state), ") Z ") {
			return
		}
		if time.Now().After(limit) {
			t.Fatal("the child is still there")
		}
	}
}
