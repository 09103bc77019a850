package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	controlv1 "aloft/proto/sky/control/v1"
)

// In CI no line moves: what is waited for is told of once a minute, with how long it has been, until it is over.
func TestHeartbeat(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var told bytes.Buffer
		a := &app{out: &bytes.Buffer{}, errOut: &told, getenv: only("CI")}
		a.spin("Launching on aws")
		time.Sleep(90 * time.Second)
		a.spin("Preparing job 1")
		time.Sleep(60 * time.Second)
		a.costing(&controlv1.ClusterView{HourlyPrice: 1.5})
		time.Sleep(60 * time.Second)
		a.endSpin()
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if want := "... Launching on aws (1m 0s)\n... Preparing job 1 (2m 0s)\n... Preparing job 1 (3m 0s, $1.50 per hour)\n"; told.String() != want {
			t.Errorf("told %q, want %q", told.String(), want)
		}
	})
}

// GitHub is told of a task's secrets, each line of them, in its own form; others are not, and neither is a file.
func TestMask(t *testing.T) {
	t.Parallel()
	secrets := map[string]string{"TOKEN": "hunter22", "KEY": "-----BEGIN\nabc%20def\r\n\nend", "SHORT": "abc"}
	for system, want := range map[string]string{
		"GITHUB_ACTIONS": "::add-mask::-----BEGIN\n::add-mask::abc%2520def\n::add-mask::hunter22\n", "GITLAB_CI": "", "": "",
	} {
		var told bytes.Buffer
		a := &app{out: &bytes.Buffer{}, errOut: &told, getenv: only(system)}
		a.mask(secrets)
		if told.String() != want {
			t.Errorf("%s: %q, want %q", system, told.String(), want)
		}
	}
	file, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	a := &app{out: &bytes.Buffer{}, errOut: file, getenv: only("GITHUB_ACTIONS")}
	a.mask(secrets)
	if st, err := file.Stat(); err != nil || st.Size() > 0 {
		t.Errorf("a file got %d bytes, %v", st.Size(), err)
	}
}

// only is an environment of one variable, which is true.
func only(name string) func(string) (string, bool) {
	return func(k string) (string, bool) {
		if k != name {
			return "", false
		}
		return "true", true
	}
}
