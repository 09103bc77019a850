package main

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"
)

// In CI no line moves: what is waited for is told of once a minute, with how long it has been, until it is over.
func TestHeartbeat(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var told bytes.Buffer
		a := &app{out: &bytes.Buffer{}, errOut: &told, getenv: func(k string) (string, bool) { return "true", k == "CI" }}
		a.spin("Launching on aws")
		time.Sleep(90 * time.Second)
		a.spin("Preparing job 1")
		time.Sleep(60 * time.Second)
		a.endSpin()
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if want := "... Launching on aws (1m 0s)\n... Preparing job 1 (2m 0s)\n"; told.String() != want {
			t.Errorf("told %q, want %q", told.String(), want)
		}
	})
}
