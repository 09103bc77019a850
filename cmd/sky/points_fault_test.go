package main

import (
	"strings"
	"testing"

	"aloft/controller/reconcile"
)

// pointsOf are the recorded steps that a verb passes on this machine. Nothing here moves deadlines, so no verb extends.
func pointsOf(verb string) []string {
	passes := map[string][]string{
		"launch": {"intent", "create", "bind", "ship", "record"},
		"stop":   {"stop", "record"},
		"start":  {"start", "probe", "ship", "record"},
		"down":   {"delete", "record"},
		"lost":   {"connect"}, // no verb: what the next controller does first with a cluster that is up
	}
	var out []string
	for _, p := range reconcile.Points() {
		_, step, _ := strings.Cut(p, "-")
		for _, s := range passes[verb] {
			if s == step {
				out = append(out, p)
			}
		}
	}
	return out
}

// TestControllerDiesAtEveryPoint kills the controller at every recorded step of every verb. The command that waits and
// every one after it carry on with the next controller: the outcome is right, there was one machine, nothing is left.
func TestControllerDiesAtEveryPoint(t *testing.T) {
	t.Parallel()
	// This host moves no deadlines, has no quotas, need not be told how its machines end, and they share nothing: the simulation dies at those.
	covered := map[string]bool{}
	for _, p := range []string{"extend", "quota", "finish", "poweroff"} {
		covered["before-"+p], covered["after-"+p] = true, true
	}
	gate := make(chan struct{}, 2)
	for _, verb := range []string{"launch", "stop", "start", "down", "lost"} {
		for _, point := range pointsOf(verb) {
			covered[point] = true
			t.Run(verb+"/"+point, func(t *testing.T) {
				t.Parallel()
				gate <- struct{}{}
				defer func() { <-gate }()
				dieAt(newWorld(t), verb, point)
			})
		}
	}
	for _, p := range reconcile.Points() {
		if !covered[p] {
			t.Errorf("no verb is killed at %s", p)
		}
	}
}

func dieAt(w *world, verb, point string) {
	// The mortal controller runs already when the command comes, so that those after it are whole.
	mortal := func() int {
		if verb == "lost" {
			w.killController()
		} else {
			w.ok("api", "stop")
		}
		w.with("ALOFT_CRASH_AT="+point).sky("api", "start") // may die before it answers
		return w.controllerPID()
	}
	dead := 0
	run := func(v string, want int, args ...string) string {
		if v == verb {
			dead = mortal()
		}
		return w.exits(want, nil, args...).out
	}
	w.ok("api", "start")
	if out := run("launch", 7, "launch", "-y", "-c", "c", "--", "echo out-$((20+3)); echo kept > ~/kept; exit 7"); strings.Count(out, "out-23\n") != 1 {
		w.Errorf("the log of the job: %q", out)
	}
	if verb == "lost" {
		dead = mortal()
	}
	machine := w.nodes()
	if len(machine) != 1 {
		w.Errorf("machines %v, want one", machine)
	}
	w.exits(7, []string{"out-23\n"}, "logs", "c", "1")
	if verb == "stop" || verb == "start" {
		run("stop", 0, "stop", "-y", "c")
		if ps := w.processes(); len(ps) != 0 {
			w.Errorf("processes %v of a stopped cluster", ps)
		}
		run("start", 0, "start", "-y", "c")
	}
	if out := w.ok("exec", "c", "--", "cat ~/kept").out; !strings.Contains(out, "kept\n") {
		w.Errorf("the disk of the machine: %q", out)
	}
	m := w.document(w.ok("gc", "-o", "json"))
	if m["instances"] != 1.0 || m["owned"] != 1.0 || len(m["orphans"].([]any)) != 0 {
		w.Errorf("gc: %v", m)
	}
	if now := w.nodes(); strings.Join(now, " ") != strings.Join(machine, " ") {
		w.Errorf("machines %v became %v", machine, now)
	}
	run("down", 0, "down", "-y", "c")
	w.nothingLeft()
	if dead != 0 && runs(dead) {
		w.Errorf("the controller did not die at %s: nothing was tested", point)
	}
}
